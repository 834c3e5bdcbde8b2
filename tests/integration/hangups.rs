//! Promise: an agent that hangs up ends its upstream at once, and is counted as having hung up; one that has all it wanted is not.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::{Agent, Call, End, PATIENCE, Proxy, Upstream, Wire, agent, chat, chunk, find, model, proxy, sse_head, upstream};

/// A first content.
const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
/// A finish reason.
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

/// Asks, reads the head where one comes, and hangs up; how long until the upstream saw that.
async fn hang_up(proxy: &Proxy, upstream: &mut Upstream, call: &Call, how: fn(Agent) -> Instant) -> Duration {
    let mut agent = agent(proxy).await;
    agent.send(call).await;
    agent.head().await;
    let at = how(agent);
    upstream.gone().await.saturating_duration_since(at)
}

/// The upstream shall learn of a hang-up within 100 ms; the median of several, since the machine may be busy.
fn assert_prompt(mut waited: Vec<Duration>) {
    waited.sort();
    let median = waited[waited.len() / 2];
    assert!(median <= Duration::from_millis(100), "{waited:?}");
}

#[tokio::test]
async fn a_hang_up_ends_a_silent_upstream_within_100_ms() {
    let mut upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write([sse_head().as_bytes(), &chunk(CONTENT)].concat()).await;
        wire.until_gone().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut waited = Vec::new();
    for how in [Agent::hang_up, Agent::reset].repeat(5) {
        waited.push(hang_up(&proxy, &mut upstream, &chat(true), how).await);
    }
    assert_prompt(waited);
    let metrics = proxy.settle_as("cancelled").await;
    assert_eq!(metrics.count("pillion_cancelled_after_seconds_count", &[("phase", "streaming")]), 10);
}

#[tokio::test]
async fn a_hang_up_ends_a_flowing_upstream_within_100_ms() {
    let mut upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write(sse_head()).await;
        let flowing = async {
            while wire.write(chunk(CONTENT)).await {
                sleep(Duration::from_millis(1)).await;
            }
        };
        flowing.await;
        wire.until_gone().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut waited = Vec::new();
    for how in [Agent::hang_up, Agent::reset].repeat(5) {
        waited.push(hang_up(&proxy, &mut upstream, &chat(true), how).await);
    }
    assert_prompt(waited);
    proxy.settle_as("cancelled").await;
}

#[tokio::test]
async fn a_hang_up_before_the_head_ends_the_upstream_within_100_ms_and_is_tried_no_more() {
    let mut upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.until_gone().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut waited = Vec::new();
    for nth in 1..=9 {
        let mut agent = agent(&proxy).await;
        agent.send(&chat(nth % 2 == 0)).await;
        while upstream.heard().len() < nth {
            tokio::task::yield_now().await;
        }
        let at = agent.hang_up();
        waited.push(upstream.gone().await.saturating_duration_since(at));
    }
    assert_prompt(waited);
    let metrics = proxy.settle_as("cancelled").await;
    assert_eq!(upstream.heard().len(), 9, "one attempt each");
    assert_eq!(metrics.count("pillion_cancelled_after_seconds_count", &[("phase", "waiting")]), 9);
}

#[tokio::test]
async fn a_hang_up_during_the_wait_for_a_retry_ends_it() {
    let model = model("rules: [{status: 500, headers: {retry-after: 20}}]").await;
    let proxy = proxy().to(model.url()).run();
    let mut agent = agent(&proxy).await;
    agent.send(&chat(false)).await;
    model.wait_for_ends(1, PATIENCE).await.unwrap();
    agent.hang_up();
    let metrics = proxy.settle_as("cancelled").await;
    assert_eq!(model.requests().len(), 1);
    assert_eq!(metrics.count("pillion_retries_total", &[]), 0);
}

#[tokio::test]
async fn a_fin_after_the_request_is_a_hang_up_though_the_agent_goes_on_reading() {
    let mut upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write([sse_head().as_bytes(), &chunk(CONTENT)].concat()).await;
        wire.until_gone().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    agent.send(&chat(true)).await;
    let mut reply = agent.head().await;
    agent.finish().await;
    agent.rest(&mut reply).await;
    assert!(!reply.looks_complete(), "{:?}", reply.end);
    upstream.gone().await;
    assert_ne!(agent.closed().await, End::Open, "nor is the connection kept half open");
    drop(agent);
    proxy.settle_as("cancelled").await;
}

#[tokio::test]
async fn a_hang_up_after_the_last_event_is_no_cancellation() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write([sse_head().as_bytes(), &chunk(CONTENT), &chunk(FINISH), &chunk("data: [DONE]\n\n")].concat()).await;
        wire.until_gone().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    agent.send(&chat(true)).await;
    agent.fill_until(|bytes| find(bytes, b"[DONE]")).await.unwrap();
    agent.hang_up();
    proxy.settle_as("ok").await;
}
