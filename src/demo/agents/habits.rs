//! Who the simulated agents are, and the faults of the model that their habits meet.

use std::time::Duration;

use serde_json::{Value, json};

use crate::wire::Dialect;

/// What goes wrong at the simulated model while the agents talk to it. Every fault is one agent's, by the model it uses.
pub const FAULTS: &str = "
# A limit that nobody reaches, told with each reply as providers do
rate_limit: {requests: 6000, tokens: 20000000, per: 1m}
rules:
  # researcher: at times its model does not know a tool's arguments
  - when: {model: gpt-4o-mini, every: 6}
    tools: [{name: get_weather, arguments: {town: Rome}}]
  # unlucky: the proxy retries these
  - when: {model: gpt-4.1, every: 3}
    status: 500
  - when: {model: gpt-4.1, every: 4}
    status: 429
    headers: {retry-after-ms: 300}
  # writer: now and then a stream that cannot be repeated, because it has begun
  - when: {model: claude-sonnet, every: 7}
    cut: {at: mid, after: 14, how: rst}
  # impatient: a model that takes its time
  - when: {model: o4-mini}
    slow: {first_token: 4s}
  # stalled: a head and nothing more
  - when: {model: gpt-5}
    stall: {at: first_token, for: forever}
  # hoarder: a small window, counted and refused as the provider does it
  - when: {model: gpt-4-0613}
    context: 8192
    tokens: cl100k
";

/// An agent.
#[derive(Debug, Clone)]
pub(super) struct Habit {
    pub(super) name: &'static str,
    pub(super) dialect: Dialect,
    pub(super) model: &'static str,
    pub(super) stream: bool,
    pub(super) tools: Option<Tools>,
    /// After so many tasks its conversation begins anew.
    pub(super) tasks: usize,
    pub(super) prompt: &'static str,
    /// Its SDK's own limit, which it tells in a header as the SDKs do.
    pub(super) timeout: Duration,
    /// After so long it hangs up without a word.
    pub(super) patience: Option<Duration>,
    /// How long it thinks between two tasks, in milliseconds.
    pub(super) pause: std::ops::Range<u64>,
}

/// What an agent's tools bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tools {
    /// A few words.
    Brief,
    /// Whole pages.
    Pages,
}

/// All of them.
pub(super) fn all() -> Vec<Habit> {
    let openai = Habit {
        name: "planner",
        dialect: Dialect::OpenaiChat,
        model: "gpt-4o",
        stream: false,
        tools: None,
        tasks: 3,
        prompt: "You are the planner. Break the task into steps.",
        timeout: Duration::from_mins(1),
        patience: None,
        pause: 500..2500,
    };
    let anthropic = Habit { dialect: Dialect::AnthropicMessages, ..openai.clone() };
    vec![
        openai.clone(),
        Habit {
            name: "researcher",
            model: "gpt-4o-mini",
            tools: Some(Tools::Brief),
            prompt: "You are the researcher. Look things up.",
            ..openai.clone()
        },
        Habit { name: "writer", model: "claude-sonnet-4-5", stream: true, prompt: "You are the writer. Write it well.", ..anthropic.clone() },
        Habit { name: "critic", model: "claude-haiku-4-5", prompt: "You are the critic. Say what is wrong.", ..anthropic },
        Habit {
            name: "impatient",
            model: "o4-mini",
            stream: true,
            prompt: "Answer at once.",
            patience: Some(Duration::from_millis(1200)),
            pause: 2000..5000,
            ..openai.clone()
        },
        Habit { name: "unlucky", model: "gpt-4.1", prompt: "You are a helpful assistant.", ..openai.clone() },
        Habit {
            name: "stalled",
            model: "gpt-5",
            stream: true,
            prompt: "You are a helpful assistant.",
            timeout: Duration::from_secs(4),
            pause: 1000..3000,
            ..openai.clone()
        },
        // Its conversation only grows, past what its model can read: without the proxy it would end there.
        Habit {
            name: "hoarder",
            model: "gpt-4-0613",
            tools: Some(Tools::Pages),
            tasks: 40,
            prompt: "You are the archivist. Read the whole page each time.",
            pause: 200..600,
            ..openai
        },
    ]
}

/// What they are asked to do.
pub(super) const TASKS: [&str; 8] = [
    "Plan a week at the coast.",
    "Compare the two proposals.",
    "What changed since last year?",
    "Write a short note on tides.",
    "Summarize the open questions.",
    "Which source should be trusted?",
    "How far is it to the lighthouse?",
    "Find the weak point of the argument.",
];

/// The researcher's tools, in the shape of a dialect.
pub(super) fn tools(dialect: Dialect) -> Value {
    let declared = [("search", "query", "Searches the library."), ("get_weather", "city", "Tells the weather of a city.")];
    let one = |(name, parameter, description): (&str, &str, &str)| {
        let schema = json!({"type": "object", "properties": {parameter: {"type": "string"}}, "required": [parameter]});
        match dialect {
            Dialect::AnthropicMessages => json!({"name": name, "description": description, "input_schema": schema}),
            _ => json!({"type": "function", "function": {"name": name, "description": description, "parameters": schema}}),
        }
    };
    declared.map(one).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{FAULTS, all};
    use crate::demo::script::Script;

    #[test]
    fn every_fault_of_the_demo_is_some_agents() {
        let script = Script::read(FAULTS).unwrap();
        let agents = all();
        for rule in script.rules {
            let model = rule.when.model.unwrap();
            assert!(agents.iter().any(|agent| agent.model.contains(&model)), "{model}");
        }
    }
}
