//! Holds every span to the attribute tables: each name that may stand on it, its type, and whether it must. Written out from the tables of the
//! `GenAI` semantic conventions 1.41.1 (inference, execute tool) and the general ones, and of what is Pillion's own.

use std::collections::BTreeSet;

use opentelemetry::{
    Array, Value,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;

use super::Spans;
use crate::{
    agent::{ToolError, ToolRun},
    config::AttemptSpans,
    telemetry::{
        fixture::{attempt, record, tool_run, trim, with_tools},
        names::{AttemptResult, Outcome, Reason},
        record::Record,
    },
    wire::{Call, Dialect, OutputType, Reply, ReplyError, Usage},
};

/// A value's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::telemetry) enum Type {
    Text,
    Texts,
    Int,
    Double,
    Flag,
}

/// Whether it must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::telemetry) enum Level {
    Required,
    /// Where it is known, asked for or applies.
    Where,
}

use Level::{Required, Where};
use Type::{Double, Flag, Int, Text, Texts};

pub(in crate::telemetry) type Row = (&'static str, Type, Level);

/// `chat gpt-4o` and its like.
const INFERENCE: &[Row] = &[
    ("gen_ai.operation.name", Text, Required),
    ("gen_ai.provider.name", Text, Required),
    ("gen_ai.request.model", Text, Where),
    ("server.address", Text, Where),
    ("server.port", Int, Where),
    ("error.type", Text, Where),
    ("gen_ai.agent.name", Text, Where),
    ("gen_ai.conversation.id", Text, Where),
    ("gen_ai.output.type", Text, Where),
    ("gen_ai.request.choice.count", Int, Where),
    ("gen_ai.request.stream", Flag, Where),
    ("gen_ai.request.max_tokens", Int, Where),
    ("gen_ai.request.temperature", Double, Where),
    ("gen_ai.request.top_p", Double, Where),
    ("gen_ai.request.top_k", Double, Where),
    ("gen_ai.request.frequency_penalty", Double, Where),
    ("gen_ai.request.presence_penalty", Double, Where),
    ("gen_ai.request.seed", Int, Where),
    ("gen_ai.request.stop_sequences", Texts, Where),
    ("gen_ai.response.id", Text, Where),
    ("gen_ai.response.model", Text, Where),
    ("gen_ai.response.finish_reasons", Texts, Where),
    ("gen_ai.response.time_to_first_chunk", Double, Where),
    ("gen_ai.usage.input_tokens", Int, Where),
    ("gen_ai.usage.output_tokens", Int, Where),
    ("gen_ai.usage.cache_read.input_tokens", Int, Where),
    ("gen_ai.usage.cache_creation.input_tokens", Int, Where),
    ("gen_ai.usage.reasoning.output_tokens", Int, Where),
];

/// On spans of OpenAI's own service.
const OPENAI: &[Row] = &[
    ("openai.api.type", Text, Where),
    ("openai.request.service_tier", Text, Where),
    ("openai.response.service_tier", Text, Where),
    ("openai.response.system_fingerprint", Text, Where),
];

/// On every exchange.
const OURS: &[Row] = &[
    ("pillion.outcome", Text, Required),
    ("pillion.attempts", Int, Required),
    ("pillion.agent.source", Text, Required),
    ("pillion.overhead.duration", Double, Required),
    ("pillion.upstream", Text, Where),
    ("pillion.dialect", Text, Where),
    ("pillion.refusal", Text, Where),
    ("pillion.sdk.retry_count", Int, Where),
    ("pillion.conversation.id", Text, Where),
    ("pillion.prompt.characters", Int, Where),
    ("pillion.prompt.messages", Int, Where),
    ("pillion.prompt.tokens", Int, Where),
    ("pillion.prompt.tokens.estimated", Flag, Where),
    ("pillion.prompt.window", Int, Where),
    ("pillion.trim.messages", Int, Where),
    ("pillion.trim.tokens", Int, Where),
    ("pillion.trim.strategy", Text, Where),
    ("pillion.tools.declared", Int, Where),
    ("pillion.tool_calls", Texts, Where),
    ("pillion.connect.duration", Double, Where),
    ("pillion.first_byte.duration", Double, Where),
    ("pillion.first_token.duration", Double, Where),
    ("pillion.longest_gap.duration", Double, Where),
    ("pillion.agent.timeout", Double, Where),
    ("pillion.waited", Double, Where),
];

/// Of an HTTP client's span, folded in where no attempt has a span of its own.
const FOLDED: &[Row] = &[
    ("http.request.method", Text, Required),
    ("url.path", Text, Required),
    ("http.response.status_code", Int, Where),
    ("http.request.resend_count", Int, Where),
    ("network.peer.address", Text, Where),
    ("network.peer.port", Int, Where),
    ("network.protocol.version", Text, Where),
];

/// `POST`: an attempt.
const ATTEMPT: &[Row] = &[("server.address", Text, Required), ("server.port", Int, Required), ("error.type", Text, Where)];

/// `execute_tool get_weather`.
const TOOL: &[Row] = &[
    ("gen_ai.operation.name", Text, Required),
    ("gen_ai.tool.name", Text, Required),
    ("gen_ai.tool.type", Text, Required),
    ("gen_ai.tool.call.id", Text, Where),
    ("gen_ai.agent.name", Text, Where),
    ("error.type", Text, Where),
    ("pillion.inferred", Flag, Required),
];

/// What is of no model: an exchange that is carried all the same.
const PLAIN: &[Row] = &[
    ("server.address", Text, Where),
    ("server.port", Int, Where),
    ("error.type", Text, Where),
    ("gen_ai.agent.name", Text, Where),
    ("gen_ai.conversation.id", Text, Where),
];

/// What a span tells, wherever it is found.
pub(in crate::telemetry) struct Told {
    pub(in crate::telemetry) name: String,
    pub(in crate::telemetry) attributes: Vec<(String, Option<Type>)>,
    /// Whether its status is an error.
    pub(in crate::telemetry) failed: bool,
}

impl Told {
    fn of(span: &SpanData) -> Self {
        assert!(span.end_time >= span.start_time, "{}", span.name);
        let attributes = span.attributes.iter().map(|pair| (pair.key.to_string(), type_of(&pair.value))).collect();
        Self { name: span.name.to_string(), attributes, failed: matches!(span.status, Status::Error { .. }) }
    }

    /// Holds the span to its tables, and notes which of their rows it has.
    pub(in crate::telemetry) fn check(&self, tables: &[&'static [Row]], seen: &mut BTreeSet<&'static str>) {
        let rows = || tables.iter().copied().flatten();
        let mut names = BTreeSet::new();
        for (name, found) in &self.attributes {
            let Some((known, kind, _)) = rows().find(|(known, ..)| known == name) else { panic!("{}: {name} is in no table", self.name) };
            assert_eq!(*found, Some(*kind), "{}: {name}", self.name);
            assert!(names.insert(name.as_str()), "{}: {name} stands twice", self.name);
            seen.insert(known);
        }
        for (required, _, level) in rows() {
            assert!(*level == Where || names.contains(required), "{}: {required} is missing", self.name);
        }
        assert_eq!(names.contains("error.type"), self.failed, "{}: an error has a type, and nothing else has one", self.name);
    }
}

fn type_of(value: &Value) -> Option<Type> {
    Some(match value {
        Value::String(_) => Text,
        Value::I64(_) => Int,
        Value::F64(_) => Double,
        Value::Bool(_) => Flag,
        Value::Array(Array::String(_)) => Texts,
        _ => return None,
    })
}

/// The tables of an exchange's own span. `alone`: no attempt has one.
pub(in crate::telemetry) fn of_exchange(record: &Record, alone: bool) -> Vec<&'static [Row]> {
    let mut tables = vec![OURS, if record.dialect.is_some() { INFERENCE } else { PLAIN }];
    tables.extend(matches!(record.provider.as_deref(), Some("openai")).then_some(OPENAI));
    tables.extend(alone.then_some(FOLDED));
    tables
}

/// The tables of an attempt's span.
pub(in crate::telemetry) const OF_ATTEMPT: &[&[Row]] = &[ATTEMPT, FOLDED];

/// The table of a tool's span.
pub(in crate::telemetry) const OF_TOOL: &[&[Row]] = &[TOOL];

/// Holds that each attribute has been seen: a table of what never comes would prove nothing.
pub(in crate::telemetry) fn all_seen(seen: &BTreeSet<&'static str>) {
    let tables = [INFERENCE, OPENAI, OURS, FOLDED, ATTEMPT, TOOL];
    let unseen: Vec<_> = tables.iter().copied().flatten().map(|(name, ..)| *name).filter(|name| !seen.contains(name)).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// Everything that can be asked and answered.
fn whole() -> Record {
    let mut record = with_tools();
    record.call = Call {
        top_p: Some(0.9),
        top_k: Some(40.0),
        frequency_penalty: Some(0.1),
        presence_penalty: Some(0.2),
        seed: Some(7),
        stop_sequences: vec!["END".to_owned()],
        choices: Some(2),
        output_type: Some(OutputType::Json),
        service_tier: Some("flex".to_owned()),
        ..record.call
    };
    record.trim = Some(trim());
    record.reply.usage = Usage { cache_write: Some(10), reasoning: Some(20), ..record.reply.usage };
    record.reply.service_tier = Some("default".to_owned());
    record.reply.system_fingerprint = Some("fp_1".to_owned());
    record
}

/// An exchange of every kind, by every ending.
pub(in crate::telemetry) fn exchanges() -> Vec<Record> {
    let once = |record: Record| Record { attempts: vec![attempt(AttemptResult::Success, Some(200))], ..record };
    let ended = |outcome, reason: Option<Reason>, status| Record { outcome, reason, clock: reason.and_then(Reason::clock), status, ..whole() };
    let stream_error = Reply { error: Some(ReplyError { kind: Some("overloaded_error".to_owned()), ..ReplyError::default() }), ..Reply::default() };
    let (plain_call, plain_reply) = (Call::default(), Reply::default());
    let dialects = [
        Dialect::OpenaiChat,
        Dialect::OpenaiResponses,
        Dialect::OpenaiCompletions,
        Dialect::OpenaiEmbeddings,
        Dialect::AnthropicMessages,
        Dialect::Gemini,
        Dialect::Ollama,
    ];
    let mut all: Vec<Record> = dialects.into_iter().map(|dialect| Record { dialect: Some(dialect), ..whole() }).collect();
    all.extend(vec![
        record(),
        once(whole()),
        once(record()),
        Record { provider: Some("vllm".into()), ..whole() },
        ended(Outcome::ClientError, None, Some(400)),
        ended(Outcome::RateLimited, None, Some(429)),
        ended(Outcome::UpstreamError, Some(Reason::Dns), Some(502)),
        Record { reply: stream_error, ..ended(Outcome::UpstreamError, Some(Reason::StreamError), Some(200)) },
        ended(Outcome::Timeout, Some(Reason::TimeoutFirstToken), Some(504)),
        ended(Outcome::Cut, Some(Reason::TimeoutIdle), Some(200)),
        once(ended(Outcome::Cancelled, None, None)),
        Record { attempts: Vec::new(), ..ended(Outcome::Refused, Some(Reason::Overloaded), Some(503)) },
        Record { dialect: None, call: plain_call, reply: plain_reply, tools: Vec::new(), streamed: false, ..once(record()) },
    ]);
    all
}

#[test]
fn every_span_keeps_to_the_conventions() {
    let mut seen = BTreeSet::new();
    for mode in [AttemptSpans::Always, AttemptSpans::WhenRetried] {
        let spans = Spans::new(mode, false);
        for record in exchanges() {
            let built = spans.build(&record, None);
            assert_eq!(built.len(), spans.count(&record));
            let (tools, attempts): (Vec<_>, Vec<_>) = built[1..].iter().partition(|span| span.span_kind == SpanKind::Internal);
            Told::of(&built[0]).check(&of_exchange(&record, attempts.is_empty()), &mut seen);
            assert_eq!(built[0].span_kind, SpanKind::Client);
            for span in attempts {
                assert_eq!((&span.span_kind, &*span.name), (&SpanKind::Client, "POST"));
                Told::of(span).check(OF_ATTEMPT, &mut seen);
            }
            assert_eq!(tools.len(), record.tools.len());
            for span in tools {
                Told::of(span).check(OF_TOOL, &mut seen);
            }
        }
    }
    all_seen(&seen);
}

#[test]
fn a_tools_failure_has_a_type() {
    let spans = Spans::new(AttemptSpans::WhenRetried, false);
    for (error, expected) in [
        (Some(ToolError::Exception("ValueError".into())), Some("ValueError")),
        (Some(ToolError::Failed), Some("error")),
        (Some(ToolError::Unknown), Some("unknown_tool")),
        (Some(ToolError::Arguments), Some("schema_mismatch")),
        (Some(ToolError::NoResult), Some("no_result")),
        (None, None),
    ] {
        let span = spans.run(&ToolRun { error, ..tool_run() });
        Told::of(&span).check(OF_TOOL, &mut BTreeSet::new());
        let found = span.attributes.iter().find(|pair| pair.key.as_str() == "error.type").map(|pair| pair.value.as_str());
        assert_eq!(found.as_deref(), expected);
    }
}
