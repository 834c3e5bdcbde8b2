//! A request as its body tells it: the call, and the messages of its prompt that were not known before. One pass over borrowed bytes, no tree; where
//! the body's beginning was read before, and perhaps its end, only what lies between.

use std::{ops::Range, sync::Arc};

use super::{
    Call, Characters, Dialect, Message, Role, Skipped, Text, Tools,
    mark::hash,
    path,
    prompt::{self, Messages, sum},
    settings::Settings,
    skim::{NotJson, Skim},
    tools,
};

/// Longest body that is read, in bytes. Reading it keeps a worker busy for some 10 ms.
pub(super) const BODY_MAX: usize = 8 << 20;

/// Levels of nesting around a message in a list: the body's object, and the list.
const LIST_DEPTH: u32 = 2;

/// What a request's body tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request<'a> {
    /// What is asked for.
    pub call: Call,
    /// What it is asked with; `None` where the body has none that can be read.
    pub prompt: Option<Prompt<'a>>,
    /// Why the body was not read, or its prompt not kept, if that is so.
    pub skipped: Option<Skipped>,
    /// What surrounds its list of messages, for [`Request::resume`].
    pub frame: Option<Arc<Frame>>,
}

/// The messages of a prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prompt<'a> {
    /// A system text beside the messages, where the dialect has its place there and the request has one.
    pub system: Option<Message<'a>>,
    /// Messages at the beginning of the list that were known before and not read again.
    pub known: usize,
    /// Their characters, as [`Call::prompt_characters`] counts them.
    pub known_characters: Option<Characters>,
    /// The others, in order.
    pub messages: Vec<Message<'a>>,
    /// Where the list of messages lies in the body, without its brackets; empty if there is none.
    pub list: Range<usize>,
    /// The tools that it declares.
    pub tools: Option<Tools<'a>>,
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
    pub characters: Option<Characters>,
    /// What surrounded the list.
    pub frame: Arc<Frame>,
}

/// What surrounds a list of messages: a body that begins like an earlier one and has the same bytes behind its list says the same with them.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What is asked for, without what the path and the messages say.
    call: Call,
    stream: Option<bool>,
    system: Option<System>,
    tools: Option<Spot>,
    /// Length and hash of what stands behind the last message, from the list's bracket on.
    behind: (usize, u64),
}

/// A system text beside the messages: where its texts lie, and their characters.
#[derive(Debug, Clone, PartialEq)]
struct System {
    texts: Vec<Spot>,
    characters: Option<Characters>,
}

/// A part of a body. What lies behind the list of messages is found again from the body's end.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spot {
    at: From,
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    Beginning(usize),
    End(usize),
}

impl<'a> Request<'a> {
    /// Reads a request's body. `path` is the request's path without its query (Gemini names model and streaming there). `resume` is taken at its word:
    /// that the body begins with the bytes that it was made from is for the caller to know.
    pub fn read(dialect: Dialect, path: &str, body: &'a [u8], resume: Option<&Resume>) -> Self {
        let skipped = |reason| Self { skipped: Some(reason), ..Self::default() };
        let (mut request, stream) = if body.len() > BODY_MAX {
            (skipped(Skipped::Size), None)
        } else if body.trim_ascii().is_empty() {
            (Self::default(), None)
        } else {
            let between = resume.and_then(|resume| between(dialect, body, resume));
            let read = between.or_else(|| whole(dialect, body, resume).ok());
            // Ollama streams unless told otherwise, where it can stream at all.
            let unless_told = read.is_some() && dialect == Dialect::Ollama && !path::is_ollama_embedding(path);
            read.map_or_else(|| (skipped(Skipped::Parse), None), |(request, stream)| (request, stream.or(Some(unless_told))))
        };
        request.call.stream = stream.unwrap_or(false);
        if request.call.model.is_none() && !matches!(dialect, Dialect::Gemini | Dialect::Ollama | Dialect::AnthropicMessages) {
            request.call.model = path::deployment(path).map(str::to_owned);
        }
        if let Some(verb) = path::Verb::of(path).filter(|_| dialect == Dialect::Gemini) {
            request.call.model = verb.model.or(request.call.model);
            request.call.stream = verb.stream;
        }
        request
    }

    /// Leaves out the messages that were known before, though they were read again: then it says what it would if they had not been.
    pub fn leave_out(&mut self, resume: &Resume) {
        let Some(prompt) = self.prompt.as_mut().filter(|prompt| prompt.known == 0 && prompt.list.start == resume.start) else { return };
        if resume.messages > 0 && prompt.messages.get(resume.messages - 1).is_some_and(|last| last.end == resume.at) {
            prompt.messages.drain(..resume.messages);
            (prompt.known, prompt.known_characters) = (resume.messages, resume.characters);
        }
    }

    /// How a body that goes on behind the first `count` of the messages that were read need not be read again. `None` if there are not so many.
    pub fn resume(&self, count: usize) -> Option<Resume> {
        let (prompt, frame) = (self.prompt.as_ref()?, self.frame.as_ref()?);
        let read = prompt.messages.get(..count)?;
        Some(Resume {
            start: prompt.list.start,
            at: read.last()?.end,
            messages: prompt.known + count,
            characters: read.iter().fold(prompt.known_characters, |total, message| sum(total, message.characters)),
            frame: Arc::clone(frame),
        })
    }
}

/// A request without what its path says, and whether it asks for a stream.
type Told<'a> = (Request<'a>, Option<bool>);

/// Reads what lies between a known beginning and a known end.
fn between<'a>(dialect: Dialect, body: &'a [u8], resume: &Resume) -> Option<Told<'a>> {
    let frame = &resume.frame;
    let (length, known) = frame.behind;
    let behind = body.len().checked_sub(length).filter(|&at| at >= resume.at)?;
    if hash(&body[behind..]) != known {
        return None;
    }
    let mut skim = Skim::within(body, resume.at, LIST_DEPTH);
    let messages = prompt::read_rest(dialect, &mut skim, resume.start).ok()?;
    if messages.list.end != behind {
        return None;
    }
    let system = frame.system.as_ref().map(|system| system.of(body));
    let tools = frame.tools.map(|tools| Tools(tools.of(body)));
    let is_plain = !messages.has_tokens;
    let request = assemble(frame.call.clone(), (Some(messages), Some(resume)), system, tools);
    let frame_again = request.prompt.as_ref().filter(|_| is_plain).map(|_| Arc::clone(frame));
    Some((Request { frame: frame_again, ..request }, frame.stream))
}

/// Reads the whole body, but for the messages that are known.
fn whole<'a>(dialect: Dialect, body: &'a [u8], resume: Option<&Resume>) -> Result<Told<'a>, NotJson> {
    let mut skim = Skim::within(body, if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }, 0);
    let mut settings = Settings::default();
    let (mut prompt, mut system, mut tools) = ((None, None), None, None);
    skim.object(|skim, key| {
        match Field::of(dialect, key) {
            Field::Prompt => prompt = messages(dialect, skim, resume)?,
            Field::System => system = prompt::read_system(skim)?,
            Field::Tools => tools = tools::read(skim)?,
            Field::Other => settings.read(dialect, key, skim)?,
        }
        Ok(())
    })?;
    if !skim.is_at_end() {
        return Err(NotJson);
    }
    let (mut call, stream) = settings.say(dialect);
    call.tools_declared = tools.map(|(_, count)| count);
    // Tokens among messages are not told apart by where a message ends.
    let is_plain = prompt.0.as_ref().is_some_and(|messages| !messages.has_tokens);
    let mut request = assemble(call.clone(), prompt, system, tools.map(|(tools, _)| tools));
    request.frame = request.prompt.as_ref().filter(|_| is_plain).and_then(|prompt| Frame::around(prompt, call, stream, body)).map(Arc::new);
    Ok((request, stream))
}

/// Reads a prompt; if its first messages are known, those behind them.
fn messages<'a, 'r>(
    dialect: Dialect,
    skim: &mut Skim<'a>,
    resume: Option<&'r Resume>,
) -> Result<(Option<Messages<'a>>, Option<&'r Resume>), NotJson> {
    let starts_list = skim.peek()? == b'[';
    match resume.filter(|resume| starts_list && resume.start == skim.offset() + 1) {
        Some(resume) => {
            skim.jump(resume.at, 1);
            Ok((Some(prompt::read_rest(dialect, skim, resume.start)?), Some(resume)))
        }
        None => Ok((prompt::read(dialect, skim)?, None)),
    }
}

/// Puts together what was read and what was known.
fn assemble<'a>(
    mut call: Call,
    (messages, resume): (Option<Messages<'a>>, Option<&Resume>),
    system: Option<Message<'a>>,
    tools: Option<Tools<'a>>,
) -> Request<'a> {
    let beside = system.as_ref().and_then(|system| system.characters);
    let (known, known_characters) = resume.map_or((0, None), |resume| (resume.messages, resume.characters));
    let Some(messages) = messages else {
        say(&mut call, beside);
        return Request { call, ..Request::default() };
    };
    say(&mut call, sum(sum(known_characters, messages.characters), beside));
    call.prompt_messages = Some(messages.count.saturating_add(u64::try_from(known).unwrap_or(u64::MAX)));
    if messages.is_overfull {
        return Request { call, skipped: Some(Skipped::Size), ..Request::default() };
    }
    let prompt = Prompt { system, known, known_characters, messages: messages.kept, list: messages.list, tools };
    Request { call, prompt: Some(prompt), ..Request::default() }
}

/// Says how long the prompt is.
fn say(call: &mut Call, characters: Option<Characters>) {
    (call.prompt_characters, call.prompt_weight) = characters.map(|all| (all.count, all.weight)).unzip();
}

impl Frame {
    /// What surrounds a prompt's list of messages; `None` if it has none.
    fn around(prompt: &Prompt<'_>, call: Call, stream: Option<bool>, body: &[u8]) -> Option<Self> {
        let list = &prompt.list;
        let behind = body.get(list.end..).filter(|_| list.start > 0)?;
        let spot = |part: &[u8]| Spot::new(part, list.end, body);
        let system = prompt
            .system
            .as_ref()
            .map(|system| System { texts: system.texts.iter().map(|text| spot(text.0)).collect(), characters: system.characters });
        Some(Self { call, stream, system, tools: prompt.tools.map(|tools| spot(tools.0)), behind: (behind.len(), hash(behind)) })
    }
}

impl System {
    fn of<'a>(&self, body: &'a [u8]) -> Message<'a> {
        let texts = self.texts.iter().map(|text| Text(text.of(body))).collect();
        Message { role: Role::System, texts, characters: self.characters, ..Message::default() }
    }
}

impl Spot {
    /// Of a part of the body whose list of messages ends there.
    fn new(part: &[u8], list_end: usize, body: &[u8]) -> Self {
        let at = part.as_ptr().addr().saturating_sub(body.as_ptr().addr());
        Self { at: if at < list_end { From::Beginning(at) } else { From::End(body.len().saturating_sub(at)) }, length: part.len() }
    }

    fn of(self, body: &[u8]) -> &[u8] {
        let at = match self.at {
            From::Beginning(at) => at,
            From::End(before) => body.len().saturating_sub(before),
        };
        body.get(at..at.saturating_add(self.length)).unwrap_or_default()
    }
}

/// What a top-level key of a request means.
enum Field {
    Prompt,
    System,
    Tools,
    Other,
}

impl Field {
    fn of(dialect: Dialect, key: &[u8]) -> Self {
        match (key, dialect) {
            (b"messages", Dialect::OpenaiChat | Dialect::AnthropicMessages | Dialect::Ollama)
            | (b"input", Dialect::OpenaiResponses | Dialect::OpenaiEmbeddings | Dialect::Ollama)
            | (b"prompt", Dialect::OpenaiCompletions | Dialect::Ollama)
            | (b"contents" | b"content" | b"requests", Dialect::Gemini) => Self::Prompt,
            (b"system", Dialect::AnthropicMessages | Dialect::Ollama)
            | (b"instructions", Dialect::OpenaiResponses)
            | (b"systemInstruction" | b"system_instruction", Dialect::Gemini) => Self::System,
            (b"tools" | b"functions", _) => Self::Tools,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests;
