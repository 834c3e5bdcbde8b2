//! One exchange under way: what is learnt about it, and the promise that it is reported exactly once, whatever ends it.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::request;
use tokio::time::Instant;

use super::{admit::Memory, peer::Peer};
use crate::{
    agent::{self, Ending, Place},
    context::Models,
    drain::{self, Drain, Reached, Stage},
    telemetry::{
        CalledTools, InFlight, KeptTools, Phase, Record, Telemetry, TraceContext,
        names::{Clock, Outcome, Reason},
    },
    upstream::Destination,
    wire::Tools,
};

/// Longest path that is kept.
const PATH_MAX: usize = 1024;

/// An exchange that has not been reported yet. Dropped before [`Exchange::finish`], it was cancelled: the agent hung up.
#[derive(Debug)]
pub struct Exchange {
    record: Option<Box<Record>>,
    telemetry: Telemetry,
    drain: Drain,
    peer: Arc<Peer>,
    in_flight: Option<InFlight>,
    /// Under which it is remembered.
    place: Option<(Memory, Option<Place>)>,
    /// The tools that it declares, if it does, as far as they are kept: what its answer calls is held to them.
    tools: Option<KeptTools>,
    /// Time spent waiting for others so far.
    waited: Duration,
}

impl Exchange {
    /// Begins when the head has arrived.
    pub fn begin(head: &request::Parts, peer: Arc<Peer>, telemetry: &Telemetry, drain: &Drain) -> Self {
        peer.begin();
        let path = head.uri.path();
        let path = if path.len() > PATH_MAX { path.get(..path.floor_char_boundary(PATH_MAX)).unwrap_or_default() } else { path };
        let record =
            Record::begin(TraceContext::from_headers(&head.headers), Instant::now(), SystemTime::now(), head.method.clone(), path.to_owned());
        Self {
            record: Some(Box::new(record)),
            telemetry: telemetry.clone(),
            drain: drain.clone(),
            peer,
            in_flight: None,
            place: None,
            tools: None,
            waited: Duration::ZERO,
        }
    }

    /// What is known so far.
    pub fn record(&mut self) -> &mut Record {
        self.record.as_mut().expect("the record is there until the exchange is finished")
    }

    /// The connection it came on.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The same, shared.
    pub fn shared_peer(&self) -> Arc<Peer> {
        Arc::clone(&self.peer)
    }

    /// When the head had arrived.
    pub fn started(&self) -> Instant {
        self.record.as_ref().map_or_else(Instant::now, |record| record.started)
    }

    /// Counts it as in flight at this upstream until it ends.
    pub fn admit(&mut self, destination: &Destination) {
        let upstream = &destination.upstream;
        self.in_flight = Some(self.telemetry.in_flight(&upstream.name));
        let record = self.record();
        record.credentials_replaced = upstream.api_key.is_some();
        record.upstream = Some(Arc::clone(&upstream.name));
        record.provider = Some(Arc::clone(&upstream.provider));
        record.server = Some(destination.server.clone());
    }

    /// Looks at what passes: a fault of ours in it is counted, and harms nobody.
    pub fn observe<T: Default>(&mut self, look: impl FnOnce(&mut Self) -> T) -> T {
        drain::contain_call(|| look(self)).unwrap_or_else(|_| {
            self.telemetry.panicked();
            T::default()
        })
    }

    /// It is remembered, and what becomes of it shall be too.
    pub fn remember(&mut self, memory: Memory, place: Option<Place>) {
        self.place = Some((memory, place));
    }

    /// Keeps what is asked for its span, where the config wants that.
    pub fn capture(&mut self, body: &Bytes) {
        let telemetry = self.telemetry.clone();
        telemetry.capture(self.record(), body);
    }

    /// It declares these tools.
    pub fn declare(&mut self, tools: Tools<'_>) {
        self.tools = Some(KeptTools::of(tools));
    }

    /// Waits for `other`; the time is not ours.
    pub async fn wait<T>(&mut self, other: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let output = other.await;
        self.waited += begun.elapsed();
        output
    }

    /// The reply's head goes out now: what was not waiting was our own doing.
    pub fn answered(&mut self, status: u16) {
        let waited = self.waited;
        let record = self.record();
        record.overhead = record.started.elapsed().saturating_sub(waited);
        record.status = Some(status);
        record.phase = Phase::Streaming;
    }

    /// Reports it.
    pub fn finish(mut self, outcome: Outcome, reason: Option<Reason>) {
        self.report(outcome, reason);
    }

    /// Ready when what is still in flight is to be cut.
    pub fn cutting(&self) -> Reached {
        Reached::new(self.drain.clone(), Stage::Cutting)
    }

    fn report(&mut self, outcome: Outcome, reason: Option<Reason>) {
        let Some(mut record) = self.record.take() else { return };
        record.duration = record.started.elapsed();
        record.outcome = outcome;
        record.reason = reason.or(record.reason);
        if let Some(last) = record.attempts.last_mut() {
            last.duration = last.started.elapsed();
        }
        if let Some((memory, place)) = self.place.take() {
            self.observe(|_| conclude(&memory, place, &mut record));
        }
        if let Some(tools) = self.tools.take()
            && let Some(called) = called(tools, &record)
        {
            self.telemetry.check(called);
        }
        self.in_flight = None;
        self.peer.end();
        self.telemetry.report(record);
    }
}

/// Calls of tools that are to be checked. An answer that is not whole has arguments that are not, either.
fn called(tools: KeptTools, record: &Record) -> Option<CalledTools> {
    let reply = &record.reply;
    let is_whole = record.outcome == Outcome::Ok && !reply.ran_out();
    let calls = || reply.tool_calls.iter().map(|call| (call.name.clone(), call.arguments.clone())).collect();
    (is_whole && !reply.tool_calls.is_empty()).then(|| CalledTools { agent: record.agent.clone(), tools, calls: calls() })
}

/// What an ended exchange teaches.
fn conclude(memory: &Memory, place: Option<Place>, record: &mut Record) {
    if let Some(place) = place {
        let now = Memory::now();
        match record.outcome {
            Outcome::Ok => memory.agents.answered(place, &record.reply, now),
            Outcome::Cancelled => memory.agents.ended(place, Ending::Cancelled(stage(record.phase)), now),
            _ => memory.agents.ended(place, Ending::Failed, now),
        }
    }
    let (models, provider) = (&memory.models, record.provider.as_deref());
    let (asked, answered) = (record.call.model.as_deref(), record.reply.model.as_deref());
    record.cost = models.cost(provider, asked, answered, &record.reply.usage);
    if let Some(tokens) = record.reply.usage.input.or(record.reply.counted) {
        let is_whole = record.asked().zip(record.counted).is_none_or(|(asked, counted)| models.taught(asked, counted, tokens, Instant::now()));
        // Of a prompt that was trimmed the characters are those that came.
        if is_whole && record.trim.is_none() {
            models.learn(&record.call, tokens);
            if let Some(place) = place {
                memory.agents.counted(place, tokens, &record.reply.usage);
            }
        }
    }
    if let (Some(asked), Some(answered)) = (record.asked(), record.reply.model.as_deref()) {
        models.answered(asked, answered);
    }
    learn_window(models, record);
}

/// What an error teaches of the window: that is then told as it is known now.
fn learn_window(models: &Models, record: &mut Record) {
    let now = Instant::now();
    let Some(asked) = record.asked() else { return };
    if let Some(overflow) = record.reply.error.as_ref().and_then(|error| error.overflow) {
        models.overflowed(asked, overflow, now);
        record.prompt_window = models.window(asked, now).map(|window| window.tokens);
    }
}

/// How far it had come, in the memory's words.
fn stage(phase: Phase) -> agent::Stage {
    match phase {
        Phase::Queue => agent::Stage::Queue,
        Phase::Waiting => agent::Stage::Waiting,
        Phase::Streaming => agent::Stage::Streaming,
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.record.is_none() {
            return;
        }
        if std::thread::panicking() {
            self.report(Outcome::Refused, Some(Reason::Panic));
        } else if self.drain.stage() == Stage::Cutting {
            self.report(Outcome::Cut, Some(Reason::Draining));
        } else if self.peer.is_stalled() {
            self.record().clock = Some(Clock::Reader);
            self.report(Outcome::Cancelled, Some(Reason::TimeoutReader));
        } else {
            self.report(Outcome::Cancelled, None);
        }
    }
}
