//! How it stops: unready at once, what is in flight finishes within the grace period, what does not is told or cut, exit 0.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Agent, Binary, End, Reply, call, chat, find, model, run, within};

/// Beyond the grace period: the last tasks and the flush.
const AFTER_GRACE: Duration = Duration::from_secs(2);
/// For a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(1);

/// A `GET` at the admin port.
async fn admin(binary: &Binary, path: &str) -> Reply {
    Agent::stranger(binary.admin).await.ask(&call("GET", path)).await
}

/// Sends SIGTERM and waits until it says that it is not ready, which it does at once.
async fn terminate(binary: &Binary) {
    binary.signal(Signal::TERM);
    within("readyz to say no", async { while admin(binary, "/readyz").await.status != 503 {} }).await;
}

/// Its end: exit code 0, within the grace period and the time after it.
async fn ends_well(binary: &mut Binary, grace: Duration) {
    let (code, took) = binary.exit(grace + AFTER_GRACE + SLACK).await;
    assert_eq!(code, Some(0), "after {took:?}: {:#?}", binary.said());
}

/// An agent that has read the head and the first content of a stream.
async fn streaming(binary: &Binary) -> (Agent, Reply) {
    let mut agent = Agent::stranger(binary.traffic).await;
    agent.send(&chat(true)).await;
    let head = agent.head().await;
    agent.fill_until(|bytes| find(bytes, b"\"content\":\"")).await.expect("a first token");
    (agent, head)
}

#[tokio::test]
async fn an_idle_proxy_ends_at_once_on_sigterm_and_on_sigint() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut binary = run().ready().await;
        binary.signal(signal);
        ends_well(&mut binary, Duration::ZERO).await;
    }
}

#[tokio::test]
async fn an_idle_connection_of_an_agent_does_not_hold_it_up() {
    let model = model("").await;
    let mut binary = run().upstream(&model).ready().await;
    let mut agent = Agent::stranger(binary.traffic).await;
    assert_eq!(agent.ask(&chat(false)).await.status, 200);
    binary.signal(Signal::TERM);
    ends_well(&mut binary, Duration::ZERO).await;
    assert_eq!(agent.closed().await, End::Fin);
}

#[tokio::test]
async fn a_stream_finishes_within_the_grace_period_while_readyz_says_no_and_metrics_answer() {
    let model = model("[{\"stall\": {\"at\": \"mid\", \"for\": \"1s\"}}]").await;
    let mut binary = run().upstream(&model).ready().await;
    let (mut agent, mut reply) = streaming(&binary).await;
    terminate(&binary).await;
    assert_eq!((admin(&binary, "/metrics").await.status, admin(&binary, "/healthz").await.status), (200, 200));
    agent.rest(&mut reply).await;
    assert_eq!(reply.end, End::Whole);
    assert!(reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
    ends_well(&mut binary, Duration::ZERO).await;
}

#[tokio::test]
async fn a_stream_past_the_grace_period_is_cut_and_does_not_look_complete() {
    let model = model("[{\"stall\": {\"at\": \"mid\"}}]").await;
    let mut binary = run().upstream(&model).config("server: {grace: 300ms}").ready().await;
    let (mut agent, mut reply) = streaming(&binary).await;
    terminate(&binary).await;
    agent.rest(&mut reply).await;
    assert!(!reply.looks_complete(), "{:?}: {}", reply.end, reply.text());
    assert!(reply.last_event()["error"]["message"].is_string(), "the agent is told: {}", reply.text());
    assert!(!reply.text().contains("[DONE]") && !reply.text().contains("\"finish_reason\":\"stop\""), "{}", reply.text());
    ends_well(&mut binary, Duration::from_millis(300)).await;
}

/// To a reader of HTTP/1.0 a FIN is the end of a whole reply.
#[tokio::test]
async fn a_reply_to_http_1_0_past_the_grace_period_is_reset() {
    let model = model("[{\"stall\": {\"at\": \"mid\"}}]").await;
    let mut binary = run().upstream(&model).config("server: {grace: 300ms}").ready().await;
    let mut agent = Agent::stranger(binary.traffic).await;
    let call = String::from_utf8(chat(true).bytes()).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
    agent.write(call).await;
    agent.fill_until(|bytes| find(bytes, b"\"content\":\"")).await.expect("a first token");
    terminate(&binary).await;
    assert_eq!(agent.closed().await, End::Rst);
    ends_well(&mut binary, Duration::from_millis(300)).await;
}

/// What an agent is told that still waits when the grace period is over.
async fn told_of_a_drain(script: &str) {
    let model = model(script).await;
    let mut binary = run().upstream(&model).config("server: {grace: 300ms}").ready().await;
    let mut agent = Agent::stranger(binary.traffic).await;
    agent.send(&chat(false)).await;
    model.wait_until(Duration::from_secs(10), |seen| seen.iter().any(|seen| seen.body_complete)).await.unwrap();
    terminate(&binary).await;
    let reply = agent.reply().await;
    assert_eq!((reply.status, reply.refusal(), reply.header("x-should-retry")), (503, Some("draining"), Some("true")));
    assert!(reply.header("retry-after-ms").is_some() && reply.header("retry-after").is_some());
    assert!(reply.json()["error"]["message"].as_str().unwrap().contains("shutting down"), "{}", reply.text());
    ends_well(&mut binary, Duration::from_millis(300)).await;
    assert_eq!(model.requests().len(), 1, "nothing is tried again");
}

#[tokio::test]
async fn an_exchange_that_waits_for_its_reply_is_answered_503() {
    told_of_a_drain("[{\"stall\": {\"at\": \"head\"}}]").await;
}

#[tokio::test]
async fn an_exchange_that_waits_to_try_again_is_answered_503() {
    told_of_a_drain("[{\"status\": 503, \"headers\": {\"retry-after\": 20}}]").await;
}

#[tokio::test]
async fn an_upload_finishes_and_is_answered() {
    let model = model("").await;
    for path in ["/sink", "/v1/chat/completions"] {
        let mut binary = run().upstream(&model).ready().await;
        let mut agent = Agent::stranger(binary.traffic).await;
        let before = model.requests().len();
        let bytes = chat(false).at(path).header("Expect", "100-continue").bytes();
        let (head, body) = bytes.split_at(find(&bytes, b"\r\n\r\n").unwrap() + 4);
        agent.write(head).await;
        agent.fill_until(|bytes| find(bytes, b"100 Continue")).await.expect("the body is asked for");
        terminate(&binary).await;
        agent.write(body).await;
        let reply = agent.reply().await;
        assert_eq!((reply.status, reply.end, model.requests().len()), (200, End::Whole, before + 1), "{path}");
        ends_well(&mut binary, Duration::ZERO).await;
    }
}

#[tokio::test]
async fn it_goes_on_serving_for_the_drain_delay() {
    let model = model("").await;
    let mut binary = run().upstream(&model).config("server: {drain_delay: 2s}").ready().await;
    terminate(&binary).await;
    assert_eq!(Agent::stranger(binary.traffic).await.ask(&chat(false)).await.status, 200);
    ends_well(&mut binary, Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_second_signal_ends_it_now() {
    let model = model("[{\"stall\": {\"at\": \"mid\"}}]").await;
    let mut binary = run().upstream(&model).ready().await;
    let (mut agent, mut reply) = streaming(&binary).await;
    terminate(&binary).await;
    binary.signal(Signal::INT);
    let (code, took) = binary.exit(SLACK).await;
    assert_eq!(code, Some(1), "{took:?}");
    agent.rest(&mut reply).await;
    assert!(!reply.looks_complete());
}

#[tokio::test]
async fn sighup_does_not_end_it() {
    let model = model("").await;
    let mut binary = run().upstream(&model).ready().await;
    binary.signal(Signal::HUP);
    binary.says("SIGHUP").await;
    assert_eq!(Agent::stranger(binary.traffic).await.ask(&chat(false)).await.status, 200);
}
