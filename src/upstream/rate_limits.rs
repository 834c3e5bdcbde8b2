//! What a reply's head says is left of the provider's limits.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::retry::reset_after;
use crate::telemetry::{RateLimit, names::LimitKind};

/// A limit's headers: what is left, and when it is full again.
const HEADERS: [(LimitKind, &str, &str); 4] = [
    // OpenAI and most that speak its dialect. Azure, Groq and Mistral send one of the two, or both.
    (LimitKind::Requests, "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    (LimitKind::Tokens, "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    (LimitKind::Requests, "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    (LimitKind::Tokens, "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
];

/// What is said. A header that cannot be read says nothing.
pub fn rate_limits(headers: &HeaderMap, now: SystemTime) -> Vec<RateLimit> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let limit = |(kind, remaining, reset): (LimitKind, &str, &str)| {
        let remaining = text(remaining)?.parse().ok();
        let reset = text(reset).and_then(|text| until(text, now));
        (remaining.is_some() || reset.is_some()).then_some(RateLimit { kind, remaining, reset })
    };
    HEADERS.into_iter().filter_map(limit).collect()
}

/// `6m0s`, plain seconds, or a time by RFC 3339 (Anthropic). A past one is now.
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    reset_after(text).or_else(|| {
        let time = humantime::parse_rfc3339(text).ok()?;
        Some(time.duration_since(now).unwrap_or(Duration::ZERO))
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{LimitKind, RateLimit, rate_limits};

    /// What is left, and milliseconds until the reset.
    type Expected = (LimitKind, Option<u64>, Option<u64>);

    fn check(headers: &[(&'static str, &'static str)], expected: &[Expected]) {
        let headers: HeaderMap = headers.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        let expected: Vec<RateLimit> =
            expected.iter().map(|&(kind, remaining, reset)| RateLimit { kind, remaining, reset: reset.map(Duration::from_millis) }).collect();
        // 2026-01-01T12:00:00Z
        assert_eq!(rate_limits(&headers, SystemTime::UNIX_EPOCH + Duration::from_hours(490_908)), expected);
    }

    #[test]
    fn every_providers_way_of_saying_it_is_understood() {
        let (requests, tokens) = (LimitKind::Requests, LimitKind::Tokens);
        check(&[], &[]);
        check(
            &[
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-remaining-tokens", "149984"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ],
            &[(requests, Some(59), Some(1000)), (tokens, Some(149_984), Some(360_000))],
        );
        check(
            &[("anthropic-ratelimit-requests-remaining", "0"), ("anthropic-ratelimit-requests-reset", "2026-01-01T12:00:30Z")],
            &[(requests, Some(0), Some(30_000))],
        );
        check(
            &[("anthropic-ratelimit-tokens-remaining", "7"), ("anthropic-ratelimit-tokens-reset", "2025-12-31T00:00:00Z")],
            &[(tokens, Some(7), Some(0))],
        );
        check(&[("x-ratelimit-remaining-tokens", "12")], &[(tokens, Some(12), None)]);
        check(&[("x-ratelimit-reset-tokens", "12")], &[]);
    }

    #[test]
    fn garbage_says_nothing() {
        check(&[("x-ratelimit-remaining-requests", "-1"), ("x-ratelimit-reset-requests", "soon")], &[]);
        check(&[("x-ratelimit-remaining-requests", "many"), ("x-ratelimit-reset-requests", "20ms")], &[(LimitKind::Requests, None, Some(20))]);
        check(&[("x-ratelimit-remaining-tokens", "99999999999999999999999")], &[]);
    }
}
