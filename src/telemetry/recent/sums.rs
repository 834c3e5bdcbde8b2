//! What is added up over exchanges, of agents and of conversations alike.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{telemetry::names::Outcome, wire::Usage};

/// Exchanges by how they ended. As JSON: `total`, and each outcome by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcomes([u64; Outcome::COUNT]);

/// Tokens as providers counted them; those of exchanges without a count are missing here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Of prompts, cached ones included.
    pub input: u64,
    /// Of answers, reasoning included.
    pub output: u64,
    /// Of prompts, read from the provider's cache.
    pub cache_read: u64,
    /// Of prompts, written to it.
    pub cache_write: u64,
    /// Of answers, reasoning.
    pub reasoning: u64,
}

impl Outcomes {
    pub(super) fn add(&mut self, outcome: Outcome) {
        self.0[outcome.index()] += 1;
    }

    /// Those that ended so.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome.index()]
    }

    /// All.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Serialize for Outcomes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + Outcome::COUNT))?;
        map.serialize_entry("total", &self.total())?;
        for outcome in Outcome::ALL {
            map.serialize_entry(outcome.as_str(), &self.of(outcome))?;
        }
        map.end()
    }
}

impl Tokens {
    pub(super) fn add(&mut self, usage: &Usage) {
        let Usage { input, output, cache_read, cache_write, reasoning } = *usage;
        let more = |sum: &mut u64, tokens: Option<u64>| *sum = sum.saturating_add(tokens.unwrap_or_default());
        more(&mut self.input, input);
        more(&mut self.output, output);
        more(&mut self.cache_read, cache_read);
        more(&mut self.cache_write, cache_write);
        more(&mut self.reasoning, reasoning);
    }
}
