//! Which exchanges' spans are kept. Decided at the end, when it is known how the exchange went; metrics and the log count all of them.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use crate::telemetry::record::Record;

/// What is slow before it is known what is usual for a model, and for models beyond [`MODELS_MAX`].
const SLOW: Duration = Duration::from_secs(10);
/// Good exchanges of a model before its p99 means anything: one in a hundred.
const SAMPLES_MIN: u32 = 100;
/// With so many, all counts are halved: the older half weighs half, and so on, so that the p99 follows the model.
const SAMPLES_MAX: u32 = 8192;
/// How often the p99 is worked out anew, in exchanges.
const EVERY: u32 = 32;
/// Models whose durations are followed, in the order of their arrival.
const MODELS_MAX: usize = 128;
/// Steps of the histogram of durations; each is an eighth of an octave, 9 %, so that the p99 is known to so much.
const STEPS: u8 = 160;

/// Upper bounds of the histogram's steps, from 1 ms to 17 min.
static BOUNDS: LazyLock<Vec<Duration>> =
    LazyLock::new(|| (0..STEPS).map(|step| Duration::from_secs_f64(0.001 * (f64::from(step) / 8.0).exp2())).collect());

/// Decides.
#[derive(Debug)]
pub(in crate::telemetry) struct Sampling {
    share: f64,
    models: Mutex<HashMap<Box<str>, Durations>>,
}

impl Sampling {
    /// Keeps a share (0 to 1) of ordinary traces.
    pub(in crate::telemetry) fn new(share: f64) -> Self {
        Self { share, models: Mutex::default() }
    }

    /// Whether an exchange's spans are kept. Those of failed, slow (over the p99 of their model) and looping ones always are. Of the others, one with a
    /// parent follows the parent's decision, and one without is kept by the share: by trace id, so that all exchanges of a trace fare alike.
    pub(in crate::telemetry) fn is_kept(&self, record: &Record) -> bool {
        // Asked in any case: it learns.
        let slow = self.is_slow(record);
        if slow || record.outcome.failed() || record.looping {
            return true;
        }
        if record.trace.parent_id.is_some() {
            return record.trace.is_sampled();
        }
        self.keeps_trace(record.trace.trace_id)
    }

    /// Whether an ordinary trace without a parent is kept.
    pub(in crate::telemetry) fn keeps_trace(&self, trace_id: u128) -> bool {
        let random = u32::try_from(trace_id & u128::from(u32::MAX)).unwrap_or(u32::MAX);
        f64::from(random) / 4_294_967_296.0 < self.share
    }

    /// Whether it took longer than 99 of 100 of its model's good exchanges.
    fn is_slow(&self, record: &Record) -> bool {
        let Some(model) = record.call.model.as_deref() else { return record.duration > SLOW };
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if !models.contains_key(model) {
            if models.len() >= MODELS_MAX {
                return record.duration > SLOW;
            }
            models.insert(model.into(), Durations::new());
        }
        let Some(durations) = models.get_mut(model) else { return false };
        let slow = record.duration > durations.slow;
        if !record.outcome.failed() {
            durations.add(record.duration);
        }
        slow
    }
}

/// How long a model's good exchanges took.
#[derive(Debug)]
struct Durations {
    /// Of each step, and what is beyond.
    counts: Vec<u32>,
    total: u32,
    /// Until the p99 is worked out anew.
    due: u32,
    /// Longer is slow.
    slow: Duration,
}

impl Durations {
    fn new() -> Self {
        Self { counts: vec![0; usize::from(STEPS) + 1], total: 0, due: SAMPLES_MIN, slow: SLOW }
    }

    fn add(&mut self, duration: Duration) {
        let step = BOUNDS.partition_point(|bound| *bound < duration);
        if let Some(count) = self.counts.get_mut(step) {
            *count += 1;
            self.total += 1;
        }
        self.due -= 1;
        if self.due > 0 {
            return;
        }
        self.due = EVERY;
        self.slow = self.p99();
        if self.total >= SAMPLES_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    /// The upper bound of the step in which it is; without end where it is beyond all.
    fn p99(&self) -> Duration {
        let beyond = self.total / 100;
        let mut seen = 0;
        let step = self.counts.iter().position(|count| {
            seen += count;
            seen >= self.total - beyond
        });
        step.and_then(|step| BOUNDS.get(step).copied()).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MODELS_MAX, Sampling};
    use crate::telemetry::{fixture::record, names::Outcome, record::Record, trace::TraceContext};

    fn ordinary(trace: TraceContext) -> Record {
        Record { trace, ..record() }
    }

    fn out() -> TraceContext {
        TraceContext { parent_id: Some(1), flags: 0, ..TraceContext::new_root() }
    }

    #[test]
    fn failed_slow_and_looping_exchanges_are_kept_whatever_the_parent_and_the_share_say() {
        let is_kept = |record: &Record, share| Sampling::new(share).is_kept(record);
        assert!(is_kept(&Record { outcome: Outcome::Cut, ..ordinary(out()) }, 0.0));
        assert!(is_kept(&Record { duration: Duration::from_secs(11), ..ordinary(out()) }, 0.0));
        assert!(is_kept(&Record { looping: true, ..ordinary(out()) }, 0.0));
        assert!(!is_kept(&ordinary(out()), 1.0));
        assert!(!is_kept(&Record { outcome: Outcome::Cancelled, ..ordinary(out()) }, 1.0));
    }

    #[test]
    fn a_parent_that_was_recorded_keeps_its_children() {
        assert!(Sampling::new(0.0).is_kept(&ordinary(TraceContext { parent_id: Some(1), flags: 1, ..TraceContext::new_root() })));
    }

    #[test]
    fn what_runs_within_a_tool_of_ours_fares_as_its_trace_does() {
        let within = |trace| Record { within: Some(7), ..ordinary(trace) };
        let sampling = Sampling::new(0.5);
        for _ in 0..100 {
            let trace = TraceContext::new_root();
            assert_eq!(sampling.is_kept(&within(trace)), sampling.is_kept(&ordinary(TraceContext { span_id: 5, ..trace })));
        }
    }

    #[test]
    fn traces_without_a_parent_are_kept_by_their_share() {
        let kept = |share: f64| {
            let sampling = Sampling::new(share);
            (0..10_000).filter(|_| sampling.is_kept(&ordinary(TraceContext::new_root()))).count()
        };
        assert_eq!((kept(0.0), kept(1.0)), (0, 10_000));
        // Binomial(10,000, 0.25) has a standard deviation of 43: this is eight of them.
        assert!((2150..2850).contains(&kept(0.25)));
    }

    fn lasting(sampling: &Sampling, model: &str, milliseconds: u64) -> bool {
        let mut record = ordinary(out());
        record.call.model = Some(model.to_owned());
        record.duration = Duration::from_millis(milliseconds);
        sampling.is_kept(&record)
    }

    #[test]
    fn slow_is_what_is_beyond_the_p99_of_its_own_model() {
        let sampling = Sampling::new(0.0);
        // From 10 to 1000 ms, evenly, in no order.
        let evenly = (0..2000_u64).map(|index| 10 + index * 379 % 991);
        let kept = evenly.filter(|&milliseconds| lasting(&sampling, "quick", milliseconds)).count();
        assert!(kept <= 20, "{kept}");
        assert!(!lasting(&sampling, "quick", 980) && lasting(&sampling, "quick", 1100));
        for _ in 0..200 {
            lasting(&sampling, "thinker", 60_000);
        }
        assert!(!lasting(&sampling, "thinker", 60_000) && lasting(&sampling, "thinker", 66_000));
    }

    #[test]
    fn before_a_hundred_exchanges_slow_is_a_fixed_bound() {
        let sampling = Sampling::new(0.0);
        for _ in 0..98 {
            assert!(!lasting(&sampling, "new", 20));
        }
        assert!(!lasting(&sampling, "new", 9_000) && !lasting(&sampling, "new", 20));
        assert!(lasting(&sampling, "new", 9_000), "a hundred have come");
        assert!(lasting(&sampling, "newer", 11_000));
    }

    #[test]
    fn what_is_usual_follows_the_model() {
        let sampling = Sampling::new(0.0);
        for _ in 0..10_000 {
            lasting(&sampling, "m", 100);
        }
        assert!(lasting(&sampling, "m", 1000));
        let kept = (0..10_000).filter(|_| lasting(&sampling, "m", 1000)).count();
        assert!(!lasting(&sampling, "m", 1000) && kept < 200, "{kept}");
    }

    #[test]
    fn failures_do_not_count_as_usual() {
        let sampling = Sampling::new(0.0);
        for _ in 0..500 {
            assert!(sampling.is_kept(&Record { outcome: Outcome::Timeout, duration: Duration::from_mins(10), ..ordinary(out()) }));
            lasting(&sampling, "gpt-4o", 50);
        }
        assert!(lasting(&sampling, "gpt-4o", 60));
    }

    #[test]
    fn any_number_of_models_takes_bounded_room() {
        let sampling = Sampling::new(0.0);
        for index in 0..10_000 {
            lasting(&sampling, &format!("m{index}"), 20);
        }
        assert_eq!(sampling.models.lock().unwrap().len(), MODELS_MAX);
        assert!(!lasting(&sampling, "m9999", 9_000) && lasting(&sampling, "m9999", 11_000));
    }
}
