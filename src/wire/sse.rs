//! Finds the events of an SSE stream (WHATWG HTML, section 9.2.6) however its bytes are split: line ends CR, LF or CRLF, comments,
//! fields without colon, data of several lines. Ids and reconnection times mean nothing here.

use memchr::memchr2;

use super::partial::{Partial, empty};

/// One event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Event<'a> {
    /// The `event` field; empty if there was none.
    pub(super) name: &'a [u8],
    /// The `data` lines, joined by line feeds.
    pub(super) data: &'a [u8],
}

/// What was found at an event's end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Found<'a> {
    /// An event with data.
    Event(Event<'a>),
    /// An event that was longer than [`super::partial::EVENT_MAX`].
    TooLong,
}

/// The incremental reader of a stream.
#[derive(Debug)]
pub(super) struct Sse {
    partial: Partial,
    /// Data of several lines, joined.
    joined: Vec<u8>,
    /// The line that the next byte belongs to has no bytes yet.
    line_is_empty: bool,
    /// The last byte was CR: an LF right after it belongs to it.
    after_cr: bool,
    at_boundary: bool,
}

impl Sse {
    pub(super) fn new() -> Self {
        Self { partial: Partial::default(), joined: Vec::new(), line_is_empty: true, after_cr: false, at_boundary: true }
    }

    /// Whether the last line was blank (or there was none yet).
    pub(super) fn at_boundary(&self) -> bool {
        self.at_boundary
    }

    /// Takes the next bytes and hands over each event that ends in them.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Found<'_>)) {
        // `at` is where the search for a line's end goes on, `start` is where the event's piece in these bytes begins.
        let mut at = usize::from(self.after_cr && bytes.first() == Some(&b'\n'));
        let mut start = if self.at_boundary { at } else { 0 };
        while let Some(length) = memchr2(b'\n', b'\r', &bytes[at..]) {
            let end = at + length;
            let is_blank = self.line_is_empty && length == 0;
            at = end + 1;
            if bytes[end] == b'\r' && bytes.get(at) == Some(&b'\n') {
                at += 1;
            }
            if is_blank {
                self.partial.complete(&bytes[start..end], |block| dispatch(block, &mut self.joined, &mut each));
                start = at;
            }
            self.line_is_empty = true;
            self.at_boundary = is_blank;
        }
        if at < bytes.len() {
            self.line_is_empty = false;
            self.at_boundary = false;
        }
        if let Some(last) = bytes.last() {
            self.after_cr = *last == b'\r';
            self.partial.keep(&bytes[start..]);
        }
    }

    /// Hands over what was begun and not ended by a blank line, if it is an event.
    pub(super) fn end(&mut self, mut each: impl FnMut(Found<'_>)) {
        self.partial.complete(&[], |block| dispatch(block, &mut self.joined, &mut each));
    }
}

fn dispatch(block: Option<&[u8]>, joined: &mut Vec<u8>, each: &mut impl FnMut(Found<'_>)) {
    match block.map(|block| event(block, joined)) {
        Some(Some(event)) => each(Found::Event(event)),
        Some(None) => {}
        None => each(Found::TooLong),
    }
    empty(joined);
}

/// The fields of an event's lines; `None` if none of them is data.
fn event<'a>(block: &'a [u8], joined: &'a mut Vec<u8>) -> Option<Event<'a>> {
    let mut name: &[u8] = &[];
    let mut data: Option<&[u8]> = None;
    let mut lines = 0_u32;
    let mut rest = block;
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if let Some(value) = field(line, b"event") {
            name = value;
        } else if let Some(value) = field(line, b"data") {
            lines += 1;
            match data {
                None => data = Some(value),
                Some(first) => {
                    if lines == 2 {
                        joined.clear();
                        joined.extend_from_slice(first);
                    }
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                }
            }
        }
    }
    let data = data?;
    Some(Event { name, data: if lines > 1 { joined.as_slice() } else { data } })
}

/// The value of a line that is the named field.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    match value.split_first() {
        None => Some(value),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
