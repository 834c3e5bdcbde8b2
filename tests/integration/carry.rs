//! Promise: method, path, query and body bytes arrive as they were sent, whatever they mean, and of whatever size.

use crate::support::{End, Wire, agent, call, chat, messages, model, proxy, sha256, upstream};

/// What gzip makes of `{"object":"chat.completion","choices":[]}`.
const GZIPPED: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0xca, 0x4f, 0xca, 0x4a, 0x4d, 0x2e, 0x51, 0xb2, 0x52, 0x4a, 0xce, 0x48,
    0x2c, 0xd1, 0x4b, 0xce, 0xcf, 0x2d, 0xc8, 0x49, 0x2d, 0xc9, 0xcc, 0xcf, 0x53, 0xd2, 0x01, 0x8a, 0xe4, 0x67, 0x26, 0xa7, 0x16, 0x2b, 0x59, 0x45,
    0xc7, 0xd6, 0x02, 0x00, 0xc6, 0xbd, 0x76, 0x5d, 0x29, 0x00, 0x00, 0x00,
];

#[tokio::test]
async fn a_whole_reply_arrives_as_the_model_sent_it() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    for call in [chat(false), messages(false)] {
        let reply = proxy.ask(&call).await;
        assert_eq!((reply.status, reply.end), (200, End::Whole));
        assert!(reply.json()["usage"].is_object(), "{}", reply.text());
    }
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn methods_paths_and_queries_that_mean_nothing_to_pillion_pass_untouched() {
    let upstream = upstream(|mut wire: Wire| async move {
        while wire.request().await.is_some() {
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    let lines = [
        ("PURGE", "/some/where?x=%2F..&y=a+b&&="),
        ("get", "/lower"),
        ("OPTIONS", "/v1/models"),
        ("DELETE", "/v1/files/f-1?"),
        ("PATCH", "/a/../b/./c//d"),
        ("GET", "/%2e%2e/%00?%ff"),
        ("M-SEARCH", "/x;v=1,2/'(a)'*!$&:@"),
        ("GET", "/openai/v1/models"),
        ("GET", "/?only=query"),
    ];
    for (method, target) in lines {
        assert_eq!(agent.ask(&call(method, target)).await.status, 200, "{method} {target}");
    }
    let heard: Vec<_> = upstream.heard().into_iter().map(|heard| heard.line).collect();
    assert_eq!(heard, lines.map(|(method, target)| format!("{method} {target} HTTP/1.1")));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_head_request_and_replies_without_a_body_keep_the_connection() {
    let upstream = upstream(|mut wire: Wire| async move {
        while let Some(heard) = wire.request().await {
            wire.write(match heard.target() {
                "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"a\"\r\n\r\n",
                "/204" => "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            })
            .await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    let head = agent.ask(&call("HEAD", "/head")).await;
    assert_eq!((head.status, head.header("content-length"), head.header("etag")), (200, Some("1234"), Some("\"a\"")));
    for (target, status) in [("/204", 204), ("/304", 304), ("/empty", 200)] {
        let reply = agent.ask(&call("GET", target)).await;
        assert_eq!((reply.status, reply.end, reply.body.len()), (status, End::Whole, 0), "{target}");
        assert_eq!(reply.header("transfer-encoding"), None, "{target}");
    }
    assert_eq!(upstream.heard().last().map(|heard| heard.connection), Some(1), "the upstream's connection was kept too");
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn an_agent_that_waits_for_100_continue_gets_it_and_its_body_goes_up() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let body = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]}"#;
    for target in ["/v1/chat/completions", "/v1/echo"] {
        let mut agent = agent(&proxy).await;
        agent.asks();
        agent.write(format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len())).await;
        assert_eq!(agent.take(25).await, b"HTTP/1.1 100 Continue\r\n\r\n", "{target}");
        agent.write(body).await;
        assert_eq!(agent.reply().await.status, 200, "{target}");
    }
    assert!(model.requests().iter().all(|seen| seen.body == body.as_slice()));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_compressed_body_is_not_touched() {
    let upstream = upstream(|mut wire: Wire| async move {
        while let Some(heard) = wire.request().await {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: ";
            wire.write([format!("{head}{}\r\n\r\n", heard.body.len()).as_bytes(), &heard.body].concat()).await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let call = chat(false).header("Content-Encoding", "gzip").body(GZIPPED);
    let reply = proxy.ask(&call).await;
    assert_eq!(sha256(&upstream.only().body), sha256(GZIPPED));
    assert_eq!((sha256(&reply.body), reply.header("content-encoding")), (sha256(GZIPPED), Some("gzip")));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn chunked_bodies_arrive_whole_both_ways() {
    let model = model("rules: [{when: {path: echo}, chunked: true}]").await;
    let proxy = proxy().to(model.url()).run();
    let body: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(300_000).collect();
    for size in [1000, 65_536] {
        let reply = proxy.ask(&call("POST", "/v1/echo").body(body.clone()).chunked(size)).await;
        assert_eq!((reply.status, reply.end, reply.header("transfer-encoding")), (200, End::Whole, Some("chunked")));
        assert_eq!(sha256(&reply.body), sha256(&body));
    }
    let seen = model.requests();
    assert!(seen.iter().all(|seen| seen.sha256 == sha256(&body) && seen.header("transfer-encoding") == Some("chunked")));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_held_call_in_chunks_arrives_with_the_same_bytes() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let body = r#"{"model" : "gpt-4o",  "messages":[{"role":"user","content":"Hi \u00e9 é"}] , "x":1.0e0}"#;
    assert_eq!(proxy.ask(&chat(false).body(body).chunked(7)).await.status, 200);
    let seen = &model.requests()[0];
    assert_eq!(std::str::from_utf8(&seen.body), Ok(body));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_reply_up_to_the_end_of_the_connection_arrives_whole() {
    let model = model("steps: [{chunked: close}]").await;
    let proxy = proxy().to(model.url()).run();
    let reply = proxy.ask(&call("POST", "/v1/echo").body("hello")).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    assert!(reply.looks_complete());
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn informational_replies_are_consumed() {
    let model = model(r#"steps: [{before: "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"}]"#).await;
    let proxy = proxy().to(model.url()).run();
    let mut agent = agent(&proxy).await;
    agent.send(&chat(false)).await;
    assert_eq!(agent.take(12).await, b"HTTP/1.1 200", "no other head comes first");
    drop(agent);
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let mut agent = agent(&proxy).await;
    let calls: Vec<_> = (0..20).map(|n| call("POST", "/v1/echo").body(format!("body {n}"))).collect();
    agent.write(calls.iter().flat_map(crate::support::Call::bytes).collect::<Vec<_>>()).await;
    for n in 0..20 {
        agent.asks();
        assert_eq!(agent.reply().await.text(), format!("body {n}"));
    }
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn hundreds_of_bodies_in_random_pieces_arrive_byte_for_byte() {
    let model = model("rules: [{when: {path: echo, every: 2}, chunked: true}]").await;
    let proxy = proxy().to(model.url()).run();
    let mut random = fastrand::Rng::with_seed(7);
    let mut agent = agent(&proxy).await;
    for nth in 0..300 {
        let length = random.usize(1..40_000);
        let body: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
        let call = call("POST", "/v1/echo").body(body.clone());
        let bytes = if random.bool() { call.chunked(random.usize(1..5_000)) } else { call }.bytes();
        agent.asks();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(random.usize(1..=rest.len()));
            agent.write(piece).await;
            rest = after;
        }
        let reply = agent.reply().await;
        assert!(reply.status == 200 && reply.end == End::Whole && reply.body == body, "body {nth}");
        assert_eq!(model.requests()[nth].sha256, sha256(&body), "body {nth}");
    }
    proxy.settle_as("ok").await;
}
