//! A conversation is read as what it is: in the requests of real clients, and in generated ones however they are written, messages lie where a JSON
//! library finds them, all that is said is in exactly one piece, and calls and results know each other as their ids say.

use std::{collections::BTreeMap, fmt::Write as _};

use pillion::wire::{Dialect, Item, Link, Outline, Piece, PieceKind, Role};
use serde_json::{Map, Value, json};

use crate::support::captures;

/// Keys whose values are nothing that a model reads.
const NEVER: [&str; 29] = [
    "role",
    "type",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "approval_request_id",
    "status",
    "detail",
    "format",
    "index",
    "is_error",
    "media_type",
    "mimeType",
    "mime_type",
    "cache_control",
    "annotations",
    "citations",
    "logprobs",
    "outcome",
    "phase",
    "score",
    "approve",
    "videoMetadata",
    "object",
    "created_at",
    "caller",
    "pending_safety_checks",
    "acknowledged_safety_checks",
];
/// Keys whose values are JSON all of which a model reads.
const WHOLE: [&str; 8] = ["arguments", "input", "args", "response", "action", "operation", "executableCode", "codeExecutionResult"];

fn key(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiResponses => "input",
        Dialect::Gemini => "contents",
        _ => "messages",
    }
}

#[test]
fn conversations_of_real_clients_are_read_as_they_stand() {
    let (mut read, mut messages, mut linked) = (0, 0, 0);
    for (name, capture, expected) in captures::all() {
        for (number, (sent, expected)) in capture.requests.iter().zip(&expected.requests).enumerate() {
            let at = format!("{name}, request {number}");
            let (dialect, body) = (sent.dialect(), sent.body.as_str());
            let Some(outline) = Outline::read(dialect, sent.path(), body.as_bytes()) else {
                let is_other = matches!(dialect, Dialect::OpenaiEmbeddings | Dialect::OpenaiCompletions);
                assert!(is_other || sent.path().contains("count_tokens") || sent.path().contains("mbedContent"), "{at} is not read");
                continue;
            };
            let value: Value = serde_json::from_str(body).unwrap();
            check(&at, dialect, body, &outline, &value);
            let empty = Vec::new();
            let independent = expected["messages"].as_array().unwrap_or(&empty);
            let roles: Vec<_> = independent.iter().map(|message| message["role"].as_str().unwrap()).collect();
            assert_eq!(outline.items.iter().map(|item| role(item.role)).collect::<Vec<_>>(), roles, "{at}");
            read += 1;
            messages += outline.items.len();
            linked += check_links(&at, &outline, independent);
        }
    }
    assert!(read > 200 && messages > 600 && linked > 80, "{read} requests with {messages} messages and {linked} calls and results with ids");
}

#[test]
fn a_conversation_is_the_same_however_it_is_written() {
    let mut random = fastrand::Rng::with_seed(17);
    let mut pieces = 0;
    for round in 0..150 {
        let dialect = DIALECTS[round % DIALECTS.len()];
        let value = conversation(dialect, &mut random);
        let plain = serde_json::to_string(&value).unwrap();
        let outline = read(dialect, &plain);
        check("generated", dialect, &plain, &outline, &value);
        let expected = meant(&plain, &outline);
        pieces += outline.items.iter().map(|item| item.pieces.len()).sum::<usize>();
        for _ in 0..2 {
            let mut body = String::new();
            write(&value, &mut random, &mut body);
            let outline = read(dialect, &body);
            check("written anew", dialect, &body, &outline, &value);
            assert_eq!(meant(&body, &outline), expected, "{body}");
        }
    }
    assert!(pieces > 2_000, "{pieces} pieces");
}

const DIALECTS: [Dialect; 5] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages, Dialect::Gemini, Dialect::Ollama];

fn read(dialect: Dialect, body: &str) -> Outline {
    let path = match dialect {
        Dialect::Gemini => "/v1beta/models/m:generateContent",
        Dialect::Ollama => "/api/chat",
        _ => "/v1/any",
    };
    Outline::read(dialect, path, body.as_bytes()).unwrap_or_else(|| panic!("not read: {body}"))
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::Other => "other",
    }
}

/// Messages are the list and nothing else, pieces lie in them one behind the other, and hold each text that counts exactly once.
fn check(at: &str, dialect: Dialect, body: &str, outline: &Outline, value: &Value) {
    let Some(list) = value[key(dialect)].as_array() else {
        let [item] = &outline.items[..] else { panic!("{at}: one text") };
        assert_eq!(serde_json::from_str::<Value>(&body[item.at.clone()]).unwrap(), value[key(dialect)], "{at}");
        return;
    };
    assert_eq!(outline.items.len(), list.len(), "{at}");
    let mut end = outline.list.start;
    for (index, (item, value)) in outline.items.iter().zip(list).enumerate() {
        assert_eq!(body[end..item.at.start].trim_ascii(), if index == 0 { "" } else { "," }, "{at}: before message {index}");
        assert_eq!(serde_json::from_str::<Value>(&body[item.at.clone()]).unwrap(), *value, "{at}: message {index}");
        in_order(&item.pieces, item.at.start, item.at.end);
        let mut due = Vec::new();
        texts_that_count(value, &mut due);
        let mut found = texts(body, &item.pieces);
        due.sort();
        found.sort();
        assert_eq!(found, due, "{at}: message {index}: {value}");
        end = item.at.end;
    }
    assert_eq!(body[end..outline.list.end].trim_ascii(), "", "{at}");
    assert!(body[..outline.list.start].ends_with('[') && body[outline.list.end..].starts_with(']'), "{at}");
    in_order(&outline.beside, 0, body.len());
    let beside = texts(body, &outline.beside);
    for key in ["system", "instructions", "tools"] {
        let mut due = Vec::new();
        all_texts(&value[key], &mut due);
        // Marks of a cache are no prompt.
        due.retain(|text| key != "system" || text != "text" && text != "ephemeral");
        assert!(due.iter().all(|text| beside.contains(text)), "{at}: {key}");
    }
}

fn in_order(pieces: &[Piece], mut from: usize, to: usize) {
    for piece in pieces {
        assert!(from <= piece.at.start && piece.at.start < piece.at.end && piece.at.end <= to, "{piece:?} lies in {from}..{to}");
        from = piece.at.end;
    }
}

/// What the pieces are: neighbours together, since a long text within JSON is a piece of its own.
fn runs(body: &str, pieces: &[Piece]) -> Vec<(PieceKind, Value)> {
    let mut runs = Vec::new();
    let mut rest = pieces;
    while let Some(first) = rest.first() {
        let count = 1 + rest.windows(2).take_while(|pair| pair[0].at.end == pair[1].at.start).count();
        let text = &body[first.at.start..rest[count - 1].at.end];
        let value = if first.is_quoted { serde_json::from_str(&format!("\"{text}\"")) } else { serde_json::from_str(text) };
        runs.push((first.kind, value.unwrap_or_else(|error| panic!("{error}: {text}"))));
        rest = &rest[count..];
    }
    runs
}

fn texts(body: &str, pieces: &[Piece]) -> Vec<String> {
    let mut found = Vec::new();
    for (_, value) in runs(body, pieces) {
        all_texts(&value, &mut found);
    }
    found
}

fn all_texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| all_texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| all_texts(field, found)),
        _ => {}
    }
}

fn texts_that_count(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts_that_count(item, found)),
        Value::Object(fields) => {
            for (key, field) in fields {
                if WHOLE.contains(&key.as_str()) {
                    all_texts(field, found);
                } else if !NEVER.contains(&key.as_str()) {
                    texts_that_count(field, found);
                }
            }
        }
        other => all_texts(other, found),
    }
}

/// Each id that an independent reader found has one link, and no two ids have the same.
fn check_links(at: &str, outline: &Outline, independent: &[Value]) -> usize {
    let mut known: BTreeMap<String, u64> = BTreeMap::new();
    let mut count = 0;
    for (item, message) in outline.items.iter().zip(independent) {
        for (links, key) in [(&item.calls, "calls"), (&item.results, "results")] {
            let ids: Vec<_> = message[key].as_array().into_iter().flatten().map(|told| told["id"].as_str()).collect();
            assert_eq!(links.iter().map(Option::is_some).collect::<Vec<_>>(), ids.iter().map(Option::is_some).collect::<Vec<_>>(), "{at}: {key}");
            for (link, id) in links.iter().flatten().zip(ids.iter().flatten()) {
                assert_eq!(known.entry((*id).to_owned()).or_insert(*link), link, "{at}");
                count += 1;
            }
        }
    }
    let mut links: Vec<_> = known.values().collect();
    links.sort();
    links.dedup();
    assert_eq!(links.len(), known.len(), "{at}");
    count
}

/// What an outline says, without where it lies.
fn meant(body: &str, outline: &Outline) -> Value {
    let pieces = |pieces: &[Piece]| {
        let mut shown: Vec<_> = runs(body, pieces).into_iter().map(|(kind, value)| format!("{kind:?} {value}")).collect();
        // Of an object's keys the order is nobody's.
        shown.sort();
        shown
    };
    let links = |links: &[Link]| links.iter().map(|link| format!("{link:?}")).collect::<Vec<_>>();
    let item = |item: &Item| json!([role(item.role), pieces(&item.pieces), links(&item.calls), links(&item.results), item.leads, item.speaks]);
    json!([outline.items.iter().map(item).collect::<Vec<_>>(), pieces(&outline.beside), outline.is_continued, outline.window])
}

/// The value as JSON, with keys in any order, blanks anywhere, and characters escaped or not.
fn write(value: &Value, random: &mut fastrand::Rng, out: &mut String) {
    blanks(random, out);
    match value {
        Value::String(text) => write_text(text, random, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write(item, random, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            random.shuffle(&mut fields);
            out.push('{');
            for (index, (key, field)) in fields.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                blanks(random, out);
                write_text(key, random, out);
                blanks(random, out);
                out.push(':');
                write(field, random, out);
            }
            blanks(random, out);
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
    blanks(random, out);
}

fn blanks(random: &mut fastrand::Rng, out: &mut String) {
    if random.u8(..4) == 0 {
        out.push_str(random.choice([" ", "\n", "\t ", "\r\n    "]).unwrap());
    }
}

fn write_text(text: &str, random: &mut fastrand::Rng, out: &mut String) {
    let one_in = random.choice([1, 5, 50, 1000]).unwrap();
    out.push('"');
    for character in text.chars() {
        if random.u32(..one_in) == 0 {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").unwrap();
            }
        } else {
            let quoted = serde_json::to_string(&character).unwrap();
            out.push_str(&quoted[1..quoted.len() - 1]);
        }
    }
    out.push('"');
}

/// A conversation with a few turns of each kind that the dialect has.
fn conversation(dialect: Dialect, random: &mut fastrand::Rng) -> Value {
    let mut list = Vec::new();
    for number in 0..random.usize(1..8) {
        list.extend(turn(dialect, number, random));
    }
    let system = text(random);
    let mut body = match dialect {
        Dialect::OpenaiResponses => json!({"instructions": system, "text": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}),
        Dialect::AnthropicMessages => json!({"system": [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]}),
        Dialect::Gemini => json!({"systemInstruction": {"parts": [{"text": system}]}, "generationConfig": {"responseSchema": {"type": "OBJECT"}}}),
        Dialect::Ollama => json!({"options": {"num_ctx": 4096}, "format": "json"}),
        _ => json!({"response_format": {"type": "json_object"}}),
    };
    let declared = json!([{"type": "function", "name": "search", "description": text(random)}]);
    body.as_object_mut().unwrap().extend(Map::from_iter([
        ("model".to_owned(), json!("m")),
        ("tools".to_owned(), declared),
        (key(dialect).to_owned(), Value::Array(list)),
    ]));
    body
}

fn text(random: &mut fastrand::Rng) -> String {
    let parts = ["words ", "\n", "\"quoted\" ", "\\", "é", "漢字", "😀", "\u{1}", "fn main() {}\r\n", "/"];
    let count = if random.u8(..5) == 0 { random.usize(80..120) } else { random.usize(..12) };
    (0..count).map(|_| *random.choice(&parts).unwrap()).collect()
}

fn turn(dialect: Dialect, number: usize, random: &mut fastrand::Rng) -> Vec<Value> {
    let (said, asked, found, thought) = (text(random), text(random), text(random), text(random));
    let (first, second) = (format!("call_{number}"), format!("call_{number}_ä"));
    let given = json!({"query": asked, "role": "x", "deep": [{"id": text(random)}]});
    match (dialect, random.bool()) {
        (Dialect::OpenaiResponses, true) => vec![
            json!({"role": "user", "content": [{"type": "input_text", "text": said}, {"type": "input_image", "image_url": "data:image/png;base64,AA"}]}),
            json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": found, "annotations": [{"url": "u"}]}]}),
        ],
        (Dialect::OpenaiResponses, false) => vec![
            json!({"role": "user", "content": said}),
            json!({"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": thought}], "encrypted_content": "gAAA"}),
            json!({"type": "function_call", "call_id": first, "id": "fc", "name": "search", "arguments": given.to_string()}),
            json!({"type": "custom_tool_call", "call_id": second, "name": "patch", "input": asked}),
            json!({"type": "custom_tool_call_output", "call_id": second, "output": [{"type": "input_text", "text": found}]}),
            json!({"type": "function_call_output", "call_id": first, "output": found}),
        ],
        (Dialect::AnthropicMessages, true) => vec![
            json!({"role": "user", "content": [{"type": "text", "text": said, "cache_control": {"type": "ephemeral"}},
                {"type": "document", "title": thought, "source": {"type": "text", "media_type": "text/plain", "data": asked}}]}),
            json!({"role": "assistant", "content": found}),
        ],
        (Dialect::AnthropicMessages, false) => vec![
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": thought, "signature": "sig"}, {"type": "text", "text": said},
                {"type": "tool_use", "id": first, "name": "search", "input": given}, {"type": "tool_use", "id": second, "name": "look", "input": {}}]}),
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": second, "content": found, "is_error": true},
                {"type": "tool_result", "tool_use_id": first, "content": [{"type": "text", "text": asked},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]}]}),
        ],
        (Dialect::Gemini, true) => vec![
            json!({"role": "user", "parts": [{"text": said}, {"inlineData": {"mimeType": "image/png", "data": "AA"}}]}),
            json!({"role": "model", "parts": [{"text": thought, "thought": true}, {"text": found, "thoughtSignature": "sig"}]}),
        ],
        (Dialect::Gemini, false) => vec![
            json!({"role": "model", "parts": [{"functionCall": {"id": first, "name": "search", "args": given}, "thoughtSignature": "sig"},
                {"functionCall": {"name": "look"}}]}),
            json!({"role": "user", "parts": [{"functionResponse": {"id": first, "name": "search", "response": {"result": found, "rows": [asked, 1, {"x": said}]}}},
                {"functionResponse": {"name": "look", "response": {"error": thought}}}]}),
        ],
        (Dialect::Ollama, is_plain) => {
            let call = json!([{"function": {"name": "search", "arguments": given}}]);
            let spoken = json!({"role": "assistant", "content": found, "thinking": thought});
            let mut turn = vec![json!({"role": "user", "content": said, "images": ["AA"]}), spoken];
            if !is_plain {
                turn[1]["tool_calls"] = call;
                turn.push(json!({"role": "tool", "tool_name": "search", "content": asked}));
            }
            turn
        }
        (_, true) => vec![
            json!({"role": "user", "name": "bob", "content": [{"type": "text", "text": said}, {"type": "image_url", "image_url": {"url": "https://u", "detail": "low"}}]}),
            json!({"role": "assistant", "content": found, "reasoning_content": thought, "refusal": null}),
        ],
        (_, false) => vec![
            json!({"role": "assistant", "content": said, "tool_calls": [
                {"id": first, "type": "function", "function": {"name": "search", "arguments": given.to_string()}},
                {"id": second, "type": "custom", "custom": {"name": "patch", "input": asked}}]}),
            json!({"role": "tool", "tool_call_id": first, "content": [{"type": "text", "text": found}]}),
            json!({"role": "tool", "tool_call_id": second, "content": thought}),
        ],
    }
}
