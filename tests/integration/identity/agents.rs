//! The agent of either protocol: asks what was drawn, on a connection that is kept for as long as it is kept for him.

use bytes::Bytes;
use tokio::{net::TcpStream, task::yield_now};

use super::{
    draw::{Deck, Exchange, Framing},
    http1::{self, Http1},
};
use crate::support::{End, Pair, Proxy, Streams, streams, streams_over, within};

/// A reply as it came.
#[derive(Debug)]
pub(super) struct Seen {
    /// 0: there was no head.
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub end: End,
}

impl Seen {
    /// Whether the proxy has answered itself.
    pub(super) fn is_refused(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == "x-pillion-refusal")
    }
}

/// Connects to a proxy, by TLS where there is a certificate to trust.
pub(super) struct Door<'a> {
    pub proxy: &'a Proxy,
    pub pair: Option<&'a Pair>,
}

impl Door<'_> {
    pub(super) async fn http1(&self) -> Http1 {
        if let Some(pair) = self.pair {
            return Http1::new(Box::new(tokio_rustls::TlsStream::from(pair.connect(self.proxy, &["http/1.1"]).await.unwrap())));
        }
        let stream = within("a connection", TcpStream::connect(self.proxy.traffic())).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Http1::new(Box::new(stream))
    }

    pub(super) async fn http2(&self) -> Streams {
        match self.pair {
            Some(pair) => streams_over(self.proxy, pair.connect(self.proxy, &["h2"]).await.unwrap()).await,
            None => streams(self.proxy).await,
        }
    }
}

/// Headers of this hop, which end at the proxy; and one that is for it.
pub(super) const FOR_THE_PROXY: [(&str, &str); 5] =
    [("Connection", "keep-alive, X-Hop-Up"), ("X-Hop-Up", "1"), ("Keep-Alive", "timeout=5"), ("TE", "gzip"), ("x-pillion-agent", "planner")];

/// Asks on HTTP/1.1; whether the connection can be used again.
pub(super) async fn ask_http1(wire: &mut Http1, deck: Deck, number: u64, exchange: &Exchange) -> (Seen, bool) {
    let rng = &mut deck.rng(number, 1);
    let mut headers = exchange.headers.clone();
    headers.insert(0, ("Host".to_owned(), "localhost".to_owned()));
    headers.extend(FOR_THE_PROXY.map(|(name, value)| (name.to_owned(), value.to_owned())));
    headers.extend(exchange.upload.as_ref().map(|load| match load.framing {
        Framing::Length => ("Content-Length".to_owned(), load.bytes.len().to_string()),
        _ => ("Transfer-Encoding".to_owned(), "chunked".to_owned()),
    }));
    let mut bytes = http1::head(&format!("{} {} HTTP/1.1", exchange.method, exchange.target), &headers);
    bytes.extend(exchange.upload.iter().flat_map(|load| http1::body(load, load.bytes.len())));
    // An answer may come before all of the request is taken: it is read in any case.
    wire.send(rng, &bytes).await;
    let Some(head) = wire.head().await else {
        return (Seen { status: 0, headers: Vec::new(), body: Vec::new(), end: End::Fin }, false);
    };
    let status = head.line.split(' ').nth(1).unwrap().parse().unwrap();
    let (body, end) = wire.body(&head, true).await;
    let stays = end == End::Whole && head.of("connection") != Some("close");
    (Seen { status, headers: head.headers, body, end }, stays)
}

/// Asks on a stream of HTTP/2; whether the connection can be used again.
pub(super) async fn ask_http2(many: &Streams, deck: Deck, number: u64, exchange: &Exchange) -> Seen {
    let rng = &mut deck.rng(number, 1);
    let mut head = http::Request::builder().method(exchange.method.as_str()).uri(format!("http://localhost{}", exchange.target));
    for (name, value) in &exchange.headers {
        head = head.header(name, value.as_bytes());
    }
    head = head.header("x-pillion-agent", "planner");
    if let Some(load) = exchange.upload.as_ref().filter(|load| load.framing == Framing::Length) {
        head = head.header("content-length", load.bytes.len());
    }
    let mut asked = many.open(head.body(()).unwrap(), exchange.upload.is_none()).await;
    if let Some(load) = &exchange.upload {
        let mut from = 0;
        for piece in &load.pieces {
            // As above.
            asked.offer(Bytes::copy_from_slice(&load.bytes[from..from + piece]), false);
            from += piece;
            if rng.u8(..) < 60 {
                yield_now().await;
            }
        }
        asked.offer(Bytes::new(), true);
    }
    let reply = asked.reply().await;
    let bytes = |value: &str| value.chars().map(|byte| u8::try_from(byte).unwrap()).collect::<Vec<_>>();
    let headers = reply.headers.iter().map(|(name, value)| (name.clone(), String::from_utf8_lossy(&bytes(value)).into_owned())).collect();
    Seen { status: reply.status, headers, body: reply.body, end: reply.end }
}
