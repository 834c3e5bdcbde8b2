//! Promise: over HTTP/2 to an upstream everything holds that holds over HTTP/1.1, one stream's fate is not another's, and what was not processed
//! is tried again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use h2::Reason;
use http::Response;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Barrier, Notify, mpsc},
    task::JoinSet,
};

use crate::support::{
    Ask, Authority, Call, Metrics, Proxy, Reply, agent, all, answer_http2, body_of, chat, is_http2, peer, proxy, serve_http2, sha256, streams, within,
};

/// A chat call to the upstream of these tests.
fn up(stream: bool) -> Call {
    chat(stream).at("/up/v1/chat/completions")
}

/// A plain call, whose body nobody reads for an end of its own.
fn plain() -> Call {
    up(false).at("/up/files")
}

/// Answers every request with `{}`.
async fn fine((request, respond): Ask) {
    body_of(request).await;
    answer_http2(respond, "{}");
}

async fn retries(proxy: &Proxy, reason: &str) -> u64 {
    proxy.settle().await.count("pillion_retries_total", &[("reason", reason)])
}

#[tokio::test]
async fn a_request_goes_up_as_http2_has_it_and_its_reply_comes_down_as_http11() {
    let (tell, mut told) = mpsc::channel(1);
    let upstream = peer(move |stream, _| {
        let tell = tell.clone();
        serve_http2(stream, move |(request, respond)| {
            let tell = tell.clone();
            async move {
                let head = (request.uri().clone(), request.headers().clone());
                let body = body_of(request).await;
                answer_http2(respond, r#"{"id":"é"}"#);
                tell.send((head, body)).await.unwrap();
            }
        })
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    let call = up(false)
        .header("TE", "gzip")
        .header("Connection", "X-Hop")
        .header("X-Hop", "1")
        .header("Keep-Alive", "5")
        .header("X-Two", "a")
        .header("X-Two", "b");
    let reply = proxy.ask(&call).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, r#"{"id":"é"}"#));
    assert!(reply.head.starts_with(b"HTTP/1.1 200"));
    let ((uri, headers), body) = told.recv().await.unwrap();
    assert_eq!(uri.to_string(), format!("http://localhost:{}/v1/chat/completions", upstream.address.port()));
    for gone in ["host", "te", "connection", "keep-alive", "x-hop", "transfer-encoding"] {
        assert!(!headers.contains_key(gone), "{gone}: {headers:?}");
    }
    assert_eq!(headers["content-length"], body.len().to_string());
    assert_eq!(headers.get_all("x-two").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert!(call.bytes().ends_with(&body));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn over_tls_the_better_protocol_of_both_is_spoken() {
    for (protocols, expected) in [(&["h2", "http/1.1"][..], true), (&["http/1.1"], false), (&[], false)] {
        let authority = Authority::new();
        let acceptor = authority.acceptor("localhost", protocols);
        let upstream = peer(move |stream, _| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                assert_eq!(is_http2(&stream), expected);
                if expected {
                    return serve_http2(stream, fine).await;
                }
                let mut scrap = [0; 4096];
                while stream.read(&mut scrap).await.is_ok_and(|read| read > 0) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
                }
            }
        })
        .await;
        let proxy = proxy().config(upstream.config("https", &format!(", ca: {}", authority.file()))).run();
        for _ in 0..3 {
            let reply = proxy.ask(&up(false)).await;
            assert_eq!((reply.status, reply.text().as_str()), (200, "{}"), "{protocols:?}");
        }
        assert_eq!(upstream.accepted(), 1, "{protocols:?}: one connection serves all, also the one that was made to learn the protocol");
        proxy.settle_as("ok").await;
    }
}

#[tokio::test]
async fn http2_off_is_http11_over_tls() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("localhost", &["h2", "http/1.1"]);
    let upstream = peer(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            assert!(!is_http2(&stream));
            let mut scrap = [0; 4096];
            assert!(stream.read(&mut scrap).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
        }
    })
    .await;
    let proxy = proxy().config(upstream.config("https", &format!(", http2: off, ca: {}", authority.file()))).run();
    assert_eq!(proxy.ask(&up(false)).await.status, 200);
}

#[tokio::test]
async fn as_many_streams_share_a_connection_as_the_upstream_takes() {
    let everybody = Arc::new(Barrier::new(6));
    let upstream = peer(move |stream, _| {
        let everybody = Arc::clone(&everybody);
        async move {
            let mut builder = h2::server::Builder::new();
            let mut connection = builder.max_concurrent_streams(2).handshake::<_, Bytes>(stream).await.unwrap();
            let mut answers = JoinSet::new();
            while let Some(Ok((_, respond))) = connection.accept().await {
                let everybody = Arc::clone(&everybody);
                answers.spawn(async move {
                    everybody.wait().await;
                    answer_http2(respond, "{}");
                });
            }
        }
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    let get = call_get();
    // Nobody is answered before all are there: a stream that waits behind two others would wait for ever.
    let replies = within("all replies", all((0..6).map(|_| proxy.ask(&get)))).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(upstream.accepted(), 3);
    proxy.settle_as("ok").await;
}

/// A request without a body.
fn call_get() -> Call {
    crate::support::call("GET", "/up/files")
}

#[tokio::test]
async fn a_goaway_lets_our_streams_finish_and_new_ones_go_to_a_new_connection() {
    let (told, going) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, go) = (Arc::clone(&told), Arc::clone(&going));
    let upstream = peer(move |stream, nth| {
        let (tell, go) = (Arc::clone(&tell), Arc::clone(&go));
        async move {
            if nth > 1 {
                return serve_http2(stream, fine).await;
            }
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"begun "), false).unwrap();
            connection.graceful_shutdown();
            tell.notify_one();
            let end = async {
                go.notified().await;
                body.send_data(Bytes::from_static(b"and ended"), true).unwrap();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = end => {}
                () = async { while connection.accept().await.is_some() {} } => {}
            }
        }
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    let mut first = agent(&proxy).await;
    first.send(&call_get()).await;
    let mut reply = first.head().await;
    told.notified().await;
    // It may take a moment until the GOAWAY is seen; a stream it forbids is sent again.
    for _ in 0..3 {
        assert_eq!(proxy.ask(&call_get()).await.status, 200);
    }
    going.notify_one();
    first.rest(&mut reply).await;
    assert_eq!((reply.text().as_str(), reply.looks_complete()), ("begun and ended", true));
    assert_eq!(upstream.accepted(), 2);
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_goaway_that_passes_our_stream_over_has_it_sent_again() {
    let upstream = peer(|mut stream, nth| async move {
        if nth > 1 {
            return serve_http2(stream, fine).await;
        }
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        until_headers(&mut stream).await;
        // GOAWAY, last stream 0, NO_ERROR; and the end.
        stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    let reply = proxy.ask(&up(false)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("2")));
    assert_eq!(retries(&proxy, "goaway").await, 1);
}

/// Reads the preface and frames up to the first HEADERS.
async fn until_headers(stream: &mut tokio::net::TcpStream) {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == 1 {
            return;
        }
    }
}

#[tokio::test]
async fn a_refused_stream_is_tried_again_and_other_resets_are_not() {
    for (reason, status, attempts) in [(Reason::REFUSED_STREAM, 200, "2"), (Reason::CANCEL, 502, "1"), (Reason::INTERNAL_ERROR, 502, "1")] {
        let asked = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&asked);
        let upstream = peer(move |stream, _| {
            let counting = Arc::clone(&counting);
            serve_http2(stream, move |(request, mut respond)| {
                let first = counting.fetch_add(1, Ordering::SeqCst) == 0;
                async move { if first { respond.send_reset(reason) } else { fine((request, respond)).await } }
            })
        })
        .await;
        let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
        let reply = proxy.ask(&up(false)).await;
        assert_eq!((reply.status, reply.header("x-pillion-attempts")), (status, Some(attempts)), "{reason}");
        assert_eq!(retries(&proxy, "refused_stream").await, u64::from(status == 200), "{reason}");
        if status == 502 {
            assert_eq!(reply.refusal(), Some("connection_reset"));
        }
        assert_eq!(upstream.accepted(), 1, "a reset is of a stream, not of its connection");
    }
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_body_never_looks_like_its_end() {
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::NO_ERROR] {
        let come = Arc::new(Notify::new());
        let has_come = Arc::clone(&come);
        let upstream = peer(move |stream, _| {
            let come = Arc::clone(&has_come);
            serve_http2(stream, move |(request, mut respond)| {
                let come = Arc::clone(&come);
                async move {
                    body_of(request).await;
                    let mut body = respond.send_response(Response::new(()), false).unwrap();
                    body.send_data(Bytes::from_static(b"half"), false).unwrap();
                    // A reset overtakes what waits to be sent.
                    come.notified().await;
                    body.send_reset(reason);
                }
            })
        })
        .await;
        let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
        let mut agent = agent(&proxy).await;
        agent.send(&plain()).await;
        let mut reply = agent.head().await;
        assert_eq!((reply.status, agent.chunk_size().await, agent.take(6).await), (200, 4, b"half\r\n".to_vec()));
        come.notify_one();
        agent.rest(&mut reply).await;
        assert!(!reply.looks_complete(), "{reason}: {:?}", reply.end);
        proxy.settle_as("cut").await;
    }
}

#[tokio::test]
async fn an_agent_that_hangs_up_ends_its_stream_and_not_the_connection() {
    let (ended, mut ends) = mpsc::channel(4);
    let upstream = peer(move |stream, _| {
        let ended = ended.clone();
        serve_http2(stream, move |(request, mut respond)| {
            let ended = ended.clone();
            async move {
                if request.method() == "GET" {
                    return answer_http2(respond, "{}");
                }
                let mut body = respond.send_response(Response::new(()), false).unwrap();
                body.send_data(Bytes::from_static(b"begun"), false).unwrap();
                let reason = std::future::poll_fn(|cx| body.poll_reset(cx)).await.unwrap();
                ended.send(reason).await.unwrap();
            }
        })
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    let mut leaving = agent(&proxy).await;
    leaving.send(&plain()).await;
    leaving.head().await;
    leaving.hang_up();
    assert_eq!(within("the stream's end", ends.recv()).await, Some(Reason::CANCEL));
    assert_eq!(proxy.ask(&call_get()).await.status, 200);
    assert_eq!(upstream.accepted(), 1);
    let metrics = proxy.settle().await;
    assert_eq!(metrics.count("pillion_exchanges_total", &[("outcome", "cancelled")]), 1);
    proxy
        .metrics_until("the connection to be idle", |metrics| {
            metrics.count("pillion_connections", &[("side", "upstream"), ("state", "idle")]) == 1
                && metrics.count("pillion_connections", &[("side", "upstream"), ("state", "active")]) == 0
        })
        .await;
}

#[tokio::test]
async fn a_connection_that_ends_between_two_requests_costs_nothing() {
    let upstream = peer(|stream, _| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_, respond) = connection.accept().await.unwrap().unwrap();
        answer_http2(respond, "{}");
        connection.graceful_shutdown();
        while connection.accept().await.is_some() {}
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    for nth in 1..=10 {
        assert_eq!(proxy.ask(&call_get()).await.status, 200, "request {nth}");
    }
    proxy.settle_as("ok").await;
    let none = |metrics: &Metrics| metrics.count("pillion_connections", &[("side", "upstream")]) == 0;
    proxy.metrics_until("no connection to be counted that has ended", none).await;
}

#[tokio::test]
async fn an_upstream_that_ends_every_connection_at_once_is_tried_as_often_as_the_config_says() {
    let upstream = peer(|mut stream, _| async move {
        // SETTINGS, and GOAWAY with NO_ERROR.
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut scrap = Vec::new();
        let _ = stream.read_to_end(&mut scrap).await;
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    let reply = proxy.ask(&up(false)).await;
    assert_eq!((reply.status, reply.refusal(), reply.header("x-pillion-attempts")), (502, Some("connection_reset"), Some("3")), "{}", reply.text());
    assert_eq!(upstream.accepted(), 3);
    proxy.settle_as("upstream_error").await;
}

#[tokio::test]
async fn an_early_reply_is_passed_on_and_the_upload_stops() {
    let upstream = peer(|stream, _| {
        serve_http2(stream, |(_request, mut respond)| async move {
            let head = Response::builder().status(413).header("content-length", "2").body(()).unwrap();
            let mut body = respond.send_response(head, false).unwrap();
            body.send_data(Bytes::from_static(b"no"), true).unwrap();
        })
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    let mut agent = agent(&proxy).await;
    agent.asks();
    agent.write("POST /up/v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nbegun").await;
    let reply = agent.reply().await;
    assert_eq!((reply.status, reply.text().as_str(), reply.refusal()), (413, "no", None));
    drop(agent);
    proxy.settle_as("client_error").await;
}

/// The reply of an upstream that agrees to a protocol and says this instead.
async fn agreed_and_said(protocol: &'static str, said: &'static [u8]) -> Reply {
    let authority = Authority::new();
    let acceptor = authority.acceptor("localhost", &[protocol]);
    let upstream = peer(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            stream.write_all(said).await.unwrap();
            let mut scrap = Vec::new();
            let _ = stream.read_to_end(&mut scrap).await;
        }
    })
    .await;
    let proxy = proxy().config(upstream.config("https", &format!(", ca: {}", authority.file()))).run();
    let reply = proxy.ask(&up(false)).await;
    proxy.settle_as("upstream_error").await;
    reply
}

#[tokio::test]
async fn what_agrees_to_one_protocol_and_speaks_the_other_is_named() {
    let reply = agreed_and_said("h2", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((reply.status, reply.refusal(), reply.header("x-pillion-attempts")), (502, Some("bad_response"), Some("1")));
    assert!(reply.text().contains("does not speak HTTP/2") && reply.text().contains("http2: off"), "{}", reply.text());
    let reply = agreed_and_said("http/1.1", &[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    assert_eq!(reply.status, 502, "{}", reply.text());
}

#[tokio::test]
async fn bodies_far_beyond_every_window_pass_both_ways_byte_for_byte() {
    let upstream = peer(|stream, _| {
        serve_http2(stream, |(request, mut respond)| async move {
            let body = body_of(request).await;
            let mut reply = respond.send_response(Response::new(()), false).unwrap();
            reply.send_data(Bytes::from(body), true).unwrap();
        })
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    let bodies =
        [1 << 20, 5 << 20].map(|size: u32| (0..size).map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect::<Vec<_>>());
    let calls = bodies.clone().map(|body| plain().body(body));
    let replies = all(calls.iter().map(|call| proxy.ask(call))).await;
    for (reply, body) in replies.iter().zip(&bodies) {
        assert_eq!((reply.status, sha256(&reply.body)), (200, sha256(body)));
    }
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_length_that_is_reached_before_the_end_is_seen_makes_no_stream_whole() {
    const BEGUN: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n";
    // The shorter one is held to its end: its only event has none of its own.
    for begun in [BEGUN, &BEGUN[..BEGUN.len() - 1]] {
        let upstream = peer(move |stream, _| {
            serve_http2(stream, move |(request, mut respond)| async move {
                body_of(request).await;
                let head = Response::builder().header("content-type", "text/event-stream").header("content-length", begun.len());
                let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
                body.send_data(Bytes::from_static(begun), false).unwrap();
                body.send_data(Bytes::new(), true).unwrap();
            })
        })
        .await;
        let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
        let reply = proxy.ask(&up(true)).await;
        assert!(!reply.looks_complete(), "{reply:?}");
        proxy.settle_as("cut").await;
    }
}

#[tokio::test]
async fn a_whole_reply_whose_end_is_a_frame_of_its_own_is_not_taken_for_cancelled() {
    let go = Arc::new(Notify::new());
    let end = Arc::clone(&go);
    let upstream = peer(move |stream, _| {
        let end = Arc::clone(&end);
        serve_http2(stream, move |(request, mut respond)| {
            let end = Arc::clone(&end);
            async move {
                body_of(request).await;
                let head = Response::builder().header("content-length", 5);
                let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
                body.send_data(Bytes::from_static(b"whole"), false).unwrap();
                end.notified().await;
                // Nobody may wait for it any more.
                let _ = body.send_data(Bytes::new(), true);
            }
        })
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    let reply = proxy.ask(&plain()).await;
    assert_eq!((reply.text().as_str(), reply.looks_complete()), ("whole", true));
    proxy.settle_as("ok").await;
    go.notify_one();
}

#[tokio::test]
async fn readers_that_stall_while_small_frames_come_do_not_end_the_connection_of_all() {
    // h2 ends a connection that has too many small frames unread: these are more than a stream's windows hold, in events of 40 bytes.
    const FRAMES: usize = 5_000;
    let upstream = peer(|stream, _| {
        serve_http2(stream, |(request, mut respond)| async move {
            body_of(request).await;
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            (0..FRAMES).for_each(|_| body.send_data(Bytes::from_static(&[b'x'; 40]), false).unwrap());
            body.send_data(Bytes::new(), true).unwrap();
        })
    })
    .await;
    let proxy = proxy().config(upstream.config("http", ", http2: prior")).run();
    let agents = streams(&proxy).await;
    let mut stalled = Vec::new();
    for _ in 0..16 {
        let mut asked = agents.send(&plain()).await;
        stalled.push((asked.head().await, asked));
    }
    // Streams take turns: when this one has ended, each of the others has been sent what its windows hold.
    let reply = proxy.ask(&plain()).await;
    assert_eq!((reply.body.len(), reply.looks_complete()), (40 * FRAMES, true), "who reads is not cut by those who do not");
    for (mut reply, mut asked) in stalled {
        asked.rest(&mut reply).await;
        assert_eq!((reply.body.len(), reply.looks_complete()), (40 * FRAMES, true));
    }
    assert_eq!(upstream.accepted(), 1);
    proxy.settle_as("ok").await;
}
