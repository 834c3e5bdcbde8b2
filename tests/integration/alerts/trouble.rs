//! Agents to whom everything happens that there is an alert for, each its own trouble, again and again; and one whose days are ordinary.

use std::{net::SocketAddr, time::Duration};

use pillion::demo::model::Model;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::{Agent, Call, call, model};

/// A clock and a budget so short that they run out at once, a model that costs a fortune, one with a small window, few agents with a name of their own,
/// and a collector and an upstream whose ports are closed.
const CONFIG: &str = "
timeouts: {first_token: 300ms}
retries: {attempts: 2, backoff: {initial: 5ms, max: 10ms}, budget: {ratio: 0, per_second: 0.1, burst: 1}}
context: {windows: {small: 1000}}
telemetry:
  max_agents: 15
  prices: {dear: {input: 1000000, output: 1000000}}
  otlp: {endpoint: 'http://127.0.0.1:9'}
upstreams:
  gone: {url: 'http://127.0.0.1:9/v1'}
";

/// What goes wrong, by the model that is asked.
const SCRIPT: &str = "
rules:
  - when: {model: broken}
    status: 500
  - when: {model: limited}
    status: 429
    headers: {retry-after-ms: 5}
  - when: {model: denied}
    status: 401
  - when: {model: silent}
    stall: {at: first_token}
  - when: {model: slow}
    slow: {first_token: 30s}
  - when: {model: cutting}
    cut: {at: mid, after: 3, how: rst}
  - when: {model: caller}
    tools: [{name: get_weather, arguments: {town: 7}}]
  - when: {model: careful}
    tools: [{name: get_weather, arguments: {city: Oslo}}]
  - when: {model: unlucky, every: 12}
    status: 500
";

/// How often each of them asks.
const PAUSE: Duration = Duration::from_millis(120);
/// After so long the impatient one hangs up: in the middle of a bucket (0.64 s to 1.28 s), however slow the machine.
const PATIENCE: Duration = Duration::from_millis(900);

/// The simulated model, and the config of the Pillion in front of it.
pub(super) async fn troubled() -> (Model, String) {
    let model = model(SCRIPT).await;
    let upstreams = ["five", "limits", "up"].map(|name| format!("  {name}: {{url: '{}/v1'}}\n", model.url()));
    (model, CONFIG.to_owned() + &upstreams.concat())
}

/// A model that does what it should, but for now and then.
pub(super) async fn sound() -> Model {
    model(SCRIPT).await
}

/// Ordinary days: whole answers and streams, a tool that works, a 500 that is retried, and an answer that somebody stops reading.
pub(super) async fn ordinary(to: SocketAddr) {
    for round in 0.. {
        for (model, stream) in [("gpt-4o", false), ("gpt-4o", true), ("unlucky", false)] {
            let reply = Agent::stranger(to).await.ask(&hello("planner", "", (model, stream))).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        use_a_tool(to, "planner", "careful", "Rain.").await;
        if round == 2 {
            let mut agent = Agent::stranger(to).await;
            agent.send(&hello("planner", "", ("gpt-4o", true))).await;
            agent.head().await;
            agent.hang_up();
        }
        sleep(PAUSE).await;
    }
}

/// Everything else, until the set is dropped.
pub(super) fn trouble(to: SocketAddr) -> JoinSet<()> {
    let mut agents = JoinSet::new();
    let simple = [
        hello("breaking", "/five", ("broken", false)),
        hello("greedy", "/limits", ("limited", false)),
        hello("keyless", "/up", ("denied", false)),
        hello("stalled", "/up", ("silent", true)),
        hello("writer", "/up", ("cutting", true)),
        hello("lost", "/gone", ("gpt-4o", false)),
        hello("spender", "/up", ("dear", false)),
        hello("repeater", "/up", ("gpt-4o", false)).header("x-stainless-retry-count", "1"),
        call("GET", "/nowhere"),
        crowded(),
        unbounded(),
        boundless(),
    ];
    for call in simple {
        agents.spawn(async move {
            loop {
                Agent::stranger(to).await.ask(&call).await;
                sleep(PAUSE).await;
            }
        });
    }
    agents.spawn(async move {
        loop {
            use_a_tool(to, "clumsy", "caller", "KeyError: 'city'").await;
            sleep(PAUSE).await;
        }
    });
    agents.spawn(async move {
        loop {
            forget_a_tool(to).await;
            sleep(PAUSE).await;
        }
    });
    for _ in 0..2 {
        agents.spawn(async move {
            loop {
                // It has no answer by then, and drops its connection.
                let question = hello("impatient", "/up", ("slow", false));
                let mut agent = Agent::stranger(to).await;
                assert!(timeout(PATIENCE, agent.ask(&question)).await.is_err());
            }
        });
    }
    agents
}

/// Names that are too many, at the end: the others have theirs by then.
pub(super) async fn many_names(to: SocketAddr) {
    for number in 0.. {
        Agent::stranger(to).await.ask(&hello(&format!("run-{number}"), "/up", ("gpt-4o", false))).await;
        sleep(PAUSE).await;
    }
}

fn post(agent: &str, upstream: &str, body: &Value) -> Call {
    call("POST", &format!("/@{agent}{upstream}/v1/chat/completions")).json(body)
}

fn hello(agent: &str, upstream: &str, (model, stream): (&str, bool)) -> Call {
    post(agent, upstream, &json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Say hello."}]}))
}

/// More than the window of its model, and not to be trimmed.
fn crowded() -> Call {
    let body = json!({"model": "small", "messages": [{"role": "user", "content": "What the tide brings. ".repeat(300)}]});
    post("crowded", "/up", &body).header("x-pillion-trim", "off")
}

/// A conversation that is longer than the window of its model.
fn unbounded() -> Call {
    let turn =
        |number: usize| json!({"role": if number.is_multiple_of(2) { "user" } else { "assistant" }, "content": "What the tide brings. ".repeat(20)});
    post("hoarder", "/up", &json!({"model": "small", "max_tokens": 50, "messages": (0..31).map(turn).collect::<Vec<_>>()}))
}

/// Instructions that are longer than that: nothing can be left out.
fn boundless() -> Call {
    let instructions: Vec<String> = (0..600).map(|rule| format!("Rule {rule}: never say what rule {rule} says.")).collect();
    let messages = json!([{"role": "system", "content": instructions.join(" ")}, {"role": "user", "content": "Say hello."}]);
    post("lawyer", "/up", &json!({"model": "small", "messages": messages}))
}

fn with_tools(agent: &str, model: &str, messages: &[Value]) -> Call {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]);
    post(agent, if agent == "planner" { "" } else { "/up" }, &json!({"model": model, "messages": messages, "tools": tools}))
}

/// Asks, and has the conversation up to the calls that come back, and these.
async fn is_given_calls(to: SocketAddr, agent: &str, model: &str) -> (Vec<Value>, Vec<Value>) {
    let mut messages = vec![json!({"role": "user", "content": format!("How is the weather on day {}?", fastrand::u64(..))})];
    let answer = Agent::stranger(to).await.ask(&with_tools(agent, model, &messages)).await.json();
    let said = answer["choices"][0]["message"].clone();
    let calls = said["tool_calls"].as_array().unwrap_or_else(|| panic!("no tool is called: {answer}")).clone();
    messages.push(said);
    (messages, calls)
}

async fn use_a_tool(to: SocketAddr, agent: &str, model: &str, result: &str) {
    let (mut messages, calls) = is_given_calls(to, agent, model).await;
    messages.extend(calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": result})));
    Agent::stranger(to).await.ask(&with_tools(agent, model, &messages)).await;
}

/// The conversation goes on, and no result ever comes.
async fn forget_a_tool(to: SocketAddr) {
    let (mut messages, _) = is_given_calls(to, "forgetful", "careful").await;
    messages.push(json!({"role": "user", "content": "Never mind."}));
    Agent::stranger(to).await.ask(&with_tools("forgetful", "careful", &messages)).await;
}
