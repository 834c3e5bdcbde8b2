//! The span of an exchange: `chat gpt-4o`.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use opentelemetry::{InstrumentationScope, KeyValue, trace::SpanId};
use opentelemetry_sdk::trace::SpanData;

use super::{Attributes, Event, Outcome, Reason, Record, agent_source, blank, event, gen_ai, general, output_type, pillion, place, status};
use crate::wire::Dialect;

/// The exchange's span. `alone` says that no attempt gets a span, so that what such a span would say is folded into this one.
pub(super) fn span(scope: &InstrumentationScope, record: &Record, alone: bool) -> SpanData {
    let error = record.error_type();
    let mut attributes = Attributes::with_capacity(64);
    asked(&mut attributes, record);
    settings(&mut attributes, record);
    prompt(&mut attributes, record);
    trimmed(&mut attributes, record);
    answered(&mut attributes, record);
    carried(&mut attributes, record);
    hops(&mut attributes, record);
    attributes.text(general::ERROR_TYPE, error.clone());
    if alone {
        folded(&mut attributes, record);
    }
    let mut span = blank(scope, place(record, record.trace.span_id), record.started_at, name(record));
    span.end_time = record.ended_at();
    if let Some(parent) = record.trace.parent_id.or(record.within) {
        span.parent_span_id = SpanId::from(parent);
        span.parent_span_is_remote = record.trace.parent_id.is_some();
    }
    span.attributes = attributes.into_vec();
    span.events.events = events(record, span.end_time);
    span.status = status(error.as_ref());
    span
}

/// By the conventions: operation and model; the method alone for what is no model's.
fn name(record: &Record) -> Cow<'static, str> {
    match (record.dialect.map(Dialect::operation), &record.call.model) {
        (Some(operation), Some(model)) => format!("{operation} {model}").into(),
        (Some(operation), None) => operation.into(),
        (None, _) => record.method.to_string().into(),
    }
}

fn asked(attributes: &mut Attributes, record: &Record) {
    let call = &record.call;
    let of_model = record.dialect.is_some();
    attributes
        .text(gen_ai::OPERATION_NAME, record.dialect.map(Dialect::operation))
        .text(gen_ai::PROVIDER_NAME, record.provider.clone().filter(|_| of_model))
        .text(gen_ai::REQUEST_MODEL, call.model.clone())
        .text(general::SERVER_ADDRESS, record.server.as_ref().map(|(host, _)| host.clone()))
        .int(general::SERVER_PORT, record.server.as_ref().map(|(_, port)| *port))
        .text(gen_ai::AGENT_NAME, record.agent.clone())
        .text(gen_ai::CONVERSATION_ID, record.conversation.as_ref().and_then(|conversation| conversation.given.clone()))
        .text(pillion::CONVERSATION_ID, record.conversation.as_ref().map(|conversation| format!("{:016x}", conversation.id)))
        .flag(gen_ai::REQUEST_STREAM, of_model.then_some(call.stream));
}

fn settings(attributes: &mut Attributes, record: &Record) {
    let call = &record.call;
    attributes
        .int(gen_ai::REQUEST_MAX_TOKENS, call.max_tokens)
        .float(gen_ai::REQUEST_TEMPERATURE, call.temperature)
        .float(gen_ai::REQUEST_TOP_P, call.top_p)
        .float(gen_ai::REQUEST_TOP_K, call.top_k)
        .float(gen_ai::REQUEST_FREQUENCY_PENALTY, call.frequency_penalty)
        .float(gen_ai::REQUEST_PRESENCE_PENALTY, call.presence_penalty)
        .int(gen_ai::REQUEST_SEED, call.seed)
        .texts(gen_ai::REQUEST_STOP_SEQUENCES, &call.stop_sequences)
        .int(gen_ai::REQUEST_CHOICE_COUNT, call.choices.filter(|&choices| choices != 1))
        .text(gen_ai::OUTPUT_TYPE, call.output_type.map(output_type));
    if is_openai(record) {
        attributes
            .text(general::OPENAI_API_TYPE, openai_api(record))
            .text(general::OPENAI_REQUEST_SERVICE_TIER, call.service_tier.clone().filter(|tier| tier != "auto"))
            .text(general::OPENAI_RESPONSE_SERVICE_TIER, record.reply.service_tier.clone())
            .text(general::OPENAI_SYSTEM_FINGERPRINT, record.reply.system_fingerprint.clone());
    }
}

fn prompt(attributes: &mut Attributes, record: &Record) {
    let call = &record.call;
    let (tokens, estimated) = record.prompt_tokens().unzip();
    attributes
        .int(pillion::PROMPT_CHARACTERS, call.prompt_characters)
        .int(pillion::PROMPT_MESSAGES, call.prompt_messages)
        .int(pillion::PROMPT_TOKENS, tokens)
        .flag(pillion::PROMPT_TOKENS_ESTIMATED, estimated)
        .int(pillion::PROMPT_WINDOW, record.prompt_window)
        .int(pillion::TOOLS_DECLARED, call.tools_declared);
}

fn trimmed(attributes: &mut Attributes, record: &Record) {
    if let Some(trim) = &record.trim {
        attributes
            .int(pillion::TRIM_MESSAGES, Some(trim.messages))
            .int(pillion::TRIM_TOKENS, Some(trim.tokens))
            .text(pillion::TRIM_STRATEGY, Some(trim.strategy().as_str()));
    }
}

/// Only `OpenAI`'s own service (and Azure's) has its attributes, not every server that speaks its dialect.
fn is_openai(record: &Record) -> bool {
    matches!(record.provider.as_deref(), Some("openai" | "azure.ai.openai"))
}

fn openai_api(record: &Record) -> Option<&'static str> {
    match record.dialect? {
        Dialect::OpenaiChat => Some("chat_completions"),
        Dialect::OpenaiResponses => Some("responses"),
        _ => None,
    }
}

fn answered(attributes: &mut Attributes, record: &Record) {
    let reply = &record.reply;
    attributes
        .text(gen_ai::RESPONSE_ID, reply.id.clone())
        .text(gen_ai::RESPONSE_MODEL, reply.model.clone())
        .texts(gen_ai::RESPONSE_FINISH_REASONS, &reply.finish_reasons)
        .seconds(gen_ai::RESPONSE_TIME_TO_FIRST_CHUNK, record.first_token.filter(|_| record.streamed))
        .int(gen_ai::USAGE_INPUT, reply.usage.input)
        .int(gen_ai::USAGE_OUTPUT, reply.usage.output)
        .int(gen_ai::USAGE_CACHE_READ, reply.usage.cache_read)
        .int(gen_ai::USAGE_CACHE_WRITE, reply.usage.cache_write)
        .int(gen_ai::USAGE_REASONING, reply.usage.reasoning)
        .names(pillion::TOOL_CALLS, reply.tool_calls.iter().map(|call| &*call.name));
}

fn carried(attributes: &mut Attributes, record: &Record) {
    let waited = record.duration;
    attributes
        .text(pillion::OUTCOME, Some(record.outcome.as_str()))
        .int(pillion::ATTEMPTS, i64::try_from(record.attempts.len()).ok())
        .text(pillion::UPSTREAM, record.upstream.clone())
        .text(pillion::DIALECT, record.dialect.map(Dialect::name))
        .text(pillion::REFUSAL, record.refusal().map(Reason::as_str))
        .int(pillion::SDK_RETRY_COUNT, record.sdk_retry_count)
        .text(pillion::AGENT_SOURCE, Some(agent_source(record.agent_source)))
        .seconds(pillion::AGENT_TIMEOUT, record.agent_timeout)
        .seconds(pillion::WAITED, (record.outcome == Outcome::Cancelled).then_some(waited));
}

fn hops(attributes: &mut Attributes, record: &Record) {
    let phases = record.attempts.iter().filter_map(|attempt| attempt.connect);
    let connecting = phases.flat_map(|phases| [phases.dns, phases.tcp, phases.tls]).flatten().reduce(Duration::saturating_add);
    attributes
        .seconds(pillion::CONNECT_DURATION, connecting)
        .seconds(pillion::FIRST_BYTE_DURATION, record.first_byte)
        .seconds(pillion::FIRST_TOKEN_DURATION, record.first_token)
        .seconds(pillion::LONGEST_GAP_DURATION, Some(record.longest_gap).filter(|gap| *gap > Duration::ZERO))
        .seconds(pillion::OVERHEAD_DURATION, Some(record.overhead));
}

fn folded(attributes: &mut Attributes, record: &Record) {
    let peer = record.attempts.last().and_then(|attempt| attempt.peer);
    let protocol = record.attempts.last().and_then(|attempt| attempt.protocol);
    let repeated = record.attempts.len().saturating_sub(1);
    attributes
        .text(general::HTTP_METHOD, Some(record.method.to_string()))
        .text(general::URL_PATH, Some(record.path.clone()))
        .int(general::HTTP_STATUS, record.status)
        .text(general::PEER_ADDRESS, peer.map(|peer| peer.ip().to_string()))
        .int(general::PEER_PORT, peer.map(|peer| peer.port()))
        .text(general::PROTOCOL_VERSION, protocol)
        .int(general::HTTP_RESEND_COUNT, i64::try_from(repeated).ok().filter(|&repeated| repeated > 0));
}

fn events(record: &Record, end: SystemTime) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some(trim) = &record.trim {
        let count = |name, count: u64| KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX));
        let told = vec![count(event::MESSAGES, trim.messages), count(event::TEXTS, trim.texts), count(event::TOKENS, trim.tokens)];
        events.push(Event::new(event::TRIM, trim.at, told, 0));
    }
    for (attempt, retry) in record.attempts.iter().filter_map(|attempt| Some((attempt, attempt.retry.as_ref()?))) {
        let told = vec![KeyValue::new(event::REASON, retry.reason), KeyValue::new(event::WAIT, retry.wait.as_secs_f64())];
        events.push(Event::new(event::RETRY, attempt.started_at, told, 0));
    }
    if let Some(clock) = record.clock {
        events.push(Event::new(event::TIMEOUT, end, vec![KeyValue::new(event::CLOCK, clock.as_str())], 0));
    }
    if record.reason == Some(Reason::StreamError) {
        let kind = record.reply.error.as_ref().and_then(|error| error.kind.clone());
        let told = kind.map(|kind| KeyValue::new(event::TYPE, kind)).into_iter().collect();
        events.push(Event::new(event::STREAM_ERROR, end, told, 0));
    }
    events
}
