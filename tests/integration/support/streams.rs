//! An agent on HTTP/2: many requests at the same time on one connection, each read as far and as fast as the test says.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::HeaderMap;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

use super::{Call, End, Proxy, Reply, within};

/// An agent's HTTP/2 connection to a proxy.
pub(crate) struct Streams {
    sender: SendRequest<Bytes>,
    /// How the connection ended, once it has.
    driver: JoinSet<Result<(), h2::Error>>,
    asked: Arc<AtomicU64>,
    open: Arc<AtomicU64>,
}

/// A request that was sent on a stream of its own.
pub(crate) struct Asked {
    response: Option<ResponseFuture>,
    upload: SendStream<Bytes>,
    body: Option<RecvStream>,
    /// What came behind the body.
    pub(crate) trailers: Option<HeaderMap>,
    /// With what the stream was reset.
    pub(crate) reset: Option<Reason>,
}

/// Connects an agent that knows beforehand that HTTP/2 is spoken.
pub(crate) async fn streams(proxy: &Proxy) -> Streams {
    Streams::connect(proxy.traffic(), proxy.counters()).await
}

impl Streams {
    /// Connects to where no books are kept.
    pub(crate) async fn stranger(to: SocketAddr) -> Self {
        Self::connect(to, Default::default()).await
    }

    async fn connect(to: SocketAddr, counters: (Arc<AtomicU64>, Arc<AtomicU64>)) -> Self {
        let stream = within("a connection", TcpStream::connect(to)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, counters).await
    }

    /// Speaks HTTP/2 over this.
    pub(crate) async fn over<T>(io: T, (asked, open): (Arc<AtomicU64>, Arc<AtomicU64>)) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        open.fetch_add(1, Ordering::SeqCst);
        let (sender, connection) =
            within("HTTP/2", Builder::new().initial_window_size(65_535).initial_connection_window_size(16 << 20).handshake(io)).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Self { sender, driver, asked, open }
    }

    /// Sends a request whole.
    pub(crate) async fn send(&self, call: &Call) -> Asked {
        let (request, body) = call.request();
        let mut asked = self.open(request, body.is_none()).await;
        if let Some(body) = body {
            asked.upload.send_data(body.into(), true).unwrap();
        }
        asked
    }

    /// Sends a request's head, and whether that is all.
    pub(crate) async fn open(&self, request: http::Request<()>, whole: bool) -> Asked {
        let mut sender = within("room for a stream", self.sender.clone().ready()).await.unwrap();
        let (response, upload) = sender.send_request(request, whole).unwrap();
        self.asked.fetch_add(1, Ordering::SeqCst);
        Asked { response: Some(response), upload, body: None, trailers: None, reset: None }
    }

    /// Sends a request and reads its reply.
    pub(crate) async fn ask(&self, call: &Call) -> Reply {
        self.send(call).await.reply().await
    }

    /// How many streams the proxy takes at one time, once it has said so.
    pub(crate) fn most(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Waits until the connection has ended, and says how.
    pub(crate) async fn ended(&mut self) -> Result<(), h2::Error> {
        within("the connection to end", self.ended_whenever()).await
    }

    /// The same, however long it takes.
    pub(crate) async fn ended_whenever(&mut self) -> Result<(), h2::Error> {
        self.driver.join_next().await.unwrap().unwrap()
    }
}

impl Asked {
    /// Reads a reply to its end, however it ends.
    pub(crate) async fn reply(mut self) -> Reply {
        let mut reply = self.head().await;
        self.rest(&mut reply).await;
        reply
    }

    /// Reads the head. A stream that is reset before it has none: status 0.
    pub(crate) async fn head(&mut self) -> Reply {
        let mut reply =
            Reply { status: 0, head: Vec::new(), headers: Vec::new(), body: Vec::new(), chunks: Vec::new(), arrivals: vec![], end: End::Open };
        match within("a head", self.response.take().unwrap()).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                    (name.as_str().to_owned(), value.as_bytes().iter().copied().map(char::from).collect())
                };
                reply.status = head.status.as_u16();
                reply.headers = head.headers.iter().map(text).collect();
                reply.arrivals.push(Instant::now());
                self.body = Some(body);
            }
            Err(error) => self.broke(&mut reply, &error),
        }
        reply
    }

    /// Reads one piece of the body; whether there was one.
    pub(crate) async fn piece(&mut self, reply: &mut Reply) -> bool {
        let Some(body) = &mut self.body else { return false };
        match within("a piece of a body", body.data()).await {
            Some(Ok(data)) => {
                body.flow_control().release_capacity(data.len()).unwrap();
                reply.body.extend_from_slice(&data);
                reply.arrivals.push(Instant::now());
                true
            }
            Some(Err(error)) => {
                self.broke(reply, &error);
                false
            }
            None => {
                match within("trailers or the end", body.trailers()).await {
                    Ok(trailers) => {
                        self.trailers = trailers;
                        reply.end = End::Whole;
                    }
                    Err(error) => self.broke(reply, &error),
                }
                false
            }
        }
    }

    /// Reads to the end.
    pub(crate) async fn rest(&mut self, reply: &mut Reply) {
        while self.piece(reply).await {}
    }

    /// Sends more of the body.
    pub(crate) fn write(&mut self, data: impl Into<Bytes>, whole: bool) {
        self.upload.send_data(data.into(), whole).unwrap();
    }

    /// Sends more of the body to where nobody may want it any more; whether it could be sent.
    pub(crate) fn offer(&mut self, data: impl Into<Bytes>, whole: bool) -> bool {
        self.upload.send_data(data.into(), whole).is_ok()
    }

    /// Takes the request back.
    pub(crate) fn hang_up(mut self) -> Instant {
        self.upload.send_reset(Reason::CANCEL);
        Instant::now()
    }

    fn broke(&mut self, reply: &mut Reply, error: &h2::Error) {
        self.reset = error.reason().filter(|_| error.is_reset());
        reply.end = if error.is_reset() { End::Rst } else { End::Fin };
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streams")
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}
