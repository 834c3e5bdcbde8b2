//! The clocks of a body that flows: how long it may be silent, and when it must have ended. The timer is set only while there is nothing to
//! read, and not anew for each frame.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::telemetry::names::Clock;

/// The clocks of one body.
#[derive(Debug)]
pub(super) struct Silence {
    /// Longest silence, and whose limit that is.
    gap: Option<(Duration, Clock)>,
    /// When it must have ended.
    end: Option<(Instant, Clock)>,
    last: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    /// From `now` on.
    pub(super) fn new(gap: Option<(Duration, Clock)>, end: Option<(Instant, Clock)>, now: Instant) -> Self {
        Self { gap, end, last: now, sleep: None }
    }

    /// Bytes have come; how long there were none.
    pub(super) fn broken(&mut self, now: Instant) -> Duration {
        now - std::mem::replace(&mut self.last, now)
    }

    /// The longest silence that is waited for.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.gap.map(|(gap, _)| gap)
    }

    /// Nothing can be read: ready with the clock that has fired.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Clock> {
        loop {
            let gap = self.gap.and_then(|(gap, clock)| Some((self.last.checked_add(gap)?, clock)));
            let Some((at, clock)) = gap.into_iter().chain(self.end).min_by_key(|(at, _)| *at) else { return Poll::Pending };
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if sleep.deadline() > at {
                sleep.as_mut().reset(at);
            }
            std::task::ready!(sleep.as_mut().poll(cx));
            if at <= Instant::now() {
                return Poll::Ready(clock);
            }
            sleep.as_mut().reset(at);
        }
    }
}
