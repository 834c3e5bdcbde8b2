//! An upstream that does exactly what a closure says, connection by connection: for faults that no well-behaved server can produce.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{PATIENCE, agent::find, within};

/// Requests and ends that may wait to be asked for.
const NEWS: usize = 1024;

/// A request as it reached the upstream.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// Which connection it came on, from 1 on.
    pub connection: usize,
    /// The request line.
    pub line: String,
    /// Names as they were spelled, in order.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

/// A running upstream; ends when dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    gone: mpsc::Receiver<Instant>,
    _tasks: JoinSet<()>,
}

/// One connection of it.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Which one, from 1 on.
    pub nth: usize,
    stream: TcpStream,
    buffer: Vec<u8>,
    heard: Arc<Mutex<Vec<Heard>>>,
    gone: mpsc::Sender<Instant>,
}

/// Starts an upstream: `serve` has each connection.
pub(crate) async fn upstream<S, F>(serve: S) -> Upstream
where
    S: Fn(Wire) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, gone) = mpsc::channel(NEWS);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    let hearing = Arc::clone(&heard);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        for nth in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            connections.spawn(serve(Wire { nth, stream, buffer: Vec::new(), heard: Arc::clone(&hearing), gone: sender.clone() }));
            while connections.try_join_next().is_some() {}
        }
    });
    Upstream { address, heard, gone, _tasks: tasks }
}

impl Upstream {
    /// `http://ADDRESS`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The only request there was.
    pub(crate) fn only(&self) -> Heard {
        let mut heard = self.heard();
        assert_eq!(heard.len(), 1, "one request: {heard:?}");
        heard.remove(0)
    }

    /// Waits until the other side has ended one more connection while [`Wire::until_gone`] watched it, and says when that was.
    pub(crate) async fn gone(&mut self) -> Instant {
        within("the upstream's connection to end", self.gone.recv()).await.unwrap()
    }
}

impl Heard {
    /// The first header of that name, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The request's target.
    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

impl Wire {
    /// Reads one request with its body; `None` when the connection ends before it is whole.
    pub(crate) async fn request(&mut self) -> Option<Heard> {
        let mut heard = self.request_head().await?;
        let length = heard.header("content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
        if heard.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.read_until(|bytes| find(bytes, b"\r\n")).await?;
                let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..line]).ok()?, 16).ok()?;
                self.read_until(|bytes| (bytes.len() >= line + size + 4).then_some(())).await?;
                heard.body.extend_from_slice(&self.buffer[line + 2..line + 2 + size]);
                self.buffer.drain(..line + size + 4);
                if size == 0 {
                    break;
                }
            }
        } else {
            self.read_until(|bytes| (bytes.len() >= length).then_some(())).await?;
            heard.body = self.buffer.drain(..length).collect();
        }
        self.heard.lock().unwrap().push(heard.clone());
        Some(heard)
    }

    /// Reads one request's head alone.
    pub(crate) async fn request_head(&mut self) -> Option<Heard> {
        let end = self.read_until(|bytes| find(bytes, b"\r\n\r\n")).await?;
        let head: String = self.buffer.drain(..end + 4).map(char::from).collect();
        let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
        let line = lines.next().unwrap_or_default();
        let headers = lines
            .filter_map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned())))
            .collect();
        Some(Heard { connection: self.nth, line, headers, body: Vec::new() })
    }

    async fn read_until<T>(&mut self, done: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = done(&self.buffer) {
                return Some(found);
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(read)) if read > 0 => {}
                _ => return None,
            }
        }
    }

    /// Writes bytes; says whether they could be.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Takes bytes up to and with `end`, as they come.
    pub(crate) async fn raw_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let size = self.read_until(|bytes| find(bytes, end).map(|at| at + end.len())).await?;
        Some(self.buffer.drain(..size).collect())
    }

    /// The bare connection, for another protocol.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        assert!(self.buffer.is_empty(), "{:?}", String::from_utf8_lossy(&self.buffer));
        &mut self.stream
    }

    /// Watches for the other side's end, and tells [`Upstream::gone`].
    pub(crate) async fn until_gone(&mut self) {
        let mut scrap = [0; 4096];
        while self.stream.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
        // Nobody asks any more when the test is over.
        let _ = self.gone.send(Instant::now()).await;
    }

    /// Ends the connection with a FIN, after what was written.
    pub(crate) async fn fin(mut self) {
        // Gone already is ended as well.
        let _ = self.stream.shutdown().await;
    }

    /// Ends the connection with a reset.
    pub(crate) fn rst(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

/// One chunk of a chunked body.
pub(crate) fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// The head of a stream in chunks.
pub(crate) fn sse_head() -> &'static str {
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
}
