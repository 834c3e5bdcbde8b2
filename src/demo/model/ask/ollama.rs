//! What Ollama's requests ask: a chat or a text to go on from. Answers stream unless they are told not to.

use serde_json::Value;

use super::{Ask, Tool, any_object, array, count};
use crate::demo::model::errors::Fault;

impl Ask {
    /// Of `/api/chat`. Without messages it only loads the model.
    pub(in crate::demo::model) fn ollama_chat(body: &Value) -> Result<Self, Fault> {
        let messages = array(&body["messages"]);
        let mut ask = Self::ollama(body, messages)?;
        ask.tools = array(&body["tools"]).iter().filter_map(|tool| Tool::of(&tool["function"], "parameters")).collect();
        ask.last_is_tool_result = messages.last().is_some_and(|last| last["role"] == "tool");
        Ok(ask)
    }

    /// Of `/api/generate`. Without a prompt it only loads the model.
    pub(in crate::demo::model) fn ollama_generate(body: &Value) -> Result<Self, Fault> {
        let prompt = body["prompt"].as_str().filter(|prompt| !prompt.is_empty()).map(Value::from);
        Self::ollama(body, prompt.as_slice())
    }

    fn ollama(body: &Value, messages: &[Value]) -> Result<Self, Fault> {
        if body["model"].as_str().is_none_or(str::is_empty) {
            return Err(Fault::of("model is required", None));
        }
        let mut ask = Self::common(body, messages).streamed(body["stream"].as_bool().unwrap_or(true));
        ask.max_tokens = body["options"]["num_predict"].as_i64().filter(|most| *most > 0).and_then(|most| count(&Value::from(most)));
        ask.thinking = matches!(&body["think"], Value::Bool(true) | Value::String(_));
        ask.schema = match &body["format"] {
            Value::String(word) if word == "json" => Some(any_object()),
            schema @ Value::Object(_) => Some(schema.clone()),
            _ => None,
        };
        Ok(ask)
    }
}
