//! Step 5: attempt, and perhaps attempt again, within the deadlines and the upstream's budget.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, Version};
use tokio::time::{Instant, sleep};

use super::{
    exchange::Exchange,
    opening::{Answer, Opening},
    receive::Received,
    refusal::Refusal,
    rewrite::{self, Refit, Template},
};
use crate::{
    body::{Outgoing, UploadProgress},
    config::Policy,
    context::Trimmed,
    telemetry::{
        ANSWER_MAX, Attempt, RetryCause, TraceContext,
        names::{AttemptResult, Clock, Reason},
    },
    upstream::{Advice, Again, AgentLimit, AttemptClocks, Attempted, Backoff, Deadlines, Destination, Failure, advice, retryable_status},
    wire::{Dialect, Overflow, ReplyError, Splice},
};

/// What is sent, where to, and under which policy.
#[derive(Debug)]
pub(super) struct Sending<'a> {
    /// The upstream.
    pub destination: &'a Destination,
    /// The head of every attempt.
    pub template: Template<'a>,
    /// The trace whose `traceparent` goes up in place of the agent's, if ours shall.
    pub propagate: Option<TraceContext>,
    /// The policies.
    pub policy: &'a Policy,
    /// The dialect, if known.
    pub dialect: Option<Dialect>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// What the agent will wait, and since when.
    pub agent: Option<(AgentLimit, Instant)>,
    /// Whether Pillion is being stopped: then nothing is tried again.
    pub draining: bool,
    /// What may be done once where the upstream says that the prompt does not fit.
    pub refit: Option<Refit<'a>>,
}

/// What goes on to the agent.
#[derive(Debug)]
pub(super) struct Sent {
    /// The reply.
    pub answer: Answer,
    /// Whether it is a failure after which nobody shall try again.
    pub spent: bool,
    /// The clocks that still run.
    pub deadlines: Deadlines,
}

/// Whether to try again, and why.
#[derive(Debug)]
struct Repeat {
    reason: &'static str,
    wait: Duration,
    fresh: bool,
    change: Change,
}

/// What is other than before. A request that changes costs nothing of what the config grants: neither one of the attempts nor of the budget.
#[derive(Debug)]
enum Change {
    /// Nothing.
    None,
    /// Token counts are not asked for any more.
    Unasked,
    /// The prompt is shorter.
    Trimmed(Box<Trimmed>),
}

/// How one attempt ended, where it is not simply passed on.
#[derive(Debug)]
enum Setback {
    /// No reply.
    Failure(Failure),
    /// A reply that failed.
    Reply { answer: Box<Answer>, status: u16, error: Option<ReplyError>, event: bool },
    /// A reply that refuses what was asked for on the agent's behalf.
    Unasked(Box<Answer>),
}

/// Attempts until there is something for the agent.
pub(super) async fn send(exchange: &mut Exchange, mut sending: Sending<'_>, received: Received) -> Result<Sent, Refusal> {
    let retries = &sending.policy.retries;
    sending.destination.budget.deposit(retries, Instant::now());
    let replayable = received.is_replayable();
    let mut body = Some(received);
    let mut cause = None;
    let (mut fresh, mut stale_spent, mut unasked, mut free) = (false, false, false, 0);
    loop {
        let (outgoing, upload) = next_body(&mut body);
        let mut deadlines = sending.deadlines(exchange, upload.is_none());
        let setback = match sending.attempt(exchange, (outgoing, upload), (fresh, cause.take()), &mut deadlines).await? {
            Ok(sent) => {
                if unasked {
                    sending.remember_refusal(&sent.answer);
                }
                return Ok(Sent { deadlines, ..sent });
            }
            Err(setback) => setback,
        };
        let made = exchange.record().attempts.len() - free;
        deadlines.end_attempt();
        let repeat = match setback.overflow() {
            Some(overflow) => sending.fit(exchange, overflow, &deadlines).await,
            None if replayable => sending.repeat(&setback, made, &mut stale_spent),
            None => None,
        };
        let now = Instant::now();
        let repeat = repeat.filter(|repeat| deadlines.allows(now + repeat.wait));
        // A stale connection says nothing about the upstream's health: its one repetition is free.
        let paid = repeat.as_ref().is_some_and(|repeat| repeat.fresh || repeat.is_free() || sending.destination.budget.withdraw(retries, now));
        if repeat.is_some() && !paid {
            exchange.record().budget_exhausted = true;
        }
        match repeat.filter(|_| paid) {
            Some(repeat) => {
                drop(setback);
                exchange.wait(sleep(repeat.wait)).await;
                fresh = repeat.fresh;
                free += usize::from(repeat.is_free());
                unasked |= matches!(repeat.change, Change::Unasked);
                sending.change(exchange, repeat.change, &mut body);
                cause = Some(RetryCause { reason: repeat.reason, wait: repeat.wait });
            }
            None => return sending.last(exchange, setback, replayable, deadlines),
        }
    }
}

/// The body of the next attempt: the held bytes again, or the stream, which can be taken once.
fn next_body(body: &mut Option<Received>) -> (Outgoing, Option<Arc<UploadProgress>>) {
    match body.take() {
        Some(Received::Whole(bytes, reservation)) => {
            let again = bytes.clone();
            *body = Some(Received::Whole(bytes, reservation));
            (Outgoing::Whole(again), None)
        }
        Some(Received::Streamed(upload, progress)) => (Outgoing::Streamed(upload), Some(progress)),
        None => (Outgoing::Whole(bytes::Bytes::new()), None),
    }
}

impl Repeat {
    fn is_free(&self) -> bool {
        !matches!(self.change, Change::None)
    }
}

impl Setback {
    /// What is said of a prompt that did not fit, where the reply failed by that. (Limits of a rate use like words.)
    fn overflow(&self) -> Option<Overflow> {
        match self {
            Self::Reply { status: 400 | 413 | 422 | 500, error, .. } | Self::Reply { event: true, error, .. } => error.as_ref()?.overflow,
            _ => None,
        }
    }
}

impl Sending<'_> {
    /// The clocks of an attempt that begins now. Those that wait for a reply begin when an upload has ended.
    fn deadlines(&self, exchange: &mut Exchange, uploaded: bool) -> Deadlines {
        let timeouts = &self.policy.timeouts;
        let now = Instant::now();
        let mut deadlines = if uploaded { Deadlines::of_exchange(timeouts, exchange.record().started, self.agent) } else { Deadlines::default() };
        deadlines.set(Clock::Connect, now, timeouts.connect);
        if uploaded && self.stream {
            deadlines.set(Clock::FirstByte, now, timeouts.first_byte);
            deadlines.set(Clock::FirstToken, now, timeouts.first_token);
        }
        deadlines
    }

    /// One attempt: its reply as far as it must be known, or what set it back. `Err` is final at once.
    async fn attempt(
        &mut self,
        exchange: &mut Exchange,
        (body, upload): (Outgoing, Option<Arc<UploadProgress>>),
        (fresh, cause): (bool, Option<RetryCause>),
        deadlines: &mut Deadlines,
    ) -> Result<Result<Sent, Setback>, Refusal> {
        let nth = exchange.record().attempts.len();
        exchange.record().attempts.push(begun(cause));
        exchange.record().usage_asked |= self.template.asks_for_usage();
        if let Some(trace) = self.propagate {
            self.template.set_traceparent(trace.child_traceparent(trace.attempt_span_id(nth)));
        }
        let agent = self.agent.map(|(limit, _)| limit.less_margin());
        let after_upload = [(Clock::Total, self.policy.timeouts.total), (Clock::Agent, agent)];
        let upload_clock = upload.clone().map(|progress| (progress, self.policy.timeouts.upload));
        let mut clocks = AttemptClocks { deadlines, upload: upload_clock, after_upload: &after_upload };
        let attempted = exchange.wait(self.destination.attempt(self.template.request(body), fresh, &mut clocks)).await;
        if let Some(progress) = &upload {
            exchange.record().request_bytes = progress.bytes();
            if progress.is_reset() {
                exchange.peer().leave();
            }
        }
        match attempted {
            Ok(attempted) => Ok(self.open(exchange, (attempted, upload), deadlines).await),
            Err(failure) => {
                note_failure(exchange, &failure);
                Ok(Err(Setback::Failure(failure)))
            }
        }
    }

    /// The head is there: looks at what has to be known before it goes on.
    async fn open(
        &self,
        exchange: &mut Exchange,
        (attempted, upload): (Attempted, Option<Arc<UploadProgress>>),
        deadlines: &mut Deadlines,
    ) -> Result<Sent, Setback> {
        deadlines.stop(Clock::Connect);
        deadlines.stop(Clock::FirstByte);
        note_head(exchange, &attempted);
        let mut answer = Answer { upload, ..Answer::new(attempted, self.dialect) };
        if let (Some(_), Some(reading)) = (&exchange.record().contents, &mut answer.reading) {
            reading.gather(ANSWER_MAX);
        }
        let asked = self.template.asks_for_usage();
        if asked {
            answer.strip_usage();
        }
        let status = answer.head.status.as_u16();
        let holds = self.policy.carry.hold_head && answer.is_readable_stream();
        let opening = if asks_for_a_look(status, &answer.head.headers) || (asked || self.refit.is_some()) && matches!(status, 400 | 413 | 422) {
            exchange.wait(answer.look_at_failure()).await
        } else if holds {
            exchange.wait(answer.hold(deadlines)).await
        } else {
            Opening::Flowing
        };
        let attempt = exchange.record().attempts.last_mut().expect("an attempt was begun");
        match opening {
            Opening::Flowing => {
                self.begin_to_flow(deadlines);
                Ok(Sent { answer, spent: false, deadlines: Deadlines::default() })
            }
            Opening::Failed { status, error, event } => {
                attempt.result = if event { AttemptResult::StreamError } else { AttemptResult::of_status(status) };
                if asked && answer.refuses_usage() {
                    return Err(Setback::Unasked(Box::new(answer)));
                }
                Err(Setback::Reply { answer: Box::new(answer), status, error, event })
            }
            Opening::Broken(reason) => {
                (attempt.result, attempt.reason) = (AttemptResult::Reset, Some(reason));
                let detail = "the stream ended before its first token".to_owned();
                Err(Setback::Failure(Failure { reason, clock: None, again: Again::Unsafe, detail, line: None, reused: false }))
            }
            Opening::TimedOut(clock) => {
                (attempt.result, attempt.reason) = (AttemptResult::Timeout, Some(Reason::of_clock(clock)));
                let detail = format!("the reply of {} began, but no first token came", self.destination.upstream.name);
                let reason = Reason::of_clock(clock);
                Err(Setback::Failure(Failure { reason, clock: Some(clock), again: Again::Unsafe, detail, line: None, reused: false }))
            }
        }
    }

    /// The clocks that wait for a reply have done their part; a limit of each read begins anew with each.
    fn begin_to_flow(&self, deadlines: &mut Deadlines) {
        deadlines.stop(Clock::FirstToken);
        if self.agent.is_some_and(|(limit, _)| limit.per_read) {
            deadlines.stop(Clock::Agent);
        }
    }

    /// It has answered when it was not asked for token counts, and had refused to when it was.
    fn remember_refusal(&self, answer: &Answer) {
        if let Some(dialect) = self.dialect.filter(|_| answer.head.status.is_success()) {
            self.destination.usage.refused(dialect, Instant::now());
        }
    }

    /// Whether a setback after `made` attempts is worth another, and when.
    fn repeat(&self, setback: &Setback, made: usize, stale_spent: &mut bool) -> Option<Repeat> {
        let retries = &self.policy.retries;
        let left = u32::try_from(made).is_ok_and(|made| made < retries.attempts);
        let backoff = Backoff::of(retries);
        let nth = u32::try_from(made.saturating_sub(1)).unwrap_or(u32::MAX);
        let after = |reason: &'static str, wait: Duration| Some(Repeat { reason, wait, fresh: false, change: Change::None });
        match setback {
            // The agent has not asked for what was refused: it is not to learn of it.
            Setback::Unasked(_) => Some(Repeat { reason: "include_usage", wait: Duration::ZERO, fresh: false, change: Change::Unasked }),
            _ if self.draining => None,
            Setback::Failure(failure) => match (failure.again, failure.clock) {
                (Again::Stale, _) if !*stale_spent && retries.attempts > 1 => {
                    *stale_spent = true;
                    Some(Repeat { reason: "stale_connection", wait: Duration::ZERO, fresh: true, change: Change::None })
                }
                (Again::Unsent, _) if left => after("connect", backoff.shortened().wait(nth, fastrand::f64())),
                (Again::Unprocessed(reason), _) if left => after(reason, backoff.shortened().wait(nth, fastrand::f64())),
                (Again::Unsafe, Some(_)) if left && retries.on_timeout => after("timeout", backoff.wait(nth, fastrand::f64())),
                _ => None,
            },
            Setback::Reply { answer, status, error, event } if left => {
                let reason = if *event { "stream_error" } else { status_reason(*status) };
                match advice(*status, &answer.head.headers, error.as_ref(), retries, SystemTime::now()) {
                    Advice::Retry(Some(wait)) => after(reason, Backoff::stated(wait, fastrand::f64())),
                    Advice::Retry(None) => after(reason, backoff.wait(nth, fastrand::f64())),
                    Advice::TooLong(_) | Advice::Final => None,
                }
            }
            Setback::Reply { .. } => None,
        }
    }

    /// The upstream says that the prompt does not fit: once, it is trimmed by what it says and sent again. Else there is no use in trying.
    async fn fit(&mut self, exchange: &mut Exchange, overflow: Overflow, deadlines: &Deadlines) -> Option<Repeat> {
        let refit = self.refit.take().filter(|_| !self.draining && deadlines.allows(Instant::now()))?;
        let trimmed = refit.after(exchange, overflow).await?;
        Some(Repeat { reason: "context_length", wait: Duration::ZERO, fresh: false, change: Change::Trimmed(trimmed) })
    }

    /// Makes the next attempt another than the last one.
    fn change(&mut self, exchange: &mut Exchange, change: Change, body: &mut Option<Received>) {
        match change {
            Change::None => {}
            Change::Unasked => self.template.stop_asking(),
            Change::Trimmed(trimmed) => {
                rewrite::note(exchange.record(), &trimmed);
                let asks = self.template.asks_for_usage();
                let usage = self.dialect.filter(|_| asks).and_then(|dialect| Splice::usage(dialect, &trimmed.body, &trimmed.list));
                self.template.trim(usage);
                // What is reserved for the one before is enough.
                *body = body.take().map(|body| body.with(trimmed.body));
            }
        }
    }

    /// No further attempt: a failed reply passes as it came, anything else is answered by us.
    fn last(&self, exchange: &mut Exchange, setback: Setback, replayable: bool, mut deadlines: Deadlines) -> Result<Sent, Refusal> {
        match setback {
            Setback::Unasked(answer) => {
                self.begin_to_flow(&mut deadlines);
                Ok(Sent { answer: *answer, spent: false, deadlines })
            }
            Setback::Reply { answer, status, event, .. } => {
                let spent =
                    !event && replayable && self.policy.retries.attempts > 1 && (retryable_status(status) || says_retry(&answer.head.headers));
                self.begin_to_flow(&mut deadlines);
                Ok(Sent { answer: *answer, spent, deadlines })
            }
            Setback::Failure(failure) => {
                let record = exchange.record();
                record.clock = failure.clock;
                let limit = failure.clock.and_then(|clock| self.limit(clock));
                let (made, elapsed) = (record.attempts.len(), record.started.elapsed());
                Err(Refusal::failed(&failure, &self.destination.upstream.name, made, limit, elapsed))
            }
        }
    }

    /// How long a clock runs.
    fn limit(&self, clock: Clock) -> Option<Duration> {
        let timeouts = &self.policy.timeouts;
        match clock {
            Clock::Connect => timeouts.connect,
            Clock::FirstByte => timeouts.first_byte,
            Clock::FirstToken => timeouts.first_token,
            Clock::Idle => timeouts.idle,
            Clock::Total | Clock::Queue => timeouts.total,
            Clock::Upload => timeouts.upload,
            Clock::Reader => timeouts.reader,
            Clock::Agent => self.agent.map(|(limit, _)| limit.less_margin()),
        }
    }
}

fn asks_for_a_look(status: u16, headers: &HeaderMap) -> bool {
    retryable_status(status) || (status >= 400 && says_retry(headers))
}

fn says_retry(headers: &HeaderMap) -> bool {
    headers.get("x-should-retry").is_some_and(|value| value == "true")
}

/// The label value of a status that is retried.
fn status_reason(status: u16) -> &'static str {
    match status {
        408 => "408",
        425 => "425",
        429 => "429",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        529 => "529",
        _ => "x_should_retry",
    }
}

fn begun(retry: Option<RetryCause>) -> Attempt {
    Attempt {
        started: Instant::now(),
        started_at: SystemTime::now(),
        duration: Duration::ZERO,
        result: AttemptResult::Cancelled,
        status: None,
        reason: None,
        retry,
        reused: false,
        peer: None,
        protocol: None,
        connect: None,
    }
}

fn note_head(exchange: &mut Exchange, attempted: &Attempted) {
    let record = exchange.record();
    record.first_byte = Some(record.started.elapsed());
    let line = &attempted.line;
    let attempt = record.attempts.last_mut().expect("an attempt was begun");
    let status = attempted.response.status().as_u16();
    attempt.duration = attempt.started.elapsed();
    attempt.result = AttemptResult::of_status(status);
    attempt.status = Some(status);
    attempt.reused = line.reused;
    attempt.peer = line.peer;
    attempt.protocol = protocol(attempted.response.version());
    attempt.connect = (!line.reused).then_some(line.phases);
}

/// `network.protocol.version`.
fn protocol(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

fn note_failure(exchange: &mut Exchange, failure: &Failure) {
    let attempt = exchange.record().attempts.last_mut().expect("an attempt was begun");
    attempt.duration = attempt.started.elapsed();
    attempt.result = match (failure.reason, failure.clock, failure.again) {
        (_, Some(_), _) => AttemptResult::Timeout,
        // The agent broke its upload off, or it was more than is let through.
        (Reason::Framing | Reason::BodyTooLarge, ..) => AttemptResult::Cancelled,
        (_, None, Again::Unsent | Again::Useless) => AttemptResult::Connect,
        (_, None, Again::Stale | Again::Unsafe | Again::Unprocessed(_)) => AttemptResult::Reset,
    };
    attempt.reason = Some(failure.reason);
    attempt.reused = failure.reused;
    if let Some(line) = &failure.line {
        attempt.peer = line.peer;
        attempt.connect = (!failure.reused).then_some(line.phases);
    }
}
