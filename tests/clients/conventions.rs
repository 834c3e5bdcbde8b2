//! The conventions that spans keep: names, types, what is due, how spans are called.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    trace::v1::{Span as Sent, span::SpanKind},
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Texts,
    Int,
    Double,
    Flag,
}

/// Attributes of spans of models and tools: `OpenTelemetry`'s semantic conventions 1.41.1 (gen-ai, openai, error, http, network, server, url),
/// and Pillion's own, which have names that no convention has.
const ATTRIBUTES: &[(&str, Kind)] = &[
    ("error.type", Kind::Text),
    ("gen_ai.agent.name", Kind::Text),
    ("gen_ai.conversation.id", Kind::Text),
    ("gen_ai.operation.name", Kind::Text),
    ("gen_ai.output.type", Kind::Text),
    ("gen_ai.provider.name", Kind::Text),
    ("gen_ai.request.choice.count", Kind::Int),
    ("gen_ai.request.frequency_penalty", Kind::Double),
    ("gen_ai.request.max_tokens", Kind::Int),
    ("gen_ai.request.model", Kind::Text),
    ("gen_ai.request.presence_penalty", Kind::Double),
    ("gen_ai.request.seed", Kind::Int),
    ("gen_ai.request.stop_sequences", Kind::Texts),
    ("gen_ai.request.stream", Kind::Flag),
    ("gen_ai.request.temperature", Kind::Double),
    ("gen_ai.request.top_k", Kind::Double),
    ("gen_ai.request.top_p", Kind::Double),
    ("gen_ai.response.finish_reasons", Kind::Texts),
    ("gen_ai.response.id", Kind::Text),
    ("gen_ai.response.model", Kind::Text),
    ("gen_ai.response.time_to_first_chunk", Kind::Double),
    ("gen_ai.tool.call.id", Kind::Text),
    ("gen_ai.tool.name", Kind::Text),
    ("gen_ai.tool.type", Kind::Text),
    ("gen_ai.usage.cache_creation.input_tokens", Kind::Int),
    ("gen_ai.usage.cache_read.input_tokens", Kind::Int),
    ("gen_ai.usage.input_tokens", Kind::Int),
    ("gen_ai.usage.output_tokens", Kind::Int),
    ("gen_ai.usage.reasoning.output_tokens", Kind::Int),
    ("http.request.method", Kind::Text),
    ("http.request.resend_count", Kind::Int),
    ("http.response.status_code", Kind::Int),
    ("network.peer.address", Kind::Text),
    ("network.peer.port", Kind::Int),
    ("network.protocol.version", Kind::Text),
    ("openai.api.type", Kind::Text),
    ("openai.request.service_tier", Kind::Text),
    ("openai.response.service_tier", Kind::Text),
    ("openai.response.system_fingerprint", Kind::Text),
    ("pillion.agent.source", Kind::Text),
    ("pillion.agent.timeout", Kind::Double),
    ("pillion.attempts", Kind::Int),
    ("pillion.connect.duration", Kind::Double),
    ("pillion.conversation.id", Kind::Text),
    ("pillion.dialect", Kind::Text),
    ("pillion.first_byte.duration", Kind::Double),
    ("pillion.first_token.duration", Kind::Double),
    ("pillion.inferred", Kind::Flag),
    ("pillion.longest_gap.duration", Kind::Double),
    ("pillion.outcome", Kind::Text),
    ("pillion.overhead.duration", Kind::Double),
    ("pillion.prompt.characters", Kind::Int),
    ("pillion.prompt.messages", Kind::Int),
    ("pillion.prompt.tokens", Kind::Int),
    ("pillion.prompt.tokens.estimated", Kind::Flag),
    ("pillion.prompt.window", Kind::Int),
    ("pillion.refusal", Kind::Text),
    ("pillion.sdk.retry_count", Kind::Int),
    ("pillion.tool_calls", Kind::Texts),
    ("pillion.tools.declared", Kind::Int),
    ("pillion.trim.messages", Kind::Int),
    ("pillion.trim.strategy", Kind::Text),
    ("pillion.trim.tokens", Kind::Int),
    ("pillion.upstream", Kind::Text),
    ("pillion.waited", Kind::Double),
    ("server.address", Kind::Text),
    ("server.port", Kind::Int),
    ("url.path", Kind::Text),
];

/// What every call of a model says, and every tool.
const OF_A_CALL: &[&str] = &["gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "server.address", "server.port"];
const OF_A_TOOL: &[&str] = &["gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.tool.type", "pillion.inferred"];

fn kind(value: &Value) -> Option<Kind> {
    Some(match value {
        Value::StringValue(_) => Kind::Text,
        Value::BoolValue(_) => Kind::Flag,
        Value::IntValue(_) => Kind::Int,
        Value::DoubleValue(_) => Kind::Double,
        Value::ArrayValue(values) => {
            let is_text = |value: &opentelemetry_proto::tonic::common::v1::AnyValue| matches!(value.value, Some(Value::StringValue(_)));
            values.values.iter().all(is_text).then_some(Kind::Texts)?
        }
        _ => return None,
    })
}

/// Its attributes have the names and types of the conventions, those that are due are there, and so are its name and kind.
pub(crate) fn kept_by(span: &Sent, attributes: &BTreeMap<String, Value>) {
    for (name, value) in attributes {
        let due = ATTRIBUTES.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
        assert!(due.is_some() && kind(value) == due, "{name} = {value:?} is {due:?} by the conventions, in {}", span.name);
    }
    assert_eq!(attributes.len(), span.attributes.len(), "each attribute is said once: {span:?}");
    let text = |name: &str| match attributes.get(name) {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    };
    let (subject, due, kind) = if text("gen_ai.operation.name") == "execute_tool" {
        ("gen_ai.tool.name", OF_A_TOOL, SpanKind::Internal)
    } else {
        ("gen_ai.request.model", OF_A_CALL, SpanKind::Client)
    };
    for name in due {
        assert!(attributes.contains_key(*name), "{} says its {name}: {span:?}", span.name);
    }
    let name = format!("{} {}", text("gen_ai.operation.name"), text(subject));
    assert_eq!((&span.name, span.kind()), (&name, kind));
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
}
