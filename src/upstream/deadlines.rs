//! The clocks of one exchange, as instants. Each is set once; whichever comes first is the one that is named.
//!
//! ```text
//!  head arrived   body held         attempt            reply's head      first content          last byte
//!  ├──────────────┼─ ─ ─ ─ ─ ─ ─ ─ ─┼─ connect ─┤       │                 │                      │
//!                                   ├─ first_byte ──────┤ (streamed calls)│                      │
//!                                   ├─ first_token ───────────────────────┤ (streamed calls)     │
//!  ├─ total ────────────────────────────────────────────────────────────┤ ├ idle ┤├ idle ┤ …    │
//!  ├─ stream_total (if set) ────────────────────────────────────────────────────────────────────┤
//!                 ├─ agent: what the agent's SDK waits, less a margin ─┤  ├ gap ─┤├ gap ─┤ (Python)
//! ```

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::{config::Timeouts, telemetry::names::Clock};

/// How long the agent will wait, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentLimit {
    /// What it said.
    pub limit: Duration,
    /// Whether it is a limit of each read (Python's SDKs), not of the whole.
    pub per_read: bool,
    /// Whether it said whole seconds and meant up to one less (google-genai rounds up).
    pub rounded_up: bool,
}

impl AgentLimit {
    /// From `x-pillion-timeout` (`30s`), else the SDK's headers, all in seconds: `x-stainless-read-timeout` (per read), `x-stainless-timeout`, `x-server-timeout`.
    /// What is not a positive number (`NOT_GIVEN`) is no limit.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let seconds = |name: &str| text(name).and_then(|text| text.parse::<f64>().ok()).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let own = text("x-pillion-timeout").and_then(|text| humantime::parse_duration(text).ok());
        let whole = |limit| Self { limit, per_read: false, rounded_up: false };
        own.map(whole)
            .or_else(|| seconds("x-stainless-read-timeout").map(|limit| Self { per_read: true, ..whole(limit) }))
            .or_else(|| seconds("x-stainless-timeout").map(whole))
            .or_else(|| seconds("x-server-timeout").map(|limit| Self { rounded_up: true, ..whole(limit) }))
            .filter(|limit| !limit.limit.is_zero())
    }

    /// When Pillion answers: a margin of a twentieth before the agent would hang up, at least 50 ms, at most 1 s, and 1 s if the limit was
    /// rounded up; but half of tiny limits.
    pub fn less_margin(self) -> Duration {
        let least = if self.rounded_up { Duration::from_secs(1) } else { Duration::from_millis(50) };
        let margin = (self.limit / 20).clamp(least, Duration::from_secs(1)).min(self.limit / 2);
        self.limit.saturating_sub(margin)
    }
}

/// The instants at which one attempt, or the waiting for its first token, is given up.
#[derive(Debug, Clone, Default)]
pub struct Deadlines {
    at: Vec<(Instant, Clock)>,
}

impl Deadlines {
    /// Those of the whole exchange: `total`, and the agent's own limit.
    pub fn of_exchange(timeouts: &Timeouts, begun: Instant, agent: Option<(AgentLimit, Instant)>) -> Self {
        let mut deadlines = Self { at: Vec::with_capacity(5) };
        deadlines.set(Clock::Total, begun, timeouts.total);
        if let Some((limit, since)) = agent {
            deadlines.set(Clock::Agent, since, Some(limit.less_margin()));
        }
        deadlines
    }

    /// Adds a clock that fires `timeout` after `since`; `None` adds none.
    pub fn set(&mut self, clock: Clock, since: Instant, timeout: Option<Duration>) {
        // A timeout beyond what an `Instant` can hold is none.
        if let Some(at) = timeout.and_then(|timeout| since.checked_add(timeout)) {
            self.at.push((at, clock));
        }
    }

    /// Stops a clock.
    pub fn stop(&mut self, clock: Clock) {
        self.at.retain(|(_, other)| *other != clock);
    }

    /// The attempt is over: only the clocks that all attempts share run on.
    pub fn end_attempt(&mut self) {
        self.at.retain(|(_, clock)| matches!(clock, Clock::Total | Clock::Agent));
    }

    /// The one that fires first.
    pub fn next(&self) -> Option<(Instant, Clock)> {
        self.at.iter().copied().min_by_key(|(at, _)| *at)
    }

    /// Whether something that ends at `instant` ends in time.
    pub fn allows(&self, instant: Instant) -> bool {
        self.next().is_none_or(|(at, _)| instant < at)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn check(headers: &[(&'static str, &'static str)], expected: Option<(f64, bool)>) {
        let map = headers.iter().map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value))).collect();
        let said = AgentLimit::of(&map).map(|said| (said.limit.as_secs_f64(), said.per_read));
        assert_eq!(said, expected, "{headers:?}");
    }

    #[test]
    fn the_agents_limit_is_read_from_what_sdks_send() {
        check(&[], None);
        check(&[("x-stainless-read-timeout", "7.5")], Some((7.5, true)));
        check(&[("x-stainless-read-timeout", "600"), ("x-stainless-timeout", "NOT_GIVEN")], Some((600.0, true)));
        check(&[("x-stainless-timeout", "NOT_GIVEN")], None);
        check(&[("x-stainless-timeout", "42")], Some((42.0, false)));
        check(&[("x-server-timeout", "8")], Some((8.0, false)));
        check(&[("x-pillion-timeout", "250ms"), ("x-stainless-read-timeout", "600")], Some((0.25, false)));
        for odd in ["-1", "0", "nan", "inf", "1e400", "", "7,5"] {
            check(&[("x-stainless-read-timeout", odd)], None);
        }
    }

    #[test]
    fn pillion_answers_a_margin_before_the_agent_hangs_up() {
        for (limit, answered) in [(600_000, 599_000), (10_000, 9_500), (500, 450), (60, 30), (2, 1)] {
            let limit = AgentLimit { limit: Duration::from_millis(limit), per_read: true, rounded_up: false };
            assert_eq!(limit.less_margin(), Duration::from_millis(answered), "{limit:?}");
        }
    }

    /// google-genai says 8 where its user said 7.5: an answer after 7.6 s would find nobody.
    #[test]
    fn a_limit_that_was_rounded_up_is_answered_before_the_one_that_was_meant() {
        for (meant, said, answered) in [(600.0, "600", 599_000), (7.5, "8", 7000), (8.0, "8", 7000), (1.5, "2", 1000), (0.6, "1", 500)] {
            let map = HeaderMap::from_iter([(HeaderName::from_static("x-server-timeout"), http::HeaderValue::from_static(said))]);
            let limit = AgentLimit::of(&map).unwrap();
            assert_eq!(limit.less_margin(), Duration::from_millis(answered), "{meant}");
            assert!(limit.less_margin().as_secs_f64() < meant, "{meant}");
        }
    }

    #[test]
    fn the_clock_that_fires_first_is_the_one_named() {
        let now = Instant::now();
        let timeouts = Timeouts { total: Some(Duration::from_secs(10)), ..Timeouts::default() };
        let limit = AgentLimit { limit: Duration::from_secs(4), per_read: true, rounded_up: false };
        let mut deadlines = Deadlines::of_exchange(&timeouts, now, Some((limit, now)));
        deadlines.set(Clock::FirstByte, now, Some(Duration::from_secs(2)));
        deadlines.set(Clock::Idle, now, None);
        assert_eq!(deadlines.next(), Some((now + Duration::from_secs(2), Clock::FirstByte)));
        deadlines.stop(Clock::FirstByte);
        assert_eq!(deadlines.next(), Some((now + Duration::from_millis(3800), Clock::Agent)));
        assert!(deadlines.allows(now + Duration::from_secs(3)));
        assert!(!deadlines.allows(now + Duration::from_secs(4)));
    }
}
