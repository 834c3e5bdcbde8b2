//! One metric with all its series, as a collector of the `prometheus` crate.

use std::{collections::HashMap, fmt, sync::Arc};

use prometheus::{
    core::{Collector, Desc},
    proto,
};

use super::{
    bounds::{Fold, Series},
    exact::Exact,
    exemplars::Exemplar,
    values::{Histogram, Value},
};
use crate::telemetry::names::metrics::Metric;

/// One metric with all its series. Cheap to clone.
pub(super) struct Family<V> {
    inner: Arc<Inner<V>>,
}

struct Inner<V> {
    metric: Metric,
    desc: Desc,
    children: Exact<V>,
    series: Arc<Series>,
}

impl<V: Value> Family<V> {
    pub(super) fn new(metric: Metric, series: &Arc<Series>) -> Self {
        let labels = metric.labels.iter().map(|label| label.0.to_owned()).collect();
        let desc = Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new())
            .expect("the names of the table are valid, and a test registers each of them");
        Self { inner: Arc::new(Inner { metric, desc, children: Exact::new(), series: Arc::clone(series) }) }
    }

    /// The series of these values, in the order of the metric's labels; folded where the bound on series leaves no room.
    pub(super) fn with(&self, values: &[&str]) -> Arc<V> {
        debug_assert_eq!(values.len(), self.inner.metric.labels.len(), "{}", self.inner.metric.name);
        if let Some(found) = self.inner.children.find(values) {
            return found;
        }
        Fold::ORDER.into_iter().find_map(|fold| self.folded(values, fold)).unwrap_or_else(|| Arc::new(V::new(self.inner.metric.buckets)))
    }

    fn folded(&self, values: &[&str], fold: Fold) -> Option<Arc<V>> {
        let Inner { metric, children, series, .. } = &*self.inner;
        let values: Vec<&str> = metric.labels.iter().zip(values).map(|(&label, &value)| fold.apply(label, value)).collect();
        let lines = V::lines(metric.buckets);
        let make = || series.admit(lines, fold).then(|| V::new(metric.buckets));
        let insert = || if series.has_room(lines, fold) { children.find_or_insert(&values, make) } else { None };
        let child = children.find(&values).or_else(insert);
        if child.is_some() && fold != Fold::Nothing {
            series.overflowed();
        }
        child
    }
}

impl Family<Histogram> {
    /// The name.
    pub(super) fn name(&self) -> &'static str {
        self.inner.metric.name
    }

    /// The exemplars of each series that has any: the values of its labels, and for each bucket the latest.
    pub(super) fn exemplars(&self) -> HashMap<Box<[Box<str>]>, Vec<Option<Exemplar>>> {
        let mut all = HashMap::new();
        self.inner.children.for_each(|values, child| {
            if let Some(exemplars) = child.exemplars() {
                all.insert(values.into(), exemplars);
            }
        });
        all
    }
}

impl<V> Clone for Family<V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<V> fmt::Debug for Family<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.inner.metric.name)
    }
}

impl<V: Value> Collector for Family<V> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.inner.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mut metrics = Vec::new();
        self.inner.children.for_each(|values, child| {
            let labels = self.inner.metric.labels.iter().zip(values).map(|(label, value)| pair(label.0, value)).collect();
            let mut metric = proto::Metric::from_label(labels);
            child.write(&mut metric);
            metrics.push(metric);
        });
        vec![family(&self.inner.metric, V::KIND, metrics)]
    }
}

pub(super) fn pair(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

pub(super) fn family(metric: &Metric, kind: proto::MetricType, metrics: Vec<proto::Metric>) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
