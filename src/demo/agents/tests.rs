use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{
    AgentEvent, Cause, What, conversation,
    habits::{self, Habit},
    reading::Reading,
    run_all,
};
use crate::{
    demo::{
        model::{End, Model, ModelOptions},
        script::Script,
    },
    wire::Dialect,
};

const DEADLINE: Duration = Duration::from_secs(10);

/// An agent of the demo by its name, with no time to lose.
fn agent(name: &str) -> Habit {
    let habit = habits::all().into_iter().find(|habit| habit.name == name).expect("there is such an agent");
    Habit { pause: 1..2, ..habit }
}

/// All of them, likewise.
fn hasty() -> Vec<Habit> {
    let limit = Duration::from_millis(200);
    habits::all().into_iter().map(|habit| Habit { pause: 1..2, timeout: limit, patience: habit.patience.map(|_| limit), ..habit }).collect()
}

async fn model(script: &str) -> Model {
    let script = Script::read(script).unwrap();
    Model::start(ModelOptions { script, ..ModelOptions::default() }).await.unwrap()
}

/// What an agent saw of a model until it had ended so many calls.
async fn seen(habit: Habit, model: &Model, calls: usize) -> Vec<What> {
    let (events, mut heard) = mpsc::channel(16);
    let (_running, stopped) = watch::channel(false);
    let listening = async {
        let (mut seen, mut ended) = (Vec::new(), 0);
        while let Some(AgentEvent { what, .. }) = heard.recv().await {
            ended += usize::from(!matches!(what, What::Asked { .. } | What::FirstToken(_) | What::Trimmed(_)));
            seen.push(what);
            if ended == calls {
                break;
            }
        }
        seen
    };
    tokio::select! {
        () = conversation::live(habit, model.address(), 1, (events, stopped)) => panic!("it lives on"),
        seen = timeout(DEADLINE, listening) => seen.expect("it talks"),
    }
}

/// Why the first call failed.
async fn failure(name: &str, script: &str) -> Cause {
    match seen(agent(name), &model(script).await, 1).await.pop() {
        Some(What::Failed { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_agent_brings_back_the_results_of_its_tools_whole_and_streamed_in_both_dialects() {
    for dialect in [Dialect::OpenaiChat, Dialect::AnthropicMessages] {
        for stream in [false, true] {
            let model = model("").await;
            let seen = seen(Habit { dialect, stream, ..agent("researcher") }, &model, 4).await;
            let called = seen.iter().filter(|what| matches!(what, What::Answered(answered) if !answered.tools.is_empty())).count();
            assert_eq!(called, 2, "{seen:?}");
            let results = model.requests().into_iter().filter(|request| String::from_utf8_lossy(&request.body).contains("Found: three")).count();
            assert!(results > 0 && model.requests().iter().all(|request| request.status == Some(200) || request.end == End::Open));
        }
    }
}

#[tokio::test]
async fn an_agent_says_who_it_is_in_its_path_and_how_long_it_waits_in_a_header() {
    let model = model("").await;
    let seen = seen(agent("writer"), &model, 1).await;
    assert!(matches!(&seen[..], [What::Asked { .. }, What::FirstToken(_), What::Answered(answered)] if answered.output_tokens.is_some()), "{seen:?}");
    let request = model.requests().remove(0);
    assert_eq!((request.target.as_str(), request.header("x-stainless-read-timeout")), ("/@writer/v1/messages", Some("60")));
}

#[tokio::test]
async fn an_agent_knows_why_it_has_no_answer() {
    assert_eq!(failure("planner", "- status: 429").await, Cause::Status(429, "rate_limit_exceeded".to_owned()));
    assert_eq!(failure("critic", "- status: 529").await, Cause::Status(529, "overloaded_error".to_owned()));
    assert_eq!(failure("writer", "- error_event: {after: 5}").await, Cause::Told("overloaded_error".to_owned()));
    for how in ["rst", "fin", "clean"] {
        assert_eq!(failure("writer", &format!("- cut: {{at: mid, after: 5, how: {how}}}")).await, Cause::Cut, "{how}");
    }
    assert_eq!(failure("planner", "- cut: {at: mid, bytes: 20}").await, Cause::Cut);
    assert_eq!(failure("planner", "- garbage: x").await, Cause::NoReply);
}

#[tokio::test]
async fn an_impatient_agent_hangs_up_and_one_with_a_limit_gives_up() {
    let model = model("- {stall: {at: first_token}, times: always}").await;
    let impatient = Habit { patience: Some(Duration::from_millis(30)), ..agent("impatient") };
    assert!(matches!(seen(impatient, &model, 1).await.pop(), Some(What::HungUp(_))));
    model.wait_until(DEADLINE, |seen| matches!(seen[0].end, End::Gone(..))).await.unwrap();
    let limited = Habit { timeout: Duration::from_millis(30), ..agent("stalled") };
    assert!(matches!(seen(limited, &model, 1).await.pop(), Some(What::Failed { cause: Cause::TimedOut, .. })));
}

#[tokio::test]
async fn an_agent_reads_how_often_the_proxy_tried() {
    let model = model("- headers: {X-Pillion-Attempts: 3}").await;
    let last = seen(agent("planner"), &model, 1).await.pop();
    assert!(matches!(&last, Some(What::Answered(answered)) if answered.attempts == 3), "{last:?}");
}

#[tokio::test]
async fn a_hoarder_asks_for_more_than_its_model_can_read_where_nobody_helps() {
    let seen = seen(agent("hoarder"), &model(habits::FAULTS).await, 20).await;
    let refused = Cause::Status(400, "context_length_exceeded".to_owned());
    assert!(seen.iter().any(|what| matches!(what, What::Failed { cause, .. } if *cause == refused)), "{seen:?}");
}

#[tokio::test]
async fn an_agent_reads_what_the_proxy_left_out() {
    let model = model("- headers: {X-Pillion-Trimmed: messages=12 tokens=34567}").await;
    let seen = seen(agent("planner"), &model, 1).await;
    assert!(matches!(&seen[..], [What::Asked { .. }, What::Trimmed(34567), What::Answered(_)]), "{seen:?}");
}

#[tokio::test]
async fn all_agents_talk_until_they_are_told_to_stop() {
    let model = model(habits::FAULTS).await;
    let (events, mut heard) = mpsc::channel::<AgentEvent>(64);
    let (stop, stopped) = oneshot::channel::<()>();
    let listening = async {
        let mut names = std::collections::BTreeSet::new();
        while names.len() < habits::all().len() {
            names.insert(heard.recv().await.expect("they live").agent);
        }
        drop(stop);
        while heard.recv().await.is_some() {}
    };
    let running = run_all(hasty(), (model.address(), 3), events, async { drop(stopped.await) });
    timeout(DEADLINE, async { tokio::join!(running, listening) }).await.expect("they stop");
}

#[tokio::test]
async fn agents_stop_when_nobody_listens() {
    let model = model("").await;
    let (events, heard) = mpsc::channel(1);
    drop(heard);
    timeout(DEADLINE, run_all(hasty(), (model.address(), 3), events, std::future::pending())).await.expect("they stop");
}

#[test]
fn a_stream_reads_the_same_in_pieces_of_any_size() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n: comment\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"Grüße\"}}]}\n\n\
                  data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    for size in [1, 2, 7, stream.len()] {
        let mut reading = Reading::new(Dialect::OpenaiChat, true);
        for piece in stream.as_bytes().chunks(size) {
            reading.push(piece).unwrap();
        }
        assert_eq!(reading.finish(), Ok(()));
        assert_eq!((reading.text.as_str(), reading.input_tokens, reading.output_tokens), ("Grüße", Some(3), Some(2)), "{size}");
    }
}

#[test]
fn a_stream_without_a_finish_reason_is_cut() {
    let mut reading = Reading::new(Dialect::OpenaiChat, true);
    assert_eq!(reading.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Half\"}}]}\n\n"), Ok(true));
    assert_eq!(reading.finish(), Err(Cause::Cut));
}
