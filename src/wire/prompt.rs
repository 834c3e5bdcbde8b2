//! Counts what a prompt is made of while it is being read, keeping none of it: characters of its texts, messages, tools.

use super::skim::{NotJson, Skim};

/// The messages of a prompt, in whatever shape the dialect has: one text, one message, a list of either, or tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Prompt {
    /// Characters of all texts; `None` if there was no text at all (tokens, images).
    pub(super) characters: Option<u64>,
    /// Messages.
    pub(super) messages: u64,
}

impl Prompt {
    /// Reads one; `None` for what is none.
    pub(super) fn read(skim: &mut Skim<'_>) -> Result<Option<Self>, NotJson> {
        match skim.peek()? {
            b'[' => Self::read_list(skim).map(Some),
            b'{' | b'"' => Ok(Some(Self { characters: texts(skim)?, messages: 1 })),
            _ => skim.skip().map(|()| None),
        }
    }

    fn read_list(skim: &mut Skim<'_>) -> Result<Self, NotJson> {
        let mut prompt = Self::default();
        let mut tokens = false;
        skim.array(|skim| {
            if matches!(skim.peek()?, b'-' | b'0'..=b'9') {
                tokens = true;
                return skim.skip();
            }
            prompt.messages += 1;
            add(&mut prompt.characters, texts(skim)?);
            Ok(())
        })?;
        // A list of bare numbers is one prompt that was tokenized by the agent.
        prompt.messages += u64::from(tokens);
        Ok(prompt)
    }
}

/// Counts the characters of the texts within a value of a message: strings and lists of strings, and in objects what stands under a key that
/// holds texts. `None` if there was none.
pub(super) fn texts(skim: &mut Skim<'_>) -> Result<Option<u64>, NotJson> {
    count(skim, false)
}

/// With `everything`, a string counts under whatever key: in arguments and results of tools that are given as objects.
fn count(skim: &mut Skim<'_>, everything: bool) -> Result<Option<u64>, NotJson> {
    let mut total = None;
    match skim.peek()? {
        b'"' => total = Some(skim.characters()?),
        b'[' if !skim.is_deep() => skim.array(|skim| {
            add(&mut total, count(skim, everything)?);
            Ok(())
        })?,
        b'{' if !skim.is_deep() && everything => skim.object(|skim, _| {
            add(&mut total, count(skim, true)?);
            Ok(())
        })?,
        b'{' if !skim.is_deep() => total = fields(skim)?,
        _ => skim.skip()?,
    }
    Ok(total)
}

fn fields(skim: &mut Skim<'_>) -> Result<Option<u64>, NotJson> {
    // By key, so that of a repeated one the last counts.
    let mut counts = [None; SLOTS];
    skim.object(|skim, key| {
        let Some(slot) = slot(key) else { return skim.skip() };
        counts[slot] = count(skim, slot >= FIRST_OF_DATA)?;
        Ok(())
    })?;
    let mut total = None;
    for count in counts {
        add(&mut total, count);
    }
    Ok(total)
}

/// Keys that [`slot`] knows.
const SLOTS: usize = 22;
/// From this one on they hold a tool's arguments or result as an object.
const FIRST_OF_DATA: usize = 18;

/// A number for each key under which a message holds texts, or objects that hold texts. Other keys hold names, ids, and encoded data.
fn slot(key: &[u8]) -> Option<usize> {
    Some(match key {
        b"content" => 0,
        b"text" => 1,
        b"parts" => 2,
        b"output" => 3,
        b"refusal" => 4,
        b"reasoning_content" => 5,
        b"reasoning" => 6,
        b"thinking" => 7,
        b"summary" => 8,
        b"tool_calls" => 9,
        b"function_call" => 10,
        b"function" => 11,
        b"functionCall" => 12,
        b"functionResponse" => 13,
        b"function_response" => 14,
        b"code" => 15,
        b"executableCode" => 16,
        b"codeExecutionResult" => 17,
        b"arguments" => FIRST_OF_DATA,
        b"input" => 19,
        b"args" => 20,
        b"response" => 21,
        _ => return None,
    })
}

/// Counts the tools that a list declares. Gemini's entries each hold a list of their own. `None` for what is no list.
pub(super) fn tools(skim: &mut Skim<'_>) -> Result<Option<u64>, NotJson> {
    if skim.peek()? != b'[' {
        return skim.skip().map(|()| None);
    }
    let mut total = 0;
    skim.array(|skim| {
        total += declared(skim)?;
        Ok(())
    })?;
    Ok(Some(total))
}

/// The tools of one entry: its `functionDeclarations`, or the entry itself.
fn declared(skim: &mut Skim<'_>) -> Result<u64, NotJson> {
    let mut count = 1;
    if skim.peek()? != b'{' {
        return skim.skip().map(|()| count);
    }
    skim.object(|skim, key| {
        if !matches!(key, b"functionDeclarations" | b"function_declarations") {
            return skim.skip();
        }
        count = 0;
        if skim.peek()? != b'[' {
            return skim.skip();
        }
        skim.array(|skim| {
            count += 1;
            skim.skip()
        })
    })?;
    Ok(count)
}

fn add(total: &mut Option<u64>, count: Option<u64>) {
    if let Some(count) = count {
        *total = Some(total.unwrap_or(0).saturating_add(count));
    }
}
