//! What is known about models, and how long a prompt is: windows and prices from the bundled table and the config, tokens before the provider has
//! counted them. No I/O, no clock.

use std::fmt;

use crate::{
    config::{ByModel, Config},
    wire::{Beginning, Call, Usage},
};

#[cfg(test)]
mod corpus;
mod correct;
mod count;
mod estimate;
mod fit;
mod name;
mod plan;
mod table;
mod windows;

use correct::Corrections;
use count::Counter;
use estimate::Learners;
pub use fit::{Asked, Counted, Fit, Ours, TooLarge, Trimmed};
pub use plan::{Budget, Plan, Verdict, Weights, plan};
pub use table::DATE;
use windows::Learnt;
pub use windows::{Origin, Window};

pub use crate::config::Prices;

/// Facts of one model.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Model {
    /// Most tokens of a prompt.
    pub window: Option<u64>,
    /// Most tokens of an answer.
    pub output_max: Option<u64>,
    /// Prices in USD per million tokens.
    pub prices: Prices,
}

/// A prompt's length in tokens before the provider has counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens.
    pub tokens: u64,
}

/// The models that are known, and what their replies have taught.
#[derive(Debug, Default)]
pub struct Models {
    prices: ByModel<Prices>,
    windows: ByModel<u64>,
    learners: Learners,
    counter: Counter,
    corrections: Corrections,
    learnt: Learnt,
}

impl Models {
    /// Those of the bundled table, with what the config says of them.
    pub fn new(config: &Config) -> Self {
        Self { prices: config.telemetry.prices.clone(), windows: config.context.windows.clone(), ..Self::default() }
    }

    /// The facts of a model by the name that is on the wire, as this provider (`gen_ai.provider.name`) serves it: what the config says of it, and the
    /// bundled table for the rest. `None` where neither knows it.
    pub fn find(&self, provider: Option<&str>, name: &str) -> Option<Model> {
        let known = name::find(provider, name);
        let (window, prices) = (self.windows.of(name).copied(), self.prices.of(name).copied());
        if window.is_none() && prices.is_none() {
            return known;
        }
        let known = known.unwrap_or_default();
        Some(Model { window: window.or(known.window), prices: prices.unwrap_or(known.prices), ..known })
    }

    /// What an exchange has cost in USD; `None` where a price or a count that it takes is unknown. The model that answered is priced where it is known
    /// (the name that was asked for may be a deployment's, or stand for many), else the one asked for; a price of the config for either comes first.
    pub fn cost(&self, provider: Option<&str>, asked: Option<&str>, answered: Option<&str>, usage: &Usage) -> Option<f64> {
        let names = || [answered, asked].into_iter().flatten();
        let configured = asked.and_then(|name| self.prices.of(name)).or_else(|| answered.and_then(|name| self.prices.of(name)));
        let prices = configured.copied().or_else(|| Some(names().find_map(|name| name::find(provider, name))?.prices))?;
        cost(&prices, usage)
    }

    /// The length of a prompt, as far as it can be told from its characters, from the model's earlier replies, and from what of it was counted before.
    /// `None` where the prompt is not all there: the provider has the rest.
    pub fn estimate(&self, call: &Call, beginning: Option<Beginning>) -> Option<Estimate> {
        let (model, prompt) = prompt(call)?;
        Some(Estimate { tokens: self.learners.estimate(model, prompt, beginning) })
    }

    /// A reply told how many tokens the prompt was.
    pub fn learn(&self, call: &Call, tokens: u64) {
        if let Some((model, prompt)) = prompt(call) {
            self.learners.learn(model, prompt, tokens);
        }
    }
}

/// What of a prompt can be counted.
#[derive(Debug, Clone, Copy)]
struct Prompt {
    /// As [`Call::prompt_weight`] says it; more than none.
    weight: f64,
    /// Tools declared.
    tools: f64,
}

fn prompt(call: &Call) -> Option<(&str, Prompt)> {
    let weight = call.prompt_weight.filter(|&weight| weight > 0 && call.continues.is_none())?;
    let prompt = Prompt { weight: number(weight), tools: number(call.tools_declared.unwrap_or(0)) };
    Some((call.model.as_deref()?, prompt))
}

/// Input that was read from the cache or written to it is part of the input, and priced apart. Where there is no price for output (embeddings), none is
/// missed.
fn cost(prices: &Prices, usage: &Usage) -> Option<f64> {
    let input = usage.input?;
    let (read, written) = (usage.cache_read.unwrap_or(0), usage.cache_write.unwrap_or(0));
    let plain = input.saturating_sub(read).saturating_sub(written);
    let parts = [
        (plain, prices.input),
        (read, prices.cache_read.or(prices.input)),
        (written, prices.cache_write.or(prices.input)),
        (usage.output.or_else(|| prices.output.is_none_or(|price| price <= 0.0).then_some(0))?, prices.output),
    ];
    parts.into_iter().try_fold(0.0, |sum, (tokens, price)| if tokens == 0 { Some(sum) } else { Some(sum + number(tokens) * price? / 1e6) })
}

/// A number with commas between its thousands.
#[derive(Debug, Clone, Copy)]
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        if number < 1000 {
            return write!(f, "{number}");
        }
        write!(f, "{},{:03}", Grouped(number / 1000), number % 1000)
    }
}

/// As a float; beyond four thousand million, that.
fn number(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// The nearest whole number; a `Duration` has the one conversion of the standard library that cannot be wrong.
fn whole(tokens: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(tokens.round()).map_or(0, |whole| whole.as_secs())
}

#[cfg(test)]
mod tests;
