//! An upstream that says of a prompt that it does not fit: that is learnt, and made good once, whole replies and streams.

use serde_json::json;

use super::{SMALL, assert_untouched, body, chat, conversation, count, long, pair, trimmed};
use crate::support::{Call, sha256};

/// An upstream whose window nobody was told of.
const TIGHT: &str = "context: 1000";
/// Of that window, the error in OpenAI's words.
const WORDS: &str =
    "This model's maximum context length is 1000 tokens. However, your messages resulted in 1900 tokens. Please reduce the length of the messages.";
/// No clock but that of the whole.
const FAST: &str = "retries: {backoff: {initial: 1ms, max: 2ms}}";

/// A chat with a model that no table knows.
fn unheard_of(stream: bool) -> Call {
    chat(body("unheard-of", &conversation(31), stream))
}

/// The step of an error of that kind.
fn refusing(times: usize) -> String {
    let error = json!({"error": {"message": WORDS, "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}});
    format!("{{status: 400, times: {times}, body: {error}}}")
}

#[tokio::test]
async fn an_error_is_made_good_once_and_the_agent_sees_the_answer() {
    for stream in [false, true] {
        let pair = pair(TIGHT, FAST).await;
        let call = unheard_of(stream);
        let reply = pair.ask(&call).await;
        assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("2")), "{}", reply.text());
        let (messages, _) = trimmed(&reply);
        let [first, second] = &pair.seen()[..] else { panic!("{:?}", pair.seen().len()) };
        assert!(messages > 5 && second.body.len() < first.body.len());
        assert_eq!(second.header("content-length"), Some(second.body.len().to_string().as_str()));
        assert_eq!(second.json().get("stream_options"), stream.then(|| json!({"include_usage": true})).as_ref());
        let metrics = pair.proxy.settle_as("ok").await;
        assert_eq!(count(&metrics, "pillion_retries_total", &[("reason", "context_length")]), 1);
        assert_eq!(count(&metrics, "pillion_retries_total", &[]), 1);
        assert_eq!((count(&metrics, "pillion_trims_total", &[]), count(&metrics, "pillion_held_bytes", &[])), (1, 0));
    }
}

#[tokio::test]
async fn an_error_that_opens_a_stream_is_made_good_too() {
    let event = json!({"message": WORDS, "type": "invalid_request_error", "code": "context_length_exceeded", "after": 0});
    let pair = pair(&format!("steps: [{{error_event: {event}}}]"), FAST).await;
    let reply = pair.ask(&unheard_of(true)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("2")), "{}", reply.text());
    assert!(trimmed(&reply).0 > 5 && reply.text().contains("[DONE]") && !reply.text().contains("context_length"), "{}", reply.text());
    let metrics = pair.proxy.settle_as("ok").await;
    assert_eq!(count(&metrics, "pillion_retries_total", &[("reason", "context_length")]), 1);
}

#[tokio::test]
async fn it_costs_neither_an_attempt_nor_the_budget() {
    let config = "retries: {attempts: 1, budget: {ratio: 0, per_second: 0, burst: 0}}";
    let pair = pair(TIGHT, config).await;
    let reply = pair.ask(&unheard_of(false)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("2")), "{}", reply.text());
    assert_eq!(count(&pair.proxy.settle_as("ok").await, "pillion_retry_budget_exhausted_total", &[]), 0);
}

#[tokio::test]
async fn what_was_learnt_holds_for_the_next_request() {
    let pair = pair(TIGHT, FAST).await;
    pair.ask(&unheard_of(false)).await;
    let reply = pair.ask(&unheard_of(false)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("1")), "{}", reply.text());
    assert!(trimmed(&reply).0 > 5);
    let seen = pair.seen();
    assert_eq!((seen.len(), &seen[1].sha256), (3, &seen[2].sha256), "the same conversation is cut in the same place");
    assert_eq!(count(&pair.proxy.settle_as("ok").await, "pillion_trims_total", &[]), 2);
}

#[tokio::test]
async fn an_error_that_comes_again_passes_as_it_came() {
    let pair = pair(&format!("steps: [{}]", refusing(2)), FAST).await;
    let reply = pair.ask(&unheard_of(false)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts"), reply.refusal()), (400, Some("2"), None));
    assert_eq!(reply.json()["error"]["message"], WORDS);
    let metrics = pair.proxy.settle_as("client_error").await;
    assert_eq!((count(&metrics, "pillion_attempts_total", &[("result", "4xx")]), count(&metrics, "pillion_refusals_total", &[])), (2, 0));
}

#[tokio::test]
async fn where_trimming_is_declined_the_error_passes_and_is_learnt_all_the_same() {
    let pair = pair(TIGHT, FAST).await;
    let declined = pair.ask(&unheard_of(false).header("x-pillion-trim", "off")).await;
    assert_eq!((declined.status, declined.header("x-pillion-attempts"), declined.header("x-pillion-trimmed")), (400, Some("1"), None));
    assert_eq!(declined.json()["error"]["code"], "context_length_exceeded");
    assert_untouched(&pair.proxy.settle_as("client_error").await);
    let reply = pair.ask(&unheard_of(false)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("1")), "{}", reply.text());
    assert!(trimmed(&reply).0 > 5);
}

#[tokio::test]
async fn a_prompt_that_was_trimmed_too_little_is_trimmed_anew_from_what_was_sent() {
    // The upstream's window is narrower than the config says.
    let pair = pair(&format!("steps: [{}]", refusing(1).replace("1000 tokens", "600 tokens").replace("1900 tokens", "800 tokens")), SMALL).await;
    let reply = pair.ask(&long(31)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("2")), "{}", reply.text());
    let [first, second] = &pair.seen()[..] else { panic!("{:?}", pair.seen().len()) };
    let left = |seen: &pillion::demo::model::Seen| seen.json()["messages"].as_array().unwrap().len();
    assert!(left(second) < left(first) && left(first) < 31);
    assert_eq!(trimmed(&reply).0, u64::try_from(31 - left(second)).unwrap(), "all that is missing is told");
    let metrics = pair.proxy.settle_as("ok").await;
    assert_eq!((count(&metrics, "pillion_trims_total", &[]), count(&metrics, "pillion_held_bytes", &[])), (1, 0));
}

#[tokio::test]
async fn the_deadline_holds_for_both_attempts_together() {
    let config = format!("{SMALL}timeouts: {{total: 3s}}");
    let pair = pair(&format!("steps: [{{}}, {}, {{stall: {{at: head}}}}]", refusing(1)), &config).await;
    // The tokenizer is loaded by the first prompt that is counted, which takes its time where nothing is optimised.
    assert_eq!(pair.ask(&long(31).header("x-pillion-timeout", "20s")).await.status, 200);
    let reply = pair.ask(&unheard_of(false)).await;
    assert_eq!((reply.status, reply.refusal(), reply.header("x-pillion-attempts")), (504, Some("timeout_total"), Some("2")));
    assert!(trimmed(&reply).0 > 5, "the answer of our own says it too");
    assert_eq!(count(&pair.proxy.settle().await, "pillion_retries_total", &[("reason", "context_length")]), 1);
}

#[tokio::test]
async fn a_body_that_is_carried_once_is_not_asked_again() {
    let pair = pair(TIGHT, "retries: {body_max: 1KiB}").await;
    let whole = body("unheard-of", &conversation(31), false);
    let reply = pair.ask(&chat(whole.clone())).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts")), (400, Some("1")));
    assert_eq!(pair.only().sha256, sha256(&whole));
    pair.proxy.settle_as("client_error").await;
}

#[tokio::test]
async fn other_errors_of_the_same_status_pass_at_once_and_as_they_came() {
    for status in [400, 413, 422] {
        let pair = pair(&format!("steps: [{{status: {status}, body: \" {{}}\\n\"}}]"), FAST).await;
        let reply = pair.ask(&unheard_of(false)).await;
        assert_eq!((reply.status, reply.text().as_str(), reply.header("x-pillion-attempts")), (status, " {}\n", Some("1")));
        assert_eq!(reply.header("x-should-retry"), None);
        assert_untouched(&pair.proxy.settle_as("client_error").await);
    }
}

#[tokio::test]
async fn a_compressed_error_is_understood_too() {
    let pair = pair("context: 1000\nencode: gzip", FAST).await;
    let reply = pair.ask(&unheard_of(false)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts"), reply.header("content-encoding")), (200, Some("2"), Some("gzip")));
    assert!(trimmed(&reply).0 > 5);
}

#[tokio::test]
async fn an_error_in_a_stream_that_is_not_held_passes_and_is_learnt() {
    let event = json!({"message": WORDS, "type": "invalid_request_error", "code": "context_length_exceeded", "after": 0});
    let pair = pair(&format!("steps: [{{error_event: {event}}}]"), "carry: {hold_head: false, exchange_headers: false}").await;
    let passed = pair.ask(&unheard_of(true)).await;
    assert!(passed.status == 200 && passed.text().contains(WORDS), "{}", passed.text());
    assert_eq!(count(&pair.proxy.settle_as("upstream_error").await, "pillion_retries_total", &[]), 0);
    let reply = pair.ask(&unheard_of(true)).await;
    assert_eq!((reply.status, reply.header("x-pillion-trimmed")), (200, None), "the config wants no such headers");
    let left = pair.seen()[1].json()["messages"].as_array().unwrap().len();
    assert!(left < 25, "{left}");
    assert_eq!(count(&pair.proxy.settle().await, "pillion_trims_total", &[]), 1);
}
