use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::*;
use crate::{
    config::{Flags, Upstream, read},
    telemetry::Telemetry,
};

/// Long, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn shared(to: SocketAddr) -> Shared {
    let config = read(b"", None, &Flags::default(), &config::Environment::default()).unwrap().config;
    let telemetry = Telemetry::start(&config.telemetry, Box::new(std::io::sink())).unwrap();
    let upstream = Upstream { http2: config::Http2::Prior, ..Upstream::parse("up", &format!("http://{to}")).unwrap() };
    let connector = Connector::new(Arc::new(upstream.clone()), telemetry);
    Shared::of(&upstream, connector, &Tracker::default()).unwrap()
}

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn get(to: SocketAddr) -> Request<Outgoing> {
    Request::get(format!("http://{to}/")).body(Outgoing::Whole(Bytes::new())).unwrap()
}

/// Passes bytes on both ways until it is told that the peer is dead: then nothing moves, and nothing ends.
async fn pass_until(dead: Arc<tokio::sync::Notify>, mut ours: TcpStream, mut theirs: TcpStream) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs) => {}
        () = dead.notified() => std::future::pending().await,
    }
}

#[tokio::test]
async fn a_peer_that_is_dead_without_a_word_is_noticed_by_its_pings_and_its_streams_are_cut() {
    let ((front, at), (back, behind)) = (listening().await, listening().await);
    let dead = Arc::new(tokio::sync::Notify::new());
    let dying = Arc::clone(&dead);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (ours, _) = front.accept().await.unwrap();
        pass_until(dying, ours, TcpStream::connect(behind).await.unwrap()).await;
    });
    tasks.spawn(async move {
        let mut connection = h2::server::handshake(back.accept().await.unwrap().0).await.unwrap();
        let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"begun"), false).unwrap();
        while connection.accept().await.is_some() {}
    });
    let pings = Pings { interval: Duration::from_millis(100), timeout: Duration::from_millis(200) };
    let shared = Shared { pings, ..shared(at) };
    let mut place = shared.place(&Progress::default()).await.unwrap().unwrap();
    let mut reply = place.sender.send_request(get(at)).await.unwrap().into_body();
    assert_eq!(reply.frame().await.unwrap().unwrap().into_data().unwrap(), "begun");
    // As long as it answers, nothing happens.
    assert!(timeout(Duration::from_millis(600), reply.frame()).await.is_err());
    dead.notify_one();
    let cut = timeout(PATIENCE, reply.frame()).await.expect("the ping goes unanswered").expect("a cut is no end");
    assert!(cut.is_err(), "{cut:?}");
    assert!(timeout(PATIENCE, gone(&shared)).await.is_ok());
}

/// Until no connection is there to be used.
async fn gone(shared: &Shared) {
    while shared.room().is_some() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn the_default_pings_notice_a_dead_peer_within_40_seconds() {
    let Pings { interval, timeout } = Pings::default();
    assert!(interval + timeout <= Duration::from_secs(40));
}

#[tokio::test]
async fn who_waits_for_a_connection_that_fails_is_told_so_and_makes_none_of_its_own() {
    let (listener, at) = listening().await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut first = listener.accept().await.unwrap().0;
        let mut preface = [0; 24];
        first.read_exact(&mut preface).await.unwrap();
        first.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Whoever comes next would wait here for ever.
        std::future::pending::<()>().await;
    });
    let shared = Arc::new(shared(at));
    let mut waiting = JoinSet::new();
    for _ in 0..50 {
        let shared = Arc::clone(&shared);
        waiting.spawn(async move { shared.place(&Progress::default()).await.map(|_| ()) });
    }
    while let Some(told) = timeout(PATIENCE, waiting.join_next()).await.expect("all are told") {
        let error = told.unwrap().unwrap_err();
        assert!(matches!(&*error, ConnectError::NotHttp2 { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_has_been_idle_or_is_old_takes_no_more_exchanges() {
    let (listener, at) = listening().await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    respond.send_response(Response::new(()), true).unwrap();
                }
            });
        }
    });
    let shared = shared(at);
    let first = shared.place(&Progress::default()).await.unwrap().unwrap().held;
    let line = Arc::clone(first.line());
    tokio::time::pause();
    tokio::time::advance(IDLE_TIMEOUT * 2).await;
    keep_now(&shared, &line).await;
    assert!(!line.is_retired(), "an exchange is on it");
    drop(first);
    tokio::time::advance(IDLE_TIMEOUT + Duration::from_secs(1)).await;
    keep_now(&shared, &line).await;
    assert!(line.is_retired() && shared.room().is_none());
}

/// Lets the keepers run that are due.
async fn keep_now(shared: &Shared, line: &Arc<Line>) {
    for _ in 0..100 {
        if line.is_retired() && shared.lock().is_empty() {
            return;
        }
        tokio::task::yield_now().await;
    }
}
