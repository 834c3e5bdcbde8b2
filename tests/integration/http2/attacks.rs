//! Floods and bombs: they end the connection that sends them, cost next to nothing, and no other connection notices.

use std::time::Duration;

use tokio::time::Instant;

use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, Told, WINDOW_UPDATE, block, frame, hello, indexed, told,
    told_of,
};
use crate::support::{Agent, Binary, Streams, call, model, run};

/// How much a flood may cost.
const GROWTH_MAX: u64 = 10 << 20;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A whole request without a body on this stream.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block("GET", "/v1/models", &[]))
}

/// The head of a request with a body.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block("POST", "/v1/sink", &[]))
}

/// Sends `opening` and then `part(0)`, `part(1)` … until the proxy ends the connection or all are sent, while another agent goes on asking.
/// How it ended, and that it cost nothing.
async fn flood(opening: Vec<u8>, parts: u32, part: impl Fn(u32) -> Vec<u8>) -> Told {
    let model = model("").await;
    let binary = run().upstream(&model).ready().await;
    let other = Streams::stranger(binary.traffic).await;
    assert_eq!(other.ask(&call("GET", "/v1/models")).await.status, 200);
    let before = binary.resident();
    let mut agent = Agent::stranger(binary.traffic).await;
    agent.offer([hello(&[]), opening].concat()).await;
    let (mut most, mut slowest) = (before, Duration::ZERO);
    for first in (0..parts).step_by(1000) {
        let bytes: Vec<u8> = (first..parts.min(first + 1000)).flat_map(&part).collect();
        if !agent.offer(bytes).await {
            break;
        }
        let since = Instant::now();
        assert_eq!(other.ask(&call("GET", "/v1/models")).await.status, 200, "the other agent");
        slowest = slowest.max(since.elapsed());
        most = most.max(binary.resident());
    }
    assert!(slowest < Duration::from_secs(2), "the other agent waited {slowest:?}");
    let told = told_of(&mut agent, |told| matches!(told, Told::Goaway(_) | Told::Closed)).await;
    settled(&binary, &other).await;
    most = most.max(binary.resident());
    assert!(most - before < GROWTH_MAX, "{} kB", (most - before) >> 10);
    told
}

/// Nothing is left of the flood but the other agent, who is still served.
async fn settled(binary: &Binary, other: &Streams) {
    assert_eq!(other.ask(&call("GET", "/v1/models")).await.status, 200);
    let quiet = |metrics: &crate::support::Metrics| {
        metrics.count("pillion_exchanges_in_flight", &[]) == 0 && metrics.count("pillion_connections", &[("side", "downstream")]) <= 2
    };
    let deadline = Instant::now() + crate::support::PATIENCE;
    while !quiet(&crate::support::Metrics::scrape(binary.admin).await) {
        assert!(Instant::now() < deadline, "the flood's connection is still there");
    }
}

/// Whether a flood was answered as it should: a reset of the socket may overtake the GOAWAY while the flood is still being written.
fn is_calm(told: Told) -> bool {
    matches!(told, Told::Goaway(ENHANCE_YOUR_CALM) | Told::Closed)
}

#[tokio::test]
async fn a_hundred_thousand_rapid_resets() {
    let told = flood(Vec::new(), 100_000, |nth| {
        let stream = 2 * nth + 1;
        [get(stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    })
    .await;
    assert!(is_calm(told), "{told:?}");
}

#[tokio::test]
async fn a_head_that_never_ends() {
    let opening = frame(HEADERS, 0, 1, &block("GET", "/", &[]));
    let told = flood(opening, 2_000, |nth| frame(CONTINUATION, 0, 1, &indexed(&format!("x-{nth}"), &"y".repeat(10_000)))).await;
    assert!(is_calm(told) || told == Told::Goaway(PROTOCOL_ERROR), "{told:?}");
    let opening = frame(HEADERS, 0, 1, &block("GET", "/", &[]));
    let told = flood(opening, 100_000, |_| frame(CONTINUATION, 0, 1, b"")).await;
    assert!(is_calm(told), "{told:?}");
}

#[tokio::test]
async fn a_hundred_thousand_empty_data_frames() {
    let told = flood(post(1), 100_000, |_| frame(DATA, 0, 1, b"")).await;
    assert!(is_calm(told), "{told:?}");
}

#[tokio::test]
async fn a_hundred_thousand_settings_or_pings() {
    let told = flood(Vec::new(), 100_000, |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])).await;
    assert!(is_calm(told), "{told:?}");
    let told = flood(Vec::new(), 100_000, |_| frame(PING, 0, 0, &[7; 8])).await;
    assert!(is_calm(told), "{told:?}");
    let told = flood(Vec::new(), 100_000, |_| frame(0xbe, 0, 0, b"")).await;
    assert!(is_calm(told), "{told:?}");
}

#[tokio::test]
async fn a_hundred_thousand_streams_that_we_have_to_reset() {
    // A window update of 0 is an error of its stream (CVE-2025-8671).
    let told = flood(Vec::new(), 100_000, |nth| {
        let stream = 2 * nth + 1;
        [post(stream), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
    })
    .await;
    assert!(is_calm(told) || told == Told::Goaway(PROTOCOL_ERROR), "{told:?}");
}

#[tokio::test]
async fn a_bomb_of_headers() {
    // One entry of 4 kB in the table, named sixteen thousand times a request.
    let bomb = |nth: u32| {
        let stream = 2 * nth + 1;
        let start = if nth == 0 { indexed("x", &"y".repeat(3_900)) } else { Vec::new() };
        let block = [block("GET", "/v1/models", &[]), start, vec![0xbe; 12_000]].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
    };
    flood(Vec::new(), 300, bomb).await;
}

#[tokio::test]
async fn windows_that_never_open_are_waited_for_no_longer_than_a_reader() {
    let model = model("").await;
    let binary = run().upstream(&model).config("timeouts: {reader: 500ms}").ready().await;
    let before = binary.resident();
    let mut agent = Agent::stranger(binary.traffic).await;
    agent.write(hello(&[(4, 0)])).await;
    for nth in 0..200 {
        agent.write(frame(HEADERS, END_HEADERS | END_STREAM, 2 * nth + 1, &block("GET", "/v1/bytes/1000000", &[]))).await;
    }
    let mut reset = 0;
    while reset < 200 {
        match told(&mut agent).await {
            Told::Reset(_, code) => reset += u32::from(code == 8),
            Told::Reply(_) => {}
            other => panic!("{other:?} after {reset}"),
        }
    }
    assert!(binary.resident() - before < 200 * (128 << 10), "{} kB", (binary.resident() - before) >> 10);
}

/// How one stream or connection ends that sends this after its opening.
async fn answered(bytes: Vec<u8>) -> Told {
    let model = model("").await;
    let binary = run().upstream(&model).ready().await;
    let mut agent = Agent::stranger(binary.traffic).await;
    agent.write([hello(&[]), frame(SETTINGS, ACK, 0, b""), bytes].concat()).await;
    told(&mut agent).await
}

fn headers(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(method, path, headers))
}

#[tokio::test]
async fn what_is_against_the_protocol_is_an_error_of_its_stream_or_connection() {
    let malformed = Told::Reset(1, PROTOCOL_ERROR);
    for (bytes, expected, what) in [
        (headers("GET", "/v1/models", &[]), Told::Reply(1), "nothing wrong"),
        (headers("GET", "/v1/models", &[("X-Upper", "1")]), malformed, "an upper-case name"),
        (headers("GET", "/v1/models", &[("connection", "close")]), malformed, "connection"),
        (headers("GET", "/v1/models", &[("transfer-encoding", "chunked")]), malformed, "transfer-encoding"),
        (headers("GET", "/v1/models", &[("te", "gzip")]), malformed, "te"),
        (headers("GET", "/v1/models", &[("te", "trailers")]), Told::Reply(1), "te: trailers"),
        (headers("GET", "/v1/models", &[(":path", "/two")]), malformed, "a pseudo-header behind the others"),
        (headers("GET", "/v1/models", &[("x", "a\r\nb: c")]), malformed, "a line break in a value"),
        (headers("GET", "/v1/models", &[("x", "a\0b")]), malformed, "a zero in a value"),
        (headers("GET", "", &[]), malformed, "no path"),
        (headers("GET", "/v1/models", &[(":odd", "1")]), malformed, "an unknown pseudo-header"),
        (
            [
                frame(HEADERS, END_HEADERS, 1, &block("POST", "/v1/chat/completions", &[("content-length", "9")])),
                frame(DATA, END_STREAM, 1, b"short"),
            ]
            .concat(),
            malformed,
            "less than its length",
        ),
        (
            [
                frame(HEADERS, END_HEADERS, 1, &block("POST", "/v1/chat/completions", &[("content-length", "2")])),
                frame(DATA, END_STREAM, 1, b"longer"),
            ]
            .concat(),
            malformed,
            "more than its length",
        ),
        (
            [post(1), frame(WINDOW_UPDATE, 0, 1, &0x7fff_ffff_u32.to_be_bytes())].concat(),
            Told::Reset(1, FLOW_CONTROL_ERROR),
            "a stream's window overflows",
        ),
        (frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()), Told::Goaway(FLOW_CONTROL_ERROR), "the connection's window overflows"),
        (frame(DATA, 0, 0, b"x"), Told::Goaway(PROTOCOL_ERROR), "data on no stream"),
        (frame(HEADERS, END_HEADERS, 2, &block("GET", "/", &[])), Told::Goaway(PROTOCOL_ERROR), "a stream of an even number"),
    ] {
        let told = answered(bytes).await;
        // Where a whole connection goes for one malformed request, that is allowed as well (RFC 9113 §5.4.1).
        let stricter = expected == malformed && told == Told::Goaway(PROTOCOL_ERROR);
        assert!(told == expected || stricter, "{what}: {told:?} instead of {expected:?}");
    }
}
