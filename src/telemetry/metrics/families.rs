//! Every metric of the table that has series of its own, made and registered in one place.

use std::sync::Arc;

use prometheus::{Registry, core::Collector};

use super::{
    bounds::Series,
    family::Family,
    values::{Amount, Counter, Gauge, Histogram, Level, Value},
};
use crate::telemetry::names::metrics::{self, Metric};

/// The metrics, by what they are called in the code.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) exchanges: Family<Counter>,
    pub(super) in_flight: Family<Gauge>,
    pub(super) attempts: Family<Counter>,
    pub(super) retries: Family<Counter>,
    pub(super) retry_wait: Family<Histogram>,
    pub(super) budget_exhausted: Family<Counter>,
    pub(super) sdk_retries: Family<Counter>,
    pub(super) timeouts: Family<Counter>,
    pub(super) cancelled_after: Family<Histogram>,
    pub(super) refusals: Family<Counter>,
    pub(super) prompt_characters: Family<Histogram>,
    pub(super) prompt_tokens: Family<Histogram>,
    pub(super) window_ratio: Family<Histogram>,
    pub(super) estimate_error: Family<Histogram>,
    pub(super) trims: Family<Counter>,
    pub(super) trimmed_tokens: Family<Counter>,
    pub(super) trimmed_messages: Family<Counter>,
    pub(super) cost: Family<Amount>,
    pub(super) tokens: Family<Counter>,
    pub(super) usage_missing: Family<Counter>,
    pub(super) tool_calls: Family<Counter>,
    pub(super) tool_duration: Family<Histogram>,
    pub(super) tool_errors: Family<Counter>,
    pub(super) schema_mismatches: Family<Counter>,
    pub(super) conversation_turns: Family<Histogram>,
    pub(super) limit_remaining: Family<Level>,
    pub(super) limit_reset: Family<Level>,
    pub(super) connect: Family<Histogram>,
    pub(super) connections: Family<Gauge>,
    pub(super) overhead: Family<Histogram>,
    pub(super) modified: Family<Counter>,
    pub(super) skipped: Family<Counter>,
    pub(super) operation_duration: Family<Histogram>,
    pub(super) first_chunk: Family<Histogram>,
    pub(super) per_chunk: Family<Histogram>,
    pub(super) token_usage: Family<Histogram>,
    /// Every histogram once more: their exemplars are asked for apart.
    pub(super) histograms: Vec<Family<Histogram>>,
}

impl Families {
    /// All metrics at rest, scraped through `registry`, bounded by `series`.
    pub(super) fn new(registry: &Registry, series: &Arc<Series>) -> Self {
        let counter = |metric| family::<Counter>(registry, series, metric);
        let gauge = |metric| family::<Gauge>(registry, series, metric);
        let mut histograms = Vec::new();
        let mut histogram = |metric| {
            let family = family::<Histogram>(registry, series, metric);
            histograms.push(family.clone());
            family
        };
        Self {
            exchanges: counter(metrics::EXCHANGES),
            in_flight: gauge(metrics::IN_FLIGHT),
            attempts: counter(metrics::ATTEMPTS),
            retries: counter(metrics::RETRIES),
            retry_wait: histogram(metrics::RETRY_WAIT),
            budget_exhausted: counter(metrics::BUDGET_EXHAUSTED),
            sdk_retries: counter(metrics::SDK_RETRIES),
            timeouts: counter(metrics::TIMEOUTS),
            cancelled_after: histogram(metrics::CANCELLED_AFTER),
            refusals: counter(metrics::REFUSALS),
            prompt_characters: histogram(metrics::PROMPT_CHARACTERS),
            prompt_tokens: histogram(metrics::PROMPT_TOKENS),
            window_ratio: histogram(metrics::WINDOW_RATIO),
            estimate_error: histogram(metrics::ESTIMATE_ERROR),
            trims: counter(metrics::TRIMS),
            trimmed_tokens: counter(metrics::TRIMMED_TOKENS),
            trimmed_messages: counter(metrics::TRIMMED_MESSAGES),
            cost: family(registry, series, metrics::COST),
            tokens: counter(metrics::TOKENS),
            usage_missing: counter(metrics::USAGE_MISSING),
            tool_calls: counter(metrics::TOOL_CALLS),
            tool_duration: histogram(metrics::TOOL_DURATION),
            tool_errors: counter(metrics::TOOL_ERRORS),
            schema_mismatches: counter(metrics::SCHEMA_MISMATCHES),
            conversation_turns: histogram(metrics::CONVERSATION_TURNS),
            limit_remaining: family(registry, series, metrics::RATE_LIMIT_REMAINING),
            limit_reset: family(registry, series, metrics::RATE_LIMIT_RESET),
            connect: histogram(metrics::CONNECT),
            connections: gauge(metrics::CONNECTIONS),
            overhead: histogram(metrics::OVERHEAD),
            modified: counter(metrics::MODIFIED),
            skipped: counter(metrics::SKIPPED),
            operation_duration: histogram(metrics::OPERATION_DURATION),
            first_chunk: histogram(metrics::FIRST_CHUNK),
            per_chunk: histogram(metrics::PER_CHUNK),
            token_usage: histogram(metrics::TOKEN_USAGE),
            histograms,
        }
    }
}

fn family<V: Value>(registry: &Registry, series: &Arc<Series>, metric: Metric) -> Family<V> {
    let family = Family::new(metric, series);
    register(registry, Box::new(family.clone()));
    family
}

/// Adds a collector whose metric is registered nowhere else; a second one of the same name is ignored.
pub(super) fn register(registry: &Registry, collector: Box<dyn Collector>) {
    let _ = registry.register(collector);
}
