//! What a request asks of a model, free of dialect, as far as the simulated one cares. Refuses what the providers refuse:
//! a tool call without its result, or a result without its call, shows whoever broke a conversation apart.

use serde_json::Value;

use super::errors::Fault;

mod anthropic;
mod gemini;
mod ollama;
mod openai;

pub(super) use gemini::either;

/// Characters of English text in a token, near enough for usage that looks right.
const CHARACTERS_PER_TOKEN: usize = 4;

/// A question.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "a question is a list of independent wishes, as the APIs have them")]
pub(super) struct Ask {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) choices: u64,
    pub(super) max_tokens: Option<usize>,
    pub(super) tools: Vec<Tool>,
    pub(super) tool_choice: ToolChoice,
    pub(super) parallel: bool,
    pub(super) last_is_tool_result: bool,
    /// How many messages the conversation has.
    pub(super) messages: usize,
    /// What the system and users said, for the words that tell the model to do something special.
    pub(super) told: String,
    /// The schema that the answer must fit.
    pub(super) schema: Option<Value>,
    pub(super) thinking: bool,
    pub(super) prompt_tokens: usize,
    /// Of model and conversation, and of nothing that a proxy may add.
    pub(super) fingerprint: u64,
}

/// A tool that was declared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) schema: Value,
}

/// Whether tools are to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum ToolChoice {
    #[default]
    Auto,
    None,
    Required,
    Named(String),
}

impl Ask {
    /// Of a conversation; its `system` and `messages` are both told and remembered.
    fn common(body: &Value, messages: &[Value]) -> Self {
        Self::of(&body["model"], &body["system"], messages, &body["tools"]).streamed(body["stream"].as_bool().unwrap_or(false))
    }

    fn of(model: &Value, system: &Value, messages: &[Value], tools: &Value) -> Self {
        let mut told = String::new();
        add_text(system, &mut told);
        for message in messages.iter().filter(|message| !matches!(message["role"].as_str(), Some("assistant" | "model"))) {
            let content = ["content", "parts"].map(|key| &message[key]);
            content.into_iter().chain((message.is_string()).then_some(message)).for_each(|content| add_text(content, &mut told));
        }
        let mut conversation = serde_json::json!([model, system, messages]);
        forget_ids(&mut conversation);
        let conversation = conversation.to_string();
        Self {
            model: model.as_str().unwrap_or("simulated").to_owned(),
            choices: 1,
            messages: messages.len(),
            told,
            parallel: true,
            prompt_tokens: tokens(&conversation) + if tools.is_null() { 1 } else { tokens(&tools.to_string()) },
            fingerprint: fnv(conversation.as_bytes()),
            ..Self::default()
        }
    }

    fn streamed(self, stream: bool) -> Self {
        Self { stream, ..self }
    }
}

impl Tool {
    fn of(declared: &Value, schema: &str) -> Option<Self> {
        Some(Self { name: declared["name"].as_str()?.to_owned(), schema: declared[schema].clone() })
    }
}

/// Tokens of a text, near enough.
pub(super) fn tokens(text: &str) -> usize {
    text.len().div_ceil(CHARACTERS_PER_TOKEN)
}

/// FNV-1a over 64 bits: the same everywhere and for ever, as a seed must be.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Takes the ids out of a conversation: no two answers have the same, and what is said must not depend on them.
fn forget_ids(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(forget_ids),
        Value::Object(map) => {
            for id in ["id", "tool_call_id", "tool_use_id", "call_id"] {
                map.remove(id);
            }
            map.values_mut().for_each(forget_ids);
        }
        _ => {}
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|count| usize::try_from(count).ok())
}

/// The text of a content: a string, or a list of blocks with texts.
fn add_text(content: &Value, told: &mut String) {
    match content {
        Value::String(text) => {
            told.push_str(text);
            told.push('\n');
        }
        Value::Array(blocks) => blocks.iter().for_each(|block| add_text(&block["text"], told)),
        _ => {}
    }
}

fn messages(body: &Value) -> Result<&[Value], Fault> {
    match &body["messages"] {
        Value::Array(messages) if !messages.is_empty() => Ok(messages),
        Value::Array(_) => Err(Fault::of(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            Some("messages"),
        )),
        _ => Err(Fault::of("Missing required parameter: 'messages'.", Some("messages"))),
    }
}

/// The schema of an answer that is to be some JSON.
fn any_object() -> Value {
    serde_json::json!({"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]})
}
