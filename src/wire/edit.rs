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
