//! Which messages go together: a call with all its results, reasoning with what it leads to. Nothing else knows why messages belong together.

use std::{collections::HashMap, ops::Range};

use crate::wire::{Item, Role};

/// Messages that stay or go together, one behind the other. System messages among them stay whatever becomes of the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// The items, by their places.
    pub(super) items: Range<usize>,
    /// Whether it is but a system message.
    pub(super) is_system: bool,
}

/// A conversation's units, in order: each item is in one.
pub(super) fn of(items: &[Item]) -> Vec<Unit> {
    let ties = ties(items);
    let mut units = Vec::with_capacity(items.len());
    let mut start = 0;
    while start < items.len() {
        let (mut last, mut at) = (start, start);
        while at <= last {
            last = last.max(ties[at]);
            at += 1;
        }
        units.push(Unit { items: start..last + 1, is_system: start == last && items[start].role == Role::System });
        start = last + 1;
    }
    units
}

/// For each item the last one that it must not part from: itself, or one behind it.
fn ties(items: &[Item]) -> Vec<usize> {
    let mut ties: Vec<usize> = (0..items.len()).collect();
    // Calls without a result so far, by id. The same id may be used again: a result is the nearest call's.
    let mut open: HashMap<u64, Vec<usize>> = HashMap::new();
    // The last item that calls, while nothing but results has come behind it.
    let mut near: Option<usize> = None;
    for (at, item) in items.iter().enumerate() {
        for link in &item.results {
            let call = link.and_then(|id| open.get_mut(&id)).and_then(Vec::pop);
            // A result without an id, or with one that nobody has asked for, is of the calls directly before it.
            if let Some(from) = call.or(near) {
                ties[from] = ties[from].max(at);
            }
        }
        for id in item.calls.iter().flatten() {
            open.entry(*id).or_default().push(at);
        }
        if !item.calls.is_empty() {
            near = Some(at);
        } else if item.results.is_empty() && item.role != Role::System {
            near = None;
        }
        if item.leads {
            ties[at] = led(items, at);
        }
    }
    ties
}

/// The last item of what a reasoning item leads to: the Responses API has a model's message and its calls each as an item of its own, and refuses any of
/// them without the reasoning that came before it in the same answer.
fn led(items: &[Item], at: usize) -> usize {
    let behind = items.iter().enumerate().skip(at + 1).skip_while(|(_, item)| item.role == Role::System);
    let mut last = at;
    for (next, item) in behind {
        let is_first = last == at;
        if is_first || (item.role == Role::Assistant && !item.leads) {
            last = next;
        }
        if item.role != Role::Assistant || item.leads {
            break;
        }
    }
    last
}
