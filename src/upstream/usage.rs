//! Whether an upstream may be asked for the token counts of a stream: one that has refused to be is not asked again for a while.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};

use crate::wire::Dialect;

/// How long a refusal counts. A server that is replaced by one that knows the option is asked again after this; one that still does not is asked
/// once in this time, which costs one round trip.
const REFUSED_FOR: Duration = Duration::from_hours(1);

/// What is remembered of one upstream: until when it is not asked, by each of the two dialects that know the option.
#[derive(Debug, Default)]
pub struct UsageAsked {
    refused: Mutex<[Option<Instant>; 2]>,
}

impl UsageAsked {
    /// Whether it may be asked.
    pub fn may_be(&self, dialect: Dialect, now: Instant) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)[place(dialect)].is_none_or(|until| until <= now)
    }

    /// It has refused, and answered when it was not asked.
    pub fn refused(&self, dialect: Dialect, now: Instant) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)[place(dialect)] = Some(now + REFUSED_FOR);
    }
}

fn place(dialect: Dialect) -> usize {
    usize::from(dialect == Dialect::OpenaiCompletions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_for_its_dialect_and_not_for_ever() {
        let (asked, now) = (UsageAsked::default(), Instant::now());
        assert!(asked.may_be(Dialect::OpenaiChat, now));
        asked.refused(Dialect::OpenaiChat, now);
        assert!(!asked.may_be(Dialect::OpenaiChat, now + REFUSED_FOR / 2));
        assert!(asked.may_be(Dialect::OpenaiCompletions, now));
        assert!(asked.may_be(Dialect::OpenaiChat, now + REFUSED_FOR));
    }
}
