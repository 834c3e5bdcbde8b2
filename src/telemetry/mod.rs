//! Turns finished [`Record`]s into metrics, spans and log lines. Nobody else knows a metric's name; nothing here can hold up traffic.
//!
//! ```text
//!                    ┌ metrics     a few atomics, here and now
//! report(Record) ────┼ otlp        bounded queue ─ thread ─ spans ─ OTLP receiver
//!                    ├ logs        bounded queue ─ thread ─ lines ─ stderr
//!                    └ recent      a short lock: the last rows, and sums of agents and conversations
//! check(CalledTools) ─ schemas     bounded queue ─ thread ─ metrics
//! ```

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use prometheus::proto::MetricType;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;

mod contents;
#[cfg(test)]
pub(crate) mod fixture;
mod logs;
mod metrics;
pub mod names;
mod otlp;
mod queue;
pub mod recent;
mod record;
mod schemas;
mod spans;
mod trace;

use contents::Capture;
pub use contents::{ANSWER_MAX, Captured};
use logs::{Log, LogLayer};
pub use logs::{Short, Word};
pub use metrics::{ConnectionGauge, Exposition, InFlight};
use metrics::{Metrics, Probe, Trace};
use names::{Outcome, Reason, Side};
use otlp::Otlp;
pub use otlp::StartError;
use recent::Recent;
pub use record::{Attempt, ConnectPhases, Phase, RateLimit, Record, RetryCause, Trim};
use schemas::Schemas;
pub use schemas::{CalledTools, KeptTools};
pub use trace::{ExchangeId, TraceContext, baggage_agent, baggage_conversation};

use crate::{agent::ToolRun, config};

#[cfg(fuzzing)]
#[doc(hidden)]
pub use schemas::fuzzing;

/// Where finished records go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    metrics: Arc<Metrics>,
    schemas: Schemas,
    log: Log,
    /// `None` where no receiver is configured.
    otlp: Option<Otlp>,
    capture: Capture,
    propagate: bool,
    recent: Arc<Recent>,
    /// Exchanges by outcome, in the order of [`Outcome::index`].
    outcomes: [AtomicU64; Outcome::COUNT],
}

impl Telemetry {
    /// Starts what `config` asks for: metrics always, a thread that writes the log to `log_to` (stderr, as a rule), one that checks calls of
    /// tools, and one that exports spans where a receiver is configured. The receiver need not be there yet.
    pub fn start(config: &config::Telemetry, log_to: Box<dyn Write + Send>) -> Result<Self, StartError> {
        let log = Log::start(config.log_level, config.log_format, log_to)?;
        let metrics = Arc::new(Metrics::new(config));
        let otlp = match &config.otlp {
            Some(otlp) => Some(Otlp::start(config, otlp, log.clone(), metrics.panics())?),
            None => None,
        };
        let lost = log.clone();
        metrics.probe(Probe::new(names::metrics::LOG_DROPPED, MetricType::COUNTER, move || vec![("", lost.dropped())]));
        if let Some(otlp) = &otlp {
            let waiting = otlp.waiting();
            metrics.probe(Probe::new(names::metrics::SPANS, MetricType::COUNTER, otlp.counts()));
            metrics.probe(Probe::new(names::metrics::SPAN_QUEUE, MetricType::GAUGE, move || vec![("", waiting())]));
        }
        let capture = Capture::new(config.capture_content && otlp.is_some());
        let (propagate, recent, outcomes) = (config.propagate, Arc::<Recent>::default(), Default::default());
        let schemas = Schemas::start(Arc::clone(&metrics), Arc::clone(&recent))?;
        Ok(Self { inner: Arc::new(Inner { metrics, schemas, log, otlp, capture, propagate, recent, outcomes }) })
    }

    /// Keeps what an exchange asks for its span, where `telemetry.capture_content` says so and there is room.
    pub fn capture(&self, record: &mut Record, body: &Bytes) {
        let capture = &self.inner.capture;
        if capture.is_on() {
            record.contents = capture.keep(body).map(Box::new);
            if record.contents.is_none() {
                record.skipped.get_or_insert("contents");
            }
        }
    }

    /// Reports one finished exchange. To be called exactly once for each, however it ended; from a `Drop` too: it never waits and never panics.
    pub fn report(&self, record: impl Into<Box<Record>>) {
        let inner = &*self.inner;
        let mut record = record.into();
        let reported = catch_unwind(AssertUnwindSafe(|| {
            record.bound();
            inner.outcomes[record.outcome.index()].fetch_add(1, Ordering::Relaxed);
            let contents = record.contents.take();
            let record: Arc<Record> = Arc::from(record);
            inner.metrics.record(&record, inner.propagate, inner.trace(&record, contents));
            inner.log.exchange(&record);
            inner.recent.add(&record);
        }));
        if reported.is_err() {
            inner.metrics.panicked();
        }
    }

    /// What happened lately.
    pub fn recent(&self) -> &Recent {
        &self.inner.recent
    }

    /// Reports a tool's run whose result no request has brought: those of requests are told by their records.
    pub fn report_run(&self, mut run: ToolRun) {
        record::bound_run(&mut run);
        self.inner.metrics.run(&run);
        self.inner.recent.add_run(&run);
        if let Some(otlp) = &self.inner.otlp {
            otlp.put_run(run);
        }
    }

    /// Has the arguments of these calls checked, off the hot path: those that do not fit the declared schema are counted.
    pub fn check(&self, called: CalledTools) {
        self.inner.schemas.check(called);
    }

    /// Exchanges reported so far that ended so.
    pub fn ended(&self, outcome: Outcome) -> u64 {
        self.inner.outcomes[outcome.index()].load(Ordering::Relaxed)
    }

    /// Counts an exchange as in flight at this upstream until the guard is dropped.
    pub fn in_flight(&self, upstream: &str) -> InFlight {
        self.inner.metrics.in_flight(upstream)
    }

    /// Counts an open connection until the guard is dropped; it begins as active.
    pub fn connection(&self, side: Side) -> ConnectionGauge {
        self.inner.metrics.connection(side)
    }

    /// Counts an answer of our own that belongs to no exchange: `framing`, `slow_head`, `host` … (Those of exchanges are counted from their records.)
    pub fn refused(&self, agent: Option<&str>, reason: Reason) {
        self.inner.metrics.refused(agent, reason);
    }

    /// Counts a connection that could not be accepted.
    pub fn accept_error(&self) {
        self.inner.metrics.accept_error();
    }

    /// Counts a fault of ours that was contained.
    pub fn panicked(&self) {
        self.inner.metrics.panicked();
    }

    /// Shows `held()` as `pillion_held_bytes`, read at each scrape: bytes of request bodies held for a replay. The first call counts.
    pub fn watch_held_bytes(&self, held: impl Fn() -> u64 + Send + Sync + 'static) {
        self.inner.metrics.probe(Probe::new(names::metrics::HELD_BYTES, MetricType::GAUGE, move || vec![("", held())]));
    }

    /// Shows `tasks()` as `pillion_tasks`, read at each scrape: tasks that run. The first call counts.
    pub fn watch_tasks(&self, tasks: impl Fn() -> u64 + Send + Sync + 'static) {
        self.inner.metrics.probe(Probe::new(names::metrics::TASKS, MetricType::GAUGE, move || vec![("", tasks())]));
    }

    /// Shows `conversations()` as `pillion_conversations_active`, read at each scrape: conversations that are remembered. The first call counts.
    pub fn watch_conversations(&self, conversations: impl Fn() -> u64 + Send + Sync + 'static) {
        self.inner.metrics.probe(Probe::new(names::metrics::CONVERSATIONS_ACTIVE, MetricType::GAUGE, move || vec![("", conversations())]));
    }

    /// All metrics.
    pub fn render(&self, exposition: Exposition) -> String {
        self.inner.metrics.render(exposition)
    }

    /// A `tracing` subscriber that puts the program's own events into the log, in its format and from its level on; those of other crates from warn on.
    /// Its own spans are exported where a receiver is configured.
    pub fn subscriber(&self) -> impl Subscriber + Send + Sync + 'static {
        LogLayer::subscriber(self.inner.log.clone()).with(self.inner.otlp.as_ref().map(Otlp::layer))
    }

    /// Sends and writes what waits, within `deadline` (and at most two seconds for the spans). What is left is counted as dropped; what is reported
    /// later, too. Blocks: not to be called on a worker of the traffic's runtime.
    pub fn shutdown(&self, deadline: Duration) {
        let until = tokio::time::Instant::now() + deadline;
        if let Some(otlp) = &self.inner.otlp {
            otlp.shutdown(deadline);
        }
        self.inner.log.shutdown(until.saturating_duration_since(tokio::time::Instant::now()).max(LOG_FLUSH_MIN));
    }
}

impl Inner {
    /// Gives the record's spans to the export, and says where the exchange can be looked up then. Without an export of our own that is the agent's
    /// trace, if it is kept.
    fn trace(&self, record: &Arc<Record>, contents: Option<Box<Captured>>) -> Option<Trace> {
        let span_id = match &self.otlp {
            Some(otlp) => otlp.put(record, contents).then_some(Some(record.trace.span_id))?,
            None => (record.trace.parent_id.is_some() && record.trace.is_sampled()).then_some(None)?,
        };
        Some(Trace { id: record.trace.trace_id, span_id, at: record.ended_at() })
    }
}

/// The log is flushed last, and gets this much even when the spans have used up the time: it holds what to read about that.
const LOG_FLUSH_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
