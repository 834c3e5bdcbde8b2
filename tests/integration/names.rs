//! Names that come with traffic are many, and what is kept of them is bounded: a hundred thousand agents, models and tools cost no more than a few.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Agent, Binary, Metrics, Wire, chat, run, upstream, within};

/// Requests; each brings an agent and a model, and its answer calls many tools: 100,000 names in all.
const REQUESTS: usize = 2000;
/// Agents that ask at the same time.
const AGENTS: usize = 4;
/// Tools that an answer calls.
const TOOLS: usize = 48;

/// Answers every request with calls of tools that nobody has heard of.
async fn many_tools(mut wire: Wire) {
    for place in 0.. {
        if wire.request().await.is_none() {
            return;
        }
        let call = |tool: usize| {
            let function = json!({"name": format!("tool-{}-{place}-{tool}", wire.nth), "arguments": "{}"});
            json!({"id": format!("call-{}-{place}-{tool}", wire.nth), "type": "function", "function": function})
        };
        let message = json!({"role": "assistant", "content": null, "tool_calls": (0..TOOLS).map(call).collect::<Vec<_>>()});
        let usage = json!({"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50});
        let choices = json!([{"index": 0, "message": message, "finish_reason": "tool_calls"}]);
        let answer = json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o", "choices": choices, "usage": usage}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
        if !wire.write(head + &answer).await {
            return;
        }
    }
}

/// Asks as agents and for models of these numbers, that many at a time.
async fn ask(binary: &Binary, numbers: std::ops::Range<usize>) {
    let mut agents = JoinSet::new();
    for first in 0..AGENTS {
        let (traffic, numbers) = (binary.traffic, numbers.clone());
        agents.spawn(async move {
            let mut agent = Agent::stranger(traffic).await;
            for number in numbers.skip(first).step_by(AGENTS) {
                let question = json!({"model": format!("model-{number}"), "messages": [{"role": "user", "content": format!("Question {number}")}]});
                let reply = agent.ask(&chat(false).at(&format!("/@agent-{number}/v1/chat/completions")).body(question.to_string())).await;
                assert_eq!(reply.status, 200);
            }
        });
    }
    while let Some(asked) = agents.join_next().await {
        asked.unwrap();
    }
}

/// The page of metrics.
async fn page(binary: &Binary) -> String {
    let mut agent = Agent::stranger(binary.admin).await;
    let reply = agent.ask(&crate::support::call("GET", "/metrics")).await;
    assert_eq!(reply.status, 200);
    reply.text()
}

fn promtool(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: apt-get install -y --no-install-recommends prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let told = promtool.wait_with_output().unwrap();
    let said = [told.stdout, told.stderr].concat();
    assert!(told.status.success() && said.is_empty(), "promtool says: {}", String::from_utf8_lossy(&said));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_names_take_no_more_room_than_a_few() {
    let upstream = upstream(many_tools).await;
    let binary = run().arguments(["--upstream".to_owned(), upstream.url()]).ready().await;
    ask(&binary, 0..REQUESTS / 2).await;
    page(&binary).await;
    let before = binary.resident();
    ask(&binary, REQUESTS / 2..REQUESTS).await;
    let text = within("the page", page(&binary)).await;
    let grown = binary.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{} kB more", grown >> 10);

    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= 10_000, "{series} series");
    assert!(text.len() <= 3_000_000, "{} bytes", text.len());
    let metrics = Metrics::read(&text);
    assert_eq!(metrics.count("pillion_exchanges_total", &[("outcome", "ok")]), u64::try_from(REQUESTS).unwrap());
    for label in ["agent", "model", "tool"] {
        assert!(metrics.value("pillion_label_overflow_total", &[("label", label)]) > 1000.0, "{label}: {:?}", metrics.show("pillion_label"));
    }
    assert_eq!(metrics.count("pillion_tool_calls_total", &[]), u64::try_from(REQUESTS * TOOLS).unwrap());
    assert!(metrics.value("pillion_tool_calls_total", &[("tool", "other")]) > 1000.0);
    promtool(&text);
}
