//! The socket of a connection to an upstream, whatever it is made of: TCP or Unix, perhaps TLS to a proxy, perhaps TLS to the upstream. What it reads
//! is noted on its [`Line`].

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::oneshot,
};
use tokio_rustls::client::TlsStream;

use super::{
    line::Line,
    preface::{Preface, judge},
};

/// What carries bytes to the next hop.
#[derive(Debug)]
pub(super) enum Hop {
    /// To an address.
    Tcp(TcpStream),
    /// To a socket of this machine.
    Unix(UnixStream),
    /// To an `https://` proxy.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What carries bytes to the upstream.
#[derive(Debug)]
enum Stream {
    Plain(Hop),
    Tls(Box<TlsStream<Hop>>),
}

/// A connection to an upstream, no byte of HTTP said yet.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    line: Arc<Line>,
    /// Requests name the upstream in their target, for the proxy at the other end.
    is_proxied: bool,
    watched: Option<Watched>,
}

/// The first frame, until it has been judged.
#[derive(Debug)]
struct Watched {
    bytes: Vec<u8>,
    told: oneshot::Sender<Preface>,
}

impl Socket {
    pub(super) fn plain(hop: Hop, line: Arc<Line>, is_proxied: bool) -> Self {
        Self { stream: Stream::Plain(hop), line, is_proxied, watched: None }
    }

    pub(super) fn tls(stream: TlsStream<Hop>, line: Arc<Line>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), line, is_proxied: false, watched: None }
    }

    /// What is known of it.
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Whether TLS has agreed on HTTP/2.
    pub(super) fn has_agreed_on_http2(&self) -> bool {
        matches!(&self.stream, Stream::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }

    /// Has the first frame that is read judged; nothing is told of a connection that ends before.
    pub(super) fn watch(&mut self) -> oneshot::Receiver<Preface> {
        let (told, verdict) = oneshot::channel();
        self.watched = Some(Watched { bytes: Vec::new(), told });
        verdict
    }

    fn note_read(&mut self, bytes: &[u8]) {
        self.line.note_read(bytes);
        let Some(watched) = &mut self.watched else { return };
        watched.bytes.extend_from_slice(bytes);
        let verdict = judge(&watched.bytes);
        if verdict != Preface::More
            && let Some(watched) = self.watched.take()
        {
            // Whoever asked may have given up.
            let _ = watched.told.send(verdict);
        }
    }
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_proxied).extra(Arc::clone(&self.line))
    }
}

/// What each layer can do.
trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

impl Hop {
    fn io(&mut self) -> Pin<&mut dyn Io> {
        match self {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Unix(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

impl Socket {
    fn io(&mut self) -> Pin<&mut dyn Io> {
        match &mut self.stream {
            Stream::Plain(hop) => hop.io(),
            Stream::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

impl AsyncRead for Hop {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Hop {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().io().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io().poll_shutdown(cx)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let before = buffer.filled().len();
        let polled = socket.io().poll_read(cx, buffer);
        socket.note_read(buffer.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().io().poll_write(cx, bytes)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.get_mut().io().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(Hop::Tcp(stream)) => stream.is_write_vectored(),
            Stream::Plain(Hop::Unix(stream)) => stream.is_write_vectored(),
            Stream::Plain(Hop::Tls(stream)) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io().poll_shutdown(cx)
    }
}
