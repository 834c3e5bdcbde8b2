//! Shortens a text as it stands in a string of JSON to its head and its tail, with a plain marker between them that says how much is left out. What is
//! left is the same bytes as before, and never half an escape, half a surrogate pair or half a character.

use std::ops::Range;

use super::wide;
use crate::context::Grouped;

/// Blanks are looked for so near to where a text is to be cut, in bytes.
const BLANK_NEAR: usize = 48;

/// What is taken out of a text, and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shortening {
    /// Bytes of the text that go.
    pub(super) cut: Range<usize>,
    /// What stands there instead: as it is written in a string of JSON.
    pub(super) marker: String,
}

impl Shortening {
    /// The text as it is then.
    pub(super) fn of(&self, text: &[u8]) -> Vec<u8> {
        [&text[..self.cut.start], self.marker.as_bytes(), &text[self.cut.end..]].concat()
    }
}

/// Shortens a text of so many tokens, as it stands between its quotes, to about `keep` of them, half of them at its head and half at its tail. `None`
/// where that would not make it shorter.
pub(super) fn shorten(text: &[u8], tokens: u64, keep: u64) -> Option<Shortening> {
    let length = wide(text.len());
    let kept = length.checked_mul(keep)?.checked_div(tokens)?;
    let half = usize::try_from(kept / 2).ok()?;
    let tail = text.len().checked_sub(half)?;
    if half >= tail {
        return None;
    }
    let start = head_end(text, half);
    let end = tail_start(text, tail, tail + half / 4);
    let left_out = wide(end.checked_sub(start)?).checked_mul(tokens)?.checked_div(length)?;
    let before = if start == 0 || text[..start].ends_with(br"\n") { "" } else { r"\n" };
    let after = if end == text.len() { "" } else { r"\n" };
    let marker = format!("{before}[\u{2026} {} tokens left out \u{2026}]{after}", Grouped(left_out.max(1)));
    (marker.len() < end - start).then_some(Shortening { cut: start..end, marker })
}

/// Where the head ends: behind a line's end if there is one in its last quarter, else at a blank, else at a character.
fn head_end(text: &[u8], at: usize) -> usize {
    let earliest = at - at / 4;
    if let Some(line) = (earliest..at).rev().find(|&end| is_line_end(text, end)) {
        return line;
    }
    let blank = (at.saturating_sub(BLANK_NEAR).max(earliest)..at).rev().find(|&end| text[end] == b' ');
    blank.unwrap_or_else(|| floor(text, at))
}

/// Where the tail begins: behind a line's end if there is one before `latest`, else at a blank, else at a character.
fn tail_start(text: &[u8], at: usize, latest: usize) -> usize {
    if let Some(line) = (at..latest).find(|&start| is_line_end(text, start)) {
        return line;
    }
    let blank = (at..latest.min(at + BLANK_NEAR)).find(|&start| text[start] == b' ');
    blank.map_or_else(|| floor(text, at), |blank| blank + 1)
}

/// Whether a line ends just before.
fn is_line_end(text: &[u8], at: usize) -> bool {
    text[..at].ends_with(br"\n") && begins_escape(text, at - 2)
}

/// Whether the backslash at this place begins an escape, and is not itself escaped.
fn begins_escape(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 0
}

/// The nearest place, here or before, where a text may be cut.
fn floor(text: &[u8], at: usize) -> usize {
    let whole = escape_around(text, at).unwrap_or(at);
    let character = (0..=whole).rev().find(|&place| text.get(place).is_none_or(|byte| byte & 0xC0 != 0x80)).unwrap_or(0);
    let Some(pair) = character.checked_sub(6) else { return character };
    let is_pair = is_surrogate(text, character, b'c'..=b'f') && is_surrogate(text, pair, b'8'..=b'b') && begins_escape(text, pair);
    if is_pair { pair } else { character }
}

/// Where the escape begins that this place is in the middle of.
fn escape_around(text: &[u8], at: usize) -> Option<usize> {
    let begins = |&start: &usize| {
        let length = if text.get(start + 1) == Some(&b'u') { 6 } else { 2 };
        text.get(start) == Some(&b'\\') && start + length > at && begins_escape(text, start)
    };
    (at.saturating_sub(5)..at).find(begins)
}

/// Whether `\uDxyz` stands here, with an x of these.
fn is_surrogate(text: &[u8], at: usize, x: std::ops::RangeInclusive<u8>) -> bool {
    let Some([b'\\', b'u', b'd' | b'D', digit, ..]) = text.get(at..at + 6) else { return false };
    x.contains(&digit.to_ascii_lowercase())
}
