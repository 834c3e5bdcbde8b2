//! HTTP/2 from agents: its bounds, and the life of one connection with its streams.

use std::{error::Error as _, future::Future, io, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Gate, LAST_WORDS,
    socket::{AgentSocket, IDLE},
    stream::{Passes, Runner, Stream, StreamBody},
};
use crate::{drain::Stage, proxy::Peer, telemetry::names::Reason};

/// Streams at one time on one connection; more wait in the agent's client.
const STREAMS: u32 = 256;
/// What an agent may send on a stream before we have read it.
const STREAM_WINDOW: u32 = 64 << 10;
/// … and on all streams of a connection together.
const CONNECTION_WINDOW: u32 = 512 << 10;
/// What a stream may hold back of what its agent has not read, beside the frame that comes next.
const SEND_BUFFER: usize = 32 << 10;
/// Streams that may be reset by the agent before we have looked at them, and by us for what they did wrong: beyond, the connection ends (CVE-2023-44487, CVE-2025-8671).
const RESETS: usize = 64;
/// When to ask a silent agent whether it is still there, and how long it has to say so.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));
/// How long a connection without an exchange may stay once it was told to go.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves one connection to its end.
pub(super) async fn serve<S, F, B>(mut socket: AgentSocket, peer: &Arc<Peer>, gate: &Gate, answer: S)
where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Send,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Unpin + Send,
{
    socket.speak_http2();
    let passes = Arc::new(Passes::default());
    let runner = Runner::new(gate.tracker.clone(), gate.reader);
    let (runs, passing, line) = (runner.clone(), Arc::clone(&passes), Arc::clone(peer));
    let service = service_fn(move |request| {
        let peer = Arc::new(Peer::stream(&line));
        let stream = Arc::new(Stream::new(Arc::clone(&peer), Arc::clone(&passing)));
        runs.expect(Arc::clone(&stream));
        let answer = answer(request, peer);
        async move { Ok::<_, std::convert::Infallible>(answer.await.map(|body| StreamBody::new(body, stream))) }
    });
    let mut connection = pin!(builder(&runner, gate).serve_connection(TokioIo::new(socket), service));
    let mut leaving = pin!(leaving(peer, gate));
    let mut gone = pin!(gone(peer, gate));
    let mut told = false;
    let ended = std::future::poll_fn(|cx| {
        if !told && leaving.as_mut().poll(cx).is_ready() {
            connection.as_mut().graceful_shutdown();
            told = true;
        }
        if told && gone.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let polled = connection.as_mut().poll(cx);
        passes.pass(cx);
        polled
    })
    .await;
    passes.end();
    if ended.is_err_and(|error| is_fault(&error)) {
        gate.telemetry.refused(None, Reason::Framing);
    }
}

fn builder(runner: &Runner, gate: &Gate) -> http2::Builder<Runner> {
    let mut builder = http2::Builder::new(runner.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(gate.head_limit).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .auto_date_header(false);
    builder
}

/// Ready when the connection shall take no more streams: Pillion stops, or it was idle for too long.
async fn leaving(peer: &Peer, gate: &Gate) {
    tokio::select! {
        () = gate.drain.reached(Stage::Draining) => {}
        () = idle_for(peer, IDLE) => {}
    }
}

/// Ready when a connection that was told to go is to be closed: it carries nothing any more and stays, or the grace period is over.
async fn gone(peer: &Peer, gate: &Gate) {
    let cut = async {
        gate.drain.reached(Stage::Cutting).await;
        sleep(LAST_WORDS).await;
    };
    let idle = async {
        sleep(FAREWELL).await;
        idle_for(peer, FAREWELL).await;
    };
    tokio::select! {
        () = cut => {}
        () = idle => {}
    }
}

/// Ready when the connection has carried no exchange for so long.
async fn idle_for(peer: &Peer, long: Duration) {
    loop {
        let now = Instant::now();
        let until = peer.idle_since().unwrap_or(now) + long;
        if until <= now {
            return;
        }
        sleep_until(until).await;
    }
}

/// Whether a connection was ended for what its agent did against the protocol.
fn is_fault(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| match cause.get_io() {
        Some(io) => io.kind() == io::ErrorKind::InvalidData,
        None => !cause.is_remote(),
    })
}
