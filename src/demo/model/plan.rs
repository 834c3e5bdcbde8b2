//! From an answer and its step to the acts that put it on the wire: what is written, where it pauses, how it ends. Pure.
//!
//! A model's wait for its first token is halved by the head: half before it, half after what comes before the first content.

use std::{ops::Range, time::Duration};

use super::{
    answer::{Answer, Body, Event, Request},
    encode, errors,
    speech::{Speech, gemini},
    tempo::Tempo,
};
use crate::demo::script::{Chunked, Cut, CutAt, How, StallAt, Step, Wait};
use bytes::{BufMut, Bytes, BytesMut};

/// One thing that is done to the socket.
#[derive(Debug)]
pub(super) enum Act {
    /// A head of HTTP/2; one of HTTP/1.1 is bytes like all else.
    Head(http::Response<()>),
    Send(Bytes),
    /// The bytes of the pattern in that range.
    Pattern {
        range: Range<u64>,
        chunked: bool,
    },
    Pause(Duration),
    /// Silence, but for these bytes every so often.
    Stall(Wait, Option<(Duration, Bytes)>),
    /// The last one.
    End(Finish),
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Keep,
    Close,
    /// The number is what a stream of HTTP/2 is reset with.
    Cut(How, u32),
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Chunks,
    Length(u64),
    Close,
    /// The frames of HTTP/2 tell it.
    Frames,
    /// There is no body.
    Nothing,
}

/// The acts of an answer.
pub(super) fn plan(request: &Request<'_>, answer: Answer) -> Vec<Act> {
    let step = request.step;
    let two = request.head.version == "HTTP/2.0";
    if let Some(garbage) = &step.garbage {
        return if two { vec![Act::End(Finish::Cut(How::Fin, 0))] } else { vec![Act::Send(latin(garbage)), Act::End(Finish::Close)] };
    }
    let cut_at = |at: CutAt| step.cut.as_ref().filter(|cut| cut.at == at).map(|cut| Act::End(Finish::Cut(cut.how, cut.code.0)));
    if let Some(end) = cut_at(CutAt::Request) {
        return vec![end];
    }
    let mut acts = Vec::new();
    if let Some(stall) = step.stall.as_ref().filter(|stall| stall.at == StallAt::Head) {
        acts.push(Act::Stall(stall.wait, None));
    }
    let tempo = Tempo::of(request, answer.talk);
    acts.push(Act::Pause(if matches!(answer.body, Body::Events(_)) { tempo.before_head() } else { tempo.in_all() }));
    let Answer { status, headers, body, talk, .. } = answer;
    let bodyless = request.head.method == "HEAD" || matches!(status, 204 | 304);
    let speech = talk.map(|talk| talk.speech);
    let (headers, body) = encode::body(request, headers, with_error(body, step, speech));
    let framing = framing(&body, (step, two), bodyless);
    if two {
        if let Some(end) = cut_at(CutAt::Head) {
            acts.push(end);
            return acts;
        }
        acts.push(Act::Head(head_of_frames((status, &headers), framing)));
    } else {
        let head = head((status, &headers), framing, request);
        if let Some(end) = cut_at(CutAt::Head) {
            acts.extend([Act::Send(head.slice(..head.len() / 2)), end]);
            return acts;
        }
        acts.push(Act::Send(head));
    }
    // Between compressed bytes nothing means nothing.
    let encoded = headers.iter().any(|(name, _)| name == "content-encoding");
    let sign = speech.map_or(Speech::Chunks.sign_of_life(), Speech::sign_of_life).filter(|_| !encoded);
    let mut writing = Writing { acts, step, framing, tempo, sign };
    match body {
        _ if bodyless => writing.end(None),
        Body::Pattern { length, .. } => writing.pattern(length),
        Body::Whole(bytes) => writing.whole(&bytes),
        Body::Events(events) => writing.events(events, |after| after),
    }
    writing.acts
}

/// The error event that the step puts into a stream, and then nothing.
fn with_error(body: Body, step: &Step, speech: Option<Speech>) -> Body {
    match (body, &step.error_event, speech) {
        (Body::Events(mut events), Some(error), Some(speech)) => {
            events.truncate(error.after);
            events.push(errors::event(speech, error, events.is_empty()));
            events.extend((speech == Speech::GeminiArray).then(gemini::end_of_array));
            Body::Events(events)
        }
        (body, ..) => body,
    }
}

fn framing(body: &Body, (step, two): (&Step, bool), bodyless: bool) -> Framing {
    let (length, streamed) = match body {
        Body::Whole(bytes) => (u64::try_from(bytes.len()).unwrap_or(u64::MAX), false),
        Body::Events(events) => (events.iter().map(|event| u64::try_from(event.bytes.len()).unwrap_or(u64::MAX)).sum(), true),
        Body::Pattern { length, chunked } => (*length, *chunked),
    };
    match step.chunked {
        _ if two && (streamed || step.chunked.is_some_and(|chunked| chunked != Chunked::No)) => Framing::Frames,
        _ if bodyless && streamed => Framing::Nothing,
        Some(Chunked::Close) => Framing::Close,
        Some(Chunked::Yes) if !bodyless => Framing::Chunks,
        None if streamed => Framing::Chunks,
        _ => Framing::Length(length),
    }
}

/// Status line and headers, all that is sent before the body.
fn head((status, headers): (u16, &[(String, String)]), framing: Framing, request: &Request<'_>) -> Bytes {
    let step = request.step;
    let mut head = BytesMut::new();
    head.put(latin(step.before.as_deref().unwrap_or_default()));
    let version = if framing == Framing::Close { "HTTP/1.0" } else { "HTTP/1.1" };
    let phrase = step.reason.as_deref().unwrap_or_else(|| phrase(status));
    let mut line = |text: &str| {
        head.put(latin(text));
        head.put_slice(b"\r\n");
    };
    line(&format!("{version} {status} {phrase}"));
    for (name, value) in headers {
        line(&format!("{name}: {value}"));
    }
    let said = |name: &str| headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name));
    let framed = said("content-length") || said("transfer-encoding");
    match framing {
        Framing::Chunks if !framed => line("transfer-encoding: chunked"),
        Framing::Length(length) if !framed && status != 204 && status != 304 => line(&format!("content-length: {length}")),
        _ => {}
    }
    if !said("date") {
        line(&format!("date: {}", httpdate::fmt_http_date(std::time::SystemTime::now())));
    }
    let closing = !request.head.keeps_alive() && framing != Framing::Close;
    if closing && !said("connection") {
        line("connection: close");
    }
    line("");
    head.freeze()
}

/// The same for HTTP/2, which knows nothing of connections and chunks.
fn head_of_frames((status, headers): (u16, &[(String, String)]), framing: Framing) -> http::Response<()> {
    let mut head = http::Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let date = ("date".to_owned(), httpdate::fmt_http_date(std::time::SystemTime::now()));
    let length = if let Framing::Length(length) = framing { Some(("content-length".to_owned(), length.to_string())) } else { None };
    let said = |name: &str| headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name));
    let length = length.filter(|_| !said("content-length") && status != 204 && status != 304);
    for (name, value) in headers.iter().chain(&length).chain(Some(&date).filter(|_| !said("date"))) {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(&latin(value))) else { continue };
        if !["connection", "keep-alive", "transfer-encoding", "upgrade"].contains(&name.as_str()) {
            head.headers_mut().append(name, value);
        }
    }
    head
}

/// A body as it is being planned.
struct Writing<'a> {
    acts: Vec<Act>,
    step: &'a Step,
    framing: Framing,
    tempo: Tempo,
    /// What a heartbeat is made of.
    sign: Option<Bytes>,
}

impl Writing<'_> {
    fn cut(&self) -> Option<&Cut> {
        self.step.cut.as_ref().filter(|cut| cut.at == CutAt::Mid)
    }

    fn pattern(&mut self, length: u64) {
        let cut = self.cut().map(|cut| (cut.clone(), cut.bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(length / 2)));
        let sent = cut.as_ref().map_or(length, |(_, bytes)| length.min(*bytes));
        let middle = if self.step.stall.as_ref().is_some_and(|stall| stall.at == StallAt::Mid) { length / 2 } else { 0 };
        for (index, range) in [0..middle.min(sent), middle.min(sent)..sent].into_iter().enumerate() {
            self.stall(index, 0, |_| 1);
            self.acts.push(Act::Pattern { range, chunked: self.framing == Framing::Chunks });
        }
        self.end(cut.as_ref().map(|(cut, _)| cut));
    }

    /// A whole reply, in two halves if something may happen in its middle.
    fn whole(&mut self, bytes: &Bytes) {
        let middle = if self.step.stall.is_some() || self.step.bad_chunk.is_some() || self.cut().is_some() { bytes.len() / 2 } else { 0 };
        let halves = [bytes.slice(..middle), bytes.slice(middle..)].map(|bytes| Event { bytes, content: false });
        self.events(halves.to_vec(), |_| 1);
    }

    /// Events, with the faults in their places; `place` says where "after so many" is.
    fn events(&mut self, events: Vec<Event>, place: impl Fn(usize) -> usize) {
        let first_content = events.iter().position(|event| event.content).unwrap_or(0);
        let mut written = 0;
        for (index, event) in events.into_iter().enumerate() {
            self.stall(index, first_content, &place);
            if let Some(bad) = self.step.bad_chunk.as_ref().filter(|bad| place(bad.after) == index) {
                let line = latin(&format!("{}\r\n", bad.line));
                return self.acts.extend([Act::Send(line), Act::Send(event.bytes), Act::End(Finish::Cut(How::Fin, 0))]);
            }
            let cut = self.cut().and_then(|cut| Some((cut.clone(), cut_here(cut, (index, place(cut.after)), written, &event.bytes)?)));
            if let Some((cut, part)) = cut {
                self.part(&part, event.bytes.len(), cut.how);
                return self.end(Some(&cut));
            }
            if event.content {
                self.acts.push(Act::Pause(if index == first_content { self.tempo.after_head() } else { self.tempo.gap() }));
            }
            written += event.bytes.len();
            let chunked = self.framing == Framing::Chunks;
            self.acts.push(Act::Send(if chunked { chunk(event.bytes.len(), &event.bytes, true) } else { event.bytes }));
        }
        // A cut after more events than there are strikes at the end: all is said but that this was all.
        let cut = self.cut().cloned();
        self.end(cut.as_ref());
    }

    /// What is still sent of the event that a cut strikes in. Its chunk's size is told in full, unless it is to end clean.
    fn part(&mut self, part: &Bytes, whole: usize, how: How) {
        let clean = how == How::Clean;
        let chunked = self.framing == Framing::Chunks;
        self.acts.push(Act::Send(if chunked { chunk(if clean { part.len() } else { whole }, part, clean) } else { part.clone() }));
    }

    fn stall(&mut self, index: usize, first_content: usize, place: impl Fn(usize) -> usize) {
        let Some(stall) = &self.step.stall else { return };
        let here = match stall.at {
            StallAt::FirstToken => index == first_content,
            StallAt::Mid => index == place(stall.after),
            StallAt::Connect | StallAt::Handshake | StallAt::Head => false,
        };
        if here {
            let sign = self.sign.clone().map(|sign| if self.framing == Framing::Chunks { chunk(sign.len(), &sign, true) } else { sign });
            self.acts.push(Act::Stall(stall.wait, stall.heartbeat.zip(sign)));
        }
    }

    fn end(&mut self, cut: Option<&Cut>) {
        let chunked = self.framing == Framing::Chunks;
        let told = matches!(self.framing, Framing::Chunks | Framing::Frames);
        if chunked && cut.is_none_or(|cut| cut.how == How::Clean) {
            self.acts.push(Act::Send(Bytes::from_static(b"0\r\n\r\n")));
        }
        self.acts.push(Act::End(match cut {
            // Short of its length a reply can end by the end of its connection alone.
            Some(Cut { how: How::Clean, .. }) if !told => Finish::Cut(How::Fin, 0),
            Some(cut) => Finish::Cut(cut.how, cut.code.0),
            None if self.framing == Framing::Close => Finish::Close,
            None => Finish::Keep,
        }));
    }
}

/// What is still sent of an event that the cut strikes in; `None` if it does not.
fn cut_here(cut: &Cut, (index, place): (usize, usize), written: usize, event: &Bytes) -> Option<Bytes> {
    match cut.bytes {
        Some(bytes) => (bytes < written + event.len()).then(|| event.slice(..bytes.saturating_sub(written))),
        None => (index == place).then(Bytes::new),
    }
}

fn chunk(size: usize, data: &[u8], ended: bool) -> Bytes {
    if data.is_empty() {
        return Bytes::new();
    }
    let mut chunk = BytesMut::from(format!("{size:x}\r\n").as_bytes());
    chunk.put_slice(data);
    if ended {
        chunk.put_slice(b"\r\n");
    }
    chunk.freeze()
}

/// A text as bytes: a character up to U+00FF is that byte, another its UTF-8.
fn latin(text: &str) -> Bytes {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match u8::try_from(character) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Bytes::from(bytes)
}

fn phrase(status: u16) -> &'static str {
    let known = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    known.unwrap_or(if status == 529 { "Overloaded" } else { "Status" })
}
