//! Takes out of a stream of OpenAI's events what is there only because token counts were asked for on the agent's behalf: the extra chunk (no choices, a
//! `usage`), and `"usage":null` in all others. Every other byte stays. A `usage` that comes with choices stays too: who puts it there does so
//! unasked, as far as is known.
//!
//! An event whose end has not come is held until then. One longer than [`HELD_MAX`] passes as it is.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::{memchr2, memmem::Finder};

use super::skim::{NotJson, Skim};

/// Longest event that is held for its end, in bytes.
const HELD_MAX: usize = 64 << 10;

/// What every event says that there is something to do about.
const USAGE: &[u8] = b"\"usage\"";

/// The incremental filter of one stream.
#[derive(Debug)]
pub struct Strip {
    finder: Finder<'static>,
    /// The beginning of an event whose end has not come.
    held: BytesMut,
    fate: Fate,
    /// The line that the next byte belongs to has no bytes yet.
    line_is_empty: bool,
    /// The last byte was CR: an LF right after it belongs to it.
    after_cr: bool,
}

/// What becomes of the event under way, or became of the last one while nothing of the next has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is held, or went on.
    Usual,
    /// It is too long, and passes as it is.
    Passing,
    /// It was taken out.
    TakenOut,
}

impl Default for Strip {
    fn default() -> Self {
        Self { finder: Finder::new(USAGE), held: BytesMut::new(), fate: Fate::Usual, line_is_empty: true, after_cr: false }
    }
}

/// What becomes of an event.
#[derive(Debug, PartialEq)]
enum Verdict {
    Stays,
    /// These bytes of it are taken out.
    Less(Range<usize>),
    Goes,
}

/// What stays of the bytes that came, copied only where something does not.
struct Kept<'a> {
    data: &'a Bytes,
    copied: Option<BytesMut>,
    /// Up to where they are copied, or taken out.
    done: usize,
}

impl Kept<'_> {
    /// Copies what stays in front of `range`, and leaves that out.
    fn leave_out(&mut self, range: Range<usize>) -> &mut BytesMut {
        let copied = self.copied.get_or_insert_with(|| BytesMut::with_capacity(self.data.len()));
        copied.extend_from_slice(&self.data[self.done..range.start]);
        self.done = range.end;
        copied
    }

    fn up_to(mut self, end: usize) -> Bytes {
        if self.copied.is_none() {
            return self.data.slice(self.done..end);
        }
        std::mem::take(self.leave_out(end..end)).freeze()
    }
}

impl Strip {
    /// Takes the next bytes, and gives those that may go on now; none, perhaps.
    pub fn feed(&mut self, data: &Bytes) -> Bytes {
        let at_boundary = self.is_empty() && self.fate != Fate::Passing;
        if at_boundary && self.line_is_empty && !self.after_cr && data.ends_with(b"\n\n") && self.finder.find(data).is_none() {
            self.fate = Fate::Usual;
            return data.clone();
        }
        let mut kept = Kept { data, copied: None, done: 0 };
        let mut at = usize::from(self.after_cr && data.first() == Some(&b'\n'));
        let mut start = if at_boundary { at } else { 0 };
        if start > 0 && self.fate == Fate::TakenOut {
            kept.leave_out(0..start);
        }
        while let Some(length) = memchr2(b'\n', b'\r', &data[at..]) {
            let end = at + length;
            let is_blank = self.line_is_empty && length == 0;
            at = end + 1;
            if data[end] == b'\r' && data.get(at) == Some(&b'\n') {
                at += 1;
            }
            if is_blank {
                self.complete(&mut kept, start..at);
                start = at;
            }
            self.line_is_empty = true;
        }
        self.line_is_empty &= at >= data.len();
        self.after_cr = data.last().map_or(self.after_cr, |last| *last == b'\r');
        let end = self.hold(&mut kept, start);
        kept.up_to(end)
    }

    /// The stream has ended as it should: what of its last event may go on.
    pub fn end(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held).freeze();
        let mut kept = Kept { data: &held, copied: None, done: 0 };
        self.complete(&mut kept, 0..held.len());
        kept.up_to(held.len())
    }

    /// The stream has broken off: what is held of an event, as it came.
    pub fn broken(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// An event ends with these bytes.
    fn complete(&mut self, kept: &mut Kept<'_>, range: Range<usize>) {
        if std::mem::replace(&mut self.fate, Fate::Usual) == Fate::Passing {
            return;
        }
        if self.held.is_empty() {
            match self.verdict(&kept.data[range.clone()]) {
                Verdict::Stays => {}
                Verdict::Less(less) => {
                    kept.leave_out(range.start + less.start..range.start + less.end);
                }
                Verdict::Goes => {
                    kept.leave_out(range);
                    self.fate = Fate::TakenOut;
                }
            }
            return;
        }
        self.held.extend_from_slice(&kept.data[range.clone()]);
        let event = std::mem::take(&mut self.held);
        let verdict = self.verdict(&event);
        // It began before these bytes did, so that nothing of them stands in front of it.
        let copied = kept.leave_out(range);
        match verdict {
            Verdict::Stays => copied.extend_from_slice(&event),
            Verdict::Less(less) => {
                copied.extend_from_slice(&event[..less.start]);
                copied.extend_from_slice(&event[less.end..]);
            }
            Verdict::Goes => self.fate = Fate::TakenOut,
        }
    }

    /// Holds what stands behind the last event's end, from `start` on; gives where what goes on now ends.
    fn hold(&mut self, kept: &mut Kept<'_>, start: usize) -> usize {
        let rest = &kept.data[start..];
        if rest.is_empty() || self.fate == Fate::Passing {
            return kept.data.len();
        }
        if self.held.len() + rest.len() <= HELD_MAX {
            self.held.extend_from_slice(rest);
            return start;
        }
        self.fate = Fate::Passing;
        if !self.held.is_empty() {
            kept.copied = Some(std::mem::take(&mut self.held));
        }
        kept.data.len()
    }

    fn verdict(&self, event: &[u8]) -> Verdict {
        if self.finder.find(event).is_none() {
            return Verdict::Stays;
        }
        let Some(line) = only_data(event) else { return Verdict::Stays };
        match chunk(&event[line.clone()]) {
            Ok(Verdict::Less(less)) => Verdict::Less(line.start + less.start..line.start + less.end),
            Ok(verdict) => verdict,
            Err(NotJson) => Verdict::Stays,
        }
    }
}

/// Where the value of an event's only line of data lies; `None` if it has more lines of data, or none.
fn only_data(event: &[u8]) -> Option<Range<usize>> {
    let mut found = None;
    let mut start = 0;
    while start < event.len() {
        let end = memchr2(b'\n', b'\r', &event[start..]).map_or(event.len(), |length| start + length);
        if event[start..end].starts_with(b"data:") && found.replace(start + 5..end).is_some() {
            return None;
        }
        start = end + 1;
    }
    found
}

/// What becomes of a chunk.
fn chunk(text: &[u8]) -> Result<Verdict, NotJson> {
    let mut skim = Skim::new(text);
    let open = text.iter().position(|byte| *byte == b'{').ok_or(NotJson)? + 1;
    let (mut before, mut usage, mut no_choices) = (open, None, false);
    skim.object(|skim, key| {
        match key {
            b"usage" => usage = Some((before, skim.value()?, skim.offset())),
            b"choices" => no_choices = is_empty_list(skim.value()?),
            _ => skim.skip()?,
        }
        before = skim.offset();
        Ok(())
    })?;
    let Some((before, usage, end)) = usage.filter(|_| skim.is_at_end()) else { return Ok(Verdict::Stays) };
    Ok(match usage {
        b"null" if before > open => Verdict::Less(before..end),
        b"null" => Verdict::Less(first_field(text, open, end)),
        [b'{', ..] if no_choices => Verdict::Goes,
        _ => Verdict::Stays,
    })
}

/// The first field of an object, with the comma behind it.
fn first_field(text: &[u8], open: usize, end: usize) -> Range<usize> {
    let blanks = |at: usize| text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let comma = end + blanks(end);
    let end = if text.get(comma) == Some(&b',') { comma + 1 + blanks(comma + 1) } else { end };
    open + blanks(open)..end
}

fn is_empty_list(value: &[u8]) -> bool {
    matches!(value, [b'[', blanks @ .., b']'] if blanks.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests;
