//! Streams: an error before the first token is retried as a failed status is; after a byte has reached the agent nothing is.

use super::{FAST, assert_counts, pair};
use crate::support::{Call, Reply, all, chat, messages};

/// A streamed call of each dialect.
fn calls() -> [(&'static str, Call); 2] {
    [("openai", chat(true)), ("anthropic", messages(true))]
}

/// How often the reply's beginning says that a stream begins.
fn beginnings(reply: &Reply) -> usize {
    let text = reply.text();
    text.matches(r#""role":"assistant""#).count().max(text.matches("event: message_start").count())
}

#[tokio::test]
async fn an_error_event_before_the_first_token_is_retried_and_leaves_no_trace() {
    for after in [0, 1] {
        all(calls().map(|(dialect, call)| async move {
            let pair = pair(&format!("[{{error_event: {{message: too busy, after: {after}}}}}, {{text: All is well.}}]"), FAST).await;
            let reply = pair.ask(&call).await;
            assert_eq!((reply.status, pair.attempts(&reply).await), (200, 2), "{dialect} {after}");
            assert!(reply.looks_complete() && !reply.text().contains("too busy") && beginnings(&reply) == 1, "{dialect}: {}", reply.text());
            assert_counts(&pair.proxy.settle().await, "pillion_retries_total", &[("reason", "stream_error")], 1);
        }))
        .await;
    }
}

#[tokio::test]
async fn an_error_event_that_stays_passes_on_as_it_came() {
    all(calls().map(|(dialect, call)| async move {
        let pair = pair("[{error_event: {message: too busy}, times: always}]", FAST).await;
        let reply = pair.ask(&call).await;
        assert_eq!((reply.status, pair.attempts(&reply).await), (200, 3), "{dialect}");
        assert_eq!(reply.text().matches("too busy").count(), 1, "{dialect}: {}", reply.text());
    }))
    .await;
}

#[tokio::test]
async fn an_error_event_after_the_first_token_passes_on_and_is_not_retried() {
    all(calls().map(|(dialect, call)| async move {
        let pair = pair("[{error_event: {message: too busy, after: 6}, text: A long and winding answer with many words in it}]", FAST).await;
        let reply = pair.ask(&call).await;
        assert_eq!((reply.status, pair.attempts(&reply).await), (200, 1), "{dialect}");
        assert_eq!((reply.text().matches("too busy").count(), beginnings(&reply)), (1, 1), "{dialect}: {}", reply.text());
        assert_counts(&pair.proxy.settle().await, "pillion_exchanges_total", &[("outcome", "upstream_error")], 1);
    }))
    .await;
}

#[tokio::test]
async fn a_stream_that_breaks_after_its_first_token_is_not_retried() {
    for how in ["fin", "rst"] {
        all(calls().map(|(dialect, call)| async move {
            let script = format!("[{{cut: {{at: mid, after: 6, how: {how}}}, text: A long and winding answer with many words in it}}]");
            let pair = pair(&script, FAST).await;
            let reply = pair.ask(&call).await;
            assert_eq!((reply.status, pair.attempts(&reply).await), (200, 1), "{dialect} {how}");
            assert!(!reply.looks_complete(), "{dialect} {how}: {}", reply.text());
            assert_counts(&pair.proxy.settle().await, "pillion_exchanges_total", &[("outcome", "cut")], 1);
        }))
        .await;
    }
}

#[tokio::test]
async fn a_whole_reply_that_breaks_in_its_body_is_not_retried() {
    let pair = pair("[{cut: {at: mid, bytes: 40}}]", FAST).await;
    let reply = pair.chat().await;
    assert_eq!((reply.status, reply.looks_complete(), pair.attempts(&reply).await), (200, false, 1));
}
