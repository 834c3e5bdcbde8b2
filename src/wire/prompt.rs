//! Reads the messages of a prompt, in whatever shape the dialect has: one text, one message, a list of either, or tokens.

use std::ops::Range;

use super::{
    Characters, Dialect, Message, Role,
    json::name,
    parts::Parts,
    skim::{NotJson, Skim},
};

/// Most messages that are kept; more of them are counted.
const MESSAGES_MAX: usize = 10_000;

/// The messages that were read.
#[derive(Debug, Default)]
pub(super) struct Messages<'a> {
    /// They, in order.
    pub(super) kept: Vec<Message<'a>>,
    /// How many there were.
    pub(super) count: u64,
    /// Characters of all their texts; `None` if there was no text at all (tokens, images).
    pub(super) characters: Option<Characters>,
    /// Where their list lies in the body, without its brackets; empty if there is none.
    pub(super) list: Range<usize>,
    /// Whether there were more of them, or more in them, than is kept.
    pub(super) is_overfull: bool,
    /// Whether the list held bare numbers: tokens.
    pub(super) has_tokens: bool,
}

/// Reads a prompt; `None` for what is none.
pub(super) fn read<'a>(dialect: Dialect, skim: &mut Skim<'a>) -> Result<Option<Messages<'a>>, NotJson> {
    let mut reader = Reader::new(dialect);
    match skim.peek()? {
        b'[' => {
            let start = skim.offset() + 1;
            skim.array(|skim| reader.element(skim))?;
            reader.read.list = start..skim.offset() - 1;
        }
        b'{' | b'"' => reader.message(skim)?,
        _ => return skim.skip().map(|()| None),
    }
    Ok(Some(reader.finish()))
}

/// Reads the rest of a list that began at `start`, behind an element of it.
pub(super) fn read_rest<'a>(dialect: Dialect, skim: &mut Skim<'a>, start: usize) -> Result<Messages<'a>, NotJson> {
    let mut reader = Reader::new(dialect);
    skim.array_rest(|skim| reader.element(skim))?;
    reader.read.list = start..skim.offset() - 1;
    Ok(reader.finish())
}

/// Reads a system text that stands beside the messages; `None` for what is none.
pub(super) fn read_system<'a>(skim: &mut Skim<'a>) -> Result<Option<Message<'a>>, NotJson> {
    let is_text = matches!(skim.peek()?, b'"' | b'[' | b'{');
    let mut parts = Parts::default();
    parts.value(skim)?;
    let (texts, _, _, characters) = parts.message();
    Ok(is_text.then_some(Message { role: Role::System, texts, characters, ..Message::default() }))
}

struct Reader<'a> {
    dialect: Dialect,
    parts: Parts<'a>,
    read: Messages<'a>,
}

impl<'a> Reader<'a> {
    fn new(dialect: Dialect) -> Self {
        Self { dialect, parts: Parts::default(), read: Messages::default() }
    }

    fn element(&mut self, skim: &mut Skim<'a>) -> Result<(), NotJson> {
        if matches!(skim.peek()?, b'-' | b'0'..=b'9') {
            self.read.has_tokens = true;
            return skim.skip();
        }
        self.message(skim)
    }

    fn message(&mut self, skim: &mut Skim<'a>) -> Result<(), NotJson> {
        let mut message = Message { role: Role::User, ..Message::default() };
        if skim.peek()? == b'{' {
            let item = self.parts.item(skim)?;
            let kind = item.kind.unwrap_or_default();
            message.role = role(self.dialect, item.role, kind);
            if message.role == Role::Tool && self.parts.results.is_empty() && kind.is_empty() {
                self.parts.result(item.result_id, item.tool_name.or(item.name), item.is_error, 0);
            } else {
                self.parts.settle(&item, 0);
            }
            // What is called has a name of its own.
            message.name = item.name.filter(|_| !kind.ends_with(b"_call")).and_then(name);
        } else {
            self.parts.value(skim)?;
        }
        (message.texts, message.calls, message.results, message.characters) = self.parts.message();
        message.end = skim.offset();
        self.read.count += 1;
        self.read.characters = sum(self.read.characters, message.characters);
        if self.read.kept.len() < MESSAGES_MAX {
            self.read.kept.push(message);
        } else {
            self.read.is_overfull = true;
        }
        Ok(())
    }

    fn finish(mut self) -> Messages<'a> {
        // A list of bare numbers is one prompt that was tokenized by the agent.
        self.read.count += u64::from(self.read.has_tokens);
        self.read.is_overfull |= self.parts.is_overfull();
        self.read
    }
}

/// Who speaks: by its role, else by the kind of item that it is.
pub(super) fn role(dialect: Dialect, role: Option<&[u8]>, kind: &[u8]) -> Role {
    match (role, dialect) {
        (Some(b"system" | b"developer"), _) => Role::System,
        (Some(b"user"), _) | (None, Dialect::Gemini) => Role::User,
        (Some(b"assistant" | b"model"), _) => Role::Assistant,
        (Some(b"tool" | b"function"), _) => Role::Tool,
        (None, _) if kind.ends_with(b"_output") => Role::Tool,
        (None, _) if kind.ends_with(b"_call") || kind == b"reasoning" => Role::Assistant,
        (Some(_) | None, _) => Role::Other,
    }
}

/// The sum of what is there.
pub(super) fn sum(one: Option<Characters>, other: Option<Characters>) -> Option<Characters> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
