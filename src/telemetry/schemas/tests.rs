//! What fits and what does not; and that nothing a request declares can keep the thread, or fetch anything.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    CalledTools, KeptTools, STACK, Schemas,
    declared::{Declared, Verdict},
};
use crate::{
    config,
    telemetry::metrics::{Exposition, Metrics},
    wire::Tools,
};

fn tools(schema: &Value) -> String {
    json!([{"type": "function", "function": {"name": "f", "parameters": schema}}]).to_string()
}

fn verdict(schema: &Value, arguments: &str) -> Verdict {
    Declared::default().check(Some(tools(schema).as_bytes()), "f", Some(arguments))
}

#[track_caller]
fn check(schema: &Value, arguments: &str, expected: Verdict) {
    assert_eq!(verdict(schema, arguments), expected, "{schema:.300} {arguments:.300}");
}

#[test]
fn arguments_are_held_to_the_schema() {
    let schema = json!({
        "type": "object", "required": ["city"], "additionalProperties": false,
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}, "unit": {"enum": ["c", "f"]}},
    });
    for good in [r#"{"city":"Rome"}"#, r#" {"city": "Rome", "days": 3, "unit": "c"} "#, r#"{"city":"Rome","days":3.0}"#] {
        check(&schema, good, Verdict::Fits);
    }
    for bad in ["{}", "", r#"{"town":"Rome"}"#, r#"{"city":7}"#, r#"{"city":"Rome","days":0}"#, r#"{"city":"Rome","unit":"k"}"#, "[]", "null"] {
        check(&schema, bad, Verdict::Mismatch);
    }
    for no_json in [r#"{"city":"Ro"#, "{'city': 'Rome'}", "Rome", r#"{"city":"Rome"} {}"#] {
        check(&schema, no_json, Verdict::Mismatch);
    }
}

#[test]
fn schemas_are_read_as_their_makers_mean_them() {
    // pydantic
    let referred = json!({
        "$defs": {"Stop": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
        "type": "object", "properties": {"stops": {"type": "array", "items": {"$ref": "#/$defs/Stop"}}, "note": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    });
    check(&referred, r#"{"stops":[{"city":"Rome"}],"note":null}"#, Verdict::Fits);
    check(&referred, r#"{"stops":[{"city":"Rome"},{}]}"#, Verdict::Mismatch);
    // zod, draft 7; and a list of items as it was described before 2020
    let draft7 =
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"at": {"items": [{"type": "number"}]}}});
    check(&draft7, r#"{"at":[1,"x"]}"#, Verdict::Fits);
    check(&draft7, r#"{"at":["x"]}"#, Verdict::Mismatch);
    let undated = json!({"type": "object", "properties": {"at": {"items": [{"type": "number"}]}, "n": {"type": "number"}}});
    check(&undated, r#"{"at":["x"]}"#, Verdict::Mismatch);
    let draft4 = json!({"type": "object", "properties": {"n": {"type": "number", "minimum": 0, "exclusiveMinimum": true}}});
    check(&draft4, r#"{"n":0}"#, Verdict::Mismatch);
    // Gemini
    let gemini = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING", "nullable": true}, "days": {"type": "ARRAY", "items": {"type": "INTEGER"}, "maxItems": "2"}}});
    check(&gemini, r#"{"city":null,"days":[1,2]}"#, Verdict::Fits);
    check(&gemini, r#"{"city":7}"#, Verdict::Mismatch);
    check(&gemini, r#"{"days":[1,2,3]}"#, Verdict::Mismatch);
    // Properties that are called like keywords.
    let names = json!({"type": "object", "properties": {"type": {"type": "string"}, "pattern": {"type": "string"}, "$ref": {"type": "string"}, "enum": {"type": "integer"}, "id": {"type": "string"}}});
    check(&names, r##"{"type":"a","pattern":"(","$ref":"#/x","enum":1,"id":"b"}"##, Verdict::Fits);
    check(&names, r#"{"enum":"a"}"#, Verdict::Mismatch);
}

#[test]
fn patterns_are_checked_where_they_are_linear_and_small() {
    let schema = |pattern: &str| json!({"properties": {"a": {"type": "string", "pattern": pattern}}});
    check(&schema("^[a-z]+$"), r#"{"a":"rome"}"#, Verdict::Fits);
    check(&schema("^[a-z]+$"), r#"{"a":"Rome"}"#, Verdict::Mismatch);
    // Neither of these is checked, and all else still is.
    for pattern in ["(?=x)", r"(a)\1", "(", r"(\w{100}){1000}"] {
        check(&schema(pattern), r#"{"a":"Rome"}"#, Verdict::Fits);
        check(&schema(pattern), r#"{"a":7}"#, Verdict::Mismatch);
    }
    check(&schema("(a+)+$"), &format!(r#"{{"a":"{}b"}}"#, "a".repeat(60_000)), Verdict::Mismatch);
    check(&json!({"patternProperties": {"(?=x)": {}}}), "{}", Verdict::Unchecked);
}

#[test]
fn what_cannot_be_used_is_not_checked_and_nothing_is_fetched() {
    for schema in [
        json!({"$ref": "file:///etc/hostname"}),
        json!({"properties": {"a": {"$ref": "http://127.0.0.1:1/schema.json"}}}),
        json!({"properties": {"a": {"$ref": "#"}}}),
        json!({"$ref": "#/nowhere"}),
        json!({"$dynamicRef": "#x"}),
        json!({"$schema": "http://127.0.0.1:1/meta"}),
        json!({"$schema": "http:.o``@`p`hAA%AAe\\name)ma"}),
        json!({"$id": "https://Ünïcode%41.example/"}),
        json!({"type": "quite new"}),
        json!({"properties": {"a": {"$id": "http://x/y", "$ref": "#/z"}}}),
        json!(7),
    ] {
        check(&schema, "{}", Verdict::Unchecked);
        check(&schema, "{", Verdict::Mismatch);
    }
    let declared = |tools: Option<&str>, name, arguments| Declared::default().check(tools.map(str::as_bytes), name, arguments);
    let schema = tools(&json!({"required": ["a"]}));
    assert_eq!(declared(Some(&schema), "g", Some("{")), Verdict::Fits, "there is no such tool: that is another error");
    assert_eq!(declared(Some(&schema), "f", None), Verdict::Unchecked, "arguments that were not kept");
    assert_eq!(declared(None, "f", Some("{}")), Verdict::Unchecked, "tools that were not kept");
    assert_eq!(declared(Some(r#"[{"name":"f"}]"#), "f", Some("{}")), Verdict::Fits, "no schema");
    assert_eq!(declared(Some("{"), "f", Some("{}")), Verdict::Fits, "no list of tools");
}

#[test]
fn no_schema_can_keep_the_thread() {
    std::thread::Builder::new().stack_size(STACK).spawn(check_bombs).unwrap().join().unwrap();
}

fn check_bombs() {
    let begun = Instant::now();
    // Doubles at each of its levels.
    let doubling: serde_json::Map<_, _> = (0..60)
        .map(|at| {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            (format!("d{at}"), json!({"allOf": [next, next]}))
        })
        .chain([("d60".to_owned(), json!({}))])
        .collect();
    check(&json!({"$defs": doubling, "$ref": "#/$defs/d0"}), "{}", Verdict::Unchecked);
    // A chain that would be descended for each of its links.
    let chain: serde_json::Map<_, _> =
        (0..3000).map(|at| (format!("d{at}"), json!({"$ref": format!("#/$defs/d{}", at + 1)}))).chain([("d3000".to_owned(), json!({}))]).collect();
    check(&json!({"$defs": chain, "$ref": "#/$defs/d0"}), "{}", Verdict::Unchecked);
    // Many parts for many items.
    let parts: Vec<_> = (0..5000).map(|at| json!({"const": at})).collect();
    check(&json!({"items": {"anyOf": parts}}), &format!("[{}0]", "0,".repeat(20_000)), Verdict::Unchecked);
    // As deep as can be read.
    let deep = (0..100).fold(json!({}), |inner, _| json!({"items": inner}));
    check(&deep, &format!("{}{}", "[".repeat(120), "]".repeat(120)), Verdict::Fits);
    let nested = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    check(&json!({}), &nested, Verdict::Mismatch);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn what_is_remembered_is_bounded_and_forgotten_tools_are_read_again() {
    let mut declared = Declared::default();
    let schema = |at: usize| json!({"required": [format!("a{at}")], "description": "x".repeat(20_000)});
    for round in 0..2 {
        for at in 0..100 {
            let tools = tools(&schema(at));
            assert_eq!(declared.check(Some(tools.as_bytes()), "f", Some("{}")), Verdict::Mismatch, "{round} {at}");
            assert_eq!(declared.check(Some(tools.as_bytes()), "f", Some(&format!("{{\"a{at}\":1}}"))), Verdict::Fits);
            assert_eq!(declared.check(Some(tools.as_bytes()), &format!("g{at}"), Some("{}")), Verdict::Fits);
            let (kept, bytes) = declared.kept();
            assert!(kept <= 64 && bytes <= 600 << 10, "{kept} tools, {bytes} bytes");
        }
    }
}

#[test]
fn whatever_is_declared_and_called_is_answered() {
    let work = || {
        let mut random = fastrand::Rng::with_seed(17);
        let seeds = [
            r##"{"$defs":{"A":{"anyOf":[{"type":"null"},{"items":{"type":"number"},"uniqueItems":true}]}},"properties":{"a":{"$ref":"#/$defs/A"}},"unevaluatedProperties":false}"##,
            r#"{"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true,"maxLength":"3","pattern":"^[a-z]+$"}},"required":["a"]}"#,
            r#"{"$schema":"http://json-schema.org/draft-07/schema#","if":{"properties":{"a":{"const":1}}},"then":{"not":{"required":["b"]}},"patternProperties":{"^p":{"format":"date-time"}}}"#,
        ];
        let words = ["{", "}", "[", "]", ":", ",", "\"", "1", "null", "\"a\"", "$ref", "#", "items", "type", "-1e400", "é"];
        for _ in 0..600 {
            let mut schema = (*random.choice(seeds.iter()).unwrap()).to_owned();
            for _ in 0..random.usize(..4) {
                let at = schema.floor_char_boundary(random.usize(..schema.len()));
                let end = schema.ceil_char_boundary((at + random.usize(..4)).min(schema.len()));
                schema.replace_range(at..end, random.choice(words.iter()).unwrap());
            }
            let arguments = *random.choice(["{}", "{\"a\":[1,1]}", "{\"a\":null,\"p\":\"x\"}", "[", "7"].iter()).unwrap();
            let tools = format!("[{{\"name\":\"f\",\"input_schema\":{schema}}}]");
            Declared::default().check(Some(tools.as_bytes()), "f", Some(arguments));
        }
    };
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap();
}

fn text(metrics: &Metrics) -> String {
    metrics.render(Exposition::Text)
}

#[test]
fn mismatches_are_counted_and_so_is_what_was_not_checked() {
    let metrics = Arc::new(Metrics::new(&config::Telemetry::default()));
    let schemas = Schemas::start(Arc::clone(&metrics), Arc::default()).unwrap();
    let declared = tools(&json!({"required": ["city"]}));
    let long = format!("[{}]", " ".repeat(300 << 10));
    let (tools, too_long) = (KeptTools::of(Tools::new(declared.as_bytes())), KeptTools::of(Tools::new(long.as_bytes())));
    let call = |arguments: Option<&str>| ("f".to_owned(), arguments.map(str::to_owned));
    let called = |tools: &KeptTools, calls| CalledTools { agent: Some("planner".into()), tools: tools.clone(), calls };
    schemas.check(called(&tools, vec![call(Some("{}")), call(Some(r#"{"city":"Rome"}"#)), call(Some("secret {"))]));
    schemas.check(called(&too_long, vec![call(Some("{}"))]));
    schemas.check(called(&tools, vec![call(Some(&" ".repeat(5 << 20)))]));
    let until = Instant::now() + Duration::from_secs(20);
    let expected = [
        "pillion_tool_schema_mismatches_total{agent=\"planner\",tool=\"f\"} 2",
        "pillion_observation_skipped_total{reason=\"schema\"} 1",
        "pillion_observation_skipped_total{reason=\"schema_queue\"} 1",
    ];
    while let Some(missing) = expected.iter().find(|line| !text(&metrics).contains(*line)) {
        assert!(Instant::now() < until, "{missing} is not in\n{}", text(&metrics));
        std::thread::yield_now();
    }
    assert!(!text(&metrics).contains("secret"));
}
