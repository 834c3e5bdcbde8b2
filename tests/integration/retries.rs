//! What is worth a retry is retried, after the wait that was asked for, within the budget, with the same bytes; nothing else is.

use std::time::Duration;

use pillion::demo::model::{Model, Seen};

use crate::support::{Call, Metrics, Proxy, Reply, all, chat, model, proxy};

mod events;
mod replays;
mod waits;

/// Back-offs too short to notice.
const FAST: &str = "retries: {backoff: {initial: 1ms, max: 2ms}}";

/// A proxy and the model behind it.
struct Pair {
    model: Model,
    proxy: Proxy,
}

/// A model with these steps behind a proxy with this config.
async fn pair(steps: &str, config: &str) -> Pair {
    let model = model(&format!("steps: {steps}")).await;
    let proxy = proxy().to(model.url()).config(config).run();
    Pair { model, proxy }
}

/// A chat call to a model that first does this and then answers.
async fn after(step: &str) -> (Pair, Reply) {
    let pair = pair(step, FAST).await;
    let reply = pair.chat().await;
    (pair, reply)
}

impl Pair {
    async fn ask(&self, call: &Call) -> Reply {
        self.proxy.ask(call).await
    }

    async fn chat(&self) -> Reply {
        self.ask(&chat(false)).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.model.requests()
    }

    /// What the only reply says of how often was tried; the model must have seen as many, and the books must balance.
    async fn attempts(&self, reply: &Reply) -> usize {
        let said = reply.header("x-pillion-attempts").expect("every reply says it").parse().unwrap();
        assert_eq!(self.seen().len(), said, "the model has seen another number of attempts");
        let metrics = self.proxy.settle().await;
        assert_counts(&metrics, "pillion_attempts_total", &[], said);
        assert_counts(&metrics, "pillion_retries_total", &[], said - 1);
        said
    }
}

/// A counter says exactly this.
fn assert_counts(metrics: &Metrics, name: &str, labels: &[(&str, &str)], expected: usize) {
    // A sum of nothing is -0.
    assert_eq!((metrics.value(name, labels) + 0.0).to_string(), expected.to_string(), "{name}{labels:?}: {:#?}", metrics.show(name));
}

/// The times between one arrival at the model and the next.
fn gaps(seen: &[Seen]) -> Vec<Duration> {
    seen.windows(2).map(|two| two[1].arrived - two[0].arrived).collect()
}

#[tokio::test]
async fn a_500_is_retried_and_the_agent_sees_the_200() {
    let (pair, reply) = after("[{status: 500}]").await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (200, 2));
    assert_counts(&pair.proxy.settle().await, "pillion_retries_total", &[("reason", "500")], 1);
    assert_counts(&pair.proxy.settle().await, "pillion_exchanges_total", &[("outcome", "ok")], 1);
}

#[tokio::test]
async fn a_last_failed_reply_passes_byte_for_byte_and_tells_sdks_to_stop() {
    let last = r#"[{status: 500, times: 2}, {status: 503, reason: Gone fishing, headers: ["X-Odd: One", "Set-Cookie: a=1", "X-Odd: two", "X-Should-Retry: true"], body: " {\"error\" :\t\"é\"}\n"}]"#;
    let (pair, reply) = after(last).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (503, 3));
    assert_eq!(reply.body, " {\"error\" :\t\"é\"}\n".as_bytes());
    assert!(reply.head.starts_with(b"HTTP/1.1 503 Gone fishing\r\n"), "{:?}", String::from_utf8_lossy(&reply.head));
    let all =
        |name: &str| -> Vec<_> { reply.headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone()).collect() };
    assert_eq!((all("x-odd"), all("set-cookie")), (vec!["One".to_owned(), "two".to_owned()], vec!["a=1".to_owned()]));
    assert_eq!(all("x-should-retry"), ["false"]);
}

#[tokio::test]
async fn a_failure_that_was_worth_no_retry_gets_no_advice_of_ours() {
    let (pair, reply) = after("[{status: 400}]").await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (400, 1));
    assert_eq!(reply.header("x-should-retry"), None);
}

#[tokio::test]
async fn two_hundred_failing_agents_cost_a_fifth_of_their_requests_one_a_second_and_the_burst() {
    let pair = pair("[{status: 500, times: always}]", FAST).await;
    let began = tokio::time::Instant::now();
    let replies = all((0..200).map(|_| pair.chat())).await;
    let allowed = 0.2 * 200.0 + began.elapsed().as_secs_f64() + 10.0;
    let retries = u32::try_from(pair.seen().len() - 200).unwrap();
    assert!((10.0..=allowed).contains(&f64::from(retries)), "{retries} retries, {allowed} allowed");
    assert!(replies.iter().all(|reply| reply.status == 500 && reply.header("x-should-retry") == Some("false")));
    let denied = replies.iter().filter(|reply| reply.header("x-pillion-attempts") != Some("3")).count();
    assert_counts(&pair.proxy.settle_as("upstream_error").await, "pillion_retry_budget_exhausted_total", &[], denied);
}

#[tokio::test]
async fn a_spent_budget_ends_the_retries_and_is_counted() {
    let pair = pair("[{status: 500, times: always}]", "retries: {backoff: {initial: 1ms}, budget: {ratio: 0, per_second: 0, burst: 1}}").await;
    let (first, second) = (pair.chat().await, pair.chat().await);
    assert_eq!([first, second].map(|reply| reply.header("x-pillion-attempts").map(str::to_owned)), [Some("2".to_owned()), Some("1".to_owned())]);
    assert_counts(&pair.proxy.settle().await, "pillion_retry_budget_exhausted_total", &[], 2);
}

#[tokio::test]
async fn only_transient_statuses_are_retried() {
    let check = |status: u16, expected: usize| async move {
        let (pair, reply) = after(&format!("[{{status: {status}}}]")).await;
        assert_eq!(pair.attempts(&reply).await, expected, "{status}");
        assert_eq!(reply.status, if expected == 1 { status } else { 200 });
    };
    all([408, 425, 429, 500, 502, 503, 504, 529].map(|status| check(status, 2))).await;
    all([400, 401, 402, 403, 404, 405, 409, 413, 415, 421, 422, 451, 501, 505].map(|status| check(status, 1))).await;
}

#[tokio::test]
async fn an_upstream_says_itself_whether_to_retry() {
    let (pair, reply) = after("[{status: 500, headers: {x-should-retry: false}}]").await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (500, 1));
    let (pair, reply) = after("[{status: 400, headers: {x-should-retry: true}}]").await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (200, 2));
}

#[tokio::test]
async fn an_exhausted_quota_is_not_retried() {
    let body = "{error: {message: You exceeded your current quota, type: insufficient_quota, param: null, code: insufficient_quota}}";
    let (pair, reply) = after(&format!("[{{status: 429, body: {body}}}]")).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (429, 1));
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    assert!(reply.text().contains("insufficient_quota"));
}

#[tokio::test]
async fn one_attempt_means_no_retry() {
    let pair = pair("[{status: 500}]", "retries: {attempts: 1}").await;
    let reply = pair.chat().await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (500, 1));
}

#[tokio::test]
async fn a_reused_connection_that_ends_unanswered_is_repeated_once_at_no_cost() {
    let broke = "retries: {budget: {ratio: 0, per_second: 0, burst: 0}}";
    let pair = pair("[{}, {cut: {at: request}}]", broke).await;
    assert_eq!(pair.chat().await.status, 200);
    let reply = pair.chat().await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("2")));
    let places: Vec<_> = pair.seen().iter().map(|seen| (seen.connection, seen.nth_on_connection)).collect();
    assert_eq!(places, [(1, 1), (1, 2), (2, 1)]);
    assert_counts(&pair.proxy.settle().await, "pillion_retries_total", &[("reason", "stale_connection")], 1);
}

#[tokio::test]
async fn a_new_connection_that_ends_unanswered_is_a_502() {
    let pair = pair("[{}, {cut: {at: request}, times: 2}]", FAST).await;
    pair.chat().await;
    let reply = pair.chat().await;
    assert_eq!((reply.status, reply.header("x-pillion-refusal")), (502, Some("connection_reset")));
    assert_eq!((reply.header("x-should-retry"), reply.header("x-pillion-attempts")), (Some("false"), Some("2")));
    assert_eq!(pair.seen().len(), 3);
}
