//! How a connection with many streams ends: told to go, what flows may finish, the rest is cut; and by itself when nobody asks for anything.

use std::time::Duration;

use h2::Reason;
use rustix::process::Signal;

use crate::support::{Asked, Binary, End, Reply, Streams, chat, model, run};

/// Beyond the grace period: the last tasks, the flush, and a busy machine.
const SLACK: Duration = Duration::from_secs(4);

/// An agent that has read the beginning of a stream.
async fn streaming(binary: &Binary) -> (Streams, Asked, Reply) {
    let many = Streams::stranger(binary.traffic).await;
    let mut asked = many.send(&chat(true)).await;
    let mut reply = asked.head().await;
    while !reply.text().contains("\"content\":\"") {
        assert!(asked.piece(&mut reply).await, "{:?}", reply.text());
    }
    (many, asked, reply)
}

#[tokio::test]
async fn streams_finish_within_the_grace_period_and_no_new_one_is_taken() {
    let model = model("[{\"stall\": {\"at\": \"mid\", \"for\": \"1s\"}}]").await;
    let mut binary = run().upstream(&model).ready().await;
    let (mut many, mut asked, mut reply) = streaming(&binary).await;
    binary.signal(Signal::TERM);
    asked.rest(&mut reply).await;
    assert_eq!(reply.end, End::Whole);
    assert!(reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
    assert!(many.ended().await.is_ok(), "a GOAWAY that says NO_ERROR");
    assert_eq!(binary.exit(SLACK).await.0, Some(0));
}

#[tokio::test]
async fn streams_past_the_grace_period_are_told_and_reset() {
    let model = model("[{\"stall\": {\"at\": \"mid\"}}]").await;
    let mut binary = run().upstream(&model).config("server: {grace: 300ms}").ready().await;
    let (_many, mut asked, mut reply) = streaming(&binary).await;
    binary.signal(Signal::TERM);
    asked.rest(&mut reply).await;
    assert_eq!((reply.end, asked.reset), (End::Rst, Some(Reason::INTERNAL_ERROR)));
    assert_eq!(reply.last_event()["error"]["code"], "draining", "{}", reply.text());
    assert_eq!(binary.exit(Duration::from_millis(300) + SLACK).await.0, Some(0));
}

#[tokio::test]
async fn a_call_that_waits_for_its_reply_is_answered_503_when_the_grace_period_is_over() {
    let model = model("[{\"stall\": {\"at\": \"head\"}}]").await;
    let mut binary = run().upstream(&model).config("server: {grace: 300ms}").ready().await;
    let many = Streams::stranger(binary.traffic).await;
    let asked = many.send(&chat(false)).await;
    model.wait_until(crate::support::PATIENCE, |seen| seen.iter().any(|seen| seen.body_complete)).await.unwrap();
    binary.signal(Signal::TERM);
    let reply = asked.reply().await;
    assert_eq!((reply.status, reply.refusal()), (503, Some("draining")));
    assert_eq!(binary.exit(Duration::from_millis(300) + SLACK).await.0, Some(0));
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let model = model("").await;
    let mut binary = run().upstream(&model).ready().await;
    let mut many = Streams::stranger(binary.traffic).await;
    assert_eq!(many.ask(&chat(false)).await.status, 200);
    let mut mute = crate::support::Agent::stranger(binary.traffic).await;
    mute.write(super::frames::hello(&[])).await;
    assert_eq!(many.ask(&chat(false)).await.status, 200);
    binary.signal(Signal::TERM);
    assert_eq!(binary.exit(SLACK).await.0, Some(0));
    assert!(many.ended().await.is_ok());
    assert_ne!(mute.closed().await, End::Open);
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_told_to_go_after_a_minute() {
    let model = model("").await;
    let binary = run().upstream(&model).ready().await;
    let mut many = Streams::stranger(binary.traffic).await;
    assert_eq!(many.ask(&chat(false)).await.status, 200);
    let since = tokio::time::Instant::now();
    assert!(tokio::time::timeout(Duration::from_secs(75), many.ended_whenever()).await.expect("an end").is_ok());
    assert!((Duration::from_secs(58)..Duration::from_secs(70)).contains(&since.elapsed()), "{:?}", since.elapsed());
}
