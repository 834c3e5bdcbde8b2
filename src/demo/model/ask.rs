//! What a request asks of a model, free of dialect, as far as the simulated one cares. Refuses what the providers refuse:
//! a tool call without its result, or a result without its call, shows whoever broke a conversation apart.

use serde_json::Value;

use super::errors::Fault;

/// Characters of English text in a token, near enough for usage that looks right.
const CHARACTERS_PER_TOKEN: usize = 4;
/// The most choices that are given.
const CHOICES_MAX: u64 = 8;

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
    /// Of an OpenAI chat completion.
    pub(super) fn openai(body: &Value) -> Result<Self, Fault> {
        let messages = messages(body)?;
        openai_pairs(messages)?;
        let mut ask = Self::common(body, messages);
        let options = &body["stream_options"];
        ask.include_usage = options["include_usage"].as_bool().unwrap_or(false);
        ask.choices = body["n"].as_u64().unwrap_or(1).clamp(1, CHOICES_MAX);
        ask.max_tokens = count(&body["max_completion_tokens"]).or_else(|| count(&body["max_tokens"]));
        ask.tools = array(&body["tools"]).iter().filter_map(|tool| Tool::of(&tool["function"], "parameters")).collect();
        ask.tool_choice = match &body["tool_choice"] {
            Value::String(word) if word == "none" => ToolChoice::None,
            Value::String(word) if word == "required" => ToolChoice::Required,
            choice => choice["function"]["name"].as_str().map_or(ToolChoice::Auto, |name| ToolChoice::Named(name.to_owned())),
        };
        ask.parallel = body["parallel_tool_calls"].as_bool().unwrap_or(true);
        ask.last_is_tool_result = messages.last().is_some_and(|last| last["role"] == "tool");
        let format = &body["response_format"];
        ask.schema = match format["type"].as_str() {
            Some("json_schema") => Some(format["json_schema"]["schema"].clone()),
            Some("json_object") => Some(serde_json::json!({"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]})),
            _ => None,
        };
        Ok(ask)
    }

    /// Of an Anthropic message.
    pub(super) fn anthropic(body: &Value) -> Result<Self, Fault> {
        let messages = messages(body)?;
        anthropic_pairs(messages)?;
        let mut ask = Self::common(body, messages);
        ask.max_tokens = count(&body["max_tokens"]);
        ask.tools = array(&body["tools"]).iter().filter_map(|tool| Tool::of(tool, "input_schema")).collect();
        let choice = &body["tool_choice"];
        ask.tool_choice = match choice["type"].as_str() {
            Some("none") => ToolChoice::None,
            Some("any") => ToolChoice::Required,
            Some("tool") => ToolChoice::Named(choice["name"].as_str().unwrap_or_default().to_owned()),
            _ => ToolChoice::Auto,
        };
        ask.parallel = !choice["disable_parallel_tool_use"].as_bool().unwrap_or(false);
        ask.thinking = matches!(body["thinking"]["type"].as_str(), Some("enabled" | "adaptive"));
        ask.last_is_tool_result = messages.last().is_some_and(|last| blocks(last, "tool_result").next().is_some());
        Ok(ask)
    }

    fn common(body: &Value, messages: &[Value]) -> Self {
        let mut told = String::new();
        add_text(&body["system"], &mut told);
        for message in messages.iter().filter(|message| message["role"] != "assistant") {
            add_text(&message["content"], &mut told);
        }
        let mut conversation = serde_json::json!([body["model"], body["system"], messages]);
        forget_ids(&mut conversation);
        let conversation = conversation.to_string();
        Self {
            model: body["model"].as_str().unwrap_or("simulated").to_owned(),
            stream: body["stream"].as_bool().unwrap_or(false),
            choices: 1,
            messages: messages.len(),
            told,
            prompt_tokens: tokens(&conversation) + tokens(&body["tools"].to_string()),
            fingerprint: fnv(conversation.as_bytes()),
            ..Self::default()
        }
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
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Takes the ids out of a conversation: no two answers have the same, and what is said must not depend on them.
fn forget_ids(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(forget_ids),
        Value::Object(map) => {
            for id in ["id", "tool_call_id", "tool_use_id"] {
                map.remove(id);
            }
            map.values_mut().for_each(forget_ids);
        }
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

/// Every tool call is answered by the messages that follow it, and nothing else is.
fn openai_pairs(messages: &[Value]) -> Result<(), Fault> {
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let param = format!("messages.[{index}].role");
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(place) = open.iter().position(|open| *open == id) else {
                return Err(Fault::of(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                    Some(&param),
                ));
            };
            open.remove(place);
            continue;
        }
        if !open.is_empty() {
            return Err(unanswered(&open, &param));
        }
        open = array(&message["tool_calls"]).iter().filter_map(|call| call["id"].as_str()).collect();
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(&open, &format!("messages.[{}].role", messages.len()))) }
}

fn unanswered(open: &[&str], param: &str) -> Fault {
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Fault::of(message, Some(param))
}

/// Every tool use has its result in the very next message, and nothing else has.
fn anthropic_pairs(messages: &[Value]) -> Result<(), Fault> {
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let results: Vec<&str> = blocks(message, "tool_result").filter_map(|block| block["tool_use_id"].as_str()).collect();
        if let Some(stray) = results.iter().find(|id| !open.contains(id)) {
            return Err(Fault::of(
                format!(
                    "messages.{index}.content: unexpected `tool_use_id` found in `tool_result` blocks: {stray}. \
                     Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                ),
                None,
            ));
        }
        if let Some(missing) = open.iter().find(|id| !results.contains(id)) {
            return Err(Fault::of(
                format!(
                    "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing}. \
                     Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
                    index - 1
                ),
                None,
            ));
        }
        open = blocks(message, "tool_use").filter_map(|block| block["id"].as_str()).collect();
    }
    Ok(())
}

fn blocks<'a>(message: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    array(&message["content"]).iter().filter(move |block| block["type"] == kind)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Ask;

    #[test]
    fn what_a_proxy_may_add_does_not_change_the_answer() {
        let bare = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
        let added = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}], "stream_options": {"include_usage": true}});
        assert_eq!(Ask::openai(&bare).unwrap().fingerprint, Ask::openai(&added).unwrap().fingerprint);
        assert!(Ask::openai(&added).unwrap().include_usage);
    }

    #[test]
    fn a_tool_call_without_its_result_is_refused_in_the_providers_words() {
        let call = json!({"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        let user = json!({"role": "user", "content": "hi"});
        let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "x"});
        assert!(Ask::openai(&json!({"messages": [user, call, result, user]})).is_ok());
        let lost = Ask::openai(&json!({"messages": [user, call, user]})).unwrap_err();
        assert!(lost.message.ends_with("did not have response messages: call_1"), "{}", lost.message);
        assert!(Ask::openai(&json!({"messages": [user, call]})).is_err());
        let stray = Ask::openai(&json!({"messages": [user, result]})).unwrap_err();
        assert_eq!(stray.param.as_deref(), Some("messages.[1].role"));
    }

    #[test]
    fn a_tool_use_without_its_result_is_refused_in_the_providers_words() {
        let user = json!({"role": "user", "content": "hi"});
        let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]});
        assert!(Ask::anthropic(&json!({"messages": [user, call, result]})).unwrap().last_is_tool_result);
        assert!(Ask::anthropic(&json!({"messages": [user, call, user]})).unwrap_err().message.contains("without `tool_result` blocks"));
        assert!(Ask::anthropic(&json!({"messages": [user, result]})).unwrap_err().message.contains("unexpected `tool_use_id`"));
    }
}
