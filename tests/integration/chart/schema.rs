//! `values.schema.json` knows every key of `values.yaml` and no other, and of Pillion's own config what Pillion knows.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::helm::{chart, read};
use crate::support::verb;

/// Keys that the product has and this version refuses.
const LATER: [&str; 4] = ["fallbacks", "heartbeat", "limits", "loops"];

/// A wrong key in every section of a config.
const WRONG: &str = r#"
zzzzzzzz: 1
server: {zzzzzzzz: 1}
upstreams: {a: {url: "http://a", zzzzzzzz: 1}}
routes: [{upstream: a, zzzzzzzz: 1}]
agents: [{name: a, zzzzzzzz: 1, when: {zzzzzzzz: 1}}]
carry: {zzzzzzzz: 1}
timeouts: {zzzzzzzz: 1}
retries: {zzzzzzzz: 1, budget: {zzzzzzzz: 1}, backoff: {zzzzzzzz: 1}}
context: {zzzzzzzz: 1}
telemetry: {zzzzzzzz: 1, otlp: {endpoint: "http://a", zzzzzzzz: 1}, log: {zzzzzzzz: 1}, prices: {a: {zzzzzzzz: 1}}}
"#;

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(chart("pillion").join("values.schema.json")).unwrap()).unwrap()
}

/// What a part of the schema says, or what it refers to.
fn resolved<'s>(schema: &'s Value, part: &'s Value) -> &'s Value {
    match part["$ref"].as_str() {
        Some(reference) => schema.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}")),
        None => part,
    }
}

/// Keys of a map, in order.
fn keys(map: &Value) -> BTreeSet<&str> {
    map.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

/// Compares a section of the values with that of the schema, and those within it.
fn compare(schema: &Value, path: &str, values: &Value, part: &Value) {
    let part = resolved(schema, part);
    let Some(properties) = part.get("properties").filter(|_| path != ".config") else { return };
    assert_eq!(part["additionalProperties"], false, "{path}");
    let beside = ["global", "enabled"].into_iter().filter(|_| path.is_empty()).collect::<BTreeSet<_>>();
    let known: BTreeSet<_> = &keys(properties) - &beside;
    assert!(path.starts_with(".probes.") || keys(values) == known, "{path}: {:?} and {known:?}", keys(values));
    for (key, value) in values.as_object().unwrap() {
        compare(schema, &format!("{path}.{key}"), value, &properties[key]);
    }
}

#[test]
fn values_and_schema_have_the_same_keys() {
    let values = read(&fs::read_to_string(chart("pillion").join("values.yaml")).unwrap()).remove(0);
    compare(&schema(), "", &values, &schema());
}

#[test]
fn every_key_of_the_values_is_told_of() {
    let text = fs::read_to_string(chart("pillion").join("values.yaml")).unwrap();
    let mut told = true;
    for line in text.lines() {
        let is_key = line.starts_with(|c: char| c.is_ascii_alphabetic());
        assert!(told || !is_key, "{line} has no word of comment above it, nor has the key before it");
        // Keys that stand together share what is told above them.
        told = line.starts_with('#') || !line.trim().is_empty() && told;
    }
}

#[tokio::test]
async fn the_config_s_part_of_the_schema_knows_the_keys_that_pillion_knows() {
    let said = verb("check").config(WRONG).ended().await;
    let schema = schema();
    let mut sections = 0;
    for line in said.stderr.lines().filter_map(|line| line.split_once(": unknown key; known here: ")) {
        let (place, known) = line;
        let path = place.rsplit_once(": ").unwrap().1.trim_end_matches("zzzzzzzz");
        let mut part = resolved(&schema, &schema["properties"]["config"]);
        for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
            let inner = [&part["properties"][step], &part["additionalProperties"], &part["items"]].into_iter().find(|inner| inner.is_object());
            part = resolved(&schema, inner.unwrap_or_else(|| panic!("{path}: {part}")));
        }
        let known: BTreeSet<_> = known.split(", ").filter(|key| !LATER.contains(key)).collect();
        assert_eq!(keys(&part["properties"]), known, "{path}");
        assert_eq!(part["additionalProperties"], false, "{path}");
        sections += 1;
    }
    assert_eq!(sections, WRONG.matches("zzzzzzzz").count(), "{}", said.stderr);
}
