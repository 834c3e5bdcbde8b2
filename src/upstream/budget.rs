//! How many retries an upstream may cost: a bucket that each request fills a little, so that a broken upstream is not hammered.
//!
//! With the defaults (ratio 0.2, 1 per second, burst 10): 100 requests at once that all fail make 10 + 100 × 0.2 = 30 retries, and a second later one more.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::config::Retries;

/// The budget of one upstream.
#[derive(Debug)]
pub struct Budget {
    bucket: Mutex<Option<Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Budget {
    /// A full one.
    pub fn new() -> Self {
        Self { bucket: Mutex::new(None) }
    }

    /// A request has come: it pays in its share.
    pub fn deposit(&self, retries: &Retries, now: Instant) {
        self.with(retries, now, |bucket| bucket.tokens = (bucket.tokens + retries.budget_ratio).min(retries.budget_burst));
    }

    /// Takes one retry out; false if there is none left.
    pub fn withdraw(&self, retries: &Retries, now: Instant) -> bool {
        self.with(retries, now, |bucket| {
            let enough = bucket.tokens >= 1.0;
            if enough {
                bucket.tokens -= 1.0;
            }
            enough
        })
    }

    fn with<T>(&self, retries: &Retries, now: Instant, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = bucket.get_or_insert(Bucket { tokens: retries.budget_burst, at: now });
        let seconds = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = seconds.mul_add(retries.budget_per_second, bucket.tokens).min(retries.budget_burst);
        bucket.at = now;
        act(bucket)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_of_failures_is_retried_ten_times_and_a_fifth_of_the_requests() {
        let (budget, retries, now) = (Budget::new(), Retries::default(), Instant::now());
        let granted = (0..100).filter(|_| {
            budget.deposit(&retries, now);
            budget.withdraw(&retries, now)
        });
        // The bucket is full at the start, so the first deposit is lost: 10 + 99 × 0.2 = 29.8.
        assert_eq!(granted.count(), 29);
    }

    #[test]
    fn an_empty_budget_earns_one_retry_a_second() {
        let (budget, retries, now) = (Budget::new(), Retries::default(), Instant::now());
        while budget.withdraw(&retries, now) {}
        assert!(!budget.withdraw(&retries, now + Duration::from_millis(900)));
        assert!(budget.withdraw(&retries, now + Duration::from_millis(1100)));
        assert!(!budget.withdraw(&retries, now + Duration::from_millis(1100)));
    }
}
