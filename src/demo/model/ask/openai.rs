//! What OpenAI's requests ask: chat completions, completions and responses.

use serde_json::Value;

use super::{Ask, Tool, ToolChoice, any_object, array, count, messages};
use crate::demo::model::{errors::Fault, strict};

/// The most choices that are given.
const CHOICES_MAX: u64 = 8;
/// How long a completion is where nothing is said.
const COMPLETION_TOKENS: usize = 16;

impl Ask {
    /// Of an OpenAI chat completion.
    pub(in crate::demo::model) fn chat(body: &Value) -> Result<Self, Fault> {
        let messages = messages(body)?;
        strict::chat(body, messages)?;
        let mut ask = Self::common(body, messages);
        let options = &body["stream_options"];
        ask.include_usage = options["include_usage"].as_bool().unwrap_or(false);
        ask.choices = body["n"].as_u64().unwrap_or(1).clamp(1, CHOICES_MAX);
        ask.max_tokens = count(&body["max_completion_tokens"]).or_else(|| count(&body["max_tokens"]));
        ask.tools = array(&body["tools"]).iter().filter_map(|tool| Tool::of(&tool["function"], "parameters")).collect();
        ask.tool_choice = tool_choice(&body["tool_choice"], &body["tool_choice"]["function"]);
        ask.parallel = body["parallel_tool_calls"].as_bool().unwrap_or(true);
        ask.last_is_tool_result = messages.last().is_some_and(|last| last["role"] == "tool");
        let format = &body["response_format"];
        ask.schema = match format["type"].as_str() {
            Some("json_schema") => Some(format["json_schema"]["schema"].clone()),
            Some("json_object") => Some(any_object()),
            _ => None,
        };
        Ok(ask)
    }

    /// Of an older text completion.
    pub(in crate::demo::model) fn completion(body: &Value) -> Result<Self, Fault> {
        let prompts = match &body["prompt"] {
            Value::Null => return Err(Fault::of("Missing required parameter: 'prompt'.", Some("prompt"))),
            Value::Array(prompts) if prompts.iter().all(Value::is_string) => prompts.clone(),
            prompt => vec![prompt.clone()],
        };
        let mut ask = Self::common(body, &prompts);
        ask.include_usage = body["stream_options"]["include_usage"].as_bool().unwrap_or(false);
        ask.choices = body["n"].as_u64().unwrap_or(1).clamp(1, CHOICES_MAX);
        ask.max_tokens = count(&body["max_tokens"]).or(Some(COMPLETION_TOKENS));
        Ok(ask)
    }

    /// Of a response.
    pub(in crate::demo::model) fn response(body: &Value) -> Result<Self, Fault> {
        let items = match &body["input"] {
            Value::String(text) => vec![serde_json::json!({"role": "user", "content": text})],
            Value::Array(items) if !items.is_empty() => items.clone(),
            _ => return Err(Fault::of("Missing required parameter: 'input'.", Some("input"))),
        };
        strict::responses(body, &items)?;
        let mut ask = Self::of(&body["model"], &body["instructions"], &items, &body["tools"]).streamed(body["stream"].as_bool().unwrap_or(false));
        ask.max_tokens = count(&body["max_output_tokens"]);
        ask.tools = array(&body["tools"]).iter().filter(|tool| tool["type"] == "function").filter_map(|tool| Tool::of(tool, "parameters")).collect();
        ask.tool_choice = tool_choice(&body["tool_choice"], &body["tool_choice"]);
        ask.parallel = body["parallel_tool_calls"].as_bool().unwrap_or(true);
        ask.last_is_tool_result = items.last().is_some_and(|last| last["type"] == "function_call_output");
        ask.thinking = body["reasoning"]["summary"].is_string();
        ask.schema = match body["text"]["format"]["type"].as_str() {
            Some("json_schema") => Some(body["text"]["format"]["schema"].clone()),
            Some("json_object") => Some(any_object()),
            _ => None,
        };
        Ok(ask)
    }
}

fn tool_choice(choice: &Value, named: &Value) -> ToolChoice {
    match choice.as_str() {
        Some("none") => ToolChoice::None,
        Some("required") => ToolChoice::Required,
        _ => named["name"].as_str().map_or(ToolChoice::Auto, |name| ToolChoice::Named(name.to_owned())),
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
        assert_eq!(Ask::chat(&bare).unwrap().fingerprint, Ask::chat(&added).unwrap().fingerprint);
        assert!(Ask::chat(&added).unwrap().include_usage);
    }

    #[test]
    fn a_tool_call_without_its_result_is_refused_in_the_providers_words() {
        let call = json!({"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        let user = json!({"role": "user", "content": "hi"});
        let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "x"});
        assert!(Ask::chat(&json!({"messages": [user, call, result, user]})).is_ok());
        let lost = Ask::chat(&json!({"messages": [user, call, user]})).unwrap_err();
        assert!(lost.message.ends_with("did not have response messages: call_1"), "{}", lost.message);
        assert!(Ask::chat(&json!({"messages": [user, call]})).is_err());
        let stray = Ask::chat(&json!({"messages": [user, result]})).unwrap_err();
        assert_eq!(stray.param.as_deref(), Some("messages.[1].role"));
    }
}
