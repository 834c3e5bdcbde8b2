//! Promise: whatever is wrong with TLS on the way up, the agent is told what it is, in time, and nothing is tried again that would fail again.

use std::time::Duration;

use rcgen::date_time_ymd;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::sleep,
};

use crate::support::{Agent, Authority, Call, Reply, call, chat, peer, proxy, run};

fn up() -> Call {
    chat(false).at("/up/v1/chat/completions")
}

/// The reply of an upstream whose certificate is for `name` and changed so; `trusted` says whether we know its issuer.
async fn behind(name: &str, trusted: bool, change: fn(&mut rcgen::CertificateParams)) -> Reply {
    let (authority, other) = (Authority::new(), Authority::new());
    let acceptor = authority.acceptor_with(name, &["h2", "http/1.1"], change);
    let upstream = peer(move |stream, _| {
        let acceptor = acceptor.clone();
        async move { assert!(acceptor.accept(stream).await.is_err(), "the certificate is taken") }
    })
    .await;
    let known = if trusted { authority.file() } else { other.file() };
    let proxy = proxy().config(upstream.config("https", &format!(", ca: {known}"))).run();
    let reply = proxy.ask(&up()).await;
    assert_eq!(upstream.accepted(), 1, "it would be the same again");
    proxy.settle_as("upstream_error").await;
    reply
}

fn assert_tls(reply: &Reply, words: &str) {
    assert_eq!((reply.status, reply.refusal(), reply.header("x-pillion-attempts")), (502, Some("tls"), Some("1")), "{}", reply.text());
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    assert!(reply.text().contains(words), "{}", reply.text());
}

#[tokio::test]
async fn a_certificate_that_is_no_good_is_named_by_its_fault() {
    assert_tls(&behind("localhost", true, |params| params.not_after = date_time_ymd(2001, 1, 1)).await, "has expired");
    assert_tls(&behind("localhost", true, |params| params.not_before = date_time_ymd(2200, 1, 1)).await, "not valid yet");
    assert_tls(&behind("example.com", true, |_| {}).await, "another name than localhost");
    assert_tls(&behind("localhost", false, |_| {}).await, "upstreams.NAME.ca");
}

#[tokio::test]
async fn a_server_of_old_protocols_is_named() {
    let upstream = peer(|mut stream, _| async move {
        let mut scrap = [0; 4096];
        assert!(stream.read(&mut scrap).await.unwrap() > 0);
        // A fatal alert, protocol_version, in a record of TLS 1.1.
        stream.write_all(&[21, 3, 2, 0, 2, 2, 70]).await.unwrap();
    })
    .await;
    let proxy = proxy().config(upstream.config("https", "")).run();
    assert_tls(&proxy.ask(&up()).await, "TLS 1.2 and 1.3");
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn plain_http_on_the_https_port_is_named() {
    let upstream = peer(|mut stream, _| async move {
        let mut scrap = [0; 4096];
        assert!(stream.read(&mut scrap).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\ncanary").await.unwrap();
    })
    .await;
    let proxy = proxy().config(upstream.config("https", "")).run();
    let reply = proxy.ask(&up()).await;
    assert_tls(&reply, "begins with http://");
    assert!(!reply.text().contains("canary") && !proxy.log().contains("canary"));
}

#[tokio::test]
async fn tls_on_the_http_port_is_named() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("localhost", &["http/1.1"]);
    let upstream = peer(move |stream, _| {
        let acceptor = acceptor.clone();
        async move { assert!(acceptor.accept(stream).await.is_err(), "a request in the clear is a handshake") }
    })
    .await;
    let proxy = proxy().config(upstream.config("http", "")).run();
    let reply = proxy.ask(&up()).await;
    assert_eq!((reply.status, reply.refusal(), reply.header("x-pillion-attempts")), (502, Some("bad_response"), Some("1")), "{}", reply.text());
    assert!(reply.text().contains("try https://"), "{}", reply.text());
    proxy.settle_as("upstream_error").await;
}

#[tokio::test]
async fn a_handshake_that_stalls_or_dribbles_is_ended_by_connect() {
    for dribbles in [false, true] {
        let upstream = peer(move |mut stream, _| async move {
            let mut scrap = [0; 4096];
            assert!(stream.read(&mut scrap).await.unwrap() > 0);
            // A record of 16 KiB that never ends.
            let mut next = [22, 3, 3, 64, 0].into_iter().chain(std::iter::repeat(2));
            while let Some(byte) = next.next().filter(|_| dribbles) {
                sleep(Duration::from_millis(10)).await;
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
            let _ = stream.read(&mut scrap).await;
        })
        .await;
        let proxy = proxy().config(format!("{}timeouts: {{connect: 200ms}}", upstream.config("https", ""))).run();
        let reply = proxy.ask(&up()).await;
        assert_eq!((reply.status, reply.refusal(), reply.header("x-pillion-attempts")), (504, Some("timeout_connect"), Some("3")));
        assert!(reply.text().contains("in the TLS handshake"), "{}", reply.text());
        assert_eq!(upstream.accepted(), 3, "nothing was sent, so it is tried again");
        let metrics = proxy.settle_as("timeout").await;
        assert_eq!(metrics.count("pillion_timeouts_total", &[("clock", "connect")]), 3);
    }
}

#[tokio::test]
async fn the_roots_of_ssl_cert_file_are_trusted() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("localhost", &["http/1.1"]);
    let upstream = peer(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut scrap = [0; 4096];
            assert!(stream.read(&mut scrap).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
        }
    })
    .await;
    let binary = run().config(&upstream.config("https", "")).variable("SSL_CERT_FILE", authority.file()).ready().await;
    let mut agent = Agent::stranger(binary.traffic).await;
    let reply = agent.ask(&call("GET", "/up/v1/models")).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "{}"));
}
