//! Sends one export and reads what the receiver says to it, within one clock and bounded memory. Repeats only what OTLP calls retryable.
//! It sets the headers itself: the exporter would add those of the environment, which `config` has read already.

use std::{
    error::Error,
    fmt,
    future::Future,
    io::Write as _,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_http::{HttpClient, HttpError};

use super::{StartError, connect::Connector, grpc, http as over_http, protobuf, tls};
use crate::config::{self, Compression, Protocol};

/// A receiver's answer beyond this is not read.
const RESPONSE_MAX: usize = 64 << 10;
/// What a receiver may send over HTTP/2 before we have read it, in bytes.
const WINDOW: u32 = 64 << 10;
/// The head of an answer over HTTP/2 beyond this is not read.
const HEAD_MAX: u32 = 16 << 10;
/// Repetitions of one export.
const RETRIES_MAX: u32 = 3;
/// The first wait; doubles each time. Half of it is random.
const BACKOFF: Duration = Duration::from_millis(250);
/// A stated wait beyond this is not waited for: the batch has failed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

type Pool = legacy::Client<Connector, Full<Bytes>>;

/// The exporter's way to the receiver.
pub(super) struct Client {
    connector: Connector,
    /// Replaced when an export gets no answer: a connection that may be dead is not used again.
    pool: Mutex<Pool>,
    protocol: Protocol,
    compression: Compression,
    headers: HeaderMap,
    timeout: Duration,
    answer: Arc<Answer>,
    /// Whether any export was ever answered as the protocol has it.
    is_understood: AtomicBool,
}

/// What came back of one try.
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Nothing where it is longer than [`RESPONSE_MAX`]: what it says is of use only if it is whole.
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

/// What it means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The spans were taken; the message says which were not.
    Taken(Bytes),
    /// None was taken.
    Refused { why: String, again: Again },
}

/// Whether it may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    AfterBackoff,
    After(Duration),
}

/// What the exporter does not pass on of the last export.
#[derive(Debug, Default)]
pub(super) struct Answer {
    rejected: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Answer {
    /// Spans that the receiver took but refused; forgets them.
    pub(super) fn take_rejected(&self) -> u64 {
        self.rejected.swap(0, Ordering::Relaxed)
    }

    /// Why the last export failed; forgets it.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, why: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

impl Client {
    /// A client for this receiver, and where its answers are told.
    pub(super) fn new(otlp: &config::Otlp, is_tls: bool) -> Result<(Self, Arc<Answer>), StartError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("pillion/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in &otlp.headers {
            let invalid = || StartError::Header { name: name.clone() };
            let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::try_from(name).map_err(|_| invalid())?, value);
        }
        let (protocol, compression, timeout) = (otlp.protocol, otlp.compression, otlp.timeout);
        let is_compressed = compression == Compression::Gzip;
        match protocol {
            Protocol::HttpProtobuf => over_http::add_headers(&mut headers, is_compressed),
            Protocol::Grpc => grpc::add_headers(&mut headers, is_compressed, timeout),
        }
        let connector = Connector::new(if is_tls { Some(tls::client_config(otlp)?) } else { None });
        let (pool, answer) = (Mutex::new(pool(&connector, protocol)), Arc::<Answer>::default());
        let is_understood = AtomicBool::new(false);
        Ok((Self { connector, pool, protocol, compression, headers, timeout, answer: Arc::clone(&answer), is_understood }, answer))
    }

    async fn export(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, message) = request.into_parts();
        let body = self.body(message)?;
        let ending = tokio::time::timeout(self.timeout, self.repeat(&head.uri, &body)).await.unwrap_or_else(|_| self.unanswered());
        match ending {
            Ending::Taken(message) => {
                self.is_understood.store(true, Ordering::Relaxed);
                self.answer.take_failure();
                self.answer.rejected.store(protobuf::rejected(&message), Ordering::Relaxed);
                Ok(Response::new(message))
            }
            Ending::Refused { why, .. } => {
                self.answer.fail(why.clone());
                Err(why.into())
            }
        }
    }

    /// The time has ended first.
    fn unanswered(&self) -> Ending {
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = pool(&self.connector, self.protocol);
        let before = self.answer.take_failure().map(|why| format!("{why}; and then ")).unwrap_or_default();
        Ending::Refused { why: format!("{before}no answer within {:?}", self.timeout), again: Again::Never }
    }

    /// What is sent, each time the same.
    fn body(&self, message: Bytes) -> Result<Bytes, HttpError> {
        let message = match self.compression {
            Compression::None => message,
            Compression::Gzip => {
                // Spans repeat themselves so much that more effort saves little.
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&message)?;
                encoder.finish()?.into()
            }
        };
        Ok(match self.protocol {
            Protocol::HttpProtobuf => message,
            Protocol::Grpc => grpc::frame(&message, self.compression == Compression::Gzip),
        })
    }

    async fn repeat(&self, uri: &Uri, body: &Bytes) -> Ending {
        let mut retries = 0;
        loop {
            let ending = match self.once(uri, body).await {
                Ok(received) => self.ending(&received),
                Err(error) => Ending::Refused { why: self.explained(&*error), again: Again::AfterBackoff },
            };
            let wait = wait_before_retry(&ending, retries).filter(|_| retries < RETRIES_MAX);
            match (ending, wait) {
                (Ending::Refused { why, .. }, Some(wait)) => {
                    // Should the time end first, this is what can be said.
                    self.answer.fail(why);
                    tokio::time::sleep(wait).await;
                }
                (ending, _) => return ending,
            }
            retries += 1;
        }
    }

    async fn once(&self, uri: &Uri, body: &Bytes) -> Result<Received, HttpError> {
        let mut attempt = Request::post(uri).body(Full::new(body.clone()))?;
        *attempt.headers_mut() = self.headers.clone();
        let answered = self.pool.lock().unwrap_or_else(PoisonError::into_inner).request(attempt);
        let (head, body) = answered.await?.into_parts();
        let (body, trailers) = read_bounded(body).await?;
        Ok(Received { status: head.status, headers: head.headers, body, trailers })
    }

    fn ending(&self, received: &Received) -> Ending {
        match self.protocol {
            Protocol::HttpProtobuf => over_http::ending(received),
            Protocol::Grpc => grpc::ending(received),
        }
    }

    /// Why there is no answer; and if there never was one, what else may stand behind that port.
    fn explained(&self, error: &(dyn Error + Send + Sync + 'static)) -> String {
        let why = root_cause(error);
        let is_connected = error.downcast_ref::<legacy::Error>().is_some_and(|error| !error.is_connect());
        if !is_connected || self.is_understood.load(Ordering::Relaxed) {
            return why;
        }
        format!("{why}; {}", other_protocol(self.protocol))
    }
}

/// What is most often wrong when a receiver takes connections and understands nothing.
pub(super) fn other_protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::HttpProtobuf => "if the receiver speaks gRPC there (usually on port 4317), set telemetry.otlp.protocol to grpc",
        Protocol::Grpc => "if the receiver speaks HTTP there (usually on port 4318), set telemetry.otlp.protocol to http/protobuf",
    }
}

/// One connection is all that exports in a row can use.
fn pool(connector: &Connector, protocol: Protocol) -> Pool {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(1).http2_only(protocol == Protocol::Grpc).timer(TokioTimer::new());
    // What is not read is not to be held either.
    builder.http2_max_header_list_size(HEAD_MAX).http2_initial_stream_window_size(WINDOW).http2_initial_connection_window_size(WINDOW);
    builder.build(connector.clone())
}

impl HttpClient for Client {
    // What `#[async_trait]` makes of `async fn send_bytes(&self, request)`.
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.export(request))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("protocol", &self.protocol).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Body and trailers; of a body longer than [`RESPONSE_MAX`] neither. A connection left with unread bytes closes.
async fn read_bounded(mut body: Incoming) -> Result<(Bytes, HeaderMap), HttpError> {
    let (mut read, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) if read.len() + data.len() > RESPONSE_MAX => return Ok((Bytes::new(), HeaderMap::new())),
            Ok(data) => read.extend_from_slice(&data),
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok((read.into(), trailers))
}

/// The wait before the next try; `None` where there is to be none.
fn wait_before_retry(ending: &Ending, retries: u32) -> Option<Duration> {
    let Ending::Refused { again, .. } = ending else { return None };
    match again {
        Again::Never => None,
        Again::AfterBackoff => Some((BACKOFF * 2_u32.pow(retries.min(RETRIES_MAX))).mul_f64(0.5 + fastrand::f64() / 2.0)),
        Again::After(wait) => Some(*wait).filter(|wait| *wait <= RETRY_AFTER_MAX),
    }
}

/// The innermost error says what happened; those around it where. None of them quotes the URL or a header.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Again, Ending, wait_before_retry};

    fn refused(again: Again) -> Ending {
        Ending::Refused { why: "reset".to_owned(), again }
    }

    #[test]
    fn a_stated_wait_is_kept_up_to_its_bound() {
        for (stated, expected) in [(0, Some(0)), (5000, Some(5000)), (5001, None)] {
            let wait = wait_before_retry(&refused(Again::After(Duration::from_millis(stated))), 1);
            assert_eq!(wait, expected.map(Duration::from_millis), "{stated}");
        }
        assert_eq!(wait_before_retry(&refused(Again::Never), 0), None);
    }

    #[test]
    fn back_off_doubles_with_half_of_it_random() {
        for (retries, most) in [(0, 250), (1, 500), (2, 1000)] {
            let wait = wait_before_retry(&refused(Again::AfterBackoff), retries).unwrap();
            assert!((Duration::from_millis(most / 2)..=Duration::from_millis(most)).contains(&wait), "{wait:?}");
        }
    }
}
