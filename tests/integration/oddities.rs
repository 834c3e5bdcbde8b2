//! Promise: what is odd but can be carried is carried as it came, and does the next request no harm.

use serde_json::Value;

use crate::support::{Call, End, Wire, agent, call, chat, chunk, proxy, sse_head, upstream};

#[tokio::test]
async fn of_a_length_and_chunks_the_chunks_count_and_the_connection_serves_no_other() {
    for order in ["Content-Length: 3\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 300"] {
        let upstream = upstream(move |mut wire: Wire| async move {
            while wire.request().await.is_some() {
                wire.write(format!("HTTP/1.1 200 OK\r\n{order}\r\n\r\n5\r\nhello\r\n0\r\n\r\n")).await;
            }
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let mut agent = agent(&proxy).await;
        for _ in 0..3 {
            let reply = agent.ask(&call("GET", "/x")).await;
            assert_eq!((reply.text().as_str(), reply.end, reply.header("content-length")), ("hello", End::Whole, None), "{order}");
        }
        assert_eq!(upstream.heard().iter().map(|heard| heard.connection).collect::<Vec<_>>(), [1, 2, 3], "{order}");
        proxy.settle_as("ok").await;
    }
}

#[tokio::test]
async fn a_body_longer_than_its_length_ends_there_and_its_connection_serves_no_other() {
    let upstream = upstream(|mut wire: Wire| async move {
        while wire.request().await.is_some() {
            wire.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}and much more").await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    for _ in 0..3 {
        let reply = agent.ask(&chat(false)).await;
        assert_eq!((reply.status, reply.text().as_str(), reply.end), (200, "{}", End::Whole));
    }
    assert_eq!(upstream.heard().iter().map(|heard| heard.connection).collect::<Vec<_>>(), [1, 2, 3]);
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn an_early_reply_of_any_status_stops_a_chunked_upload_and_ends_both_connections() {
    for (status, outcome) in [(200, "ok"), (401, "client_error"), (413, "client_error")] {
        let mut upstream = upstream(move |mut wire: Wire| async move {
            wire.request_head().await;
            wire.write(format!("HTTP/1.1 {status} Early\r\nContent-Length: 2\r\n\r\nno")).await;
            wire.until_gone().await;
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let mut agent = agent(&proxy).await;
        agent.asks();
        agent.write("POST /v1/files HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n").await;
        let reply = agent.reply().await;
        assert_eq!((reply.status, reply.text().as_str(), reply.end), (status, "no", End::Whole));
        upstream.gone().await;
        assert_ne!(agent.closed().await, End::Open, "what is left of the upload is not taken for a request");
        drop(agent);
        proxy.settle_as(outcome).await;
    }
}

/// Streams that the standard allows, however unusual; each with a first content, a finish reason and two tokens.
fn streams() -> Vec<Vec<u8>> {
    let events = [
        r#"{"id":"a","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
        "[DONE]",
    ];
    let written = |start: &str, before: &str, end: &str| {
        let events = events.map(|data| format!("{before}data: {data}{end}{end}"));
        format!("{start}{}", events.concat()).into_bytes()
    };
    vec![
        written("", "", "\n"),
        written("", "", "\r"),
        written("", "", "\r\n"),
        written("\u{feff}", "", "\n"),
        written(": hello\n\n:\r\n\r\n", ": before\n", "\n"),
        written("", "id: a\0b\nretry: x\nretry: 10\nnonsense\nevent\n", "\n"),
        written("data\n\n", "data:\n", "\n"),
        events.iter().zip(["\n\n", "\r\r", "\r\n\r\n"]).flat_map(|(data, end)| format!("data:{data}{end}").into_bytes()).collect(),
    ]
}

#[tokio::test]
async fn every_line_end_comment_and_field_of_an_event_stream_passes_and_is_read_wherever_it_is_split() {
    for stream in streams() {
        for size in [1, 3, 17, stream.len()] {
            let (expected, sent) = (stream.clone(), stream.clone());
            let upstream = upstream(move |mut wire: Wire| {
                let mut bytes = sse_head().as_bytes().to_vec();
                sent.chunks(size).for_each(|piece| bytes.extend(chunk(piece)));
                bytes.extend_from_slice(b"0\r\n\r\n");
                async move {
                    wire.request().await;
                    wire.write(bytes).await;
                }
            })
            .await;
            let proxy = proxy().to(upstream.url()).run();
            let reply = proxy.ask(&chat(true)).await;
            assert!(reply.body == expected && reply.end == End::Whole, "{:?} became {:?}", String::from_utf8_lossy(&expected), reply.text());
            let metrics = proxy.settle_as("ok").await;
            assert_eq!(metrics.count("gen_ai_client_token_usage_sum", &[]), 2, "{:?} by {size}", String::from_utf8_lossy(&expected));
        }
    }
}

/// A request and a reply of a million brackets.
fn deep(open: &str, close: &str) -> (Call, String) {
    let nest = format!("{}1{}", open.repeat(1_000_000), close.repeat(1_000_000));
    let body = format!("{{\"model\":\"m\",\"messages\":{nest}}}");
    (call("POST", "/v1/chat/completions").header("Content-Type", "application/json").body(body), format!("{{\"choices\":{nest}}}"))
}

#[tokio::test]
async fn json_a_million_deep_passes_both_ways_and_stops_nobody() {
    for (ask, answer) in [deep("[", "]"), deep("{\"a\":", "}")] {
        let length = answer.len();
        let sent = answer.clone();
        let upstream = upstream(move |mut wire: Wire| {
            let reply = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{sent}");
            async move {
                while let Some(heard) = wire.request().await {
                    let is_small = heard.body.len() < 1000;
                    wire.write(if is_small { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" } else { &reply }).await;
                }
            }
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&ask).await;
        assert!(reply.status == 200 && reply.text() == answer, "{} of {length}", reply.body.len());
        assert_eq!(proxy.ask(&chat(false)).await.json(), Value::Object(serde_json::Map::new()));
        assert_eq!(upstream.heard()[0].body.len(), ask.bytes().len() - ask.bytes().windows(4).position(|end| end == b"\r\n\r\n").unwrap() - 4);
        proxy.settle_as("ok").await;
    }
}
