//! Makes one connection to an upstream, hop by hop, each timed: DNS, TCP (or a Unix socket), the proxy of the environment if one leads there, TLS.
//!
//! Names are resolved by the system for each new connection, and nothing is kept here: the system's own cache (nscd, systemd-resolved, a cluster's
//! node-local one) follows the TTL, `/etc/hosts` and search domains hold, and connections live for minutes at most. A resolver of our own would
//! bring forty crates and a second opinion on all of that.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpStream, UnixStream},
    time::Instant,
};

use super::{
    dial,
    line::Line,
    roots,
    socket::{Hop, Socket},
    tls::{self, Offer, TlsError},
    tunnel::{self, TunnelError},
};
use crate::{
    config,
    telemetry::{ConnectPhases, Telemetry, names::Side},
};

/// A connection that was made and not used is of no use after this.
const UNUSED_MAX: Duration = Duration::from_secs(5);
/// Connections that wait to be used: one is made at a time.
const UNUSED_MOST: usize = 4;

/// Why there is no connection. What it says of a proxy's URL is without credentials.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot resolve {host}")]
    Dns {
        /// The name: of the upstream, or of the proxy.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// No address took the connection.
    #[error("cannot connect to {peer}")]
    Tcp {
        /// The last address tried, or the socket.
        peer: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The proxy does not let us through.
    #[error("cannot go through the proxy {proxy}")]
    Proxy {
        /// Its URL, and the variable that names it.
        proxy: String,
        /// Why.
        #[source]
        source: TunnelError,
    },
    /// The TLS handshake failed.
    #[error("cannot agree on TLS with {host}")]
    Tls {
        /// The name: of the upstream, or of the proxy.
        host: String,
        /// What is wrong.
        #[source]
        source: TlsError,
    },
    /// The roots of this upstream cannot be used.
    #[error("cannot use the roots for {host}")]
    Roots {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: roots::RootsError,
    },
    /// It was to speak HTTP/2 and does not.
    #[error("{host} does not speak HTTP/2, though {why}")]
    NotHttp2 {
        /// The upstream.
        host: String,
        /// Why we thought so, and what to change.
        why: &'static str,
    },
    /// The connection ended before it could be used.
    #[error("{host} closed the connection before it could be used")]
    Ended {
        /// The upstream.
        host: String,
    },
}

/// How far a connection in the making is, for whoever gives up on it.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU8);

/// The steps, in order.
const STEPS: [&str; 6] =
    ["", "resolving the name", "connecting", "waiting for the proxy", "in the TLS handshake", "waiting for the first HTTP/2 frame"];

impl Progress {
    fn at(&self, step: u8) {
        self.0.store(step, Ordering::Relaxed);
    }

    pub(super) fn at_first_frame(&self) {
        self.at(5);
    }

    /// What it was at; `""` if nothing has begun.
    pub(super) fn step(&self) -> &'static str {
        STEPS.get(usize::from(self.0.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }
}

/// Makes connections to one upstream. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    upstream: Arc<config::Upstream>,
    tls: Arc<OnceLock<Arc<rustls::ClientConfig>>>,
    telemetry: Telemetry,
    /// HTTP/1.1 connections that were made to learn what the upstream speaks.
    unused: Arc<Mutex<Vec<Socket>>>,
}

impl Connector {
    /// For this upstream. Roots are read when the first TLS connection is made.
    pub(super) fn new(upstream: Arc<config::Upstream>, telemetry: Telemetry) -> Self {
        Self { upstream, tls: Arc::new(OnceLock::new()), telemetry, unused: Arc::default() }
    }

    /// The upstream's name as errors give it.
    pub(super) fn host(&self) -> String {
        self.upstream.host.clone()
    }

    /// Makes one; over TLS, `offer` is what is offered to be spoken.
    pub(super) async fn connect(&self, offer: Offer, progress: &Progress) -> Result<Socket, ConnectError> {
        let upstream = &self.upstream;
        let mut phases = ConnectPhases::default();
        let (mut hop, peer) = self.first_hop(&mut phases, progress).await?;
        // What is carried in the clear is asked of the proxy by its whole URL; all else goes through it unseen.
        let tunnels = upstream.tls || upstream.http2 == config::Http2::Prior;
        if let Some(proxy) = upstream.hop.as_deref().filter(|_| tunnels) {
            progress.at(3);
            let through = tunnel::open(&mut hop, (&upstream.host, upstream.port), proxy.authorization.as_ref());
            through.await.map_err(|source| ConnectError::Proxy { proxy: named(proxy), source })?;
        }
        let line = |phases| Arc::new(Line::new(peer, phases, self.telemetry.connection(Side::Upstream)));
        if !upstream.tls {
            return Ok(Socket::plain(hop, line(phases), upstream.hop.is_some() && !tunnels));
        }
        progress.at(4);
        let begun = Instant::now();
        let stream = self.secured(&upstream.host, offer, hop).await?;
        phases.tls = Some(begun.elapsed());
        Ok(Socket::tls(stream, line(phases)))
    }

    /// To the upstream itself, or to the proxy that leads there.
    async fn first_hop(&self, phases: &mut ConnectPhases, progress: &Progress) -> Result<(Hop, Option<SocketAddr>), ConnectError> {
        let upstream = &self.upstream;
        if let Some(path) = &upstream.socket {
            progress.at(2);
            let begun = Instant::now();
            let stream = UnixStream::connect(path).await.map_err(|source| ConnectError::Tcp { peer: path.display().to_string(), source })?;
            phases.tcp = Some(begun.elapsed());
            return Ok((Hop::Unix(stream), None));
        }
        let (host, port) = upstream.hop.as_deref().map_or((&upstream.host, upstream.port), |proxy| (&proxy.host, proxy.port));
        let reached = reach(host, port, phases, progress).await;
        let Some(proxy) = upstream.hop.as_deref() else { return reached.map(|(stream, peer)| (Hop::Tcp(stream), Some(peer))) };
        let unreached = |error| ConnectError::Proxy { proxy: named(proxy), source: TunnelError::Unreached(Box::new(error)) };
        let (stream, peer) = reached.map_err(unreached)?;
        if proxy.tls {
            progress.at(3);
            let stream = self.secured(host, Offer::Http1, stream).await.map_err(unreached)?;
            return Ok((Hop::Tls(Box::new(stream)), Some(peer)));
        }
        Ok((Hop::Tcp(stream), Some(peer)))
    }

    async fn secured<S>(&self, host: &str, offer: Offer, stream: S) -> Result<tokio_rustls::client::TlsStream<S>, ConnectError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let config = if let Some(config) = self.tls.get() {
            Arc::clone(config)
        } else {
            let built = roots::client_config(self.upstream.ca.as_deref()).map_err(|source| ConnectError::Roots { host: host.to_owned(), source })?;
            Arc::clone(self.tls.get_or_init(|| built))
        };
        tls::handshake(&config, offer, host, stream).await.map_err(|source| ConnectError::Tls { host: host.to_owned(), source })
    }

    /// Keeps a connection that turned out to be HTTP/1.1 for the next one that is asked for.
    pub(super) fn keep(&self, socket: Socket) {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        unused.retain(|socket| socket.line().made.elapsed() < UNUSED_MAX);
        if unused.len() < UNUSED_MOST {
            unused.push(socket);
        }
    }

    fn kept(&self) -> Option<Socket> {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        unused.retain(|socket| socket.line().made.elapsed() < UNUSED_MAX);
        unused.pop()
    }
}

/// A proxy as errors give it.
pub(super) fn named(proxy: &config::Hop) -> String {
    format!("{proxy} ({})", proxy.variable)
}

async fn reach(host: &str, port: u16, phases: &mut ConnectPhases, progress: &Progress) -> Result<(TcpStream, SocketAddr), ConnectError> {
    progress.at(1);
    let addresses = resolve(host, port, phases).await?;
    progress.at(2);
    let begun = Instant::now();
    let raced = dial::race(&addresses, TcpStream::connect).await.expect("resolving gives at least one address");
    let (stream, peer) = raced.map_err(|(source, peer)| ConnectError::Tcp { peer: peer.to_string(), source })?;
    phases.tcp = Some(begun.elapsed());
    // Refused only by a socket that is closed already, which the first read will tell.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer))
}

async fn resolve(host: &str, port: u16, phases: &mut ConnectPhases) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let begun = Instant::now();
    let dns = |source| ConnectError::Dns { host: host.to_owned(), source };
    let addresses = dial::interleave(tokio::net::lookup_host((host, port)).await.map_err(dns)?);
    phases.dns = Some(begun.elapsed());
    if addresses.is_empty() {
        return Err(dns(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
    }
    Ok(addresses)
}

/// HTTP/1.1 connections, for hyper-util's pool.
impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Socket>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    /// The URI is not looked at: where an upstream is, the config alone says.
    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let socket = match connector.kept() {
                Some(socket) => socket,
                None => connector.connect(Offer::Http1, &Progress::default()).await?,
            };
            Ok(TokioIo::new(socket))
        })
    }
}
