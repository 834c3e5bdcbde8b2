//! Promise: nothing waits for ever. Each clock that fires is answered by its name, in the caller's dialect, before the agent would give up.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::{Call, Metrics, Proxy, Reply, Upstream, Wire, all, call, chat, chunk, messages, model, proxy, sse_head, upstream};

/// What an agent waits: Pillion answers a twentieth before that, which is much for a busy machine.
const LIMIT: Duration = Duration::from_secs(4);

/// Takes requests and never answers.
async fn mute() -> Upstream {
    upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.until_gone().await;
    })
    .await
}

/// Asserts a 504 that names its clock and is not to be tried again; gives how long it took and what was counted.
async fn assert_504(proxy: &Proxy, call: &Call, clock: &str) -> (Reply, Duration, Metrics) {
    let began = Instant::now();
    let reply = proxy.ask(call).await;
    let waited = began.elapsed();
    let reason = format!("timeout_{clock}");
    assert_eq!((reply.status, reply.refusal()), (504, Some(reason.as_str())), "{}", reply.text());
    assert_eq!((reply.header("x-should-retry"), reply.header("x-pillion-attempts")), (Some("false"), Some("1")));
    assert!(reply.text().contains(&reason), "{}", reply.text());
    let metrics = proxy.settle_as("timeout").await;
    assert_eq!(metrics.count("pillion_timeouts_total", &[("clock", clock)]), 1);
    assert_eq!(metrics.count("pillion_refusals_total", &[("reason", reason.as_str())]), 1);
    (reply, waited, metrics)
}

#[tokio::test]
async fn a_streamed_call_without_a_head_is_answered_by_first_byte() {
    let mut upstream = mute().await;
    let proxy = proxy().to(upstream.url()).config("timeouts: {first_byte: 200ms}").run();
    let (reply, waited, _) = assert_504(&proxy, &chat(true), "first_byte").await;
    assert!(waited >= Duration::from_millis(200), "{waited:?}");
    let error = &reply.json()["error"];
    assert_eq!((&error["code"], &error["type"]), (&"timeout_first_byte".into(), &"timeout".into()));
    assert!(reply.text().contains("timeouts.first_byte") && reply.text().contains("200ms"), "{}", reply.text());
    upstream.gone().await;
    assert_eq!(upstream.heard().len(), 1, "a clock that fires is not tried again");
}

#[tokio::test]
async fn a_whole_reply_has_only_total() {
    let upstream = mute().await;
    let clocks = "timeouts: {first_byte: 50ms, first_token: 50ms, idle: 50ms, total: 400ms}";
    let proxy = proxy().to(upstream.url()).config(clocks).run();
    let (_, waited, _) = assert_504(&proxy, &chat(false), "total").await;
    assert!(waited >= Duration::from_millis(400), "{waited:?}");
}

#[tokio::test]
async fn a_head_that_dribbles_is_no_head() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        for byte in "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".bytes() {
            if !wire.write([byte]).await {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).config("timeouts: {first_byte: 200ms}").run();
    assert_504(&proxy, &chat(true), "first_byte").await;
}

#[tokio::test]
async fn a_stream_whose_first_token_never_comes_is_a_504_and_no_200() {
    for call in [chat(true), messages(true)] {
        let model = model("steps: [{stall: {at: first_token}}]").await;
        let proxy = proxy().to(model.url()).config("timeouts: {first_token: 300ms}").run();
        let (reply, waited, _) = assert_504(&proxy, &call, "first_token").await;
        assert!(waited >= Duration::from_millis(300), "{waited:?}");
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains("timeouts.first_token"), "{}", reply.text());
    }
}

#[tokio::test]
async fn comments_while_waiting_are_no_first_token() {
    let model = model("steps: [{stall: {at: first_token, heartbeat: 50ms}}]").await;
    let proxy = proxy().to(model.url()).config("timeouts: {first_token: 300ms}").run();
    assert_504(&proxy, &chat(true), "first_token").await;
}

#[tokio::test]
async fn total_ends_a_stream_that_has_no_first_token_yet() {
    let model = model("steps: [{stall: {at: first_token}}]").await;
    let proxy = proxy().to(model.url()).config("timeouts: {total: 300ms}").run();
    assert_504(&proxy, &chat(true), "total").await;
}

#[tokio::test]
async fn a_whole_reply_that_stalls_in_its_body_never_looks_complete() {
    let model = model("steps: [{stall: {at: mid}}]").await;
    let proxy = proxy().to(model.url()).config("timeouts: {total: 300ms}").run();
    let reply = proxy.ask(&chat(false)).await;
    assert!(reply.status == 200 && !reply.looks_complete(), "{:?}", reply.end);
    let metrics = proxy.settle_as("cut").await;
    assert_eq!(metrics.count("pillion_timeouts_total", &[("clock", "total")]), 1);
}

#[tokio::test]
async fn the_agents_own_limit_is_answered_just_before_it() {
    let given = [("X-Stainless-Read-Timeout", "4"), ("x-stainless-timeout", "4"), ("X-Server-Timeout", "4"), ("x-pillion-timeout", "4s")];
    let calls = given.into_iter().flat_map(|(name, value)| [true, false].map(|stream| (name, chat(stream).header(name, value))));
    let asked = calls.map(async |(name, call)| {
        let upstream = mute().await;
        let proxy = proxy().to(upstream.url()).run();
        let (reply, waited, _) = assert_504(&proxy, &call, "agent").await;
        assert!(waited < LIMIT && waited > LIMIT / 2, "{name}: {waited:?}");
        assert!(reply.text().contains("agent"), "{}", reply.text());
    });
    all(asked).await;
}

#[tokio::test]
async fn the_agents_limit_only_ever_shortens() {
    let upstream = mute().await;
    let proxy = proxy().to(upstream.url()).config("timeouts: {total: 300ms}").run();
    assert_504(&proxy, &chat(false).header("x-stainless-read-timeout", "600"), "total").await;
}

#[tokio::test]
async fn a_limit_that_was_not_given_is_none() {
    let model = model("steps: [{slow: {first_token: 300ms}}]").await;
    let proxy = proxy().to(model.url()).run();
    let reply = proxy.ask(&chat(false).header("x-stainless-read-timeout", "NOT_GIVEN").header("x-stainless-timeout", "NOT_GIVEN")).await;
    assert_eq!(reply.status, 200);
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_limit_for_each_read_does_not_end_a_stream_that_flows() {
    let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
    let upstream = upstream(move |mut wire: Wire| async move {
        wire.request().await;
        wire.write(sse_head()).await;
        for _ in 0..20 {
            wire.write(chunk(event)).await;
            sleep(Duration::from_millis(100)).await;
        }
        wire.write([chunk("data: [DONE]\n\n"), chunk("")].concat()).await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&chat(true).header("x-stainless-read-timeout", "1.5")).await;
    assert!(reply.looks_complete() && reply.text().ends_with("[DONE]\n\n"), "{:?} {}", reply.end, reply.text());
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_limit_for_each_read_ends_a_gap_by_name() {
    let model = model("steps: [{stall: {at: mid, after: 3}}]").await;
    let proxy = proxy().to(model.url()).run();
    let reply = proxy.ask(&chat(true).header("x-stainless-read-timeout", "4")).await;
    assert!(!reply.looks_complete());
    assert_eq!(reply.last_event()["error"]["code"], "timeout_agent", "{}", reply.text());
    let gap = *reply.arrivals.last().unwrap() - reply.arrivals[reply.arrivals.len() - 2];
    assert!(gap < LIMIT, "{gap:?}");
    let metrics = proxy.settle_as("cut").await;
    assert_eq!(metrics.count("pillion_timeouts_total", &[("clock", "agent")]), 1);
}

#[tokio::test]
async fn a_request_whose_body_stalls_is_answered_by_upload() {
    let upstream = mute().await;
    let proxy = proxy().to(upstream.url()).config("timeouts: {upload: 200ms}").run();
    for target in ["/v1/chat/completions", "/v1/files"] {
        let mut agent = crate::support::agent(&proxy).await;
        agent.asks();
        agent.write(format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{\"mo")).await;
        let reply = agent.reply().await;
        assert_eq!((reply.status, reply.refusal()), (504, Some("timeout_upload")), "{target}: {}", reply.text());
    }
    let metrics = proxy.settle_as("timeout").await;
    assert_eq!(metrics.count("pillion_timeouts_total", &[("clock", "upload")]), 2);
}

#[tokio::test]
async fn an_upload_that_goes_on_is_not_ended_by_the_clocks_of_the_reply() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).config("timeouts: {upload: 1s, total: 500ms}").run();
    let mut agent = crate::support::agent(&proxy).await;
    agent.asks();
    agent.write("POST /v1/sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n").await;
    for _ in 0..20 {
        sleep(Duration::from_millis(50)).await;
        agent.write("x").await;
    }
    let reply = agent.reply().await;
    assert_eq!((reply.status, &reply.json()["bytes"]), (200, &20.into()));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_plain_path_that_never_answers_is_answered_by_total() {
    let upstream = mute().await;
    let proxy = proxy().to(upstream.url()).config("timeouts: {total: 200ms}").run();
    let (reply, ..) = assert_504(&proxy, &call("GET", "/v1/models"), "total").await;
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn an_upstream_that_takes_nothing_is_given_up_by_upload() {
    let over = std::sync::Arc::new(tokio::sync::Notify::new());
    let given_up = std::sync::Arc::clone(&over);
    let mut upstream = upstream(move |mut wire: Wire| {
        let given_up = std::sync::Arc::clone(&given_up);
        async move {
            wire.request_head().await;
            given_up.notified().await;
            wire.until_gone().await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).config("timeouts: {upload: 300ms}").run();
    let mut agent = crate::support::agent(&proxy).await;
    agent.asks();
    agent.write_for(Duration::from_millis(200), call("POST", "/v1/files").body(vec![0; 40 << 20]).bytes()).await;
    let reply = agent.reply().await;
    assert_eq!((reply.status, reply.refusal()), (504, Some("timeout_upload")));
    over.notify_one();
    upstream.gone().await;
    drop(agent);
    proxy.settle_as("timeout").await;
}
