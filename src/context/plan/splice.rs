//! Takes items out of a list of JSON such that it stays one: with each goes the comma before it, or behind it where it is the first.

use crate::wire::{Edit, Outline};

/// The changes of the body that take out these items, in order.
pub(super) fn drop(outline: &Outline, dropped: &[bool]) -> Vec<Edit> {
    let items = &outline.items;
    let mut edits = Vec::new();
    let mut at = 0;
    for run in dropped.chunk_by(|one, other| one == other) {
        let (start, end) = (at, at + run.len());
        at = end;
        if !run[0] {
            continue;
        }
        let cut = match (start.checked_sub(1), items.get(end)) {
            (Some(before), _) => items[before].at.end..items[end - 1].at.end,
            (None, Some(behind)) => items[start].at.start..behind.at.start,
            (None, None) => items[start].at.start..items[end - 1].at.end,
        };
        edits.push(Edit { at: cut, with: Vec::new() });
    }
    edits
}
