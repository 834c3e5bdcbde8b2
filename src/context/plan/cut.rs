//! Takes so many tokens from the beginning of a conversation, gentlest first. What comes behind that beginning has no say, so that it is cut the same way
//! however the conversation goes on.

use std::ops::Range;

use super::{
    Weights, splice,
    texts::{self, By, LEAST, Text},
    units::Unit,
};
use crate::wire::{Edit, Item, Outline, PieceKind, Role};

/// A text is oversized beyond this share of the room, one in so many: about a 32nd of a window that keeps a quarter for the answer.
const OVERSIZED_SHARE: u64 = 24;
/// … but not below and above so many tokens.
const OVERSIZED: Range<u64> = 64..4096;
/// What a user said and has to stay is oversized only beyond so many times that: it is what the work is about.
const SAID: u64 = 8;
/// What is left of texts is counted so often at most, until enough is taken; more than twice only where a text's head and tail have far more tokens than
/// its middle.
const ROUNDS: u8 = 16;

/// A conversation that is being cut.
pub(super) struct Cut<'a> {
    outline: &'a Outline,
    weights: &'a Weights,
    units: &'a [Unit],
    /// So many items are looked at.
    until: usize,
    /// The first thing that a user says in them, and the last.
    first: Option<usize>,
    last: Option<usize>,
    texts: Vec<Text<'a>>,
    /// Whether an item is dropped.
    dropped: Vec<bool>,
    oversized: u64,
    /// Tokens that are to be saved, and that are.
    goal: u64,
    saved: u64,
    /// Whether texts are shortened by no more than is needed.
    is_sparing: bool,
}

impl<'a> Cut<'a> {
    /// Of the first items, with nothing taken from them.
    pub(super) fn new(body: &'a [u8], outline: &'a Outline, weights: &'a Weights, units: &'a [Unit], until: usize) -> Self {
        let says = |item: &Item| item.role == Role::User && (item.speaks || item.results.is_empty());
        let items = &outline.items[..until];
        Self {
            outline,
            weights,
            units,
            until,
            first: items.iter().position(says),
            last: items.iter().rposition(says),
            texts: texts::of(body, outline, weights, until),
            dropped: vec![false; outline.items.len()],
            oversized: 0,
            goal: 0,
            saved: 0,
            is_sparing: true,
        }
    }

    /// Takes `goal` tokens, or as many as there are to take, of a conversation that has room for `most`. Says how many.
    pub(super) fn take(&mut self, goal: u64, most: u64, count: &mut dyn FnMut(&[u8]) -> u64) -> u64 {
        (self.goal, self.oversized) = (goal, (most / OVERSIZED_SHARE).clamp(OVERSIZED.start, OVERSIZED.end));
        for round in 0..ROUNDS {
            let before = self.saved;
            self.go();
            let has_changed = self.saved != before;
            self.settle(count);
            if self.saved >= self.goal || !(has_changed || self.is_sparing) {
                break;
            }
            // What is left of a text is counted once it is known which are shortened; where that is more than was reckoned with, more goes.
            self.is_sparing = round == 0 && has_changed;
        }
        self.saved
    }

    /// The changes of the body, in order; how many items are left out of it and how many texts are shortened.
    pub(super) fn edits(&self) -> (Vec<Edit>, u64, u64) {
        let mut edits = splice::drop(self.outline, &self.dropped);
        let texts = self.texts.iter().filter(|text| !self.dropped[text.item]);
        let shortened = texts.filter_map(|text| text.shortening.as_ref().map(|made| (text.start, made)));
        let before = edits.len();
        edits.extend(shortened.map(|(at, made)| Edit { at: at + made.cut.start..at + made.cut.end, with: made.marker.clone().into_bytes() }));
        let shortened = super::wide(edits.len() - before);
        edits.sort_by_key(|edit| edit.at.start);
        (edits, super::wide(self.dropped.iter().filter(|&&is| is).count()), shortened)
    }

    /// All that can be done, gentlest first, until it is enough.
    fn go(&mut self) {
        let oversized = self.oversized;
        self.shorten_old(oversized);
        self.drop_old();
        self.shorten_largest(By::Tool, oversized);
        self.shorten_largest(By::User, oversized * SAID);
        self.drop_steps();
        self.shorten_largest(By::Tool, LEAST);
        self.shorten_largest(By::User, LEAST);
        self.shorten_largest(By::System, LEAST);
    }

    /// Oversized texts between the first thing said by a user and the last, to half of what would have been allowed.
    fn shorten_old(&mut self, oversized: u64) {
        let (first, last) = (self.first, self.last.unwrap_or(0));
        self.shorten(|text| text.by != By::System && text.item < last && Some(text.item) != first, oversized, oversized / 2);
    }

    /// The largest texts first, of tools or of users, wherever they are: level by level, each to the half of the one before, down to `least`.
    fn shorten_largest(&mut self, by: By, least: u64) {
        let live = self.texts.iter().filter(|text| text.by == by && !self.dropped[text.item]);
        let mut level = live.map(|text| text.now).max().unwrap_or(0) / 2;
        while level > least && self.saved < self.goal {
            self.shorten(|text| text.by == by, level + level / 2, level);
            level /= 2;
        }
        self.shorten(|text| text.by == by, least + least / 4, least);
    }

    /// Such texts of more than `over` tokens to no less than `least`, oldest first.
    fn shorten(&mut self, such: impl Fn(&Text<'_>) -> bool, over: u64, least: u64) {
        for text in self.texts.iter_mut().filter(|text| !self.dropped[text.item] && text.now > over && such(text)) {
            let need = self.goal.saturating_sub(self.saved);
            if need == 0 {
                break;
            }
            self.saved += text.shrink(Some(need).filter(|_| self.is_sparing), least);
        }
    }

    /// Whole units between the first thing said by a user and the last; and what comes before the first.
    fn drop_old(&mut self) {
        let (Some(first), Some(last)) = (self.first.map(|item| self.unit(item)), self.last.map(|item| self.unit(item))) else { return };
        let before = self.droppable(0..first);
        if self.saved < self.goal {
            self.drop(&before);
        }
        let between = self.droppable(first + 1..last);
        let begins = |unit: usize| self.outline.items[self.units[unit].items.start].role == Role::Assistant;
        let alternates = self.alternates();
        let may_follow = |unit: Option<&usize>| !alternates || begins(*unit.unwrap_or(&last));
        let number = self.enough(&between, may_follow);
        self.drop(&between[..number]);
    }

    /// Whole units behind the last thing said by a user: the oldest steps of a task that only goes on, never the last.
    fn drop_steps(&mut self) {
        let Some(end) = self.until.checked_sub(1).map(|item| self.unit(item)) else { return };
        let start = self.last.map_or(0, |item| self.unit(item) + 1);
        let mut steps = self.droppable(start..end);
        let reasons = |unit: &usize| self.units[*unit].items.clone().any(|item| has_reasoning(&self.outline.items[item]));
        // Where reasoning opens the answer and does not open each of its steps, it has to stay in front: Anthropic refuses an answer that goes on without.
        let opening = (start..=end).find(|&unit| !self.units[unit].is_system);
        if opening.is_some_and(|unit| reasons(&unit)) && !(start..=end).filter(|&unit| !self.units[unit].is_system).all(|unit| reasons(&unit)) {
            steps.retain(|&unit| Some(unit) != opening);
        }
        let number = self.enough(&steps, |_| true);
        self.drop(&steps[..number]);
    }

    /// How many of these units, from the first on, have to go: as few as are enough, such that the first that stays may follow what is before them; if
    /// there are not enough, as many as may.
    fn enough(&self, units: &[usize], may_follow: impl Fn(Option<&usize>) -> bool) -> usize {
        let (mut saved, mut number) = (self.saved, 0);
        for at in 0..=units.len() {
            if may_follow(units.get(at)) {
                number = at;
                if saved >= self.goal {
                    break;
                }
            }
            saved += units.get(at).map_or(0, |&unit| self.weight(unit));
        }
        number
    }

    /// Units of these that are wholly looked at, are more than a system message, and are still there.
    fn droppable(&self, units: Range<usize>) -> Vec<usize> {
        let may_go = |unit: &usize| {
            let Unit { items, is_system } = &self.units[*unit];
            !is_system && items.end <= self.until && !items.clone().all(|item| self.stays(item) || self.dropped[item])
        };
        units.filter(may_go).collect()
    }

    fn stays(&self, item: usize) -> bool {
        self.outline.items[item].role == Role::System
    }

    fn drop(&mut self, units: &[usize]) {
        for &unit in units {
            self.saved += self.weight(unit);
            for item in self.units[unit].items.clone() {
                self.dropped[item] = !self.stays(item);
            }
        }
    }

    /// Tokens of a unit that would be saved by dropping it, as it is now.
    fn weight(&self, unit: usize) -> u64 {
        let items = &self.units[unit].items;
        let whole: u64 = items.clone().filter(|&item| !self.stays(item) && !self.dropped[item]).map(|item| self.item(item)).sum();
        let from = self.texts.partition_point(|text| text.item < items.start);
        let texts = self.texts[from..].iter().take_while(|text| text.item < items.end);
        whole.saturating_sub(texts.map(|text| text.whole - text.now).sum())
    }

    fn item(&self, item: usize) -> u64 {
        self.weights.items.get(item).copied().unwrap_or(0)
    }

    /// The unit that an item is in.
    fn unit(&self, item: usize) -> usize {
        self.units.partition_point(|unit| unit.items.end <= item)
    }

    /// Whether users and assistants take turns, as many templates and Gemini want it. Calls and results are no turns of their own.
    fn alternates(&self) -> bool {
        let items = self.outline.items[..self.until].iter();
        let turns = items.filter(|item| item.calls.is_empty() && item.results.is_empty() && !item.leads).map(|item| item.role);
        let mut turns = turns.filter(|role| matches!(role, Role::User | Role::Assistant));
        let mut before = turns.next();
        turns.all(|role| before.replace(role) != Some(role))
    }

    /// Makes the changes of the texts that are still there, and sums up what is saved in truth.
    fn settle(&mut self, count: &mut dyn FnMut(&[u8]) -> u64) {
        for text in self.texts.iter_mut().filter(|text| !self.dropped[text.item]) {
            text.settle(count);
        }
        let dropped: u64 = self.dropped.iter().enumerate().filter(|&(_, &is)| is).map(|(item, _)| self.item(item)).sum();
        let texts = self.texts.iter().filter(|text| !self.dropped[text.item]);
        self.saved = dropped + texts.map(|text| text.whole - text.now).sum::<u64>();
    }
}

fn has_reasoning(item: &Item) -> bool {
    item.pieces.iter().any(|piece| matches!(piece.kind, PieceKind::Reasoning | PieceKind::Sealed))
}
