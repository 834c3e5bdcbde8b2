//! Finds the lines of an NDJSON stream however its bytes are split. Blank lines are none.

use memchr::memchr;

use super::partial::Partial;

/// The incremental reader of a stream.
#[derive(Debug)]
pub(super) struct Lines {
    partial: Partial,
    at_boundary: bool,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { partial: Partial::default(), at_boundary: true }
    }

    /// Whether the last byte ended a line (or there was none yet).
    pub(super) fn at_boundary(&self) -> bool {
        self.at_boundary
    }

    /// Takes the next bytes and hands over each line that ends in them; `None` in place of one that is too long.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Option<&[u8]>)) {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            self.partial.complete(&rest[..end], |line| dispatch(line, &mut each));
            rest = &rest[end + 1..];
        }
        if !bytes.is_empty() {
            self.at_boundary = rest.is_empty();
            self.partial.keep(rest);
        }
    }

    /// Hands over a last line that had no end.
    pub(super) fn end(&mut self, mut each: impl FnMut(Option<&[u8]>)) {
        self.partial.complete(&[], |line| dispatch(line, &mut each));
    }
}

fn dispatch(line: Option<&[u8]>, each: &mut impl FnMut(Option<&[u8]>)) {
    let line = line.map(<[u8]>::trim_ascii);
    if line.is_none_or(|line| !line.is_empty()) {
        each(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::partial::EVENT_MAX;

    fn lines(stream: &[u8], size: usize) -> (Vec<Option<usize>>, bool) {
        let mut lines = Lines::new();
        let mut found = Vec::new();
        for piece in stream.chunks(size) {
            lines.feed(piece, |line| found.push(line.map(<[u8]>::len)));
        }
        let boundary = lines.at_boundary();
        lines.end(|line| found.push(line.map(<[u8]>::len)));
        (found, boundary)
    }

    #[test]
    fn lines_are_found_however_split() {
        let check = |stream: &str, expected: &[usize], boundary: bool| {
            let expected: Vec<_> = expected.iter().copied().map(Some).collect();
            for size in 1..=stream.len().max(1) {
                assert_eq!(lines(stream.as_bytes(), size), (expected.clone(), boundary), "{stream:?} in pieces of {size}");
            }
        };
        check("", &[], true);
        check("a\nbb\r\n\n \nccc\n", &[1, 2, 3], true);
        check("a\nbb", &[1, 2], false);
    }

    #[test]
    fn a_line_of_more_than_the_bound_is_passed_over() {
        let stream = format!("{}\nab\n", "x".repeat(EVENT_MAX + 1));
        for size in [1000, stream.len()] {
            assert_eq!(lines(stream.as_bytes(), size), (vec![None, Some(2)], true));
        }
    }
}
