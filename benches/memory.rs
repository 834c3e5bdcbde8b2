//! What the memory costs: to take in a request that nobody has seen before, and one that goes on; in conversations of some length, and among many others.
//! `cargo bench --bench memory`. Times of `recall` and `Request::read` are told by the benchmark `reading`; here only `arrive` and `answered` count.
#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]

use std::{
    hint::black_box,
    time::{Duration, SystemTime},
};

use pillion::{
    agent::{Agents, Arrival, Moment, Source},
    wire::{Dialect, Reply, Request, TextMark},
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Conversations that are measured.
const CONVERSATIONS: u64 = 4000;
const PATH: &str = "/v1/chat/completions";

fn main() {
    println!("{:>8} {:>10} {:>12} {:>14} {:>12}", "KB", "new µs", "goes on µs", "answered µs", "bytes");
    for kilobytes in [1, 10, 100] {
        let rounds = if kilobytes > 10 { CONVERSATIONS / 8 } else { CONVERSATIONS };
        let agents = Agents::default();
        let mut costs = Costs::default();
        let mut bytes = 0;
        for number in 0..rounds {
            let mut messages = history(number, kilobytes << 10);
            costs.new.push(arrive(&agents, &messages, number * 2));
            let answer = format!("the answer number {number} to what was asked");
            let reply = Reply { id: Some(format!("chatcmpl-{number}")), text: TextMark::of(&answer), ..Reply::default() };
            let begun = Instant::now();
            agents.answered(pillion::agent::Place(number * 2 + 1), &reply, now());
            costs.answered.push(begun.elapsed());
            messages.extend([json!({"role": "assistant", "content": answer}), json!({"role": "user", "name": "user", "content": "And what else?"})]);
            costs.next.push(arrive(&agents, &messages, number * 2 + 1));
            bytes = body(&messages).len();
        }
        let [new, next, answered] = [&mut costs.new, &mut costs.next, &mut costs.answered].map(|times| median(times));
        println!("{kilobytes:>8} {new:>10.2} {next:>12.2} {answered:>14.2} {bytes:>12}");
    }
}

#[derive(Default)]
struct Costs {
    new: Vec<Duration>,
    next: Vec<Duration>,
    answered: Vec<Duration>,
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

fn now() -> Moment {
    Moment { instant: Instant::now(), wall: SystemTime::now() }
}

fn arrive(agents: &Agents, messages: &[Value], number: u64) -> Duration {
    let body = body(messages);
    let known = agents.recall(Dialect::OpenaiChat, &body, Instant::now());
    let request = Request::read(Dialect::OpenaiChat, PATH, &body, known.resume());
    let arrival = Arrival {
        agent: None,
        source: Source::Unknown,
        conversation: None,
        dialect: Dialect::OpenaiChat,
        upstream: "openai".into(),
        request: &request,
        body: &body,
        known: &known,
        connection: number / 2,
        sdk_retry: Some(0),
        timeout: None,
        trace: None,
        span_id: number + 1,
    };
    let moment = now();
    let begun = Instant::now();
    black_box(agents.arrive(&arrival, moment));
    begun.elapsed()
}

fn body(messages: &[Value]) -> Vec<u8> {
    json!({"model": "gpt-4o-mini", "messages": messages}).to_string().into_bytes()
}

/// A history of about so many bytes, of messages, calls and results.
fn history(number: u64, bytes: usize) -> Vec<Value> {
    let mut messages = vec![
        json!({"role": "system", "content": "You are the bookkeeper of a small firm. Use tools; never guess an amount, and say what is left open."}),
        json!({"role": "user", "name": "user", "content": format!("Settle ledger {number}, and say what is left open.")}),
    ];
    let code = "    total += sum(row[\"amount\"] for row in rows if row.get(\"currency\") == \"EUR\")\n".repeat(18);
    let mut turn = 0;
    let mut length = 400;
    while length + 1900 < bytes {
        let id = format!("call_{number}_{turn}");
        let call = json!({"id": id, "type": "function", "function": {"name": "read_file", "arguments": format!("{{\"part\":{turn}}}")}});
        messages.push(json!({"role": "assistant", "content": "Let me look at the next part.", "tool_calls": [call]}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": code}));
        turn += 1;
        length += 1900;
    }
    messages
}
