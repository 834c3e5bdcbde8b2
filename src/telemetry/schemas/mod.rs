//! Checks the arguments of tool calls against the JSON Schema that the request itself declared, on a thread of its own: traffic never waits for it,
//! and what it cannot keep up with or cannot check within bounds is counted. Nothing of schemas or arguments is told but whether they fit.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;

use super::{metrics::Metrics, queue::Queue, recent::Recent};
use crate::wire::Tools;

mod declared;
mod prepare;
#[cfg(test)]
mod tests;

/// The way in for the fuzz target.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// The stack of the thread that checks, in bytes.
    pub const STACK: usize = super::STACK;

    /// Checks one call.
    pub fn check(tools: &[u8], name: &str, arguments: &str) {
        super::Declared::default().check(Some(tools), name, Some(arguments));
    }
}

use declared::{Declared, Verdict};

/// Longest list of declared tools that is kept for the check, in bytes. Real ones have a few KiB.
const TOOLS_MAX: usize = 256 << 10;
/// Bytes of tools and arguments that may wait.
const QUEUE_MAX: usize = 4 << 20;
/// What a waiting item weighs beside its texts, in bytes.
const ITEM: usize = 256;
/// The thread's stack, in bytes: a check descends as deep as schema and arguments do, and both are bounded for it.
const STACK: usize = 16 << 20;

/// Tool calls of one answer, with the tools that its request declared.
pub struct CalledTools {
    /// Who called.
    pub agent: Option<Arc<str>>,
    /// What its request declared.
    pub tools: KeptTools,
    /// Names and arguments; `None` for arguments longer than was kept.
    pub calls: Vec<(String, Option<String>)>,
}

/// Tools that a request declares, kept as they stand in it.
#[derive(Clone)]
pub struct KeptTools(Option<Bytes>);

impl KeptTools {
    /// Keeps them, if the list is not too long: what is called of one that is cannot be checked.
    pub fn of(tools: Tools<'_>) -> Self {
        Self((tools.raw().len() <= TOOLS_MAX).then(|| Bytes::copy_from_slice(tools.raw())))
    }
}

impl fmt::Debug for KeptTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptTools({:?} bytes)", self.0.as_ref().map(Bytes::len))
    }
}

/// The side of those who have calls checked. The thread ends when it is dropped.
#[derive(Debug)]
pub(super) struct Schemas {
    queue: Arc<Queue<CalledTools>>,
    metrics: Arc<Metrics>,
}

impl Schemas {
    /// Starts the thread.
    pub(super) fn start(metrics: Arc<Metrics>, recent: Arc<Recent>) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(QUEUE_MAX));
        let (theirs, counting) = (Arc::clone(&queue), Arc::clone(&metrics));
        thread::Builder::new().name("pillion-schemas".to_owned()).stack_size(STACK).spawn(move || run(&theirs, &counting, &recent))?;
        Ok(Self { queue, metrics })
    }

    /// Has these calls checked some time soon, or counts them as skipped.
    pub(super) fn check(&self, called: CalledTools) {
        let weight = ITEM
            + called.tools.0.as_ref().map_or(0, Bytes::len)
            + called.calls.iter().map(|(name, arguments)| text(name, arguments.as_deref())).sum::<usize>();
        if self.queue.push(called, weight).is_err() {
            self.metrics.skipped("schema_queue");
        }
    }
}

fn text(name: &str, arguments: Option<&str>) -> usize {
    name.len() + arguments.map_or(0, str::len)
}

impl Drop for Schemas {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Checks until the queue is closed and empty. What panics (the validator is not ours) is counted and costs what was learnt so far.
fn run(queue: &Queue<CalledTools>, metrics: &Metrics, recent: &Recent) {
    while catch_unwind(AssertUnwindSafe(|| check_all(queue, metrics, recent))).is_err() {
        metrics.panicked();
    }
}

fn check_all(queue: &Queue<CalledTools>, metrics: &Metrics, recent: &Recent) {
    let mut declared = Declared::default();
    while let Some(waiting) = queue.take(1, Duration::ZERO) {
        for called in waiting {
            for (name, arguments) in &called.calls {
                match declared.check(called.tools.0.as_deref(), name, arguments.as_deref()) {
                    Verdict::Fits => {}
                    Verdict::Mismatch => {
                        metrics.schema_mismatch(called.agent.as_deref(), name);
                        recent.schema_mismatch(called.agent.as_ref(), name);
                    }
                    Verdict::Unchecked => metrics.skipped("schema"),
                }
            }
        }
    }
}

impl fmt::Debug for CalledTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CalledTools").field("agent", &self.agent).field("calls", &self.calls.len()).finish_non_exhaustive()
    }
}
