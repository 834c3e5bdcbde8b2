//! Every span ends in exactly one state, whatever the receiver does.

use std::{collections::HashMap, io, net::SocketAddr, thread, time::Duration};

use hyper::body::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use tokio::time::Instant;

use super::StartError;
use crate::{
    config::{self, Protocol},
    secret::Secret,
    telemetry::{
        Telemetry,
        fixture::{attempt, otlp, record},
        names::{AttemptResult, SCHEMA_URL},
        record::Record,
        trace::TraceContext,
    },
};

mod conventions;
mod grpc;
mod receiver;
mod tls;

use receiver::{Receiver, Step, ok};

fn config(receiver: &Receiver) -> config::Telemetry {
    at(receiver.address, receiver.protocol)
}

fn at(address: SocketAddr, protocol: Protocol) -> config::Telemetry {
    let endpoint = match protocol {
        Protocol::HttpProtobuf => format!("http://{address}/v1/traces"),
        Protocol::Grpc => format!("http://{address}"),
    };
    let headers = vec![("x-api-key".to_owned(), Secret::new("sk-100%25-canary"))];
    let otlp = config::Otlp { protocol, headers, ..otlp(endpoint) };
    config::Telemetry { otlp: Some(otlp), ..config::Telemetry::default() }
}

fn start(config: &config::Telemetry) -> Telemetry {
    Telemetry::start(config, Box::new(io::sink())).unwrap()
}

/// An exchange of one span.
fn plain() -> Record {
    Record { attempts: vec![attempt(AttemptResult::Success, Some(200))], trace: TraceContext::new_root(), ..record() }
}

fn counts(telemetry: &Telemetry) -> HashMap<&'static str, u64> {
    telemetry.inner.otlp.as_ref().unwrap().shared.counts.by_state().into_iter().collect()
}

/// Exported, dropped, failed, sampled out.
fn check(telemetry: &Telemetry, expected: [u64; 4]) {
    let counts = counts(telemetry);
    assert_eq!(["exported", "dropped", "failed", "sampled_out"].map(|state| counts[state]), expected);
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> &'a str {
    let found = attributes.iter().find(|pair| pair.key == name).unwrap_or_else(|| panic!("{name} is missing"));
    match found.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text,
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn the_receiver_gets_the_span_with_its_resource_and_schema() {
    let receiver = Receiver::start(&[ok()]);
    let telemetry =
        start(&config::Telemetry { resource: vec![("service.name".into(), "mine".into()), ("team".into(), "a".into())], ..config(&receiver) });
    let trace = TraceContext { trace_id: 0x1234, span_id: 0x56, parent_id: Some(0x78), flags: 1 };
    telemetry.report(Record { trace, ..record() });
    let (headers, mut request) = receiver.next();
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [3, 0, 0, 0]);

    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["x-api-key"], "sk-100%25-canary", "as configured, not decoded");
    assert!(headers["user-agent"].to_str().unwrap().starts_with("pillion/"));
    let resource = request.resource_spans.remove(0);
    let attributes = resource.resource.unwrap().attributes;
    assert_eq!((resource.schema_url.as_str(), text(&attributes, "service.name"), text(&attributes, "team")), (SCHEMA_URL, "mine", "a"));
    assert_eq!((text(&attributes, "service.version"), text(&attributes, "service.instance.id").len()), (env!("CARGO_PKG_VERSION"), 36));
    assert_eq!(attributes.len(), 4);
    let spans: &[Span] = &resource.scope_spans[0].spans;
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["chat gpt-4o", "POST", "POST"]);
    let exchange = &spans[0];
    assert_eq!(exchange.trace_id, 0x1234_u128.to_be_bytes());
    assert_eq!((&exchange.span_id[..], &exchange.parent_span_id[..]), (&0x56_u64.to_be_bytes()[..], &0x78_u64.to_be_bytes()[..]));
    assert_eq!(exchange.kind(), SpanKind::Client);
    assert_eq!(exchange.end_time_unix_nano - exchange.start_time_unix_nano, 1_240_000_000);
    assert_eq!(text(&exchange.attributes, "gen_ai.agent.name"), "planner");
    assert!(spans[1..].iter().all(|span| span.parent_span_id == exchange.span_id));
}

#[test]
fn a_black_holed_receiver_holds_nobody_up_and_every_span_is_counted() {
    let receiver = Receiver::start(&[Step::Hang]);
    let mut config = config(&receiver);
    config.otlp.as_mut().unwrap().timeout = Duration::from_millis(200);
    let telemetry = start(&config);
    let records: Vec<Record> = (0..6000).map(|_| plain()).collect();
    let started = Instant::now();
    for record in records {
        telemetry.report(record);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(telemetry.inner.otlp.as_ref().unwrap().shared.queue.weight() <= 2048);
    let stopping = Instant::now();
    telemetry.shutdown(Duration::from_millis(700));
    assert!(stopping.elapsed() < Duration::from_millis(1500), "{:?}", stopping.elapsed());
    let counts = counts(&telemetry);
    assert_eq!(counts["exported"], 0);
    assert_eq!(counts["dropped"] + counts["failed"], 6000, "{counts:?}");
    assert!(counts["dropped"] >= 6000 - 2048 - 512 && counts["failed"] >= 512, "{counts:?}");
}

#[test]
fn a_flush_ends_in_two_seconds_whatever_is_asked() {
    let receiver = Receiver::start(&[Step::Hang]);
    let telemetry = start(&config(&receiver));
    telemetry.report(plain());
    let started = Instant::now();
    telemetry.shutdown(Duration::from_mins(1));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    check(&telemetry, [0, 0, 1, 0]);
    telemetry.report(plain());
    check(&telemetry, [0, 1, 1, 0]);
}

#[test]
fn a_receiver_that_is_not_there_costs_its_spans_and_one_line_a_minute() {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let (telemetry, page) =
        crate::telemetry::tests::logged(&config::Telemetry { log_level: config::LogLevel::Warn, ..at(nowhere, Protocol::HttpProtobuf) });
    for _ in 0..3 {
        telemetry.report(plain());
        let settled = || counts(&telemetry)["failed"];
        let before = settled();
        let until = Instant::now() + Duration::from_secs(20);
        while settled() == before && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
    }
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [0, 0, 3, 0]);
    let text = page.text();
    assert_eq!(text.matches("cannot export spans").count(), 1, "{text}");
    assert!(text.contains("Connection refused") && !text.contains("canary"), "{text}");
}

#[test]
fn what_is_retryable_is_sent_again_unchanged() {
    let receiver = Receiver::start(&[Step::Answer(503, &[("retry-after", "0")], Bytes::new()), Step::Answer(429, &[], Bytes::new()), ok()]);
    let telemetry = start(&config(&receiver));
    telemetry.report(plain());
    let tries = [receiver.next(), receiver.next(), receiver.next()].map(|(_, request)| request);
    telemetry.shutdown(Duration::from_secs(2));
    assert!(tries[0] == tries[1] && tries[1] == tries[2]);
    check(&telemetry, [1, 0, 0, 0]);
}

#[test]
fn what_is_not_retryable_fails_at_once_and_retries_are_bounded() {
    for (status, tries) in [(400, 1), (500, 1), (503, 4)] {
        let receiver = Receiver::start(&[Step::Answer(status, &[("retry-after", "0")], Bytes::new())]);
        let telemetry = start(&config(&receiver));
        telemetry.report(plain());
        (0..tries).for_each(|_| drop(receiver.next()));
        telemetry.shutdown(Duration::from_secs(2));
        assert!(receiver.requests.try_recv().is_err(), "{status}");
        check(&telemetry, [0, 0, 1, 0]);
    }
}

#[test]
fn spans_that_the_receiver_refuses_have_failed() {
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() };
    let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let receiver = Receiver::start(&[Step::Answer(200, &[], body.into())]);
    let telemetry = start(&config(&receiver));
    (0..5).for_each(|_| telemetry.report(plain()));
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [3, 0, 2, 0]);
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let receiver = Receiver::start(&[Step::Answer(200, &[], Bytes::from(vec![0x0a; 64 << 20])), ok()]);
    let telemetry = start(&config(&receiver));
    telemetry.report(plain());
    receiver.next();
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [1, 0, 0, 0]);
}

#[test]
fn what_is_sampled_out_is_counted_and_not_sent() {
    let receiver = Receiver::start(&[ok()]);
    let telemetry = start(&config::Telemetry { sample: 0.0, ..config(&receiver) });
    telemetry.report(record());
    telemetry.report(Record { outcome: crate::telemetry::names::Outcome::Cut, ..record() });
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [3, 0, 0, 3]);
}

#[test]
fn reports_of_many_threads_end_in_exactly_one_state_each() {
    let receiver = Receiver::start(&[Step::Answer(500, &[], Bytes::new()), ok()]);
    let telemetry = start(&config(&receiver));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for index in 0..2000 {
                    telemetry.report(plain());
                    if index % 500 == 0 {
                        thread::sleep(Duration::from_millis(50));
                    }
                }
            });
        }
    });
    telemetry.shutdown(Duration::from_secs(2));
    let counts = counts(&telemetry);
    assert_eq!(counts.values().sum::<u64>(), 8000, "{counts:?}");
    assert!(counts["exported"] > 0 && counts["failed"] > 0, "{counts:?}");
    let sent: usize = receiver.requests.try_iter().map(|(_, body)| spans(&body)).sum();
    assert_eq!(u64::try_from(sent).unwrap(), counts["exported"] + counts["failed"]);
}

fn spans(body: &Bytes) -> usize {
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    request.resource_spans.iter().flat_map(|resource| &resource.scope_spans).map(|scope| scope.spans.len()).sum()
}

#[test]
fn tls_to_a_receiver_that_speaks_none_fails_and_is_counted() {
    let receiver = Receiver::start(&[ok()]);
    let mut config = config(&receiver);
    let otlp = config.otlp.as_mut().unwrap();
    (otlp.endpoint, otlp.timeout) = (otlp.endpoint.replace("http:", "https:"), Duration::from_secs(1));
    let telemetry = start(&config);
    telemetry.report(plain());
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [0, 0, 1, 0]);
    assert!(receiver.requests.try_recv().is_err());
}

#[test]
fn settings_that_cannot_work_are_told_without_their_secrets() {
    let with = |endpoint: &str, header: (&str, &str)| {
        let otlp = config::Otlp { headers: vec![(header.0.to_owned(), Secret::new(header.1))], ..otlp(endpoint.to_owned()) };
        let error = Telemetry::start(&config::Telemetry { otlp: Some(otlp), ..config::Telemetry::default() }, Box::new(io::sink())).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        error
    };
    for endpoint in ["", "127.0.0.1:4318", "ftp://canary@host/", "http://", "not a url"] {
        assert!(matches!(with(endpoint, ("a", "b")), StartError::Endpoint), "{endpoint}");
    }
    assert!(matches!(with("http://localhost/v1/traces", ("a b", "canary")), StartError::Header { .. }));
    assert!(matches!(with("http://localhost/v1/traces", ("a", "canary\n")), StartError::Header { .. }));
}

#[test]
fn the_programs_own_spans_are_exported_and_counted_and_nobody_elses() {
    let receiver = Receiver::start(&[ok()]);
    let telemetry = start(&config(&receiver));
    tracing::subscriber::with_default(telemetry.subscriber(), || {
        tracing::info_span!("drain").in_scope(|| {
            tracing::warn!(grace = ?Duration::from_secs(30), "exchanges are cut");
            tracing::debug!("not at this level");
            tracing::info_span!(target: "h2::client", "poll").in_scope(|| tracing::warn!(target: "hyper", "not of ours"));
            tracing::debug_span!("detail").in_scope(|| ());
        });
        telemetry.report(plain());
        let (_, mut request) = receiver.next();
        telemetry.shutdown(Duration::from_secs(2));
        check(&telemetry, [2, 0, 0, 0]);
        let mut scopes = request.resource_spans.remove(0).scope_spans;
        assert_eq!((scopes.len(), scopes[0].scope.as_ref().unwrap().name.as_str()), (1, "pillion"));
        let spans = scopes.remove(0).spans;
        assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["drain", "chat gpt-4o"]);
        let drain = &spans[0];
        assert_eq!((drain.kind(), drain.parent_span_id.len(), drain.trace_id.len()), (SpanKind::Internal, 0, 16));
        let events: Vec<_> = drain.events.iter().map(|event| (event.name.as_str(), text(&event.attributes, "grace"))).collect();
        assert_eq!(events, [("exchanges are cut", "30s")]);
        assert!(drain.attributes.is_empty(), "{:?}", drain.attributes);
        // What ends when nobody exports any more is not forgotten.
        drop(tracing::info_span!("late"));
        check(&telemetry, [2, 1, 0, 0]);
    });
}
