//! The exposition in `OpenMetrics` 1.0: units, exemplars on the buckets of histograms, and an end by which a page that was cut off is known.
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus::proto::{Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::{
    exemplars::{Exemplar, Trace},
    family::Family,
    values,
};

/// `content-type` of the page.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Units that names end in.
const UNITS: [&str; 6] = ["seconds", "bytes", "ratio", "usd", "tokens", "characters"];

/// The exemplars of one metric, by the values of its labels.
type OfSeries = HashMap<Box<[Box<str>]>, Vec<Option<Exemplar>>>;

/// The whole page. `histograms` have the exemplars of those among the families.
pub(super) fn page(families: &[MetricFamily], histograms: &[Family<values::Histogram>]) -> String {
    let mut page = String::new();
    for family in families {
        let exemplars = histograms.iter().find(|histogram| histogram.name() == family.name()).map(Family::exemplars).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write_family(&mut page, family, &exemplars);
    }
    page.push_str("# EOF\n");
    page
}

fn write_family(page: &mut String, family: &MetricFamily, exemplars: &OfSeries) -> std::fmt::Result {
    let (name, kind) = match family.get_field_type() {
        MetricType::COUNTER => (family.name().strip_suffix("_total").unwrap_or(family.name()), "counter"),
        MetricType::HISTOGRAM => (family.name(), "histogram"),
        MetricType::GAUGE => family.name().strip_suffix("_info").map_or((family.name(), "gauge"), |name| (name, "info")),
        // There are none of these.
        MetricType::SUMMARY | MetricType::UNTYPED => return Ok(()),
    };
    writeln!(page, "# HELP {name} {}", escaped(family.help()))?;
    writeln!(page, "# TYPE {name} {kind}")?;
    if let Some(unit) = UNITS.into_iter().find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))) {
        writeln!(page, "# UNIT {name} {unit}")?;
    }
    for metric in family.get_metric() {
        let labels = metric.get_label();
        match kind {
            "counter" => sample(page, (name, "_total"), labels, metric.get_counter().get_value())?,
            "gauge" => sample(page, (name, ""), labels, metric.get_gauge().get_value())?,
            "info" => sample(page, (name, "_info"), labels, metric.get_gauge().get_value())?,
            _ => histogram(page, name, metric, exemplars)?,
        }
    }
    Ok(())
}

fn sample(page: &mut String, (name, suffix): (&str, &str), labels: &[LabelPair], value: f64) -> std::fmt::Result {
    write_series(page, (name, suffix), labels, None)?;
    writeln!(page, " {}", number(value))
}

fn histogram(page: &mut String, name: &str, metric: &Metric, exemplars: &OfSeries) -> std::fmt::Result {
    let (labels, histogram) = (metric.get_label(), metric.get_histogram());
    let key: Box<[Box<str>]> = labels.iter().map(|label| label.value().into()).collect();
    let exemplars = exemplars.get(&key).map(Vec::as_slice).unwrap_or_default();
    for (index, (bound, count)) in buckets(histogram).enumerate() {
        write_series(page, (name, "_bucket"), labels, Some(bound))?;
        write!(page, " {count}")?;
        if let Some(Exemplar { value, trace }) = exemplars.get(index).copied().flatten() {
            write!(page, " # {{")?;
            write_trace(page, &trace)?;
            write!(page, "}} {}{}", number(value), timestamp(trace.at))?;
        }
        page.push('\n');
    }
    sample(page, (name, "_sum"), labels, histogram.get_sample_sum())?;
    write_series(page, (name, "_count"), labels, None)?;
    writeln!(page, " {}", histogram.get_sample_count())
}

/// Upper bounds with their cumulative counts, up to the infinite one.
fn buckets(histogram: &Histogram) -> impl Iterator<Item = (f64, u64)> {
    let finite = histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    finite.chain([(f64::INFINITY, histogram.get_sample_count())])
}

fn write_trace(page: &mut String, trace: &Trace) -> std::fmt::Result {
    write!(page, "trace_id=\"{:032x}\"", trace.id)?;
    trace.span_id.map_or(Ok(()), |span_id| write!(page, ",span_id=\"{span_id:016x}\""))
}

fn write_series(page: &mut String, (name, suffix): (&str, &str), labels: &[LabelPair], bound: Option<f64>) -> std::fmt::Result {
    page.push_str(name);
    page.push_str(suffix);
    let mut separator = '{';
    for label in labels {
        write!(page, "{separator}{}=\"{}\"", label.name(), escaped(label.value()))?;
        separator = ',';
    }
    if let Some(bound) = bound {
        write!(page, "{separator}le=\"{}\"", number(bound))?;
        separator = ',';
    }
    if separator == ',' {
        page.push('}');
    }
    Ok(())
}

/// A number in its canonical form: as Go's `%g` writes it, with a `.0` where there is no other sign of a float.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    // `1.048576e6`: the shortest digits that read back to the same number.
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..=5).contains(&exponent) {
        return format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
    }
    let plain = format!("{value}");
    if plain.contains('.') { plain } else { plain + ".0" }
}

/// ` 1767268801.363`; nothing before the epoch.
fn timestamp(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).map(|since| format!(" {}.{:03}", since.as_secs(), since.subsec_millis())).unwrap_or_default()
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests;
