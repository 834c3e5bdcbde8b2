//! What the bytes of a model's API mean: requests, replies, streams and errors of every dialect.
//! Pure: no I/O, no clock. Nothing here changes a byte; what cannot be read is counted and skipped.

use std::fmt;

mod anthropic;
mod arguments;
mod call;
mod decoding;
mod edit;
mod errors;
mod excess;
mod facts;
mod failure;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gemini;
mod json;
mod lines;
mod mark;
mod message;
mod ollama;
mod openai;
mod outline;
mod overflow;
mod partial;
mod parts;
mod path;
mod prompt;
mod reading;
mod request;
mod responses;
mod said;
mod settings;
mod skim;
mod splice;
mod sse;
mod strip;
mod text;
mod tools;
mod websocket;
mod zstd;

pub use call::{Beginning, Call, OutputType};
pub use edit::{Edit, apply};
pub use errors::{ErrorShape, error_body, error_event};
pub use excess::{CONTEXT_LENGTH_EXCEEDED, Excess};
pub use mark::{TextMark, hash};
pub use message::{CalledTool, Data, Message, Role, Text, ToolResult, mark};
pub use outline::{Item, Link, Outline, Piece, PieceKind};
pub use overflow::Overflow;
pub use reading::{Progress, Reading, Skipped};
pub use request::{Frame, Prompt, Request, Resume};
pub(crate) use skim::unescape;
pub use splice::Splice;
pub use strip::Strip;
pub use text::Characters;
pub use tools::{DeclaredTool, Tools};
pub use websocket::{Frames, GOING_AWAY, GOING_AWAY_MASKED};

/// An API whose requests and replies Pillion can read. Found by the tail of the path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `…/chat/completions`, of OpenAI and every compatible server.
    OpenaiChat,
    /// `…/responses`.
    OpenaiResponses,
    /// `…/completions`, the older text completion.
    OpenaiCompletions,
    /// `…/embeddings`.
    OpenaiEmbeddings,
    /// `…/messages` and `…/messages/count_tokens`.
    AnthropicMessages,
    /// `…/models/M:generateContent` and its relatives.
    Gemini,
    /// `…/api/chat`, `…/api/generate`, `…/api/embed`, `…/api/embeddings`.
    Ollama,
}

/// Facts of an answer, whole or streamed, filled as its bytes pass. What was not said stays `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// Finish reasons in the provider's own words, in order of choices.
    pub finish_reasons: Vec<String>,
    /// Tokens as the provider counted them.
    pub usage: Usage,
    /// The error that the body (or an event of the stream) told.
    pub error: Option<ReplyError>,
    /// Tools that the answer's first choice calls and the agent is to run, in order; at most 128. What a provider runs by itself is none of them.
    pub tool_calls: Vec<ToolCall>,
    /// What the first choice's text is known by, reasoning not included.
    pub text: TextMark,
    /// That text itself where it is of at most 256 bytes: the answer to "who speaks next" is one.
    pub short_text: Option<String>,
    /// `service_tier`, where `OpenAI` says it.
    pub service_tier: Option<String>,
    /// `system_fingerprint`, where `OpenAI` says it.
    pub system_fingerprint: Option<String>,
    /// Tokens that a prompt was said to have by an answer that does nothing but count them (Anthropic's `count_tokens`, Gemini's `countTokens`).
    /// Nothing was spent on them, so they are no [`Usage`].
    pub counted: Option<u64>,
}

impl Reply {
    /// Whether it ended because it had become too long: what it said last may be half of what it would have.
    pub fn ran_out(&self) -> bool {
        let is_limit = |reason: &String| {
            matches!(reason.as_str(), "length" | "max_tokens" | "max_output_tokens" | "MAX_TOKENS" | "model_context_window_exceeded")
        };
        self.finish_reasons.iter().any(is_limit)
    }
}

/// What an answer's first choice says, where it was asked for (see [`Reading::gather`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its text.
    pub text: String,
    /// Its reasoning, as far as it is told in words.
    pub reasoning: String,
    /// Whether either was cut to the bound.
    pub is_cut: bool,
}

/// A tool that an answer calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolCall {
    /// The id by which its result will come back; Gemini and Ollama have none.
    pub id: Option<String>,
    /// The tool's name, at most 256 bytes.
    pub name: String,
    /// What its arguments are known by; the same as [`Data::mark`] gives for them in a later request.
    pub mark: TextMark,
    /// Its arguments as JSON, as they were told (whether they are valid is not checked here), of a custom tool the text that is its input;
    /// `None` if they are longer than 64 KiB (or 256 KiB with those of the other calls).
    pub arguments: Option<String>,
}

/// Tokens of one exchange. `input` includes cached and cache-written ones, `output` includes reasoning,
/// whichever way the provider counts. Absent is absent, never 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input: Option<u64>,
    /// Tokens of the answer.
    pub output: Option<u64>,
    /// Tokens of the prompt that were read from the provider's cache.
    pub cache_read: Option<u64>,
    /// Tokens of the prompt that were written to the provider's cache.
    pub cache_write: Option<u64>,
    /// Tokens of the answer that were reasoning.
    pub reasoning: Option<u64>,
}

/// An error as a provider's body or event told it. The message is not kept: it can quote the prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyError {
    /// `type` (OpenAI, Anthropic) or `status` (Gemini), e.g. `overloaded_error`; capped at 64 characters of `[A-Za-z0-9_.-]`.
    pub kind: Option<String>,
    /// `code`, e.g. `insufficient_quota`, `context_length_exceeded`; capped likewise.
    pub code: Option<String>,
    /// The HTTP status of an answer that was an error; within a 200, the status that the error would have had: its own numeric code, or what its
    /// code or kind stands for, `None` for words that are not known. Decides whether it is worth a retry.
    pub status: Option<u16>,
    /// What it says of a prompt that is too long, if that is what it is about.
    pub overflow: Option<Overflow>,
}

impl Dialect {
    /// The dialect of a request by the tail of its path (without query), whatever stands before it.
    pub fn of_path(path: &str) -> Option<Self> {
        path::dialect(path)
    }

    /// The name in config, labels and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiResponses => "openai-responses",
            Self::OpenaiCompletions => "openai-completions",
            Self::OpenaiEmbeddings => "openai-embeddings",
            Self::AnthropicMessages => "anthropic-messages",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// `gen_ai.operation.name`.
    pub fn operation(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses | Self::AnthropicMessages | Self::Ollama => "chat",
            Self::OpenaiCompletions => "text_completion",
            Self::OpenaiEmbeddings => "embeddings",
            Self::Gemini => "generate_content",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
