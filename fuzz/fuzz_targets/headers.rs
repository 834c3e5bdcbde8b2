//! Headers that anybody may send are read without a fault: what is taken over is valid, and waits are no longer than can be told.
#![no_main]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use pillion::{
    telemetry::{self, TraceContext},
    upstream::{self, AgentLimit},
};

const NAMES: [&str; 16] = [
    "traceparent",
    "baggage",
    "retry-after",
    "retry-after-ms",
    "x-pillion-timeout",
    "x-stainless-read-timeout",
    "x-stainless-timeout",
    "x-server-timeout",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-remaining",
    "x-ratelimit-reset",
    "x-should-retry",
];

fuzz_target!(|input: &[u8]| {
    // Each line is a header: its first byte chooses the name.
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(32) {
        let Some((name, value)) = line.split_first() else { continue };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]), value);
        }
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let trace = TraceContext::from_headers(&headers);
    assert!(trace.trace_id != 0 && trace.span_id != 0 && trace.parent_id != Some(0));
    let child = trace.child_traceparent(trace.attempt_span_id(1));
    let again = TraceContext::from_headers(&HeaderMap::from_iter([(HeaderName::from_static("traceparent"), child)]));
    assert_eq!((again.trace_id, again.parent_id), (trace.trace_id, Some(trace.attempt_span_id(1))), "what we write we read");
    for name in [telemetry::baggage_agent(&headers), telemetry::baggage_conversation(&headers)].into_iter().flatten() {
        assert!(name.len() <= 8192 && !name.is_empty());
    }
    if let Some(limit) = AgentLimit::of(&headers) {
        let _ = limit.less_margin();
    }
    if let Some(wait) = upstream::stated_wait(&headers, now) {
        assert!(now.checked_add(wait).is_some() || wait > Duration::from_secs(1 << 40));
    }
    let _ = upstream::rate_limits(&headers, now);
});
