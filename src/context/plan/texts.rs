//! The texts of a conversation that may be shortened: what tools gave back, and what users said. Calls, reasoning and an assistant's own words are none of
//! them, nor are system texts, but for one that is itself what is asked.

use super::{
    Weights,
    shorten::{Shortening, shorten},
};
use crate::wire::{Item, Outline, PieceKind, Role};

/// Fewer tokens than this are never left of a text.
pub(super) const LEAST: u64 = 32;
/// What a marker takes at most, in tokens.
const MARKER: u64 = 16;
/// A text is not touched for less, in tokens.
const GAIN: u64 = 32;

/// A text that may be shortened.
#[derive(Debug)]
pub(super) struct Text<'a> {
    /// The item that it is in.
    pub(super) item: usize,
    /// Whose it is.
    pub(super) by: By,
    /// Where it begins in the body, and what stands there.
    pub(super) start: usize,
    raw: &'a [u8],
    /// Tokens of all of it.
    pub(super) whole: u64,
    /// Tokens of it as it is now: an estimate above the truth, until it is settled.
    pub(super) now: u64,
    /// The fewest tokens that it was to be shortened to so far.
    keep: Option<u64>,
    is_settled: bool,
    /// How it is shortened.
    pub(super) shortening: Option<Shortening>,
}

/// Who said what may be shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Tool,
    User,
    System,
}

impl By {
    fn of(kind: PieceKind, role: Role) -> Option<Self> {
        match (kind, role) {
            (PieceKind::Result, _) | (PieceKind::Text, Role::Tool) => Some(Self::Tool),
            (PieceKind::Text, Role::User) => Some(Self::User),
            (PieceKind::Text, Role::System) => Some(Self::System),
            _ => None,
        }
    }
}

/// The system message that is what is asked, where nothing else stands in front of the model's answer: so some frameworks ask who is to speak next, with all
/// that was said so far in it.
fn question(items: &[Item]) -> Option<usize> {
    let leading = items.iter().take_while(|item| item.role == Role::System).count();
    let is_answered = |item: &Item| item.role == Role::Assistant && item.speaks;
    leading.checked_sub(1).filter(|_| items.get(leading).is_none_or(is_answered))
}

/// Those of the first items, in order.
pub(super) fn of<'a>(body: &'a [u8], outline: &Outline, weights: &Weights, until: usize) -> Vec<Text<'a>> {
    let mut texts = Vec::new();
    let question = question(&outline.items);
    for (at, (item, weights)) in outline.items.iter().zip(&weights.pieces).enumerate().take(until) {
        for (piece, &whole) in item.pieces.iter().zip(weights) {
            let by = By::of(piece.kind, item.role).filter(|by| *by != By::System || question == Some(at));
            let (Some(by), Some(raw)) = (by, body.get(piece.at.clone())) else { continue };
            if !piece.is_quoted || whole <= LEAST {
                continue;
            }
            let start = piece.at.start;
            texts.push(Text { item: at, by, start, raw, whole, now: whole, keep: None, is_settled: false, shortening: None });
        }
    }
    texts
}

/// Tokens that a text which is to keep so many has at most, as far as can be told without counting.
const fn bound(keep: u64) -> u64 {
    keep + keep / 8 + MARKER
}

impl Text<'_> {
    /// Shortens it by so many tokens if that much is there, but to no less than `least`; all the way to `least` where `need` is `None`. Says how many that
    /// saves.
    pub(super) fn shrink(&mut self, need: Option<u64>, least: u64) -> u64 {
        // At least a quarter goes: nobody is helped by a marker in place of a few words.
        let enough = need.map_or(0, |need| self.now.saturating_sub(need + MARKER) / 9 * 8).min(self.whole / 4 * 3);
        let keep = least.max(enough);
        if self.keep.is_some_and(|before| keep >= before) || bound(keep) >= self.now || bound(keep) + GAIN > self.whole {
            return 0;
        }
        let saved = self.now - bound(keep);
        self.keep = Some(keep);
        self.is_settled = false;
        self.now -= saved;
        saved
    }

    /// Makes the change, if one is due, and counts what it leaves.
    pub(super) fn settle(&mut self, count: &mut dyn FnMut(&[u8]) -> u64) {
        let Some(keep) = self.keep.filter(|_| !self.is_settled) else { return };
        self.is_settled = true;
        self.shortening = shorten(self.raw, self.whole, keep);
        self.now = self.shortening.as_ref().map_or(self.whole, |made| count(&made.of(self.raw)));
        if self.now >= self.whole {
            self.now = self.whole;
            self.shortening = None;
        }
    }
}
