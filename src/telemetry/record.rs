//! What is learnt about one exchange, kept plain until its end. Metrics, spans and the log line are all made from it, once.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    contents::Captured,
    names::{AttemptResult, Clock, ERROR_OTHER, LimitKind, Outcome, Reason, Strategy},
    trace::TraceContext,
};
use crate::{
    agent::{Conversation, Source, ToolError, ToolRun},
    context::{Asked, Counted},
    wire::{Call, Dialect, Reply},
};

/// One exchange: a request with its reply, however many attempts it took.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub struct Record {
    /// Its place in a trace; the exchange's own span id.
    pub trace: TraceContext,
    /// When the request's head had arrived.
    pub started: Instant,
    /// The same, by the wall clock.
    pub started_at: SystemTime,
    /// From `started` to the last byte given to the agent, its hang-up, or the break.
    pub duration: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// Our reason where we have one: of a refusal, a timeout, a cut.
    pub reason: Option<Reason>,
    /// Who called.
    pub agent: Option<Arc<str>>,
    /// How that is known.
    pub agent_source: Source,
    /// The request's method.
    pub method: http::Method,
    /// The request's path as it was sent, without query, capped at 1 KiB.
    pub path: String,
    /// The dialect of the path, if known.
    pub dialect: Option<Dialect>,
    /// The upstream's name; `None` where no route was found.
    pub upstream: Option<Arc<str>>,
    /// `gen_ai.provider.name`.
    pub provider: Option<Arc<str>>,
    /// The upstream's host and port.
    pub server: Option<(Arc<str>, u16)>,
    /// What was asked.
    pub call: Call,
    /// The status the agent got; `None` if it got none.
    pub status: Option<u16>,
    /// What was answered.
    pub reply: Reply,
    /// Whether the answer was relayed as a stream of events.
    pub streamed: bool,
    /// Every attempt, in order. Empty where none was made.
    pub attempts: Vec<Attempt>,
    /// Retries that the budget forbade.
    pub budget_exhausted: bool,
    /// The clock that fired, if one did.
    pub clock: Option<Clock>,
    /// Where the exchange stood when the agent hung up.
    pub phase: Phase,
    /// From `started` to the first byte of the reply's head from the upstream.
    pub first_byte: Option<Duration>,
    /// From `started` to the first content of a stream.
    pub first_token: Option<Duration>,
    /// Events of a stream after the one that brought its first content.
    pub content_events: u64,
    /// From the first content to the last event.
    pub content_time: Duration,
    /// The longest silence of the upstream within the reply's body.
    pub longest_gap: Duration,
    /// Our own share of the time: neither waiting for the upstream nor for the agent.
    pub overhead: Duration,
    /// What the agent's SDK said it would wait.
    pub agent_timeout: Option<Duration>,
    /// Its conversation, where one is known.
    pub conversation: Option<Conversation>,
    /// The span of the tool that it runs within (an agent used as a tool), where it is not the agent's `traceparent` that says where it belongs.
    pub within: Option<u64>,
    /// Runs of tools whose results this request brought.
    pub tools: Vec<ToolRun>,
    /// The tokens of the prompt that went up, as they were estimated or counted before the provider counted them.
    pub prompt_tokens: Option<u64>,
    /// The same, where its texts were counted.
    pub counted: Option<Counted>,
    /// What was taken out of the prompt, so that it fits.
    pub trim: Option<Trim>,
    /// The model's window in tokens, where it is known.
    pub prompt_window: Option<u64>,
    /// What it has cost in USD, where prices and counts are known.
    pub cost: Option<f64>,
    /// Whether the conversation goes in circles.
    pub looping: bool,
    /// What the reply says is left of the provider's limits.
    pub rate_limits: Vec<RateLimit>,
    /// `x-stainless-retry-count`, if it was sent.
    pub sdk_retry_count: Option<u32>,
    /// Bytes of the request's body that were received.
    pub request_bytes: u64,
    /// Bytes of the reply's body that were given to the agent.
    pub reply_bytes: u64,
    /// Why the reply or the request was not read, if it was not (label value of `pillion_observation_skipped_total`).
    pub skipped: Option<&'static str>,
    /// Whether the upstream's own credentials replaced the agent's.
    pub credentials_replaced: bool,
    /// Whether token counts were asked for on the agent's behalf.
    pub usage_asked: bool,
    /// What was asked and answered, where that is captured. Taken out before anything but the exchange's span is made of this record.
    pub contents: Option<Box<Captured>>,
}

/// Longest text kept of what traffic says, in bytes. A record that waits in a queue is of bounded size.
pub(super) const TEXT_MAX: usize = 1 << 10;
/// Most runs of tools of one request: as many as a reply can call.
const TOOLS_MAX: usize = 128;
/// Most stop sequences kept.
const STOP_SEQUENCES_MAX: usize = 16;
/// Most finish reasons kept.
const FINISH_REASONS_MAX: usize = 64;
/// What stands at the end of a text that was cut.
const CUT_MARK: &str = "…";

impl Record {
    /// `error.type`: our reason or the status; `None` where nothing failed. The agent's own hang-up is no failure.
    pub(super) fn error_type(&self) -> Option<Cow<'static, str>> {
        self.outcome.failed().then(|| error_type(self.reason, self.status))
    }

    /// Tokens of the prompt, and whether they are estimated: where the provider has not counted them.
    pub(super) fn prompt_tokens(&self) -> Option<(u64, bool)> {
        let counted = self.reply.usage.input.map(|tokens| (tokens, false));
        counted.or_else(|| Some((self.prompt_tokens?, true)))
    }

    /// Whose prompt it is, for what is known of models; `None` before that is settled.
    pub fn asked(&self) -> Option<Asked<'_>> {
        let (dialect, upstream) = (self.dialect?, self.upstream.as_deref()?);
        Some(Asked { dialect, path: &self.path, provider: self.provider.as_deref(), upstream, call: &self.call })
    }

    /// Our reason, where the answer was our own.
    pub(super) fn refusal(&self) -> Option<Reason> {
        let ours = matches!(self.outcome, Outcome::Refused | Outcome::Timeout | Outcome::UpstreamError);
        self.reason.filter(|reason| ours && self.status.is_some() && *reason != Reason::StreamError)
    }

    /// Clocks that fired, in order. One that ended the exchange also ended its last attempt: it counts once.
    pub(super) fn clocks(&self) -> impl Iterator<Item = Clock> {
        let fired = |attempt: &Attempt| attempt.reason.and_then(Reason::clock);
        let (last, earlier) = self.attempts.split_last().map_or((None, &[][..]), |(last, earlier)| (Some(last), earlier));
        earlier.iter().filter_map(fired).chain(self.clock.or_else(|| last.and_then(fired)))
    }

    /// When it ended, by the wall clock; when it began, where no calendar goes so far.
    pub(super) fn ended_at(&self) -> SystemTime {
        self.started_at.checked_add(self.duration).unwrap_or(self.started_at)
    }

    /// Cuts every text that traffic chose down to [`TEXT_MAX`], and lets go of what was said: telemetry does not tell it.
    pub(super) fn bound(&mut self) {
        self.bound_tools();
        self.reply.short_text = None;
        bound(&mut self.path);
        let shared = [&mut self.agent, &mut self.upstream, &mut self.provider];
        shared.into_iter().flatten().chain(self.server.iter_mut().map(|(host, _)| host)).for_each(bound_shared);
        self.reply.finish_reasons.truncate(FINISH_REASONS_MAX);
        self.call.stop_sequences.truncate(STOP_SEQUENCES_MAX);
        self.call.stop_sequences.iter_mut().for_each(bound);
        let call = [&mut self.call.model, &mut self.call.service_tier, &mut self.call.continues];
        call.into_iter().flatten().for_each(bound);
        let reply = [&mut self.reply.id, &mut self.reply.model, &mut self.reply.service_tier, &mut self.reply.system_fingerprint];
        reply.into_iter().flatten().chain(&mut self.reply.finish_reasons).for_each(bound);
        let error = self.reply.error.iter_mut().flat_map(|error| [&mut error.kind, &mut error.code]);
        error.flatten().for_each(bound);
    }

    fn bound_tools(&mut self) {
        self.tools.truncate(TOOLS_MAX);
        self.tools.iter_mut().for_each(bound_run);
        self.reply.tool_calls.truncate(TOOLS_MAX);
        for call in &mut self.reply.tool_calls {
            call.arguments = None;
            bound(&mut call.name);
            call.id.iter_mut().for_each(bound);
        }
    }
}

impl Attempt {
    /// When it ended, by the wall clock; when it began, where no calendar goes so far.
    pub(super) fn ended_at(&self) -> SystemTime {
        self.started_at.checked_add(self.duration).unwrap_or(self.started_at)
    }

    /// `error.type`; `None` where nothing failed.
    pub(super) fn error_type(&self) -> Option<Cow<'static, str>> {
        self.result.failed().then(|| match self.result {
            AttemptResult::StreamError => Reason::StreamError.as_str().into(),
            _ => error_type(self.reason, self.status),
        })
    }
}

/// Statuses beyond 4xx and 5xx are no errors of HTTP's vocabulary: a label made of them would have no bound.
fn error_type(reason: Option<Reason>, status: Option<u16>) -> Cow<'static, str> {
    match (reason, status) {
        (Some(reason), _) => reason.as_str().into(),
        (None, Some(status @ 400..=599)) => status.to_string().into(),
        _ => ERROR_OTHER.into(),
    }
}

/// Cuts its texts down to [`TEXT_MAX`].
pub(super) fn bound_run(run: &mut ToolRun) {
    bound_shared(&mut run.name);
    run.id.iter_mut().chain(&mut run.agent).for_each(bound_shared);
    if let Some(ToolError::Exception(kind)) = &mut run.error {
        bound_shared(kind);
    }
}

fn bound(text: &mut String) {
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX - CUT_MARK.len()));
        text.push_str(CUT_MARK);
        text.shrink_to_fit();
    }
}

fn bound_shared(text: &mut Arc<str>) {
    if text.len() > TEXT_MAX {
        let mut cut = text[..text.floor_char_boundary(TEXT_MAX)].to_owned() + CUT_MARK;
        bound(&mut cut);
        *text = cut.into();
    }
}

/// One attempt at the upstream.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it began (before the connection).
    pub started: Instant,
    /// The same, by the wall clock.
    pub started_at: SystemTime,
    /// How long it took: to the reply's head, or for the last attempt to the reply's end.
    pub duration: Duration,
    /// How it ended.
    pub result: AttemptResult,
    /// Status of its reply, if one came.
    pub status: Option<u16>,
    /// Our reason where the attempt failed without a status.
    pub reason: Option<Reason>,
    /// Why it was made, if it is a repetition: label value of `pillion_retries_total`.
    pub retry: Option<RetryCause>,
    /// Whether an idle connection was reused.
    pub reused: bool,
    /// The peer it was sent to.
    pub peer: Option<SocketAddr>,
    /// The version of HTTP its reply came in (`network.protocol.version`), if one came.
    pub protocol: Option<&'static str>,
    /// The phases of the connection, where one was made for it.
    pub connect: Option<ConnectPhases>,
}

/// Why an attempt was repeated, and how long was waited before.
#[derive(Debug, Clone)]
pub struct RetryCause {
    /// Label value: a status (`500`), `connect`, `context_length`, `include_usage`, `goaway`, `refused_stream`, `stale_connection`, `stream_error`, `timeout`.
    pub reason: &'static str,
    /// The wait before it.
    pub wait: Duration,
}

/// What was taken out of a prompt that would not have fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// Messages left out.
    pub messages: u64,
    /// Texts shortened.
    pub texts: u64,
    /// Tokens taken away.
    pub tokens: u64,
    /// When.
    pub at: SystemTime,
}

impl Trim {
    /// How.
    pub fn strategy(&self) -> Strategy {
        match (self.messages, self.texts) {
            (0, _) => Strategy::Shorten,
            (_, 0) => Strategy::Drop,
            _ => Strategy::ShortenAndDrop,
        }
    }
}

/// How long the steps of a new connection took. A step that was not needed is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectPhases {
    /// Resolving the name.
    pub dns: Option<Duration>,
    /// Connecting.
    pub tcp: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
}

/// What is left of a provider's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// What it counts.
    pub kind: LimitKind,
    /// How many are left.
    pub remaining: Option<u64>,
    /// In how long it is full again.
    pub reset: Option<Duration>,
}

/// Where an exchange stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Waiting for a place.
    Queue,
    /// Nothing of the reply has been given to the agent.
    Waiting,
    /// Some of it has.
    Streaming,
}

impl Record {
    /// Of an exchange whose head has just arrived: all else is to be learnt.
    pub fn begin(trace: TraceContext, started: Instant, started_at: SystemTime, method: http::Method, path: String) -> Self {
        Self {
            trace,
            started,
            started_at,
            duration: Duration::ZERO,
            outcome: Outcome::Cancelled,
            reason: None,
            agent: None,
            agent_source: Source::Unknown,
            method,
            path,
            dialect: None,
            upstream: None,
            provider: None,
            server: None,
            call: Call::default(),
            status: None,
            reply: Reply::default(),
            streamed: false,
            attempts: Vec::new(),
            budget_exhausted: false,
            clock: None,
            phase: Phase::Waiting,
            first_byte: None,
            first_token: None,
            content_events: 0,
            content_time: Duration::ZERO,
            longest_gap: Duration::ZERO,
            overhead: Duration::ZERO,
            agent_timeout: None,
            conversation: None,
            within: None,
            tools: Vec::new(),
            prompt_tokens: None,
            counted: None,
            trim: None,
            prompt_window: None,
            cost: None,
            looping: false,
            rate_limits: Vec::new(),
            sdk_retry_count: None,
            request_bytes: 0,
            reply_bytes: 0,
            skipped: None,
            credentials_replaced: false,
            usage_asked: false,
            contents: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Record, TEXT_MAX};
    use crate::{
        agent::{ToolError, ToolRun},
        telemetry::{
            fixture::{record, tool_run},
            names::{Outcome, Reason},
        },
        wire::ToolCall,
    };

    fn ended(outcome: Outcome, reason: Option<Reason>, status: Option<u16>) -> Record {
        Record { outcome, reason, status, ..record() }
    }

    #[test]
    fn an_error_is_named_by_our_reason_else_by_its_status() {
        let check = |record: Record, expected: Option<&str>| assert_eq!(record.error_type().as_deref(), expected);
        check(ended(Outcome::Ok, None, Some(200)), None);
        check(ended(Outcome::Cancelled, Some(Reason::TimeoutReader), None), None);
        check(ended(Outcome::RateLimited, None, Some(429)), Some("429"));
        check(ended(Outcome::Timeout, Some(Reason::TimeoutFirstToken), Some(504)), Some("timeout_first_token"));
        check(ended(Outcome::UpstreamError, None, Some(777)), Some("_OTHER"));
    }

    #[test]
    fn only_answers_of_our_own_are_refusals() {
        let check = |record: Record, expected: Option<Reason>| assert_eq!(record.refusal(), expected);
        check(ended(Outcome::Refused, Some(Reason::NoRoute), Some(404)), Some(Reason::NoRoute));
        check(ended(Outcome::UpstreamError, Some(Reason::Dns), Some(502)), Some(Reason::Dns));
        check(ended(Outcome::UpstreamError, Some(Reason::StreamError), Some(200)), None);
        check(ended(Outcome::UpstreamError, None, Some(500)), None);
        check(ended(Outcome::Cut, Some(Reason::TimeoutIdle), Some(200)), None);
        check(ended(Outcome::Timeout, Some(Reason::TimeoutUpload), None), None);
    }

    #[test]
    fn texts_of_any_length_are_cut_at_a_character() {
        let mut long = record();
        long.call.model = Some("é".repeat(1 << 20));
        long.agent = Some("é".repeat(1 << 20).into());
        long.reply.finish_reasons = vec!["x".repeat(5000); 1000];
        long.reply.tool_calls = vec![ToolCall { name: "é".repeat(5000), arguments: Some("secret".to_owned()), ..ToolCall::default() }; 200];
        long.reply.short_text = Some("secret".to_owned());
        long.tools = vec![ToolRun { name: "é".repeat(5000).into(), error: Some(ToolError::Exception("é".repeat(5000).into())), ..tool_run() }; 200];
        long.bound();
        let model = long.call.model.clone().unwrap();
        assert!(model.len() <= TEXT_MAX && model.ends_with("é…"), "{}", model.len());
        assert_eq!(long.agent.as_deref(), Some(&*model));
        assert!(!format!("{long:?}").contains("secret"));
        let longest = long.tools.iter().map(|run| run.name.len()).chain(long.reply.tool_calls.iter().map(|call| call.name.len())).max();
        assert_eq!((longest, long.tools.len(), long.reply.tool_calls.len()), (Some(TEXT_MAX - 1), 128, 128));
        assert!(matches!(&long.tools[0].error, Some(ToolError::Exception(kind)) if kind.len() <= TEXT_MAX));
        assert_eq!((long.reply.finish_reasons.len(), long.reply.finish_reasons[0].len()), (64, TEXT_MAX));
    }
}
