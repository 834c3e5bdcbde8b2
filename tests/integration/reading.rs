//! Promise: a request is read without being touched; one that goes on where an earlier one ended says the same as if it had been read whole; and one
//! that cannot be read passes and is counted.

use serde_json::json;

use crate::support::{Call, Upstream, Wire, call, proxy, upstream};

const ANSWER: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;

async fn answering() -> Upstream {
    upstream(|mut wire: Wire| async move {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", ANSWER.len());
        while wire.request().await.is_some() {
            wire.write([head.as_str(), ANSWER].concat()).await;
        }
    })
    .await
}

fn chat(body: impl Into<Vec<u8>>) -> Call {
    call("POST", "/v1/chat/completions").header("Content-Type", "application/json").body(body)
}

#[tokio::test]
async fn what_cannot_be_read_passes_and_is_counted() {
    let large = format!(r#"{{"model":"m","messages":[],"user":"{}"}}"#, "x".repeat(9 << 20));
    let crowd = format!(r#"{{"model":"m","messages":[{}{{}}]}}"#, "{},".repeat(10_000));
    let plain = r#"{"model":"m","messages":[]}"#;
    for (ask, body, reason) in [
        (chat(plain), plain, None),
        (chat("{\"model\":"), "{\"model\":", Some("parse")),
        (chat("model=m&x=y"), "model=m&x=y", Some("parse")),
        (chat(plain).header("Content-Encoding", "gzip"), plain, Some("encoding")),
        (chat(large.as_str()), &large, Some("size")),
        (chat(crowd.as_str()), &crowd, Some("size")),
        // Over `retries.body_max`: passed on as it comes.
        (chat(vec![b' '; 17 << 20]), "", Some("size")),
    ] {
        let upstream = answering().await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&ask).await;
        assert_eq!(reply.status, 200, "{reason:?}");
        assert!(body.is_empty() || upstream.only().body == body.as_bytes(), "{reason:?}: the body is what was sent");
        let metrics = proxy.settle_as("ok").await;
        for each in ["parse", "encoding", "size"] {
            let counted = metrics.count("pillion_observation_skipped_total", &[("reason", each)]);
            assert_eq!(counted, u64::from(reason == Some(each)), "{reason:?}: {:#?}", metrics.show("pillion_observation"));
        }
    }
}

#[tokio::test]
async fn a_conversation_that_goes_on_is_measured_as_a_whole_each_time() {
    let upstream = answering().await;
    let proxy = proxy().to(upstream.url()).run();
    let mut messages = vec![json!({"role": "system", "content": "Be brief. ".repeat(500)})];
    let (mut characters, mut expected, mut sent) = (5000, 0, Vec::new());
    for turn in 0..6 {
        let question = format!("Question {turn}: \u{1f600} \"{}\"\n", "é".repeat(turn * 300));
        characters += question.chars().count();
        messages.push(json!({"role": "user", "content": question}));
        expected += characters;
        let body = json!({"messages": messages, "model": "m", "tools": [{"type": "function", "function": {"name": format!("t{}", turn / 3)}}]});
        sent.push(body.to_string());
        assert_eq!(proxy.ask(&chat(body.to_string())).await.status, 200);
        characters += 2;
        messages.push(json!({"role": "assistant", "content": "Hi"}));
    }
    let metrics = proxy.settle().await;
    assert_eq!(metrics.count("pillion_prompt_characters_sum", &[("model", "m")]), u64::try_from(expected).unwrap());
    let heard: Vec<String> = upstream.heard().into_iter().map(|heard| String::from_utf8(heard.body).unwrap()).collect();
    assert_eq!(heard, sent);
}
