//! Promise: every alert that is shipped fires in a story of its own and is silent in a healthy one, names only what exists, says where to look and what to
//! change ([`page`]), and reaches who is to know of it when the real thing happens ([`live`]).

mod live;
mod page;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use pillion::{
    agent::ToolError,
    config::{self, Environment, Flags},
    telemetry::names::{AttemptResult, Clock, Outcome, Reason, metrics::ALL, tool_error},
};
use regex::Regex;
use serde_json::Value;

use crate::support::{
    parts::{program, root},
    promql::{self, Recorded, names, unknown},
    yaml,
};

/// Where the rules and their stories are.
const FOLDER: &str = "dashboards/alerts";
/// Stories of hours, and of days.
const STORIES: [&str; 2] = ["pillion.tests.yaml", "pillion.days.tests.yaml"];
/// How much it matters.
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// A rule.
#[derive(Debug, Clone)]
struct Rule {
    group: String,
    name: String,
    expr: String,
    is_alert: bool,
    hold: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Rule {
    fn read(group: &str, rule: &Value) -> Self {
        let text = |key: &str| rule[key].as_str().map(str::to_owned);
        let texts = |key: &str| {
            let pairs = rule[key].as_object().into_iter().flatten();
            pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
        };
        Self {
            group: group.to_owned(),
            name: text("alert").or_else(|| text("record")).expect("a rule records or alerts"),
            expr: text("expr").expect("a rule has an expression"),
            is_alert: rule["alert"].is_string(),
            hold: text("for").unwrap_or_default(),
            labels: texts("labels"),
            annotations: texts("annotations"),
        }
    }

    /// The labels of its series: those that the first selector's aggregation leaves, or all that it has.
    fn series(&self, recorded: &[Recorded]) -> BTreeSet<String> {
        let names = names(&self.expr);
        let first = names.selectors.first().expect("an expression selects something");
        let labels =
            if first.grouped.is_empty() { promql::labels_of(&first.metric, recorded).unwrap() } else { first.grouped.iter().cloned().collect() };
        labels.into_iter().filter(|label| label != "le").collect()
    }
}

/// A file of the folder, as it is shipped.
fn shipped(file: &str) -> String {
    fs::read_to_string(root().join(FOLDER).join(file)).unwrap()
}

fn rules() -> Vec<Rule> {
    let groups = yaml::read(&shipped("pillion.rules.yaml"));
    let group = |group: &Value| -> Vec<Rule> {
        group["rules"].as_array().unwrap().iter().map(|rule| Rule::read(group["name"].as_str().unwrap(), rule)).collect()
    };
    groups["groups"].as_array().unwrap().iter().flat_map(group).collect()
}

fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(|rule| rule.is_alert).collect()
}

/// What the recording rules add to the metrics.
fn recorded() -> Vec<Recorded> {
    rules().iter().filter(|rule| !rule.is_alert).map(|rule| (rule.name.clone(), rule.series(&[]))).collect()
}

fn promtool(arguments: &[&str]) {
    let told = Command::new(program("promtool")).args(arguments).current_dir(root().join(FOLDER)).output().unwrap();
    let said = String::from_utf8([told.stdout, told.stderr].concat()).unwrap();
    assert!(told.status.success() && !said.contains("FAILED"), "{said}");
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", "pillion.rules.yaml"]);
}

#[test]
fn every_story_ends_as_it_is_told() {
    promtool(&["test", "rules", STORIES[0]]);
}

#[test]
fn every_story_of_days_ends_as_it_is_told() {
    promtool(&["test", "rules", STORIES[1]]);
}

#[test]
fn every_alert_has_a_story_in_which_it_fires_and_one_in_which_it_does_not() {
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for stories in STORIES.map(|file| yaml::read(&shipped(file))) {
        for story in stories["tests"].as_array().unwrap() {
            let asked = story["alert_rule_test"].as_array().unwrap();
            let (loud, quiet): (Vec<_>, Vec<_>) = asked.iter().partition(|asked| !asked["exp_alerts"].as_array().unwrap().is_empty());
            let named = |asked: Vec<&Value>| asked.into_iter().map(|asked| asked["alertname"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
            // What is asked before the trouble begins is no healthy story.
            if loud.is_empty() {
                silent.extend(named(quiet));
            }
            fires.extend(named(loud));
        }
    }
    let all: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!((&fires, &silent), (&all, &all));
}

#[test]
fn every_expression_names_only_what_exists() {
    let recorded = recorded();
    for rule in rules() {
        assert_eq!(unknown(&rule.expr, &recorded), Vec::<String>::new(), "{}", rule.name);
        for selector in names(&rule.expr).selectors {
            for matcher in &selector.labels {
                let known = values(&selector.metric, &matcher.label);
                for value in matcher.value.split('|').filter(|_| matcher.label != "job") {
                    assert!(
                        known.iter().any(|known| known == value),
                        "{}: {}=\"{value}\" of {} does not exist",
                        rule.name,
                        matcher.label,
                        selector.metric
                    );
                }
            }
        }
    }
}

/// The values that a closed label can have, or those of them that rules may ask for.
fn values(metric: &str, label: &str) -> Vec<String> {
    let some = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    match (metric, label) {
        (_, "outcome") => Outcome::ALL.map(|outcome| outcome.as_str().to_owned()).into(),
        (_, "stream") => some(&["true", "false"]),
        (_, "clock") => [Clock::Connect, Clock::FirstByte, Clock::FirstToken, Clock::Agent].map(|clock| clock.as_str().to_owned()).into(),
        ("pillion_attempts_total", "result") => {
            use AttemptResult::{Connect, RateLimited, Reset, ServerError, StreamError};
            [Connect, RateLimited, Reset, ServerError, StreamError].map(|result| result.as_str().to_owned()).into()
        }
        ("pillion_refusals_total", "reason") => {
            use Reason::{BodyTooLarge, ContextTooLarge, Host, NoRoute, Origin, Overloaded, ProxyLoop, UriTooLong};
            [BodyTooLarge, ContextTooLarge, Host, NoRoute, Origin, Overloaded, ProxyLoop, UriTooLong].map(|reason| reason.as_str().to_owned()).into()
        }
        ("pillion_tool_errors_total", "error_type") => vec![tool_error(&ToolError::NoResult).to_owned()],
        ("gen_ai_client_operation_duration_seconds_count", "error_type") => (400..600).map(|status: u16| status.to_string()).collect(),
        // Which these are is told by the series of the live run.
        ("pillion_spans_total", "state") => some(&["exported", "dropped", "failed", "sampled_out"]),
        (bucket, "le") => {
            let of = ALL.iter().find(|metric| bucket.strip_suffix("_bucket") == Some(metric.name)).unwrap();
            of.buckets.iter().map(f64::to_string).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_alert_says_how_much_it_matters_what_is_so_where_to_look_and_what_to_change() {
    let recorded = recorded();
    let label = Regex::new(r"\$labels\.(\w+)").unwrap();
    for alert in alerts() {
        let series = alert.series(&recorded);
        assert!(SEVERITIES.contains(&alert.labels["severity"].as_str()), "{}", alert.name);
        assert!(alert.name.starts_with("Pillion") && series.contains("job"), "{}", alert.name);
        let keys: Vec<&str> = alert.annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["description", "runbook", "summary"], "{}", alert.name);
        for text in alert.annotations.values().chain(alert.labels.values()) {
            for found in label.captures_iter(text) {
                assert!(series.contains(&found[1]), "{}: it has no label {}", alert.name, &found[1]);
            }
        }
        let [description, runbook] = ["description", "runbook"].map(|key| alert.annotations[key].as_str());
        assert!(description.ends_with('.') && description.contains("$labels."), "{}: {description}", alert.name);
        let (look, change) = runbook.split_once(" Change: ").unwrap_or_else(|| panic!("{}: nothing to change", alert.name));
        assert!(look.starts_with("Look at: ") && change.ends_with('.'), "{}: {runbook}", alert.name);
        // An agent's trouble is told with the agent, an upstream's with the upstream.
        for name in ["agent", "upstream", "tool"].into_iter().filter(|name| series.contains(*name)) {
            assert!(description.contains(&format!("$labels.{name} ")), "{}: its {name} is not told", alert.name);
        }
    }
}

#[test]
fn every_setting_that_a_runbook_names_exists() {
    let setting = Regex::new(r"\b(server|timeouts|retries|context|telemetry|carry|upstreams)((?:\.[a-zA-Z_]+)+)").unwrap();
    let mut named = BTreeSet::new();
    for alert in alerts() {
        named.extend(setting.captures_iter(&alert.annotations["runbook"]).map(|found| found[0].to_owned()));
    }
    assert!(named.len() > 10, "{named:?}");
    for path in named {
        let nested = path.split('.').rev().fold("{nonsense: [1]}".to_owned(), |inner, key| format!("{{{key}: {inner}}}"));
        let none: Environment = std::iter::empty::<(&str, &str)>().collect();
        let Err(errors) = config::read(nested.as_bytes(), None, &Flags::default(), &none) else { panic!("{path} takes anything") };
        let told = errors.to_string();
        let is_known = |line: &str| !line.contains("unknown key") || line.contains(&format!("{path}.nonsense"));
        assert!(told.lines().all(is_known), "{path}: {told}");
    }
}

#[test]
fn dashboards_and_panels_that_runbooks_name_exist() {
    let place = Regex::new(r#"the (\w+) dashboard((?:[^";.:]*"[^"]+")+)"#).unwrap();
    let title = Regex::new("\"([^\"]+)\"").unwrap();
    for alert in alerts() {
        let runbook = &alert.annotations["runbook"];
        for found in place.captures_iter(runbook) {
            let file = root().join("dashboards").join(found[1].to_lowercase()).with_extension("json");
            let dashboard: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            let panels: Vec<&str> = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["title"].as_str()).collect();
            for named in title.captures_iter(&found[2]) {
                assert!(panels.contains(&&named[1]), "{}: {} has no panel {:?}", alert.name, file.display(), &named[1]);
            }
        }
        // None is named in words that this does not read.
        assert_eq!(runbook.matches(" dashboard").count(), place.find_iter(runbook).count(), "{}: {runbook}", alert.name);
    }
}
