//! What a model counts for each token that is counted here, learnt from its replies: a ratio, a fixed part and a part for each figure of a number (some
//! vocabularies take numbers apart, those that count here do not).
//!
//! Followed as in `estimate`, with tokens counted here in place of weighed characters. What is applied stays until it gives well more tokens for a prompt than what
//! was learnt, or less: each move shifts the cut of every conversation. It is a little more than what was learnt, for too many is better than an error.

use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;
use hashlink::LruCache;

use super::{
    Prompt, Weights,
    count::{Family, Tokens, Weighed},
    estimate::Learner,
    number, whole,
    windows::Key,
};

/// Models that are followed, each at each upstream; of more, those used longest ago are forgotten.
const MODELS_MAX: usize = 256;
/// Steps of the ratio, upwards from what was learnt.
const STEP: f64 = 0.005;
/// What is applied stays while it gives a prompt so many times the tokens that what was learnt does. By how it is made up of its parts alone it never moves:
/// where one prompt has as many figures for its tokens as the next, nothing can be learnt of that.
const STILL: [f64; 2] = [0.99, 1.025];
/// The same where the tokenizer is public: that is right, and usage differs by what was not counted. Too few for that are soon too many for the window; too
/// many are no reason to move a cut.
const SNAP: [f64; 2] = [0.985, 1.1];
/// Steps of the fixed part, in tokens.
const FIXED_STEP: f64 = 32.0;
/// The same of what a figure adds, in tokens.
const FIGURE_STEP: f64 = 0.05;
/// What a figure adds at the least and at the most. As it cannot take more than a token has, no part of a prompt has less than none.
const FIGURE: [f64; 2] = [-0.1, 1.0];
/// Figures that weigh as much as one tool does in `estimate`.
const FIGURES: f64 = 100.0;
/// How far a correction goes.
const LEAST: f64 = 0.25;
const MOST: f64 = 4.0;
const FIXED_MOST: f64 = 4096.0;
/// Counts are corrected in millionths.
const ONE: i64 = 1_000_000;
const MILLION: f64 = 1e6;

/// What is applied to the weights of a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Correction {
    /// For each token, and for each figure beyond; in millionths.
    ratio: i64,
    figure: i64,
    /// Tokens of every prompt; less than none where too much was counted.
    fixed: i64,
}

impl Correction {
    /// None at all.
    pub(super) const NONE: Self = Self { ratio: ONE, figure: 0, fixed: 0 };

    /// The same, stretched so that a prompt has so many tokens.
    pub(super) fn stretched(self, counted: Tokens, tokens: u64) -> Self {
        let from = i128::from(self.total(counted).max(1));
        let scale = |part: i64| i64::try_from(i128::from(part) * i128::from(tokens) / from).unwrap_or(i64::MAX);
        let rough = Self { ratio: scale(self.ratio).clamp(ONE / 100, ONE * 100), figure: scale(self.figure).clamp(-ONE / 1000, ONE * 100), fixed: 0 };
        let rest = i128::from(tokens) - i128::from(rough.scale(counted));
        Self { fixed: i64::try_from(rest).unwrap_or(0), ..rough }
    }

    /// Of a whole prompt.
    pub(super) fn total(self, counted: Tokens) -> u64 {
        self.scale(counted).saturating_add_signed(self.fixed)
    }

    /// Of a part of a prompt, to the nearest.
    pub(super) fn scale(self, tokens: Tokens) -> u64 {
        let scaled = i128::from(tokens.count) * i128::from(self.ratio) + i128::from(tokens.figures) * i128::from(self.figure);
        u64::try_from((scaled + i128::from(ONE / 2)) / i128::from(ONE)).unwrap_or(0)
    }

    /// Of all parts of a prompt. Each is what it adds to all before it, so that nothing is lost by rounding.
    pub(super) fn apply(self, weighed: &Weighed) -> Weights {
        let each = |before: Tokens, parts: &[Tokens]| -> Vec<u64> {
            let mut sum = before;
            let mut add = |part: &Tokens| {
                let before = self.scale(sum);
                sum = sum.and(*part);
                self.scale(sum).saturating_sub(before)
            };
            parts.iter().map(&mut add).collect()
        };
        Weights {
            items: each(weighed.beside, &weighed.items),
            pieces: weighed.pieces.iter().map(|pieces| each(Tokens::added(0), pieces)).collect(),
            beside: self.total(weighed.beside),
        }
    }
}

/// A prompt as it was counted here.
fn prompt(counted: Tokens) -> Prompt {
    Prompt { weight: number(counted.count.max(1)), tools: number(counted.figures) / FIGURES }
}

/// What was learnt of each model.
#[derive(Debug)]
pub(super) struct Corrections {
    models: Mutex<LruCache<Key, Lessons, RandomState>>,
}

impl Default for Corrections {
    fn default() -> Self {
        Self { models: Mutex::new(LruCache::with_hasher(MODELS_MAX, RandomState::default())) }
    }
}

#[derive(Debug)]
struct Lessons {
    learner: Learner,
    /// The ratio that is applied, what a figure adds, and the fixed part; in tokens.
    applied: [f64; 3],
    /// The largest prompt whose usage was as counted, in tokens as the model counts.
    agreed: u64,
    /// Replies that taught, up to 255.
    count: u8,
}

impl Lessons {
    fn new(ratio: f64) -> Self {
        Self { learner: Learner::starting(ratio, 0.0, 0.0), applied: [ratio, 0.0, 0.0], agreed: 0, count: 0 }
    }

    fn expected(&self, prompt: Prompt) -> f64 {
        self.learner.ratio(prompt) * prompt.weight
    }

    /// What is applied to such a prompt: what was before, unless that gives more or less than so many times the tokens that are expected.
    fn settle(&mut self, prompt: Prompt, still: [f64; 2]) -> [f64; 3] {
        let (expected, figures) = (self.expected(prompt), prompt.tools * FIGURES);
        let [ratio, figure, fixed] = self.applied;
        let share = (ratio * prompt.weight + figure * figures + fixed) / expected;
        if !(still[0]..=still[1]).contains(&share) {
            let (_, fixed, figure) = self.learner.parts();
            let nearest = |part: f64, step: f64| (part / step).round() * step;
            let figure = nearest((figure / FIGURES).clamp(FIGURE[0], FIGURE[1]), FIGURE_STEP);
            let fixed = nearest(fixed.clamp(-FIXED_MOST, FIXED_MOST), FIXED_STEP);
            // The ratio makes up for what the others are bounded or rounded by.
            let ratio = ((expected - figure * figures - fixed) / prompt.weight).clamp(LEAST, MOST);
            self.applied = [(ratio / STEP).ceil() * STEP, figure, fixed];
        }
        self.applied
    }
}

impl Corrections {
    /// What is applied to a prompt of a model. Of one that nothing was learnt of, by `guess` (how many tokens its characters are taken to be, where that
    /// was learnt) or by what is known of its family; a tokenizer of its own is right until replies say otherwise.
    pub(super) fn of(&self, key: Key, family: Family, counted: Tokens, guess: Option<u64>) -> Correction {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.get(&key).is_none() && !family.is_own {
            let by_guess = |tokens| (number(tokens) / prompt(counted).weight).clamp(family.ratio / 2.0, family.ratio * 2.0);
            models.insert(key, Lessons::new(guess.map_or(family.ratio, by_guess)));
        }
        let Some(lessons) = models.get_mut(&key) else { return Correction::NONE };
        let [ratio, figure, fixed] = lessons.settle(prompt(counted), if family.is_own { SNAP } else { STILL });
        let signed = |part: f64| i64::try_from(whole(part.abs())).unwrap_or(0) * if part < 0.0 { -1 } else { 1 };
        Correction { ratio: signed(ratio * MILLION), figure: signed(figure * MILLION), fixed: signed(fixed) }
    }

    /// A reply said that a prompt of so many counted tokens had so many.
    pub(super) fn learn(&self, key: Key, family: Family, counted: Tokens, tokens: u64) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.get(&key).is_none() {
            models.insert(key, Lessons::new(family.ratio));
        }
        let Some(lessons) = models.get_mut(&key) else { return };
        let prompt = prompt(counted);
        let off = (number(tokens) - lessons.expected(prompt)).abs();
        if off <= number(tokens) * 0.15 {
            lessons.agreed = lessons.agreed.max(tokens);
        }
        lessons.count = lessons.count.saturating_add(1);
        lessons.learner.learn(prompt, tokens);
    }

    /// Whether a prompt was cut short where it was read: its usage is well below what was counted, of a model whose shorter prompts were as counted. Gives
    /// the largest that was read whole, or 0.
    pub(super) fn is_cut(&self, key: Key, counted: Tokens, tokens: u64) -> Option<u64> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let lessons = models.get(&key)?;
        let is_cut = lessons.count >= 2 && lessons.agreed > 0 && number(tokens) <= 0.8 * lessons.expected(prompt(counted));
        is_cut.then_some(lessons.agreed)
    }
}

#[cfg(test)]
mod tests;
