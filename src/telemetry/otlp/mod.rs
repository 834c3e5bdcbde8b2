//! Sends spans to an OTLP receiver, in batches, from a thread of its own. A receiver that is slow, gone or broken costs the traffic nothing: what finds
//! no room is dropped, and every span ends in exactly one of `exported`, `dropped`, `failed`, `sampled_out`.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Duration,
};

use ::http::Uri;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use thiserror::Error;
use tokio::{sync::watch, time::Instant};

mod client;
mod connect;
mod grpc;
mod http;
mod own;
mod protobuf;
mod tls;
mod worker;

use client::Client;
use worker::Worker;

use super::{
    contents::Captured,
    logs::Log,
    metrics::Counter,
    names::{SCHEMA_URL, attributes::general},
    queue::Queue,
    record::Record,
    spans::{Sampling, Spans},
};
use crate::{agent::ToolRun, config};

/// Spans that wait at most, the default of the OpenTelemetry SDKs.
const QUEUE_MAX: usize = 2048;
/// A flush at shutdown takes no longer, whatever is asked.
const FLUSH_MAX: Duration = Duration::from_secs(2);
/// How much longer than its deadline the thread may take to notice it.
const SLACK: Duration = Duration::from_millis(250);

/// Why the export of spans could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// `telemetry.otlp.endpoint` is no `http://` or `https://` URL.
    #[error("telemetry.otlp.endpoint is not an http:// or https:// URL")]
    Endpoint,
    /// A header that HTTP does not allow. Its value is not told.
    #[error("telemetry.otlp.headers: {name:?} is not a valid header")]
    Header {
        /// Its name.
        name: String,
    },
    /// TLS could not be set up.
    #[error("cannot set up TLS for telemetry.otlp")]
    Tls(#[from] rustls::Error),
    /// A file of certificates or of a key cannot be read.
    #[error("telemetry.otlp: cannot read {} as PEM", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The exporter refused its settings.
    #[error("cannot set up the OTLP exporter")]
    Exporter(#[from] ExporterBuildError),
    /// The operating system gave no thread.
    #[error("cannot start a thread of telemetry")]
    Thread(#[from] io::Error),
}

/// How spans ended so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    exported: Counter,
    dropped: Counter,
    failed: Counter,
    sampled_out: Counter,
}

impl Counts {
    /// As label values.
    pub(super) fn by_state(&self) -> Vec<(&'static str, u64)> {
        let Self { exported, dropped, failed, sampled_out } = self;
        vec![("exported", exported.get()), ("dropped", dropped.get()), ("failed", failed.get()), ("sampled_out", sampled_out.get())]
    }
}

/// What the traffic's side and the thread share.
#[derive(Debug)]
struct Shared {
    queue: Queue<Item>,
    counts: Counts,
    spans: Spans,
}

/// What waits.
#[derive(Debug)]
enum Item {
    /// A finished exchange, of which spans are made on the thread.
    Exchange(Arc<Record>, Option<Box<Captured>>),
    /// A tool's run that belongs to no request.
    Run(Box<ToolRun>),
    /// A span of the program itself.
    Own(Box<SpanData>),
}

/// The export of spans. Dropping it ends its thread.
#[derive(Debug)]
pub(super) struct Otlp {
    shared: Arc<Shared>,
    sampling: Sampling,
    /// When the thread must have ended.
    stop: watch::Sender<Option<Instant>>,
    /// Ends when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

impl Otlp {
    /// Starts the thread that exports.
    pub(super) fn start(telemetry: &config::Telemetry, otlp: &config::Otlp, log: Log, panics: Arc<Counter>) -> Result<Self, StartError> {
        let uri: Uri = otlp.endpoint.parse().map_err(|_| StartError::Endpoint)?;
        let tls = match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(_)) => false,
            (Some("https"), Some(_)) => true,
            _ => return Err(StartError::Endpoint),
        };
        let (client, answer) = Client::new(otlp, tls)?;
        let exporter = exporter(telemetry, otlp, client)?;
        let spans = Spans::new(telemetry.attempt_spans, telemetry.propagate);
        let shared = Arc::new(Shared { queue: Queue::new(QUEUE_MAX), counts: Counts::default(), spans });
        let (stop, stopping) = watch::channel(None);
        let (end, ended) = sync_channel(1);
        let worker = Worker { shared: Arc::clone(&shared), exporter, answer, stopping, log, panics };
        let (start, started) = sync_channel(1);
        thread::Builder::new().name("pillion-otlp".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let _ = start.send(runtime.as_ref().err().map(io::Error::kind));
            if let Ok(runtime) = runtime {
                worker.run(&runtime);
                // A name that still resolves is not waited for.
                runtime.shutdown_background();
            }
            drop(end);
        })?;
        if let Some(kind) = started.recv().unwrap_or(Some(io::ErrorKind::Other)) {
            return Err(io::Error::from(kind).into());
        }
        Ok(Self { shared, sampling: Sampling::new(telemetry.sample), stop, ended: Mutex::new(ended) })
    }

    /// Takes a finished exchange; its spans are made on the thread. Says whether they are to be exported.
    pub(super) fn put(&self, record: &Arc<Record>, contents: Option<Box<Captured>>) -> bool {
        let Shared { queue, counts, spans } = &*self.shared;
        let count = spans.count(record);
        if !self.sampling.is_kept(record) {
            counts.sampled_out.add(number(count));
            return false;
        }
        let queued = queue.push(Item::Exchange(Arc::clone(record), contents), count).is_ok();
        if !queued {
            counts.dropped.add(number(count));
        }
        queued
    }

    /// Takes a tool's run whose result no request has brought.
    pub(super) fn put_run(&self, run: ToolRun) {
        let Shared { queue, counts, .. } = &*self.shared;
        if !self.sampling.keeps_trace(run.trace) {
            counts.sampled_out.add(1);
        } else if queue.push(Item::Run(Box::new(run)), 1).is_err() {
            counts.dropped.add(1);
        }
    }

    /// A reader of the counts, for `pillion_spans_total`.
    pub(super) fn counts(&self) -> impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.counts.by_state()
    }

    /// A reader of how many spans wait.
    pub(super) fn waiting(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || number(shared.queue.weight())
    }

    /// Exports what waits, within `deadline` and at most two seconds; what then still waits is counted as dropped. Blocks.
    pub(super) fn shutdown(&self, deadline: Duration) {
        let deadline = deadline.min(FLUSH_MAX);
        self.stop_by(Instant::now() + deadline);
        // Nothing is ever sent: the wait ends with the thread or with the time.
        let _ = self.ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(deadline + SLACK);
        self.shared.drop_rest();
    }

    fn stop_by(&self, deadline: Instant) {
        self.stop.send_if_modified(|stop| stop.is_none().then(|| *stop = Some(deadline)).is_some());
        self.shared.queue.close();
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        self.stop_by(Instant::now());
    }
}

impl Shared {
    /// How many spans it makes.
    fn count(&self, item: &Item) -> usize {
        match item {
            Item::Exchange(record, _) => self.spans.count(record),
            Item::Run(_) | Item::Own(_) => 1,
        }
    }

    /// Its spans.
    fn build(&self, item: Item) -> Vec<SpanData> {
        match item {
            Item::Exchange(record, contents) => self.spans.build(&record, contents.as_deref()),
            Item::Run(run) => vec![self.spans.run(&run)],
            Item::Own(span) => vec![*span],
        }
    }

    /// Counts what waits as dropped.
    fn drop_rest(&self) {
        let rest: usize = self.queue.take_all().iter().map(|item| self.count(item)).sum();
        self.counts.dropped.add(number(rest));
    }
}

fn exporter(telemetry: &config::Telemetry, otlp: &config::Otlp, client: Client) -> Result<SpanExporter, StartError> {
    let endpoint = match otlp.protocol {
        config::Protocol::HttpProtobuf => otlp.endpoint.clone(),
        config::Protocol::Grpc => format!("{}{}", otlp.endpoint.trim_end_matches('/'), grpc::PATH),
    };
    // The message is the same for gRPC; what is around it is the client's.
    let builder = SpanExporter::builder().with_http().with_http_client(client).with_endpoint(endpoint).with_protocol(Protocol::HttpBinary);
    // Retries are the client's: the exporter's own sleep would stop its thread's runtime, and every clock with it.
    let mut exporter = builder.with_timeout(otlp.timeout).with_retry_policy(RetryPolicy::disabled()).build()?;
    exporter.set_resource(&resource(&telemetry.resource));
    Ok(exporter)
}

/// Who we are: what the config says, and version and instance where it does not.
fn resource(configured: &[(String, String)]) -> Resource {
    let id = fastrand::u128(..);
    let instance = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        id >> 96,
        (id >> 80) & 0xffff,
        (id >> 68) & 0xfff,
        (id >> 56) & 0xfff,
        id & 0xffff_ffff_ffff
    );
    let defaults = [
        (general::SERVICE_NAME.to_owned(), env!("CARGO_PKG_NAME").to_owned()),
        (general::SERVICE_VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        (general::SERVICE_INSTANCE_ID.to_owned(), instance),
    ];
    let attributes = defaults.iter().chain(configured).map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty().with_schema_url(attributes, SCHEMA_URL).build()
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
