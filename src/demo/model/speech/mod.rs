//! The dialects that the simulated model talks in, one a file: what is said, free of dialect, goes in, and what stands on the wire
//! comes out. What is said is decided elsewhere; how fast and how it goes wrong, too.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::answer::Request;
use crate::demo::script::{Step, Usage};

pub(super) mod anthropic;
pub(super) mod chat;
pub(super) mod completions;
pub(super) mod embeddings;
pub(super) mod gemini;
pub(super) mod lists;
pub(super) mod ollama;
pub(super) mod responses;

/// When everything was made: a fixed day, so that answers do not depend on the clock.
pub(super) const CREATED: u64 = 1_750_000_000;
/// The same day as a text.
pub(super) const CREATED_AT: &str = "2025-06-15T15:06:40Z";
/// How many pieces the arguments of a tool call come in.
const ARGUMENT_PIECES: usize = 4;

/// How an answer is put, which its stream and the errors in it follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    /// OpenAI's chunks of chat completions and of completions.
    Chunks,
    /// OpenAI's events of a response.
    Responses,
    /// Anthropic's events.
    Anthropic,
    /// Gemini's replies, one an event.
    Gemini,
    /// Gemini's replies as the elements of one JSON array.
    GeminiArray,
    /// Ollama's lines.
    Ollama,
}

/// Whose words errors, limits and lists are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    OpenAi,
    Anthropic,
    Google,
    Ollama,
}

impl Speech {
    /// What may stand between two events and mean nothing, if there is such a thing.
    pub(super) fn sign_of_life(self) -> Option<Bytes> {
        match self {
            Self::Chunks | Self::Responses | Self::Anthropic | Self::Gemini => Some(Bytes::from_static(b": keep-alive\n\n")),
            Self::GeminiArray => Some(Bytes::from_static(b"\n")),
            Self::Ollama => None,
        }
    }
}

impl Provider {
    /// By the path, and by what SDKs say of themselves where the path is several providers'.
    pub(super) fn of(request: &Request<'_>) -> Self {
        let path = request.path();
        let says = |name: &str| request.seen.header(name).is_some();
        let last = path.rsplit('/').next().unwrap_or_default();
        if path.contains("/api/") {
            Self::Ollama
        } else if path.ends_with("/messages") || path.ends_with("/messages/count_tokens") || says("anthropic-version") {
            Self::Anthropic
        } else if path.contains("/v1beta/") || path.contains("/models/") && last.contains(':') || says("x-goog-api-key") {
            Self::Google
        } else {
            Self::OpenAi
        }
    }
}

/// A text in about so many pieces, at the boundaries of characters.
fn split(text: &str, count: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(characters.len().div_ceil(count).max(1)).map(|piece| piece.iter().collect()).collect()
}

/// Arguments as a tree, for the dialects that send them as one; what is none is left the text that it is.
fn arguments(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// A usage with the script's say in it.
fn merged(mut usage: Value, step: &Step) -> Option<Value> {
    match (&step.usage, usage.as_object_mut()) {
        (Some(Usage::Absent), _) => None,
        (Some(Usage::Merge(counts)), Some(usage)) => {
            let mut merged: Map<String, Value> = std::mem::take(usage);
            merged.extend(counts.clone());
            Some(Value::Object(merged))
        }
        _ => Some(usage),
    }
}
