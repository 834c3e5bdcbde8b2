//! An agent's understanding of a reply: the words, the tool calls and the usage, of a whole answer or of a stream.

use serde_json::Value;

use super::Cause;
use crate::wire::Dialect;

/// The most that is gathered of one event, or of a whole reply.
const GATHERED_MAX: usize = 4 << 20;

/// A reply as it is being read.
#[derive(Debug)]
pub(super) struct Reading {
    dialect: Dialect,
    stream: bool,
    gathered: Vec<u8>,
    finished: bool,
    /// What was said.
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
}

/// A tool that is to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

impl Reading {
    /// Of a reply in that dialect.
    pub(super) fn new(dialect: Dialect, stream: bool) -> Self {
        Self {
            dialect,
            stream,
            gathered: Vec::new(),
            finished: false,
            text: String::new(),
            calls: Vec::new(),
            input_tokens: None,
            output_tokens: None,
        }
    }

    /// The next bytes; whether there is content of a stream by now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<bool, Cause> {
        self.gathered.extend_from_slice(bytes);
        while self.stream {
            let Some(end) = memchr::memmem::find(&self.gathered, b"\n\n") else { break };
            let event: Vec<u8> = self.gathered.drain(..end + 2).collect();
            self.event(&event)?;
        }
        if self.gathered.len() > GATHERED_MAX {
            return Err(Cause::NoReply);
        }
        Ok(self.stream && !(self.text.is_empty() && self.calls.is_empty()))
    }

    /// The reply's end: it must have been one.
    pub(super) fn finish(&mut self) -> Result<(), Cause> {
        if !self.stream {
            let body: Value = serde_json::from_slice(&self.gathered).map_err(|_| Cause::Cut)?;
            match self.dialect {
                Dialect::AnthropicMessages => self.anthropic_whole(&body),
                _ => self.openai_whole(&body),
            }
        }
        if self.finished { Ok(()) } else { Err(Cause::Cut) }
    }

    fn event(&mut self, event: &[u8]) -> Result<(), Cause> {
        for line in event.split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data: ") else { continue };
            let Ok(data) = serde_json::from_slice::<Value>(data) else { continue };
            if data["error"].is_object() {
                return Err(Cause::Told(code(&data["error"]).unwrap_or_else(|| "error".to_owned())));
            }
            match self.dialect {
                Dialect::AnthropicMessages => self.anthropic_event(&data),
                _ => self.openai_chunk(&data),
            }
        }
        Ok(())
    }

    fn openai_chunk(&mut self, chunk: &Value) {
        let choice = &chunk["choices"][0];
        self.text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(0).min(64);
            self.calls.resize(self.calls.len().max(index + 1), Call::default());
            let (known, function) = (&mut self.calls[index], &call["function"]);
            known.id.push_str(call["id"].as_str().unwrap_or_default());
            known.name.push_str(function["name"].as_str().unwrap_or_default());
            known.arguments.push_str(function["arguments"].as_str().unwrap_or_default());
        }
        self.finished |= choice["finish_reason"].is_string();
        self.openai_usage(&chunk["usage"]);
    }

    fn openai_whole(&mut self, body: &Value) {
        let choice = &body["choices"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.text = text(&choice["message"]["content"]);
        let calls = choice["message"]["tool_calls"].as_array().into_iter().flatten();
        self.calls = calls
            .map(|call| Call { id: text(&call["id"]), name: text(&call["function"]["name"]), arguments: text(&call["function"]["arguments"]) })
            .collect();
        self.finished = choice["finish_reason"].is_string();
        self.openai_usage(&body["usage"]);
    }

    fn openai_usage(&mut self, usage: &Value) {
        self.input_tokens = usage["prompt_tokens"].as_u64().or(self.input_tokens);
        self.output_tokens = usage["completion_tokens"].as_u64().or(self.output_tokens);
    }

    fn anthropic_event(&mut self, event: &Value) {
        match event["type"].as_str() {
            Some("message_start") => self.input_tokens = event["message"]["usage"]["input_tokens"].as_u64(),
            Some("content_block_start") => self.anthropic_block(&event["content_block"], true),
            Some("content_block_delta") => {
                self.text.push_str(event["delta"]["text"].as_str().unwrap_or_default());
                if let (Some(call), Some(part)) = (self.calls.last_mut(), event["delta"]["partial_json"].as_str()) {
                    call.arguments.push_str(part);
                }
            }
            Some("message_delta") => {
                self.finished |= event["delta"]["stop_reason"].is_string();
                self.output_tokens = event["usage"]["output_tokens"].as_u64();
            }
            _ => {}
        }
    }

    fn anthropic_whole(&mut self, body: &Value) {
        for block in body["content"].as_array().into_iter().flatten() {
            self.anthropic_block(block, false);
        }
        self.finished = body["stop_reason"].is_string();
        self.input_tokens = body["usage"]["input_tokens"].as_u64();
        self.output_tokens = body["usage"]["output_tokens"].as_u64();
    }

    fn anthropic_block(&mut self, block: &Value, streamed: bool) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if block["type"] == "tool_use" {
            let arguments = if streamed { String::new() } else { block["input"].to_string() };
            self.calls.push(Call { id: text(&block["id"]), name: text(&block["name"]), arguments });
        }
        self.text.push_str(block["text"].as_str().unwrap_or_default());
    }
}

/// The code of an error's body; empty if it has none.
pub(super) fn code_of(body: &[u8]) -> String {
    let error = serde_json::from_slice::<Value>(body).unwrap_or_default();
    code(&error["error"]).unwrap_or_default()
}

/// An error in one word: its code, else its type.
fn code(error: &Value) -> Option<String> {
    [&error["code"], &error["type"]].into_iter().find_map(Value::as_str).map(|code| code.chars().take(40).collect())
}
