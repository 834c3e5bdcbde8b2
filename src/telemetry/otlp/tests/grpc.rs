//! The same promises over gRPC.

use std::{io, thread, time::Duration};

use hyper::body::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use tokio::time::Instant;

use super::{
    check, config, counts, plain,
    receiver::{Receiver, Step, grpc_ok, ok},
    start,
};
use crate::{
    config::{Compression, LogLevel, Telemetry as TelemetryConfig},
    telemetry::{Telemetry, tests::logged},
};

#[test]
fn the_receiver_gets_the_spans_in_a_call_of_grpc() {
    let receiver = Receiver::grpc(&[grpc_ok()]);
    let telemetry = start(&config(&receiver));
    telemetry.report(plain());
    let (headers, request) = receiver.next();
    telemetry.report(plain());
    receiver.next();
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [2, 0, 0, 0]);
    assert_eq!(request.resource_spans[0].scope_spans[0].spans[0].name, "chat gpt-4o");
    let told = ["content-type", "te", "grpc-timeout", "grpc-accept-encoding", "x-api-key"].map(|name| headers[name].to_str().unwrap());
    assert_eq!(told, ["application/grpc", "trailers", "10000m", "identity", "sk-100%25-canary"]);
    assert!(headers.get("grpc-encoding").is_none() && headers["user-agent"].to_str().unwrap().starts_with("pillion/"));
}

#[test]
fn what_is_compressed_is_the_same_and_less() {
    for (receiver, encoding) in [(Receiver::grpc(&[grpc_ok()]), "grpc-encoding"), (Receiver::start(&[ok()]), "content-encoding")] {
        let sent = |compression| {
            let mut config = config(&receiver);
            config.otlp.as_mut().unwrap().compression = compression;
            let telemetry = start(&config);
            (0..50).for_each(|_| telemetry.report(plain()));
            let (headers, request) = receiver.next();
            telemetry.shutdown(Duration::from_secs(2));
            let sent: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
            let spans = request.resource_spans[0].scope_spans[0].spans.len();
            assert_eq!(counts(&telemetry)["exported"], 50);
            (headers.get(encoding).map(|encoding| encoding.to_str().unwrap().to_owned()), sent / spans)
        };
        let (none, plain) = sent(Compression::None);
        let (gzip, compressed) = sent(Compression::Gzip);
        assert_eq!((none, gzip.as_deref()), (None, Some("gzip")));
        assert!(compressed * 3 < plain, "{compressed} {plain}");
        while receiver.requests.try_recv().is_ok() {}
    }
}

#[test]
fn what_is_retryable_is_sent_again_unchanged() {
    let steps = [
        Step::Call(&[("grpc-status", "14")], Bytes::new()),
        // google.rpc.RetryInfo with a delay of 1 ms.
        Step::Call(
            &[("grpc-status", "8"), ("grpc-status-details-bin", "CAgaMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIQAQ")],
            Bytes::new(),
        ),
        Step::Answer(503, &[("content-type", "text/plain")], Bytes::from_static(b"no healthy upstream")),
        grpc_ok(),
    ];
    let receiver = Receiver::grpc(&steps);
    let telemetry = start(&config(&receiver));
    telemetry.report(plain());
    let tries = [receiver.next(), receiver.next(), receiver.next(), receiver.next()].map(|(_, request)| request);
    telemetry.shutdown(Duration::from_secs(2));
    assert!(tries.iter().all(|again| *again == tries[0]));
    check(&telemetry, [1, 0, 0, 0]);
}

#[test]
fn what_is_not_retryable_fails_at_once() {
    for trailers in [&[("grpc-status", "3")][..], &[("grpc-status", "8")], &[("grpc-status", "13")], &[]] {
        let receiver = Receiver::grpc(&[Step::Call(trailers, Bytes::new())]);
        let telemetry = start(&config(&receiver));
        telemetry.report(plain());
        receiver.next();
        telemetry.shutdown(Duration::from_secs(2));
        assert!(receiver.requests.try_recv().is_err(), "{trailers:?}");
        check(&telemetry, [0, 0, 1, 0]);
    }
}

#[test]
fn spans_that_the_receiver_refuses_have_failed() {
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() };
    let message = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let receiver = Receiver::grpc(&[Step::Call(&[("grpc-status", "0")], message.into())]);
    let telemetry = start(&config(&receiver));
    (0..5).for_each(|_| telemetry.report(plain()));
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [3, 0, 2, 0]);
}

#[test]
fn after_a_call_without_an_answer_another_connection_is_used() {
    let receiver = Receiver::grpc(&[Step::Hang, grpc_ok()]);
    let mut config = config(&receiver);
    config.otlp.as_mut().unwrap().timeout = Duration::from_millis(200);
    let telemetry = start(&config);
    telemetry.report(plain());
    receiver.next();
    let until = Instant::now() + Duration::from_secs(20);
    while counts(&telemetry)["failed"] == 0 && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    telemetry.report(plain());
    receiver.next();
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [1, 0, 1, 0]);
}

/// Receivers with a greatest age of connections say so at any time, and while nothing is exported nobody listens.
#[test]
fn a_connection_that_the_receiver_has_closed_costs_no_span() {
    let receiver = Receiver::grpc(&[Step::Last]);
    let telemetry = start(&config(&receiver));
    for exported in 1..=3 {
        telemetry.report(plain());
        receiver.next();
        let until = Instant::now() + Duration::from_secs(20);
        while counts(&telemetry)["exported"] < exported && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
    }
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [3, 0, 0, 0]);
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let receiver = Receiver::grpc(&[Step::Call(&[("grpc-status", "0")], Bytes::from(vec![0x0a; 64 << 20])), grpc_ok()]);
    let telemetry = start(&config(&receiver));
    telemetry.report(plain());
    receiver.next();
    telemetry.shutdown(Duration::from_secs(2));
    // How it would have ended stands behind what is not read.
    check(&telemetry, [0, 0, 1, 0]);
}

/// What the log says where `receiver` is asked in `protocol`, whatever it speaks.
fn complaint(receiver: &Receiver, config: TelemetryConfig) -> String {
    let (telemetry, page) = logged(&TelemetryConfig { log_level: LogLevel::Warn, ..config });
    telemetry.report(plain());
    telemetry.shutdown(Duration::from_secs(2));
    check(&telemetry, [0, 0, 1, 0]);
    assert!(receiver.requests.try_recv().is_err());
    page.text()
}

#[test]
fn who_speaks_the_wrong_protocol_is_told_of_the_other() {
    let (over_http, over_grpc) = (Receiver::start(&[ok()]), Receiver::grpc(&[grpc_ok()]));
    let with_endpoint_of = |receiver: &Receiver, mut config: TelemetryConfig| {
        let otlp = config.otlp.as_mut().unwrap();
        otlp.endpoint = format!("http://{}/v1/traces", receiver.address);
        otlp.timeout = Duration::from_secs(1);
        config
    };
    let text = complaint(&over_grpc, with_endpoint_of(&over_grpc, config(&over_http)));
    assert!(text.contains("set telemetry.otlp.protocol to grpc"), "{text}");
    let mut asked = with_endpoint_of(&over_http, config(&over_grpc));
    asked.otlp.as_mut().unwrap().endpoint = format!("http://{}", over_http.address);
    let text = complaint(&over_http, asked);
    assert!(text.contains("set telemetry.otlp.protocol to http/protobuf"), "{text}");
}

#[test]
fn reports_of_many_threads_end_in_exactly_one_state_each() {
    let receiver = Receiver::grpc(&[Step::Call(&[("grpc-status", "13")], Bytes::new()), grpc_ok()]);
    let telemetry = Telemetry::start(&config(&receiver), Box::new(io::sink())).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| telemetry.report(plain())));
        }
    });
    telemetry.shutdown(Duration::from_secs(2));
    let counts = counts(&telemetry);
    assert_eq!(counts.values().sum::<u64>(), 4000, "{counts:?}");
    assert!(counts["exported"] > 0 && counts["failed"] > 0, "{counts:?}");
}
