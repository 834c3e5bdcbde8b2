//! Sends one export and reads what the receiver says to it, within one clock and bounded memory. Repeats only what OTLP calls retryable.
//! It sets the headers itself: the exporter would add those of the environment, which `config` has read already.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{self, connect::Connect},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError};

use super::{StartError, connect::Connector, partial};
use crate::config;

/// A receiver's answer beyond this is not read.
const RESPONSE_MAX: usize = 64 << 10;
/// Repetitions of one export.
const RETRIES_MAX: u32 = 3;
/// The first wait; doubles each time. Half of it is random.
const BACKOFF: Duration = Duration::from_millis(250);
/// A stated wait beyond this is not waited for: the batch has failed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// The exporter's way to the receiver.
pub(super) struct Client<C = Connector> {
    http: legacy::Client<C, Full<Bytes>>,
    headers: HeaderMap,
    timeout: Duration,
    answer: Arc<Answer>,
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
    pub(super) fn new(otlp: &config::Otlp, tls: bool) -> Result<(Self, Arc<Answer>), StartError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("pillion/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in &otlp.headers {
            let invalid = || StartError::Header { name: name.clone() };
            let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::try_from(name).map_err(|_| invalid())?, value);
        }
        let http = legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(Connector::new(tls)?);
        let answer = Arc::new(Answer::default());
        Ok((Self { http, headers, timeout: otlp.timeout, answer: Arc::clone(&answer) }, answer))
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Client<C> {
    async fn export(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let result = match tokio::time::timeout(self.timeout, self.repeat(&request)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", self.timeout).into()),
        };
        match &result {
            Ok(response) if response.status().is_success() => self.answer.rejected.store(partial::rejected(response.body()), Ordering::Relaxed),
            Ok(response) => self.answer.fail(format!("status {}", response.status().as_u16())),
            Err(error) => self.answer.fail(root_cause(&**error)),
        }
        result
    }

    async fn repeat(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut retries = 0;
        loop {
            let result = self.once(request).await;
            match wait_before_retry(&result, retries) {
                Some(wait) if retries < RETRIES_MAX => tokio::time::sleep(wait).await,
                _ => return result,
            }
            retries += 1;
        }
    }

    async fn once(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut attempt = Request::post(request.uri()).body(Full::new(request.body().clone()))?;
        *attempt.headers_mut() = self.headers.clone();
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            if let Some(value) = request.headers().get(&name) {
                attempt.headers_mut().insert(name, value.clone());
            }
        }
        let (head, body) = self.http.request(attempt).await?.into_parts();
        Ok(Response::from_parts(head, read_bounded(body).await?))
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> HttpClient for Client<C> {
    // What `#[async_trait]` makes of `async fn send_bytes(&self, request)`.
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.export(request))
    }
}

impl<C> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// The body, or nothing where it is longer than [`RESPONSE_MAX`]: what it says is of use only if it is whole. A connection left with unread bytes closes.
async fn read_bounded(mut body: Incoming) -> Result<Bytes, HttpError> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            if read.len() + data.len() > RESPONSE_MAX {
                return Ok(Bytes::new());
            }
            read.extend_from_slice(data);
        }
    }
    Ok(read.into())
}

/// The wait before the next try; `None` where there is to be none. (OTLP/HTTP: 429, 502, 503, 504, and no answer at all, are retryable.)
fn wait_before_retry(result: &Result<Response<Bytes>, HttpError>, retries: u32) -> Option<Duration> {
    let backoff = BACKOFF * 2_u32.pow(retries.min(RETRIES_MAX));
    let backoff = backoff.mul_f64(0.5 + fastrand::f64() / 2.0);
    let Ok(response) = result else { return Some(backoff) };
    let retryable = [StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
    if !retryable.contains(&response.status()) {
        return None;
    }
    let stated = response.headers().get(header::RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
    Some(stated.unwrap_or(backoff)).filter(|wait| *wait <= RETRY_AFTER_MAX)
}

/// Seconds or a date; what is neither is ignored, and a date that has passed means now.
fn retry_after(value: &str) -> Option<Duration> {
    let seconds = || value.trim().parse().ok().map(Duration::from_secs);
    let date = || httpdate::parse_http_date(value.trim()).ok().map(|date| date.duration_since(SystemTime::now()).unwrap_or_default());
    seconds().or_else(date)
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

    use http::Response;
    use hyper::body::Bytes;

    use super::wait_before_retry;

    fn wait(status: u16, retry_after: Option<&str>) -> Option<Duration> {
        let mut response = Response::builder().status(status);
        if let Some(value) = retry_after {
            response = response.header("retry-after", value);
        }
        wait_before_retry(&Ok(response.body(Bytes::new()).unwrap()), 1)
    }

    #[test]
    fn only_what_is_retryable_is_repeated() {
        for status in [429, 502, 503, 504] {
            assert!(wait(status, None).is_some(), "{status}");
        }
        for status in [200, 400, 401, 404, 413, 500, 501] {
            assert_eq!(wait(status, None), None, "{status}");
        }
        assert!(wait_before_retry(&Err("no route to host".into()), 0).is_some());
    }

    #[test]
    fn a_stated_wait_is_kept_up_to_its_bound() {
        assert_eq!(wait(503, Some("3")), Some(Duration::from_secs(3)));
        assert_eq!(wait(503, Some(" 0 ")), Some(Duration::ZERO));
        assert_eq!(wait(503, Some("6")), None);
        assert_eq!(wait(429, Some("99999999999999999999")).map(|wait| wait < Duration::from_secs(1)), Some(true));
        assert_eq!(wait(429, Some("Fri, 31 Dec 1999 23:59:59 GMT")), Some(Duration::ZERO));
        assert_eq!(wait(429, Some("Fri, 31 Dec 9999 23:59:59 GMT")), None);
    }

    #[test]
    fn back_off_doubles_with_half_of_it_random() {
        for (retries, most) in [(0, 250), (1, 500), (2, 1000)] {
            let wait = wait_before_retry(&Err("reset".into()), retries).unwrap();
            assert!((Duration::from_millis(most / 2)..=Duration::from_millis(most)).contains(&wait), "{wait:?}");
        }
    }
}
