//! The thread that exports: takes batches, sends each, and settles what became of every span.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::{
    runtime::Runtime,
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Counts, Shared, client::Answer, number};
use crate::{
    config::LogLevel,
    telemetry::{
        logs::{Event, Log},
        metrics::Counter,
    },
};

/// Spans of one export.
const BATCH: usize = 512;
/// How long a batch is gathered.
const GATHER: Duration = Duration::from_secs(1);
/// Least time between two lines about a receiver that fails.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// What the thread needs.
pub(super) struct Worker<E> {
    pub(super) shared: Arc<Shared>,
    pub(super) exporter: E,
    pub(super) answer: Arc<Answer>,
    pub(super) stopping: watch::Receiver<Option<Instant>>,
    pub(super) log: Log,
    pub(super) panics: Arc<Counter>,
}

impl<E: SpanExporter> Worker<E> {
    /// Exports until the queue is closed and empty, or the deadline has come. A panic costs its batch, and the work goes on.
    pub(super) fn run(&self, runtime: &Runtime) {
        let mut complaints = Complaints::default();
        while catch_unwind(AssertUnwindSafe(|| self.export_all(runtime, &mut complaints))).is_err() {
            self.panics.inc();
        }
        self.shared.drop_rest();
    }

    fn export_all(&self, runtime: &Runtime, complaints: &mut Complaints) {
        while let Some(items) = self.shared.queue.take(BATCH, GATHER) {
            let batch = Batch { counts: &self.shared.counts, open: items.iter().map(|item| self.shared.count(item)).sum() };
            if self.is_too_late() {
                batch.dropped();
                return;
            }
            let built = items.into_iter().flat_map(|item| self.shared.build(item)).collect();
            if runtime.block_on(self.export(built)) {
                batch.exported(self.answer.take_rejected());
            } else {
                let failed = batch.open;
                drop(batch);
                complaints.add(&self.log, failed, self.answer.take_failure());
            }
        }
    }

    /// Whether the receiver took the spans. Ends early when the deadline of a shutdown comes.
    async fn export(&self, spans: Vec<SpanData>) -> bool {
        tokio::select! {
            result = self.exporter.export(spans) => result.is_ok(),
            () = self.stopped() => false,
        }
    }

    async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        let deadline = stopping.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
        // Without a sender there is nobody left to wait for the spans.
        sleep_until(deadline.unwrap_or_else(Instant::now)).await;
    }

    fn is_too_late(&self) -> bool {
        self.stopping.borrow().is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Spans on their way. What nobody says anything of has failed: so also when the export panics.
struct Batch<'a> {
    counts: &'a Counts,
    open: usize,
}

impl Batch<'_> {
    fn exported(mut self, rejected: u64) {
        let all = number(std::mem::take(&mut self.open));
        let failed = rejected.min(all);
        self.counts.exported.add(all - failed);
        self.counts.failed.add(failed);
    }

    fn dropped(mut self) {
        self.counts.dropped.add(number(std::mem::take(&mut self.open)));
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.counts.failed.add(number(self.open));
    }
}

/// What the log is told of failures: the first at once, then one line a minute.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
    spans: usize,
}

impl Complaints {
    fn add(&mut self, log: &Log, spans: usize, why: Option<String>) {
        self.spans += spans;
        let now = Instant::now();
        if self.last.is_some_and(|last| now - last < LOG_EVERY) {
            return;
        }
        let why = why.unwrap_or_else(|| "stopped".to_owned());
        let fields = vec![("spans", self.spans.to_string()), ("error", why)];
        let message = "cannot export spans; traffic is not affected".to_owned();
        log.event(Event { at: SystemTime::now(), level: LogLevel::Warn, target: "pillion", message, fields });
        *self = Self { last: Some(now), spans: 0 };
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use opentelemetry_sdk::{
        error::OTelSdkResult,
        trace::{SpanData, SpanExporter},
    };
    use tokio::sync::watch;

    use super::{super::Item, Counts, Shared, Worker};
    use crate::{
        config::{AttemptSpans, LogFormat, LogLevel},
        telemetry::{fixture::record, logs::Log, metrics::Counter, queue::Queue, spans::Spans},
    };

    /// Panics at every batch but those that are full.
    #[derive(Debug)]
    struct Faulty;

    impl SpanExporter for Faulty {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            assert!(batch.len() > 500, "as planned");
            Ok(())
        }
    }

    #[test]
    fn a_panic_costs_its_batch_and_the_work_goes_on() {
        let shared = Arc::new(Shared { queue: Queue::new(2048), counts: Counts::default(), spans: Spans::new(AttemptSpans::WhenRetried, false) });
        for _ in 0..200 {
            shared.queue.push(Item::Exchange(Arc::new(record()), None), 3).unwrap();
        }
        shared.queue.close();
        let (_stop, stopping) = watch::channel(None);
        let log = Log::start(LogLevel::Off, LogFormat::Text, Box::new(io::sink())).unwrap();
        let panics = Arc::new(Counter::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Worker { shared: Arc::clone(&shared), exporter: Faulty, answer: Arc::default(), stopping, log, panics: Arc::clone(&panics) }.run(&runtime);
        let expected = [("exported", 510), ("dropped", 0), ("failed", 90), ("sampled_out", 0)];
        assert_eq!((shared.counts.by_state(), panics.get()), (expected.to_vec(), 1));
    }
}
