//! What one look at the admin port found: the part of its JSON and of its metrics that is shown. What a field does not say is absent or 0, so that an
//! older Pillion can be looked at too.

use std::collections::BTreeMap;

use serde::Deserialize;
use tokio::time::Instant;

use crate::telemetry::names::{Outcome, metrics::IN_FLIGHT};

/// `/api/agents`.
#[derive(Debug, Deserialize)]
pub(super) struct Agents {
    agents: Vec<Agent>,
}

/// `/api/exchanges`.
#[derive(Debug, Deserialize)]
pub(super) struct Exchanges {
    exchanges: Vec<Exchange>,
}

/// `/api/conversations`.
#[derive(Debug, Deserialize)]
pub(super) struct Conversations {
    conversations: Vec<Conversation>,
    #[serde(default)]
    remembered: u64,
}

/// One agent.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) known_by: Option<String>,
    sources: BTreeMap<String, u64>,
    exchanges: BTreeMap<String, u64>,
    pub(super) tokens: Tokens,
    pub(super) cost_usd: f64,
    pub(super) cost_missing: u64,
    pub(super) retries: u64,
    pub(super) latency: Latency,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) tools: BTreeMap<String, Tool>,
}

/// Tokens.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) output: u64,
}

/// How long good answers took.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Latency {
    pub(super) p50_seconds: Option<f64>,
    pub(super) p95_seconds: Option<f64>,
}

/// A tool's runs.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Tool {
    pub(super) runs: u64,
    pub(super) errors: u64,
}

/// One exchange.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Exchange {
    pub(super) started_at: String,
    pub(super) duration_seconds: f64,
    pub(super) agent: String,
    pub(super) revised_agent: Option<String>,
    pub(super) upstream: Option<String>,
    pub(super) model: Option<String>,
    pub(super) outcome: String,
    pub(super) error_type: Option<String>,
    pub(super) provider_error: Option<String>,
    pub(super) attempts: u64,
    pub(super) phase: Option<String>,
    pub(super) agent_timeout_seconds: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conversation {
    running_tools: Vec<Running>,
}

/// A tool that runs.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Running {
    pub(super) tool: String,
    pub(super) agent: String,
    #[serde(rename = "running_seconds")]
    pub(super) seconds: f64,
}

/// All of one look.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// When.
    pub(super) at: Instant,
    /// The one that fails most first.
    pub(super) agents: Vec<Agent>,
    /// Those that did not end well, the latest first.
    pub(super) failures: Vec<Exchange>,
    /// The one that runs longest first.
    pub(super) running: Vec<Running>,
    /// Conversations that are remembered.
    pub(super) conversations: u64,
    /// Exchanges that have not ended.
    pub(super) in_flight: f64,
}

impl Seen {
    /// Puts it in order.
    pub(super) fn new(agents: Agents, exchanges: Exchanges, conversations: Conversations, in_flight: f64) -> Self {
        let mut agents = agents.agents;
        agents.sort_by(|a, b| (b.failed() + b.hung_up()).cmp(&(a.failed() + a.hung_up())).then(b.total().cmp(&a.total())).then(a.name.cmp(&b.name)));
        let failures = exchanges.exchanges.into_iter().filter(|exchange| exchange.outcome != Outcome::Ok.as_str()).collect();
        let mut running: Vec<_> = conversations.conversations.into_iter().flat_map(|conversation| conversation.running_tools).collect();
        running.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Self { at: Instant::now(), agents, failures, running, conversations: conversations.remembered, in_flight }
    }

    /// A sum over all agents.
    pub(super) fn sum(&self, of: impl Fn(&Agent) -> u64) -> u64 {
        self.agents.iter().map(of).sum()
    }
}

impl Agent {
    /// Its exchanges that ended so.
    pub(super) fn ended(&self, outcome: Outcome) -> u64 {
        self.exchanges.get(outcome.as_str()).copied().unwrap_or_default()
    }

    /// All of its exchanges.
    pub(super) fn total(&self) -> u64 {
        Outcome::ALL.into_iter().map(|outcome| self.ended(outcome)).sum()
    }

    /// Those that failed.
    pub(super) fn failed(&self) -> u64 {
        Outcome::ALL.into_iter().filter(|outcome| outcome.failed()).map(|outcome| self.ended(outcome)).sum()
    }

    /// Those that it did not wait for.
    pub(super) fn hung_up(&self) -> u64 {
        self.ended(Outcome::Cancelled)
    }

    /// How its name is known: `explicit`, `unknown`, or what it was inferred from.
    pub(super) fn source(&self) -> &str {
        let most = self.sources.iter().max_by_key(|(_, count)| **count).map(|(source, _)| source);
        let source = self.known_by.as_ref().or(most).map_or("", String::as_str);
        source.strip_prefix("inferred(").and_then(|rule| rule.strip_suffix(')')).unwrap_or(source)
    }
}

/// Exchanges that have not ended, which the metrics alone tell.
pub(super) fn in_flight(page: &str) -> f64 {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(IN_FLIGHT.name)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    // A sum of nothing would be -0.
    values.fold(0.0, |sum, value| sum + value)
}
