use std::io::Read;

use serde_json::json;

use super::{ANTHROPIC, Client, Got, OPENAI, answer_to, model, question};

const GEMINI: &str = "/v1beta/models/gemini-2.5-flash:generateContent";
const OLLAMA: &str = "/api/chat";

/// What a second request gets where one a minute is the limit.
async fn second(path: &str) -> (Got, Got) {
    let model = model("rate_limit: {requests: 1}").await;
    let mut client = Client::to(model.address()).await;
    let mut asking = question(false);
    asking["contents"] = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    let mut got = Vec::new();
    for _ in 0..2 {
        client.post(path, &asking.to_string()).await;
        got.push(client.got().await);
    }
    let second = got.pop().unwrap();
    (got.pop().unwrap(), second)
}

#[tokio::test]
async fn a_rate_limit_counts_and_tells_what_is_left_as_openai_does() {
    let (first, second) = second(OPENAI).await;
    assert_eq!((first.status(), second.status()), (200, 429));
    let header = |got: &Got, name: &str| got.header(&format!("x-ratelimit-{name}-requests")).unwrap();
    assert_eq!([header(&first, "limit"), header(&first, "remaining"), header(&first, "reset")], ["1", "0", "1m0s"]);
    let wait: u64 = second.header("retry-after-ms").unwrap().parse().unwrap();
    assert!((55_000..=60_000).contains(&wait), "{wait}");
    let error = second.json()["error"].clone();
    assert_eq!((&error["type"], &error["code"]), (&json!("requests"), &json!("rate_limit_exceeded")));
    assert!(error["message"].as_str().unwrap().contains("(RPM): Limit 1, Used 1, Requested 1. Please try again in "), "{error}");
}

#[tokio::test]
async fn a_rate_limit_is_told_in_each_providers_way() {
    let (_, anthropic) = second(ANTHROPIC).await;
    assert_eq!((anthropic.status(), anthropic.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    assert_eq!(anthropic.header("anthropic-ratelimit-requests-remaining").as_deref(), Some("0"));
    assert!(anthropic.header("anthropic-ratelimit-requests-reset").unwrap().ends_with('Z') && anthropic.header("retry-after").is_some());
    let (_, gemini) = second(GEMINI).await;
    assert_eq!(gemini.json()["error"]["status"], "RESOURCE_EXHAUSTED");
    assert!(gemini.json()["error"]["details"][0]["retryDelay"].as_str().unwrap().ends_with('s'));
    let (_, ollama) = second(OLLAMA).await;
    assert_eq!(ollama.status(), 503);
}

#[tokio::test]
async fn a_request_of_more_tokens_than_the_limit_is_never_let_in() {
    let (got, _) = answer_to("rate_limit: {tokens: 5, per: 1s}", OPENAI, &question(false)).await;
    assert_eq!((got.status(), got.header("retry-after")), (429, None));
    assert!(got.json()["error"]["message"].as_str().unwrap().starts_with("Request too large for gpt-4o"), "{}", got.text());
}

#[tokio::test]
async fn a_prompt_beyond_the_window_is_refused_in_each_providers_words() {
    let words = "word ".repeat(300);
    let body = json!({
        "model": "m", "stream": false, "input": words, "prompt": words, "messages": [{"role": "user", "content": words}],
        "contents": [{"role": "user", "parts": [{"text": words}]}],
    });
    for (path, part, code) in [
        (OPENAI, "This model's maximum context length is 100 tokens. However, your messages resulted in", Some("context_length_exceeded")),
        ("/v1/responses", "Your input exceeds the context window of this model.", Some("context_length_exceeded")),
        ("/v1/completions", "in your prompt; 16 for the completion)", Some("context_length_exceeded")),
        (ANTHROPIC, "prompt is too long: ", None),
        (GEMINI, "exceeds the maximum number of tokens allowed (100).", None),
    ] {
        let (got, _) = answer_to("context: 100", path, &body).await;
        let error = got.json()["error"].clone();
        assert!(got.status() == 400 && error["message"].as_str().unwrap().contains(part), "{path}: {error}");
        assert!(code.is_none() || error["code"].as_str() == code, "{path}: {error}");
    }
    let (ollama, _) = answer_to("context: 100", OLLAMA, &body).await;
    assert_eq!((ollama.status(), &ollama.json()["prompt_eval_count"]), (200, &json!(100)));
    let (other, _) = answer_to("context: 100\nrules: [{when: {model: m}, context: 100000}]", OPENAI, &body).await;
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn gzip_comes_when_it_is_ordered_or_accepted_and_says_the_same() {
    let unzipped = |got: &Got| {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&got.body().0[..]).read_to_string(&mut text).unwrap();
        text
    };
    for stream in [false, true] {
        let (plain, _) = answer_to("encode: accepted", OPENAI, &question(stream)).await;
        let (zipped, _) = answer_to("encode: gzip", OPENAI, &question(stream)).await;
        assert_eq!((plain.header("content-encoding"), zipped.header("content-encoding").as_deref()), (None, Some("gzip")));
        assert!(zipped.body().1 && unzipped(&zipped).as_bytes() == plain.body().0, "{stream}");
    }
    let model = model("encode: accepted").await;
    let mut client = Client::to(model.address()).await;
    let body = question(false).to_string();
    client.send(&format!("POST {OPENAI} HTTP/1.1\r\nAccept-Encoding: br, gzip\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
    assert_eq!(client.got().await.header("content-encoding").as_deref(), Some("gzip"));
}

#[tokio::test]
async fn an_event_of_a_compressed_stream_can_be_read_when_it_has_come() {
    let (got, _) =
        answer_to("- {encode: gzip, stall: {at: mid, after: 3, heartbeat: 10ms}, text: one two three four}", OPENAI, &question(true)).await;
    let mut decoder = flate2::write::GzDecoder::new(Vec::new());
    std::io::Write::write_all(&mut decoder, &got.body().0).unwrap();
    std::io::Write::flush(&mut decoder).unwrap();
    let text = String::from_utf8(decoder.get_ref().clone()).unwrap();
    assert_eq!(text.matches("data: ").count(), 3, "{text}");
}
