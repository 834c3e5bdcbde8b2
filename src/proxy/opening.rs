//! Between an attempt's head and the agent: what must be known before the head goes on. A stream is held until its first content,
//! a failed reply's body is looked at, so that what fails before the first token can still be tried again or end in a clean status.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Version, header, response};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use memchr::memmem;
use tokio::time::{Instant, timeout_at};

use crate::{
    body::UploadProgress,
    telemetry::names::{Clock, Reason},
    upstream::{Attempted, Deadlines, Use},
    wire::{Dialect, Progress, Reading, ReplyError, Strip},
};

/// A stream is held for at most this many bytes.
const HOLD_MAX: usize = 64 << 10;
/// A failed reply's body is waited for this long before the verdict is given without it.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(1);

/// A reply that is about to go on: its head, what of its body was read already, and the rest.
#[derive(Debug)]
pub struct Answer {
    /// The head as it came.
    pub head: response::Parts,
    /// What was read of the body and not given on.
    pub held: VecDeque<Bytes>,
    /// The fields that came behind the body, where they were read with it.
    pub trailers: Option<Box<HeaderMap>>,
    /// The rest.
    pub body: Incoming,
    /// Whether the body has ended already, and how.
    pub ended: Option<End>,
    /// The observer, where the dialect is known.
    pub reading: Option<Reading>,
    /// What takes out again what was asked for on the agent's behalf, where something was.
    pub strip: Option<Strip>,
    /// Whether its length is said.
    pub stated_length: bool,
    /// The request's body, where it was passed on as it came: it may be on its way still.
    pub upload: Option<Arc<UploadProgress>>,
    /// Its place on the connection.
    pub line: Use,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As its framing says.
    Clean,
    /// Before that.
    Broken,
}

/// What was learnt by holding.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// Goes on.
    Flowing,
    /// A failed reply: by its status, or by an error event before the first token.
    Failed {
        /// The status it has, or would have had.
        status: u16,
        /// What its body told.
        error: Option<ReplyError>,
        /// Whether it was an event of a stream.
        event: bool,
    },
    /// It ended before its first content.
    Broken(Reason),
    /// A clock fired.
    TimedOut(Clock),
}

impl Answer {
    /// Of an attempt whose head has come.
    pub fn new(attempted: Attempted, dialect: Option<Dialect>) -> Self {
        let (head, body) = attempted.response.into_parts();
        let text = |name| head.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let reading = dialect.map(|dialect| Reading::new(dialect, head.status.as_u16(), text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING)));
        let stated_length = head.headers.contains_key(header::CONTENT_LENGTH) && !head.headers.contains_key(header::TRANSFER_ENCODING);
        Self {
            head,
            held: VecDeque::new(),
            trailers: None,
            body,
            ended: None,
            reading,
            strip: None,
            stated_length,
            upload: None,
            line: attempted.line,
        }
    }

    /// Takes out what a stream of events holds only because token counts were asked for on the agent's behalf. One that is compressed all the same
    /// is left as it is.
    pub fn strip_usage(&mut self) {
        let header = |name| self.head.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let is_plain = header(header::CONTENT_ENCODING).is_none_or(|coding| coding.trim().eq_ignore_ascii_case("identity"));
        let is_events = header(header::CONTENT_TYPE).is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream"));
        if self.head.status.is_success() && is_plain && is_events {
            self.strip = Some(Strip::default());
            self.stated_length = false;
        }
    }

    /// Whether a failed reply, as far as it was looked at, names what was asked for on the agent's behalf.
    pub fn refuses_usage(&self) -> bool {
        let names = |body: &[u8]| ["stream_options", "include_usage"].iter().any(|name| memmem::find(body, name.as_bytes()).is_some());
        matches!(self.head.status.as_u16(), 400 | 422) && names(&self.held.iter().flatten().copied().collect::<Vec<u8>>())
    }

    /// Whether this is a stream that can be read, and so held.
    pub fn is_readable_stream(&self) -> bool {
        self.head.status.is_success()
            && self.reading.as_ref().is_some_and(|reading| reading.is_stream() && !reading.is_opaque() && reading.is_prompt())
    }

    /// Reads a failed reply's body, within bounds, for what it tells.
    pub async fn look_at_failure(&mut self) -> Opening {
        let until = Instant::now() + ERROR_BODY_WAIT;
        while self.ended.is_none() && self.held_bytes() <= HOLD_MAX {
            // A body that stalls is judged by its status alone.
            let Ok(progress) = timeout_at(until, self.read()).await else { break };
            let _ = progress;
        }
        let status = self.head.status.as_u16();
        Opening::Failed { status, error: self.reading.as_ref().and_then(|reading| reading.reply().error.clone()), event: false }
    }

    /// Holds a stream until its first content, its end, an error, a clock, or 64 KiB.
    pub async fn hold(&mut self, deadlines: &Deadlines) -> Opening {
        loop {
            let progress = match deadlines.next() {
                Some((at, clock)) => match timeout_at(at, self.read()).await {
                    Ok(progress) => progress,
                    Err(_) => return Opening::TimedOut(clock),
                },
                None => self.read().await,
            };
            if progress.content || progress.finished && !progress.error {
                return Opening::Flowing;
            }
            if progress.error {
                let error = self.reading.as_ref().and_then(|reading| reading.reply().error.clone());
                return Opening::Failed { status: error.as_ref().and_then(|error| error.status).unwrap_or(500), error, event: true };
            }
            match self.ended {
                // What cannot be read says nothing more.
                _ if self.reading.as_ref().is_some_and(Reading::is_opaque) => return Opening::Flowing,
                Some(End::Broken) => return Opening::Broken(Reason::ConnectionReset),
                Some(End::Clean) => return Opening::Broken(Reason::StreamCut),
                None if self.held_bytes() > HOLD_MAX => return Opening::Flowing,
                None => {}
            }
        }
    }

    /// Reads one more frame into what is held.
    async fn read(&mut self) -> Progress {
        match self.body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    let progress = self.reading.as_mut().map(|reading| reading.feed(&data)).unwrap_or_default();
                    // An empty one may be the end over HTTP/2: what is held last is to be the last bytes.
                    if !data.is_empty() {
                        self.held.push_back(data);
                    }
                    return progress;
                }
                Err(frame) => self.trailers = frame.into_trailers().ok().map(Box::new),
            },
            Some(Err(_)) => self.ended = Some(End::Broken),
            None if self.is_cut_short() => self.ended = Some(End::Broken),
            None => {
                self.ended = Some(End::Clean);
                self.line.end();
                return self.reading.as_mut().map(Reading::end).unwrap_or_default();
            }
        }
        self.reading.as_ref().map(Reading::progress).unwrap_or_default()
    }

    /// Whether a body that gives no more has not ended: hyper takes an HTTP/2 stream reset with `NO_ERROR` for one that has, also in its middle.
    pub fn is_cut_short(&self) -> bool {
        self.head.version == Version::HTTP_2 && !self.body.is_end_stream()
    }

    fn held_bytes(&self) -> usize {
        self.held.iter().map(Bytes::len).sum()
    }
}
