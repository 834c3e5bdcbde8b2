//! The side that calls us: accepts connections, bounds them, and gives each request on them to whoever serves.
//! It never stops accepting for an error of one connection, nor for want of file descriptors.

mod socket;

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use self::socket::{AgentSocket, Patience};
use crate::{
    drain::{Drain, Stage, Tracker},
    proxy::Peer,
    telemetry::{
        Telemetry,
        names::{Reason, Side},
    },
};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// Smallest buffer that hyper takes.
const BUFFER_MIN: usize = 8 << 10;
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
    /// Where what belongs to no exchange is counted.
    pub telemetry: Telemetry,
    /// Who owns the tasks.
    pub tracker: Tracker,
    /// When to stop.
    pub drain: Drain,
}

/// Binds an address.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the drain begins; `serve` answers each request.
pub async fn accept<S, F, B>(listener: TcpListener, gate: Gate, serve: S)
where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
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
            Ok((stream, _)) => {
                pause = PAUSES.0;
                let place = place.expect("the semaphore is never closed");
                gate.tracker.spawn(connection(stream, place, gate.clone(), serve.clone()));
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

async fn connection<S, F, B>(stream: TcpStream, place: OwnedSemaphorePermit, gate: Gate, serve: S)
where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Send,
    F: Future<Output = Response<B>> + Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Refused only by a socket that is closed already, which the first read will tell.
    let _ = stream.set_nodelay(true);
    let peer = Arc::new(Peer::new(gate.telemetry.connection(Side::Downstream)));
    let socket = AgentSocket::new(stream, Arc::clone(&peer), Patience::new(gate.reader));
    serve_http(socket, &gate, &peer, serve).await;
    // The exchange that switched protocols goes on, in the same place, until it has ended.
    if let Some(tunnel) = peer.tunnel() {
        tunnel.run().await;
    }
    drop(place);
}

/// Serves HTTP until the connection ends, or is to be something else.
async fn serve_http<S, F, B>(socket: AgentSocket, gate: &Gate, peer: &Arc<Peer>, serve: S)
where
    S: Fn(Request<Incoming>, Arc<Peer>) -> F + Send,
    F: Future<Output = Response<B>> + Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let asking = Arc::clone(peer);
    let service = service_fn(move |request| {
        let answer = serve(request, Arc::clone(&asking));
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(gate.head_limit.max(BUFFER_MIN))
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
