//! The reference of metrics and of spans, made from the tables of names and from what is said of them in the source.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use pillion::telemetry::names::{
    Outcome,
    metrics::{ALL, Metric},
};
use regex::Regex;

use crate::support::pages::ROOT;

const ATTRIBUTES: &str = include_str!("../../../src/telemetry/names/attributes.rs");
const NAMES: &str = include_str!("../../../src/telemetry/names/mod.rs");
const REASONS: &str = include_str!("../../../src/telemetry/names/reasons.rs");
const SKIPPED: &str = include_str!("../../../src/wire/reading.rs");

/// What stands for a link in the source's own comments.
fn prose(doc: &str) -> String {
    let link = Regex::new(r"\[`([A-Za-z_:]+)`\](\([^)]*\))?").unwrap();
    let doc = link.replace_all(doc, "`$1`").into_owned();
    doc.replace('|', "\\|").trim().to_owned()
}

/// The variants of an enum of the source: name and comment.
fn variants(source: &str, name: &str) -> Vec<(String, String)> {
    let body = source.split_once(&format!("pub enum {name} {{\n")).unwrap_or_else(|| panic!("{name}")).1.split_once("\n}").unwrap().0;
    let (mut found, mut doc) = (Vec::new(), String::new());
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc += text;
        } else if let Some(variant) = line.strip_suffix(',') {
            let variant = variant.split(['(', ' ']).next().unwrap().to_owned();
            found.push((variant, prose(&std::mem::take(&mut doc))));
        }
    }
    assert!(!found.is_empty(), "{name}");
    found
}

/// The code that carries traffic, of the table of refusals only what makes some.
fn carrying() -> String {
    let folders = ["proxy", "upstream", "downstream", "telemetry/record.rs"].map(|name| Path::new(ROOT).join("src").join(name));
    let refusals = fs::read_to_string(Path::new(ROOT).join("src/proxy/refusal.rs")).unwrap();
    let made = refusals.split_once("\nimpl Refusal {\n").unwrap().1.split_once("\n}\n").unwrap().0.to_owned();
    folders.iter().map(|folder| sources(folder)).chain([made]).collect()
}

fn sources(path: &Path) -> String {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        return entries.map(|path| sources(&path)).collect();
    }
    let text = if path.ends_with("proxy/refusal.rs") { String::new() } else { fs::read_to_string(path).unwrap() };
    // What a match looks for is not said there.
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().map(|line| line.split_once("=>").map_or(line, |(_, said)| said)).fold(String::new(), |code, line| code + line + "\n")
}

/// Whether anything of today's code says so; words for later are none to be read of.
fn is_said(kind: &str, variant: &str) -> bool {
    let code = carrying();
    let clock = variant.strip_prefix("Timeout").map(|clock| format!("Clock::{clock}"));
    code.contains(&format!("{kind}::{variant}")) || clock.is_some_and(|clock| code.contains(&clock))
}

/// The words that stand for the variants of an enum: `Self::Variant => "word"` in its first `impl` of them.
fn words(source: &str, name: &str) -> BTreeMap<String, String> {
    let all = source.split_once(&format!("\nimpl {name} {{\n")).unwrap_or_else(|| panic!("impl {name}")).1.split_once("\n}\n").unwrap().0;
    let word = Regex::new(r#"Self::(\w+)(?:\s*\{[^}]*\}|\([^)]*\))?\s*=>\s*"([^"]+)""#).unwrap();
    let found: BTreeMap<_, _> = word.captures_iter(all).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    assert!(!found.is_empty(), "{name}");
    found
}

/// `| word | meaning |` of each variant.
fn table(out: &mut String, source: &str, name: &str) {
    let words = words(source, name);
    for (variant, doc) in variants(source, name).into_iter().filter(|(variant, _)| name != "Reason" || is_said(name, variant)) {
        let word = words.get(&variant).unwrap_or_else(|| panic!("{name}::{variant} has no word"));
        writeln!(out, "| `{word}` | {doc} |").unwrap();
    }
}

fn listed(source: &str, name: &str) -> String {
    let words = words(source, name);
    let said = variants(source, name).into_iter().filter(|(variant, _)| name != "Clock" || is_said(name, variant));
    let all: Vec<_> = said.map(|(variant, _)| format!("`{}`", words[&variant])).collect();
    all.join(" ")
}

fn kind(metric: &Metric) -> &'static str {
    match metric {
        Metric { buckets: [], name, .. } if name.ends_with("_total") => "counter",
        Metric { buckets: [], .. } => "gauge",
        _ => "histogram",
    }
}

fn buckets(buckets: &[f64]) -> String {
    buckets.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

/// `docs/reference/metrics.md`.
pub(super) fn metrics() -> String {
    let mut out = "# Metrics\n\nMade from `src/telemetry/names`; a test holds it equal. All of them are at `/metrics` of the admin port, as Prometheus' text, or as OpenMetrics with exemplars (trace ids) where that is asked for. \
        Durations are in seconds, cost is in USD. A histogram `NAME` has the series `NAME_bucket`, `NAME_sum` and `NAME_count`. How to scrape them: [observability](../observability.md).\n\n\
        `agent`, `model` and `tool` are names that come with traffic; their number is bounded (`telemetry.max_agents`, 100 models, 200 tools, `telemetry.max_series` in all). What is beyond is `other`, and counted in \
        `pillion_label_overflow_total`; what nothing tells is `unknown`.\n\n"
        .to_owned();
    let of_the_process = |metric: &&Metric| metric.name.starts_with("process_");
    let by_convention = |metric: &&Metric| metric.name.starts_with("gen_ai_");
    let groups: [(&str, Vec<&Metric>); 3] = [
        ("Pillion's own", ALL.iter().filter(|metric| !of_the_process(metric) && !by_convention(metric)).collect()),
        ("By the OpenTelemetry GenAI conventions 1.41.1", ALL.iter().filter(by_convention).collect()),
        ("Of the process", ALL.iter().filter(of_the_process).collect()),
    ];
    for (title, metrics) in groups {
        writeln!(out, "## {title}\n\n| metric | type | labels | |\n|---|---|---|---|").unwrap();
        for metric in metrics {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{}`", label.0)).collect();
            writeln!(out, "| `{}` | {} | {} | {} |", metric.name, kind(metric), labels.join(" "), metric.help.replace('|', "\\|")).unwrap();
        }
        out.push('\n');
    }
    out += "## Values of labels\n\n| label | values |\n|---|---|\n";
    writeln!(out, "| `outcome` | {} |", listed(NAMES, "Outcome")).unwrap();
    for (label, of) in [("clock", "Clock"), ("result", "AttemptResult"), ("kind", "LimitKind"), ("side", "Side")] {
        writeln!(out, "| `{label}` | {} |", listed(NAMES, of)).unwrap();
    }
    writeln!(out, "| `state` of connections | {} |", listed(NAMES, "ConnectionState")).unwrap();
    writeln!(
        out,
        "| `reason` of refusals, `error_type` | [reasons](spans.md#reasons); `error_type` also an upstream's status, `\"\"` where all went well |"
    )
    .unwrap();
    writeln!(out, "| `reason` of observations skipped | [below](#what-was-not-read) |").unwrap();
    out += "\n## What was not read\n\n`pillion_observation_skipped_total{reason}`: carried all the same.\n\n| reason | |\n|---|---|\n";
    table(&mut out, SKIPPED, "Skipped");
    out += "\n## Buckets\n\n| of | upper bounds |\n|---|---|\n";
    let mut by_bounds: Vec<(String, Vec<String>)> = Vec::new();
    for metric in ALL.iter().filter(|metric| !metric.buckets.is_empty()) {
        let (bounds, name) = (buckets(metric.buckets), format!("`{}`", metric.name));
        match by_bounds.iter_mut().find(|(known, _)| *known == bounds) {
            Some((_, names)) => names.push(name),
            None => by_bounds.push((bounds, vec![name])),
        }
    }
    for (bounds, names) in by_bounds {
        writeln!(out, "| {} | {bounds} |", names.join(" ")).unwrap();
    }
    out
}

/// The constants of a module of the source: value and comment.
fn constants(module: &str) -> Vec<(String, String)> {
    let body = ATTRIBUTES.split_once(&format!("pub mod {module} {{\n")).unwrap().1.split_once("\n}").unwrap().0;
    let constant = Regex::new(r#"pub const [A-Z_]+: &str = "([^"]+)";"#).unwrap();
    let (mut found, mut doc) = (Vec::new(), String::new());
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc += text;
        } else if let Some(value) = constant.captures(line) {
            found.push((value[1].to_owned(), prose(&std::mem::take(&mut doc))));
        }
    }
    assert!(!found.is_empty(), "{module}");
    found
}

/// `docs/reference/spans.md`.
pub(super) fn spans() -> String {
    let mut out = "# Spans\n\nMade from `src/telemetry/names`; a test holds it equal. Spans follow the OpenTelemetry GenAI semantic conventions 1.41.1, with names of Pillion's own (`pillion.*`) for what those have no name for. \
        How to have them exported: [observability](../observability.md).\n\n\
        | span | kind | one for |\n|---|---|---|\n\
        | `chat MODEL`, `text_completion MODEL`, `embeddings MODEL`, `generate_content MODEL` | client | each exchange, all attempts and waits included |\n\
        | the method, `POST` | client | each attempt, where there was more than one or it failed (`telemetry.attempt_spans`) |\n\
        | `execute_tool NAME` | internal | each run of a tool, gathered from traffic: from the reply that called it to the request that brought its result |\n\
        | `start`, `drain` | internal | Pillion's own start and end |\n\n\
        The parent of an exchange is the agent's own `traceparent`; without one, all exchanges of a conversation share a trace. An attribute that is not known is not there. The status is an error for failures of the upstream, \
        timeouts, cuts and refusals; a hang-up of the agent is none.\n\n"
        .to_owned();
    for (title, module) in [
        ("Attributes: what was asked and answered", "gen_ai"),
        ("Attributes: of the general conventions", "general"),
        ("Attributes: Pillion's own", "pillion"),
    ] {
        writeln!(out, "## {title}\n\n| attribute | |\n|---|---|").unwrap();
        let values = ["execute_tool", "function"];
        for (name, doc) in constants(module).into_iter().filter(|(name, _)| !values.contains(&name.as_str())) {
            let doc = doc.replace("`FUNCTION`: what", "`function`: what");
            writeln!(out, "| `{name}` | {doc} |").unwrap();
        }
        out.push('\n');
    }
    out += "Durations are in seconds. `gen_ai.input.messages` and the other contents are there only with `telemetry.capture_content`.\n\n## Events\n\n| event | attributes | |\n|---|---|---|\n";
    let events = constants("event");
    let (heads, attributes): (Vec<_>, Vec<_>) = events.iter().partition(|(name, _)| name.starts_with("pillion."));
    for (name, doc) in heads {
        let of = name.trim_start_matches("pillion.").to_uppercase();
        let own = attributes
            .iter()
            .filter_map(|(name, doc)| Some(format!("`{name}`: {}", doc.strip_prefix(&format!("Of `{of}`: "))?.trim_end_matches('.'))));
        writeln!(out, "| `{name}` | {} | {doc} |", own.collect::<Vec<_>>().join("; ")).unwrap();
    }
    out += "\n## Outcomes\n\n`pillion.outcome`, and the label `outcome`.\n\n| outcome | |\n|---|---|\n";
    table(&mut out, NAMES, "Outcome");
    assert_eq!(variants(NAMES, "Outcome").len(), Outcome::COUNT);
    out += "\n## Reasons\n\nOne vocabulary for `error.type`, `pillion.refusal`, the header `x-pillion-refusal`, the `code` of an error's body (but `context_too_large`, which has the provider's own there) and the label `reason` of refusals. An upstream's own failure has its status in `error.type` instead.\n\n\
        | reason | |\n|---|---|\n";
    table(&mut out, REASONS, "Reason");
    out
}
