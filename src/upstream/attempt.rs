//! The clocks of one attempt while it waits for the reply's head.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::deadlines::Deadlines;
use crate::{body::UploadProgress, telemetry::names::Clock};

/// When an upload has no clock of its own, its end is still looked for this often.
const UPLOAD_LOOK: Duration = Duration::from_secs(30);

/// The clocks under which one attempt waits for its head.
#[derive(Debug)]
pub struct AttemptClocks<'a> {
    /// Those that run.
    pub deadlines: &'a mut Deadlines,
    /// What is passed on as it comes, and how long it may be silent.
    pub upload: Option<(Arc<UploadProgress>, Option<Duration>)>,
    /// Clocks that begin to run when the upload is done: set with `since` its end.
    pub after_upload: &'a [(Clock, Option<Duration>)],
}

impl AttemptClocks<'_> {
    pub(super) fn next(&mut self) -> Option<(Instant, Clock)> {
        if let Some((progress, silence)) = &self.upload {
            if !progress.is_done() {
                let look = (progress.last() + silence.unwrap_or(UPLOAD_LOOK), Clock::Upload);
                return Some(self.deadlines.next().map_or(look, |next| next.min_by_instant(look)));
            }
            let since = progress.last();
            for (clock, timeout) in self.after_upload {
                self.deadlines.set(*clock, since, *timeout);
            }
            self.upload = None;
        }
        self.deadlines.next()
    }

    /// Whether a clock that rang has been overtaken by events.
    pub(super) fn goes_on(&mut self, clock: Clock, connected: bool) -> bool {
        match (clock, &self.upload) {
            (Clock::Connect, _) if connected => {
                self.deadlines.stop(Clock::Connect);
                true
            }
            (Clock::Upload, Some((progress, silence))) => {
                silence.is_none_or(|silence| progress.is_done() || progress.last() + silence > Instant::now())
            }
            _ => false,
        }
    }
}

trait Earlier {
    fn min_by_instant(self, other: Self) -> Self;
}

impl Earlier for (Instant, Clock) {
    fn min_by_instant(self, other: Self) -> Self {
        if other.0 < self.0 { other } else { self }
    }
}
