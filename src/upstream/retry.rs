//! What is worth a retry, and how long to wait before it. Pure: the jitter's draw and the clock's reading are arguments.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use crate::{config::Retries, wire::ReplyError};

/// What a failed reply says of another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Try again after the stated wait, or after our own back-off.
    Retry(Option<Duration>),
    /// Worth a retry, but only after a wait longer than `retries.retry_after_max`.
    TooLong(Duration),
    /// Not worth it.
    Final,
}

/// Whether a status is transient: 408, 425, 429, 500, 502, 503, 504, 529.
pub fn retryable_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504 | 529)
}

/// What a reply with this status and these headers says. `error` is what its body told, where it was read: an exhausted quota is not transient.
pub fn advice(status: u16, headers: &HeaderMap, error: Option<&ReplyError>, retries: &Retries, now: SystemTime) -> Advice {
    let exhausted = status == 429 && error.is_some_and(is_exhausted);
    let worth = match headers.get("x-should-retry").map(http::HeaderValue::as_bytes) {
        Some(b"true") => true,
        Some(b"false") => false,
        _ => retryable_status(status) && !exhausted,
    };
    if !worth {
        return Advice::Final;
    }
    match stated_wait(headers, now) {
        Some(wait) if wait > retries.retry_after_max => Advice::TooLong(wait),
        wait => Advice::Retry(wait),
    }
}

/// A quota that waiting does not refill: the account's, not the minute's.
fn is_exhausted(error: &ReplyError) -> bool {
    let says =
        |word: Option<&str>| matches!(word, Some("insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" | "quota_exceeded"));
    says(error.code.as_deref()) || says(error.kind.as_deref())
}

/// The wait that a reply asks for: `retry-after-ms`, else `retry-after` (seconds or one of HTTP's three date formats, RFC 9110 §10.2.3), else, on 429, the
/// `x-ratelimit-reset-*` of a limit of which nothing remains. A past date is no wait; what cannot be read is not stated.
pub fn stated_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        only.to_str().ok().map(str::trim)
    };
    text("retry-after-ms").and_then(milliseconds).or_else(|| text("retry-after").and_then(|value| retry_after(value, now))).or_else(|| {
        let spent = |kind: &str| text(&format!("x-ratelimit-remaining-{kind}")) == Some("0");
        let reset = |kind: &str| spent(kind).then(|| text(&format!("x-ratelimit-reset-{kind}"))).flatten().and_then(reset_after);
        reset("requests").max(reset("tokens"))
    })
}

fn milliseconds(text: &str) -> Option<Duration> {
    let milliseconds = text.parse::<f64>().ok()?;
    seconds_of(milliseconds / 1000.0)
}

fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_of(seconds);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

/// `1s`, `6m0s`, `20ms` (OpenAI), or plain seconds.
pub(super) fn reset_after(text: &str) -> Option<Duration> {
    text.parse::<f64>().map_or_else(|_| humantime::parse_duration(text).ok(), seconds_of)
}

/// Negative and non-finite seconds are garbage; more than a century is a century.
fn seconds_of(seconds: f64) -> Option<Duration> {
    const CENTURY: f64 = 3.2e9;
    if !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(seconds.min(CENTURY)).ok()
}

/// Our own waits: full jitter under a bound that doubles.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
}

impl Backoff {
    /// By the config.
    pub fn of(retries: &Retries) -> Self {
        Self { initial: retries.backoff_initial, max: retries.backoff_max }
    }

    /// For connections that were never made: nothing was asked of the upstream, so a tenth of the wait.
    pub fn shortened(self) -> Self {
        Self { initial: self.initial / 10, max: self.max / 10 }
    }

    /// The wait before retry number `retry` (from 0); `draw` is uniform in 0..1.
    pub fn wait(self, retry: u32, draw: f64) -> Duration {
        let doubled = self.initial.saturating_mul(2_u32.saturating_pow(retry.min(20)));
        doubled.min(self.max).mul_f64(draw.clamp(0.0, 1.0))
    }

    /// The wait before a retry whose reply stated one: that, and a jitter of up to a tenth (at most 250 ms) on top, so that agents told the same do not come back as one.
    pub fn stated(wait: Duration, draw: f64) -> Duration {
        wait + (wait / 10).clamp(Duration::from_millis(5), Duration::from_millis(250)).mul_f64(draw.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests;
