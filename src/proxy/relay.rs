//! Step 6: the reply's body on its way to the agent, frame by frame as it comes, observed but not changed: only what was asked for on the agent's behalf
//! is taken out again. A body that breaks ends broken: by an error event where one can be put, and by an aborted connection always.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::{
    exchange::Exchange,
    opening::{Answer, End},
    silence::Silence,
};
use crate::{
    body,
    config::Policy,
    drain::Reached,
    telemetry::names::{Clock, Outcome, Reason},
    upstream::AgentLimit,
    wire::{self, Dialect, ErrorShape, Progress, Reading, Strip},
};

/// What an agent is given: an answer of our own, or a reply as it comes.
#[derive(Debug)]
pub enum Relayed {
    /// Of our own.
    Own(Bytes),
    /// As it comes.
    Reply(Box<Relay>),
}

/// The reply broke: hyper then closes the agent's connection without a clean end.
#[derive(Debug, thiserror::Error)]
#[error("the reply broke off ({})", .0.as_str())]
pub struct Broken(Reason);

/// What asking for a frame comes to.
type Polled = Poll<Option<Result<Frame<Bytes>, Broken>>>;

/// Where a relay stands.
#[derive(Debug)]
enum Stage {
    /// The reply flows.
    Flowing,
    /// It broke; this is still to be given: an event that says so, or what came of one.
    Telling(Bytes),
    /// It broke; what was said is being flushed before the connection is aborted.
    Flushing,
    /// It broke; the connection is aborted now.
    Aborting,
    /// It is over.
    Over,
}

/// A reply on its way to the agent.
#[derive(Debug)]
pub struct Relay {
    answer: Answer,
    exchange: Option<Exchange>,
    silence: Silence,
    /// Pillion's own end; waited for only while there is nothing to read.
    cutting: Option<Reached>,
    stage: Stage,
    broken: Reason,
    dialect: Option<Dialect>,
    /// Whether a break is told by an event.
    error_events: bool,
    /// Whether our reply to the agent has no framing but its end, so that only a reset says it is broken.
    close_delimited: bool,
    /// When the first content came, and how many events had come by then.
    first_content: Option<(Instant, u64)>,
    last_event: Option<Instant>,
}

/// How a reply is to be relayed.
#[derive(Debug)]
pub struct Course<'a> {
    /// The policies.
    pub policy: &'a Policy,
    /// The dialect, if known.
    pub dialect: Option<Dialect>,
    /// What the agent will wait.
    pub agent: Option<AgentLimit>,
    /// The clocks that still run from before the head; they end a whole reply, and no stream.
    pub end: Option<(Instant, Clock)>,
    /// Whether the agent speaks HTTP/1.0.
    pub close_delimited: bool,
}

impl Relay {
    /// Takes over when the head goes out.
    pub fn new(answer: Answer, exchange: Exchange, course: &Course<'_>) -> Self {
        let now = Instant::now();
        let timeouts = &course.policy.timeouts;
        let is_stream = answer.reading.as_ref().is_none_or(Reading::is_stream);
        let (gap, end) = if is_stream { (timeouts.idle, timeouts.stream_total.map(|total| (now + total, Clock::Total))) } else { (None, course.end) };
        let agent_gap = course.agent.filter(|agent| agent.per_read).map(|agent| (agent.less_margin(), Clock::Agent));
        let gap = gap.map(|gap| (gap, Clock::Idle)).into_iter().chain(agent_gap).min_by_key(|(gap, _)| *gap);
        let mut relay = Self {
            silence: Silence::new(gap, end, now),
            stage: Stage::Flowing,
            broken: Reason::StreamCut,
            dialect: course.dialect,
            error_events: course.policy.carry.error_events,
            close_delimited: course.close_delimited,
            first_content: None,
            last_event: None,
            cutting: None,
            exchange: Some(exchange),
            answer,
        };
        if let Some(progress) = relay.answer.reading.as_ref().map(Reading::progress) {
            relay.note(progress, now);
        }
        relay
    }

    fn poll_flowing(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            if let Some(data) = self.answer.held.pop_front() {
                if self.answer.held.is_empty() && self.ends_early() {
                    return self.break_off(cx, Reason::StreamCut, None);
                }
                match self.give(data) {
                    Some(frame) => return Poll::Ready(Some(Ok(frame))),
                    None => continue,
                }
            }
            if self.answer.trailers.is_some() || self.answer.ended == Some(End::Clean) {
                return self.poll_end(cx);
            }
            if self.answer.ended == Some(End::Broken) {
                return self.break_off(cx, Reason::StreamCut, None);
            }
            match Pin::new(&mut self.answer.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(passed) = self.pass(cx, frame) {
                        return passed;
                    }
                }
                Poll::Ready(Some(Err(_))) => return self.break_off(cx, Reason::StreamCut, None),
                Poll::Ready(None) if self.answer.is_cut_short() => return self.break_off(cx, Reason::StreamCut, None),
                Poll::Ready(None) => self.answer.ended = Some(End::Clean),
                Poll::Pending => return self.poll_silence(cx),
            }
        }
    }

    /// Nothing can be read now: how long may that be so?
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Polled {
        match self.silence.poll(cx) {
            Poll::Ready(clock) => self.break_off(cx, Reason::of_clock(clock), Some(clock)),
            Poll::Pending => {
                let Some(exchange) = &self.exchange else { return Poll::Pending };
                std::task::ready!(self.cutting.get_or_insert_with(|| exchange.cutting()).poll(cx));
                self.break_off(cx, Reason::Draining, None)
            }
        }
    }

    /// Nothing more is to be read: what is still held of a last event, the fields behind the body, the end.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Polled {
        let last = self.answer.strip.as_mut().map(Strip::end).unwrap_or_default();
        if !last.is_empty() {
            self.count(&last);
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        match self.answer.trailers.take() {
            Some(trailers) => self.pass_trailers(cx, &trailers),
            None => self.end(cx),
        }
    }

    /// Takes a frame that came; `None` if nothing of it is to be given now.
    fn pass(&mut self, cx: &mut Context<'_>, frame: Frame<Bytes>) -> Option<Polled> {
        let now = Instant::now();
        let gap = self.silence.broken(now);
        if let Some(exchange) = &mut self.exchange {
            let record = exchange.record();
            record.longest_gap = record.longest_gap.max(gap);
        }
        match frame.into_data() {
            Ok(data) => {
                if let Some(progress) = self.answer.reading.as_mut().map(|reading| reading.feed(&data)) {
                    self.note(progress, now);
                }
                if self.ends_early() {
                    return Some(self.break_off(cx, Reason::StreamCut, None));
                }
                self.give(data).map(|frame| Poll::Ready(Some(Ok(frame))))
            }
            Err(frame) => {
                self.answer.trailers = frame.into_trailers().ok().map(Box::new);
                None
            }
        }
    }

    /// What of these bytes is the agent's, if any is.
    fn give(&mut self, data: Bytes) -> Option<Frame<Bytes>> {
        let data = match &mut self.answer.strip {
            Some(strip) => Some(strip.feed(&data)).filter(|data| !data.is_empty())?,
            None => data,
        };
        self.count(&data);
        Some(Frame::data(data))
    }

    /// The fields behind the body. They end it cleanly, so they are held to what its end is held to.
    fn pass_trailers(&mut self, cx: &mut Context<'_>, trailers: &HeaderMap) -> Polled {
        if !self.is_complete() {
            return self.break_off(cx, Reason::StreamCut, None);
        }
        self.answer.ended = Some(End::Clean);
        Poll::Ready(Some(Ok(Frame::trailers(body::trailers(trailers)))))
    }

    /// The body has ended as its framing says; a stream of a known dialect must also have said so itself.
    fn end(&mut self, cx: &mut Context<'_>) -> Polled {
        if !self.is_complete() {
            return self.break_off(cx, Reason::StreamCut, None);
        }
        self.conclude();
        Poll::Ready(None)
    }

    /// Whether these are the last bytes of a stated length, and the stream is not complete: given, they would make it look so. Over HTTP/2 the
    /// length is reached before the end is seen, which may be a frame of its own.
    fn ends_early(&mut self) -> bool {
        self.has_all() && !self.is_complete()
    }

    /// Whether all of the body has been read.
    fn has_all(&self) -> bool {
        let body = &self.answer.body;
        body.is_end_stream() || body.size_hint().exact() == Some(0)
    }

    /// Whether nothing that was read waits to be given.
    fn has_given_all(&self) -> bool {
        self.answer.held.is_empty() && self.answer.strip.as_ref().is_none_or(Strip::is_empty)
    }

    /// Whether the agent was told a length. An event of ours would be counted against it, and might make up for what is missing.
    fn has_stated_length(&self) -> bool {
        self.answer.stated_length
    }

    fn is_complete(&mut self) -> bool {
        let Some(reading) = &mut self.answer.reading else { return true };
        if !reading.is_stream() || reading.is_opaque() || !self.answer.head.status.is_success() {
            return true;
        }
        let progress = reading.end();
        progress.finished || progress.error
    }

    fn break_off(&mut self, cx: &mut Context<'_>, reason: Reason, clock: Option<Clock>) -> Polled {
        self.broken = reason;
        // What is held of an event has no place for one of ours behind it.
        let held = self.answer.strip.as_mut().map(Strip::broken).filter(|held| !held.is_empty());
        let last = match held {
            Some(held) => {
                self.count(&held);
                Some(held)
            }
            None => self.event(reason),
        };
        if let Some(mut exchange) = self.exchange.take() {
            exchange.record().clock = clock;
            if self.close_delimited {
                exchange.peer().reset_on_close();
            }
            self.fill(&mut exchange);
            exchange.finish(Outcome::Cut, Some(reason));
        }
        self.stage = last.map_or(Stage::Flushing, Stage::Telling);
        self.poll_broken(cx)
    }

    /// The event that says so, where there is a place for it: between two events of a stream.
    fn event(&mut self, reason: Reason) -> Option<Bytes> {
        let reading = self.answer.reading.as_ref()?;
        let dialect = self.dialect?;
        if !self.error_events
            || self.has_stated_length()
            || !reading.is_stream()
            || reading.is_opaque()
            || !reading.at_boundary()
            || reading.progress().finished
        {
            return None;
        }
        let name = self.exchange.as_mut().map(|exchange| exchange.record().trace.exchange_id());
        let gap = self.silence.limit().unwrap_or_default();
        let message = match reason {
            Reason::StreamCut => "The upstream ended this stream before it was complete; what came before is not the whole answer".to_owned(),
            Reason::TimeoutIdle => format!(
                "The upstream sent nothing for {gap:?} (timeouts.idle) in the middle of this stream; what came before is not the whole answer"
            ),
            Reason::TimeoutAgent => format!(
                "The upstream sent nothing for {gap:?} (the agent's own timeout, less a margin) in the middle of this stream; raise the timeout of the agent's client"
            ),
            Reason::Draining => {
                "Pillion was shut down in the middle of this stream and its grace period (server.grace) is over; what came before is not the whole answer".to_owned()
            }
            _ => "This stream took longer than timeouts.stream_total allows; what came before is not the whole answer".to_owned(),
        };
        wire::error_event(
            dialect,
            &ErrorShape { status: 504, code: reason.as_str(), message: &message, exchange: name.as_ref().map_or("", |name| name.as_str()) },
        )
    }

    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Polled {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Telling(event) => {
                self.stage = Stage::Flushing;
                Poll::Ready(Some(Ok(Frame::data(event))))
            }
            // hyper returns on an error before it has flushed: one turn for that first.
            Stage::Flushing => {
                self.stage = Stage::Aborting;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Stage::Aborting => Poll::Ready(Some(Err(Broken(self.broken)))),
            Stage::Flowing | Stage::Over => Poll::Ready(None),
        }
    }

    fn note(&mut self, progress: Progress, now: Instant) {
        if !progress.content {
            return;
        }
        let Some(exchange) = &mut self.exchange else { return };
        if !self.answer.reading.as_ref().is_some_and(Reading::is_stream) {
            return;
        }
        let (_, before) = *self.first_content.get_or_insert((now, progress.events));
        self.last_event = Some(now);
        let record = exchange.record();
        record.first_token.get_or_insert_with(|| record.started.elapsed());
        record.content_events = progress.events.saturating_sub(before);
    }

    fn count(&mut self, data: &Bytes) {
        if let Some(exchange) = &mut self.exchange {
            exchange.record().reply_bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
        }
    }

    /// Moves what was read into the record.
    fn fill(&mut self, exchange: &mut Exchange) {
        let record = exchange.record();
        if let (Some((first, _)), Some(last)) = (self.first_content, self.last_event) {
            record.content_time = last - first;
        }
        if let Some(reading) = self.answer.reading.take() {
            record.streamed = reading.is_stream();
            record.skipped = reading.skipped().map(wire::Skipped::name).or(record.skipped);
            let said;
            (record.reply, said) = reading.into_contents();
            if let Some(contents) = &mut record.contents {
                contents.said = said;
            }
        }
    }

    /// The reply is over, and was whole.
    fn conclude(&mut self) {
        self.stage = Stage::Over;
        if let Some(upload) = &self.answer.upload {
            upload.stop();
        }
        self.answer.line.end();
        let Some(mut exchange) = self.exchange.take() else { return };
        if let Some(reading) = &mut self.answer.reading {
            reading.end();
        }
        let told_error = self.answer.reading.as_ref().is_some_and(|reading| reading.progress().error);
        self.fill(&mut exchange);
        let (outcome, reason) = match self.answer.head.status.as_u16() {
            429 => (Outcome::RateLimited, None),
            400..=499 => (Outcome::ClientError, None),
            500.. => (Outcome::UpstreamError, None),
            _ if told_error => (Outcome::UpstreamError, Some(Reason::StreamError)),
            _ => (Outcome::Ok, None),
        };
        exchange.finish(outcome, reason);
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let relay = self.get_mut();
        match relay.stage {
            Stage::Flowing => relay.poll_flowing(cx),
            _ => relay.poll_broken(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.stage {
            Stage::Flowing => self.has_given_all() && self.answer.body.is_end_stream(),
            Stage::Over => true,
            _ => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        // The head's own content-length says it; a hint of ours could only contradict it.
        SizeHint::default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.exchange.is_none() {
            return;
        }
        // hyper asks for no more than the stated length.
        let ended = self.answer.ended == Some(End::Clean) || self.has_all();
        let whole = self.has_given_all() && ended;
        // A hang-up after the last event is no cancellation: SDKs close as soon as they have read it.
        let finished = self.answer.held.is_empty() && self.answer.reading.as_ref().is_some_and(|reading| reading.progress().finished);
        if whole {
            self.conclude();
        } else if finished {
            let connection_goes = std::mem::replace(&mut self.stage, Stage::Over);
            drop(connection_goes);
            if let Some(mut exchange) = self.exchange.take() {
                self.fill(&mut exchange);
                exchange.finish(Outcome::Ok, None);
            }
        } else if let Some(mut exchange) = self.exchange.take() {
            self.fill(&mut exchange);
            // Dropped unfinished, it reports the hang-up itself.
            drop(exchange);
        }
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.get_mut() {
            Self::Own(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Own(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Reply(relay) => Pin::new(relay.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_empty(),
            Self::Reply(relay) => relay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Self::Reply(relay) => relay.size_hint(),
        }
    }
}
