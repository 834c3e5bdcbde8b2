//! The sums of one agent: how its exchanges ended, what they cost, what it waited for, and how its tools fared.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{
    format::{iso, maybe_iso, maybe_seconds, seconds, short, shortened, shown, usd},
    row::{Row, phase},
    sums::{Outcomes, Tokens},
};
use crate::{
    agent::ToolRun,
    telemetry::{
        names::{OTHER, Outcome, agent_source, tool_error},
        record::Record,
        trace::ExchangeId,
    },
};

/// Times by which percentiles are told: the latest so many.
const TIMES_MAX: usize = 256;
/// Models, errors and tools that are told of one agent, each.
const NAMES_MAX: usize = 20;

/// What one agent did so far.
#[derive(Debug, Clone, Serialize)]
pub struct AgentSums {
    /// Its name; `unknown` for all that have none, `other` for those beyond the bound.
    pub name: Arc<str>,
    /// Exchanges by how the name was known.
    pub sources: BTreeMap<&'static str, u64>,
    /// When its first exchange began.
    #[serde(serialize_with = "maybe_iso", skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<SystemTime>,
    /// When its latest exchange ended.
    #[serde(serialize_with = "maybe_iso", skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<SystemTime>,
    /// Models it asked for, and how often.
    pub models: BTreeMap<Box<str>, u64>,
    /// How its exchanges ended.
    pub exchanges: Outcomes,
    /// Tokens.
    pub tokens: Tokens,
    /// Good answers whose provider reported no tokens.
    pub usage_missing: u64,
    /// What it has cost, as far as prices are known.
    #[serde(serialize_with = "usd")]
    pub cost_usd: f64,
    /// Good answers with tokens and no known price.
    pub cost_missing: u64,
    /// Prompts that were trimmed.
    pub trims: u64,
    /// Tokens that were taken out of them.
    pub trimmed_tokens: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Requests that its SDK says are its own retries.
    pub sdk_retries: u64,
    /// What its SDK said last it would wait.
    #[serde(rename = "agent_timeout_seconds", serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub agent_timeout: Option<Duration>,
    /// How long good answers took.
    pub latency: Latency,
    /// Clocks that fired.
    pub timeouts: BTreeMap<&'static str, u64>,
    /// Its hang-ups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hang_ups: Option<HangUps>,
    /// Its failures by what went wrong.
    pub errors: BTreeMap<Box<str>, u64>,
    /// Its latest failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Its tools.
    pub tools: BTreeMap<Box<str>, ToolSums>,
}

/// How long the latest 256 took. As JSON: percentiles.
#[derive(Debug, Clone, Default)]
pub struct Latency {
    times: VecDeque<Duration>,
    /// The longest of all.
    pub max: Duration,
}

/// Hang-ups: the agent's own limit, as a rule.
#[derive(Debug, Clone, Serialize)]
pub struct HangUps {
    /// All.
    pub count: u64,
    /// By where the exchange stood: `queue`, `waiting`, `streaming`.
    pub phases: BTreeMap<&'static str, u64>,
    /// How long it had waited.
    pub waited: Latency,
}

/// A failure.
#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    /// The exchange.
    #[serde(serialize_with = "shown")]
    pub exchange: ExchangeId,
    /// When it ended.
    #[serde(serialize_with = "iso")]
    pub at: SystemTime,
    /// How.
    pub outcome: &'static str,
    /// What went wrong: our reason, or the status.
    pub error_type: Box<str>,
    /// The provider's own word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_error: Option<Box<str>>,
    /// The upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Arc<str>>,
    /// The model asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Box<str>>,
}

/// A tool's runs that are over.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ToolSums {
    /// All.
    pub runs: u64,
    /// Those that failed.
    pub errors: u64,
    /// How the latest of those failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Box<str>>,
    /// Calls whose arguments the tool's own schema refuses.
    pub schema_mismatches: u64,
    /// How long all took together.
    #[serde(rename = "total_seconds", serialize_with = "seconds")]
    pub total: Duration,
    /// The longest.
    #[serde(rename = "max_seconds", serialize_with = "seconds")]
    pub max: Duration,
}

impl AgentSums {
    /// Of an agent of which no exchange has ended under its name.
    pub fn none(name: Arc<str>) -> Self {
        Self {
            name,
            sources: BTreeMap::new(),
            first_seen: None,
            last_seen: None,
            models: BTreeMap::new(),
            exchanges: Outcomes::default(),
            tokens: Tokens::default(),
            usage_missing: 0,
            cost_usd: 0.0,
            cost_missing: 0,
            trims: 0,
            trimmed_tokens: 0,
            retries: 0,
            sdk_retries: 0,
            agent_timeout: None,
            latency: Latency::default(),
            timeouts: BTreeMap::new(),
            hang_ups: None,
            errors: BTreeMap::new(),
            last_error: None,
            tools: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, record: &Record) {
        self.first_seen = self.first_seen.map_or(Some(record.started_at), |first| Some(first.min(record.started_at)));
        self.last_seen = self.last_seen.max(Some(record.ended_at()));
        *self.sources.entry(agent_source(record.agent_source)).or_default() += 1;
        self.exchanges.add(record.outcome);
        if let Some(model) = record.call.model.as_deref() {
            *bounded(&mut self.models, model) += 1;
        }
        self.tokens.add(&record.reply.usage);
        self.cost_usd += record.cost.unwrap_or_default();
        self.trims += u64::from(record.trim.is_some());
        self.trimmed_tokens += record.trim.map_or(0, |trim| trim.tokens);
        let retries = record.attempts.len().saturating_sub(1);
        self.retries += u64::try_from(retries).unwrap_or(u64::MAX);
        self.sdk_retries += u64::from(record.sdk_retry_count.is_some_and(|count| count > 0));
        self.agent_timeout = record.agent_timeout.or(self.agent_timeout);
        for clock in record.clocks() {
            *self.timeouts.entry(clock.as_str()).or_default() += 1;
        }
        match record.outcome {
            Outcome::Ok => self.add_answer(record),
            Outcome::Cancelled => self.hang_ups.get_or_insert_with(HangUps::new).add(record),
            _ => self.add_failure(record),
        }
    }

    pub(super) fn tool(&mut self, name: &str) -> &mut ToolSums {
        bounded(&mut self.tools, name)
    }

    fn add_answer(&mut self, record: &Record) {
        self.latency.add(record.duration);
        let usage = &record.reply.usage;
        let has_usage = usage.input.is_some() || usage.output.is_some();
        self.usage_missing += u64::from(record.dialect.is_some() && !has_usage);
        self.cost_missing += u64::from(has_usage && record.cost.is_none());
    }

    fn add_failure(&mut self, record: &Record) {
        let row = Row::of(record);
        let error_type = row.error_type.unwrap_or_default();
        *bounded(&mut self.errors, &error_type) += 1;
        self.last_error = Some(LastError {
            exchange: row.id,
            at: record.ended_at(),
            outcome: row.outcome.as_str(),
            error_type,
            provider_error: row.provider_error,
            upstream: row.upstream,
            model: row.model,
        });
    }
}

impl Latency {
    fn add(&mut self, time: Duration) {
        if self.times.len() >= TIMES_MAX {
            self.times.pop_front();
        }
        self.times.push_back(time);
        self.max = self.max.max(time);
    }

    /// So many of a hundred took no longer.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.times.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
    }
}

impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = [
            ("p50_seconds", self.percentile(50)),
            ("p95_seconds", self.percentile(95)),
            ("max_seconds", (!self.times.is_empty()).then_some(self.max)),
        ];
        serializer.collect_map(told.into_iter().filter_map(|(name, time)| Some((name, time?.as_secs_f64()))))
    }
}

impl HangUps {
    fn new() -> Self {
        Self { count: 0, phases: BTreeMap::new(), waited: Latency::default() }
    }

    fn add(&mut self, record: &Record) {
        self.count += 1;
        *self.phases.entry(phase(record.phase)).or_default() += 1;
        self.waited.add(record.duration);
    }
}

impl ToolSums {
    pub(super) fn add(&mut self, run: &ToolRun) {
        self.runs += 1;
        self.total = self.total.saturating_add(run.duration);
        self.max = self.max.max(run.duration);
        if let Some(error) = &run.error {
            self.errors += 1;
            self.last_error = Some(short(tool_error(error)));
        }
    }
}

/// The entry of this name; beyond the bound that of `other`.
fn bounded<'a, V: Default>(map: &'a mut BTreeMap<Box<str>, V>, name: &str) -> &'a mut V {
    let name = shortened(name);
    // Known ones, which nearly all are, cost no allocation.
    if !map.contains_key(name) {
        let has_room = map.len() < NAMES_MAX;
        return map.entry(if has_room { name } else { OTHER }.into()).or_default();
    }
    map.get_mut(name).expect("it was just found")
}
