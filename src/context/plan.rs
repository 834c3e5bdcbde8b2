//! What of a conversation that is too long goes, and what stays: a pure function of the conversation, its weights and the budget. The splice that follows it
//! is made here too; nothing is read or counted but by what is passed in.

use std::collections::HashMap;

use cut::Cut;
use xxhash_rust::xxh3::xxh3_128;

use crate::wire::{Edit, Outline};

mod cut;
mod shorten;
mod splice;
mod texts;
mod units;

/// A step is looked into by parts of so many, where what was there when it became due is not enough.
const PARTS: u64 = 8;

/// Tokens of a conversation's parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights {
    /// Of each item: its pieces and what surrounds them.
    pub items: Vec<u64>,
    /// Of each piece of each item.
    pub pieces: Vec<Vec<u64>>,
    /// Of all that stands beside the list, and of what is added to every prompt.
    pub beside: u64,
}

/// How much may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Most tokens of the prompt: the window less the room for the answer.
    pub most: u64,
    /// By how many tokens the cut moves at a time: ⌊window · (1 − target)⌋, less where `most` is small.
    pub step: u64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing: it fits.
    Fits,
    /// This.
    Trim(Plan),
    /// Nothing helps: no less than so many tokens can be kept.
    TooLarge(u64),
}

/// How a conversation becomes shorter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Changes of the body, in order.
    pub edits: Vec<Edit>,
    /// Items left out.
    pub dropped: u64,
    /// Texts shortened.
    pub shortened: u64,
    /// Tokens of the prompt as it was, and as it is then.
    pub tokens: (u64, u64),
}

/// Decides. `count` gives the tokens of a text as it stands in the body, between its quotes; it is asked only about texts that are shortened.
///
/// What has to go is a multiple of [`Budget::step`], and it is taken from those items that were there when the last step became due. Neither changes until
/// the conversation has grown by a step, so that all turns until then are cut alike, whoever cuts them, and begin alike.
pub fn plan(body: &[u8], outline: &Outline, weights: &Weights, budget: Budget, count: &mut dyn FnMut(&[u8]) -> u64) -> Verdict {
    let tokens = weights.items.iter().fold(weights.beside, |sum, item| sum.saturating_add(*item));
    let Some(excess) = tokens.checked_sub(budget.most).filter(|&excess| excess > 0) else { return Verdict::Fits };
    if outline.is_continued || outline.items.is_empty() {
        return Verdict::TooLarge(tokens);
    }
    let units = units::of(&outline.items);
    let step = budget.step.min(budget.most / 2).max(1);
    let steps = excess.div_ceil(step);
    let due = steps.saturating_mul(step);
    let border = budget.most.saturating_add((steps - 1).saturating_mul(step));
    let mut count = remembering(count);
    let (mut until, mut left) = (0, tokens);
    // What was there when the step became due is as a rule enough. If not, some more of what came behind it is looked at, by parts of a step: those keep still
    // for a while too.
    for part in 0..=PARTS {
        let border = border.saturating_add(step.saturating_mul(part) / PARTS);
        let before = std::mem::replace(&mut until, if part == PARTS { outline.items.len() } else { reaching(weights, outline.items.len(), border) });
        if until == before {
            continue;
        }
        let mut cut = Cut::new(body, outline, weights, &units, until);
        left = tokens.saturating_sub(cut.take(due, budget.most, &mut count));
        if left <= budget.most {
            let (edits, dropped, shortened) = cut.edits();
            return Verdict::Trim(Plan { edits, dropped, shortened, tokens: (tokens, left) });
        }
    }
    Verdict::TooLarge(left)
}

/// How many items there are up to the first one with which the prompt is longer than this.
fn reaching(weights: &Weights, items: usize, border: u64) -> usize {
    let mut sum = weights.beside;
    let reaches = |item: &u64| {
        sum = sum.saturating_add(*item);
        sum > border
    };
    weights.items.iter().position(reaches).map_or(items, |at| items.min(at + 1))
}

/// Counts no text twice.
fn remembering(count: &mut dyn FnMut(&[u8]) -> u64) -> impl FnMut(&[u8]) -> u64 {
    let mut known: HashMap<u128, u64> = HashMap::new();
    move |text| *known.entry(xxh3_128(text)).or_insert_with(|| count(text))
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
