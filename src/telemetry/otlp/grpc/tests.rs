//! Framing and endings, without a connection.

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;

use super::*;

fn received(status: u16, headers: &[(&'static str, &str)], trailers: &[(&'static str, &str)], body: &[u8]) -> Received {
    let map = |pairs: &[(&'static str, &str)]| pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
    Received { status: StatusCode::from_u16(status).unwrap(), headers: map(headers), body: Bytes::copy_from_slice(body), trailers: map(trailers) }
}

const HEAD: [(&str, &str); 1] = [("content-type", "application/grpc+proto")];

/// `google.rpc.Status` with one detail of this type, in base64.
fn details(kind: &str, seconds: i64, nanoseconds: i32) -> String {
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let mut delay = Vec::new();
    prost::encoding::int64::encode(1, &seconds, &mut delay);
    prost::encoding::int32::encode(2, &nanoseconds, &mut delay);
    let any = [field(1, format!("type.googleapis.com/{kind}").as_bytes()), field(2, &field(1, &delay))].concat();
    BASE64.encode([&[8, 8], &field(2, b"slow down")[..], &field(3, &any)].concat())
}

fn again(trailers: &[(&'static str, &str)]) -> Again {
    match ending(&received(200, &HEAD, trailers, b"")) {
        Ending::Refused { again, .. } => again,
        Ending::Taken(_) => panic!("{trailers:?} is no success"),
    }
}

#[test]
fn only_what_otlp_calls_retryable_is_repeated() {
    for code in 1..=20 {
        let expected = if [1, 4, 10, 11, 14, 15].contains(&code) { Again::AfterBackoff } else { Again::Never };
        assert_eq!(again(&[("grpc-status", &code.to_string())]), expected, "{code}");
    }
    for nonsense in ["", "-1", "fourteen", "14 "] {
        assert_eq!(again(&[("grpc-status", nonsense)]), Again::Never, "{nonsense:?}");
    }
    assert_eq!(again(&[]), Again::Never);
}

#[test]
fn a_stated_wait_makes_exhaustion_retryable_and_is_kept() {
    let with = |code: &str, details: &str| again(&[("grpc-status", code), ("grpc-status-details-bin", details)]);
    let stated = details("google.rpc.RetryInfo", 2, 500_000_000);
    let wait = Again::After(Duration::from_millis(2500));
    assert_eq!((with("8", &stated), with("14", &stated), with("3", &stated)), (wait, wait, Again::Never));
    assert_eq!(with("8", stated.trim_end_matches('=')), wait, "without padding");
    assert_eq!(with("8", &details("google.rpc.RetryInfo", 0, 0)), Again::After(Duration::ZERO));
    assert_eq!(with("8", &details("google.rpc.RetryInfo", -1, 0)), Again::Never, "no time at all");
    assert_eq!(with("8", &details("google.rpc.DebugInfo", 1, 0)), Again::Never);
    for nonsense in ["", "*", "AAAA", "//////", &"A".repeat(9999)] {
        assert_eq!((with("8", nonsense), with("14", nonsense)), (Again::Never, Again::AfterBackoff), "{nonsense:?}");
    }
}

#[test]
fn the_status_is_read_from_the_head_where_there_is_nothing_else() {
    let head = [HEAD[0], ("grpc-status", "7"), ("grpc-message", "no%20key%0Afor you")];
    let why = "gRPC status PERMISSION_DENIED: no key for you".to_owned();
    assert_eq!(ending(&received(200, &head, &[], b"")), Ending::Refused { why, again: Again::Never });
    let head = [HEAD[0], ("grpc-status", "16"), ("grpc-message", &"ä%20".repeat(100))];
    let Ending::Refused { why, .. } = ending(&received(200, &head, &[], b"")) else { panic!("refused") };
    assert!(why.len() < 300, "{why}");
}

#[test]
fn who_speaks_no_grpc_is_told_from_who_does() {
    for (status, head, again) in
        [(404, &[][..], Again::Never), (200, &[("content-type", "text/html")], Again::Never), (503, &HEAD, Again::AfterBackoff)]
    {
        let why = format!("status {status} of HTTP, and no gRPC; {}", other_protocol(Protocol::Grpc));
        assert_eq!(ending(&received(status, head, &[], b"<html>")), Ending::Refused { why, again });
    }
    let cut = Ending::Refused { why: "the receiver's answer has no gRPC status".to_owned(), again: Again::Never };
    assert_eq!(ending(&received(200, &HEAD, &[], b"")), cut);
}

#[test]
fn a_message_is_taken_out_of_its_frame_if_it_is_whole() {
    let partial = ExportTracePartialSuccess { rejected_spans: 3, error_message: "too old".to_owned() };
    let message = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let framed = frame(&message, false);
    let taken = |body: &[u8]| ending(&received(200, &HEAD, &[("grpc-status", "0")], body));
    assert_eq!(taken(&framed), Ending::Taken(message.into()));
    assert_eq!(framed[..5], [0, 0, 0, 0, u8::try_from(framed.len() - 5).unwrap()]);
    for end in 0..framed.len() {
        assert_eq!(taken(&framed[..end]), Ending::Taken(Bytes::new()), "{end}");
    }
    assert_eq!(taken(&frame(b"compressed, which nobody asked for", true)), Ending::Taken(Bytes::new()));
}

#[test]
fn a_timeout_is_told_in_eight_digits_at_most() {
    for (timeout, expected) in [(Duration::from_millis(1), "1m"), (Duration::from_secs(59_999), "59999000m"), (Duration::from_hours(168), "604800S")]
    {
        let mut headers = HeaderMap::new();
        add_headers(&mut headers, false, timeout);
        assert_eq!((&headers["grpc-timeout"], headers.get("grpc-encoding")), (&HeaderValue::from_static(expected), None));
    }
}
