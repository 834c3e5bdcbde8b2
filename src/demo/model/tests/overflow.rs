use serde_json::{Value, json};

use super::{ANTHROPIC, Got, OPENAI, answer_to};
use crate::wire::{Dialect, Overflow, Reading};

const RESPONSES: &str = "/v1/responses";
const COMPLETIONS: &str = "/v1/completions";
const GENERATE: &str = "/v1beta/models/gemini-2.5-flash:generateContent";
const STREAM: &str = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";

/// A prompt of some 300 tokens, in every dialect.
fn long(stream: bool) -> Value {
    let words = "word ".repeat(300);
    json!({
        "model": "m", "stream": stream, "input": words, "prompt": words, "messages": [{"role": "user", "content": words}],
        "contents": [{"role": "user", "parts": [{"text": words}]}],
    })
}

/// What Pillion reads of an answer: the error's overflow, and whether it came in a stream.
fn read(dialect: Dialect, got: &Got) -> (Option<Overflow>, bool) {
    let mut reading = Reading::new(dialect, got.status(), got.header("content-type").as_deref(), None);
    reading.feed(&got.body().0);
    reading.end();
    let is_stream = reading.is_stream();
    (reading.into_reply().error.and_then(|error| error.overflow), is_stream)
}

#[tokio::test]
async fn a_prompt_beyond_the_window_is_refused_in_the_words_of_the_server_that_was_named() {
    for (server, status, part) in [
        ("openai", 400, "However, your messages resulted in"),
        ("vllm", 400, "However, your request has"),
        ("sglang", 400, "tokens from the input messages"),
        ("llama_cpp", 400, "exceeds the available context size (100 tokens)"),
        ("lm_studio", 400, "context length of only 100 tokens"),
        ("mistral", 400, "too large for model with 100 maximum context length"),
        ("tgi", 422, "`inputs` tokens + `max_new_tokens` must be <= 100."),
        ("xai", 400, "maximum prompt length is 100 but the request contains"),
    ] {
        let script = format!("context: 100\ntokens: o200k\noverflow_words: {server}");
        let (got, _) = answer_to(&script, OPENAI, &long(false)).await;
        assert!(got.status() == status && got.text().contains(part), "{server}: {}", got.text());
        let overflow = read(Dialect::OpenaiChat, &got).0.unwrap_or_else(|| panic!("{server}: {}", got.text()));
        // What LM Studio tries to keep is no count of the prompt.
        let prompt = (server != "lm_studio").then_some(308);
        assert_eq!((overflow.window, overflow.prompt), (Some(100), prompt), "{server}");
    }
}

#[tokio::test]
async fn room_for_the_answer_is_asked_for_by_some_servers_and_not_by_others() {
    for (server, refused) in
        [("vllm", true), ("sglang", true), ("tgi", true), ("openai", true), ("llama_cpp", false), ("mistral", false), ("xai", false)]
    {
        let mut body = long(false);
        body["max_tokens"] = json!(200);
        let (got, _) = answer_to(&format!("context: 400\ntokens: o200k\noverflow_words: {server}"), OPENAI, &body).await;
        assert_eq!(got.status() >= 400, refused, "{server}: {}", got.text());
        let told = Overflow { window: Some(400), prompt: Some(308), answer: Some(200) };
        assert_eq!(read(Dialect::OpenaiChat, &got).0, refused.then_some(told), "{server}");
    }
}

#[tokio::test]
async fn a_refusal_has_the_status_that_was_ordered() {
    for status in [413, 500] {
        let (got, _) = answer_to(&format!("- {{context: 100, context_status: {status}}}"), ANTHROPIC, &long(false)).await;
        assert_eq!((got.status(), read(Dialect::AnthropicMessages, &got).0.and_then(|overflow| overflow.window)), (status, Some(100)));
    }
}

#[tokio::test]
async fn a_refusal_can_be_the_first_event_of_a_stream() {
    for (dialect, path) in [
        (Dialect::OpenaiChat, OPENAI),
        (Dialect::OpenaiCompletions, COMPLETIONS),
        (Dialect::OpenaiResponses, RESPONSES),
        (Dialect::AnthropicMessages, ANTHROPIC),
        (Dialect::Gemini, &format!("{STREAM}?alt=sse")),
    ] {
        let (got, _) = answer_to("context: 100\ncontext_event: true", path, &long(true)).await;
        let (overflow, is_stream) = read(dialect, &got);
        assert!(got.status() == 200 && is_stream && overflow.is_some(), "{dialect}: {}", got.text());
        let whole = if dialect == Dialect::Gemini { GENERATE } else { path };
        let (got, _) = answer_to("context: 100\ncontext_event: true", whole, &long(false)).await;
        assert_eq!(got.status(), 400, "{dialect}");
    }
    let (array, _) = answer_to("context: 100\ncontext_event: true", STREAM, &long(true)).await;
    assert!(array.status() == 200 && read(Dialect::Gemini, &array).0.is_some(), "{}", array.text());
    let (bare, _) = answer_to("context: 100\ncontext_event: true\noverflow_words: mistral", OPENAI, &long(true)).await;
    assert!(bare.chunks()[0]["error"]["message"].as_str().unwrap().starts_with("Prompt contains "), "{}", bare.text());
}

#[tokio::test]
async fn usage_and_window_are_by_the_tokenizer_that_was_ordered() {
    let mut body = long(false);
    body["max_tokens"] = json!(10);
    let counted = |got: Got| got.json()["usage"]["prompt_tokens"].as_u64();
    let (characters, _) = answer_to("tokens: characters", OPENAI, &body).await;
    let (usual, _) = answer_to("", OPENAI, &body).await;
    assert_eq!(counted(characters), counted(usual));
    let (tokens, _) = answer_to("rules: [{when: {model: m}, tokens: o200k}]", OPENAI, &body).await;
    assert_eq!(counted(tokens), Some(308));
    let (fits, _) = answer_to("tokens: cl100k\ncontext: 318", OPENAI, &body).await;
    let (does_not, _) = answer_to("tokens: cl100k\ncontext: 317", OPENAI, &body).await;
    assert_eq!((fits.status(), does_not.status()), (200, 400));
}
