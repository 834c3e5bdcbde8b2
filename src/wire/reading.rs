//! Reads an answer as its bytes pass, however they are split. Observing never fails: what cannot be read is said in `Skipped`.

use super::{Dialect, Reply};

/// Where an answer stands after the bytes fed so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events (SSE, NDJSON) completed so far.
    pub events: u64,
    /// A text, reasoning or tool-call delta has been seen: the first token is there.
    pub content: bool,
    /// Every choice has told its finish reason, or the dialect's terminator (`[DONE]`, `message_stop`, `done: true`) was seen.
    pub finished: bool,
    /// An error event (or an error object in place of an answer) was seen.
    pub error: bool,
}

/// Why an answer was not read, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skipped {
    /// Not JSON where JSON was due.
    Parse,
    /// One event was longer than the bound (1 MiB).
    EventSize,
    /// A whole body was longer than the bound (8 MiB).
    Size,
    /// Compressed (not read yet).
    Encoding,
}

/// The incremental reader of one answer.
#[derive(Debug)]
pub struct Reading {
    reply: Reply,
}

impl Reading {
    /// A reader for an answer with this status, `content-type` and `content-encoding`. It decides by the content type whether the answer is a
    /// stream of events, lines, or one body.
    pub fn new(dialect: Dialect, status: u16, content_type: Option<&str>, content_encoding: Option<&str>) -> Self {
        let _ = (dialect, status, content_type, content_encoding);
        Self { reply: Reply::default() }
    }

    /// Whether the answer is a stream of events or lines (and not one body).
    pub fn is_stream(&self) -> bool {
        false
    }

    /// Reads the next bytes, wherever they were split. Costs one pass and no copy for events that lie whole within `bytes`.
    pub fn feed(&mut self, bytes: &[u8]) -> Progress {
        let _ = bytes;
        Progress::default()
    }

    /// Says that the body has ended cleanly: reads what was gathered (a whole JSON body, a last line without its end).
    pub fn end(&mut self) -> Progress {
        Progress::default()
    }

    /// Where the answer stands.
    pub fn progress(&self) -> Progress {
        Progress::default()
    }

    /// Whether the bytes so far end just after a whole event: the only place where an event of our own may be put.
    pub fn at_boundary(&self) -> bool {
        true
    }

    /// What was not read, and why; for a metric.
    pub fn skipped(&self) -> Option<Skipped> {
        None
    }

    /// The facts so far.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// The facts, at the end.
    pub fn into_reply(self) -> Reply {
        self.reply
    }
}
