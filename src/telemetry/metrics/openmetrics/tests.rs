//! A page in `OpenMetrics`, held line by line to the specification's grammar.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use super::number;
use crate::{
    config,
    telemetry::{
        fixture::record,
        metrics::{Exposition, Metrics, Trace},
        names::Outcome,
        record::Record,
    },
};

fn trace(span_id: Option<u64>) -> Trace {
    Trace { id: 0xabc, span_id, at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_268_801_363) }
}

/// Every kind of record that touches series, and names that need escapes.
fn page() -> String {
    let metrics = Metrics::new(&config::Telemetry::default());
    metrics.record(&record(), true, Some(trace(Some(0xdef))));
    metrics.record(&Record { agent: Some("a\"b\\c d".into()), outcome: Outcome::Cancelled, ..record() }, false, Some(trace(None)));
    metrics.record(&Record { outcome: Outcome::UpstreamError, duration: Duration::from_mins(150), ..record() }, false, None);
    metrics.render(Exposition::OpenMetrics)
}

/// Splits `name{a="b"} rest` and gives the labels back unescaped.
fn series(line: &str) -> (&str, Vec<(String, String)>, &str) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            let mut value = String::new();
            let mut letters = after.char_indices();
            let close = loop {
                match letters.next().unwrap_or_else(|| panic!("a label does not end: {line}")) {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match letters.next() {
                        Some((_, 'n')) => '\n',
                        Some((_, escaped @ ('"' | '\\'))) => escaped,
                        other => panic!("{other:?} is no escape: {line}"),
                    }),
                    (_, letter) => value.push(letter),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &after[close + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("labels do not end: {line}"));
    }
    (name, labels, rest.strip_prefix(' ').unwrap_or_else(|| panic!("no value: {line}")))
}

fn check_name(name: &str) {
    let fits = |(i, c): (usize, char)| c.is_ascii_alphabetic() || c == '_' || (i > 0 && c.is_ascii_digit());
    assert!(!name.is_empty() && name.char_indices().all(fits), "{name:?} is no name");
}

fn check_number(text: &str) -> f64 {
    assert!(text == "+Inf" || text == "-Inf" || text == "NaN" || text.bytes().all(|b| b.is_ascii_digit() || b"+-.e".contains(&b)), "{text}");
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn check_exemplar(text: &str, (from, to): (f64, f64)) {
    let (name, labels, rest) = series(text);
    assert_eq!(name, "", "{text}");
    assert!(labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum::<usize>() <= 128, "{text}");
    let parts: Vec<&str> = rest.split(' ').collect();
    let [value, at] = parts[..] else { panic!("an exemplar has a value and a time: {text}") };
    let value = check_number(value);
    assert!(value > from && value <= to, "{value} is not in ({from}, {to}]");
    assert!(check_number(at) > 1e9, "{text}");
}

/// A bucket of the histogram's series at hand: its labels, its bound and its count.
type Bucket = (Vec<(String, String)>, f64, f64);

/// The metric family that is being read.
#[derive(Default)]
struct Reading {
    name: String,
    kind: String,
    /// The last one.
    bucket: Option<Bucket>,
}

impl Reading {
    fn metadata(&mut self, line: &str, families: &mut HashSet<String>) {
        let parts: Vec<&str> = line.splitn(4, ' ').collect();
        let ["#", keyword, name, rest] = parts[..] else { panic!("{line}") };
        match keyword {
            "HELP" => {
                check_name(name);
                assert!(families.insert(name.to_owned()), "{name} comes twice");
                *self = Self { name: name.to_owned(), ..Self::default() };
            }
            "TYPE" => {
                assert!(["counter", "gauge", "histogram", "info"].contains(&rest) && self.kind.is_empty(), "{line}");
                rest.clone_into(&mut self.kind);
            }
            "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
            _ => panic!("{line}"),
        }
        assert_eq!(name, self.name, "{line}");
    }

    fn sample(&mut self, line: &str) {
        let (name, mut labels, rest) = series(line);
        let suffix = name.strip_prefix(&self.name).unwrap_or_else(|| panic!("{line} is not of {}", self.name));
        let (value, exemplar) = rest.split_once(" # ").map_or((rest, None), |(value, exemplar)| (value, Some(exemplar)));
        let value = check_number(value);
        let names: HashSet<&String> = labels.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), labels.len(), "{line}");
        match (self.kind.as_str(), suffix) {
            ("counter", "_total") => assert!(value >= 0.0 && exemplar.is_none(), "{line}"),
            ("info", "_info") => assert!((value - 1.0).abs() < f64::EPSILON && exemplar.is_none(), "{line}"),
            ("gauge", "") | ("histogram", "_sum") => assert!(exemplar.is_none(), "{line}"),
            ("histogram", "_count") => {
                let (of, bound, last) = self.bucket.take().unwrap_or_else(|| panic!("a count without buckets: {line}"));
                assert!(of == labels && bound.is_infinite() && (last - value).abs() < f64::EPSILON, "{line}");
            }
            ("histogram", "_bucket") => {
                let (le, bound) = labels.pop().unwrap_or_else(|| panic!("{line}"));
                let upper = check_number(&bound);
                assert!(le == "le" && number(upper) == bound, "{line}");
                let (lower, least) = match &self.bucket {
                    Some((of, bound, count)) if *of == labels => (*bound, *count),
                    Some((_, bound, _)) => panic!("a series without its infinite bucket (last {bound}): {line}"),
                    None => (f64::NEG_INFINITY, 0.0),
                };
                assert!(upper > lower && value >= least, "{line}");
                if let Some(exemplar) = exemplar {
                    check_exemplar(exemplar, (lower, upper));
                }
                self.bucket = Some((labels, upper, value));
            }
            _ => panic!("{} has no {suffix}: {line}", self.kind),
        }
    }
}

/// Holds a page to the grammar; gives the names of its families.
fn check(page: &str) -> HashSet<String> {
    let body = page.strip_suffix("# EOF\n").expect("the page ends with its mark");
    let (mut families, mut reading) = (HashSet::new(), Reading::default());
    for line in body.lines() {
        assert!(!line.is_empty(), "OpenMetrics has no empty lines");
        if line.starts_with('#') { reading.metadata(line, &mut families) } else { reading.sample(line) }
    }
    families
}

#[test]
fn every_line_is_of_the_grammar() {
    let page = page();
    let families = check(&page);
    for expected in ["pillion_exchanges", "pillion_build", "gen_ai_client_operation_duration_seconds", "process_cpu_seconds"] {
        assert!(families.contains(expected), "{expected} is not in {families:?}");
    }
    for line in [
        "# TYPE pillion_exchanges counter",
        "# UNIT gen_ai_client_operation_duration_seconds seconds",
        "# UNIT process_resident_memory_bytes bytes",
        "# TYPE pillion_build info",
    ] {
        assert!(page.lines().any(|other| other == line), "{line}\n{page}");
    }
    assert!(page.contains("agent=\"a\\\"b\\\\c d\""), "{page}");
}

#[test]
fn both_forms_tell_the_same_numbers() {
    let metrics = Metrics::new(&config::Telemetry::default());
    metrics.record(&record(), false, Some(trace(Some(1))));
    let numbers = |exposition| {
        let page = metrics.render(exposition);
        let lines = page.lines().filter(|line| !line.starts_with('#') && !line.starts_with("process_"));
        let told = lines.map(|line| {
            let (name, labels, rest) = series(line);
            let value = check_number(rest.split(' ').next().unwrap());
            let labels: Vec<_> =
                labels.into_iter().map(|(name, value)| if name == "le" { (name, check_number(&value).to_string()) } else { (name, value) }).collect();
            (name.to_owned(), labels, value.to_string())
        });
        told.collect::<Vec<_>>()
    };
    let (text, open) = (numbers(Exposition::Text), numbers(Exposition::OpenMetrics));
    assert!(text.len() > 100 && text == open);
}

#[test]
fn a_bucket_names_the_latest_exchange_that_fell_into_it() {
    let metrics = Metrics::new(&config::Telemetry::default());
    for (span_id, milliseconds) in [(1, 1240), (2, 1250), (3, 100)] {
        metrics.record(&Record { duration: Duration::from_millis(milliseconds), ..record() }, false, Some(trace(Some(span_id))));
    }
    metrics.record(&Record { duration: Duration::from_mins(150), ..record() }, false, Some(trace(None)));
    let page = metrics.render(Exposition::OpenMetrics);
    check(&page);
    let durations: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("gen_ai_client_operation_duration_seconds_bucket")?.split_once(" # ").map(|(_, exemplar)| exemplar))
        .collect();
    let id = "00000000000000000000000000000abc";
    let expected = [
        format!("{{trace_id=\"{id}\",span_id=\"0000000000000003\"}} 0.1 1767268801.363"),
        format!("{{trace_id=\"{id}\",span_id=\"0000000000000002\"}} 1.25 1767268801.363"),
        format!("{{trace_id=\"{id}\"}} 9000.0 1767268801.363"),
    ];
    assert_eq!(durations, expected);
    assert!(!metrics.render(Exposition::Text).contains(id));
}

#[test]
fn an_exchange_whose_trace_is_not_kept_leaves_no_exemplar() {
    let metrics = Metrics::new(&config::Telemetry::default());
    metrics.record(&record(), false, None);
    assert!(!metrics.render(Exposition::OpenMetrics).contains("trace_id"));
}

#[test]
fn numbers_are_canonical() {
    for (value, expected) in [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (0.00001, "1e-05"),
        (0.000_025, "2.5e-05"),
        (0.000_1, "0.0001"),
        (163.84, "163.84"),
        (262_144.0, "262144.0"),
        (1_048_576.0, "1.048576e+06"),
        (1e10, "1e+10"),
        (-2.5, "-2.5"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(number(value), expected);
    }
}

#[test]
fn a_page_of_hostile_names_and_their_exemplars_is_bounded() {
    let metrics = Metrics::new(&config::Telemetry::default());
    for n in 0..20_000_u64 {
        let mut hostile = Record { agent: Some(format!("{n:x>64}").into()), duration: Duration::from_millis(n), ..record() };
        hostile.call.model = Some(format!("{n:y>128}"));
        metrics.record(&hostile, true, Some(trace(Some(n))));
    }
    for exposition in [Exposition::Text, Exposition::OpenMetrics] {
        let page = metrics.render(exposition);
        assert!(page.len() <= 3_000_000, "{exposition:?}: {} bytes in {} lines", page.len(), page.lines().count());
    }
    check(&metrics.render(Exposition::OpenMetrics));
}
