//! Changes of a body at some places: everything between them stays byte for byte as it was.

use std::ops::Range;

/// One change of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced.
    pub at: Range<usize>,
    /// What stands there instead; empty where something is taken out.
    pub with: Vec<u8>,
}

/// The body with these changes, which are in order and do not overlap.
pub fn apply(body: &[u8], edits: &[Edit]) -> Vec<u8> {
    let removed: usize = edits.iter().map(|edit| edit.at.len()).sum();
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut changed = Vec::with_capacity((body.len() + added).saturating_sub(removed));
    let mut from = 0;
    for edit in edits {
        changed.extend_from_slice(body.get(from..edit.at.start).unwrap_or_default());
        changed.extend_from_slice(&edit.with);
        from = edit.at.end;
    }
    changed.extend_from_slice(body.get(from..).unwrap_or_default());
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, edits: &[(Range<usize>, &str)], expected: &str) {
        let edits: Vec<_> = edits.iter().map(|(at, with)| Edit { at: at.clone(), with: with.as_bytes().to_vec() }).collect();
        assert_eq!(String::from_utf8(apply(body.as_bytes(), &edits)).unwrap(), expected, "{body} {edits:?}");
    }

    #[test]
    fn what_lies_between_changes_stays() {
        check("abcdef", &[], "abcdef");
        check("abcdef", &[(1..3, "")], "adef");
        check("abcdef", &[(0..1, "xyz"), (1..2, ""), (6..6, "!")], "xyzcdef!");
        check("abcdef", &[(0..6, "")], "");
        check("", &[(0..0, "new")], "new");
    }

    #[test]
    fn no_more_is_taken_than_is_needed() {
        let changed = apply(&[b'a'; 1000], &[Edit { at: 10..900, with: b"short".to_vec() }]);
        assert_eq!((changed.len(), changed.capacity()), (115, 115));
    }
}
