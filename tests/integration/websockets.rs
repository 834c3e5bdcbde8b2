//! Promise: a WebSocket is carried as it is, frame for frame, and is one exchange: counted, in flight until it ends, told of a drain.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::support::{Agent, Call, End, Proxy, Upstream, Wire, agent, all, call, proxy, run, upstream, within};

/// What a server answers to the handshake of [`handshake`].
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

type Socket<'a> = WebSocketStream<&'a mut TcpStream>;

/// A handshake, written by hand.
fn handshake() -> Call {
    call("GET", "/v1/realtime?model=gpt-realtime")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// An agent's side, switched.
async fn open(agent: &mut Agent) -> Socket<'_> {
    agent.asks();
    let request = "ws://127.0.0.1/v1/realtime?model=gpt-realtime".into_client_request().unwrap();
    let (socket, response) = within("the handshake", tokio_tungstenite::client_async(request, agent.socket())).await.unwrap();
    assert_eq!(response.status(), 101);
    socket
}

/// The next message.
async fn next(socket: &mut Socket<'_>) -> Result<Message, Error> {
    within("a message", socket.next()).await.unwrap_or(Err(Error::AlreadyClosed))
}

fn close(code: CloseCode, reason: &str) -> CloseFrame {
    CloseFrame { code, reason: reason.to_owned().into() }
}

/// Echoes text and binary; a text of `close` is answered by the server's own close.
async fn echo(mut wire: Wire) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(wire.socket()).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let answer = match message {
            Message::Text(text) if text == "close" => Message::Close(Some(close(CloseCode::Policy, "no more"))),
            Message::Text(_) | Message::Binary(_) => message,
            _ => continue,
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

/// An upstream that switches, writes these bytes, and then does as it is told.
async fn switching(bytes: &'static [u8], then: fn(Wire)) -> Upstream {
    upstream(move |mut wire: Wire| async move {
        wire.request().await;
        wire.write([SWITCHED.as_bytes(), bytes].concat()).await;
        // Ended by the agent's first byte.
        if wire.socket().read_u8().await.is_ok() {
            then(wire);
        }
    })
    .await
}

async fn in_flight(proxy: &Proxy, many: u64) {
    proxy.metrics_until("sessions in flight", |metrics| metrics.count("pillion_exchanges_in_flight", &[]) == many).await;
}

#[tokio::test]
async fn messages_of_every_kind_and_size_come_back_as_they_went_and_it_is_one_exchange() {
    let upstream = upstream(echo).await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    let mut socket = open(&mut agent).await;
    let megabyte: Vec<u8> = (0..1 << 20).map(|_| fastrand::u8(..)).collect();
    for message in [Message::text("hällo"), Message::binary(vec![0, 255, 1]), Message::text("x".repeat(1 << 20)), Message::binary(megabyte)] {
        socket.send(message.clone()).await.unwrap();
        assert!(next(&mut socket).await.unwrap() == message, "another came back");
    }
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), Message::Pong("are you there".into()));
    in_flight(&proxy, 1).await;
    socket.close(Some(close(CloseCode::Normal, "done"))).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), Message::Close(Some(close(CloseCode::Normal, "done"))));
    drop(agent);
    let metrics = proxy.settle_as("ok").await;
    assert_eq!(metrics.count("pillion_connections", &[("side", "upstream")]), 0);
}

#[tokio::test]
async fn the_upstreams_close_reaches_the_agent_with_its_code() {
    let upstream = upstream(echo).await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    let mut socket = open(&mut agent).await;
    socket.send(Message::text("close")).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), Message::Close(Some(close(CloseCode::Policy, "no more"))));
    assert!(next(&mut socket).await.is_err());
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn the_handshake_passes_untouched_but_for_what_the_config_says() {
    let protocols = "realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1";
    let extensions = "permessage-deflate; client_max_window_bits";
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        let more = "Sec-WebSocket-Protocol: realtime\r\nSec-WebSocket-Extensions: permessage-deflate\r\nX-Request-Id: r1\r\n\r\n";
        wire.write([SWITCHED.trim_end(), "\r\n", more, "\u{1}\u{1}a"].concat()).await;
        wire.until_gone().await;
    })
    .await;
    let yaml = format!("upstreams: {{mine: {{url: {}, api_key: real-key}}}}", upstream.url());
    let proxy = proxy().config(yaml).run();
    let mut agent = agent(&proxy).await;
    let call = handshake().header("Sec-WebSocket-Protocol", protocols).header("Sec-WebSocket-Extensions", extensions);
    let mut call = call.header("Authorization", "Bearer fake").header("X-Pillion-Agent", "speaker");
    call = call.at("/mine/v1/realtime?model=gpt-realtime");
    agent.send(&call).await;
    let reply = agent.head().await;
    assert_eq!(reply.status, 101);
    for (name, value) in [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("Sec-WebSocket-Protocol", "realtime"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("X-Request-Id", "r1"),
        ("x-pillion-attempts", "1"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}: {:?}", reply.headers);
    }
    assert!(reply.header("x-pillion-exchange").is_some() && reply.header("content-length").is_none(), "{:?}", reply.headers);
    assert_eq!(agent.take(3).await, [1, 1, b'a'], "what came with the head is not lost");
    let heard = upstream.heard().remove(0);
    assert_eq!(heard.target(), "/v1/realtime?model=gpt-realtime");
    for (name, value) in [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", protocols),
        ("Sec-WebSocket-Extensions", extensions),
        ("Authorization", "Bearer real-key"),
    ] {
        assert_eq!(heard.header(name), Some(value), "{name}: {:?}", heard.headers);
    }
    assert!(heard.header("x-pillion-agent").is_none());
    drop(agent);
    let metrics = proxy.settle_as("cancelled").await;
    assert_eq!(metrics.count("pillion_exchanges_total", &[("agent", "speaker")]), 1);
}

#[tokio::test]
async fn a_refused_handshake_is_an_ordinary_reply() {
    let upstream = upstream(|mut wire: Wire| async move {
        while wire.request().await.is_some() {
            wire.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope").await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    for _ in 0..2 {
        let reply = agent.ask(&handshake()).await;
        assert_eq!((reply.status, reply.text().as_str(), reply.end), (403, "nope", End::Whole));
    }
    proxy.settle_as("client_error").await;
}

#[tokio::test]
async fn no_other_protocol_is_switched_to() {
    let upstream = upstream(|mut wire: Wire| async move {
        while wire.request().await.is_some() {
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let asks = [
        call("GET", "/v1/models").header("Connection", "Upgrade, HTTP2-Settings").header("Upgrade", "h2c").header("HTTP2-Settings", "AAMAAABk"),
        call("GET", "/v1/models").header("Connection", "Upgrade").header("Upgrade", "TLS/1.0"),
        call("GET", "/v1/models").header("Upgrade", "websocket"),
        call("POST", "/v1/models").header("Connection", "Upgrade").header("Upgrade", "websocket").body("{}"),
    ];
    for ask in &asks {
        assert_eq!(proxy.ask(ask).await.status, 200);
    }
    for heard in upstream.heard() {
        assert!(heard.header("upgrade").is_none() && heard.header("connection").is_none() && heard.header("http2-settings").is_none(), "{heard:?}");
    }
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_switch_to_what_was_not_asked_for_is_a_502() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write(SWITCHED.replace("websocket", "h2c")).await;
        wire.until_gone().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&handshake()).await;
    assert_eq!((reply.status, reply.refusal()), (502, Some("bad_response")));
    proxy.settle_as("upstream_error").await;
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_session() {
    let upstream = upstream(echo).await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&handshake().header("Origin", "https://evil.example")).await;
    assert_eq!((reply.status, reply.refusal()), (403, Some("origin")));
    proxy.settle_as("refused").await;
}

#[tokio::test]
async fn an_agent_that_hangs_up_without_a_close_ends_the_upstream_and_has_cancelled() {
    for how in [Agent::hang_up, Agent::reset] {
        let mut upstream = upstream(|mut wire: Wire| async move {
            wire.request().await;
            wire.write(SWITCHED).await;
            wire.until_gone().await;
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let mut agent = agent(&proxy).await;
        agent.send(&handshake()).await;
        agent.head().await;
        // Half a frame.
        agent.write([0x81, 0xFE, 0x10]).await;
        in_flight(&proxy, 1).await;
        let at = how(agent);
        let gone = upstream.gone().await.saturating_duration_since(at);
        assert!(gone < Duration::from_secs(1), "{gone:?}");
        proxy.settle_as("cancelled").await;
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_in_a_message_is_cut_and_the_agent_sees_how() {
    // A frame of 16 bytes, of which 4 come.
    const HALF: &[u8] = &[0x81, 0x10, b'h', b'a', b'l', b'f'];
    let ways: [(fn(Wire), End); 2] = [(Wire::rst, End::Rst), (drop, End::Fin)];
    for (then, end) in ways {
        let upstream = switching(HALF, then).await;
        let proxy = proxy().to(upstream.url()).run();
        let mut agent = agent(&proxy).await;
        agent.send(&handshake()).await;
        assert_eq!(agent.head().await.status, 101);
        assert_eq!(agent.take(HALF.len()).await, HALF);
        agent.write([0x81]).await;
        assert_eq!(agent.closed().await, end);
        drop(agent);
        proxy.settle_as("cut").await;
    }
}

#[tokio::test]
async fn a_silent_session_lasts_but_one_that_only_one_side_has_ended_does_not() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        // An own close frame, and then nothing: not even the end of the connection.
        wire.write([SWITCHED.as_bytes(), &[0x88, 0x00]].concat()).await;
        wire.until_gone().await;
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).config("timeouts: {idle: 100ms, first_byte: 1s, total: 1s}").run();
    let mut agent = agent(&proxy).await;
    agent.send(&handshake()).await;
    agent.head().await;
    assert_eq!(agent.take(2).await, [0x88, 0x00]);
    sleep(Duration::from_millis(1500)).await;
    in_flight(&proxy, 1).await;
    agent.finish().await;
    assert_ne!(agent.closed().await, End::Open);
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn two_hundred_sessions_at_once_keep_their_messages_apart() {
    let upstream = upstream(echo).await;
    let proxy = proxy().to(upstream.url()).run();
    let session = |nth: usize| {
        let proxy = &proxy;
        async move {
            let mut agent = agent(proxy).await;
            let mut socket = open(&mut agent).await;
            for turn in 0..20 {
                let message = Message::text(format!("{nth}/{turn} ").repeat(200));
                socket.send(message.clone()).await.unwrap();
                assert_eq!(next(&mut socket).await.unwrap(), message);
            }
            socket.close(None).await.unwrap();
            while next(&mut socket).await.is_ok() {}
        }
    };
    all((0..200).map(session)).await;
    let metrics = proxy.settle_as("ok").await;
    assert_eq!(metrics.count("pillion_exchanges_total", &[]), 200);
}

#[tokio::test]
async fn a_drain_waits_for_a_session_that_ends_in_time() {
    let upstream = upstream(echo).await;
    let mut binary = run().arguments(["--upstream".to_owned(), upstream.url()]).ready().await;
    let mut agent = Agent::stranger(binary.traffic).await;
    let mut socket = open(&mut agent).await;
    binary.signal(Signal::TERM);
    let mut admin = Agent::stranger(binary.admin).await;
    within("readyz to say no", async { while admin.ask(&call("GET", "/readyz")).await.status != 503 {} }).await;
    assert!(binary.said().iter().all(|line| !line.contains("/v1/realtime")), "it is told when it has ended");
    socket.send(Message::text("still there?")).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), Message::text("still there?"));
    socket.close(None).await.unwrap();
    while next(&mut socket).await.is_ok() {}
    assert_eq!(binary.exit(Duration::from_secs(5)).await.0, Some(0));
    let lines: Vec<_> = binary.said().into_iter().filter(|line| line.contains("/v1/realtime")).collect();
    assert!(lines.len() == 1 && lines[0].contains(" ok "), "{:#?}", binary.said());
}

#[tokio::test]
async fn at_the_end_of_the_grace_period_both_sides_are_told_that_pillion_goes_away() {
    let mut upstream = upstream(|mut wire: Wire| async move {
        let mut socket = tokio_tungstenite::accept_async(wire.socket()).await.unwrap();
        let told = socket.next().await;
        assert!(matches!(&told, Some(Ok(Message::Close(Some(frame)))) if frame.code == CloseCode::Away), "{told:?}");
        drop(socket);
        wire.until_gone().await;
    })
    .await;
    let config = "server: {grace: 300ms}";
    let mut binary = run().config(config).arguments(["--upstream".to_owned(), upstream.url()]).ready().await;
    let mut agent = Agent::stranger(binary.traffic).await;
    let mut socket = open(&mut agent).await;
    binary.signal(Signal::TERM);
    let told = next(&mut socket).await.unwrap();
    assert!(matches!(&told, Message::Close(Some(frame)) if frame.code == CloseCode::Away), "{told:?}");
    upstream.gone().await;
    assert_eq!(binary.exit(Duration::from_secs(5)).await.0, Some(0));
    assert!(binary.said().iter().any(|line| line.contains("/v1/realtime") && line.contains("cut")), "{:#?}", binary.said());
}

#[tokio::test]
async fn at_the_end_of_the_grace_period_half_a_message_is_cut_without_another_byte() {
    let upstream = switching(&[0x81, 0x10, b'h'], |wire| {
        std::mem::forget(wire);
    })
    .await;
    let config = "server: {grace: 300ms}";
    let mut binary = run().config(config).arguments(["--upstream".to_owned(), upstream.url()]).ready().await;
    let mut agent = Agent::stranger(binary.traffic).await;
    agent.send(&handshake()).await;
    agent.head().await;
    assert_eq!(agent.take(3).await, [0x81, 0x10, b'h']);
    binary.signal(Signal::TERM);
    assert_eq!(agent.closed().await, End::Rst);
    assert_eq!(agent.take(0).await, [0u8; 0]);
    assert_eq!(binary.exit(Duration::from_secs(5)).await.0, Some(0));
}

#[tokio::test]
async fn frames_that_no_library_would_send_pass_as_they_are() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write(SWITCHED).await;
        let socket = wire.socket();
        let (mut reader, mut writer) = socket.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    agent.send(&handshake()).await;
    agent.head().await;
    let noise: Vec<u8> = (0..3 << 20).map(|_| fastrand::u8(..)).collect();
    let (mut reader, mut writer) = agent.socket().split();
    let writing = async {
        writer.write_all(&noise).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let (read, ()) = within("the echo", async { tokio::join!(reader.read_to_end(&mut back), writing) }).await;
    assert!(read.is_ok() && back == noise, "{read:?}");
    proxy.settle().await;
}
