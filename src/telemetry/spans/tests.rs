use std::{collections::HashMap, time::Duration};

use opentelemetry::{
    Value,
    trace::{SpanId, SpanKind, Status, TraceId},
};
use opentelemetry_sdk::trace::SpanData;

use super::Spans;
use crate::{
    config::AttemptSpans,
    telemetry::{
        fixture::{attempt, record, tool_run, trim, with_tools},
        names::{AttemptResult, Outcome, Reason},
        record::{Record, Trim},
        trace::TraceContext,
    },
    wire::{Call, ReplyError, Usage},
};

fn build(record: &Record) -> Vec<SpanData> {
    let spans = Spans::new(AttemptSpans::WhenRetried, false);
    let built = spans.build(record, None);
    assert_eq!(built.len(), spans.count(record));
    built
}

fn attributes(span: &SpanData) -> HashMap<&str, Value> {
    let map: HashMap<&str, Value> = span.attributes.iter().map(|pair| (pair.key.as_str(), pair.value.clone())).collect();
    assert_eq!(map.len(), span.attributes.len(), "an attribute was set twice: {:?}", span.attributes);
    map
}

/// The attributes whose names begin so, as `name=value` in order.
fn told(span: &SpanData, prefix: &str) -> String {
    let of_prefix = |name: &&str| name.starts_with(prefix);
    let all = attributes(span);
    let mut names: Vec<&str> = all.keys().copied().filter(of_prefix).collect();
    names.sort_unstable();
    names.iter().map(|name| format!("{}={}", &name[prefix.len()..], all[name])).collect::<Vec<_>>().join(" ")
}

fn once() -> Record {
    Record { attempts: vec![attempt(AttemptResult::Success, Some(200))], ..record() }
}

#[test]
fn a_good_exchange_is_one_span_with_everything_that_is_known() {
    let spans = build(&once());
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&*span.name, &span.span_kind, &span.status), ("chat gpt-4o", &SpanKind::Client, &Status::Unset));
    assert_eq!(span.end_time.duration_since(span.start_time).unwrap(), Duration::from_millis(1240));
    assert_eq!(
        told(span, "gen_ai."),
        "agent.name=planner operation.name=chat provider.name=openai request.max_tokens=100 request.model=gpt-4o request.stream=true \
         request.temperature=0.5 response.finish_reasons=[\"stop\"] response.id=chatcmpl-1 response.model=gpt-4o-2024-08-06 \
         response.time_to_first_chunk=0.31 usage.cache_read.input_tokens=512 usage.input_tokens=812 usage.output_tokens=95"
    );
    assert_eq!(
        told(span, "pillion."),
        "agent.source=explicit agent.timeout=60 attempts=1 connect.duration=0.01 dialect=openai-chat first_byte.duration=0.29 \
         first_token.duration=0.31 longest_gap.duration=0.04 outcome=ok overhead.duration=0.00018 prompt.characters=3000 prompt.messages=3 \
         prompt.tokens=812 prompt.tokens.estimated=false sdk.retry_count=0 tools.declared=2 upstream=openai"
    );
    assert_eq!(told(span, "server."), "address=api.openai.com port=443");
    assert_eq!(told(span, "http."), "request.method=POST response.status_code=200");
    assert_eq!(told(span, "network.peer."), "address=192.0.2.1 port=443");
    assert_eq!(told(span, "network.protocol."), "version=1.1");
    assert_eq!(
        (told(span, "openai."), told(span, "url."), told(span, "error.")),
        ("api.type=chat_completions".into(), "path=/v1/chat/completions".into(), String::new())
    );
}

#[test]
fn a_retried_error_has_attempt_spans_and_does_not_fail_the_exchange() {
    let spans = build(&record());
    let [exchange, first, second] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&exchange.status, told(exchange, "http."), told(exchange, "url.")), (&Status::Unset, String::new(), String::new()));
    assert_eq!(told(first, "http."), "request.method=POST response.status_code=500");
    assert_eq!(told(second, "http."), "request.method=POST request.resend_count=1 response.status_code=200");
    assert_eq!((told(first, "error."), &first.status), ("type=500".into(), &Status::error("500")));
    assert_eq!((&*second.name, &second.status), ("POST", &Status::Unset));
    for (index, child) in [first, second].into_iter().enumerate() {
        assert_eq!(child.parent_span_id, exchange.span_context.span_id());
        assert_eq!(child.span_context.span_id(), SpanId::from(record().trace.attempt_span_id(index)));
        assert_eq!(child.span_context.trace_id(), exchange.span_context.trace_id());
        assert!(!child.parent_span_is_remote);
    }
    let [retry] = &exchange.events[..] else { panic!("{:?}", exchange.events) };
    assert_eq!((&*retry.name, retry.attributes[0].value.as_str(), &retry.attributes[1].value), ("pillion.retry", "500".into(), &Value::F64(0.5)));
}

#[test]
fn attempt_spans_are_for_what_failed_or_was_retried_unless_always() {
    let failed = Record { attempts: vec![attempt(AttemptResult::Connect, None)], ..record() };
    let count = |mode, propagate, record: &Record| Spans::new(mode, propagate).build(record, None).len();
    assert_eq!(count(AttemptSpans::WhenRetried, false, &once()), 1);
    assert_eq!(count(AttemptSpans::WhenRetried, false, &failed), 2);
    assert_eq!(count(AttemptSpans::Always, false, &once()), 2);
    assert_eq!(count(AttemptSpans::WhenRetried, true, &once()), 2);
}

#[test]
fn the_parent_is_the_agents_span() {
    let trace = TraceContext { parent_id: Some(7), flags: 3, ..record().trace };
    let span = &build(&Record { trace, ..once() })[0];
    assert_eq!((span.parent_span_id, span.parent_span_is_remote), (SpanId::from(7), true));
    assert_eq!(span.span_context.trace_flags().to_u8(), 3);
    let within = &build(&Record { within: Some(9), ..once() })[0];
    assert_eq!((within.parent_span_id, within.parent_span_is_remote), (SpanId::from(9), false));
    let both = &build(&Record { trace, within: Some(9), ..once() })[0];
    assert_eq!((both.parent_span_id, both.parent_span_is_remote), (SpanId::from(7), true));
    let root = &build(&once())[0];
    assert_eq!((root.parent_span_id, root.parent_span_is_remote), (SpanId::INVALID, false));
}

#[test]
fn a_timeout_fails_the_span_and_names_its_clock() {
    let reason = Reason::TimeoutFirstToken;
    let span = &build(&Record { outcome: Outcome::Timeout, reason: Some(reason), clock: reason.clock(), status: Some(504), ..once() })[0];
    assert_eq!(span.status, Status::error("timeout_first_token"));
    assert_eq!(attributes(span)["error.type"].as_str(), "timeout_first_token");
    assert_eq!(attributes(span)["pillion.refusal"].as_str(), "timeout_first_token");
    assert_eq!((&*span.events[0].name, span.events[0].attributes[0].value.as_str()), ("pillion.timeout", "first_token".into()));
    assert_eq!(span.events[0].timestamp, span.end_time);
}

#[test]
fn a_hang_up_is_no_error_and_tells_how_long_was_waited() {
    let span = &build(&Record { outcome: Outcome::Cancelled, status: None, ..once() })[0];
    assert_eq!((&span.status, told(span, "error.")), (&Status::Unset, String::new()));
    assert_eq!(attributes(span)["pillion.waited"], Value::F64(1.24));
}

#[test]
fn an_error_in_a_stream_is_an_event_of_the_providers_own_word() {
    let mut broken = Record { outcome: Outcome::UpstreamError, reason: Some(Reason::StreamError), ..once() };
    broken.reply.error = Some(ReplyError { kind: Some("overloaded_error".to_owned()), ..ReplyError::default() });
    let span = &build(&broken)[0];
    assert_eq!((&*span.events[0].name, span.events[0].attributes[0].value.as_str()), ("pillion.stream_error", "overloaded_error".into()));
    assert_eq!((attributes(span)["error.type"].as_str(), told(span, "pillion.refusal")), ("stream_error".into(), String::new()));
}

#[test]
fn a_tools_run_is_a_span_below_the_exchange_that_called_it() {
    let spans = build(&Record { attempts: vec![attempt(AttemptResult::Success, Some(200))], ..with_tools() });
    let [exchange, tool] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&*tool.name, &tool.span_kind, &tool.status), ("execute_tool get_weather", &SpanKind::Internal, &Status::error("TimeoutError")));
    let run = tool_run();
    assert_eq!((tool.span_context.trace_id(), tool.span_context.span_id()), (TraceId::from(run.trace), SpanId::from(run.span_id)));
    assert_eq!((tool.parent_span_id, tool.parent_span_is_remote), (SpanId::from(run.parent), false));
    assert_eq!((tool.start_time, tool.end_time), (run.called_at, run.called_at + run.duration));
    assert_eq!(told(tool, "gen_ai."), "agent.name=planner operation.name=execute_tool tool.call.id=call_1 tool.name=get_weather tool.type=function");
    assert_eq!((told(tool, "pillion."), told(tool, "error.")), ("inferred=true".to_owned(), "type=TimeoutError".to_owned()));
    assert_eq!(attributes(exchange)["pillion.tool_calls"].to_string(), "[\"search\",\"search\"]");
    assert_eq!(attributes(exchange)["pillion.agent.source"].as_str(), "inferred(echo)");
}

#[test]
fn a_conversations_id_is_by_the_conventions_only_where_the_agent_gave_it() {
    let mut record = with_tools();
    let given = &build(&record)[0];
    assert_eq!(attributes(given)["gen_ai.conversation.id"].as_str(), "thread-7");
    assert_eq!(attributes(given)["pillion.conversation.id"].as_str(), "0000000000001a2b");
    record.conversation.as_mut().unwrap().given = None;
    let inferred = &build(&record)[0];
    assert_eq!((told(inferred, "gen_ai.conversation."), told(inferred, "pillion.conversation.").as_str()), (String::new(), "id=0000000000001a2b"));
}

#[test]
fn a_prompt_that_was_not_counted_is_estimated_and_says_so() {
    let mut record = with_tools();
    assert_eq!(told(&build(&record)[0], "pillion.prompt.t"), "okens=812 okens.estimated=false");
    record.reply.usage = Usage::default();
    assert_eq!(told(&build(&record)[0], "pillion.prompt.t"), "okens=830 okens.estimated=true");
    record.prompt_tokens = None;
    assert_eq!(told(&build(&record)[0], "pillion.prompt.t"), "");
}

#[test]
fn a_trimmed_prompt_says_what_was_taken_away_and_how() {
    let of = |messages: u64, texts: u64| Record { trim: Some(Trim { messages, texts, ..trim() }), ..once() };
    for (record, expected) in [
        (of(12, 2), "messages=12 strategy=shorten_and_drop tokens=34567"),
        (of(12, 0), "messages=12 strategy=drop tokens=34567"),
        (of(0, 2), "messages=0 strategy=shorten tokens=34567"),
        (once(), ""),
    ] {
        assert_eq!(told(&build(&record)[0], "pillion.trim."), expected);
    }
    let record = of(12, 2);
    let [event] = &build(&record)[0].events.events[..] else { panic!("one event") };
    assert_eq!((&*event.name, event.timestamp), ("pillion.trim", trim().at));
    let said: Vec<_> = event.attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    assert_eq!(said, ["messages=12", "texts=2", "tokens=34567"]);
}

#[test]
fn what_is_of_no_model_is_named_by_its_method_and_has_no_gen_ai() {
    let other = Record { dialect: None, call: Call::default(), agent: None, reply: crate::wire::Reply::default(), streamed: false, ..once() };
    let span = &build(&Record { method: http::Method::GET, ..other })[0];
    assert_eq!((&*span.name, told(span, "gen_ai.")), ("GET", String::new()));
}
