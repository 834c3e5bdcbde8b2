//! What is known about models, and how long a prompt is: windows and prices from the bundled table and the config, tokens before the provider has
//! counted them. No I/O, no clock.

use std::sync::Arc;

use crate::wire::Usage;

/// Facts of one model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// Most tokens of a prompt.
    pub window: Option<u64>,
    /// Most tokens of an answer.
    pub output_max: Option<u64>,
    /// Prices in USD per million tokens.
    pub prices: Prices,
}

/// Prices in USD per million tokens; `None` where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prices {
    /// Input that was neither read from the cache nor written to it.
    pub input: Option<f64>,
    /// Output, reasoning included.
    pub output: Option<f64>,
    /// Input read from the cache; at the price of input where unknown.
    pub cache_read: Option<f64>,
    /// Input written to the cache; at the price of input where unknown.
    pub cache_write: Option<f64>,
}

/// A prompt's length in tokens before the provider has counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens.
    pub tokens: u64,
}

/// The models that are known, and what their replies have taught.
#[derive(Debug, Default)]
pub struct Models {}

impl Models {
    /// The facts of a model by the name that is on the wire.
    pub fn find(&self, model: &str) -> Option<Arc<Model>> {
        let _ = model;
        None
    }

    /// What an exchange has cost in USD; `None` where a price or a count that it takes is unknown.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<f64> {
        let _ = (model, usage);
        None
    }

    /// The length of a prompt of so many characters, as far as it can be told from the model's earlier replies.
    pub fn estimate(&self, model: &str, characters: u64) -> Option<Estimate> {
        let _ = (model, characters);
        None
    }

    /// A reply told how many tokens a prompt of so many characters was.
    pub fn learn(&self, model: &str, characters: u64, tokens: u64) {
        let _ = (model, characters, tokens);
    }
}
