//! Promise: a dashboard that is shipped names only what exists, says on every panel what it shows and what to do, is what the code makes, is read by
//! Grafana's own types without a loss, and has data in every panel where there is something to see ([`live`]).

mod live;
mod ranger;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use pillion::{
    dashboards::{self, Dashboard, GRID, Kind, Panel, RULES},
    telemetry::names::metrics::ALL,
};
use serde_json::Value;

use crate::support::{
    parts::{python, root},
    promql::{names, unknown},
    verb,
};

/// What makes the files from the code.
const AGAIN: &str = "cargo run -- dashboards --out dashboards";

/// The file as it is shipped.
fn shipped(dashboard: &Dashboard) -> String {
    fs::read_to_string(root().join("dashboards").join(dashboard.file).with_extension("json")).unwrap()
}

fn tree(dashboard: &Dashboard) -> Value {
    serde_json::from_str(&dashboard.json()).unwrap()
}

fn panels(dashboard: &Dashboard) -> impl Iterator<Item = &Panel> {
    dashboard.rows.iter().flat_map(|row| &row.panels)
}

#[test]
fn the_files_that_are_shipped_are_what_the_code_makes() {
    for dashboard in dashboards::all() {
        assert!(shipped(&dashboard) == dashboard.json(), "dashboards/{}.json is not what the code makes: {AGAIN}", dashboard.file);
    }
}

#[tokio::test]
async fn the_verb_writes_dashboards_and_rules_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/folder");
    fs::create_dir_all(&out).unwrap();
    fs::write(out.join("overview.json"), "of an earlier version").unwrap();
    let ended = verb("dashboards").arguments(["--out".into(), out.clone().into_os_string()]).ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let mut files: Vec<String> = dashboards::all().iter().map(|dashboard| format!("{}.json", dashboard.file)).collect();
    for (file, dashboard) in files.iter().zip(dashboards::all()) {
        assert_eq!(fs::read_to_string(out.join(file)).unwrap(), shipped(&dashboard));
    }
    files.push("alerts/pillion.rules.yaml".to_owned());
    assert_eq!(fs::read_to_string(out.join("alerts/pillion.rules.yaml")).unwrap(), RULES);
    let said: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(said, files.iter().map(|file| out.join(file).display().to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "kept").unwrap();
    let ended = verb("dashboards").arguments(["--out".into(), file.clone().into_os_string()]).ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("cannot make the folder") && ended.stderr.contains(file.to_str().unwrap()), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(file).unwrap(), "kept");
}

#[test]
fn queries_and_variables_name_only_what_exists() {
    for dashboard in dashboards::all() {
        let tree = tree(&dashboard);
        let variables = tree["templating"]["list"].as_array().unwrap().iter().filter_map(|variable| variable["query"]["query"].as_str());
        let queries = panels(&dashboard).flat_map(|panel| &panel.queries).map(|query| query.expr.as_str());
        for expr in queries.chain(variables) {
            // The other side of the operator has it, and hands it on.
            let is_handed_on =
                |told: &String| expr.contains("group_right () pillion_build_info") && told == "label version of process_start_time_seconds";
            let told: Vec<String> = unknown(expr, &[]).into_iter().filter(|told| !is_handed_on(told)).collect();
            assert_eq!(told, Vec::<String>::new(), "{}: {expr}", dashboard.title);
            assert!(!names(expr).selectors.is_empty(), "{expr}");
        }
    }
}

#[test]
fn every_selection_obeys_the_variables() {
    for dashboard in dashboards::all() {
        for query in panels(&dashboard).flat_map(|panel| &panel.queries) {
            for selector in names(&query.expr).selectors {
                let obeys = |label: &str| selector.labels.iter().any(|matcher| matcher.label == label && matcher.value == format!("${label}"));
                assert!(obeys("namespace") && obeys("pod"), "{}: {}", selector.metric, query.expr);
            }
        }
    }
}

#[test]
fn every_metric_is_in_some_panel() {
    let all = dashboards::all();
    let asked: BTreeSet<String> = all
        .iter()
        .flat_map(panels)
        .flat_map(|panel| &panel.queries)
        .flat_map(|query| names(&query.expr).selectors)
        .map(|selector| ["_bucket", "_sum", "_count"].iter().find_map(|end| selector.metric.strip_suffix(end)).unwrap_or(&selector.metric).to_owned())
        .collect();
    let missing: Vec<&str> = ALL.iter().map(|metric| metric.name).filter(|name| !asked.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_panel_says_what_it_shows_and_what_to_do() {
    for dashboard in dashboards::all() {
        let mut titles = BTreeSet::new();
        for panel in panels(&dashboard) {
            let at = format!("{}: {}", dashboard.title, panel.title);
            assert!(titles.insert(panel.title), "{at}: twice");
            for text in [panel.shows, panel.advice] {
                assert!(text.len() > 12 && text.ends_with(['.', '?']), "{at}: {text:?}");
            }
            assert_eq!(panel.queries.is_empty(), panel.kind == Kind::Text, "{at}");
        }
        for panel in tree(&dashboard)["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
        }
    }
}

#[test]
fn what_a_panel_refers_to_is_there_by_that_name() {
    let all = dashboards::all();
    let titles =
        all.iter().map(|dashboard| dashboard.title.rsplit(" / ").next().unwrap()).chain(all.iter().flat_map(panels).map(|panel| panel.title));
    let columns = all.iter().flat_map(panels).flat_map(Panel::headings);
    let known: BTreeSet<&str> = titles.chain(columns).collect();
    let mut referred = 0;
    for panel in all.iter().flat_map(panels).filter(|panel| panel.kind != Kind::Text) {
        for text in [panel.shows, panel.advice] {
            assert!(text.matches('*').count() % 2 == 0, "{}: {text}", panel.title);
            for name in text.split('*').skip(1).step_by(2) {
                assert!(known.contains(name), "{}: *{name}* is not there", panel.title);
                referred += 1;
            }
        }
    }
    assert!(referred > 20, "{referred}");
}

#[test]
fn every_series_of_a_graph_has_a_name_made_of_labels_that_it_has() {
    for dashboard in dashboards::all() {
        for panel in panels(&dashboard).filter(|panel| panel.kind == Kind::Graph) {
            let legends: BTreeSet<&str> = panel.queries.iter().map(|query| query.legend).collect();
            assert!(legends.len() == panel.queries.len() && !legends.contains(""), "{}: {legends:?}", panel.title);
            for query in &panel.queries {
                let grouped: BTreeSet<String> = names(&query.expr).selectors.into_iter().flat_map(|selector| selector.grouped).collect();
                let labels: Vec<&str> = query.legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()).collect();
                for label in labels.iter().copied().chain(panel.agent) {
                    assert!(grouped.contains(label), "{}: {label} is not kept by {}", panel.title, query.expr);
                }
                for label in grouped.iter().filter(|label| *label != "le") {
                    assert!(labels.contains(&label.as_str()), "{}: {label} is not told by {:?}", panel.title, query.legend);
                }
            }
        }
    }
}

#[test]
fn every_column_of_a_table_is_of_a_query() {
    for dashboard in dashboards::all() {
        for panel in tree(&dashboard)["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] == "table") {
            let targets = panel["targets"].as_array().unwrap();
            let columns: BTreeSet<&str> =
                panel["transformations"][1]["options"]["renameByName"].as_object().unwrap().keys().map(String::as_str).collect();
            let mut made: BTreeSet<String> = targets.iter().map(|target| format!("Value #{}", target["refId"].as_str().unwrap())).collect();
            if targets.len() == 1 {
                made = BTreeSet::from(["Value".to_owned()]);
            }
            for target in targets {
                let expr = target["expr"].as_str().unwrap();
                let outermost = expr.split_once("by (").unwrap().1.split(')').next().unwrap();
                made.extend(outermost.split(", ").filter(|label| *label != "le").map(str::to_owned));
            }
            assert_eq!(columns, made.iter().map(String::as_str).collect(), "{}", panel["title"]);
        }
    }
}

#[test]
fn panels_lie_side_by_side_within_the_grid() {
    for dashboard in dashboards::all() {
        let tree = tree(&dashboard);
        let mut taken: BTreeMap<(u64, u64), &str> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for panel in tree["panels"].as_array().unwrap() {
            let (title, place) = (panel["title"].as_str().unwrap(), |side: &str| panel["gridPos"][side].as_u64().unwrap());
            assert!(place("w") > 0 && place("h") > 0 && place("x") + place("w") <= u64::from(GRID), "{title}");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
            for cell in (place("x")..place("x") + place("w")).flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y))) {
                assert_eq!(taken.insert(cell, title), None, "{title} lies on another panel, {}", dashboard.title);
            }
        }
        // Nor is there a hole: Grafana would move what is below it up.
        let height = taken.keys().map(|(_, y)| y + 1).max().unwrap();
        let holes = (0..u64::from(GRID)).flat_map(|x| (0..height).map(move |y| (x, y))).filter(|cell| !taken.contains_key(cell));
        assert_eq!(holes.collect::<Vec<_>>(), [], "{}", dashboard.title);
    }
}

#[test]
fn dashboards_lead_to_each_other_and_keep_what_was_chosen() {
    let all = dashboards::all();
    let uids: BTreeSet<&str> = all.iter().map(|dashboard| dashboard.uid).collect();
    assert_eq!(uids.len(), all.len());
    let mut chosen = BTreeSet::new();
    for dashboard in &all {
        let tree = tree(dashboard);
        let link = &tree["links"][0];
        assert!(link["includeVars"] == true && link["keepTime"] == true && tree["tags"].as_array().unwrap().contains(&link["tags"][0]));
        let variables: Vec<&str> = tree["templating"]["list"].as_array().unwrap().iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(variables, ["datasource", "namespace", "pod", "upstream", "agent", "model"]);
        for url in dashboard.json().lines().filter_map(|line| line.trim().strip_prefix("\"url\": \"/d/")) {
            let (uid, rest) = url.split_once('?').unwrap();
            assert!(uids.contains(uid), "{url}");
            for variable in variables.iter().filter(|variable| **variable != "agent") {
                assert!(rest.contains(&format!("${{{variable}:queryparam}}")), "{url}");
            }
            assert!(rest.contains("&var-agent=${__") && rest.contains("${__url_time_range}"), "{url}");
            chosen.insert(dashboard.file);
        }
    }
    assert_eq!(chosen, BTreeSet::from(["agents", "overview", "tools"]));
}

/// Runs the round trip on these files: how it ended, and what it said.
fn round_trip(files: &[std::path::PathBuf]) -> (bool, String) {
    let output = Command::new(python()).arg(root().join("tests/dashboards.py")).args(files).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn grafana_s_own_types_read_all_of_it() {
    let all = dashboards::all();
    let files: Vec<_> = all.iter().map(|dashboard| root().join("dashboards").join(dashboard.file).with_extension("json")).collect();
    let (is_good, said) = round_trip(&files);
    assert!(is_good, "{said}");
    for dashboard in &all {
        assert!(said.contains(&format!("{}.json: {} panels, 6 variables", dashboard.file, panels(dashboard).count())), "{said}");
    }
}

#[test]
fn grafana_s_own_types_tell_what_they_do_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.json");
    let wrong = dashboards::all()[0].json().replacen("\"instant\"", "\"instantly\"", 1).replacen("\"graphMode\"", "\"grafMode\"", 1).replacen(
        "\"refresh\"",
        "\"refreshing\"",
        1,
    );
    fs::write(&file, wrong).unwrap();
    let (is_good, said) = round_trip(&[file]);
    assert!(!is_good, "{said}");
    for key in ["targets[0].instantly: not known", "options.grafMode: not known", "wrong.json.refreshing: not known"] {
        assert!(said.contains(key), "{said}");
    }
}
