use serde_json::{Value, json};

use super::*;

const DONE: &str = "data: [DONE]\n\n";

/// What goes on of a stream that comes in pieces of this size, and what is held between them at most.
fn stripped(stream: &[u8], size: usize) -> Vec<u8> {
    let mut strip = Strip::default();
    let mut kept = Vec::new();
    for piece in stream.chunks(size) {
        kept.extend_from_slice(&strip.feed(&Bytes::copy_from_slice(piece)));
        assert!(strip.held.len() <= HELD_MAX);
    }
    kept.extend_from_slice(&strip.end());
    assert!(strip.is_empty());
    kept
}

/// Of every two pieces, and of pieces of every small size.
fn check(stream: &str, expected: &str) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for size in (1..80).chain([stream.len().max(1)]) {
        assert_eq!(text(stripped(stream.as_bytes(), size)), expected, "in pieces of {size}");
    }
    for split in 0..stream.len() {
        let mut strip = Strip::default();
        let mut kept = Vec::new();
        for piece in [&stream.as_bytes()[..split], &stream.as_bytes()[split..]] {
            kept.extend_from_slice(&strip.feed(&Bytes::copy_from_slice(piece)));
        }
        kept.extend_from_slice(&strip.end());
        assert_eq!(text(kept), expected, "split at {split}");
    }
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn delta(text: &str) -> Value {
    json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}], "model": "m"})
}

fn with_null(mut chunk: Value) -> Value {
    chunk["usage"] = Value::Null;
    chunk
}

#[test]
fn a_stream_is_what_it_would_have_been() {
    let texts = ["Hé", "", "\"usage\":null", "{\"usage\": null, \"choices\":[]}", "😀\n\n"];
    let plain: String = texts.iter().map(|text| event(&delta(text))).collect();
    let asked: String = texts.iter().map(|text| event(&with_null(delta(text)))).collect();
    let extra = event(&json!({"id": "c", "choices": [], "model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}));
    check(&format!("{asked}{extra}{DONE}"), &format!("{plain}{DONE}"));
    check(&format!("{asked}: ping\n\n{DONE}{extra}"), &format!("{plain}: ping\n\n{DONE}"));
    // Servers that know nothing of the option, or say nothing in the chunks before.
    check(&format!("{plain}{DONE}"), &format!("{plain}{DONE}"));
    check(&format!("{plain}{extra}"), &plain);
    check("", "");
}

#[test]
fn a_field_goes_with_its_comma_wherever_it_stands() {
    for (from, to) in [
        (r#"{"a":1,"usage":null}"#, r#"{"a":1}"#),
        (r#"{"a":1,"usage":null,"b":[]}"#, r#"{"a":1,"b":[]}"#),
        (r#"{"usage":null,"b":[]}"#, r#"{"b":[]}"#),
        (r#"{"a": 1, "usage": null, "b": 2}"#, r#"{"a": 1, "b": 2}"#),
        (r#"{ "usage" : null , "b": 2 }"#, r#"{ "b": 2 }"#),
        (r#"{"a": 1, "usage": null}"#, r#"{"a": 1}"#),
        (r#"{"usage":null}"#, "{}"),
        (r#"{"us\u0061ge":1,"usage":null}"#, r#"{"us\u0061ge":1}"#),
    ] {
        for (before, after) in [("data: ", "\n\n"), ("data:", "\r\n\r\n"), ("event: x\rid\rdata: ", "\r\r"), (": c\ndata:", "\nretry: 1\n\n")] {
            check(&format!("{before}{from}{after}{DONE}"), &format!("{before}{to}{after}{DONE}"));
        }
    }
}

#[test]
fn whatever_else_says_usage_stays() {
    for text in [
        r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}"#,
        r#"{"choices":[],"prompt_filter_results":[]}"#,
        r#"{"usage":{"prompt_tokens":1}}"#,
        r#"{"choices":[],"usage":3}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1}"#,
        r#"{"choices":[],"usage":null}}"#,
        r#"{"a":{"usage":null},"x_groq":{"usage":{}}}"#,
        r#"["usage",null]"#,
        r#""usage":null"#,
    ] {
        check(&format!("data: {text}\n\n{DONE}"), &format!("data: {text}\n\n{DONE}"));
        // What is no stream of events.
        check(&format!("{text}\n"), &format!("{text}\n"));
    }
    let lines = "data: {\"a\":1,\ndata: \"usage\":null}\n\n";
    check(lines, lines);
}

#[test]
fn an_event_that_is_taken_out_takes_its_line_ends_with_it() {
    let extra = r#"{"choices":[ ],"usage":{}}"#;
    for end in ["\n\n", "\r\n\r\n", "\r\r", "\r\n\n", "\n\r\n"] {
        check(&format!("data: {extra}{end}{DONE}"), DONE);
        check(&format!("{DONE}data: {extra}{end}:\n\n{DONE}"), &format!("{DONE}:\n\n{DONE}"));
    }
    check(&format!("data: {extra}"), "");
    check(&format!("data: {extra}\n"), "");
}

#[test]
fn an_event_of_more_than_the_bound_passes_as_it_is() {
    let long = event(&with_null(delta(&"x".repeat(2 * HELD_MAX))));
    let small = event(&with_null(delta("y")));
    let plain = event(&delta("y"));
    let stream = format!("{small}{long}{small}");
    for size in [1000, 4096, HELD_MAX / 2] {
        assert!(stripped(stream.as_bytes(), size) == format!("{plain}{long}{plain}").into_bytes(), "{size}");
    }
    // Whole in one piece, it needs not be held.
    let whole = format!("{plain}{}{plain}", event(&delta(&"x".repeat(2 * HELD_MAX))));
    assert!(stripped(stream.as_bytes(), stream.len()) == whole.into_bytes());
}

#[test]
fn what_is_held_when_a_stream_breaks_goes_on_as_it_came() {
    let mut strip = Strip::default();
    let bytes = Bytes::from_static(b"data: {\"a\":1,\"usage\":null}\n\ndata: {\"usage\":null}\n");
    assert_eq!(strip.feed(&bytes), "data: {\"a\":1}\n\n");
    assert!(!strip.is_empty());
    assert_eq!(strip.broken(), "data: {\"usage\":null}\n");
    assert!(strip.is_empty());
}

#[test]
fn what_needs_no_change_is_not_copied() {
    let mut strip = Strip::default();
    for text in ["data: {\"a\":1}\n\n", "data: {\"a\":1}\r\n\r\ndata: {\"choices\":[1],\"usage\":{}}\n\n", "\n\n", "data: [DONE]\n\n"] {
        let data = Bytes::from_static(text.as_bytes());
        assert_eq!(strip.feed(&data).as_ptr(), data.as_ptr(), "{text}");
    }
}
