//! Heads and bodies that two parsers read in two ways: refused by a bare 400, or exactly one well-formed request upstream. Never two.

use super::{Fate, fate};
use crate::support::{Proxy, agent, model, proxy};

/// What would be a second request to whoever reads the first one otherwise.
const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// One that is held, and one that is passed on as it comes.
const PATHS: [&str; 2] = ["/v1/chat/completions", "/echo"];

/// Sends `POST PATH` with what follows its `Host`, at both paths; what reached the model is one request with this body, or (`None`) nothing.
async fn check(rest: &str, expected: Option<&str>) {
    for path in PATHS {
        reaches(&format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{rest}"), expected).await;
    }
}

async fn reaches(bytes: &str, expected: Option<&str>) {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let fate = fate(&proxy, bytes).await;
    let seen: Vec<_> = model.requests().into_iter().filter(|seen| seen.target != "/v1/models/last").collect();
    let bodies: Vec<_> = seen.iter().map(|seen| (seen.body_complete, String::from_utf8_lossy(&seen.body).into_owned())).collect();
    let wanted: Vec<_> = expected.iter().map(|body| (true, (*body).to_owned())).collect();
    assert_eq!(bodies, wanted, "{bytes:?}: {fate:?}");
    assert_eq!(model.malformed(), 0, "{bytes:?}");
    assert_eq!(matches!(fate, Fate::Bare(_)), expected.is_none(), "{bytes:?}: {fate:?}");
    let told = proxy.metrics().await.value("pillion_refusals_total", &[("reason", "framing")]);
    assert_eq!(told > 0.0, expected.is_none(), "{bytes:?}: {told}");
}

#[tokio::test]
async fn a_length_beside_chunks_is_dropped_and_what_follows_is_no_second_request() {
    check(&format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}", HIDDEN.len() + 5), Some("")).await;
    check(&format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{HIDDEN}"), Some("{}")).await;
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_refused() {
    check(&format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()), None).await;
    check("Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", Some("{}")).await;
}

#[tokio::test]
async fn a_length_that_is_no_plain_number_is_refused() {
    for length in ["+5", "5,5", "5, 5", "5 5", "-5", "0x5", "5.0", "", "99999999999999999999", "\u{a0}5"] {
        check(&format!("Content-Length: {length}\r\n\r\nhello{HIDDEN}"), None).await;
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_exactly_chunked_is_refused() {
    for encoding in [
        ",chunked",
        "chunked,",
        "xchunked",
        "gzip, chunked",
        "chunked, chunked",
        "identity\r\nTransfer-Encoding: chunked",
        "chunked, identity",
        "chunkedx",
        "\"chunked\"",
        "identity",
        "chunked\r\nTransfer-Encoding: identity",
    ] {
        check(&format!("Transfer-Encoding: {encoding}\r\n\r\n0\r\n\r\n{HIDDEN}"), None).await;
    }
}

#[tokio::test]
async fn chunks_in_http_1_0_are_refused() {
    for path in PATHS {
        reaches(&format!("POST {path} HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"), None).await;
    }
}

#[tokio::test]
async fn headers_that_are_not_well_formed_are_refused() {
    let headers = [
        "X-A: one\r\n two",
        "X-A:\r\n\ttwo",
        "X-A: one\rtwo",
        "X-A: one\rTransfer-Encoding: chunked",
        "X-A: nul\0",
        "X\0A: one",
        "X A: one",
        "X-A : one",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
        ": nameless",
        "no colon",
        "\r: cr",
    ];
    for header in headers {
        check(&format!("{header}\r\nContent-Length: 2\r\n\r\n{{}}"), None).await;
    }
}

#[tokio::test]
async fn bare_line_feeds_end_lines_and_reach_the_upstream_as_one_request() {
    for path in PATHS {
        reaches(&format!("POST {path} HTTP/1.1\nHost: localhost\nContent-Length: 2\n\n{{}}"), Some("{}")).await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    for bytes in ["\x16\x03\x01\x02\0\x01\0\x01\u{fc}\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/3.7\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n"] {
        reaches(bytes, None).await;
    }
}

/// Sends the head of an upload in chunks and then `chunk`; says what the agent was told.
async fn chunk(proxy: &Proxy, path: &str, chunk: &str) -> Option<u16> {
    let mut agent = agent(proxy).await;
    agent.write(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n{chunk}{HIDDEN}")).await;
    let told = agent.fill_until(|bytes| std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()).await;
    agent.closed().await;
    told
}

#[tokio::test]
async fn a_body_whose_chunks_are_not_well_formed_is_never_completed_upstream() {
    for bad in ["zz\r\n", "0x2\r\n{}\r\n0\r\n\r\n", "-1\r\n", "10000000000000000\r\n", "2\r\n{}X0\r\n\r\n", "2 2\r\n{}\r\n0\r\n\r\n"] {
        for path in PATHS {
            let model = model("").await;
            let proxy = proxy().to(model.url()).run();
            let told = chunk(&proxy, path, bad).await;
            assert!(matches!(told, None | Some(400)), "{path} {bad:?}: {told:?}");
            assert!(model.requests().iter().all(|seen| !seen.body_complete && seen.target == path), "{path} {bad:?}: {:?}", model.requests());
            assert_eq!(model.malformed(), 0);
        }
    }
}
