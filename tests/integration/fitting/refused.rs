//! A prompt that cannot be made to fit is refused at once, in the words of the provider whose API it is.

use serde_json::{Value, json};

use super::{SMALL, count, pair};
use crate::support::{Call, call};

/// More than any small window takes, in a place that is never touched.
fn instructions() -> String {
    super::WORDS.repeat(700)
}

fn post(target: &str, body: &Value) -> Call {
    call("POST", target).json(body)
}

#[tokio::test]
async fn in_each_dialect_the_answer_is_its_own_and_nothing_goes_up() {
    let system = instructions();
    let user = json!({"role": "user", "content": "Say hello."});
    let chat = json!({"model": "small", "messages": [{"role": "system", "content": system}, user]});
    let responses = json!({"model": "small", "instructions": system, "input": [user]});
    let messages = json!({"model": "small", "max_tokens": 64, "system": system, "messages": [user]});
    let gemini = json!({"systemInstruction": {"parts": [{"text": system}]}, "contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]});
    for (target, body, code, words) in [
        ("/v1/chat/completions", &chat, "/error/code", "maximum context length"),
        ("/v1/responses", &responses, "/error/code", "context window"),
        ("/v1/messages", &messages, "/error/type", "prompt is too long"),
        ("/v1beta/models/small:generateContent", &gemini, "/error/status", "exceeds the maximum number of tokens"),
        ("/api/chat", &chat, "/error", "context length"),
    ] {
        let pair = pair("", SMALL).await;
        let reply = pair.ask(&post(target, body)).await;
        assert_eq!((reply.status, reply.refusal(), reply.header("x-should-retry")), (400, Some("context_too_large"), Some("false")), "{target}");
        let error = reply.json();
        let code = error.pointer(code).and_then(Value::as_str).unwrap_or_else(|| panic!("{target}: {error}"));
        let expected = match target {
            "/v1/messages" => "invalid_request_error",
            "/v1beta/models/small:generateContent" => "INVALID_ARGUMENT",
            "/api/chat" => code,
            _ => "context_length_exceeded",
        };
        assert_eq!(code, expected, "{target}: {error}");
        assert!(reply.text().contains(words), "{target}: {error}");
        assert!(pair.seen().is_empty(), "{target}");
        let metrics = pair.proxy.settle_as("refused").await;
        assert_eq!(count(&metrics, "pillion_refusals_total", &[("reason", "context_too_large")]), 1, "{target}");
        assert_eq!((count(&metrics, "pillion_attempts_total", &[]), count(&metrics, "pillion_held_bytes", &[])), (0, 0), "{target}");
        // What is reported is what was counted, and told where the provider tells it.
        let tokens = count(&metrics, "pillion_prompt_tokens_sum", &[]).to_string();
        assert!(matches!(target, "/v1/responses" | "/api/chat") || reply.text().contains(&tokens), "{target}: {tokens}, {error}");
    }
}

#[tokio::test]
async fn who_declines_gets_the_upstream_s_own_answer() {
    let pair = pair("", SMALL).await;
    let body = json!({"model": "small", "messages": [{"role": "system", "content": instructions()}, {"role": "user", "content": "Say hello."}]});
    let reply = pair.ask(&post("/v1/chat/completions", &body).header("x-pillion-trim", "off")).await;
    assert_eq!((reply.status, reply.refusal(), pair.seen().len()), (200, None, 1));
}
