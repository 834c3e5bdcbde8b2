//! How many tokens a prompt has by a public tokenizer: its texts, the names and arguments of its calls, what is declared, and what every message costs
//! beside them. Written apart from what Pillion counts with, so that the one can be held against the other.

use serde_json::Value;
use tiktoken::{CoreBpe, get_encoding};

use super::ask::either;
use crate::demo::script::Tokens;

/// Tokens that frame a message: who speaks, where it begins and ends.
const MESSAGE: usize = 4;
/// Tokens that open the answer.
const OPENING: usize = 3;
/// Tokens of an image, whatever its size.
const IMAGE: usize = 765;

/// What is no part of a prompt: ids, kinds and marks.
const SILENT: [&str; 10] = ["type", "id", "role", "tool_call_id", "tool_use_id", "call_id", "cache_control", "status", "is_error", "annotations"];

/// What is read as JSON, with its keys.
const WHOLE: [&str; 4] = ["input", "args", "arguments", "response"];

/// Tokens of the prompt in a request's body; `None` where they are to be guessed by its characters.
pub(super) fn prompt(tokens: Tokens, body: &Value) -> Option<usize> {
    let bpe = match tokens {
        Tokens::Characters => return None,
        Tokens::O200k => get_encoding("o200k_base")?,
        Tokens::Cl100k => get_encoding("cl100k_base")?,
    };
    let messages = ["messages", "input", "contents", "prompt"].iter().map(|key| &body[*key]).find(|list| !list.is_null());
    let messages = messages.map_or(0, |messages| match messages {
        Value::Array(list) => list.iter().map(|message| MESSAGE + within(bpe, message)).sum(),
        text => MESSAGE + within(bpe, text),
    });
    let system = [&body["system"], &body["instructions"], either(body, "systemInstruction")].map(|text| within(bpe, text));
    let schemas = [&body["tools"], &body["response_format"]["json_schema"], &body["text"]["format"]["schema"]].map(|schema| json(bpe, schema));
    Some(OPENING + messages + system.iter().chain(&schemas).sum::<usize>())
}

/// Tokens of all texts in a value.
fn within(bpe: &CoreBpe, value: &Value) -> usize {
    match value {
        Value::String(text) => bpe.count(text),
        Value::Array(items) => items.iter().map(|item| within(bpe, item)).sum(),
        Value::Object(map) if is_image(value) => IMAGE.max(map.len()),
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !SILENT.contains(&key.as_str()))
            .map(|(key, value)| if value.is_object() && WHOLE.contains(&key.as_str()) { json(bpe, value) } else { within(bpe, value) })
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn json(bpe: &CoreBpe, value: &Value) -> usize {
    if value.is_null() { 0 } else { bpe.count(&value.to_string()) }
}

fn is_image(value: &Value) -> bool {
    matches!(value["type"].as_str(), Some("image" | "image_url" | "input_image")) || !either(value, "inlineData").is_null()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_calls_and_what_is_declared_are_counted_and_ids_are_not() {
        let count = |body: &Value| prompt(Tokens::O200k, body).unwrap();
        let words = "The quick brown fox jumps over the lazy dog.";
        let bare = json!({"messages": [{"role": "user", "content": words}]});
        assert_eq!(count(&bare), OPENING + MESSAGE + 10);
        assert_eq!(count(&json!({"input": words})), count(&bare));
        assert_eq!(count(&json!({"contents": [{"parts": [{"text": words}]}], "systemInstruction": {"parts": [{"text": words}]}})), count(&bare) + 10);
        let call = |id: &str| json!({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "f", "input": {"city": "Rome"}}]}]});
        assert_eq!(count(&call("a")), count(&call(&"toolu_".repeat(50))));
        assert!(count(&call("a")) > OPENING + MESSAGE + 3);
        let image = json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:".repeat(5000)}}]}]});
        assert_eq!(count(&image), OPENING + MESSAGE + IMAGE);
        assert!(count(&json!({"messages": [], "tools": [{"type": "function", "function": {"name": "f"}}]})) > OPENING + 5);
        assert_eq!(prompt(Tokens::Characters, &bare), None);
        assert!(prompt(Tokens::Cl100k, &bare).is_some());
    }
}
