//! What goes up now and down later: guards that give back on drop, and numbers that are read when scraped.

use std::{collections::HashMap, sync::Arc};

use prometheus::{
    core::{Collector, Desc},
    proto,
};

use super::{
    family::{Family, family, pair},
    values::{Gauge, float},
};
use crate::telemetry::names::{ConnectionState, Side, metrics::Metric};

/// One exchange in flight, until it is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Gauge>);

impl InFlight {
    pub(super) fn new(gauge: Arc<Gauge>) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One open connection, until it is dropped. Begins as active.
#[derive(Debug)]
pub struct ConnectionGauge {
    active: Arc<Gauge>,
    idle: Arc<Gauge>,
    state: ConnectionState,
}

impl ConnectionGauge {
    pub(super) fn new(connections: &Family<Gauge>, side: Side) -> Self {
        let of = |state: ConnectionState| connections.with(&[side.as_str(), state.as_str()]);
        let gauge = Self { active: of(ConnectionState::Active), idle: of(ConnectionState::Idle), state: ConnectionState::Active };
        gauge.current().inc();
        gauge
    }

    /// Moves the connection to another state.
    pub fn set(&mut self, state: ConnectionState) {
        if state != self.state {
            self.current().dec();
            self.state = state;
            self.current().inc();
        }
    }

    fn current(&self) -> &Gauge {
        match self.state {
            ConnectionState::Active => &self.active,
            ConnectionState::Idle => &self.idle,
        }
    }
}

impl Drop for ConnectionGauge {
    fn drop(&mut self) {
        self.current().dec();
    }
}

/// A number kept elsewhere, read at each scrape: the values of the metric's one label with their numbers (`""` where it has none).
pub(crate) struct Probe {
    metric: Metric,
    desc: Desc,
    kind: proto::MetricType,
    read: Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>,
}

impl Probe {
    /// A metric without labels, or with one whose values are a closed set.
    pub(crate) fn new(metric: Metric, kind: proto::MetricType, read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) -> Self {
        let labels = metric.labels.iter().map(|label| label.0.to_owned()).collect();
        let desc = Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new())
            .expect("the names of the table are valid, and a test registers each of them");
        Self { metric, desc, kind, read: Box::new(read) }
    }
}

impl Collector for Probe {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let samples = (self.read)().into_iter().map(|(value, number)| {
            let labels = self.metric.labels.iter().map(|label| pair(label.0, value)).collect();
            sample(labels, self.kind, float(number))
        });
        vec![family(&self.metric, self.kind, samples.collect())]
    }
}

/// One sample of a counter or a gauge.
pub(super) fn sample(labels: Vec<proto::LabelPair>, kind: proto::MetricType, value: f64) -> proto::Metric {
    let mut metric = proto::Metric::from_label(labels);
    if kind == proto::MetricType::COUNTER {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}
