//! Makes a prompt fit its model's window: finds the room, counts, plans, splices. What is too short to overflow is neither parsed nor counted.

use std::ops::Range;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Budget, Models, Plan, Verdict, Weights, Window,
    correct::Correction,
    count::{Counting, Family, Frame, Tokens, Weighed},
    plan, prompt,
    windows::is_ollama,
};
use crate::wire::{Call, Dialect, Edit, Outline, Overflow, Piece, apply};

/// How often less is asked for, where a prompt is to be trimmed as far as it can be.
const ROUNDS: u8 = 3;
/// No window that is in use is smaller: an error about a shorter prompt says nothing of one, whatever its words.
const WINDOW_LEAST: u64 = 1024;

/// Whose prompt is to fit, and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The dialect.
    pub dialect: Dialect,
    /// The request's path, without its query.
    pub path: &'a str,
    /// `gen_ai.provider.name`.
    pub provider: Option<&'a str>,
    /// The upstream's name: what is learnt of a window is learnt of this upstream's.
    pub upstream: &'a str,
    /// What it asks for.
    pub call: &'a Call,
}

/// What became of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Fit {
    /// It goes as it came. With its tokens, where they were counted.
    Untouched(Option<Counted>),
    /// It was trimmed.
    Trimmed(Box<Trimmed>),
    /// It cannot be made to fit.
    TooLarge(TooLarge),
}

/// A prompt's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Tokens.
    pub tokens: u64,
    /// Whether the model's own tokenizer has counted all of it.
    pub is_exact: bool,
    /// As it was counted here, before that was corrected by what replies have taught: what the next lesson is measured by.
    pub by_ours: Ours,
}

/// What was counted here of a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ours {
    /// Tokens.
    pub tokens: u64,
    /// Figures of numbers beyond one for each of those tokens.
    pub figures: u64,
}

/// A prompt that was trimmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trimmed {
    /// The body that goes up.
    pub body: Bytes,
    /// Where its list of messages lies, without its brackets.
    pub list: Range<usize>,
    /// Messages that were left out.
    pub messages: u64,
    /// Texts that were shortened.
    pub texts: u64,
    /// Tokens that were taken away.
    pub tokens: u64,
    /// Tokens that are left.
    pub left: Counted,
}

/// A prompt that cannot be made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// Its tokens as they came.
    pub tokens: u64,
    /// No less than so many would be left.
    pub least: u64,
    /// The window, and what of it is kept for the answer.
    pub window: u64,
    /// Tokens asked for as answer.
    pub answer: u64,
}

impl Models {
    /// Makes the prompt fit, trimming it down to `target` of the window at most in one step. With `after`, the upstream has just said that it did not. Takes
    /// up to some 100 ms of a processor: not for a worker of the runtime.
    #[expect(clippy::too_many_arguments, reason = "what the upstream said of the same body is no part of what is asked")]
    pub fn fit(&self, asked: Asked<'_>, body: &Bytes, target: f64, after: Option<Overflow>, now: Instant) -> Fit {
        if let Some(overflow) = after {
            self.overflowed(asked, overflow, now);
        }
        let outline = Outline::read(asked.dialect, asked.path, body).filter(|outline| !outline.is_continued);
        let (Some(model), Some(outline)) = (asked.call.model.as_deref(), outline) else { return Fit::Untouched(None) };
        let window = self.window_of(asked, outline.window, now);
        let fits = window.is_none_or(|(window, _)| u64::try_from(body.len()).is_ok_and(|length| length <= window.most()));
        if after.is_none() && fits && !is_ollama(asked) {
            return Fit::Untouched(None);
        }
        let family = Family::of(model);
        let mut counting = Counting::new(family.tokenizer);
        let weighed = self.counter.weigh(Frame::of(asked.dialect, family), body, &outline, &mut counting);
        let key = self.learnt.key(asked.upstream, model);
        let total = weighed.total();
        let mut correction = self.corrections.of(key, family, total, self.guess(asked.call));
        let mut counted = Counted::of(total, correction, family);
        if let Some(tokens) = after.and_then(|overflow| overflow.prompt) {
            self.corrections.learn(key, family, total, tokens);
            correction = correction.stretched(total, tokens);
            counted = Counted::of(total, correction, family);
        }
        let window = match after {
            // All that is known is that this was too much.
            Some(_) if is_news(window, counted) => {
                self.learnt.tell(key, counted.tokens.saturating_sub(1), false, now);
                self.window_of(asked, outline.window, now)
            }
            _ => window,
        };
        let Some((window, is_certain)) = window else { return Fit::Untouched(Some(counted)) };
        let mut room = Room::new(window, target, after);
        room.is_certain = is_certain;
        if after.is_some() && counted.tokens <= room.budget.most {
            // It was more than was counted.
            correction = correction.stretched(total, room.budget.most + 1);
            counted = Counted::of(total, correction, family);
        }
        let weights = correction.apply(&weighed);
        Fitting { body, outline: &outline, counting, weighed, weights, correction, counted, room }.fit()
    }

    /// A reply told how many tokens a prompt was that had been counted: of what was sent, trimmed or not. Says whether the upstream seems to have read all of
    /// it.
    pub fn taught(&self, asked: Asked<'_>, counted: Counted, tokens: u64, now: Instant) -> bool {
        let Some(model) = asked.call.model.as_deref().filter(|_| tokens > 0 && counted.by_ours.tokens > 0) else { return true };
        let (key, ours) = (self.learnt.key(asked.upstream, model), Tokens::from(counted.by_ours));
        if is_ollama(asked)
            && let Some(agreed) = self.corrections.is_cut(key, ours, tokens)
        {
            // Whole messages were left out until the rest fitted: the window is no less than that rest, and no less than the largest prompt that was read
            // whole. Windows are set in multiples of 1,024.
            self.learnt.tell(key, tokens.max(agreed).next_multiple_of(1024), false, now);
            return false;
        }
        self.was_read(key, tokens);
        self.corrections.learn(key, Family::of(model), ours, tokens);
        true
    }

    /// The tokens of a prompt by its characters, where replies have taught what those are.
    fn guess(&self, call: &Call) -> Option<u64> {
        let (model, prompt) = prompt(call)?;
        self.learners.learnt(model, prompt)
    }
}

/// Whether a prompt that did not fit tells more of a window than is known: there it would have fitted, and is no short one.
fn is_news(window: Option<(Window, bool)>, counted: Counted) -> bool {
    window.is_none_or(|(window, _)| counted.tokens <= window.most() && counted.tokens > WINDOW_LEAST)
}

impl From<Ours> for Tokens {
    fn from(ours: Ours) -> Self {
        Self { figures: ours.figures, ..Self::guess(ours.tokens) }
    }
}

impl Counted {
    fn of(total: Tokens, correction: Correction, family: Family) -> Self {
        Self {
            tokens: correction.total(total),
            is_exact: family.is_own && correction == Correction::NONE && total.is_exact,
            by_ours: Ours { tokens: total.count, figures: total.figures },
        }
    }
}

/// What there is room for.
#[derive(Debug, Clone, Copy)]
struct Room {
    window: Window,
    budget: Budget,
    /// Whether a prompt may be refused by it.
    is_certain: bool,
}

impl Room {
    fn new(mut window: Window, target: f64, after: Option<Overflow>) -> Self {
        // What the upstream has set apart for the answer is known better than what is set apart here.
        let told = after.and_then(|overflow| overflow.answer).filter(|&answer| answer < window.tokens);
        window.answer = told.unwrap_or(window.answer);
        Self { window, budget: Budget { most: window.most(), step: window.step(target) }, is_certain: false }
    }
}

/// A conversation on its way into its room.
struct Fitting<'a> {
    body: &'a Bytes,
    outline: &'a Outline,
    counting: Counting,
    weighed: Weighed,
    /// Corrected.
    weights: Weights,
    correction: Correction,
    counted: Counted,
    room: Room,
}

impl Fitting<'_> {
    fn fit(mut self) -> Fit {
        let (mut budget, mut least) = (self.room.budget, 0);
        for _ in 0..ROUNDS {
            match self.plan(budget) {
                Verdict::Fits => return Fit::Untouched(Some(self.counted)),
                Verdict::Trim(plan) => {
                    let left = self.left(&plan.edits);
                    // The parts of a prompt are rounded each by itself: together they may be a token more than what is left of them.
                    let over = self.correction.total(left).saturating_sub(self.room.budget.most);
                    if over == 0 {
                        return self.trimmed(&plan, left);
                    }
                    (budget.most, least) = (budget.most.saturating_sub(over), self.room.budget.most + over);
                }
                Verdict::TooLarge(tokens) => {
                    least = tokens;
                    break;
                }
            }
        }
        let (tokens, most) = (self.counted.tokens, self.room.budget.most);
        // Beyond doubt where even four fifths of an estimate are too many.
        if self.room.is_certain && (self.counted.is_exact || least / 5 * 4 > most) {
            let Window { tokens: window, answer, .. } = self.room.window;
            return Fit::TooLarge(TooLarge { tokens, least, window, answer });
        }
        // As far as it goes: the count may be too high.
        for _ in 0..ROUNDS {
            match self.plan(Budget { most: least, step: 1 }) {
                Verdict::Trim(plan) => {
                    let left = self.left(&plan.edits);
                    return self.trimmed(&plan, left);
                }
                Verdict::TooLarge(more) => least = more.max(least + 1),
                Verdict::Fits => break,
            }
        }
        Fit::Untouched(Some(self.counted))
    }

    fn plan(&mut self, budget: Budget) -> Verdict {
        let (counting, correction) = (&mut self.counting, self.correction);
        plan(self.body, self.outline, &self.weights, budget, &mut |text| correction.scale(counting.text(text, true)))
    }

    fn trimmed(&self, plan: &Plan, ours: Tokens) -> Fit {
        let (before, left) = (plan.tokens.0, self.correction.total(ours));
        Fit::Trimmed(Box::new(Trimmed {
            list: moved(&self.outline.list, &plan.edits),
            body: Bytes::from(apply(self.body, &plan.edits)),
            messages: plan.dropped,
            texts: plan.shortened,
            tokens: before.saturating_sub(left),
            left: Counted { tokens: left, by_ours: Ours { tokens: ours.count, figures: ours.figures }, ..self.counted },
        }))
    }

    /// What these edits leave of the prompt, as it is counted here: what replies tell of it is a lesson only beside that.
    fn left(&mut self, edits: &[Edit]) -> Tokens {
        let mut left = self.weighed.beside;
        let mut edits = edits.iter().peekable();
        for (item, (whole, weights)) in self.outline.items.iter().zip(self.weighed.items.iter().zip(&self.weighed.pieces)) {
            while edits.next_if(|edit| edit.at.end <= item.at.start).is_some() {}
            if edits.peek().is_some_and(|edit| edit.at.start <= item.at.start && item.at.end <= edit.at.end) {
                continue;
            }
            left = left.and(*whole);
            while let Some(edit) = edits.next_if(|edit| item.at.start <= edit.at.start && edit.at.end <= item.at.end) {
                let is_in = |(piece, _): &(&Piece, &Tokens)| piece.at.start <= edit.at.start && edit.at.end <= piece.at.end;
                let Some((piece, before)) = item.pieces.iter().zip(weights).find(is_in) else { continue };
                let text = [&self.body[piece.at.start..edit.at.start], &edit.with, &self.body[edit.at.end..piece.at.end]].concat();
                left = left.less(*before).and(self.counting.text(&text, true));
            }
        }
        left
    }
}

/// Where the list lies once its edits are made, all of which are within it or behind it.
fn moved(list: &Range<usize>, edits: &[Edit]) -> Range<usize> {
    let within = || edits.iter().filter(|edit| edit.at.start >= list.start && edit.at.end <= list.end);
    let (removed, added) = within().fold((0, 0), |(removed, added), edit| (removed + edit.at.len(), added + edit.with.len()));
    list.start..(list.end + added).saturating_sub(removed)
}

#[cfg(test)]
mod tests;
