//! Counts what a prompt is made of while it is being read, keeping none of it: characters of its texts, messages, tools.

use serde::de::{IgnoredAny, MapAccess, SeqAccess};

use super::json::{Key, Take, Taken, skip_fields};

/// The messages of a prompt, in whatever shape the dialect has: one text, one message, a list of either, or tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Prompt {
    /// Characters of all texts; `None` if there was no text at all (tokens, images).
    pub(super) characters: Option<u64>,
    /// Messages.
    pub(super) messages: u64,
}

impl<'de> Take<'de> for Prompt {
    type Value = Option<Self>;

    fn nothing(self) -> Self::Value {
        None
    }

    fn text(self, text: &str) -> Self::Value {
        Some(Self { characters: Some(characters(text)), messages: 1 })
    }

    fn items<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut tokens = false;
        while let Some(item) = items.next_element_seed(Taken(Item))? {
            match item {
                Message::Token => tokens = true,
                Message::Texts(count) => {
                    self.messages += 1;
                    add(&mut self.characters, count);
                }
            }
        }
        // A list of bare numbers is one prompt that was tokenized by the agent.
        self.messages += u64::from(tokens);
        Ok(Some(self))
    }

    fn fields<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(Some(Self { characters: Texts::All.fields(map)?, messages: 1 }))
    }
}

/// One element of a prompt.
struct Item;

enum Message {
    /// A number: one token of a prompt.
    Token,
    /// Anything else, with the characters of its texts.
    Texts(Option<u64>),
}

impl<'de> Take<'de> for Item {
    type Value = Message;

    fn nothing(self) -> Message {
        Message::Texts(None)
    }

    fn number(self) -> Message {
        Message::Token
    }

    fn text(self, text: &str) -> Message {
        Message::Texts(Some(characters(text)))
    }

    fn items<A: SeqAccess<'de>>(self, items: A) -> Result<Message, A::Error> {
        Texts::All.items(items).map(Message::Texts)
    }

    fn fields<A: MapAccess<'de>>(self, map: A) -> Result<Message, A::Error> {
        Texts::All.fields(map).map(Message::Texts)
    }
}

/// Counts the characters of the texts within a value; `None` if there was none.
#[derive(Debug, Clone, Copy)]
pub(super) enum Texts {
    /// Texts of messages: strings and lists of strings, and in objects what stands under a key of [`TEXTS`] or [`DATA`].
    All,
    /// Every string, under whatever key: arguments and results of tools that are given as objects.
    Data,
}

/// Keys under which a message holds texts, or objects that hold texts. Other keys hold names, ids, and encoded data.
const TEXTS: [&[u8]; 18] = [
    b"content",
    b"text",
    b"parts",
    b"output",
    b"refusal",
    b"reasoning_content",
    b"reasoning",
    b"thinking",
    b"summary",
    b"tool_calls",
    b"function_call",
    b"function",
    b"functionCall",
    b"functionResponse",
    b"function_response",
    b"code",
    b"executableCode",
    b"codeExecutionResult",
];

/// Keys under which a message holds a tool's arguments or result as an object.
const DATA: [&[u8]; 4] = [b"arguments", b"input", b"args", b"response"];

impl<'de> Take<'de> for Texts {
    type Value = Option<u64>;

    fn nothing(self) -> Option<u64> {
        None
    }

    fn text(self, text: &str) -> Option<u64> {
        Some(characters(text))
    }

    fn items<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<u64>, A::Error> {
        let mut total = None;
        while let Some(count) = items.next_element_seed(Taken(self))? {
            add(&mut total, count);
        }
        Ok(total)
    }

    fn fields<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<u64>, A::Error> {
        let mut total = None;
        // By key, so that of a repeated one the last counts.
        let mut counts = [None; TEXTS.len() + DATA.len()];
        while let Some(key) = map.next_key_seed(Key)? {
            let known = TEXTS.iter().chain(&DATA).zip(&mut counts).position(|(name, _)| *name == &*key);
            match (self, known) {
                (Self::Data, _) => add(&mut total, map.next_value_seed(Taken(Self::Data))?),
                (Self::All, Some(at)) => {
                    let within = if at < TEXTS.len() { Self::All } else { Self::Data };
                    counts[at] = map.next_value_seed(Taken(within))?;
                }
                (Self::All, None) => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        for count in counts {
            add(&mut total, count);
        }
        Ok(total)
    }
}

/// Counts the tools that a list declares. Gemini's entries each hold a list of their own.
pub(super) struct Tools;

impl<'de> Take<'de> for Tools {
    type Value = Option<u64>;

    fn nothing(self) -> Option<u64> {
        None
    }

    fn items<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<u64>, A::Error> {
        let mut total = 0;
        while let Some(count) = items.next_element_seed(Taken(Declaration))? {
            total += count;
        }
        Ok(Some(total))
    }
}

/// The tools of one entry: its `functionDeclarations`, or the entry itself.
struct Declaration;

impl<'de> Take<'de> for Declaration {
    type Value = u64;

    fn nothing(self) -> u64 {
        1
    }

    fn fields<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            if matches!(&*key, b"functionDeclarations" | b"function_declarations") {
                let count = map.next_value_seed(Taken(Length))?;
                skip_fields(&mut map)?;
                return Ok(count);
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(1)
    }
}

/// The elements of a list.
struct Length;

impl<'de> Take<'de> for Length {
    type Value = u64;

    fn nothing(self) -> u64 {
        0
    }

    fn items<A: SeqAccess<'de>>(self, mut items: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while items.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

fn characters(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

fn add(total: &mut Option<u64>, count: Option<u64>) {
    if let Some(count) = count {
        *total = Some(total.unwrap_or(0).saturating_add(count));
    }
}
