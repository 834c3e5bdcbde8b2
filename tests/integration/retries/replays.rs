//! What is sent again is what was sent: bytes, headers, order. What cannot be held is sent once.

use super::{FAST, pair};
use crate::support::{call, sha256};

/// Where chat calls go.
const CHAT: &str = "/v1/chat/completions";
/// Held bodies of 64 KiB at most.
const SMALL: &str = "retries: {body_max: 64KiB, backoff: {initial: 1ms}}";

/// The body of a call of about so many bytes, whose spacing no one would write twice.
fn long(size: usize) -> String {
    format!("{{ \"model\" :\"gpt-4o\",\t\"messages\": [{{\"role\":\"user\" , \"content\":\"{}\"}}] }}\n", "wörd ".repeat(size / 6))
}

#[tokio::test]
async fn every_attempt_is_the_same_request() {
    let pair = pair("[{status: 500}, {status: 503}]", FAST).await;
    let body = long(5_000);
    let sent =
        [("Authorization", "Bearer k"), ("X-b", "2"), ("Idempotency-Key", "once"), ("x-A", "1"), ("X-B", "3"), ("Content-Type", "application/json")];
    let request = sent.iter().fold(call("POST", "/v1/chat/completions?x=%20y"), |call, (name, value)| call.header(name, value));
    let reply = pair.ask(&request.body(body.clone())).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (200, 3));
    let seen = pair.seen();
    for attempt in &seen {
        assert_eq!((&attempt.target, &attempt.headers), (&seen[0].target, &seen[0].headers));
        assert_eq!(attempt.sha256, sha256(&body));
    }
    let kept: Vec<_> = seen[0].headers.iter().filter_map(|(name, value)| sent.iter().find(|sent| **sent == (name, value))).collect();
    // Repeats of a name stand where it first was, in their order.
    assert_eq!(kept, [&sent[0], &sent[1], &sent[4], &sent[2], &sent[3], &sent[5]]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_carried_once_and_unchanged() {
    let pair = pair("[{status: 500}]", SMALL).await;
    let body = long(200_000);
    let reply = pair.ask(&call("POST", CHAT).body(body.clone())).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (500, 1));
    assert_eq!(reply.header("x-should-retry"), None, "the agent's SDK may still try: we could not");
    assert_eq!(pair.seen()[0].sha256, sha256(&body));
}

#[tokio::test]
async fn a_chunked_body_that_outgrows_the_limit_is_carried_once_and_unchanged() {
    let pair = pair("[{status: 500}]", SMALL).await;
    let body = long(200_000);
    let reply = pair.ask(&call("POST", CHAT).body(body.clone()).chunked(10_000)).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (500, 1));
    assert_eq!(pair.seen()[0].sha256, sha256(&body));
}

#[tokio::test]
async fn a_chunked_body_within_the_limit_is_tried_again_with_the_same_bytes() {
    let pair = pair("[{status: 500}]", SMALL).await;
    let body = long(40_000);
    let reply = pair.ask(&call("POST", CHAT).body(body.clone()).chunked(10_000)).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (200, 2));
    assert!(pair.seen().iter().all(|seen| seen.sha256 == sha256(&body)));
}

#[tokio::test]
async fn what_is_no_call_is_carried_once() {
    let pair = pair("[{status: 500}]", FAST).await;
    let reply = pair.ask(&call("POST", "/v1/files").body("an upload")).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (500, 1));
    assert_eq!(pair.seen()[0].body, "an upload");
}

#[tokio::test]
async fn a_question_without_a_body_is_tried_again() {
    let pair = pair("[{status: 503}]", FAST).await;
    let reply = pair.ask(&call("GET", "/v1/models")).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (200, 2));
}
