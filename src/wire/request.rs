//! A request as its body tells it: the call, and the messages of its prompt that were not known before.

use std::ops::Range;

use super::{Call, Dialect, Message};

/// What a request's body tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request<'a> {
    /// What is asked for.
    pub call: Call,
    /// What it is asked with; `None` where the body has none that can be read.
    pub prompt: Option<Prompt<'a>>,
}

/// The messages of a prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prompt<'a> {
    /// A system text beside the messages, where the dialect has its place there and the request has one.
    pub system: Option<Message<'a>>,
    /// Messages at the beginning of the list that were known before and not read again.
    pub known: usize,
    /// The others, in order.
    pub messages: Vec<Message<'a>>,
    /// Where the list of messages lies in the body, without its brackets.
    pub list: Range<usize>,
    /// The tools that it declares.
    pub tools: Option<Tools<'a>>,
}

/// The tools that a request declares, as they stand in its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tools<'a>(pub(super) &'a [u8]);

impl<'a> Tools<'a> {
    /// The JSON, as written.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }
}

/// From where on a body has not been read yet: what was learnt from its beginning when it was read before.
#[derive(Debug, Clone, PartialEq)]
pub struct Resume {
    /// Offset of the first byte of the list of messages, behind its bracket.
    pub start: usize,
    /// Offset just behind the last message that is known.
    pub at: usize,
    /// Messages known.
    pub messages: usize,
    /// Their characters, as [`Call::prompt_characters`] counts them.
    pub characters: u64,
}

impl<'a> Request<'a> {
    /// Reads a request's body. `path` is the request's path without its query (Gemini names model and streaming there).
    pub fn read(dialect: Dialect, path: &str, body: &'a [u8], resume: Option<&Resume>) -> Self {
        let _ = resume;
        Self { call: Call::read(dialect, path, body), prompt: None }
    }
}
