//! Every task of the program, and how they end: told to finish, given a grace period, then cut.
//!
//! ```text
//!  serving ──SIGTERM──▶ leaving: /readyz says no, all else goes on
//!                          │ drain_delay
//!                          ▼
//!                       draining: no new connections, no keep-alive, no new attempts
//!                          │ all exchanges done, or the grace period is over
//!                          ▼
//!                       cutting: what waits is answered 503, what streams is cut
//! ```

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::sync::{Notify, watch};

/// How far the program is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Serving.
    Serving,
    /// Serving still, but telling everyone to go elsewhere.
    Leaving,
    /// Finishing what is in flight; nothing new.
    Draining,
    /// Ending what has not finished.
    Cutting,
}

/// Knows the stage. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Drain {
    stage: watch::Receiver<Stage>,
}

/// Sets the stage. There is one.
#[derive(Debug)]
pub struct Drainer {
    stage: watch::Sender<Stage>,
}

/// The two ends of a drain.
pub fn channel() -> (Drainer, Drain) {
    let (sender, receiver) = watch::channel(Stage::Serving);
    (Drainer { stage: sender }, Drain { stage: receiver })
}

impl Drainer {
    /// Goes on to `stage`; never back.
    pub fn advance(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let further = stage > *now;
            if further {
                *now = stage;
            }
            further
        });
    }
}

impl Drain {
    /// The stage now.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until the stage is `stage` or further. For ever if the [`Drainer`] is gone before.
    pub async fn reached(&self, stage: Stage) {
        let mut receiver = self.stage.clone();
        if receiver.wait_for(|now| *now >= stage).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A wait for a stage, to be polled by what cannot await.
pub struct Reached(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Reached {
    /// Ready when the drain has reached `stage`.
    pub fn new(drain: Drain, stage: Stage) -> Self {
        Self(Box::pin(async move { drain.reached(stage).await }))
    }

    /// Ready from then on; not to be polled again after that.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reached")
    }
}

/// Owns all tasks: whatever is spawned is counted until it has ended. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    shared: Arc<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    running: AtomicUsize,
    idle: Notify,
}

/// One running task; counts itself out when dropped, also by a panic.
struct Running(Arc<Tasks>);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Tracker {
    /// Spawns a task on the current runtime.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.shared.running.fetch_add(1, Ordering::AcqRel);
        let running = Running(Arc::clone(&self.shared));
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        tokio::spawn(async move {
            let _running = running;
            task.await
        })
    }

    /// Tasks that have not ended.
    pub fn running(&self) -> usize {
        self.shared.running.load(Ordering::Acquire)
    }

    /// Waits until no task runs.
    pub async fn idle(&self) {
        loop {
            let notified = self.shared.idle.notified();
            if self.running() == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// A contained panic.
#[derive(Debug, thiserror::Error)]
#[error("a task has panicked")]
pub struct Panicked;

/// Calls what shall harm nobody by a panic.
pub fn contain_call<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked)
}

/// Runs a future whose panic shall end it alone, and not the task that it is part of.
pub async fn contain<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = std::pin::pin!(future);
    // Whoever is told of the panic drops the future, so that nothing half-done in it is seen again.
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

impl<F> hyper::rt::Executor<F> for Tracker
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        drop(self.spawn(task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_only_goes_forward_and_wakes_who_waits() {
        let (drainer, drain) = channel();
        let waiting = {
            let drain = drain.clone();
            async move { drain.reached(Stage::Draining).await }
        };
        drainer.advance(Stage::Cutting);
        drainer.advance(Stage::Draining);
        waiting.await;
        assert_eq!(drain.stage(), Stage::Cutting);
    }

    #[tokio::test]
    async fn a_contained_panic_is_told_and_ends_nothing_else() {
        assert_eq!(contain(async { 7 }).await.unwrap(), 7);
        assert!(contain(async { panic!("on purpose") }).await.is_err());
        assert_eq!(contain_call(|| 7).unwrap(), 7);
        assert!(contain_call(|| panic!("on purpose")).is_err());
    }

    #[tokio::test]
    async fn a_tracker_is_idle_when_its_last_task_has_ended_even_by_a_panic() {
        let tracker = Tracker::default();
        let quiet = tracker.spawn(async {});
        let loud = tracker.spawn(async { panic!("on purpose") });
        tracker.idle().await;
        assert_eq!(tracker.running(), 0);
        assert!(quiet.await.is_ok());
        assert!(loud.await.is_err());
    }
}
