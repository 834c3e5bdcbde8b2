//! Which exchanges' spans are kept. Decided at the end, when it is known how the exchange went; metrics and the log count all of them.

use std::time::Duration;

use crate::telemetry::record::Record;

/// An exchange that took longer is slow, and kept.
/// A fixed bound, until the p99 of each model is known.
const SLOW: Duration = Duration::from_secs(10);

/// Whether an exchange's spans are kept. Failed and slow ones always are. Of the others, one with a parent follows the parent's decision, and one
/// without is kept for a share `sample` (0 to 1) of traces: by trace id, so that all exchanges of a trace fare alike.
pub(in crate::telemetry) fn is_kept(record: &Record, sample: f64) -> bool {
    if record.outcome.failed() || record.duration > SLOW {
        return true;
    }
    if record.trace.parent_id.is_some() {
        return record.trace.is_sampled();
    }
    let random = u32::try_from(record.trace.trace_id & u128::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(random) / 4_294_967_296.0 < sample
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::is_kept;
    use crate::telemetry::{fixture::record, names::Outcome, record::Record, trace::TraceContext};

    fn ordinary(trace: TraceContext) -> Record {
        Record { trace, ..record() }
    }

    #[test]
    fn failed_and_slow_exchanges_are_kept_whatever_the_parent_and_the_share_say() {
        let out = TraceContext { parent_id: Some(1), flags: 0, ..TraceContext::new_root() };
        assert!(is_kept(&Record { outcome: Outcome::Cut, ..ordinary(out) }, 0.0));
        assert!(is_kept(&Record { duration: Duration::from_secs(11), ..ordinary(out) }, 0.0));
        assert!(!is_kept(&ordinary(out), 1.0));
        assert!(!is_kept(&Record { outcome: Outcome::Cancelled, ..ordinary(out) }, 1.0));
    }

    #[test]
    fn a_parent_that_was_recorded_keeps_its_children() {
        assert!(is_kept(&ordinary(TraceContext { parent_id: Some(1), flags: 1, ..TraceContext::new_root() }), 0.0));
    }

    #[test]
    fn traces_without_a_parent_are_kept_by_their_share() {
        let kept = |sample: f64| (0..10_000).filter(|_| is_kept(&ordinary(TraceContext::new_root()), sample)).count();
        assert_eq!((kept(0.0), kept(1.0)), (0, 10_000));
        // Binomial(10,000, 0.25) has a standard deviation of 43: this is eight of them.
        assert!((2150..2850).contains(&kept(0.25)));
    }
}
