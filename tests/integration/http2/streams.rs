//! Streams: carried whole, ended broken when broken, cancelled and timed out one by one.

use std::time::Duration;

use h2::Reason;

use crate::support::{Asked, End, Reply, Wire, agent, all, call, chat, chunk, free, messages, model, proxy, sha256, sse_head, streams, upstream};

/// A first content.
const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";

#[tokio::test]
async fn both_protocols_are_served_on_one_port_with_the_same_bytes() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let many = streams(&proxy).await;
    for stream in [false, true] {
        let (one, other) = (proxy.ask(&chat(stream)).await, many.ask(&chat(stream)).await);
        assert_eq!((one.status, other.status, other.end), (200, 200, End::Whole));
        assert_eq!(one.events().len(), other.events().len());
        assert_eq!(one.header("content-type"), other.header("content-type"));
        assert!(other.header("x-pillion-exchange").is_some() && other.header("transfer-encoding").is_none() && other.header("connection").is_none());
    }
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_request_reaches_the_upstream_as_it_was_sent_and_without_what_belongs_to_http2() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write("HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 3\r\n\r\nyes").await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let call = call("PUT", "/v1/files?a=b%20c&d").header("te", "trailers").header("x-one", "1").header("x-one", "2").body("some bytes");
    let reply = streams(&proxy).await.ask(&call).await;
    assert_eq!((reply.status, reply.text().as_str(), reply.header("x-hop"), reply.header("x-end")), (200, "yes", None, Some("2")));
    let heard = upstream.only();
    assert_eq!((heard.line.as_str(), &heard.body[..]), ("PUT /v1/files?a=b%20c&d HTTP/1.1", &b"some bytes"[..]));
    let ones: Vec<_> = heard.headers.iter().filter(|(name, _)| name == "x-one").map(|(_, value)| value.as_str()).collect();
    assert_eq!(
        (ones, heard.header("te"), heard.header("host")),
        (vec!["1", "2"], Some("trailers"), Some(upstream.url().trim_start_matches("http://")))
    );
    assert!(!heard.headers.iter().any(|(name, _)| name.starts_with(':')));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn hundreds_of_streams_on_one_connection_arrive_whole() {
    let body: Vec<u8> = {
        let mut random = fastrand::Rng::with_seed(5);
        std::iter::repeat_with(|| random.u8(..)).take(300_000).collect()
    };
    let upstream = upstream(|mut wire: Wire| async move {
        while let Some(heard) = wire.request().await {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", heard.body.len());
            wire.write([head.as_bytes(), &heard.body].concat()).await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let many = streams(&proxy).await;
    let call = call("POST", "/echo").body(body.clone());
    let asked = all((0..200).map(|_| many.send(&call))).await;
    let replies = all(asked.into_iter().map(Asked::reply)).await;
    assert_eq!(replies.len(), 200);
    assert!(replies.iter().all(|reply| reply.end == End::Whole && sha256(&reply.body) == sha256(&body)));
    assert_eq!(many.most(), 256);
    proxy.settle_as("ok").await;
}

/// An upstream that answers with the beginning of a stream and then does what is left.
async fn begun(end: &'static str) -> crate::support::Upstream {
    upstream(move |mut wire: Wire| async move {
        wire.request().await;
        wire.write([sse_head().as_bytes(), &chunk(CONTENT)].concat()).await;
        match end {
            "rst" => wire.rst(),
            "fin" => wire.fin().await,
            _ => wire.until_gone().await,
        }
    })
    .await
}

#[tokio::test]
async fn a_broken_reply_is_told_by_an_event_and_ends_with_a_reset() {
    for end in ["rst", "fin"] {
        let upstream = begun(end).await;
        let proxy = proxy().to(upstream.url()).run();
        let many = streams(&proxy).await;
        for _ in 0..20 {
            let mut asked = many.send(&chat(true)).await;
            let mut reply = asked.head().await;
            asked.rest(&mut reply).await;
            assert_eq!((reply.end, asked.reset), (End::Rst, Some(Reason::INTERNAL_ERROR)), "{end}");
            assert_eq!(reply.last_event()["error"]["code"], "stream_cut", "{end}: {}", reply.text());
        }
        proxy.settle_as("cut").await;
    }
}

#[tokio::test]
async fn a_reply_of_a_stated_length_that_breaks_ends_with_a_reset() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it").await;
        wire.fin().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = streams(&proxy).await.ask(&call("GET", "/x")).await;
    assert_eq!((reply.status, reply.end, reply.text().as_str()), (200, End::Rst, "half of it"));
    proxy.settle_as("cut").await;
}

#[tokio::test]
async fn a_stream_that_is_reset_by_its_agent_ends_its_upstream_within_100_ms_and_no_other() {
    let mut upstream = begun("wait").await;
    let proxy = proxy().to(upstream.url()).run();
    let many = streams(&proxy).await;
    let mut stays = many.send(&chat(true)).await;
    let head = stays.head().await;
    let mut waited = Vec::new();
    for _ in 0..9 {
        let mut asked = many.send(&chat(true)).await;
        asked.head().await;
        let at = asked.hang_up();
        waited.push(upstream.gone().await.saturating_duration_since(at));
    }
    waited.sort();
    assert!(waited[4] <= Duration::from_millis(100), "{waited:?}");
    let metrics = proxy.metrics_until("nine hang-ups", |metrics| metrics.count("pillion_exchanges_total", &[("outcome", "cancelled")]) == 9).await;
    assert_eq!((metrics.count("pillion_exchanges_in_flight", &[]), head.status), (1, 200));
    assert_eq!(metrics.count("pillion_connections", &[("side", "downstream"), ("state", "active")]), 2, "one of the agent, one of the scrape");
    stays.hang_up();
    proxy.settle_as("cancelled").await;
}

#[tokio::test]
async fn a_stream_that_is_reset_before_its_head_ends_its_upstream() {
    let mut upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.until_gone().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let many = streams(&proxy).await;
    let asked = many.send(&chat(false)).await;
    proxy.metrics_until("one in flight", |metrics| metrics.count("pillion_exchanges_in_flight", &[]) == 1).await;
    asked.hang_up();
    upstream.gone().await;
    proxy.settle_as("cancelled").await;
}

/// Begins an upload of more than will come, and takes it back in the middle.
async fn taken_back(target: &str) {
    let upstream = upstream(|mut wire: Wire| async move {
        assert!(wire.request().await.is_none(), "a short body was completed");
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let many = streams(&proxy).await;
    let request = http::Request::post(format!("http://127.0.0.1{target}")).body(()).unwrap();
    let mut asked = many.open(request, false).await;
    asked.write("{\"model\":", false);
    proxy.metrics_until("the request", |metrics| metrics.count("pillion_connections", &[("side", "downstream"), ("state", "active")]) == 2).await;
    asked.hang_up();
    proxy.settle_as("cancelled").await;
}

#[tokio::test]
async fn an_upload_that_is_taken_back_is_cancelled_and_never_completed() {
    taken_back("/v1/chat/completions").await;
    taken_back("/v1/files").await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_after_its_time_and_no_other() {
    let upstream = upstream(|mut wire: Wire| async move {
        while let Some(heard) = wire.request().await {
            if heard.target() == "/endless" {
                wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                while wire.write(chunk([b'x'; 16 << 10])).await {}
                return;
            }
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).config("timeouts: {reader: 500ms}").run();
    let many = streams(&proxy).await;
    let mut stalled = many.send(&call("GET", "/endless")).await;
    let mut reply = stalled.head().await;
    let metrics = proxy.metrics_until("the reader's time", |metrics| metrics.count("pillion_timeouts_total", &[("clock", "reader")]) == 1).await;
    assert_eq!(metrics.count("pillion_exchanges_total", &[("outcome", "cancelled")]), 1);
    assert_eq!(many.ask(&call("GET", "/x")).await.text(), "ok");
    stalled.rest(&mut reply).await;
    assert_eq!((reply.end, stalled.reset), (End::Rst, Some(Reason::CANCEL)));
    assert!(reply.body.len() >= 60_000, "what was given before: {}", reply.body.len());
    proxy.settle().await;
}

#[tokio::test]
async fn a_stream_that_is_read_slowly_is_not_reset() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n").await;
        wire.write(vec![b'x'; 600_000]).await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).config("timeouts: {reader: 800ms}").run();
    let many = streams(&proxy).await;
    let mut asked = many.send(&call("GET", "/x")).await;
    let mut reply = asked.head().await;
    while asked.piece(&mut reply).await {
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!((reply.end, reply.body.len()), (End::Whole, 600_000));
    assert!(reply.arrivals[reply.arrivals.len() - 1] - reply.arrivals[0] > Duration::from_millis(1600));
    proxy.settle_as("ok").await;
}

/// A request whose authority and headers are these.
async fn asked_as(authority: &str, headers: &[(&'static str, &str)]) -> Reply {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let many = streams(&proxy).await;
    let mut request = http::Request::get(format!("http://{authority}/v1/models"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut asked = many.open(request.body(()).unwrap(), true).await;
    let mut reply = asked.head().await;
    asked.rest(&mut reply).await;
    reply
}

#[tokio::test]
async fn an_authority_is_checked_as_a_host_is() {
    assert_eq!(asked_as("localhost:4100", &[]).await.status, 200);
    assert_eq!(asked_as("localhost", &[("host", "localhost")]).await.status, 200);
    assert_eq!(asked_as("evil.example", &[]).await.refusal(), Some("host"));
    assert_eq!(asked_as("localhost", &[("origin", "https://evil.example")]).await.refusal(), Some("origin"));
    for hosts in [&[("host", "127.0.0.1")][..], &[("host", "localhost"), ("host", "localhost")]] {
        let reply = asked_as("localhost", hosts).await;
        assert_eq!((reply.status, reply.refusal(), reply.body.len()), (400, None, 0), "{hosts:?}");
    }
}

#[tokio::test]
async fn trailers_are_carried_to_who_can_take_them() {
    let upstream = upstream(|mut wire: Wire| async move {
        while wire.request().await.is_some() {
            wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n").await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let many = streams(&proxy).await;
    let mut asked = many.send(&call("GET", "/x")).await;
    let mut reply = asked.head().await;
    asked.rest(&mut reply).await;
    assert_eq!((reply.text().as_str(), reply.end), ("ok", End::Whole));
    assert_eq!(asked.trailers.unwrap()["x-sum"], "7");

    let mut agent = agent(&proxy).await;
    agent.send(&call("GET", "/x").header("TE", "trailers").header("Connection", "TE")).await;
    agent.head().await;
    assert_eq!(agent.take(22).await, b"2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n");
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn an_answer_of_pillions_own_is_in_the_dialect_on_a_stream_too() {
    let proxy = proxy().to(format!("http://{}", free())).run();
    let reply = streams(&proxy).await.ask(&messages(true)).await;
    assert_eq!((reply.status, reply.refusal(), reply.end), (502, Some("connection_refused"), End::Whole));
    assert_eq!(reply.json()["error"]["type"], "api_error");
    proxy.settle_as("upstream_error").await;
}

#[tokio::test]
async fn a_connect_on_a_stream_is_refused() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let many = streams(&proxy).await;
    let mut request = http::Request::new(());
    *request.method_mut() = http::Method::CONNECT;
    *request.uri_mut() = "localhost:80".parse().unwrap();
    let reply: Reply = many.open(request, true).await.reply().await;
    let h1 = proxy.ask(&call("CONNECT", "localhost:80")).await;
    assert!((400..500).contains(&reply.status) && reply.status == h1.status, "{} {}", reply.status, h1.status);
    proxy.settle().await;
}
