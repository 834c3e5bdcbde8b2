//! Promise: fields behind a body pass both ways where both sides said that they would be there and be read; none of them frames or routes anything.

use crate::support::{Call, End, Upstream, Wire, agent, call, chat, proxy, sse_head, upstream};

/// What follows a body, asked for and announced.
const REPLY: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Content-Length\r\n\r\n\
    2\r\n{}\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\nContent-Length: 7\r\nX-Unannounced: 3\r\n\r\n";

/// Answers each request, whose body it reads raw, with these bytes.
async fn answering(bytes: String) -> Upstream {
    upstream(move |mut wire: Wire| {
        let bytes = bytes.clone();
        async move {
            while wire.request().await.is_some() {
                wire.write(&bytes).await;
            }
        }
    })
    .await
}

fn asking(call: Call) -> Call {
    call.header("TE", "trailers").header("Connection", "TE")
}

#[tokio::test]
async fn a_request_passes_with_the_fields_behind_its_body() {
    for target in ["/v1/unknown", "/v1/chat/completions"] {
        let upstream = upstream(|mut wire: Wire| async move {
            let heard = wire.request_head().await.unwrap();
            let body = wire.raw_until(b"\r\n\r\n").await.unwrap();
            let told = format!("{:?}{:?}{}", heard.header("te"), heard.header("trailer"), String::from_utf8_lossy(&body));
            wire.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len())).await;
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let mut agent = agent(&proxy).await;
        agent.asks();
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\n");
        let fields = "X-Checksum: abc\r\nAuthorization: Bearer late\r\nX-Pillion-Agent: late\r\n";
        let announced = "Transfer-Encoding: chunked\r\nTrailer: X-Checksum, Authorization, X-Pillion-Agent\r\n\r\n";
        agent.write(format!("{head}{announced}2\r\n{{}}\r\n0\r\n{fields}\r\n")).await;
        let told = agent.reply().await.text();
        assert!(told.starts_with("Some(\"trailers\")Some(\"X-Checksum, Authorization, X-Pillion-Agent\")2\r\n{}\r\n0\r\n"), "{told:?}");
        assert!(told.to_ascii_lowercase().ends_with("0\r\nx-checksum: abc\r\n\r\n"), "{told:?}");
        proxy.settle_as("ok").await;
    }
}

#[tokio::test]
async fn a_reply_passes_with_the_fields_behind_its_body_and_its_connections_serve_on() {
    let upstream = answering(REPLY.to_owned()).await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    for ask in [asking(chat(false)), asking(call("GET", "/v1/models"))] {
        agent.send(&ask).await;
        let head = agent.head().await;
        assert_eq!((head.status, head.header("trailer")), (200, Some("X-Sum, Content-Length")));
        let whole = "2\r\n{}\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n";
        let body = agent.take(whole.len()).await;
        assert_eq!(String::from_utf8_lossy(&body).to_ascii_lowercase(), whole);
    }
    assert_eq!(upstream.heard().iter().map(|heard| heard.connection).collect::<Vec<_>>(), [1, 1]);
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn an_agent_that_does_not_read_them_gets_none_and_none_are_asked_for() {
    let upstream = answering(REPLY.to_owned()).await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&chat(false)).await;
    assert_eq!((reply.status, reply.text().as_str(), reply.end), (200, "{}", End::Whole));
    assert!(upstream.only().header("te").is_none());
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn the_fields_of_a_failed_reply_that_was_looked_at_pass_too() {
    let upstream = answering(REPLY.replace("200 OK", "503 Service Unavailable")).await;
    let proxy = proxy().to(upstream.url()).config("retries: {attempts: 1}").run();
    let mut agent = agent(&proxy).await;
    agent.send(&asking(chat(false))).await;
    assert_eq!(agent.head().await.status, 503);
    let whole = "2\r\n{}\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&agent.take(whole.len()).await).to_ascii_lowercase(), whole);
    proxy.settle_as("upstream_error").await;
}

#[tokio::test]
async fn a_stream_that_is_not_finished_is_cut_for_all_the_fields_behind_it() {
    let content = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
    let head = sse_head().replace("\r\n\r\n", "\r\nTrailer: X-Sum\r\n\r\n");
    let upstream = answering(format!("{head}{:x}\r\n{content}\r\n0\r\nX-Sum: 1\r\n\r\n", content.len())).await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&asking(chat(true))).await;
    assert!(!reply.looks_complete(), "{:?} {}", reply.end, reply.text());
    proxy.settle_as("cut").await;
}

#[tokio::test]
async fn fields_beyond_all_bounds_cut_the_reply() {
    let huge = format!("X-Sum: {}\r\n", "x".repeat(1 << 20));
    let many = "X-Sum: 1\r\n".repeat(20_000);
    for fields in [huge, many] {
        let upstream = answering(REPLY.replace("X-Sum: 1\r\n", &fields)).await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&asking(chat(false))).await;
        assert!(reply.status == 200 && !reply.looks_complete(), "{:?}", reply.end);
        proxy.settle_as("cut").await;
    }
}
