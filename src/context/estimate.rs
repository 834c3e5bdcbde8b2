//! How many tokens a prompt is, from what its characters weigh: an estimate for each model that every reply's usage corrects. Of a conversation that goes
//! on only what is new is estimated.
//!
//! What is estimated is the ratio of tokens to weight: what the text itself takes, plus a fixed part (roles, instructions of the provider) and a part
//! for each tool declared, both of which weigh less the longer the prompt is. The three are followed by a Kalman filter, so that the first replies move
//! them far and later ones little, and so that they drift with the traffic. A reply that is far off (an image, a document: tokens without characters)
//! moves them only a little; several in a row, all to one side, say that the traffic has changed, and the filter is as unsure as at first.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Beginning, Prompt, count::is_later_claude, number, whole};

/// Models that are followed; of more, those that taught nothing for longest are forgotten.
const MODELS_MAX: usize = 256;
/// Longest name of a model that is followed, in bytes.
const NAME_MAX: usize = 256;

/// What the numbers of the fixed part and of tools are counted in: tokens by this, so that all three are of like size.
const UNIT: f64 = 100.0;
/// Tokens of a weighed character before anything is known, as measured of `OpenAI`'s and Llama 3's vocabularies on prose, code, JSON, tables and Chinese.
const RATIO: f64 = 0.22;
/// The same for Claude's, which are finer (see `count`), until Opus 4.7 and since.
const RATIO_CLAUDE: f64 = 0.26;
const RATIO_CLAUDE_LATER: f64 = 0.33;
/// The fixed part, in [`UNIT`]s.
const FIXED: f64 = 0.08;
/// A tool's declaration, in [`UNIT`]s: a name, a sentence and two described parameters.
const TOOL: f64 = 0.6;
/// How far off each may be at first (standard deviation): text of other languages, long instructions, tools of one line or of fifty.
const UNSURE: [f64; 3] = [0.1, 0.5, 1.0];
/// How far each may drift from one reply to the next (standard deviation).
const DRIFT: [f64; 3] = [0.001, 0.01, 0.01];
/// The ratio's scatter from prompt to prompt (standard deviation), at first; then as it is seen, but no less than a fifth of it.
const SCATTER: f64 = 0.01;
/// A reply further off than so many times the usual moves no more than one that is so far.
const OUTLIER: f64 = 4.0;
/// The first replies of a model move it as far as they are off, but no further than this (tokens of a weighed character): no text is further from another.
const FAR: f64 = 2.0;
/// So many replies are the first.
const FIRST: u8 = 3;
/// So many of those in a row, all too high or all too low, are no outliers any more.
const CHANGED: u8 = 3;
/// The most that one reply adds to what is usual.
const UNUSUAL: f64 = 0.1;
/// Weight of each reply in what is usual.
const USUAL: f64 = 0.1;

/// What was learnt of each model.
#[derive(Debug, Default)]
pub(super) struct Learners {
    models: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<Box<str>, Learner>,
    /// Counts lessons.
    clock: u64,
}

impl Learners {
    /// Tokens of a prompt, the beginning of which may have been counted.
    pub(super) fn estimate(&self, model: &str, prompt: Prompt, beginning: Option<Beginning>) -> u64 {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = |learner: &Learner| match beginning {
            Some(known) => known.tokens.saturating_add(learner.behind(prompt.weight - number(known.weight))),
            None => whole(learner.ratio(prompt) * prompt.weight),
        };
        models.by_name.get(model).map_or_else(|| tokens(&Learner::new(model)), tokens)
    }

    /// The same, where replies have taught enough to go by.
    pub(super) fn learnt(&self, model: &str, prompt: Prompt) -> Option<u64> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let learner = models.by_name.get(model).filter(|learner| learner.lessons >= FIRST)?;
        Some(whole(learner.ratio(prompt) * prompt.weight))
    }

    /// The prompt was so many tokens.
    pub(super) fn learn(&self, model: &str, prompt: Prompt, tokens: u64) {
        if tokens == 0 || model.len() > NAME_MAX {
            return;
        }
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.clock += 1;
        let clock = models.clock;
        if !models.by_name.contains_key(model) {
            models.make_room();
            models.by_name.insert(model.into(), Learner::new(model));
        }
        if let Some(learner) = models.by_name.get_mut(model) {
            learner.learn(prompt, tokens);
            learner.last = clock;
        }
    }
}

impl Known {
    fn make_room(&mut self) {
        if self.by_name.len() < MODELS_MAX {
            return;
        }
        let oldest = self.by_name.iter().min_by_key(|(_, learner)| learner.last).map(|(name, _)| name.clone());
        if let Some(oldest) = oldest {
            self.by_name.remove(&oldest);
        }
    }
}

/// What was learnt of one model.
#[derive(Debug)]
pub(super) struct Learner {
    /// Tokens of a weighed character; the fixed part and each tool in [`UNIT`]s.
    parts: [f64; 3],
    /// Their covariance.
    unsure: [[f64; 3]; 3],
    /// The usual distance of a reply's ratio from the estimated one.
    usual: f64,
    /// Replies so far, up to [`FIRST`].
    lessons: u8,
    /// Outliers in a row, all to this side.
    outliers: u8,
    /// Whether those were too high.
    high: bool,
    /// When it last learnt.
    last: u64,
}

impl Learner {
    fn new(model: &str) -> Self {
        let ratio = match is_later_claude(model) {
            Some(true) => RATIO_CLAUDE_LATER,
            Some(false) => RATIO_CLAUDE,
            None => RATIO,
        };
        Self::starting(ratio, FIXED, TOOL)
    }

    /// With these before anything is known; the latter two in [`UNIT`]s.
    pub(super) fn starting(ratio: f64, fixed: f64, tool: f64) -> Self {
        Self { parts: [ratio, fixed, tool], unsure: unsure(), usual: SCATTER, lessons: 0, outliers: 0, high: false, last: 0 }
    }

    /// The ratio, and tokens of the fixed part and of each tool.
    pub(super) fn parts(&self) -> (f64, f64, f64) {
        let [ratio, fixed, tool] = self.parts;
        (ratio, fixed * UNIT, tool * UNIT)
    }

    /// Tokens for each weighed character of this prompt.
    pub(super) fn ratio(&self, prompt: Prompt) -> f64 {
        let least = 1.0 / prompt.weight;
        dot(&self.parts, &weights(prompt)).max(least)
    }

    /// Tokens of texts that come behind others.
    fn behind(&self, weight: f64) -> u64 {
        let [ratio, ..] = self.parts;
        whole((ratio * weight).max(0.0))
    }

    pub(super) fn learn(&mut self, prompt: Prompt, tokens: u64) {
        let weights = weights(prompt);
        let off = number(tokens) / prompt.weight - dot(&self.parts, &weights);
        let (mut spread, mut expected) = self.expected(&weights);
        // As far as what is known allows, and no further: before much is known nothing is far.
        let mut most = if self.lessons < FIRST { FAR } else { OUTLIER * expected.sqrt() };
        self.lessons = FIRST.min(self.lessons + 1);
        self.outliers = match off.abs() > most {
            true if self.high == (off > 0.0) => self.outliers + 1,
            outlier => u8::from(outlier),
        };
        self.high = off > 0.0;
        if self.outliers >= CHANGED {
            (self.unsure, self.outliers) = (unsure(), 0);
            (spread, expected) = self.expected(&weights);
            most = OUTLIER * expected.sqrt();
        }
        let off = off.clamp(-most, most);
        for (place, part) in self.parts.iter_mut().enumerate() {
            *part += spread[place] / expected * off;
        }
        for (place, row) in self.unsure.iter_mut().enumerate() {
            for (other, cell) in row.iter_mut().enumerate() {
                *cell -= spread[place] * spread[other] / expected;
            }
            row[place] = (row[place] + DRIFT[place] * DRIFT[place]).min(UNSURE[place] * UNSURE[place]);
        }
        self.usual += USUAL * (off.abs().min(UNUSUAL) - self.usual);
    }

    /// How what is unsure spreads over the parts of such a prompt, and the variance of its ratio.
    fn expected(&self, weights: &[f64; 3]) -> ([f64; 3], f64) {
        let spread = self.unsure.map(|row| dot(&row, weights));
        let scatter = self.usual.max(SCATTER / 5.0);
        (spread, dot(&spread, weights) + scatter * scatter)
    }
}

/// The covariance before anything is known.
fn unsure() -> [[f64; 3]; 3] {
    let mut unsure = [[0.0; 3]; 3];
    for (place, deviation) in UNSURE.into_iter().enumerate() {
        unsure[place][place] = deviation * deviation;
    }
    unsure
}

/// How much each part weighs in the ratio of this prompt.
fn weights(prompt: Prompt) -> [f64; 3] {
    [1.0, UNIT / prompt.weight, UNIT * prompt.tools / prompt.weight]
}

fn dot(one: &[f64; 3], other: &[f64; 3]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests;
