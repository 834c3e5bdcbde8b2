//! The upstream of either protocol: remembers what it was sent, and answers as it was drawn.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use h2::{Reason, SendStream, server::SendResponse};
use http::{Request, Response};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    task::{JoinSet, yield_now},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    draw::{Cut, Deck, Exchange, Framing, Way},
    http1::{self, Http1, Io},
};
use crate::support::{Ask, End, Peer, peer};

/// A request as it reached the upstream.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub whole: bool,
}

/// Everything that was heard, by number, and what decides the answers.
#[derive(Debug)]
pub(super) struct Stage {
    pub deck: Deck,
    heard: Mutex<HashMap<u64, Vec<Heard>>>,
}

impl Stage {
    pub(super) fn new(deck: Deck) -> Arc<Self> {
        Arc::new(Self { deck, heard: Mutex::default() })
    }

    /// What came of this exchange, attempt by attempt.
    pub(super) fn heard(&self, number: u64) -> Vec<Heard> {
        self.heard.lock().unwrap().remove(&number).unwrap_or_default()
    }

    /// Remembers a request, and draws what it is answered.
    fn hear(&self, heard: Heard) -> (Exchange, Rng) {
        let number = heard.target.split_once("?n=").unwrap().1;
        let number = number.split('&').next().unwrap().parse().unwrap();
        self.heard.lock().unwrap().entry(number).or_default().push(heard);
        (self.deck.draw(number), self.deck.rng(number, 2))
    }
}

/// Starts an upstream.
pub(super) async fn start(stage: &Arc<Stage>, acceptor: Option<TlsAcceptor>) -> Peer {
    let stage = Arc::clone(stage);
    peer(move |stream, _| {
        let (stage, acceptor) = (Arc::clone(&stage), acceptor.clone());
        async move {
            if let Some(io) = shield(stream, acceptor).await {
                if stage.deck.http2 { serve_http2(io, stage).await } else { serve_http1(Http1::new(io), &stage).await }
            }
        }
    })
    .await
}

async fn shield(stream: TcpStream, acceptor: Option<TlsAcceptor>) -> Option<Box<dyn Io>> {
    let Some(acceptor) = acceptor else { return Some(Box::new(stream)) };
    let stream = acceptor.accept(stream).await.ok()?;
    Some(Box::new(tokio_rustls::TlsStream::from(stream)))
}

async fn serve_http1(mut wire: Http1, stage: &Stage) {
    while let Some(head) = wire.head().await {
        let (body, end) = wire.body(&head, false).await;
        let mut line = head.line.split(' ').map(str::to_owned);
        let (method, target) = (line.next().unwrap(), line.next().unwrap());
        let (exchange, mut rng) = stage.hear(Heard { method, target, headers: head.headers, body, whole: end == End::Whole });
        let Exchange { reply, cut, .. } = &exchange;
        let at = cut.map_or(reply.bytes.len(), |cut| cut.at);
        let is_clean = cut.is_none_or(|cut| cut.how == Way::Clean);
        let mut headers = exchange.reply_headers.clone();
        headers.push(("Connection".to_owned(), "X-Hop-Down".to_owned()));
        headers.push(("X-Hop-Down".to_owned(), "1".to_owned()));
        headers.push(("Keep-Alive".to_owned(), "timeout=60".to_owned()));
        headers.extend(match reply.framing {
            Framing::Length => Some(("content-LENGTH".to_owned(), if is_clean { at } else { reply.bytes.len() }.to_string())),
            Framing::Chunked => Some(("transfer-encoding".to_owned(), "chunked".to_owned())),
            Framing::Closed => None,
        });
        let mut bytes = http1::head(&format!("HTTP/1.1 {} Drawn", exchange.status), &headers);
        bytes.extend(if is_clean { http1::body(reply, at) } else { http1::body_until(reply, at) });
        if !wire.send(&mut rng, &bytes).await {
            return;
        }
        match cut.map(|cut| cut.how) {
            Some(Way::Rst) => {
                settle(&mut rng).await;
                return wire.reset();
            }
            Some(Way::Clean) | None if reply.framing == Framing::Closed => return wire.close().await,
            Some(Way::Clean) | None => {}
            // What is dropped is closed: over TLS without saying so.
            Some(_) => return,
        }
    }
}

/// Gives what was written before a reset the time to arrive, or not.
async fn settle(rng: &mut Rng) {
    for _ in 0..rng.usize(..40) {
        yield_now().await;
    }
}

/// How long a connection stays after its GOAWAY.
const FAREWELL: Duration = Duration::from_millis(100);

/// Ends a connection: with a GOAWAY that says this, or without.
type Ending = Option<Reason>;

async fn serve_http2(io: Box<dyn Io>, stage: Arc<Stage>) {
    // Of many agents' small frames together it has to hold more than h2 lets one connection have unread.
    let Ok(mut connection) = h2::server::Builder::new().data_frame_budget(1 << 30).handshake::<_, Bytes>(io).await else { return };
    let (end, mut ended) = mpsc::channel::<Ending>(1);
    let mut answers = JoinSet::new();
    loop {
        tokio::select! {
            asked = connection.accept() => {
                let Some(Ok(ask)) = asked else { return };
                answers.spawn(answer(ask, Arc::clone(&stage), end.clone()));
            }
            Some(ending) = ended.recv() => {
                let Some(reason) = ending else { return };
                connection.abrupt_shutdown(reason);
                // Long enough to be sent; then the connection ends, whatever is still on it.
                let _ = timeout(FAREWELL, async { while let Some(Ok(_)) = connection.accept().await {} }).await;
                return;
            }
        }
    }
}

async fn answer((request, mut respond): Ask, stage: Arc<Stage>, end: mpsc::Sender<Ending>) {
    let heard = hear(request).await;
    let (exchange, mut rng) = stage.hear(heard);
    let Exchange { reply, cut, .. } = &exchange;
    let at = cut.map_or(reply.bytes.len(), |cut| cut.at);
    let Some(mut stream) = begin(&exchange, &mut respond) else { return };
    let mut from = 0;
    for piece in &reply.pieces {
        let to = (from + piece).min(at);
        // Who has taken the request back, or whose connection was ended by another's cut, is told no more.
        if stream.send_data(Bytes::copy_from_slice(&reply.bytes[from..to]), false).is_err() {
            return;
        }
        from = to;
        if rng.u8(..) < 60 {
            yield_now().await;
        }
        if to == at {
            break;
        }
    }
    finish(stream, *cut, &mut rng, end).await;
}

async fn hear(request: Request<h2::RecvStream>) -> Heard {
    let (head, mut body) = request.into_parts();
    let text =
        |(name, value): (&http::HeaderName, &http::HeaderValue)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned());
    let (mut bytes, mut whole) = (Vec::new(), true);
    while let Some(data) = body.data().await {
        let Ok(data) = data else {
            whole = false;
            break;
        };
        // The connection may have been ended by another's cut.
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    let target = head.uri.path_and_query().unwrap().to_string();
    Heard { method: head.method.to_string(), target, headers: head.headers.iter().map(text).collect(), body: bytes, whole }
}

fn begin(exchange: &Exchange, respond: &mut SendResponse<Bytes>) -> Option<SendStream<Bytes>> {
    let mut head = Response::builder().status(exchange.status);
    for (name, value) in &exchange.reply_headers {
        head = head.header(name, value);
    }
    if exchange.reply.framing == Framing::Length {
        let clean = exchange.cut.filter(|cut| cut.how == Way::Clean);
        head = head.header("content-length", clean.map_or(exchange.reply.bytes.len(), |cut| cut.at));
    }
    respond.send_response(head.body(()).unwrap(), false).ok()
}

async fn finish(mut stream: SendStream<Bytes>, cut: Option<Cut>, rng: &mut Rng, end: mpsc::Sender<Ending>) {
    let Some(Cut { how, .. }) = cut.filter(|cut| !matches!(cut.how, Way::Clean | Way::Short)) else {
        // As above.
        let _ = stream.send_data(Bytes::new(), true);
        return;
    };
    // A reset overtakes what waits to be sent.
    settle(rng).await;
    match how {
        Way::Reset(reason) => stream.send_reset(reason),
        // Full, or closed: another one ends it.
        Way::GoAway(reason) => drop(end.try_send(Some(reason))),
        _ => drop(end.try_send(None)),
    }
    // The stream stays as it is until the connection is no more.
    let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
}
