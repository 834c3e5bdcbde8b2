//! The side that calls us: accepts connections, bounds them, and gives each request on them to whoever serves.
//! It never stops accepting for an error of one connection, nor for want of file descriptors.

mod brake;
mod frames;
mod http2;
mod listener;
mod socket;
mod stream;
mod tls;
mod transport;

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use self::{
    brake::{Brake, BrakedBody},
    socket::{AgentSocket, Patience},
    transport::Transport,
};
pub use self::{listener::Listener, tls::Shield};
use crate::{
    drain::{Drain, Stage, Tracker},
    proxy::Peer,
    telemetry::{
        Telemetry,
        names::{Reason, Side},
    },
};

/// Smallest buffer that hyper takes.
const BUFFER_MIN: usize = 8 << 10;
/// What hyper takes beyond `server.head_limit`, so that our own check of the whole head decides, however its bytes come.
const HEADROOM: usize = 1 << 10;
/// First and last pause after an accept that failed for want of resources.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// How long a connection that is cut may still flush.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How connections are accepted and bounded.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Most connections at one time.
    pub max_connections: usize,
    /// Largest head, in bytes.
    pub head_limit: usize,
    /// How long an agent may read nothing while bytes wait.
    pub reader: Option<Duration>,
    /// What TLS is accepted with, where it is to be spoken.
    pub tls: Option<Shield>,
    /// Where what belongs to no exchange is counted.
    pub telemetry: Telemetry,
    /// Who owns the tasks.
    pub tracker: Tracker,
    /// When to stop.
    pub drain: Drain,
}

/// Accepts until the drain begins; `serve` answers each request.
pub async fn accept<S, F, B>(listener: Listener, gate: Gate, serve: S)
where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Unpin + Send,
{
    let places = Arc::new(Semaphore::new(gate.max_connections));
    let mut pause = PAUSES.0;
    loop {
        let next = async { (Arc::clone(&places).acquire_owned().await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = gate.drain.reached(Stage::Draining) => return,
        };
        match accepted {
            Ok(transport) => {
                pause = PAUSES.0;
                let place = place.expect("the semaphore is never closed");
                gate.tracker.spawn(connection(transport, place, gate.clone(), serve.clone()));
            }
            Err(error) if is_of_one_connection(&error) => gate.telemetry.accept_error(),
            Err(error) => {
                gate.telemetry.accept_error();
                tracing::warn!(%error, "cannot accept a connection; trying again in {pause:?}");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Whether an accept failed for the connection's sake alone, and the next may do better at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted
    )
}

/// Serves a connection in whichever protocol its agent speaks.
async fn connection<S, F, B>(transport: Transport, place: OwnedSemaphorePermit, gate: Gate, serve: S)
where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Send,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Unpin + Send,
{
    let peer = Arc::new(Peer::new(gate.telemetry.connection(Side::Downstream)));
    let transport = tokio::select! {
        shielded = shield(transport, &gate) => shielded,
        () = gate.drain.reached(Stage::Draining) => return,
    };
    let Some(transport) = transport else { return };
    let agreed = transport.has_agreed_on_http2();
    let brake = Arc::new(Brake::default());
    let mut socket = AgentSocket::new(transport, (Arc::clone(&peer), Arc::clone(&brake)), Patience::new(gate.reader));
    let sniffed = tokio::select! {
        sniffed = socket.is_http2() => sniffed,
        () = gate.drain.reached(Stage::Draining) => return,
    };
    match sniffed {
        Ok(is_http2) if agreed || is_http2 => Box::pin(http2::serve(socket, &peer, &gate, serve)).await,
        Ok(_) => {
            http1(socket, (&peer, brake), &gate, serve).await;
            // The exchange that switched protocols goes on, in the same place, until it has ended.
            if let Some(tunnel) = peer.tunnel() {
                Box::pin(tunnel.run()).await;
            }
        }
        Err(_) if peer.is_slow() => gate.telemetry.refused(None, Reason::SlowHead),
        Err(_) => {}
    }
    drop(place);
}

/// Shakes hands where TLS is to be spoken. `None`: it came to nothing, which is counted where it was the agent's doing.
async fn shield(transport: Transport, gate: &Gate) -> Option<Transport> {
    let (tls, stream) = match (&gate.tls, transport) {
        (Some(tls), Transport::Tcp(stream)) => (tls, stream),
        (_, transport) => return Some(transport),
    };
    match tls.accept(stream).await {
        Ok(stream) => return Some(Transport::Tls(Box::new(stream))),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => gate.telemetry.refused(None, Reason::SlowHead),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::debug!(%error, "a TLS handshake has failed");
            gate.telemetry.refused(None, Reason::Framing);
        }
        // Hung up: a probe that only looks whether somebody listens.
        Err(_) => {}
    }
    None
}

/// Serves an HTTP/1.1 connection to its end.
async fn http1<S, F, B>(socket: AgentSocket, (peer, brake): (&Arc<Peer>, Arc<Brake>), gate: &Gate, serve: S)
where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Send,
    F: Future<Output = Response<B>> + Send,
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let asking = Arc::clone(peer);
    let service = service_fn(move |request| {
        let (answer, brake) = (serve(request, Arc::clone(&asking)), Arc::clone(&brake));
        async move { Ok::<_, std::convert::Infallible>(answer.await.map(|body| BrakedBody::new(body, brake))) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(gate.head_limit.max(BUFFER_MIN) + HEADROOM)
        .preserve_header_case(true)
        .auto_date_header(false);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = gate.drain.reached(Stage::Draining) => {
            connection.as_mut().graceful_shutdown();
            let cut = async { gate.drain.reached(Stage::Cutting).await; sleep(LAST_WORDS).await };
            tokio::select! { ended = connection.as_mut() => ended, () = cut => Ok(()) }
        }
    };
    if let Err(error) = ended {
        count(&gate.telemetry, peer, &error);
    }
}

/// Counts what ended a connection before there was an exchange to tell it.
fn count(telemetry: &Telemetry, peer: &Peer, error: &hyper::Error) {
    if error.is_parse() {
        telemetry.refused(None, Reason::Framing);
    } else if peer.is_slow() {
        telemetry.refused(None, Reason::SlowHead);
    }
}
