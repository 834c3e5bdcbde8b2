//! A bounded queue between the traffic and a thread that may be slow: putting in never waits, and what does not fit is given back to be counted.
//! The thread is woken once, then gathers for a moment: under load, putting in costs a lock held for nanoseconds and no system call.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The queue. Its bound is in units of weight.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(T, usize)>,
    weight: usize,
    /// The taker sleeps until `weight` reaches this.
    wake_at: Option<usize>,
    closed: bool,
}

impl<T> Queue<T> {
    /// A queue for items that weigh up to `capacity` together.
    pub(super) fn new(capacity: usize) -> Self {
        let state = State { items: VecDeque::new(), weight: 0, wake_at: None, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity }
    }

    /// Puts an item in, or gives it back: the queue is full, or closed.
    pub(super) fn push(&self, item: T, weight: usize) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed || state.weight + weight > self.capacity {
            return Err(item);
        }
        state.items.push_back((item, weight));
        state.weight += weight;
        if state.wake_at.is_some_and(|enough| state.weight >= enough) {
            state.wake_at = None;
            drop(state);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for the first item, then for `gather` or until what waits weighs `enough`, and takes items up to that weight (at least one).
    /// `None` when the queue is closed and empty. For one thread only.
    pub(super) fn take(&self, enough: usize, gather: Duration) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return None;
            }
            state.wake_at = Some(1);
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + gather;
        while state.weight < enough && !state.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.wake_at = Some(enough);
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.wake_at = None;
        Some(state.take(enough))
    }

    /// Takes everything that waits, without waiting.
    pub(super) fn take_all(&self) -> Vec<T> {
        self.lock().take(usize::MAX)
    }

    /// What waits, in units of weight.
    pub(super) fn weight(&self) -> usize {
        self.lock().weight
    }

    /// Lets nothing more in, and wakes the taker.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Nothing that can panic runs under the lock, so a poisoned one guards a sound state.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn take(&mut self, enough: usize) -> Vec<T> {
        let mut taken = Vec::new();
        let mut weight = 0_usize;
        while let Some((_, next)) = self.items.front() {
            weight = weight.saturating_add(*next);
            if !taken.is_empty() && weight > enough {
                break;
            }
            if let Some((item, of)) = self.items.pop_front() {
                self.weight -= of;
                taken.push(item);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::Queue;

    #[test]
    fn what_does_not_fit_is_given_back() {
        let queue = Queue::new(3);
        assert_eq!((queue.push('a', 2), queue.push('b', 2), queue.push('c', 1)), (Ok(()), Err('b'), Ok(())));
        assert_eq!(queue.weight(), 3);
        assert_eq!(queue.take(100, Duration::ZERO), Some(vec!['a', 'c']));
        assert_eq!((queue.weight(), queue.push('d', 3)), (0, Ok(())));
    }

    #[test]
    fn items_are_taken_in_order_up_to_enough_and_at_least_one() {
        let queue = Queue::new(100);
        for (item, weight) in [('a', 9), ('b', 1), ('c', 3), ('d', 1)] {
            queue.push(item, weight).unwrap();
        }
        let taken: Vec<_> = (0..3).map(|_| queue.take(4, Duration::ZERO)).collect();
        assert_eq!(taken, [Some(vec!['a']), Some(vec!['b', 'c']), Some(vec!['d'])]);
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_then_ends() {
        let queue = Queue::new(9);
        queue.push('a', 1).unwrap();
        queue.close();
        assert_eq!(queue.push('b', 1), Err('b'));
        assert_eq!((queue.take(9, Duration::from_mins(1)), queue.take(9, Duration::from_mins(1))), (Some(vec!['a']), None));
    }

    #[test]
    fn nothing_is_lost_or_doubled_between_threads() {
        let queue = Arc::new(Queue::new(64));
        let theirs = Arc::clone(&queue);
        let thread = std::thread::spawn(move || {
            let mut taken = Vec::new();
            while let Some(items) = theirs.take(16, Duration::from_millis(1)) {
                taken.extend(items);
            }
            taken
        });
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let queue = &queue;
                scope.spawn(move || {
                    for index in 0..1000 {
                        while queue.push(thread * 1000 + index, 1).is_err() {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        queue.close();
        let mut taken = thread.join().unwrap();
        taken.sort_unstable();
        assert_eq!(taken, (0..4000).collect::<Vec<_>>());
    }
}
