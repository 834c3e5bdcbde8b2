//! An agent on a raw socket: writes the bytes it is told to, reads with a deadline, and tells a FIN from a reset.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{Call, End, PATIENCE, Proxy, Reply, within};

/// What one read takes at most.
const READ: usize = 256 << 10;

/// An agent's connection to a proxy.
#[derive(Debug)]
pub(crate) struct Agent {
    stream: TcpStream,
    /// Read and not consumed.
    buffer: Vec<u8>,
    arrivals: Vec<Instant>,
    /// How the connection ended, once it has.
    closed: Option<End>,
    /// Replies to `HEAD` have no body.
    bodyless: bool,
    /// The proxy's counters: requests sent, and connections open.
    asked: Arc<AtomicU64>,
    open: Arc<AtomicU64>,
}

/// Connects an agent.
pub(crate) async fn agent(proxy: &Proxy) -> Agent {
    Agent::connect(proxy.traffic(), proxy.counters()).await
}

impl Agent {
    /// Connects to where no books are kept: an admin port, or a proxy in a process of its own.
    pub(crate) async fn stranger(to: SocketAddr) -> Self {
        Self::connect(to, Default::default()).await
    }

    async fn connect(to: SocketAddr, (asked, open): (Arc<AtomicU64>, Arc<AtomicU64>)) -> Self {
        let stream = within("a connection", TcpStream::connect(to)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        open.fetch_add(1, Ordering::SeqCst);
        Self { stream, buffer: Vec::new(), arrivals: Vec::new(), closed: None, bodyless: false, asked, open }
    }

    /// Writes bytes. Counts nothing: tell [`Agent::asks`] if they are a request.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        within("the proxy to read", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Writes bytes to a connection that may have been ended already; whether they could be.
    pub(crate) async fn offer(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        within("the proxy to read", self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Writes as many of these bytes as are taken in this time.
    pub(crate) async fn write_for(&mut self, time: Duration, bytes: impl AsRef<[u8]>) {
        let written = timeout(time, self.stream.write_all(bytes.as_ref())).await;
        assert!(written.is_err(), "all of it was taken");
    }

    /// Counts one request that was written by hand.
    pub(crate) fn asks(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
    }

    /// Writes a request.
    pub(crate) async fn send(&mut self, call: &Call) {
        self.asks();
        self.bodyless = call.is_head();
        self.write(call.bytes()).await;
    }

    /// Writes a request and reads its reply.
    pub(crate) async fn ask(&mut self, call: &Call) -> Reply {
        self.send(call).await;
        self.reply().await
    }

    /// Reads a reply to its end, however it ends.
    pub(crate) async fn reply(&mut self) -> Reply {
        let mut reply = self.head().await;
        self.rest(&mut reply).await;
        reply
    }

    /// Reads a reply's head (1xx are passed over) and leaves its body.
    pub(crate) async fn head(&mut self) -> Reply {
        loop {
            self.arrivals.clear();
            let end = self.fill_until(|bytes| find(bytes, b"\r\n\r\n").map(|at| at + 4)).await;
            let end = end.unwrap_or_else(|| panic!("no head, but {:?} after {:?}", self.closed, String::from_utf8_lossy(&self.buffer)));
            let head: Vec<u8> = self.buffer.drain(..end).collect();
            let reply = parse(head, self.arrivals.clone());
            if reply.status >= 200 || reply.status == 101 {
                return reply;
            }
        }
    }

    /// Reads bytes of the body into `reply` until it has ended.
    pub(crate) async fn rest(&mut self, reply: &mut Reply) {
        self.arrivals.truncate(1);
        let length = reply.header("content-length").and_then(|length| length.parse::<usize>().ok());
        let chunked = reply.header("transfer-encoding") == Some("chunked");
        if self.bodyless || matches!(reply.status, 204 | 304) || (!chunked && length == Some(0)) {
            reply.end = End::Whole;
        } else if chunked {
            self.chunks(reply).await;
        } else {
            let whole = self.fill_until(|bytes| length.filter(|length| bytes.len() >= *length)).await;
            let take = length.unwrap_or(usize::MAX).min(self.buffer.len());
            reply.body.extend(self.buffer.drain(..take));
            reply.end = match (whole, length, self.closed) {
                (Some(_), ..) => End::Whole,
                (None, None, Some(End::Fin)) => End::Closed,
                (None, _, closed) => closed.unwrap_or(End::Open),
            };
        }
        reply.arrivals.clone_from(&self.arrivals);
    }

    async fn chunks(&mut self, reply: &mut Reply) {
        loop {
            let Some(line) = self.fill_until(|bytes| find(bytes, b"\r\n")).await else { return self.broke(reply, 0) };
            let size = String::from_utf8_lossy(&self.buffer[..line]).into_owned();
            let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
            let all = line + 2 + size + 2;
            if self.fill_until(|bytes| (bytes.len() >= all).then_some(all)).await.is_none() {
                return self.broke(reply, line + 2);
            }
            assert_eq!(&self.buffer[all - 2..all], b"\r\n", "a chunk ends with its line");
            reply.body.extend_from_slice(&self.buffer[line + 2..all - 2]);
            self.buffer.drain(..all);
            if size == 0 {
                reply.end = End::Whole;
                return;
            }
            reply.chunks.push(size);
        }
    }

    /// The connection ended, or nothing came, within a chunk of which `skip` bytes are its line.
    fn broke(&mut self, reply: &mut Reply, skip: usize) {
        let line = skip.min(self.buffer.len());
        reply.body.extend(self.buffer.drain(..).skip(line));
        reply.end = self.closed.unwrap_or(End::Open);
    }

    /// Reads until `done` finds what it looks for; `None` if the connection ends first, or nothing comes in time.
    pub(crate) async fn fill_until<T>(&mut self, done: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = done(&self.buffer) {
                return Some(found);
            }
            self.fill(deadline).await?;
        }
    }

    /// One read; `None` at the end of the connection or at the deadline.
    async fn fill(&mut self, deadline: Instant) -> Option<()> {
        let before = self.buffer.len();
        self.buffer.reserve(READ);
        let read = timeout_at(deadline, self.stream.read_buf(&mut self.buffer)).await.ok()?;
        match read {
            Ok(0) => self.closed = Some(End::Fin),
            Ok(_) => self.arrivals.push(Instant::now()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.closed = Some(End::Rst),
            Err(error) => panic!("reading: {error}"),
        }
        (self.buffer.len() > before).then_some(())
    }

    /// Takes what was read and not consumed so far, and all that comes until `size` bytes of it are there.
    pub(crate) async fn take(&mut self, size: usize) -> Vec<u8> {
        let there = self.fill_until(|bytes| (bytes.len() >= size).then_some(())).await;
        assert!(there.is_some(), "wanted {size} bytes, there are {} ({:?})", self.buffer.len(), self.closed);
        self.buffer.drain(..size).collect()
    }

    /// Reads the line in front of a chunk.
    pub(crate) async fn chunk_size(&mut self) -> usize {
        let end = self.fill_until(|bytes| find(bytes, b"\r\n")).await.unwrap_or_else(|| panic!("no chunk: {:?}", self.closed));
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).unwrap()
    }

    /// Waits for the end of the connection, and says how it came; bytes that come before it are dropped.
    pub(crate) async fn closed(&mut self) -> End {
        let never = self.fill_until(|_| None::<()>).await;
        debug_assert!(never.is_none());
        self.closed.unwrap_or(End::Open)
    }

    /// The bare connection, for another protocol. Nothing may have been read ahead of it.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        assert!(self.buffer.is_empty(), "{:?}", String::from_utf8_lossy(&self.buffer));
        &mut self.stream
    }

    /// The same, however long it takes.
    pub(crate) async fn closed_whenever(&mut self) -> End {
        loop {
            if let end @ (End::Fin | End::Rst) = self.closed().await {
                return end;
            }
        }
    }

    /// Sends a FIN and goes on reading.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Hangs up with a FIN, and says when.
    pub(crate) fn hang_up(self) -> Instant {
        let now = Instant::now();
        drop(self);
        now
    }

    /// Hangs up with a reset, and says when.
    pub(crate) fn reset(self) -> Instant {
        self.stream.set_zero_linger().unwrap();
        self.hang_up()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn parse(head: Vec<u8>, arrivals: Vec<Instant>) -> Reply {
    let text: String = head.iter().copied().map(char::from).collect();
    let mut lines = text.trim_end().split("\r\n");
    let status = lines.next().unwrap_or_default();
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status line: {status:?}"));
    let headers = lines.map(|line| line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}")));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    Reply { status, head, headers, body: Vec::new(), chunks: Vec::new(), arrivals, end: End::Open }
}
