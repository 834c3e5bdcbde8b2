//! Reads an answer as its bytes pass, however they are split. Observing never fails: what cannot be read is said in `Skipped`.
//! The content type is only what is presumed: an answer that begins like a JSON value is read as one, whatever it was called.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    Contents, Dialect, Reply, anthropic,
    decoding::{Decoding, Undecodable},
    facts::Facts,
    gemini,
    json::Json,
    lines::Lines,
    ollama, openai, responses,
    sse::{Event, Found, Sse},
};

/// Longest whole body that is read, in bytes.
const BODY_MAX: usize = 8 << 20;

/// Where an answer stands after the bytes fed so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events (SSE, NDJSON) completed so far. Comments and other blocks without data are none.
    pub events: u64,
    /// A text, reasoning or tool-call delta has been seen: the first token is there.
    pub content: bool,
    /// Every choice seen has told its finish reason, or the dialect's terminator (`[DONE]`, `message_stop`, `done: true`) was seen. Of one body:
    /// it was whole JSON, known at the end. Token counts may still follow, and an error may stand beside it.
    pub finished: bool,
    /// An error event (or an error object in place of an answer) was seen.
    pub error: bool,
}

/// Why an answer or a request was not read, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skipped {
    /// Not JSON where JSON was due.
    Parse,
    /// One event was longer than the bound (1 MiB).
    EventSize,
    /// A whole body was longer than the bound (8 MiB), had more parts than are kept, or was not held.
    Size,
    /// Compressed in a way that is not read: an unknown one, or more than one.
    Encoding,
    /// Compressed, but not as it says, or not to its end.
    Decode,
    /// Reading it met a fault of ours.
    Fault,
    /// Compressed so densely that it is taken for a bomb (100 to 1).
    Ratio,
}

impl Skipped {
    /// The name in labels and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::EventSize => "event_size",
            Self::Size => "size",
            Self::Encoding => "encoding",
            Self::Decode => "decode",
            Self::Fault => "fault",
            Self::Ratio => "ratio",
        }
    }
}

/// The incremental reader of one answer.
#[derive(Debug)]
pub struct Reading {
    framing: Framing,
    facts: Facts,
    dialect: Dialect,
    /// The answer's own status, if it is an error's.
    failed: Option<u16>,
    skipped: Option<Skipped>,
    opaque: bool,
    /// What makes the bytes plain; gone when nothing more is to be read.
    decoding: Option<Box<Decoding>>,
    /// How plain the bytes are that are fed.
    coding: Coding,
}

/// How plain the bytes are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Coding {
    Plain,
    /// Compressed: nothing can be put between two events.
    Encoded,
    /// Compressed, and decoded later than an agent may: no time can be told by it.
    Late,
}

/// How the bytes are divided.
#[derive(Debug)]
enum Framing {
    /// Nothing but blanks so far: the first byte of substance decides.
    Undecided { presumed: Presumed, at_boundary: bool },
    /// Events of SSE.
    Sse(Sse),
    /// NDJSON.
    Lines(Lines),
    /// One JSON value, gathered.
    Whole(Vec<u8>),
    /// Not read. `begun`: there were bytes.
    Opaque { begun: bool },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Presumed {
    Sse,
    Lines,
    Json,
    Other,
}

impl Presumed {
    fn of(content_type: Option<&str>) -> Self {
        let Some(content_type) = content_type else {
            return Self::Other;
        };
        let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            "text/event-stream" => Self::Sse,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" | "application/stream+json" => {
                Self::Lines
            }
            json if json.contains("json") => Self::Json,
            _ => Self::Other,
        }
    }
}

impl Reading {
    /// A reader for an answer with this status, `content-type` and `content-encoding`. It presumes by the content type whether the answer is a
    /// stream of events, lines, or one body.
    pub fn new(dialect: Dialect, status: u16, content_type: Option<&str>, content_encoding: Option<&str>) -> Self {
        let encoding = content_encoding.map(str::trim).filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
        let decoding = encoding.and_then(Decoding::of).map(Box::new);
        let is_closed = encoding.is_some() && decoding.is_none();
        let coding = match &decoding {
            None if encoding.is_none() => Coding::Plain,
            Some(decoding) if decoding.is_late() => Coding::Late,
            _ => Coding::Encoded,
        };
        let presumed = Presumed::of(content_type);
        Self {
            framing: if is_closed { Framing::Opaque { begun: false } } else { Framing::Undecided { presumed, at_boundary: true } },
            facts: Facts::default(),
            dialect,
            failed: Some(status).filter(|status| *status >= 400),
            skipped: is_closed.then_some(Skipped::Encoding),
            opaque: is_closed,
            decoding,
            coding,
        }
    }

    /// Whether the answer is a stream of events or lines (and not one body, nor closed to us).
    pub fn is_stream(&self) -> bool {
        match &self.framing {
            Framing::Undecided { presumed, .. } => matches!(presumed, Presumed::Sse | Presumed::Lines),
            Framing::Sse(_) | Framing::Lines(_) => true,
            Framing::Whole(_) | Framing::Opaque { .. } => false,
        }
    }

    /// Reads the next bytes, wherever they were split. Costs one pass and no copy for events that lie whole within `bytes`.
    pub fn feed(&mut self, bytes: &[u8]) -> Progress {
        self.contained(|reading| if reading.decoding.is_some() { reading.decode(bytes) } else { reading.read(bytes) })
    }

    /// A fault of ours in reading ends the reading, and nothing else.
    fn contained(&mut self, read: impl FnOnce(&mut Self)) -> Progress {
        if catch_unwind(AssertUnwindSafe(|| read(self))).is_err() {
            self.give_up(Skipped::Fault);
        }
        self.progress()
    }

    fn decode(&mut self, bytes: &[u8]) {
        let Some(mut decoding) = self.decoding.take() else { return };
        let done = decoding.feed(bytes, |plain| {
            self.read(plain);
            !matches!(self.framing, Framing::Opaque { .. })
        });
        match done {
            Ok(()) if matches!(self.framing, Framing::Opaque { .. }) => {}
            Ok(()) => self.decoding = Some(decoding),
            Err(Undecodable::Broken) => self.give_up(Skipped::Decode),
            Err(Undecodable::Bomb) => self.give_up(Skipped::Ratio),
        }
    }

    fn give_up(&mut self, reason: Skipped) {
        self.opaque = true;
        self.skipped.get_or_insert(reason);
        self.framing = Framing::Opaque { begun: true };
    }

    /// Reads plain bytes.
    fn read(&mut self, bytes: &[u8]) {
        let bytes = self.decide(bytes);
        let mut reader =
            Reader { facts: &mut self.facts, dialect: self.dialect, failed: self.failed, skipped: &mut self.skipped, opaque: &mut self.opaque };
        match &mut self.framing {
            Framing::Undecided { .. } => {}
            Framing::Sse(sse) => sse.feed(bytes, |found| reader.found(found)),
            Framing::Lines(lines) => lines.feed(bytes, |line| reader.line(line)),
            Framing::Whole(gathered) if gathered.len() + bytes.len() > BODY_MAX => {
                reader.skip(Skipped::Size);
                self.framing = Framing::Opaque { begun: true };
            }
            Framing::Whole(gathered) => gathered.extend_from_slice(bytes),
            Framing::Opaque { begun } => *begun |= !bytes.is_empty(),
        }
    }

    /// Says that the body has ended cleanly: reads what was gathered (a whole JSON body, a last line or event without its end).
    pub fn end(&mut self) -> Progress {
        self.contained(Self::read_end)
    }

    fn read_end(&mut self) {
        // A stream says itself whether it is whole.
        if let Some(mut decoding) = self.decoding.take()
            && !decoding.is_finished()
            && !self.is_stream()
        {
            self.give_up(Skipped::Decode);
        }
        let mut reader =
            Reader { facts: &mut self.facts, dialect: self.dialect, failed: self.failed, skipped: &mut self.skipped, opaque: &mut self.opaque };
        match &mut self.framing {
            Framing::Undecided { .. } | Framing::Opaque { .. } => {}
            Framing::Sse(sse) => sse.end(|found| reader.last(found)),
            Framing::Lines(lines) => lines.end(|line| reader.last_line(line)),
            Framing::Whole(gathered) => {
                reader.whole(gathered);
                self.framing = Framing::Opaque { begun: true };
            }
        }
    }

    /// Where the answer stands.
    pub fn progress(&self) -> Progress {
        let progress = self.facts.progress();
        Progress { content: progress.content && self.coding != Coding::Late, ..progress }
    }

    /// Whether its progress is known as soon as an agent could know it. Only then may something wait for it.
    pub fn is_prompt(&self) -> bool {
        self.coding != Coding::Late
    }

    /// Whether the bytes so far end just after a whole event: the only place where an event of our own may be put.
    pub fn at_boundary(&self) -> bool {
        self.coding == Coding::Plain && self.framing_at_boundary()
    }

    fn framing_at_boundary(&self) -> bool {
        match &self.framing {
            Framing::Undecided { at_boundary, .. } => *at_boundary,
            Framing::Sse(sse) => sse.at_boundary(),
            Framing::Lines(lines) => lines.at_boundary(),
            Framing::Whole(_) => false,
            Framing::Opaque { begun } => !begun,
        }
    }

    /// Whether some part of the answer could not be read. Its progress then may stay without content or finish though it had both: it must not
    /// be called cut for that.
    pub fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// What was not read, and why (the first reason); for a metric.
    pub fn skipped(&self) -> Option<Skipped> {
        self.skipped
    }

    /// Keeps what the answer says from now on, for [`Reading::into_contents`]: text and reasoning of up to `max` bytes together. Tool calls are kept
    /// in any case, within bounds of their own.
    pub fn gather(&mut self, max: usize) {
        self.facts.said.gather(max);
    }

    /// The facts so far, but for what the answer says: its text and its tool calls are told at the end.
    pub fn reply(&self) -> &Reply {
        &self.facts.reply
    }

    /// The facts, at the end.
    pub fn into_reply(self) -> Reply {
        self.facts.settle().0
    }

    /// The same, with what the answer says where that was asked for.
    pub fn into_contents(self) -> (Reply, Option<Contents>) {
        self.facts.settle()
    }

    /// Decides by the first byte of substance how the bytes are divided, and gives back the bytes from there on.
    fn decide<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Framing::Undecided { presumed, at_boundary } = &mut self.framing else {
            return bytes;
        };
        let is_blank = |byte: &u8| matches!(byte, b'\n' | b'\r' | b' ' | b'\t' | 0xEF | 0xBB | 0xBF);
        let blanks = bytes.iter().take_while(|byte| is_blank(byte)).count();
        *at_boundary &= bytes[..blanks].iter().all(|byte| matches!(byte, b'\n' | b'\r'));
        let substance = &bytes[blanks..];
        let Some(first) = substance.first() else {
            return substance;
        };
        self.framing = match (*presumed, matches!(first, b'{' | b'[')) {
            (Presumed::Lines, _) => Framing::Lines(Lines::new()),
            (_, true) => Framing::Whole(Vec::new()),
            (Presumed::Sse, false) => Framing::Sse(Sse::new()),
            (presumed, false) => {
                self.opaque = true;
                self.skipped = (presumed == Presumed::Json).then_some(Skipped::Parse);
                Framing::Opaque { begun: true }
            }
        };
        substance
    }
}

/// What takes over the values that a framing found.
struct Reader<'r> {
    facts: &'r mut Facts,
    dialect: Dialect,
    failed: Option<u16>,
    skipped: &'r mut Option<Skipped>,
    opaque: &'r mut bool,
}

impl Reader<'_> {
    fn skip(&mut self, reason: Skipped) {
        *self.opaque = true;
        self.skipped.get_or_insert(reason);
    }

    fn found(&mut self, found: Found<'_>) {
        self.facts.events += 1;
        match found {
            Found::TooLong => self.skip(Skipped::EventSize),
            Found::Event(event) => {
                if !self.event(event) {
                    self.skip(Skipped::Parse);
                }
            }
        }
    }

    /// What stood at a clean end without its blank line counts only if it is whole in itself: its end may have been lost.
    fn last(&mut self, found: Found<'_>) {
        match found {
            Found::TooLong => self.skip(Skipped::EventSize),
            Found::Event(event) => self.facts.events += u64::from(self.event(event)),
        }
    }

    fn line(&mut self, line: Option<&[u8]>) {
        self.found(line.map_or(Found::TooLong, |data| Found::Event(Event { name: b"", data })));
    }

    fn last_line(&mut self, line: Option<&[u8]>) {
        self.last(line.map_or(Found::TooLong, |data| Found::Event(Event { name: b"", data })));
    }

    /// Reads one event; `false` if it is not what an event of the dialect must be.
    fn event(&mut self, event: Event<'_>) -> bool {
        let data = event.data.trim_ascii();
        if data.is_empty() {
            return true;
        }
        if data == openai::TERMINATOR {
            self.facts.terminated |=
                matches!(self.dialect, Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings | Dialect::OpenaiResponses);
            return true;
        }
        let value = Json::new(data);
        let is_read = self.value(event.name, value);
        if event.name == b"error" && !self.facts.error {
            self.facts.fail(Some(value));
        }
        is_read
    }

    /// Reads a whole body.
    fn whole(&mut self, body: &[u8]) {
        let value = Json::new(body);
        let is_read = if value.is_array() {
            // A stream of Gemini's without `alt=sse` is one array of what would have been its events; errors come in an array of one.
            value.items(|_, item| {
                self.value(b"", item);
            })
        } else {
            self.value(b"", value)
        };
        if !is_read {
            return self.skip(Skipped::Parse);
        }
        if let Some(status) = self.failed {
            if !self.facts.error {
                self.facts.fail(Some(value));
            }
            // The status that the answer did have outweighs what its words would stand for.
            self.facts.reply.error.get_or_insert_default().status = Some(status);
        }
        self.facts.terminated = true;
    }

    fn value(&mut self, name: &[u8], value: Json<'_>) -> bool {
        match self.dialect {
            Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings => openai::read(self.facts, value),
            Dialect::OpenaiResponses => responses::read(self.facts, name, value),
            Dialect::AnthropicMessages => anthropic::read(self.facts, name, value),
            Dialect::Gemini => gemini::read(self.facts, value),
            Dialect::Ollama => ollama::read(self.facts, value),
        }
    }
}

#[cfg(test)]
mod tests;
