//! The numbers behind a series: counters, gauges and histograms of plain atomics. Updating one takes no lock and allocates nothing.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use prometheus::proto;

use super::exemplars::{Exemplar, Exemplars};

/// A number that can be scraped.
pub(super) trait Value: Send + Sync + 'static {
    /// Its type in the exposition.
    const KIND: proto::MetricType;

    /// A value at rest. `buckets` are a histogram's upper bounds.
    fn new(buckets: &'static [f64]) -> Self;

    /// Writes the number as it stands.
    fn write(&self, out: &mut proto::Metric);

    /// How many lines of the exposition it makes.
    fn lines(buckets: &'static [f64]) -> usize;
}

/// Only goes up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn inc(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Value for Counter {
    const KIND: proto::MetricType = proto::MetricType::COUNTER;

    fn new(_: &'static [f64]) -> Self {
        Self::default()
    }

    fn write(&self, out: &mut proto::Metric) {
        let mut counter = proto::Counter::default();
        counter.set_value(float(self.get()));
        out.set_counter(counter);
    }

    fn lines(_: &'static [f64]) -> usize {
        1
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dec(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Value for Gauge {
    const KIND: proto::MetricType = proto::MetricType::GAUGE;

    fn new(_: &'static [f64]) -> Self {
        Self::default()
    }

    fn write(&self, out: &mut proto::Metric) {
        let now = self.0.load(Ordering::Relaxed);
        let mut gauge = proto::Gauge::default();
        gauge.set_value(float(now.unsigned_abs()) * if now < 0 { -1.0 } else { 1.0 });
        out.set_gauge(gauge);
    }

    fn lines(_: &'static [f64]) -> usize {
        1
    }
}

/// Only goes up, by amounts that are not whole.
#[derive(Debug, Default)]
pub(crate) struct Amount(
    /// The bits of an `f64`.
    AtomicU64,
);

impl Amount {
    pub(crate) fn add(&self, more: f64) {
        add(&self.0, more);
    }
}

impl Value for Amount {
    const KIND: proto::MetricType = proto::MetricType::COUNTER;

    fn new(_: &'static [f64]) -> Self {
        Self::default()
    }

    fn write(&self, out: &mut proto::Metric) {
        let mut counter = proto::Counter::default();
        counter.set_value(f64::from_bits(self.0.load(Ordering::Relaxed)));
        out.set_counter(counter);
    }

    fn lines(_: &'static [f64]) -> usize {
        1
    }
}

/// What was said last.
#[derive(Debug, Default)]
pub(crate) struct Level(
    /// The bits of an `f64`.
    AtomicU64,
);

impl Level {
    pub(crate) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl Value for Level {
    const KIND: proto::MetricType = proto::MetricType::GAUGE;

    fn new(_: &'static [f64]) -> Self {
        Self::default()
    }

    fn write(&self, out: &mut proto::Metric) {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(f64::from_bits(self.0.load(Ordering::Relaxed)));
        out.set_gauge(gauge);
    }

    fn lines(_: &'static [f64]) -> usize {
        1
    }
}

/// Counts observations by size.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and the last for what is beyond. Not cumulative.
    counts: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
    exemplars: Exemplars,
}

impl Histogram {
    pub(crate) fn observe(&self, value: f64) {
        self.observe_many(value, 1);
    }

    /// The same value `n` times.
    pub(crate) fn observe_many(&self, value: f64, n: u64) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(n, Ordering::Relaxed);
            self.exemplars.observed(value, bucket, self.counts.len());
        }
        add(&self.sum, value * float(n));
    }

    /// The latest of each bucket, the infinite one last; `None` where there is none at all.
    pub(super) fn exemplars(&self) -> Option<Vec<Option<Exemplar>>> {
        self.exemplars.read()
    }
}

impl Value for Histogram {
    const KIND: proto::MetricType = proto::MetricType::HISTOGRAM;

    fn new(buckets: &'static [f64]) -> Self {
        let counts = (0..=buckets.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds: buckets, counts, sum: AtomicU64::new(0_f64.to_bits()), exemplars: Exemplars::default() }
    }

    /// The count is the last bucket's: a scrape never sees buckets and count disagree.
    fn write(&self, out: &mut proto::Metric) {
        let mut seen = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (index, count) in self.counts.iter().enumerate() {
            seen += count.load(Ordering::Relaxed);
            if let Some(&bound) = self.bounds.get(index) {
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(seen);
                buckets.push(bucket);
            }
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(seen);
        histogram.set_sample_sum(f64::from_bits(self.sum.load(Ordering::Relaxed)));
        out.set_histogram(histogram);
    }

    /// Each bucket, the infinite one, the sum and the count.
    fn lines(buckets: &'static [f64]) -> usize {
        buckets.len() + 3
    }
}

/// Adds to an `f64` that is kept as its bits.
fn add(to: &AtomicU64, more: f64) {
    // It never says no.
    let _ = to.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| Some((f64::from_bits(bits) + more).to_bits()));
}

/// The nearest `f64`: exact up to 2⁵³.
pub(super) fn float(n: u64) -> f64 {
    let high = u32::try_from(n >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(n & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

#[cfg(test)]
mod tests {
    use prometheus::proto;

    use super::{Histogram, Value, float};

    #[test]
    fn integers_become_floats() {
        for (n, expected) in [(0, 0.0), (7, 7.0), (1 << 40, 1_099_511_627_776.0), ((1 << 53) - 1, 9_007_199_254_740_991.0)] {
            assert!((float(n) - expected).abs() < f64::EPSILON, "{n}");
        }
    }

    #[test]
    fn an_observation_on_a_bound_is_within_it() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 2.0, 9.0] {
            histogram.observe(value);
        }
        histogram.observe_many(0.25, 4);
        let mut out = proto::Metric::default();
        histogram.write(&mut out);
        let told = out.get_histogram();
        let buckets: Vec<u64> = told.get_bucket().iter().map(proto::Bucket::cumulative_count).collect();
        assert_eq!((buckets, told.get_sample_count()), (vec![6, 8], 9));
        assert!((told.get_sample_sum() - 15.0).abs() < 1e-9);
    }
}
