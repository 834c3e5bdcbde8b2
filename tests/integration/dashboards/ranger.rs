//! An agent to whom everything happens that a dashboard shows, by a Pillion of its own whose collector is not there.

use pillion::demo::model::Model;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Agent, Binary, Call, call, find, model, run};

/// Clocks and budgets so short that they run out at once, and a collector's port that is closed.
const CONFIG: &str = "
timeouts: {first_token: 1s}
retries: {attempts: 2, backoff: {initial: 20ms, max: 50ms}, budget: {ratio: 0, per_second: 0.5, burst: 1}}
telemetry: {otlp: {endpoint: 'http://127.0.0.1:9'}}
";

/// What goes wrong, by the model that is asked.
const SCRIPT: &str = "
rate_limit: {requests: 6000, tokens: 100000000, per: 1m}
rules:
  - when: {model: broken}
    status: 500
  - when: {model: limited, every: 2}
    status: 429
    headers: {retry-after-ms: 20}
  - when: {model: silent}
    stall: {at: first_token}
  - when: {model: cutting}
    cut: {at: mid, after: 3, how: rst}
  - when: {model: trickling}
    slow: {tokens_per_second: 3}
  - when: {model: uncounted}
    usage: none
  - when: {model: caller, every: 2}
    tools: [{name: get_weather, arguments: {town: 7}}]
";

/// The Pillion, what it talks to, and the traffic between the two.
pub(super) struct Ranger {
    pub(super) binary: Binary,
    _model: Model,
    _traffic: JoinSet<()>,
}

/// Starts it. The traffic ends with it.
pub(super) async fn ranger() -> Ranger {
    let model = model(SCRIPT).await;
    let binary = run().config(CONFIG).upstream(&model).ready().await;
    let to = binary.traffic;
    let mut traffic = JoinSet::new();
    traffic.spawn(async move {
        loop {
            for call in calls() {
                Agent::stranger(to).await.ask(&call).await;
            }
            use_a_tool(Agent::stranger(to).await).await;
            hang_up(Agent::stranger(to).await).await;
        }
    });
    Ranger { binary, _model: model, _traffic: traffic }
}

/// What is asked once and not looked at.
fn calls() -> Vec<Call> {
    let hello = |model: &str, stream: bool| ask(model, stream, &json!([{"role": "user", "content": "Say hello."}]));
    vec![
        hello("gpt-4o", false).header("x-stainless-retry-count", "1"),
        hello("gpt-4o", true),
        hello("broken", false),
        hello("broken", false),
        hello("limited", false),
        hello("limited", false),
        hello("silent", true),
        hello("cutting", true),
        hello("uncounted", false),
        too_long(),
        post().body("{"),
    ]
}

fn post() -> Call {
    call("POST", "/@ranger/v1/chat/completions").header("Content-Type", "application/json")
}

fn ask(model: &str, stream: bool, messages: &Value) -> Call {
    let mut question = json!({"model": model, "stream": stream, "messages": messages});
    if model == "caller" {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        question["tools"] = json!([{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]);
    }
    post().body(question.to_string())
}

/// More than the 8,192 tokens that its model can read.
fn too_long() -> Call {
    let mut messages: Vec<Value> =
        (0..30).flat_map(|_| ["user", "assistant"]).map(|role| json!({"role": role, "content": "What the tide brings. ".repeat(80)})).collect();
    messages.push(json!({"role": "user", "content": "And now?"}));
    ask("gpt-4-0613", false, &Value::Array(messages))
}

/// A tool is called, at times with arguments that are not its own, and fails.
async fn use_a_tool(mut agent: Agent) {
    let mut messages = vec![json!({"role": "user", "content": "How is the weather?"})];
    let answer = agent.ask(&ask("caller", false, &json!(messages))).await.json();
    let said = &answer["choices"][0]["message"];
    let calls = said["tool_calls"].as_array().unwrap_or_else(|| panic!("no tool is called: {answer}"));
    messages.push(said.clone());
    messages.extend(calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "KeyError: 'city'"})));
    agent.ask(&ask("caller", false, &json!(messages))).await;
}

/// In the middle of a stream.
async fn hang_up(mut agent: Agent) {
    agent.send(&ask("trickling", true, &json!([{"role": "user", "content": "Tell a long story."}]))).await;
    assert_eq!(agent.head().await.status, 200);
    agent.fill_until(|bytes| find(bytes, b"data:")).await.expect("its first words");
    agent.hang_up();
}
