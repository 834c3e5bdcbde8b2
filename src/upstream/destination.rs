//! One upstream at run time: its connections, its budget, and one attempt at it under the clocks.
//! It never tries again by itself, and says of each failure whether that would be safe.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header, uri};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{CaptureConnection, Connected, capture_connection},
    },
    rt::TokioTimer,
};
use tokio::time::timeout_at;

use super::{
    attempt::AttemptClocks,
    budget::Budget,
    connect::{Connector, Progress},
    failure::{At, Failure, unconnected},
    http2::{AGE_MAX, IDLE_TIMEOUT, Place, Shared},
    line::{Line, Use},
    usage::UsageAsked,
};
use crate::{
    body::Outgoing,
    config::{self, Http2},
    drain::Tracker,
    telemetry::{Telemetry, names::Clock},
};

/// Idle connections kept for each upstream.
const IDLE_MAX: usize = 256;
/// Largest head of a reply; also the largest piece of a body that is read at once, of which two to three wait for an agent that does not read.
const HEAD_MAX: usize = 24 << 10;

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
    /// Whether it may be asked for token counts.
    pub usage: UsageAsked,
    /// Its host and port, for the record.
    pub server: (Arc<str>, u16),
    host: HeaderValue,
    scheme: uri::Scheme,
    authority: uri::Authority,
    pooled: Client<Connector, Outgoing>,
    /// Never reuses a connection: for the one retry after a reused one has failed, and for what may switch to another protocol.
    fresh: Client<Connector, Outgoing>,
    /// Where HTTP/2 may be spoken.
    shared: Option<Shared>,
}

/// A reply's head, with its body still to come.
#[derive(Debug)]
pub struct Attempted {
    /// The head and the body.
    pub response: Response<Incoming>,
    /// Its place on the connection that it comes on.
    pub line: Use,
}

/// What became of a request that was to go over a shared connection.
enum Either {
    Attempted(Attempted),
    /// It has to go over HTTP/1.1.
    Http1(Request<Outgoing>),
}

/// How far an attempt is, for the clocks.
#[derive(Debug, Default)]
struct Underway {
    making: Progress,
    http1: Mutex<Option<CaptureConnection>>,
    http2: OnceLock<Arc<Line>>,
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
            usage: UsageAsked::default(),
            server: (Arc::from(upstream.host.as_str()), upstream.port),
            host: HeaderValue::try_from(named).expect("a valid authority is a valid header value"),
            scheme,
            authority,
            pooled: client(IDLE_MAX),
            fresh: client(0),
            shared: Shared::of(&upstream, connector.clone(), tracker),
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

    /// Sends the request once and waits for the reply's head, or for the first clock. `fresh` makes a new connection, where one is not shared anyway.
    /// Dropped while it waits, it ends its connection (HTTP/1.1) or its stream (HTTP/2) at once.
    pub async fn attempt(&self, request: Request<Outgoing>, fresh: bool, clocks: &mut AttemptClocks<'_>) -> Result<Attempted, Failure> {
        let underway = Underway::default();
        let mut sending = pin!(self.send(request, fresh, &underway));
        loop {
            return match clocks.next() {
                Some((at, clock)) => match timeout_at(at, sending.as_mut()).await {
                    Ok(result) => result,
                    Err(_) if clocks.goes_on(clock, underway.is_connected()) => continue,
                    Err(_) => Err(self.timed_out(clock, &underway)),
                },
                None => sending.as_mut().await,
            };
        }
    }

    async fn send(&self, request: Request<Outgoing>, fresh: bool, underway: &Underway) -> Result<Attempted, Failure> {
        let request = match &self.shared {
            // Boxed: an upstream in the clear does not carry this around.
            Some(shared) if !request.headers().contains_key(header::UPGRADE) => match Box::pin(self.over_shared(shared, request, underway)).await? {
                Either::Attempted(attempted) => return Ok(attempted),
                Either::Http1(request) => request,
            },
            _ => request,
        };
        self.over_http1(request, fresh, underway).await
    }

    /// On a connection that others use too, or not at all, if the upstream speaks HTTP/1.1.
    async fn over_shared(&self, shared: &Shared, mut request: Request<Outgoing>, underway: &Underway) -> Result<Either, Failure> {
        loop {
            let place = shared.place(&underway.making).await.map_err(|error| unconnected(&error))?;
            let Some(place) = place else { return Ok(Either::Http1(request)) };
            let line = Arc::clone(place.held.line());
            // Set again, it is the connection of an earlier turn of this loop, which sent nothing: either tells that there is one.
            let _ = underway.http2.set(Arc::clone(&line));
            let reused = place.held.reused;
            match self.over_http2(request, place).await {
                Ok(attempted) => return attempted.map(Either::Attempted),
                Err(unsent) => {
                    shared.forget(&line);
                    // One that was new is no accident of its age: whether to try again is not for us to say.
                    if !reused {
                        return Err(self.at().ended_unsent(&line.begin()));
                    }
                    request = *unsent;
                }
            }
        }
    }

    /// On a stream of a shared connection. `Err` gives the request back: the connection had ended before it was sent.
    async fn over_http2(&self, request: Request<Outgoing>, place: Place) -> Result<Result<Attempted, Failure>, Box<Request<Outgoing>>> {
        let Place { mut sender, held } = place;
        match sender.try_send_request(for_http2(request)).await {
            Ok(response) => Ok(Ok(Attempted { response, line: held })),
            Err(mut error) => match error.take_message() {
                Some(unsent) => Err(Box::new(unsent)),
                None => Ok(Err(self.at().unanswered_http2(error.error(), &held))),
            },
        }
    }

    async fn over_http1(&self, request: Request<Outgoing>, fresh: bool, underway: &Underway) -> Result<Attempted, Failure> {
        let mut request = self.for_http1(request);
        let captured = capture_connection(&mut request);
        *underway.http1.lock().unwrap_or_else(PoisonError::into_inner) = Some(captured.clone());
        let switches = request.headers().contains_key(header::UPGRADE);
        let client = if fresh || switches { &self.fresh } else { &self.pooled };
        let mut response = client.request(request).await.map_err(|error| {
            let failure = self.at().failed(&error, error.connect_info().and_then(line_of).as_ref());
            if let Some(shared) = self.shared.as_ref().filter(|_| error.is_connect()) {
                shared.forget_what_was_spoken();
            }
            failure
        })?;
        let line = response.extensions_mut().remove::<Arc<Line>>().expect("our connector puts a line into each connection");
        if (line.made.elapsed() > AGE_MAX || is_framed_twice(response.headers()))
            && let Some(connected) = captured.connection_metadata().as_ref()
        {
            // It serves this exchange and no other: a changed address is followed, and what two readers may end at two places is not read on.
            connected.poison();
        }
        let held = line.begin();
        match response.status() {
            // Not asked for; what follows is no HTTP.
            StatusCode::SWITCHING_PROTOCOLS if !(switches && is_switched(&response)) => Err(self.at().switched(&held)),
            StatusCode::PROXY_AUTHENTICATION_REQUIRED if self.asks_a_proxy() => Err(self.at().refused_by_proxy(&held)),
            _ => Ok(Attempted { response, line: held }),
        }
    }

    /// Whether requests are said to a proxy, which sends them on.
    fn asks_a_proxy(&self) -> bool {
        self.upstream.hop.is_some() && !self.upstream.tls && self.upstream.http2 != Http2::Prior
    }

    /// The request as HTTP/1.1 has it.
    fn for_http1(&self, mut request: Request<Outgoing>) -> Request<Outgoing> {
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        if !headers.contains_key(header::HOST) {
            headers.insert(header::HOST, self.host.clone());
        }
        let authorization = self.upstream.hop.as_deref().filter(|_| self.asks_a_proxy()).and_then(|proxy| proxy.authorization.as_ref());
        if let Some(mut value) = authorization.and_then(|value| HeaderValue::try_from(value.reveal()).ok()) {
            value.set_sensitive(true);
            headers.insert(header::PROXY_AUTHORIZATION, value);
        }
        request
    }

    fn timed_out(&self, clock: Clock, underway: &Underway) -> Failure {
        self.at().timed_out(clock, underway.line(), underway.making.step())
    }

    fn at(&self) -> At<'_> {
        At { authority: &self.authority, upstream: &self.upstream }
    }
}

impl Underway {
    fn line(&self) -> Option<Arc<Line>> {
        let captured = self.http1.lock().unwrap_or_else(PoisonError::into_inner);
        let http1 = captured.as_ref().and_then(|captured| line_of(captured.connection_metadata().as_ref()?));
        http1.or_else(|| self.http2.get().cloned())
    }

    fn is_connected(&self) -> bool {
        self.line().is_some()
    }
}

/// The request as HTTP/2 has it: `:authority` says what `host` said, and `te` stands without a `connection` that names it.
fn for_http2(mut request: Request<Outgoing>) -> Request<Outgoing> {
    *request.version_mut() = Version::HTTP_2;
    if request.headers().contains_key(header::HOST) || request.headers().contains_key(header::CONNECTION) {
        let headers = std::mem::take(request.headers_mut());
        let mut kept = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers.iter().filter(|(name, _)| **name != header::HOST && **name != header::CONNECTION) {
            kept.append(name.clone(), value.clone());
        }
        *request.headers_mut() = kept;
    }
    request
}

fn line_of(connected: &Connected) -> Option<Arc<Line>> {
    let mut extensions = http::Extensions::new();
    connected.get_extras(&mut extensions);
    extensions.remove::<Arc<Line>>()
}

/// Whether the body has two ends: of its chunks, which counts, and of a stated length (RFC 9112 §6.3).
fn is_framed_twice(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
}

/// Whether it is the one protocol that is ever asked for.
fn is_switched(response: &Response<Incoming>) -> bool {
    response.headers().get(header::UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
