use opentelemetry::Value as Told;
use serde_json::{Value, json};

use super::{shape::ATTRIBUTE_MAX, *};
use crate::{
    telemetry::{fixture::record, record::Record},
    wire::{Contents, Dialect, Reply, ToolCall},
};

/// What a span says of these contents, by the attributes' names. Whatever it is, it is valid and no longer than it may be.
fn told(record: &Record, body: &str, said: Option<Contents>) -> Value {
    let captured = Captured { said, ..Capture::new(true).keep(&Bytes::copy_from_slice(body.as_bytes())).unwrap() };
    let mut all = json!({});
    for attribute in attributes(record, &captured) {
        let Told::String(text) = attribute.value else { panic!("{} is no text", attribute.key) };
        assert!(text.as_str().len() <= ATTRIBUTE_MAX, "{}: {} bytes", attribute.key, text.as_str().len());
        let value = serde_json::from_str(text.as_str()).unwrap_or_else(|error| panic!("{}: {error}: {text}", attribute.key));
        all[attribute.key.as_str()] = value;
    }
    all
}

fn of(dialect: Dialect) -> Record {
    Record { dialect: Some(dialect), reply: Reply::default(), ..record() }
}

fn said(text: &str, reasoning: &str) -> Contents {
    Contents { text: text.to_owned(), reasoning: reasoning.to_owned(), is_cut: false }
}

fn text(content: &str) -> Value {
    json!({"type": "text", "content": content})
}

#[test]
fn a_chat_is_told_as_the_conventions_shape_it() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Weather\n?"}, {"type": "image_url", "image_url": {"url": "data:x"}}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "w", "arguments": "{\"city\":\"Rome\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "w", "description": "d", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "bare"}},
        ],
    });
    let calls = vec![
        ToolCall { id: Some("c2".to_owned()), name: "w".to_owned(), arguments: Some("{\"city\":\"Bari\"}".to_owned()), ..ToolCall::default() },
        ToolCall { name: "w".to_owned(), arguments: Some("{broken".to_owned()), ..ToolCall::default() },
    ];
    let reply = Reply { finish_reasons: vec!["tool_calls".to_owned()], tool_calls: calls, ..Reply::default() };
    let record = Record { reply, ..of(Dialect::OpenaiChat) };
    let expected = json!({
        "gen_ai.input.messages": [
            {"role": "system", "parts": [text("Be brief.")]},
            {"role": "user", "name": "ann", "parts": [text("Weather\n?")]},
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "w", "arguments": {"city": "Rome"}}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "sunny"}]},
        ],
        "gen_ai.output.messages": [{
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                text("I look."),
                {"type": "tool_call", "id": "c2", "name": "w", "arguments": {"city": "Bari"}},
                {"type": "tool_call", "name": "w", "arguments": "{broken"},
            ],
            "finish_reason": "tool_call",
        }],
        "gen_ai.tool.definitions": [
            {"type": "function", "name": "w", "description": "d", "parameters": {"type": "object"}},
            {"type": "function", "name": "bare"},
        ],
    });
    assert_eq!(told(&record, &body.to_string(), Some(said("I look.", "Hm."))), expected);
}

#[test]
fn every_dialect_is_told() {
    let check = |dialect: Dialect, body: Value, expected: Value| assert_eq!(told(&of(dialect), &body.to_string(), None), expected, "{dialect}");
    let user = |content: &str| json!([{"role": "user", "parts": [text(content)]}]);
    check(Dialect::OpenaiCompletions, json!({"prompt": "Once"}), json!({"gen_ai.input.messages": user("Once")}));
    check(Dialect::OpenaiEmbeddings, json!({"input": ["one"]}), json!({"gen_ai.input.messages": user("one")}));
    check(
        Dialect::OpenaiResponses,
        json!({"instructions": "Be.", "input": [{"role": "user", "content": "hi"}, {"type": "function_call_output", "call_id": "c", "output": "x"}],
               "tools": [{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}]}),
        json!({
            "gen_ai.system_instructions": [text("Be.")],
            "gen_ai.input.messages": [{"role": "user", "parts": [text("hi")]}, {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "x"}]}],
            "gen_ai.tool.definitions": [{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search", "name": "web_search"}],
        }),
    );
    check(
        Dialect::AnthropicMessages,
        json!({"system": [{"type": "text", "text": "Be."}],
               "messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]},
                            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}],
               "tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
        json!({
            "gen_ai.system_instructions": [text("Be.")],
            "gen_ai.input.messages": [
                {"role": "assistant", "parts": [{"type": "tool_call", "id": "t", "name": "f", "arguments": {"a": 1}}]},
                {"role": "user", "parts": [{"type": "tool_call_response", "id": "t", "response": "x"}]},
            ],
            "gen_ai.tool.definitions": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        }),
    );
    check(
        Dialect::Gemini,
        json!({"systemInstruction": {"parts": [{"text": "Be."}]}, "contents": [{"role": "model", "parts": [{"text": "hi"}, {"functionCall": {"name": "f", "args": {"a": 1}}}]}],
               "tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]}),
        json!({
            "gen_ai.system_instructions": [text("Be.")],
            "gen_ai.input.messages": [{"role": "assistant", "parts": [text("hi"), {"type": "tool_call", "name": "f", "arguments": {"a": 1}}]}],
            "gen_ai.tool.definitions": [{"type": "function", "name": "f"}, {"type": "googleSearch", "name": "googleSearch"}],
        }),
    );
    check(
        Dialect::Ollama,
        json!({"messages": [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}]}),
        json!({"gen_ai.input.messages": [{"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {"a": 1}}]}]}),
    );
}

#[test]
fn what_is_not_there_is_absent() {
    let record = Record { dialect: None, ..record() };
    assert_eq!(told(&record, "{\"messages\":[{}]}", Some(said("x", ""))), json!({}));
    for body in ["", "{", "[]", "{\"messages\":7,\"tools\":{}}", "{\"messages\":[],\"tools\":[]}"] {
        assert_eq!(told(&of(Dialect::OpenaiChat), body, Some(said("", ""))), json!({}), "{body}");
    }
}

#[test]
fn of_a_long_conversation_the_first_and_the_last_messages_stay() {
    let messages: Vec<Value> = (0..2000).map(|nth| json!({"role": "user", "content": format!("{nth} {}", "y".repeat(200))})).collect();
    let told = told(&of(Dialect::OpenaiChat), &json!({"messages": messages}).to_string(), None);
    let list = told["gen_ai.input.messages"].as_array().unwrap();
    let first_word = |message: &Value| message["parts"][0]["content"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!((first_word(&list[0]), first_word(list.last().unwrap())), ("0".to_owned(), "1999".to_owned()));
    let missing = list[1]["parts"][0]["messages"].as_u64().unwrap();
    assert_eq!((list[1]["role"].as_str(), missing + u64::try_from(list.len()).unwrap() - 1), (Some("pillion"), 2000));
    assert!(list.len() > 200, "{}", list.len());
}

#[test]
fn whatever_is_long_is_cut_with_a_mark_and_stays_valid() {
    // Escapes make a text six times as long, or more.
    for piece in ["x", "\u{1}", "\"", "é🦀", "sk-0123456789abcdefghij "] {
        let long = piece.repeat(48_000 / piece.len());
        let calls: Vec<_> = (0..40)
            .map(|_| ToolCall { name: "n".repeat(256), arguments: Some(json!({"a": long[..36_000].to_owned()}).to_string()), ..ToolCall::default() })
            .collect();
        let record = Record { reply: Reply { tool_calls: calls, ..Reply::default() }, ..of(Dialect::OpenaiChat) };
        let body = json!({
            "messages": [
                {"role": "user", "content": long},
                {"role": "assistant", "tool_calls": [{"id": long, "function": {"name": "f", "arguments": json!({"a": long}).to_string()}}]},
                {"role": "tool", "tool_call_id": "c", "content": long},
                {"role": "user", "content": "the end"},
            ],
            "tools": [{"function": {"name": "f", "description": long.repeat(3)}}, {"function": {"name": "g"}}],
        });
        let told = told(&record, &body.to_string(), Some(said(&long, &long)));
        let first = told["gen_ai.input.messages"][0]["parts"][0]["content"].as_str().unwrap();
        assert!(first.ends_with("…[cut]"), "{first}");
        assert_eq!(told["gen_ai.input.messages"].as_array().unwrap().last().unwrap()["parts"][0], text("the end"));
        assert_eq!(told["gen_ai.tool.definitions"], json!([{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]));
        assert!(told["gen_ai.output.messages"][0]["parts"][0]["content"].as_str().unwrap().ends_with("…[cut]"));
        assert!(!told.to_string().contains("sk-0123456789"));
    }
    let many: Vec<_> = (0..5000).map(|nth| json!({"function": {"name": format!("tool_{nth}")}})).collect();
    let told = told(&of(Dialect::OpenaiChat), &json!({"messages": [], "tools": many}).to_string(), None);
    let list = told["gen_ai.tool.definitions"].as_array().unwrap();
    assert_eq!(list.last().unwrap(), &json!({"type": "pillion.missing", "name": format!("{} tools", 5001 - list.len())}));
}

#[test]
fn contents_are_kept_within_one_bound_and_only_where_that_is_on() {
    assert!(Capture::new(false).keep(&Bytes::new()).is_none());
    let capture = Capture::new(true);
    let body = Bytes::from(vec![b'x'; HELD_MAX / 2]);
    let first = capture.keep(&body).unwrap();
    let again = first.clone();
    assert!(capture.keep(&body).is_none());
    drop(first);
    assert!(capture.keep(&body).is_none(), "it is still held");
    drop(again);
    assert!(capture.keep(&body).is_some());
}

#[test]
fn a_record_shows_nothing_of_its_contents_when_it_is_printed() {
    let captured = Captured { said: Some(said("canary", "canary")), ..Capture::new(true).keep(&Bytes::from_static(b"canary")).unwrap() };
    let record = Record { contents: Some(Box::new(captured)), ..record() };
    assert!(!format!("{record:?}").contains("canary"));
}
