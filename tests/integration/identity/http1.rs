//! HTTP/1.1 by hand, for either side and over anything: messages written in pieces that have nothing to do with their chunks, and read to whatever end they have.

use fastrand::Rng;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::yield_now,
    time::timeout,
};
use tokio_rustls::TlsStream;

use super::draw::{Framing, Load, pieces};
use crate::support::{End, PATIENCE, chunk, find};

/// A connection, plain or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Io for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Io for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// One side of an HTTP/1.1 connection.
pub(super) struct Http1 {
    io: Box<dyn Io>,
    buffer: Vec<u8>,
}

/// A head as it came.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The first line.
    pub line: String,
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn of(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Http1 {
    pub(super) fn new(io: Box<dyn Io>) -> Self {
        Self { io, buffer: Vec::new() }
    }

    /// Reads a head; `None` if the connection ends before it does.
    pub(super) async fn head(&mut self) -> Option<Head> {
        let end = loop {
            match find(&self.buffer, b"\r\n\r\n") {
                Some(end) => break end,
                None => {
                    if self.fill().await.is_some() {
                        return None;
                    }
                }
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Some(Head { line, headers: lines.filter_map(field).collect() })
    }

    /// Reads the body that this head announces, and how it ends. Only a reply's may have no framing.
    pub(super) async fn body(&mut self, head: &Head, is_reply: bool) -> (Vec<u8>, End) {
        if head.of("transfer-encoding") == Some("chunked") {
            return self.chunks().await;
        }
        let length = head.of("content-length").map(|length| length.parse::<usize>().unwrap());
        let length = if is_reply { length.unwrap_or(usize::MAX) } else { length.unwrap_or(0) };
        let mut end = End::Whole;
        while self.buffer.len() < length && end == End::Whole {
            end = self.fill().await.unwrap_or(End::Whole);
        }
        let body = self.buffer.drain(..length.min(self.buffer.len())).collect();
        (body, if end == End::Fin && length == usize::MAX { End::Closed } else { end })
    }

    async fn chunks(&mut self) -> (Vec<u8>, End) {
        let mut body = Vec::new();
        loop {
            let line = loop {
                match find(&self.buffer, b"\r\n") {
                    Some(line) => break line,
                    None => {
                        if let Some(end) = self.fill().await {
                            return (body, end);
                        }
                    }
                }
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..line]).unwrap(), 16).unwrap();
            let all = line + 2 + size + 2;
            while self.buffer.len() < all {
                if let Some(end) = self.fill().await {
                    body.extend(self.buffer.iter().skip(line + 2).take(size));
                    return (body, end);
                }
            }
            assert_eq!(&self.buffer[all - 2..all], b"\r\n", "a chunk ends with its line");
            body.extend_from_slice(&self.buffer[line + 2..all - 2]);
            self.buffer.drain(..all);
            if size == 0 {
                return (body, End::Whole);
            }
        }
    }

    /// Writes bytes, split anywhere; whether they could be.
    pub(super) async fn send(&mut self, rng: &mut Rng, mut bytes: &[u8]) -> bool {
        for piece in pieces(rng, bytes.len()) {
            let (now, later) = bytes.split_at(piece);
            bytes = later;
            let written = timeout(PATIENCE, async { self.io.write_all(now).await.is_ok() && self.io.flush().await.is_ok() }).await;
            if written != Ok(true) {
                return false;
            }
            if rng.u8(..) < 60 {
                yield_now().await;
            }
        }
        true
    }

    /// Ends the connection as one does whose body ends with it.
    pub(super) async fn close(mut self) {
        // Gone already is ended as well.
        let _ = self.io.shutdown().await;
    }

    /// Ends it with a reset.
    pub(super) fn reset(self) {
        self.io.tcp().set_zero_linger().unwrap();
    }

    /// One read; how the connection has ended, if it has.
    async fn fill(&mut self) -> Option<End> {
        self.buffer.reserve(64 << 10);
        match timeout(PATIENCE, self.io.read_buf(&mut self.buffer)).await {
            Err(_) => Some(End::Open),
            Ok(Ok(0)) => Some(End::Fin),
            Ok(Ok(_)) => None,
            // A reset; over TLS a FIN before its own end is one to its reader as well.
            Ok(Err(_)) => Some(End::Rst),
        }
    }
}

/// A message's head.
pub(super) fn head(line: &str, headers: &[(String, String)]) -> Vec<u8> {
    let fields = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("{line}\r\n{}\r\n", fields.collect::<String>()).into_bytes()
}

/// As much of a body as is sent before it is cut: `at` bytes, of which the last may be of a chunk that is larger.
pub(super) fn body_until(load: &Load, at: usize) -> Vec<u8> {
    if load.framing != Framing::Chunked {
        return load.bytes[..at].to_vec();
    }
    let (mut bytes, mut from) = (Vec::new(), 0);
    for piece in &load.pieces {
        let to = from + piece;
        let whole = chunk(&load.bytes[from..to]);
        if to > at {
            bytes.extend_from_slice(&whole[..find(&whole, b"\r\n").unwrap() + 2 + at - from]);
            break;
        }
        bytes.extend_from_slice(&whole);
        from = to;
    }
    bytes
}

/// A body of `at` bytes that ends as its framing says.
pub(super) fn body(load: &Load, at: usize) -> Vec<u8> {
    let (mut bytes, mut from) = (Vec::new(), 0);
    if load.framing != Framing::Chunked {
        return load.bytes[..at].to_vec();
    }
    for piece in &load.pieces {
        let to = (from + piece).min(at);
        if to > from {
            bytes.extend_from_slice(&chunk(&load.bytes[from..to]));
        }
        from = to;
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
