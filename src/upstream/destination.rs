//! One upstream at run time: its pool of connections, its budget, and one attempt at it under the clocks.
//! It never tries again by itself, and says of each failure whether that would be safe.

use std::{collections::BTreeMap, error::Error as _, io, pin::pin, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, Uri, uri};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{
        self, Client,
        connect::{CaptureConnection, Connected, capture_connection},
    },
    rt::TokioTimer,
};
use tokio::time::{Instant, timeout_at};

use super::{
    budget::Budget,
    connect::{ConnectError, Connector, Line},
    deadlines::Deadlines,
};
use crate::{
    body::{Outgoing, UploadError, UploadProgress},
    config,
    drain::Tracker,
    telemetry::{
        Telemetry,
        names::{Clock, Reason},
    },
};

/// Idle connections kept for each upstream.
const IDLE_MAX: usize = 256;
/// An idle connection is closed after this; most providers' load balancers close theirs after 60 s or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// Largest head of a reply; also the largest piece of a body that is read at once, of which two to three wait for an agent that does not read.
const HEAD_MAX: usize = 32 << 10;
/// When an upload has no clock of its own, its end is still looked for this often.
const UPLOAD_LOOK: Duration = Duration::from_secs(30);

/// All upstreams that requests can reach.
#[derive(Debug, Default)]
pub struct Destinations {
    by_name: BTreeMap<Arc<str>, Arc<Destination>>,
}

impl Destinations {
    /// One for each upstream of the config.
    pub fn new(config: &config::Config, tracker: &Tracker, telemetry: &Telemetry) -> Self {
        let upstreams =
            config.upstreams.values().chain(&config.only_upstream).chain(config.routes.iter().filter_map(|route| route.upstream.as_ref()));
        let by_name =
            upstreams.map(|upstream| (Arc::clone(&upstream.name), Arc::new(Destination::new(Arc::clone(upstream), tracker, telemetry)))).collect();
        Self { by_name }
    }

    /// The one of this name.
    pub fn find(&self, upstream: &config::Upstream) -> Option<&Arc<Destination>> {
        self.by_name.get(&upstream.name)
    }
}

/// One upstream at run time.
#[derive(Debug)]
pub struct Destination {
    /// What the config says of it.
    pub upstream: Arc<config::Upstream>,
    /// What retries may cost it.
    pub budget: Budget,
    /// Its host and port, for the record.
    pub server: (Arc<str>, u16),
    host: HeaderValue,
    scheme: uri::Scheme,
    authority: uri::Authority,
    pooled: Client<Connector, Outgoing>,
    /// Never reuses a connection: for the one retry after a reused one has failed.
    fresh: Client<Connector, Outgoing>,
}

/// A reply's head, with its body still to come.
#[derive(Debug)]
pub struct Attempted {
    /// The head and the body.
    pub response: Response<Incoming>,
    /// The connection it comes on.
    pub line: Arc<Line>,
    /// Whether that had served others before.
    pub reused: bool,
}

/// Whether it would be safe to try again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The upstream cannot have seen the request.
    Unsent,
    /// A reused connection ended before one byte of a reply: most likely it was being closed already.
    Stale,
    /// The upstream may be at work on it.
    Unsafe,
    /// It would fail the same way.
    Useless,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// Our word for it.
    pub reason: Reason,
    /// The clock, if one fired.
    pub clock: Option<Clock>,
    /// Whether to try again.
    pub again: Again,
    /// For the person who reads the traceback: which hop, and what it said. Lower case, no full stop.
    pub detail: String,
    /// The connection, if there was one.
    pub line: Option<Arc<Line>>,
    /// Whether it had served others before.
    pub reused: bool,
}

impl Destination {
    fn new(upstream: Arc<config::Upstream>, tracker: &Tracker, telemetry: &Telemetry) -> Self {
        let scheme = if upstream.tls { uri::Scheme::HTTPS } else { uri::Scheme::HTTP };
        let bracketed = if upstream.host.contains(':') { format!("[{}]", upstream.host) } else { upstream.host.clone() };
        let default_port = if upstream.tls { 443 } else { 80 };
        let named = if upstream.port == default_port { bracketed } else { format!("{bracketed}:{}", upstream.port) };
        let authority = uri::Authority::try_from(named.as_str()).expect("the config holds valid hosts only");
        let connector = Connector::new(Arc::clone(&upstream), telemetry.clone());
        let client = |idle: usize| {
            Client::builder(tracker.clone())
                .pool_max_idle_per_host(idle)
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .retry_canceled_requests(false)
                .set_host(false)
                .http1_preserve_header_case(true)
                .http1_max_buf_size(HEAD_MAX)
                .build(connector.clone())
        };
        Self {
            budget: Budget::new(),
            server: (Arc::from(upstream.host.as_str()), upstream.port),
            host: HeaderValue::try_from(named).expect("a valid authority is a valid header value"),
            scheme,
            authority,
            pooled: client(IDLE_MAX),
            fresh: client(0),
            upstream,
        }
    }

    /// The value of `host`.
    pub fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// The full URI of a path at this upstream.
    pub fn uri(&self, path: uri::PathAndQuery) -> Uri {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).expect("scheme, authority and path are all there")
    }

    /// Sends the request once and waits for the reply's head, or for the first clock. `fresh` makes a new connection.
    /// Dropped while it waits, it ends its connection at once.
    pub async fn attempt(&self, mut request: Request<Outgoing>, fresh: bool, clocks: &mut AttemptClocks<'_>) -> Result<Attempted, Failure> {
        let pending = Pending(capture_connection(&mut request));
        let client = if fresh { &self.fresh } else { &self.pooled };
        let mut sending = pin!(client.request(request));
        loop {
            let result = match clocks.next() {
                Some((at, clock)) => match timeout_at(at, sending.as_mut()).await {
                    Ok(result) => result,
                    Err(_) if clocks.goes_on(clock, pending.is_connected()) => continue,
                    Err(_) => return Err(self.timed_out(clock, pending.line())),
                },
                None => sending.as_mut().await,
            };
            return match result {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => Err(self.switched(&response)),
                Ok(response) => Ok(arrived(response)),
                Err(error) => Err(self.failed(&error)),
            };
        }
    }

    fn timed_out(&self, clock: Clock, line: Option<Arc<Line>>) -> Failure {
        let reused = line.as_ref().is_some_and(|line| line.begin());
        let again = if clock == Clock::Connect { Again::Unsent } else { Again::Unsafe };
        let detail = match clock {
            Clock::Connect => format!("no connection to {} (DNS, TCP and TLS)", self.authority),
            Clock::Upload => format!("no byte of the request's body went from the agent to {}", self.authority),
            _ => format!("no reply from {}", self.authority),
        };
        Failure { reason: Reason::of_clock(clock), clock: Some(clock), again, detail, line, reused }
    }

    /// `upgrade` belongs to one hop and never goes up, so this was not asked for, and what follows is no HTTP.
    fn switched(&self, response: &Response<Incoming>) -> Failure {
        let line = response.extensions().get::<Arc<Line>>().cloned();
        let reused = line.as_ref().is_some_and(|line| line.begin());
        let detail = format!("{} switched to another protocol, which it was not asked to", self.authority);
        Failure { reason: Reason::BadResponse, clock: None, again: Again::Unsafe, detail, line, reused }
    }

    fn failed(&self, error: &legacy::Error) -> Failure {
        let line = error.connect_info().and_then(line_of);
        let reused = line.as_ref().is_some_and(|line| line.begin());
        let (reason, again, detail) = match (find::<ConnectError>(error), find::<hyper::Error>(error)) {
            (Some(connect), _) => unconnected(connect),
            (None, Some(hyper)) => self.unanswered(hyper, reused && line.as_ref().is_some_and(|line| !line.has_read())),
            (None, None) => (Reason::ConnectionReset, Again::Unsafe, format!("{} could not be asked: {error}", self.authority)),
        };
        Failure { reason, clock: None, again, detail, line, reused }
    }

    fn unanswered(&self, error: &hyper::Error, stale: bool) -> (Reason, Again, String) {
        let at = &self.authority;
        if let Some(upload) = find::<UploadError>(error) {
            let reason = match upload {
                UploadError::TooLarge(_) => Reason::BodyTooLarge,
                UploadError::Broken(_) => Reason::Framing,
            };
            return (reason, Again::Useless, upload.to_string());
        }
        if error.is_canceled() {
            return (Reason::ConnectionReset, Again::Unsent, format!("{at} closed the connection before the request was sent"));
        }
        if error.is_parse() {
            return (Reason::BadResponse, Again::Unsafe, format!("{at} answered with what is not HTTP/1.1: {error}"));
        }
        let again = if stale { Again::Stale } else { Again::Unsafe };
        (Reason::ConnectionReset, again, format!("{at} closed the connection without a reply"))
    }
}

/// The clocks under which one attempt waits for its head.
#[derive(Debug)]
pub struct AttemptClocks<'a> {
    /// Those that run.
    pub deadlines: &'a mut Deadlines,
    /// What is passed on as it comes, and how long it may be silent.
    pub upload: Option<(Arc<UploadProgress>, Option<Duration>)>,
    /// Clocks that begin to run when the upload is done: set with `since` its end.
    pub after_upload: &'a [(Clock, Option<Duration>)],
}

impl AttemptClocks<'_> {
    fn next(&mut self) -> Option<(Instant, Clock)> {
        if let Some((progress, silence)) = &self.upload {
            if !progress.is_done() {
                let look = (progress.last() + silence.unwrap_or(UPLOAD_LOOK), Clock::Upload);
                return Some(self.deadlines.next().map_or(look, |next| next.min_by_instant(look)));
            }
            let since = progress.last();
            for (clock, timeout) in self.after_upload {
                self.deadlines.set(*clock, since, *timeout);
            }
            self.upload = None;
        }
        self.deadlines.next()
    }

    /// Whether a clock that rang has been overtaken by events.
    fn goes_on(&mut self, clock: Clock, connected: bool) -> bool {
        match (clock, &self.upload) {
            (Clock::Connect, _) if connected => {
                self.deadlines.stop(Clock::Connect);
                true
            }
            (Clock::Upload, Some((progress, silence))) => {
                silence.is_none_or(|silence| progress.is_done() || progress.last() + silence > Instant::now())
            }
            _ => false,
        }
    }
}

trait Earlier {
    fn min_by_instant(self, other: Self) -> Self;
}

impl Earlier for (Instant, Clock) {
    fn min_by_instant(self, other: Self) -> Self {
        if other.0 < self.0 { other } else { self }
    }
}

/// The connection of an attempt that still waits, once it has one.
struct Pending(CaptureConnection);

impl Pending {
    fn line(&self) -> Option<Arc<Line>> {
        line_of(self.0.connection_metadata().as_ref()?)
    }

    fn is_connected(&self) -> bool {
        self.0.connection_metadata().is_some()
    }
}

fn line_of(connected: &Connected) -> Option<Arc<Line>> {
    let mut extensions = http::Extensions::new();
    connected.get_extras(&mut extensions);
    extensions.remove::<Arc<Line>>()
}

fn arrived(mut response: Response<Incoming>) -> Attempted {
    let line = response.extensions_mut().remove::<Arc<Line>>().expect("our connector puts a line into each connection");
    let reused = line.begin();
    Attempted { response, line, reused }
}

fn unconnected(error: &ConnectError) -> (Reason, Again, String) {
    let told = |error: &ConnectError| error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    match error {
        ConnectError::Dns { .. } => (Reason::Dns, Again::Unsent, told(error)),
        ConnectError::Tcp { .. } => (Reason::ConnectionRefused, Again::Unsent, told(error)),
        // What rustls refuses (a certificate, a version) it will refuse again; a handshake that broke off may do better.
        ConnectError::Tls { source, .. } if source.kind() == io::ErrorKind::InvalidData => (Reason::Tls, Again::Useless, told(error)),
        ConnectError::Tls { .. } => (Reason::Tls, Again::Unsent, told(error)),
        ConnectError::Roots { .. } => (Reason::Tls, Again::Useless, told(error)),
    }
}

/// The first error of this type among the causes.
fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
