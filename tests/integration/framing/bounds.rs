//! Heads and bodies over their limits, and heads that take too long.

use std::time::Duration;

use tokio::time::Instant;

use super::{Fate, fate};
use crate::support::{Call, End, Reply, agent, all, call, model, proxy};

/// 1 MiB, the limit in these tests.
const LIMIT: usize = 1 << 20;
/// One that is held, and one that is passed on as it comes.
const PATHS: [&str; 2] = ["/v1/chat/completions", "/sink"];

#[tokio::test]
async fn a_head_over_its_limits_is_a_bare_431() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let with = |headers: String| format!("GET /echo HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    for length in [65 << 10, 70 << 10, 300 << 10] {
        assert_eq!(fate(&proxy, with(format!("X-Long: {}\r\n", "a".repeat(length)))).await, Fate::Bare(431), "{length}");
    }
    assert_eq!(fate(&proxy, with("X-Many: a\r\n".repeat(100))).await, Fate::Bare(431));
    assert!(model.requests().is_empty());
    assert_eq!(fate(&proxy, with("X-Many: a\r\n".repeat(99))).await, Fate::Answered(200));
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.value("pillion_refusals_total", &[("reason", "framing")]).to_string(), "4");
}

#[tokio::test]
async fn a_target_over_16_kib_is_a_414() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let target = |length: usize| format!("/echo?{}", "a".repeat(length - 6));
    let reply = proxy.ask(&call("GET", &target((16 << 10) + 1))).await;
    assert_eq!((reply.status, reply.refusal()), (414, Some("uri_too_long")));
    assert_eq!(fate(&proxy, call("GET", &target(65_535)).bytes()).await, Fate::Bare(414));
    assert!(model.requests().is_empty());
    assert_eq!(proxy.ask(&call("GET", &target(16 << 10))).await.status, 200);
}

/// What becomes of a body under `server.body_limit`; what is too large must never be completed upstream.
async fn limited(call: Call) -> Reply {
    let model = model("").await;
    let proxy = proxy().to(model.url()).config("server: {body_limit: 1MiB}").run();
    let mut agent = agent(&proxy).await;
    agent.asks();
    agent.offer(call.bytes()).await;
    let reply = agent.reply().await;
    assert!(reply.status != 413 || model.requests().iter().all(|seen| !seen.body_complete), "{:?}", model.requests());
    let metrics = proxy.settle().await;
    let told = metrics.value("pillion_refusals_total", &[("reason", "body_too_large")]);
    assert_eq!(told > 0.0, reply.status == 413, "{told}");
    reply
}

#[tokio::test]
async fn a_body_that_outgrows_the_limit_is_a_413() {
    for path in PATHS {
        let reply = limited(call("POST", path).body(vec![b' '; LIMIT + 1]).chunked(10_000)).await;
        assert_eq!((reply.status, reply.refusal(), reply.header("x-should-retry")), (413, Some("body_too_large"), Some("false")), "{path}");
    }
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_carried() {
    for path in PATHS {
        let whole = call("POST", path).body(vec![b' '; LIMIT]);
        for call in [whole.clone(), whole.chunked(10_000)] {
            assert_ne!(limited(call).await.status, 413, "{path}");
        }
    }
}

#[tokio::test]
async fn a_stated_length_over_the_limit_is_refused_before_the_body_is_asked_for() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).config("server: {body_limit: 1MiB}").run();
    for path in PATHS {
        let mut agent = agent(&proxy).await;
        agent.asks();
        agent.write(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n", LIMIT + 1)).await;
        let first = agent.take(12).await;
        assert_eq!(String::from_utf8_lossy(&first), "HTTP/1.1 413");
        assert_ne!(agent.closed().await, End::Open, "what it would send next is no request");
    }
    assert_eq!(model.connections(), 0);
    proxy.settle_as("refused").await;
}

#[tokio::test]
async fn a_connection_without_a_whole_head_is_closed_after_ten_seconds() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    all(["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b"].map(async |start| {
        let mut agent = agent(&proxy).await;
        let began = Instant::now();
        agent.write(start).await;
        assert_ne!(agent.closed().await, End::Open, "{start:?}");
        let lasted = began.elapsed();
        assert!((Duration::from_secs(9)..Duration::from_secs(13)).contains(&lasted), "{start:?}: {lasted:?}");
    }))
    .await;
    let metrics =
        proxy.metrics_until("slow heads are counted", |metrics| metrics.value("pillion_refusals_total", &[("reason", "slow_head")]) > 1.5).await;
    assert_eq!(metrics.value("pillion_exchanges_total", &[]).to_string(), "0");
}
