//! The latest exchange of each bucket, by its trace: from a point on a graph to what happened. An exemplar is kept only where its trace is kept, too.
//! Keeping one never waits: where another thread is at the same bucket, or a scrape, it is left out.

use std::{
    cell::Cell,
    sync::{Mutex, OnceLock, PoisonError},
    time::SystemTime,
};

/// Where an exchange can be looked up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trace {
    /// Its trace.
    pub(crate) id: u128,
    /// Its span in there; `None` where only the agent's own spans are kept.
    pub(crate) span_id: Option<u64>,
    /// When it ended.
    pub(crate) at: SystemTime,
}

/// One value, and the exchange that it was measured of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exemplar {
    pub(super) value: f64,
    pub(super) trace: Trace,
}

/// Of one histogram: a place for each bucket, made with the first that is kept.
#[derive(Debug, Default)]
pub(super) struct Exemplars(OnceLock<Box<[Mutex<Option<Exemplar>>]>>);

thread_local! {
    /// The exchange whose record is being turned into samples on this thread. Here and not an argument, so that what observes a value need not know.
    static CURRENT: Cell<Option<Trace>> = const { Cell::new(None) };
}

/// Values observed in `observe`, on this thread, are those of this trace.
pub(super) fn of_trace(trace: Option<Trace>, observe: impl FnOnce()) {
    /// Takes it away again even when `observe` panics.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            CURRENT.set(None);
        }
    }
    let _reset = Reset;
    CURRENT.set(trace);
    observe();
}

impl Exemplars {
    /// A value fell into this one of so many buckets.
    pub(super) fn observed(&self, value: f64, bucket: usize, buckets: usize) {
        let Some(trace) = CURRENT.get() else { return };
        let places = self.0.get_or_init(|| (0..buckets).map(|_| Mutex::new(None)).collect());
        if let Some(Ok(mut place)) = places.get(bucket).map(Mutex::try_lock) {
            *place = Some(Exemplar { value, trace });
        }
    }

    /// As they stand, the infinite bucket's last; `None` where none was ever kept.
    pub(super) fn read(&self) -> Option<Vec<Option<Exemplar>>> {
        let places = self.0.get()?;
        Some(places.iter().map(|place| *place.lock().unwrap_or_else(PoisonError::into_inner)).collect())
    }
}
