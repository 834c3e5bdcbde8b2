//! One connection to an upstream: DNS, TCP and TLS, each timed, and its bytes counted. Whoever drops a reply ends its connection: hyper sees to that.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::roots;
use crate::{
    config,
    telemetry::{
        ConnectPhases, ConnectionGauge, Telemetry,
        names::{ConnectionState, Side},
    },
};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot resolve {host}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// No address took the connection.
    #[error("cannot connect to {peer}")]
    Tcp {
        /// The last address tried.
        peer: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("cannot agree on TLS with {host}")]
    Tls {
        /// The name.
        host: String,
        /// What rustls said.
        #[source]
        source: io::Error,
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
}

/// What is known of one connection; shared between the socket, which writes it, and the attempts that use it.
#[derive(Debug)]
pub struct Line {
    /// The peer's address.
    pub peer: SocketAddr,
    /// How long making it took.
    pub phases: ConnectPhases,
    uses: AtomicU32,
    read: AtomicU64,
    read_before: AtomicU64,
    gauge: Mutex<ConnectionGauge>,
}

impl Line {
    fn new(peer: SocketAddr, phases: ConnectPhases, gauge: ConnectionGauge) -> Self {
        Self { peer, phases, uses: AtomicU32::new(0), read: AtomicU64::new(0), read_before: AtomicU64::new(0), gauge: Mutex::new(gauge) }
    }

    /// Counts one more exchange on this connection; whether there were others before.
    pub fn begin(&self) -> bool {
        self.count_as(ConnectionState::Active);
        self.uses.fetch_add(1, Ordering::AcqRel) > 0
    }

    /// A reply has ended as its framing says: the connection may serve others, whose bytes are counted from here.
    pub fn end(&self) {
        self.read_before.store(self.read.load(Ordering::Acquire), Ordering::Release);
        self.count_as(ConnectionState::Idle);
    }

    fn count_as(&self, state: ConnectionState) {
        self.gauge.lock().unwrap_or_else(PoisonError::into_inner).set(state);
    }

    /// Whether a byte was read since the last exchange ended.
    pub fn has_read(&self) -> bool {
        self.read.load(Ordering::Acquire) > self.read_before.load(Ordering::Acquire)
    }
}

/// The socket, with or without TLS.
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A socket that keeps its [`Line`].
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    line: Arc<Line>,
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new().extra(Arc::clone(&self.line))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let before = buffer.filled().len();
        let polled = match &mut socket.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        };
        let bytes = buffer.filled().len() - before;
        socket.line.read.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::AcqRel);
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

/// Makes connections to one upstream. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    upstream: Arc<config::Upstream>,
    tls: Arc<OnceLock<TlsConnector>>,
    telemetry: Telemetry,
}

impl Connector {
    /// For this upstream. Roots are read when the first TLS connection is made.
    pub(super) fn new(upstream: Arc<config::Upstream>, telemetry: Telemetry) -> Self {
        Self { upstream, tls: Arc::new(OnceLock::new()), telemetry }
    }

    async fn connect(self) -> Result<Socket, ConnectError> {
        let mut phases = ConnectPhases::default();
        let addresses = self.resolve(&mut phases).await?;
        let (stream, peer) = dial(&addresses, &mut phases).await?;
        let stream = if self.upstream.tls { Stream::Tls(Box::new(self.handshake(stream, &mut phases).await?)) } else { Stream::Plain(stream) };
        Ok(Socket { stream, line: Arc::new(Line::new(peer, phases, self.telemetry.connection(Side::Upstream))) })
    }

    async fn resolve(&self, phases: &mut ConnectPhases) -> Result<Vec<SocketAddr>, ConnectError> {
        let (host, port) = (&self.upstream.host, self.upstream.port);
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let begun = Instant::now();
        let dns = |source| ConnectError::Dns { host: host.clone(), source };
        let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), port)).await.map_err(dns)?.take(MAX_ADDRESSES).collect();
        phases.dns = Some(begun.elapsed());
        if addresses.is_empty() {
            return Err(dns(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
        }
        Ok(addresses)
    }

    async fn handshake(&self, stream: TcpStream, phases: &mut ConnectPhases) -> Result<TlsStream<TcpStream>, ConnectError> {
        let begun = Instant::now();
        let host = self.upstream.host.clone();
        let connector = if let Some(connector) = self.tls.get() {
            connector.clone()
        } else {
            let roots = roots::client_config(self.upstream.ca.as_deref()).map_err(|source| ConnectError::Roots { host: host.clone(), source })?;
            self.tls.get_or_init(|| TlsConnector::from(roots)).clone()
        };
        let name = ServerName::try_from(host.clone())
            .map_err(|error| ConnectError::Tls { host: host.clone(), source: io::Error::new(io::ErrorKind::InvalidInput, error) })?;
        let stream = connector.connect(name, stream).await.map_err(|source| ConnectError::Tls { host, source })?;
        phases.tls = Some(begun.elapsed());
        Ok(stream)
    }
}

/// Of one DNS answer, this many addresses are tried.
const MAX_ADDRESSES: usize = 16;

async fn dial(addresses: &[SocketAddr], phases: &mut ConnectPhases) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let begun = Instant::now();
    let mut failed = None;
    for peer in addresses {
        match TcpStream::connect(peer).await {
            Ok(stream) => {
                phases.tcp = Some(begun.elapsed());
                // Refused only by a socket that is closed already, which the first read will tell.
                let _ = stream.set_nodelay(true);
                return Ok((stream, *peer));
            }
            Err(source) => failed = Some(ConnectError::Tcp { peer: *peer, source }),
        }
    }
    Err(failed.expect("resolving gives at least one address"))
}

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
        Box::pin(async move { connector.connect().await.map(TokioIo::new) })
    }
}
