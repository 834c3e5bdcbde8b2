//! What Anthropic's requests ask.

use serde_json::Value;

use super::{Ask, Tool, ToolChoice, array, count, messages};
use crate::demo::model::{errors::Fault, strict};

impl Ask {
    /// Of an Anthropic message.
    pub(in crate::demo::model) fn anthropic(body: &Value) -> Result<Self, Fault> {
        let messages = messages(body)?;
        strict::anthropic(body, messages)?;
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
}

fn blocks<'a>(message: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    array(&message["content"]).iter().filter(move |block| block["type"] == kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Ask;

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
