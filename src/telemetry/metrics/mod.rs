//! Prometheus metrics of finished records and of what goes on now. Every label is bounded; recording takes no lock that is ever held for long.

use std::{fmt, sync::Arc};

use prometheus::{
    Registry, TEXT_FORMAT, TextEncoder,
    proto::{self, MetricType},
};

mod bounds;
mod exact;
mod exemplars;
mod families;
mod family;
mod gauges;
mod handles;
mod observe;
mod openmetrics;
mod process;
mod tools;
mod values;

use bounds::{Names, Series};
pub(crate) use exemplars::Trace;
use families::{Families, register};
pub(crate) use gauges::Probe;
pub use gauges::{ConnectionGauge, InFlight};
use handles::Held;
use process::Process;
pub(crate) use values::Counter;

use super::{
    names::{Reason, Side, metrics},
    record::Record,
};
use crate::{agent::ToolRun, config};

/// The forms in which metrics are exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' own text format.
    Text,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Exposition {
    /// Its `content-type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => TEXT_FORMAT,
            Self::OpenMetrics => openmetrics::CONTENT_TYPE,
        }
    }
}

/// Models with a label of their own; upstreams, their providers and their hosts too, which come from the config.
const NAMES_MAX: usize = 100;
/// Tools with a label of their own.
const TOOLS_MAX: usize = 200;
/// Types of exceptions with a label of their own.
const TOOL_ERRORS_MAX: usize = 100;

/// All metrics.
pub(crate) struct Metrics {
    registry: Registry,
    families: Families,
    held: Held,
    panics: Arc<Counter>,
    accept_errors: Arc<Counter>,
}

impl Metrics {
    /// All metrics at rest.
    pub(crate) fn new(config: &config::Telemetry) -> Self {
        let registry = Registry::new();
        let [agent, model, upstream, tool, tool_error, series]: [Arc<Counter>; 6] = Default::default();
        let bound = Arc::new(Series::new(config.max_series, Arc::clone(&series)));
        let names = |max, overflow: &Arc<Counter>| Names::new(max, Arc::clone(overflow));
        let upstreams = || names(NAMES_MAX, &upstream);
        let held = Held::new(
            [names(config.max_agents, &agent), names(NAMES_MAX, &model), upstreams(), upstreams(), upstreams()],
            [names(TOOLS_MAX, &tool), names(TOOL_ERRORS_MAX, &tool_error)],
        );
        let metrics = Self { families: Families::new(&registry, &bound), registry, held, panics: Arc::default(), accept_errors: Arc::default() };
        let overflows = [("agent", agent), ("model", model), ("upstream", upstream), ("tool", tool), ("error_type", tool_error), ("series", series)];
        let read = move || overflows.iter().map(|(label, counter)| (*label, counter.get())).collect();
        metrics.probe(Probe::new(metrics::LABEL_OVERFLOW, MetricType::COUNTER, read));
        let (panics, accept_errors) = (Arc::clone(&metrics.panics), Arc::clone(&metrics.accept_errors));
        metrics.probe(Probe::new(metrics::PANICS, MetricType::COUNTER, move || vec![("", panics.get())]));
        metrics.probe(Probe::new(metrics::ACCEPT_ERRORS, MetricType::COUNTER, move || vec![("", accept_errors.get())]));
        metrics.probe(Probe::new(metrics::BUILD_INFO, MetricType::GAUGE, || vec![(env!("CARGO_PKG_VERSION"), 1)]));
        register(&metrics.registry, Box::new(Process::new()));
        metrics
    }

    /// Adds a number that is kept elsewhere. A second one of the same name is ignored.
    pub(crate) fn probe(&self, probe: Probe) {
        register(&self.registry, Box::new(probe));
    }

    /// Adds one finished exchange. `traced` says that the `traceparent` sent upstream was ours; `trace` where the exchange can be looked up.
    pub(crate) fn record(&self, record: &Record, traced: bool, trace: Option<Trace>) {
        exemplars::of_trace(trace, || {
            let handles = self.held.of(record);
            observe::observe(&self.families, &handles, record, traced);
            tools::observe((&self.families, &self.held), &handles.labels.agent, record);
        });
    }

    /// Adds a tool's run that belongs to no record.
    pub(crate) fn run(&self, run: &ToolRun) {
        tools::observe_run(&self.families, &self.held, run);
    }

    /// Something that belongs to no record any more was not looked at.
    pub(crate) fn skipped(&self, reason: &'static str) {
        self.families.skipped.with(&[reason]).inc();
    }

    pub(crate) fn schema_mismatch(&self, agent: Option<&str>, tool: &str) {
        self.families.schema_mismatches.with(&[&self.held.agents.label(agent), &self.held.tools.label(Some(tool))]).inc();
    }

    pub(crate) fn in_flight(&self, upstream: &str) -> InFlight {
        InFlight::new(self.families.in_flight.with(&[&self.held.upstreams.label(Some(upstream))]))
    }

    pub(crate) fn connection(&self, side: Side) -> ConnectionGauge {
        ConnectionGauge::new(&self.families.connections, side)
    }

    pub(crate) fn refused(&self, agent: Option<&str>, reason: Reason) {
        self.families.refusals.with(&[&self.held.agents.label(agent), reason.as_str()]).inc();
    }

    pub(crate) fn accept_error(&self) {
        self.accept_errors.inc();
    }

    /// Where faults of ours are counted, for a thread.
    pub(crate) fn panics(&self) -> Arc<Counter> {
        Arc::clone(&self.panics)
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    /// The exposition, sorted.
    pub(crate) fn render(&self, exposition: Exposition) -> String {
        let families = self.registry.gather();
        if exposition == Exposition::OpenMetrics {
            return openmetrics::page(&families, &self.families.histograms);
        }
        let mut text = String::new();
        for family in families {
            render_family(family, &mut text);
        }
        text
    }
}

/// A family that the encoder refuses is left out, and what it had written of it too: better a gap than a page that cannot be parsed.
fn render_family(family: proto::MetricFamily, text: &mut String) {
    let before = text.len();
    if TextEncoder::new().encode_utf8(&[family], text).is_err() {
        text.truncate(before);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("families", &self.families).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
