//! One finished exchange as a row: what a person looks for, nothing that was said.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Serialize, Serializer};

use super::format::{iso, maybe_seconds, seconds, short, shown};
use crate::{
    agent::ToolRun,
    telemetry::{
        names::{Clock, Outcome, UNKNOWN, agent_source, tool_error},
        record::{Phase, Record},
        trace::ExchangeId,
    },
    wire::{Dialect, Usage},
};

/// Most finish reasons, tool calls and tool results of a row, each.
const LIST_MAX: usize = 16;

/// One exchange. What is not known of it is not there.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// `TRACEID-SPANID`, as `x-pillion-exchange` says it.
    #[serde(serialize_with = "shown")]
    pub id: ExchangeId,
    /// The exchange's own span.
    #[serde(skip)]
    pub span_id: u64,
    /// When the request's head had arrived.
    #[serde(serialize_with = "iso")]
    pub started_at: SystemTime,
    /// From then to its end.
    #[serde(rename = "duration_seconds", serialize_with = "seconds")]
    pub duration: Duration,
    /// Who called, as it was known at the end; `unknown`.
    pub agent: Arc<str>,
    /// How that was known: `explicit`, `inferred(RULE)`, `unknown`.
    pub agent_source: &'static str,
    /// The conversation: ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Box<str>>,
    /// Its id by the agent's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_given: Option<Box<str>>,
    /// Which exchange of the conversation, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
    /// Where it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Arc<str>>,
    /// The request's method.
    #[serde(serialize_with = "shown")]
    pub method: http::Method,
    /// The request's path, without its query.
    pub path: Box<str>,
    /// The dialect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<&'static str>,
    /// The model asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Box<str>>,
    /// The model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_model: Option<Box<str>>,
    /// Whether a stream was asked for, or came.
    pub stream: bool,
    /// How it ended.
    #[serde(serialize_with = "outcome")]
    pub outcome: Outcome,
    /// What went wrong: our reason, or the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<Box<str>>,
    /// The provider's own word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_error: Option<Box<str>>,
    /// The status the agent got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Attempts at the upstream.
    pub attempts: usize,
    /// The clock that fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<&'static str>,
    /// Where the exchange stood when the agent hung up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<&'static str>,
    /// From the start to the first content of a stream.
    #[serde(rename = "first_token_seconds", serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub first_token: Option<Duration>,
    /// What the agent's SDK said it would wait.
    #[serde(rename = "agent_timeout_seconds", serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub agent_timeout: Option<Duration>,
    /// Which repetition of the agent's SDK this was; 0 is the first try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdk_retry_count: Option<u32>,
    /// Tokens as the provider counted them.
    #[serde(serialize_with = "usage", skip_serializing_if = "is_uncounted")]
    pub tokens: Usage,
    /// What it has cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Length of the prompt in Unicode scalar values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_characters: Option<u64>,
    /// Messages of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_messages: Option<u64>,
    /// Tokens of the prompt, where the provider has not counted them: an estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_estimated: Option<u64>,
    /// The model's window in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_window: Option<u64>,
    /// What was taken out of the prompt, so that it fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trimmed: Option<Trimmed>,
    /// Finish reasons in the provider's words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finish_reasons: Vec<Box<str>>,
    /// Names of the tools that the answer calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Box<str>>,
    /// Results of tools that the request brought.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_results: Vec<ToolResult>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the reply's body that were given to the agent.
    pub reply_bytes: u64,
}

/// What was taken out of a prompt.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Trimmed {
    /// Messages left out.
    pub messages: u64,
    /// Texts shortened.
    pub texts: u64,
    /// Tokens taken away.
    pub tokens: u64,
    /// `shorten`, `drop`, `shorten_and_drop`.
    pub strategy: &'static str,
}

/// A result of a tool that a request brought.
#[derive(Debug, Clone, Serialize)]
pub struct ToolResult {
    /// The tool's name.
    pub tool: Box<str>,
    /// From the end of the reply that called it to this request.
    #[serde(rename = "duration_seconds", serialize_with = "seconds")]
    pub duration: Duration,
    /// How it failed: the exception's type, or a word of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
}

impl Row {
    pub(super) fn of(record: &Record) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(short);
        let conversation = record.conversation.as_ref();
        let error = record.reply.error.as_ref().and_then(|error| error.code.as_deref().or(error.kind.as_deref()));
        Self {
            id: record.trace.exchange_id(),
            span_id: record.trace.span_id,
            started_at: record.started_at,
            duration: record.duration,
            agent: record.agent.clone().unwrap_or_else(|| UNKNOWN.into()),
            agent_source: agent_source(record.agent_source),
            conversation: conversation.map(|conversation| conversation_key(conversation.id)),
            conversation_given: conversation.and_then(|conversation| conversation.given.as_deref().map(short)),
            turn: conversation.map(|conversation| conversation.turn),
            upstream: record.upstream.clone(),
            method: record.method.clone(),
            path: short(&record.path),
            dialect: record.dialect.map(Dialect::name),
            model: text(&record.call.model),
            response_model: text(&record.reply.model),
            stream: record.call.stream || record.streamed,
            outcome: record.outcome,
            error_type: record.error_type().map(|error| short(&error)),
            provider_error: error.map(short),
            status: record.status,
            attempts: record.attempts.len(),
            clock: record.clocks().last().map(Clock::as_str),
            phase: (record.outcome == Outcome::Cancelled).then(|| phase(record.phase)),
            first_token: record.first_token,
            agent_timeout: record.agent_timeout,
            sdk_retry_count: record.sdk_retry_count,
            tokens: record.reply.usage,
            cost_usd: record.cost,
            prompt_characters: record.call.prompt_characters,
            prompt_messages: record.call.prompt_messages,
            prompt_tokens_estimated: record.prompt_tokens().filter(|(_, estimated)| *estimated).map(|(tokens, _)| tokens),
            prompt_window: record.prompt_window,
            trimmed: record.trim.map(|trim| Trimmed {
                messages: trim.messages,
                texts: trim.texts,
                tokens: trim.tokens,
                strategy: trim.strategy().as_str(),
            }),
            finish_reasons: record.reply.finish_reasons.iter().take(LIST_MAX).map(|reason| short(reason)).collect(),
            tool_calls: record.reply.tool_calls.iter().take(LIST_MAX).map(|call| short(&call.name)).collect(),
            tool_results: record.tools.iter().take(LIST_MAX).map(ToolResult::of).collect(),
            request_bytes: record.request_bytes,
            reply_bytes: record.reply_bytes,
        }
    }
}

impl ToolResult {
    fn of(run: &ToolRun) -> Self {
        Self { tool: short(&run.name), duration: run.duration, error: run.error.as_ref().map(|error| short(tool_error(error))) }
    }
}

/// The label value of a phase.
pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Queue => "queue",
        Phase::Waiting => "waiting",
        Phase::Streaming => "streaming",
    }
}

/// A conversation's id as it is shown: 16 hex digits.
pub(super) fn conversation_key(id: u64) -> Box<str> {
    format!("{id:016x}").into()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
fn outcome<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.as_str())
}

fn is_uncounted(usage: &Usage) -> bool {
    *usage == Usage::default()
}

fn usage<S: Serializer>(usage: &Usage, serializer: S) -> Result<S::Ok, S::Error> {
    let Usage { input, output, cache_read, cache_write, reasoning } = *usage;
    let told = [("input", input), ("output", output), ("cache_read", cache_read), ("cache_write", cache_write), ("reasoning", reasoning)];
    serializer.collect_map(told.into_iter().filter_map(|(kind, tokens)| Some((kind, tokens?))))
}
