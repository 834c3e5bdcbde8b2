//! OTLP over HTTP: Protocol Buffers in a POST, and how it ended in the status. <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::client::{Again, Ending, Received};

/// What is retryable. <https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes>
const RETRYABLE: [StatusCode; 4] =
    [StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];

/// What a request's head says beside the configured headers.
pub(super) fn add_headers(headers: &mut HeaderMap, is_compressed: bool) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    if is_compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// How the request ended.
pub(super) fn ending(received: &Received) -> Ending {
    let Received { status, headers, body, .. } = received;
    if status.is_success() {
        return Ending::Taken(body.clone());
    }
    let stated = headers.get(header::RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
    let again = match (RETRYABLE.contains(status), stated) {
        (false, _) => Again::Never,
        (true, None) => Again::AfterBackoff,
        (true, Some(wait)) => Again::After(wait),
    };
    Ending::Refused { why: format!("status {}", status.as_u16()), again }
}

/// Seconds or a date; what is neither is ignored, and a date that has passed means now.
fn retry_after(value: &str) -> Option<Duration> {
    let seconds = || value.trim().parse().ok().map(Duration::from_secs);
    let date = || httpdate::parse_http_date(value.trim()).ok().map(|date| date.duration_since(SystemTime::now()).unwrap_or_default());
    seconds().or_else(date)
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;

    fn again(status: u16, retry_after: Option<&'static str>) -> Option<Again> {
        let mut headers = HeaderMap::new();
        headers.extend(retry_after.map(|value| (header::RETRY_AFTER, HeaderValue::from_static(value))));
        let received = Received { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::new(), trailers: HeaderMap::new() };
        match ending(&received) {
            Ending::Taken(_) => None,
            Ending::Refused { again, .. } => Some(again),
        }
    }

    #[test]
    fn only_what_is_retryable_is_repeated() {
        assert_eq!(again(200, None), None, "taken");
        for status in [429, 502, 503, 504] {
            assert_eq!(again(status, None), Some(Again::AfterBackoff), "{status}");
        }
        for status in [301, 400, 401, 404, 413, 500, 501] {
            assert_eq!(again(status, Some("1")), Some(Again::Never), "{status}");
        }
    }

    #[test]
    fn a_stated_wait_is_seconds_or_a_date() {
        for (stated, expected) in [
            ("3", Again::After(Duration::from_secs(3))),
            (" 0 ", Again::After(Duration::ZERO)),
            ("99999999999999999999", Again::AfterBackoff),
            ("soon", Again::AfterBackoff),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Again::After(Duration::ZERO)),
        ] {
            assert_eq!(again(503, Some(stated)), Some(expected), "{stated}");
        }
        let far = again(429, Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert!(matches!(far, Some(Again::After(wait)) if wait > Duration::from_secs(1 << 30)), "{far:?}");
    }
}
