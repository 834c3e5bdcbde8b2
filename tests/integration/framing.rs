//! Promise: what could be read in two ways reaches no upstream in two ways; no request chooses where it goes but by the config; and what is
//! too large, too slow or from elsewhere is told so.

use crate::support::{Call, End, Proxy, agent, call, model, proxy};

mod admin;
mod ambiguous;
mod bounds;
mod targets;

/// A request to be seen after another on the same connection, its last.
const LAST: &str = "GET /v1/models/last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// What became of bytes that an agent sent.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// A bare status and a close: no exchange.
    Bare(u16),
    /// An answer of an exchange, whoever gave it.
    Answered(u16),
}

/// Sends bytes as a request and, behind them, another; reads until the connection has ended.
async fn fate(proxy: &Proxy, bytes: impl AsRef<[u8]>) -> Fate {
    let mut agent = agent(proxy).await;
    agent.write(bytes).await;
    let head = agent.head().await;
    let fate = if head.header("x-pillion-exchange").is_some() { Fate::Answered(head.status) } else { Fate::Bare(head.status) };
    if matches!(fate, Fate::Bare(_)) {
        let length = head.header("content-length").unwrap_or("0").to_owned();
        assert_eq!((head.header("connection"), length.as_str()), (Some("close"), "0"), "{head:?}");
    } else {
        agent.offer(LAST).await;
    }
    assert_ne!(agent.closed().await, End::Open, "{head:?}");
    fate
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let mut agent = agent(&proxy).await;
    let calls: Vec<_> = (1..=100).map(|size| call("GET", &format!("/bytes/{size}"))).collect();
    agent.write(calls.iter().flat_map(Call::bytes).collect::<Vec<u8>>()).await;
    for size in 1..=100 {
        agent.asks();
        let reply = agent.reply().await;
        assert_eq!((reply.status, reply.end, reply.body.len()), (200, End::Whole, size));
    }
    proxy.settle_as("ok").await;
}
