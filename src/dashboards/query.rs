//! Queries of Prometheus from the table of metrics: names and labels are never written by hand, and every selection obeys the dashboard's variables.

use crate::telemetry::names::metrics::{BUILD_INFO, Metric, PROCESS_START};

/// Labels that scraping adds, each with the variable that selects it. Absent outside of Kubernetes, which `.*` matches, too.
const SCRAPED: [(&str, &str); 2] = [("namespace", "namespace"), ("pod", "pod")];
/// Labels of ours and of the conventions, each with the variable that selects it.
const VARIABLES: [(&str, &str); 5] =
    [("agent", "agent"), ("gen_ai_agent_name", "agent"), ("upstream", "upstream"), ("model", "model"), ("gen_ai_request_model", "model")];

/// An expression of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expr(String);

/// Series of one metric: those that the variables select, and of them those that a filter lets through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    metric: Metric,
    /// What stands behind the name: `_bucket`, `_sum`, `_count`.
    suffix: &'static str,
    /// Matchers of labels, as they are written; may be empty.
    filter: &'static str,
    /// The variable that does not count here; may be empty.
    ignored: &'static str,
}

impl From<Metric> for Selection {
    fn from(metric: Metric) -> Self {
        Self { metric, suffix: "", filter: "", ignored: "" }
    }
}

/// Only the series that these label matchers let through.
pub(super) fn only(of: impl Into<Selection>, filter: &'static str) -> Selection {
    Selection { filter, ..of.into() }
}

/// How often a histogram was observed.
pub(super) fn observed(of: impl Into<Selection>) -> Selection {
    Selection { suffix: "_count", ..of.into() }
}

impl Selection {
    /// Whatever this variable says.
    pub(super) fn whatever(self, variable: &'static str) -> Self {
        Self { ignored: variable, ..self }
    }

    fn text(&self) -> String {
        let own = VARIABLES.iter().filter(|(label, _)| self.metric.labels.iter().any(|known| known.0 == *label));
        let selected = SCRAPED.iter().chain(own).filter(|(_, variable)| *variable != self.ignored);
        let mut matchers: Vec<String> = selected.map(|(label, variable)| format!("{label}=~\"${variable}\"")).collect();
        if !self.filter.is_empty() {
            matchers.push(self.filter.to_owned());
        }
        format!("{}{}{{{}}}", self.metric.name, self.suffix, matchers.join(","))
    }
}

/// The value as it stands.
pub(super) fn value(of: impl Into<Selection>) -> Expr {
    Expr(of.into().text())
}

/// How fast a counter goes up, a second.
pub(super) fn rate(of: impl Into<Selection>) -> Expr {
    Expr(format!("rate({}[$__rate_interval])", of.into().text()))
}

/// How much a counter went up within the dashboard's time range, summed by labels. `increase` alone misses the value that a series is born with,
/// and what fails once fails in a series that was just born.
pub(super) fn count(of: impl Into<Selection>, by: &str) -> Expr {
    let series = of.into().text();
    let grown = format!("increase({series}[$__range])");
    let born = format!("(min_over_time({series}[$__range]) unless {series} offset $__range)");
    Expr(format!("({grown} + {born}) or {born} or {grown}")).sum(by)
}

/// The value below which this share of a histogram's observations stay, by labels.
pub(super) fn quantile(share: f64, of: impl Into<Selection>, by: &str) -> Expr {
    let buckets = rate(Selection { suffix: "_bucket", ..of.into() });
    Expr(format!("histogram_quantile({share}, {})", buckets.sum(&join("le", by)).0))
}

/// The same over the dashboard's whole time range, for a table.
pub(super) fn quantile_of_range(share: f64, of: impl Into<Selection>, by: &str) -> Expr {
    let buckets = Expr(format!("rate({}[$__range])", Selection { suffix: "_bucket", ..of.into() }.text()));
    Expr(format!("histogram_quantile({share}, {})", buckets.sum(&join("le", by)).0))
}

/// The quantile of these series alone whose label is that of one of the others.
pub(super) fn quantile_where(share: f64, of: impl Into<Selection>, by: &str, others: impl Into<Selection>) -> Expr {
    let buckets = rate(Selection { suffix: "_bucket", ..of.into() }).sum(&join("le", by)).0;
    Expr(format!("histogram_quantile({share}, {buckets} and on ({by}) {})", others.into().text()))
}

/// Which share one counter is of another, by labels: 0, and not nothing, while the first has no series yet.
pub(super) fn share(part: impl Into<Selection>, whole: impl Into<Selection>, by: &str) -> Expr {
    let whole = rate(whole).sum(by).0;
    Expr(format!("({} or {whole} * 0) / {whole}", rate(part).sum(by).0))
}

/// The same over the dashboard's whole time range, for a table.
pub(super) fn share_of_range(part: impl Into<Selection>, whole: impl Into<Selection>, by: &str) -> Expr {
    let whole = count(whole, by).0;
    Expr(format!("({} or {whole} * 0) / {whole}", count(part, by).0))
}

/// What every process tells of itself, of those alone that are a Pillion.
pub(super) fn process(of: impl Into<Expr>) -> Expr {
    Expr(format!("{} and on (job, instance) {}", of.into().0, Selection::from(BUILD_INFO).text()))
}

/// For how long each Pillion is up, with its version.
pub(super) fn uptime(by: &str) -> Expr {
    let (started, build) = (Selection::from(PROCESS_START).text(), Selection::from(BUILD_INFO).text());
    Expr(format!("(time() - {started}) * on (job, instance) group_right () {build}")).max(by)
}

impl From<Metric> for Expr {
    fn from(metric: Metric) -> Self {
        value(metric)
    }
}

impl Expr {
    /// Summed by labels; by none of them if there are none.
    pub(super) fn sum(self, by: &str) -> Self {
        self.aggregated("sum", by)
    }

    /// The greatest by labels.
    pub(super) fn max(self, by: &str) -> Self {
        self.aggregated("max", by)
    }

    /// The least by labels.
    pub(super) fn min(self, by: &str) -> Self {
        self.aggregated("min", by)
    }

    fn aggregated(self, how: &str, by: &str) -> Self {
        let by = if by.is_empty() { String::new() } else { format!(" by ({by})") };
        Self(format!("{how}{by} ({})", self.0))
    }

    /// Times a constant.
    pub(super) fn times(self, factor: u32) -> Self {
        Self(format!("{} * {factor}", self.0))
    }

    /// Divided by another.
    pub(super) fn over(self, other: impl Into<Self>) -> Self {
        Self(format!("{} / {}", self.0, other.into().0))
    }

    /// The greatest so many, in their order.
    pub(super) fn most(self, count: u32) -> Self {
        Self(format!("topk({count}, {} > 0)", self.0))
    }

    /// With a label of the conventions under our name for it.
    pub(super) fn called(self, label: &str, name: &str) -> Self {
        Self(format!("label_replace({}, \"{name}\", \"$1\", \"{label}\", \"(.*)\")", self.0)).max(name)
    }

    /// As Grafana is to ask it.
    pub(super) fn text(self) -> String {
        self.0
    }
}

fn join(first: &str, others: &str) -> String {
    if others.is_empty() { first.to_owned() } else { format!("{first}, {others}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::names::metrics::{CONNECT, EXCHANGES, OPERATION_DURATION, PROCESS_RSS, RETRIES, TASKS};

    const BASE: &str = "namespace=~\"$namespace\",pod=~\"$pod\"";

    fn check(expr: Expr, expected: &str) {
        assert_eq!(expr.text(), expected.replace("BASE", BASE));
    }

    #[test]
    fn a_selection_obeys_the_variables_of_the_labels_that_its_metric_has() {
        check(value(TASKS), "pillion_tasks{BASE}");
        check(rate(RETRIES).sum("reason"), "sum by (reason) (rate(pillion_retries_total{BASE,upstream=~\"$upstream\"}[$__rate_interval]))");
        check(
            value(only(EXCHANGES, "outcome=\"cut\"")).sum(""),
            "sum (pillion_exchanges_total{BASE,agent=~\"$agent\",upstream=~\"$upstream\",model=~\"$model\",outcome=\"cut\"})",
        );
        check(
            value(observed(OPERATION_DURATION).whatever("agent")),
            "gen_ai_client_operation_duration_seconds_count{BASE,gen_ai_request_model=~\"$model\"}",
        );
    }

    #[test]
    fn a_quantile_is_taken_of_the_sum_of_buckets() {
        check(
            quantile(0.95, CONNECT, "phase"),
            "histogram_quantile(0.95, sum by (le, phase) (rate(pillion_connect_seconds_bucket{BASE,upstream=~\"$upstream\"}[$__rate_interval])))",
        );
    }

    #[test]
    fn a_share_is_nought_and_not_nothing_where_the_part_has_never_been() {
        let whole = "sum (rate(pillion_tasks{BASE}[$__rate_interval]))";
        check(share(TASKS, TASKS, ""), &format!("({whole} or {whole} * 0) / {whole}"));
    }

    #[test]
    fn a_count_has_what_a_series_is_born_with() {
        let (grown, series) = ("increase(pillion_tasks{BASE}[$__range])", "pillion_tasks{BASE}");
        let born = format!("(min_over_time({series}[$__range]) unless {series} offset $__range)");
        check(count(TASKS, "pod"), &format!("sum by (pod) (({grown} + {born}) or {born} or {grown})"));
    }

    #[test]
    fn what_every_process_tells_is_asked_of_pillions_alone() {
        check(process(PROCESS_RSS), "process_resident_memory_bytes{BASE} and on (job, instance) pillion_build_info{BASE}");
    }
}
