//! What the providers refuse, in their words: a conversation that was broken apart, and what else their APIs check of one. Only rules that the real
//! APIs have; what they let pass passes here. Ollama refuses nothing.

use serde_json::Value;

use super::{ask::Ask, errors::Fault};
use crate::wire::Dialect;

mod anthropic;
mod chat;
mod gemini;
mod responses;

pub(super) use anthropic::{check as anthropic, signature};
pub(super) use chat::check as chat;
pub(super) use gemini::check as gemini;
pub(super) use responses::{TIED, check as responses};

/// What the provider would say against a request's body; `None` if it would answer it. Windows and limits are not looked at.
pub fn refused(dialect: Dialect, body: &[u8]) -> Option<String> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Some(Fault::no_json().message) };
    let asked = match dialect {
        Dialect::OpenaiChat => Ask::chat(&body),
        Dialect::OpenaiResponses => Ask::response(&body),
        Dialect::OpenaiCompletions => Ask::completion(&body),
        Dialect::AnthropicMessages => Ask::anthropic(&body),
        // Embeddings have no contents, and a count may have a whole request of its own.
        Dialect::Gemini if ["content", "requests", "generateContentRequest"].iter().any(|key| !body[*key].is_null()) => return None,
        Dialect::Gemini => Ask::gemini(&body, "simulated", false),
        Dialect::Ollama if body["messages"].is_array() => Ask::ollama_chat(&body),
        Dialect::Ollama => Ask::ollama_generate(&body),
        Dialect::OpenaiEmbeddings => return None,
    };
    asked.err().map(|fault| fault.message)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Whether a list stands here that has nothing in it.
fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Whether a text has nothing but blanks in it.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[cfg(test)]
mod tests;
