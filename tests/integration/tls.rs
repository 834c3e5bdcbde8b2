//! Promise: with `server.tls` agents connect by TLS, by either protocol, and a certificate that is renewed is used without a restart.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};

use crate::support::{Agent, End, PATIENCE, Pair, Streams, ask_over, call, chat, model, proxy, run, streams_over, tls_config, verb};

#[tokio::test]
async fn both_protocols_are_agreed_on_and_carried() {
    let (pair, model) = (Pair::new(), model("").await);
    let folder = pair.folder();
    let proxy = proxy().to(model.url()).config(tls_config(folder.path())).run();
    for (offered, agreed) in [(&["h2", "http/1.1"][..], Some("h2")), (&["h2"], Some("h2"))] {
        let stream = pair.connect(&proxy, offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed.map(str::as_bytes));
        let many = streams_over(&proxy, stream).await;
        for streamed in [false, true] {
            let reply = many.ask(&chat(streamed)).await;
            assert_eq!((reply.status, reply.end), (200, End::Whole));
        }
    }
    for (offered, agreed) in [(&["http/1.1"][..], Some("http/1.1")), (&[], None)] {
        let stream = pair.connect(&proxy, offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed.map(str::as_bytes));
        let reply = ask_over(&proxy, stream, &chat(true)).await;
        assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("0\r\n\r\n") && reply.contains("[DONE]"), "{reply}");
    }
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn bodies_of_any_size_arrive_whole() {
    let (pair, model) = (Pair::new(), model("").await);
    let folder = pair.folder();
    let proxy = proxy().to(model.url()).config(tls_config(folder.path())).run();
    let body = vec![b'x'; 3_000_000];
    let sink = call("POST", "/v1/sink").body(body);
    let many = streams_over(&proxy, pair.connect(&proxy, &["h2"]).await.unwrap()).await;
    let one = many.ask(&sink).await;
    let other = ask_over(&proxy, pair.connect(&proxy, &[]).await.unwrap(), &sink).await;
    assert_eq!((one.status, one.json()["bytes"].as_u64()), (200, Some(3_000_000)), "{}", one.text());
    assert!(other.ends_with(&one.text()), "{other}");
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn what_is_no_tls_is_counted_and_closed_and_who_only_looks_is_not() {
    let (pair, model) = (Pair::new(), model("").await);
    let folder = pair.folder();
    let proxy = proxy().to(model.url()).config(tls_config(folder.path())).run();
    Agent::stranger(proxy.traffic()).await.hang_up();
    let mut plain = Agent::stranger(proxy.traffic()).await;
    plain.write("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(plain.closed().await != End::Open);
    assert!(Pair::new().connect(&proxy, &[]).await.is_err(), "who does not trust it goes");
    let metrics = proxy.metrics_until("two failures", |metrics| metrics.count("pillion_refusals_total", &[("reason", "framing")]) == 2).await;
    assert_eq!(metrics.count("pillion_exchanges_total", &[]), 0);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_waited_for_ten_seconds() {
    let (pair, model) = (Pair::new(), model("").await);
    let folder = pair.folder();
    let proxy = proxy().to(model.url()).config(tls_config(folder.path())).run();
    let (mut silent, mut slow) = (Agent::stranger(proxy.traffic()).await, Agent::stranger(proxy.traffic()).await);
    slow.write([22, 3, 1, 0]).await;
    let since = Instant::now();
    assert_ne!((silent.closed().await, slow.closed().await), (End::Open, End::Open));
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&since.elapsed()), "{:?}", since.elapsed());
    proxy.metrics_until("two slow ones", |metrics| metrics.count("pillion_refusals_total", &[("reason", "slow_head")]) == 2).await;
}

/// Points `..data` at another folder, as Kubernetes does.
fn swap(root: &Path, to: &str) {
    symlink(to, root.join("..next")).unwrap();
    fs::rename(root.join("..next"), root.join("..data")).unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart_and_a_bad_one_is_said_once() {
    let (first, second, root) = (Pair::new(), Pair::new(), tempfile::tempdir().unwrap());
    first.write(&root.path().join("v1"), None);
    second.write(&root.path().join("v2"), None);
    first.write(&root.path().join("v3"), Some(&second));
    swap(root.path(), "v1");
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), root.path().join(file)).unwrap();
    }
    let model = model("").await;
    let mut binary = run().upstream(&model).config(&tls_config(root.path())).ready().await;
    let at = binary.traffic;
    let old = Streams::over(first.connect_to(at, &["h2"]).await.unwrap(), Default::default()).await;
    swap(root.path(), "v2");
    let deadline = Instant::now() + PATIENCE;
    while second.connect_to(at, &[]).await.is_err() {
        assert!(Instant::now() < deadline, "the new certificate is not used");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(old.ask(&chat(false)).await.status, 200, "who is connected stays so");
    swap(root.path(), "v3");
    binary.says("cannot be used").await;
    // Long enough for one more look.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(binary.said().iter().filter(|line| line.contains("cannot be used")).count(), 1, "{:#?}", binary.said());
    assert!(second.connect_to(at, &[]).await.is_ok(), "the old one stays");
}

#[tokio::test]
async fn a_pair_that_cannot_be_used_is_an_error_of_the_config_at_its_line() {
    let (pair, other, folder) = (Pair::new(), Pair::new(), tempfile::tempdir().unwrap());
    pair.write(folder.path(), Some(&other));
    fs::write(folder.path().join("empty"), "").unwrap();
    let at = |cert: &str, key: &str| {
        let path = folder.path().display();
        format!("server:\n  tls:\n    cert: {path}/{cert}\n    key: {path}/{key}\n")
    };
    for (config, expected) in [
        (at("tls.crt", "tls.key"), "pillion.yaml:4: server.tls.key: the key in "),
        (at("empty", "tls.key"), "pillion.yaml:3: server.tls.cert: "),
        (at("tls.crt", "empty"), "pillion.yaml:4: server.tls.key: "),
        (at("none", "tls.key"), "pillion.yaml:3: server.tls.cert: "),
        ("server:\n  tls: {cert: x.pem}\n".to_owned(), "pillion.yaml:2: server.tls.key: is missing"),
    ] {
        let ended = verb("check").config(&config).ended().await;
        assert_eq!(ended.code, Some(2), "{config}");
        assert!(ended.stderr.contains(expected) && ended.stderr.lines().count() == 1, "{config}: {}", ended.stderr);
    }
    pair.write(folder.path(), None);
    let ended = verb("check").config(&at("tls.crt", "tls.key")).ended().await;
    assert!(ended.code == Some(0) && ended.stdout.contains("/tls.crt ") && ended.stdout.contains("file:3"), "{}", ended.stdout);
}

#[tokio::test]
async fn a_program_that_is_run_finds_an_https_url() {
    let pair = Pair::new();
    let folder = pair.folder();
    let script = ["--", "bash", "-c", "echo $OPENAI_BASE_URL $ANTHROPIC_BASE_URL"].map(str::to_owned);
    let ended = run().config(&tls_config(folder.path())).arguments(script).ended().await;
    let words: Vec<&str> = ended.stdout.split_whitespace().collect();
    assert!(words[0].starts_with("https://127.0.0.1:") && words[0] == format!("{}/v1", words[1]), "{} {}", ended.stdout, ended.stderr);
}

#[tokio::test]
async fn a_broken_reply_without_a_length_does_not_look_whole() {
    let upstream = crate::support::upstream(|mut wire: crate::support::Wire| async move {
        wire.request().await;
        wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
        wire.fin().await;
    })
    .await;
    let pair = Pair::new();
    let folder = pair.folder();
    let proxy = proxy().to(upstream.url()).config(tls_config(folder.path())).run();
    let mut stream = pair.connect(&proxy, &[]).await.unwrap();
    proxy.asks();
    stream.write_all(b"GET /x HTTP/1.0\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut reply = Vec::new();
    let ended = stream.read_to_end(&mut reply).await;
    assert!(ended.is_err(), "no close_notify, and a reset: {ended:?}");
    drop(stream);
    proxy.settle_as("cut").await;
}
