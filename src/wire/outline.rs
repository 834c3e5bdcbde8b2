//! A request's conversation as its body holds it: where each message lies, what of it counts as prompt, what may be shortened, and which messages belong
//! together. Read only where a prompt may be too long; nothing is decoded or changed here.

use std::ops::Range;

use super::{Dialect, Role};

/// A conversation, as offsets into a request's body.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outline {
    /// Where the list of messages lies in the body, without its brackets. Empty where the prompt is one text, which is then the one item.
    pub list: Range<usize>,
    /// The messages, in order.
    pub items: Vec<Item>,
    /// What stands beside the list and counts as prompt: system texts, declared tools, the schema of the answer. Never changed.
    pub beside: Vec<Piece>,
    /// Whether the provider holds what went before (`previous_response_id`, `conversation`): then nothing of it can be trimmed from here.
    pub is_continued: bool,
    /// The window that the request itself asks for, in tokens (Ollama's `options.num_ctx`).
    pub window: Option<u64>,
}

/// One element of the list of messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item {
    /// Where it lies: from its first byte to behind its last, without comma and blanks.
    pub at: Range<usize>,
    /// Who speaks.
    pub role: Role,
    /// What of it counts as prompt, in order.
    pub pieces: Vec<Piece>,
    /// Calls of tools in it.
    pub calls: Vec<Link>,
    /// Results of tools in it.
    pub results: Vec<Link>,
    /// Whether it must go together with the item behind it (a reasoning item of the Responses API).
    pub leads: bool,
    /// Whether something is said in it: text or media that is neither call nor result nor reasoning.
    pub speaks: bool,
}

/// By what a call and its result know each other: a hash of the id, `None` where the dialect has none and place and order say it (Gemini, Ollama).
pub type Link = Option<u64>;

/// A part of a body that counts as prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Where it lies: of a string what stands between its quotes, of other JSON all of it.
    pub at: Range<usize>,
    /// Whether it is a string: escapes are then as written.
    pub is_quoted: bool,
    /// What it is.
    pub kind: PieceKind,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// What somebody says. May be shortened.
    Text,
    /// What a tool gave back. May be shortened.
    Result,
    /// What a tool is called with, and its name.
    Call,
    /// Reasoning in words.
    Reasoning,
    /// Reasoning that only its maker can read: a signature, encrypted content.
    Sealed,
    /// The name of who speaks.
    Name,
    /// An image, in bytes or by its URL. Not counted by its bytes.
    Image,
    /// Another medium or file, in bytes or by its URL. Not counted by its bytes.
    File,
    /// Declared tools or the schema of the answer.
    Declared,
}

impl Outline {
    /// Reads the conversation of a request. `None` where there is none that could be trimmed (embeddings, completions, `count_tokens`, Ollama's `generate`),
    /// where the body is no valid JSON, or where a key that matters is there twice: then nobody can say which of them the upstream reads.
    pub fn read(_dialect: Dialect, _path: &str, _body: &[u8]) -> Option<Self> {
        None
    }
}
