//! OTLP over gRPC: one unary call, without the machinery for all others. A message goes behind five bytes, and how the call ended stands in the
//! trailers, or in the head where there is nothing else to say. <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::time::Duration;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::body::Bytes;
use percent_encoding::percent_decode;

use super::{
    client::{Again, Ending, Received, other_protocol},
    protobuf::{Value, fields},
};
use crate::config::Protocol;

/// Where receivers wait for spans, behind scheme, host and port.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What stands in front of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Longest message of a receiver that the log repeats, in bytes.
const MESSAGE_MAX: usize = 200;

/// gRPC's name of how a call ended, and of the details about it.
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const CONTENT_TYPE: &str = "application/grpc";

/// The statuses, by number. <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const OK: usize = 0;
const RESOURCE_EXHAUSTED: usize = 8;
/// What OTLP calls retryable; `RESOURCE_EXHAUSTED` is so only where a wait is stated. <https://opentelemetry.io/docs/specs/otlp/#failures>
const RETRYABLE: [usize; 7] = [1, 4, 10, 11, 14, 15, RESOURCE_EXHAUSTED];

/// Of binary metadata: with padding or without.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// The message as it goes over the wire.
pub(super) fn frame(message: &[u8], is_compressed: bool) -> Bytes {
    let length = u32::try_from(message.len()).expect("the exporter sends no message beyond 64 MiB");
    let mut framed = Vec::with_capacity(PREFIX + message.len());
    framed.push(u8::from(is_compressed));
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed.into()
}

/// What a call's head says beside the configured headers.
pub(super) fn add_headers(headers: &mut HeaderMap, is_compressed: bool, timeout: Duration) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if is_compressed {
        headers.insert(ENCODING, HeaderValue::from_static("gzip"));
    }
    // At most eight digits.
    let (number, unit) = if timeout.as_secs() < 60_000 { (timeout.as_millis(), 'm') } else { (timeout.as_secs().into(), 'S') };
    headers.insert(TIMEOUT, HeaderValue::try_from(format!("{number}{unit}")).expect("digits and a letter"));
}

/// How the call ended.
pub(super) fn ending(received: &Received) -> Ending {
    let Received { status, headers, body, trailers } = received;
    let is_grpc = headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(CONTENT_TYPE.as_bytes()));
    let last = if headers.contains_key(STATUS) { headers } else { trailers };
    match last.get(STATUS).map(HeaderValue::as_bytes) {
        Some(code) => of_status(code, last, body),
        None if *status != StatusCode::OK || !is_grpc => of_http(*status),
        None => Ending::Refused { why: "the receiver's answer has no gRPC status".to_owned(), again: Again::Never },
    }
}

fn of_status(code: &[u8], last: &HeaderMap, body: &Bytes) -> Ending {
    let code = std::str::from_utf8(code).ok().and_then(|code| code.parse::<usize>().ok());
    if code == Some(OK) {
        return Ending::Taken(message(body));
    }
    let name = code.and_then(|code| STATUSES.get(code)).unwrap_or(&"UNKNOWN");
    let stated = last.get(DETAILS).and_then(|details| retry_delay(details.as_bytes()));
    let again = match (code.is_some_and(|code| RETRYABLE.contains(&code)), stated) {
        (true, Some(wait)) => Again::After(wait),
        (true, None) if code != Some(RESOURCE_EXHAUSTED) => Again::AfterBackoff,
        _ => Again::Never,
    };
    Ending::Refused { why: format!("gRPC status {name}{}", said(last)), again }
}

/// What the receiver says of it, decoded, without what would break a line, and not at length.
fn said(last: &HeaderMap) -> String {
    let Some(message) = last.get(MESSAGE).filter(|message| !message.is_empty()) else { return String::new() };
    let message: Vec<u8> = percent_decode(message.as_bytes()).take(MESSAGE_MAX).collect();
    let message = String::from_utf8_lossy(&message);
    format!(": {}", message.trim_end_matches(char::REPLACEMENT_CHARACTER).replace(char::is_control, " "))
}

/// Whoever answered speaks no gRPC: a proxy in between, or a receiver of OTLP over HTTP. <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>
fn of_http(status: StatusCode) -> Ending {
    let again = match status.as_u16() {
        429 | 502 | 503 | 504 => Again::AfterBackoff,
        _ => Again::Never,
    };
    let why = format!("status {} of HTTP, and no gRPC; {}", status.as_u16(), other_protocol(Protocol::Grpc));
    Ending::Refused { why, again }
}

/// The one message of an answer; nothing where it is compressed, which nobody asked for, or not whole.
fn message(body: &Bytes) -> Bytes {
    match body.split_first_chunk::<PREFIX>() {
        Some(([0, length @ ..], message)) if usize::try_from(u32::from_be_bytes(*length)).is_ok_and(|length| length == message.len()) => {
            body.slice(PREFIX..)
        }
        _ => Bytes::new(),
    }
}

/// `google.rpc.RetryInfo.retry_delay` among the details of a `google.rpc.Status`.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    const DETAIL: u64 = 3;
    let status = BASE64.decode(details).ok()?;
    let infos = fields(&status).filter_map(|field| match field {
        (DETAIL, Value::Bytes(any)) => Some(any),
        _ => None,
    });
    let info = infos.filter(|any| bytes(any, 1).is_some_and(|url| url.ends_with(b"/google.rpc.RetryInfo"))).find_map(|any| bytes(any, 2))?;
    let delay = bytes(info, 1).unwrap_or_default();
    let number = |wanted| fields(delay).find_map(|field| matches!(field, (name, Value::Number(_)) if name == wanted).then_some(field.1));
    let [seconds, nanoseconds] = [1, 2].map(|name| match number(name) {
        Some(Value::Number(number)) => number,
        _ => 0,
    });
    // Both are signed: a negative wait is none.
    let seconds = i64::try_from(seconds).is_ok().then_some(seconds)?;
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanoseconds.min(999_999_999))))
}

/// The first field of this number that holds bytes.
fn bytes(message: &[u8], wanted: u64) -> Option<&[u8]> {
    fields(message).find_map(|field| match field {
        (number, Value::Bytes(bytes)) if number == wanted => Some(bytes),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
