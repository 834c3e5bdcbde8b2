//! Promise: whatever becomes of a connection to an upstream, the agent gets an answer that says so, and nothing is sent twice that must not be.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{Call, End, Upstream, Wire, agent, call, chat, free, messages, proxy, upstream};

/// What is answered when all is well.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// An address where nobody listens.
fn closed_port() -> String {
    format!("http://{}", free())
}

/// How an upstream fails one connection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Resets it before it has read anything.
    RstAtOnce,
    /// Reads the request, then closes or resets.
    FinAfterRequest,
    RstAfterRequest,
    /// Answers the first request on the connection and waits for the second, then closes or resets it.
    FinOnReuse,
    RstOnReuse,
    /// Answers a first request, and closes as soon as it has; the proxy may or may not have seen that when it sends the next.
    CloseAfterReply,
}

async fn failing(fault: Fault) -> Upstream {
    upstream(move |mut wire: Wire| async move {
        if fault == Fault::RstAtOnce {
            return wire.rst();
        }
        wire.request().await;
        match fault {
            Fault::FinAfterRequest => return wire.fin().await,
            Fault::RstAfterRequest => return wire.rst(),
            _ => wire.write(OK).await,
        };
        // The second connection is the one on which the request is sent anew: it is served.
        if wire.nth > 1 {
            while wire.request().await.is_some() {
                wire.write(OK).await;
            }
        } else if fault != Fault::CloseAfterReply {
            wire.request().await;
        }
        if fault == Fault::RstOnReuse { wire.rst() } else { wire.fin().await }
    })
    .await
}

#[tokio::test]
async fn a_closed_port_is_answered_502_within_a_second_after_all_attempts() {
    let proxy = proxy().to(closed_port()).run();
    let began = Instant::now();
    let reply = proxy.ask(&chat(false)).await;
    assert_eq!((reply.status, reply.refusal()), (502, Some("connection_refused")));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((reply.header("x-pillion-attempts"), reply.header("x-should-retry")), (Some("3"), Some("false")));
    let metrics = proxy.settle_as("upstream_error").await;
    assert_eq!(metrics.count("pillion_attempts_total", &[("result", "connect")]), 3);
    assert_eq!(metrics.count("pillion_retries_total", &[("reason", "connect")]), 2);
}

#[tokio::test]
async fn retries_of_a_closed_port_stay_within_the_budget() {
    let proxy = proxy().to(closed_port()).config("retries: {backoff: {initial: 1ms, max: 1ms}, budget: {per_second: 0, burst: 4}}").run();
    for _ in 0..10 {
        assert_eq!(proxy.ask(&chat(false)).await.status, 502);
    }
    let metrics = proxy.settle_as("upstream_error").await;
    let retries = metrics.count("pillion_retries_total", &[]);
    assert!((4..=6).contains(&retries), "a burst of 4, and 0.2 for each of 10 requests: {retries}");
    assert!(metrics.count("pillion_retry_budget_exhausted_total", &[]) > 0);
}

#[tokio::test]
async fn a_new_connection_that_ends_before_a_reply_is_a_502_and_nothing_is_sent_twice() {
    for fault in [Fault::RstAfterRequest, Fault::FinAfterRequest] {
        let upstream = failing(fault).await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&chat(false)).await;
        assert_eq!((reply.status, reply.refusal(), reply.header("x-pillion-attempts")), (502, Some("connection_reset"), Some("1")), "{fault:?}");
        assert_eq!(upstream.heard().len(), 1, "{fault:?}: no blind repetition of a POST");
        let metrics = proxy.settle_as("upstream_error").await;
        assert_eq!(metrics.count("pillion_attempts_total", &[("result", "reset")]), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_connection_reset_as_soon_as_it_is_made_is_a_502() {
    let upstream = failing(Fault::RstAtOnce).await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&chat(false)).await;
    assert_eq!((reply.status, reply.refusal()), (502, Some("connection_reset")));
    assert!(upstream.heard().is_empty());
    proxy.settle_as("upstream_error").await;
}

#[tokio::test]
async fn a_reused_connection_that_ends_before_a_reply_is_replaced_once_and_the_same_bytes_go_again() {
    for fault in [Fault::FinOnReuse, Fault::RstOnReuse] {
        let upstream = failing(fault).await;
        let proxy = proxy().to(upstream.url()).run();
        let mut agent = agent(&proxy).await;
        agent.ask(&chat(false)).await;
        let reply = agent.ask(&messages(false)).await;
        assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("2")), "{fault:?}");
        let heard = upstream.heard();
        assert_eq!(heard.iter().map(|heard| heard.connection).collect::<Vec<_>>(), [1, 1, 2], "{fault:?}");
        assert_eq!((&heard[1].line, &heard[1].headers, &heard[1].body), (&heard[2].line, &heard[2].headers, &heard[2].body), "{fault:?}");
        let metrics = proxy.settle_as("ok").await;
        assert_eq!(metrics.count("pillion_retries_total", &[("reason", "stale_connection")]), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_second_stale_connection_in_a_row_is_a_502() {
    let upstream = upstream(|mut wire: Wire| async move {
        if wire.nth == 1 {
            wire.request().await;
            wire.write(OK).await;
        }
        wire.request().await;
        wire.fin().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    agent.ask(&chat(false)).await;
    let reply = agent.ask(&chat(false)).await;
    assert_eq!((reply.status, reply.refusal(), reply.header("x-pillion-attempts")), (502, Some("connection_reset"), Some("2")));
    assert_eq!(upstream.heard().len(), 3);
    proxy.settle().await;
}

#[tokio::test]
async fn hundreds_of_connections_closed_after_their_reply_lose_no_request() {
    let upstream = failing_each_after_its_reply().await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    for nth in 0..200 {
        assert_eq!(agent.ask(&chat(false)).await.status, 200, "request {nth}");
    }
    assert!(upstream.heard().len() == 200, "none was answered twice");
    proxy.settle_as("ok").await;
}

/// Closes every connection after one reply that did not say so.
async fn failing_each_after_its_reply() -> Upstream {
    upstream(|mut wire: Wire| async move {
        if wire.request().await.is_some() {
            wire.write(OK).await;
        }
        wire.fin().await;
    })
    .await
}

#[tokio::test]
async fn what_is_not_http_is_a_502_bad_response_and_its_connection_is_not_used_again() {
    let garbage: [&'static [u8]; 6] = [
        b"\x16\x03\x01\x00\x05hello",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"<html>\r\n\r\n",
    ];
    for bytes in garbage {
        let upstream = upstream(move |mut wire: Wire| async move {
            wire.request().await;
            wire.write(bytes).await;
            wire.until_gone().await;
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&chat(false)).await;
        assert_eq!((reply.status, reply.refusal()), (502, Some("bad_response")), "{:?}", String::from_utf8_lossy(bytes));
        assert_eq!(upstream.heard().len(), 1);
        proxy.settle_as("upstream_error").await;
    }
}

#[tokio::test]
async fn heads_beyond_all_bounds_are_a_502() {
    let heads = [
        format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(1 << 20)),
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(5000)),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_owned(),
    ];
    for head in heads {
        let shown: String = head.chars().take(40).collect();
        let upstream = upstream(move |mut wire: Wire| {
            let head = head.clone();
            async move {
                wire.request().await;
                wire.write(head).await;
                wire.until_gone().await;
            }
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&chat(false)).await;
        assert_eq!((reply.status, reply.refusal()), (502, Some("bad_response")), "{shown}");
        proxy.settle_as("upstream_error").await;
    }
}

#[tokio::test]
async fn a_reply_before_the_request_is_over_is_passed_on_and_the_upload_stops() {
    let mut upstream = upstream(|mut wire: Wire| async move {
        wire.request_head().await;
        wire.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno").await;
        wire.until_gone().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    agent.asks();
    agent.write("POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nbegun").await;
    let reply = agent.reply().await;
    assert_eq!((reply.status, reply.text().as_str(), reply.refusal()), (413, "no", None));
    drop(agent);
    upstream.gone().await;
    proxy.settle_as("client_error").await;
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let upstream = upstream(|mut wire: Wire| async move {
        while wire.request().await.is_some() {
            wire.write(OK).await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    for _ in 0..20 {
        assert_eq!(proxy.ask(&chat(false)).await.status, 200);
    }
    assert!(upstream.heard().iter().all(|heard| heard.connection == 1), "agents come and go, the upstream's connection stays");
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn an_idle_connection_of_an_agent_is_closed_when_the_proxy_stops() {
    let upstream = failing_each_after_its_reply().await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    assert_eq!(agent.ask(&chat(false)).await.status, 200);
    proxy.settle_as("ok").await;
    proxy.stop().await;
    assert_eq!(agent.closed().await, End::Fin);
}

#[tokio::test]
async fn bytes_after_a_reply_never_become_the_next_ones() {
    let upstream = upstream(|mut wire: Wire| async move {
        while wire.request().await.is_some() {
            let own = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", wire.nth);
            wire.write(format!("{own}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")).await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    for _ in 0..10 {
        let reply = agent.ask(&call("GET", "/x")).await;
        assert_eq!((reply.status, reply.body.len()), (200, 1), "{}", reply.text());
    }
    proxy.settle_as("ok").await;
}

/// Each dialect's call, and where in the error the message is.
fn dialects() -> [(Call, &'static str); 5] {
    let post = |path: &str| call("POST", path).json(&serde_json::json!({"model": "m"}));
    [
        (chat(false), "/error/message"),
        (messages(false), "/error/message"),
        (post("/v1beta/models/gemini-2.5-flash:generateContent"), "/error/message"),
        (post("/api/chat"), "/error"),
        (call("GET", "/unknown"), "/detail"),
    ]
}

#[tokio::test]
async fn an_answer_of_pillions_own_is_in_the_callers_dialect() {
    let proxy = proxy().to(closed_port()).config("retries: {attempts: 1}").run();
    let mut bodies = Vec::new();
    for (call, message) in dialects() {
        let reply = proxy.ask(&call).await;
        assert_eq!((reply.status, reply.refusal()), (502, Some("connection_refused")));
        let text = reply.json().pointer(message).and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default();
        assert!(text.contains("Upstream upstream") && text.contains("1 attempt"), "{message}: {}", reply.text());
        bodies.push(reply.json());
    }
    let [openai, anthropic, gemini, _, problem] = &bodies[..] else { panic!("five dialects") };
    assert_eq!((&openai["error"]["code"], &openai["error"]["type"]), (&"connection_refused".into(), &"server_error".into()));
    assert!(openai["error"].as_object().unwrap().contains_key("param"));
    assert_eq!((&anthropic["type"], &anthropic["error"]["type"]), (&"error".into(), &"api_error".into()));
    assert_eq!((&gemini["error"]["code"], &gemini["error"]["status"]), (&502.into(), &"UNAVAILABLE".into()));
    assert_eq!((&problem["code"], &problem["status"]), (&"connection_refused".into(), &502.into()));
    proxy.settle_as("upstream_error").await;
}
