//! The messages of a request's prompt, borrowed from its body: who speaks, what is said, which tools are called and which results come back.
//! Nothing is decoded until it is asked for.

use std::borrow::Cow;

use super::{Characters, TextMark, skim};

/// One message of a prompt. A system text that stands beside the messages (Anthropic, Gemini, Responses, Ollama's generate) is one too, the first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// `name`, where the message has one; 1 to 256 bytes.
    pub name: Option<Cow<'a, str>>,
    /// Its texts in order, without reasoning, tool arguments and tool results.
    pub texts: Vec<Text<'a>>,
    /// Calls of tools that it tells (an assistant's).
    pub calls: Vec<CalledTool<'a>>,
    /// Results of tools that it brings.
    pub results: Vec<ToolResult<'a>>,
    /// Where it ends: the offset in the body just behind it. 0 for a system text that stands beside the messages.
    pub end: usize,
    /// Characters of everything in it that counts as text: of tool arguments, tool results and reasoning too. `None` if it has no text at all.
    pub characters: Option<Characters>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// `system`, `developer`, or a system text beside the messages.
    System,
    /// `user`; also a bare text, and results of tools where the dialect has users bring them.
    User,
    /// `assistant` or `model`: also a bare function call of the Responses API.
    Assistant,
    /// `tool`, `function`, or a bare function call output of the Responses API.
    Tool,
    /// None, or another.
    #[default]
    Other,
}

/// A text as it stands between its quotes, escapes as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(pub(super) &'a [u8]);

/// A call of a tool, as an assistant's message tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct CalledTool<'a> {
    /// `id` or `call_id`; Gemini and Ollama have none.
    pub id: Option<Cow<'a, str>>,
    /// The tool's name.
    pub name: Cow<'a, str>,
    /// Its arguments: JSON as a text (`OpenAI`), or JSON itself.
    pub arguments: Option<Data<'a>>,
}

/// A result of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult<'a> {
    /// The id of the call that it answers; Gemini and Ollama have none.
    pub id: Option<Cow<'a, str>>,
    /// The tool's name, where the result says it.
    pub name: Option<Cow<'a, str>>,
    /// What it says.
    pub texts: Vec<Text<'a>>,
    /// Whether the dialect's own flag calls it an error (Anthropic's `is_error`).
    pub is_error: Option<bool>,
}

/// JSON within a message: written as such, or within a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'a> {
    /// As a text that holds JSON.
    Quoted(Text<'a>),
    /// As JSON itself, as it stands in the body.
    Plain(&'a [u8]),
}

impl<'a> Text<'a> {
    /// The text, unescaped, cut to at most `max` bytes. What is no valid escape or no UTF-8 is replaced.
    pub fn decoded(self, max: usize) -> Cow<'a, str> {
        let cut = &self.0[..self.0.len().min(max.saturating_mul(6).saturating_add(12))];
        let text = skim::unescaped_lossy(cut);
        if text.len() <= max {
            return text;
        }
        Cow::Owned(text[..text.floor_char_boundary(max)].to_owned())
    }

    /// What it is known by.
    pub fn mark(self) -> TextMark {
        mark([self])
    }

    /// Bytes as written.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }
}

impl Message<'_> {
    /// What its texts together are known by.
    pub fn mark(&self) -> TextMark {
        mark(self.texts.iter().copied())
    }
}

/// What texts together are known by, one behind the other.
pub fn mark<'a>(texts: impl IntoIterator<Item = Text<'a>>) -> TextMark {
    let mut texts = texts.into_iter();
    let Some(first) = texts.next() else { return TextMark::default() };
    let mut next = texts.next();
    if next.is_none() && !first.0.contains(&b'\\') {
        return TextMark::of_bytes(first.0);
    }
    let mut gathered = Vec::with_capacity(first.0.len());
    let mut add = |text: Text<'_>| skim::unescape(text.0, |piece| gathered.extend_from_slice(piece));
    add(first);
    while let Some(text) = next {
        add(text);
        next = texts.next();
    }
    TextMark::of_bytes(&gathered)
}
