//! `docs/alerts.md`: its tables are what the rules say.

use std::{fmt::Write as _, fs};

use regex::Regex;

use super::{Rule, alerts};
use crate::support::parts::root;

/// Between these stand the tables.
const BOUNDS: [&str; 2] = ["<!-- tables -->\n", "<!-- end of tables -->\n"];

/// What each group is about.
fn about(group: &str) -> &'static str {
    match group {
        "pillion.agents" => "An agent",
        "pillion.tools" => "Tools",
        "pillion.cost" => "Cost",
        "pillion.upstreams" => "Upstreams",
        "pillion.itself" => "Pillion itself",
        other => panic!("a group without a title: {other}"),
    }
}

/// A text of a rule without its templates: `AGENT` for `{{ $labels.agent }}`.
fn plain(text: &str) -> String {
    let label = Regex::new(r"\{\{ \$labels\.(?:gen_ai_)?(?:request_)?(\w+) \}\}").unwrap();
    let named = label.replace_all(text, |found: &regex::Captures<'_>| found[1].trim_end_matches("_name").to_uppercase());
    named.replace('|', "\\|").replace('_', "\\_").replace('*', "\\*")
}

fn row(table: &mut String, alert: &Rule) {
    let runbook = alert.annotations["runbook"].strip_prefix("Look at: ").unwrap();
    let (look, change) = runbook.split_once(" Change: ").unwrap();
    let hold = if alert.hold.is_empty() { String::new() } else { format!(", after {}", alert.hold) };
    let (severity, summary) = (&alert.labels["severity"], plain(&alert.annotations["summary"]));
    writeln!(table, "| `{}` | {summary} ({severity}{hold}) | {} | {} |", alert.name, plain(look), plain(change)).unwrap();
}

fn tables() -> String {
    let mut tables = String::new();
    let mut group = String::new();
    for alert in alerts() {
        if alert.group != group {
            let title = about(&alert.group);
            writeln!(tables, "\n## {title}\n\n| alert | fires when | look at | change |\n|---|---|---|---|").unwrap();
            group.clone_from(&alert.group);
        }
        row(&mut tables, &alert);
    }
    tables + "\n"
}

#[test]
fn the_page_of_alerts_says_what_the_rules_say() {
    let shipped = fs::read_to_string(root().join("docs/alerts.md")).unwrap();
    let (before, rest) = shipped.split_once(BOUNDS[0]).unwrap();
    let (_, after) = rest.split_once(BOUNDS[1]).unwrap();
    let page = format!("{before}{}{}{}{after}", BOUNDS[0], tables(), BOUNDS[1]);
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/alerts.md");
    fs::write(path, &page).unwrap();
    assert!(page == shipped, "the rules have changed: keep {path} as docs/alerts.md");
}
