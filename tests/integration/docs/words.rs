//! Names in the prose exist: metrics, attributes, keys of the config and their variables, endpoints, headers, panels of dashboards, alerts.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use pillion::{
    config::{self, Environment, Flags},
    telemetry::names::metrics::ALL,
};
use regex::Regex;
use serde_json::Value;

use crate::support::pages::{self, ROOT};

const ATTRIBUTES: &str = include_str!("../../../src/telemetry/names/attributes.rs");
const ENDPOINTS: &str = include_str!("../../../src/admin/mod.rs");
/// Sections of the config, as they begin the path of a key.
const SECTIONS: &str = "server|upstreams|routes|carry|timeouts|retries|context|telemetry|agents";

/// What a pattern's first group finds on all pages, with the page.
fn found(pattern: &str) -> Vec<(String, String)> {
    let pattern = Regex::new(pattern).unwrap();
    let in_page = |page: pages::Page| {
        let words: BTreeSet<_> = pattern.captures_iter(&page.text).map(|found| found[1].to_owned()).collect();
        words.into_iter().map(move |word| (page.name.clone(), word)).collect::<Vec<_>>()
    };
    let found: Vec<_> = pages::all().into_iter().flat_map(in_page).collect();
    assert!(!found.is_empty(), "{pattern} finds nothing");
    found
}

#[test]
fn every_metric_that_is_named_exists() {
    let stem = |name: &str| ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| name.strip_suffix(suffix).map(str::to_owned));
    for (page, name) in found(r"\b((?:pillion|gen_ai_client)_[a-z_]*[a-z])\b") {
        let is_known = |name: &str| ALL.iter().any(|metric| metric.name == name);
        assert!(is_known(&name) || stem(&name).is_some_and(|stem| is_known(&stem)), "{page}: {name}");
    }
}

#[test]
fn every_attribute_that_is_named_exists() {
    for (page, name) in found(r"`((?:pillion|gen_ai)\.[a-z_.]*[a-z])[`=]") {
        // Files are called so, too.
        let is_file = Path::new(&name).extension().is_some_and(|extension| extension == "yaml");
        assert!(is_file || ATTRIBUTES.contains(&format!("\"{name}\"")), "{page}: {name}");
    }
}

/// Whether the config's reader knows this key.
fn is_key(path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    let mut text = "qqqq".to_owned();
    for part in parts.into_iter().rev() {
        let (name, item) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        let item = item || matches!(name, "routes" | "agents");
        text = if item { format!("{{{name}: [{text}]}}") } else { format!("{{{name}: {text}}}") };
    }
    let environment: Environment = std::iter::empty::<(&str, &str)>().collect();
    let told = config::read(text.as_bytes(), None, &Flags::default(), &environment).err().map(|errors| errors.to_string()).unwrap_or_default();
    !told.contains("unknown key") && !told.contains("not supported by this version")
}

#[test]
fn every_key_that_is_named_exists() {
    for (page, key) in found(&format!(r"`((?:{SECTIONS})\.[A-Za-z_.\[\]]*[A-Za-z_])[`:]")) {
        assert!(is_key(&key) || ATTRIBUTES.contains(&format!("\"{key}\"")), "{page}: {key}");
    }
    for (page, variable) in found(r"\bPILLION_([A-Z_]*[A-Z])\b") {
        let key = variable.to_lowercase().replace("__", ".");
        assert!(key == "config" || is_key(&key), "{page}: PILLION_{variable}");
    }
    assert!(!is_key("timeouts.totl") && !is_key("limits.queue") && is_key("upstreams.NAME.api_key") && is_key("routes.timeouts.total"));
}

#[test]
fn every_endpoint_and_every_header_that_is_named_exists() {
    for (page, path) in found(r"(/(?:api/[a-z]+|healthz|readyz|metrics))\b") {
        assert!(ENDPOINTS.contains(&format!("\"{path}\"")), "{page}: {path}");
    }
    let sources = sources(&Path::new(ROOT).join("src"));
    for (page, header) in found(r"\b(x-pillion-[a-z-]*[a-z])\b") {
        assert!(sources.contains(&header), "{page}: {header}");
    }
}

fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| if path.is_dir() { sources(&path) } else { fs::read_to_string(path).unwrap_or_default() };
    entries.map(text).collect()
}

fn titles(panels: &Value, into: &mut BTreeSet<String>) {
    for panel in panels.as_array().into_iter().flatten() {
        into.extend(panel["title"].as_str().map(str::to_owned));
        titles(&panel["panels"], into);
    }
}

#[test]
fn every_panel_and_every_alert_that_is_named_exists() {
    for (page, name) in found(r"\*((?:Overview|Agents|Upstreams|Tools|Pillion itself) › [^*]+)\*") {
        let (dashboard, panel) = name.split_once(" › ").unwrap();
        let file = dashboard.split(' ').next().unwrap().to_lowercase();
        let text = fs::read_to_string(Path::new(ROOT).join(format!("dashboards/{file}.json"))).unwrap();
        let mut all = BTreeSet::new();
        titles(&serde_json::from_str::<Value>(&text).unwrap()["panels"], &mut all);
        assert!(all.contains(panel), "{page}: {name}: {all:?}");
    }
    let rules = fs::read_to_string(Path::new(ROOT).join("dashboards/alerts/pillion.rules.yaml")).unwrap();
    for (page, alert) in found(r"`(Pillion[A-Z][A-Za-z]+)`") {
        assert!(rules.contains(&format!("alert: {alert}\n")), "{page}: {alert}");
    }
}

#[test]
fn every_file_that_is_named_exists() {
    for (page, file) in found(r"`((?:(?:helm|packaging|dashboards|docs|src|tests)/[A-Za-z0-9_./-]+)|Dockerfile|docker-compose\.yaml)`") {
        assert!(Path::new(ROOT).join(&file).exists(), "{page}: {file}");
    }
}

#[test]
fn every_template_of_the_chart_that_is_named_exists() {
    let templates = sources(&Path::new(ROOT).join("helm/pillion/templates"));
    for (page, template) in found(r#"include "([a-z.A-Z]+)""#) {
        assert!(templates.contains(&format!("define \"{template}\"")), "{page}: {template}");
    }
}
