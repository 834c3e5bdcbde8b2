//! A request's conversation as its body holds it: where each message lies, what of it counts as prompt, what may be shortened, and which messages belong
//! together. Read only where a prompt may be too long; nothing is decoded or changed here.

use std::ops::Range;

use self::{
    fields::{Beside, Seen},
    reader::Reader,
};
use super::{
    Dialect, Role,
    json::Json,
    path,
    skim::{NotJson, Skim},
};

mod calls;
mod fields;
mod media;
mod reader;
mod sound;

/// Most messages of a conversation that is read.
const ITEMS_MAX: usize = 10_000;

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
    pub fn read(dialect: Dialect, path: &str, body: &[u8]) -> Option<Self> {
        if !path::is_conversation(dialect, path) {
            return None;
        }
        let mut skim = Skim::new(body);
        let mut reading = Reading { dialect, reader: Reader::new(dialect), outline: Self::default(), has_prompt: false };
        reading.body(&mut skim).ok()?;
        (reading.has_prompt && skim.is_at_end() && sound::is_sound(body)).then_some(reading.outline)
    }
}

/// A body that is being read. What is no JSON, cannot be understood or is too much ends it: all are [`NotJson`] here.
struct Reading {
    dialect: Dialect,
    reader: Reader,
    outline: Outline,
    has_prompt: bool,
}

impl Reading {
    fn body(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        let mut seen = Seen::default();
        skim.object(|skim, key| match fields::known(self.dialect, key, fields::of_body)? {
            Some((number, _)) if !seen.is_first(number) => Err(NotJson),
            Some((_, field)) => self.field(skim, field),
            None => skim.skip(),
        })
    }

    fn field(&mut self, skim: &mut Skim<'_>, field: Beside) -> Result<(), NotJson> {
        match field {
            Beside::List => self.prompt(skim),
            Beside::System => {
                let system = self.reader.beside(skim)?;
                self.outline.beside.extend(system);
                Ok(())
            }
            Beside::Declared => {
                self.outline.beside.extend(reader::whole(skim, PieceKind::Declared)?);
                Ok(())
            }
            Beside::Settings => self.settings(skim),
            Beside::Held => {
                self.outline.is_continued |= !matches!(skim.value()?, b"null" | b"\"\"");
                Ok(())
            }
            Beside::Other => skim.skip(),
        }
    }

    fn prompt(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        self.has_prompt = true;
        match (skim.peek()?, self.dialect) {
            (b'[', _) => {
                let start = skim.offset() + 1;
                skim.array(|skim| self.item(skim))?;
                self.outline.list = start..skim.offset() - 1;
                Ok(())
            }
            // One text, or Gemini's one message.
            (b'"', Dialect::OpenaiResponses | Dialect::Gemini) | (b'{', Dialect::Gemini) => self.item(skim),
            _ => Err(NotJson),
        }
    }

    fn item(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        if self.outline.items.len() == ITEMS_MAX {
            return Err(NotJson);
        }
        let (item, is_held) = self.reader.item(skim)?;
        self.outline.items.push(item);
        self.outline.is_continued |= is_held;
        Ok(())
    }

    /// Reads an object with settings: what of it counts, and Ollama's window.
    fn settings(&mut self, skim: &mut Skim<'_>) -> Result<(), NotJson> {
        if skim.peek()? != b'{' {
            return skim.skip();
        }
        let mut seen = Seen::default();
        skim.object(|skim, key| match fields::known(self.dialect, key, fields::of_settings)? {
            Some((number, _)) if !seen.is_first(number) => Err(NotJson),
            Some((_, Beside::Settings)) => {
                self.outline.window = Json::next(skim)?.and_then(Json::number).filter(|window| *window > 0);
                Ok(())
            }
            Some((_, field)) => self.field(skim, field),
            None => skim.skip(),
        })
    }
}

#[cfg(test)]
mod tests;
