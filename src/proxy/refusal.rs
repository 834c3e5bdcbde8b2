//! Every way to say no, in one table: status, outcome, whether the agent's SDK should try again; and the answer in the caller's own dialect.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{
    context::TooLarge,
    telemetry::names::{Clock, Outcome, Reason},
    upstream::Failure,
    wire::{self, CONTEXT_LENGTH_EXCEEDED, Dialect, ErrorShape, Excess},
};

/// An answer of our own.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Why.
    pub reason: Reason,
    /// For the person who reads the traceback. One or two sentences that end without a full stop's need of context.
    pub message: String,
    /// The clock that fired, if one did.
    pub clock: Option<Clock>,
    /// When to come back, where that is worth saying.
    pub retry_after: Option<Duration>,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    status: StatusCode,
    outcome: Outcome,
    should_retry: bool,
}

fn rule(reason: Reason) -> Rule {
    let row = |status, outcome, should_retry| Rule { status, outcome, should_retry };
    match reason {
        Reason::TimeoutConnect
        | Reason::TimeoutFirstByte
        | Reason::TimeoutFirstToken
        | Reason::TimeoutTotal
        | Reason::TimeoutUpload
        | Reason::TimeoutAgent
        | Reason::TimeoutIdle => row(StatusCode::GATEWAY_TIMEOUT, Outcome::Timeout, false),
        Reason::TimeoutReader => row(StatusCode::GATEWAY_TIMEOUT, Outcome::Cancelled, false),
        Reason::ConnectionRefused | Reason::ConnectionReset | Reason::Dns | Reason::Tls | Reason::BadResponse | Reason::StreamError => {
            row(StatusCode::BAD_GATEWAY, Outcome::UpstreamError, false)
        }
        Reason::StreamCut => row(StatusCode::BAD_GATEWAY, Outcome::Cut, false),
        Reason::Draining | Reason::Overloaded => row(StatusCode::SERVICE_UNAVAILABLE, Outcome::Refused, true),
        Reason::NoRoute => row(StatusCode::NOT_FOUND, Outcome::Refused, false),
        Reason::Host => row(StatusCode::MISDIRECTED_REQUEST, Outcome::Refused, false),
        Reason::Origin => row(StatusCode::FORBIDDEN, Outcome::Refused, false),
        Reason::UriTooLong => row(StatusCode::URI_TOO_LONG, Outcome::Refused, false),
        Reason::BodyTooLarge => row(StatusCode::PAYLOAD_TOO_LARGE, Outcome::Refused, false),
        Reason::ProxyLoop => row(StatusCode::LOOP_DETECTED, Outcome::Refused, false),
        Reason::ContextTooLarge | Reason::Framing | Reason::SlowHead => row(StatusCode::BAD_REQUEST, Outcome::Refused, false),
        Reason::Panic => row(StatusCode::INTERNAL_SERVER_ERROR, Outcome::Refused, true),
    }
}

impl Refusal {
    /// A refusal with its message.
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), clock: None, retry_after: None }
    }

    /// Pillion is being stopped.
    pub(super) fn draining() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                Reason::Draining,
                "Pillion is shutting down and could not finish this request within its grace period (server.grace). Try again",
            )
        }
    }

    /// A prompt does not fit its model's window, and cannot be made to: said as the provider itself would say it.
    pub(super) fn too_large(large: &TooLarge, dialect: Option<Dialect>) -> Self {
        let TooLarge { tokens, least, window, answer } = *large;
        let excess = Excess { prompt: tokens, least, window, answer };
        Self::new(Reason::ContextTooLarge, excess.message(dialect))
    }

    /// An attempt failed and is not repeated. `attempts` were made, of which this was the last.
    pub(super) fn failed(failure: &Failure, upstream: &str, attempts: usize, limit: Option<Duration>, elapsed: Duration) -> Self {
        let message = if let Some(clock) = failure.clock {
            timed_out(clock, &failure.detail, limit, attempts)
        } else {
            format!("Upstream {upstream}: {}. Tried {}, {elapsed:.1?} in all{}", failure.detail, times(attempts), advice(failure.reason))
        };
        Self { reason: failure.reason, message, clock: failure.clock, retry_after: None }
    }

    /// A clock fired while an opened stream was still held.
    pub(super) fn timed_out(clock: Clock, detail: &str, limit: Option<Duration>, attempts: usize) -> Self {
        Self { clock: Some(clock), ..Self::new(Reason::of_clock(clock), timed_out(clock, detail, limit, attempts)) }
    }

    /// How an exchange that ends so is counted.
    pub(super) fn outcome(&self) -> Outcome {
        rule(self.reason).outcome
    }

    /// The answer, in the dialect's own error shape.
    pub(super) fn answer(&self, dialect: Option<Dialect>, exchange: &str) -> Response<Bytes> {
        let rule = rule(self.reason);
        let code = match self.reason {
            Reason::ContextTooLarge => CONTEXT_LENGTH_EXCEEDED,
            reason => reason.as_str(),
        };
        let shape = ErrorShape { status: rule.status.as_u16(), code, message: &self.message, exchange };
        let (content_type, body) = wire::error_body(dialect, &shape);
        let mut response = Response::new(body);
        *response.status_mut() = rule.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("x-pillion-refusal", HeaderValue::from_static(self.reason.as_str()));
        headers.insert("x-should-retry", HeaderValue::from_static(if rule.should_retry { "true" } else { "false" }));
        if let Some(wait) = self.retry_after {
            headers.insert("retry-after-ms", HeaderValue::from(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

/// Which clock, at which hop, how long, how many attempts, and what to change.
fn timed_out(clock: Clock, detail: &str, limit: Option<Duration>, attempts: usize) -> String {
    let within = limit.map_or_else(String::new, |limit| format!(" within {limit:?}"));
    let (name, change) = match clock {
        Clock::Connect => ("timeouts.connect", "Check that the upstream is reachable from here, or raise it"),
        Clock::FirstByte => ("timeouts.first_byte", "Raise it if the model is this slow to begin"),
        Clock::FirstToken => ("timeouts.first_token", "Raise it if the model is this slow to begin, or send a shorter prompt"),
        Clock::Idle => ("timeouts.idle", "Raise it if such pauses are usual for this model"),
        Clock::Total | Clock::Queue => ("timeouts.total", "Raise it, ask for a shorter answer, or stream it"),
        Clock::Upload => ("timeouts.upload", "The agent stalled while it sent its request, or the upstream took none of it"),
        Clock::Reader => ("timeouts.reader", "The agent stopped reading"),
        Clock::Agent => (
            "the agent's own timeout (its SDK's, or x-pillion-timeout), less a margin",
            "Raise the timeout of the agent's client: the model needs longer than that",
        ),
    };
    let mut message = format!("Timed out ({}): {detail}{within}", Reason::of_clock(clock).as_str());
    // Writing to a string cannot fail.
    let _ = write!(message, ", in {}. The limit is {name}. {change}", times(attempts));
    message
}

fn times(attempts: usize) -> String {
    if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") }
}

fn advice(reason: Reason) -> &'static str {
    match reason {
        Reason::ConnectionRefused => ". Is it running, and is its URL right?",
        Reason::Dns => ". Is the host name right, and does this machine resolve it?",
        Reason::Tls => ". Is it an https upstream, and is its certificate one that this machine trusts (upstreams.NAME.ca)?",
        Reason::BadResponse => ". Is the URL that of an HTTP server (http or https)?",
        _ => ". It may be overloaded or restarting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timeout_is_a_504_that_sdks_do_not_retry() {
        for clock in [Clock::Connect, Clock::FirstByte, Clock::FirstToken, Clock::Total, Clock::Upload, Clock::Agent] {
            let refusal = Refusal::timed_out(clock, "no reply from example.com", Some(Duration::from_secs(2)), 1);
            let response = refusal.answer(Some(Dialect::OpenaiChat), "t-s");
            assert_eq!(response.status(), 504, "{clock:?}");
            assert_eq!(response.headers()["x-should-retry"], "false");
            assert_eq!(response.headers()["x-pillion-refusal"], refusal.reason.as_str());
            assert_eq!(refusal.outcome(), Outcome::Timeout);
            assert!(refusal.message.contains("within 2s") && refusal.message.contains("1 attempt"), "{}", refusal.message);
        }
    }

    #[test]
    fn a_refusal_that_may_be_retried_says_when_in_both_units() {
        let response = Refusal::draining().answer(None, "t-s");
        assert_eq!(response.status(), 503);
        assert_eq!((&response.headers()["retry-after-ms"], &response.headers()["retry-after"]), (&HeaderValue::from(1000), &HeaderValue::from(1)));
        assert_eq!(response.headers()["x-should-retry"], "true");
    }
}
