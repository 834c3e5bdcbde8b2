//! What is asked and answered, kept for the span of its exchange where `telemetry.capture_content` says so, and nowhere else: neither metrics, log nor
//! admin pages ever see it. Kept as it came; what a span says of it is made on the exporter's thread.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use crate::wire;

mod redact;
mod shape;

pub(super) use shape::attributes;

/// All contents held at one time, of exchanges under way and of spans that wait, in bytes. Beyond it spans go without.
const HELD_MAX: usize = 64 << 20;
/// Text and reasoning of one answer that are kept, in bytes.
pub const ANSWER_MAX: usize = 64 << 10;

/// The contents of one exchange. Shows nothing of them when it is printed.
#[derive(Clone)]
pub struct Captured {
    /// The request's body; empty where it could not be read.
    body: Bytes,
    /// What was answered, once that is known.
    pub said: Option<wire::Contents>,
    _held: Arc<Held>,
}

/// What is held of all exchanges together, if contents are captured at all.
#[derive(Debug, Clone)]
pub(super) struct Capture {
    held: Option<Arc<AtomicUsize>>,
}

/// Bytes that are given back when dropped.
struct Held {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Capture {
    /// On or off.
    pub(super) fn new(on: bool) -> Self {
        Self { held: on.then(Arc::default) }
    }

    /// Whether contents are captured.
    pub(super) fn is_on(&self) -> bool {
        self.held.is_some()
    }

    /// Keeps a body, and room for its answer; `None` if there is no room.
    pub(super) fn keep(&self, body: &Bytes) -> Option<Captured> {
        let all = self.held.as_ref()?;
        let bytes = body.len() + ANSWER_MAX;
        let fits = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= HELD_MAX);
        all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Captured { body: body.clone(), said: None, _held: Arc::new(Held { all: Arc::clone(all), bytes }) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captured").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
