//! The beginning of a connection: what strikes before a byte is read, TLS, and which HTTP is spoken.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::Interest,
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    control,
    http::Wire,
    http1, http2,
    socket::{Raw, Stream},
    state::State,
};
use crate::demo::script::{CutAt, StallAt, Step, Wait};

/// How often a connection that is never read from is looked at for its hang-up.
const GLANCE: Duration = Duration::from_millis(20);
/// What a client that knows of HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// What a handshake of TLS begins with.
const HANDSHAKE: u8 = 0x16;
/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, state: Arc<State>) {
    let connection = state.next_connection();
    // Every token must leave at once. A socket that refuses is one that has just ended, which the first read tells.
    let _ = stream.set_nodelay(true);
    let Ok(raw) = Raw::of(&stream) else { return };
    let knocks = state.has_door() && state.strikes_at_connect() && control::knocks(&stream).await;
    if let Some(step) = if knocks { None } else { state.step_at_connect() } {
        return at_connect(&stream, &raw, &step).await;
    }
    let Ok((stream, two)) = greet(stream, &state).await else { return };
    if two {
        http2::serve(stream, raw, connection, state).await;
    } else {
        http1::serve(Wire::new(stream, raw), peer, connection, &state).await;
    }
}

/// TLS if there is to be and the other side begins it, and whether HTTP/2 is spoken. What is no handshake is served in plain, too,
/// so that scripts can be set without a certificate.
async fn greet(stream: TcpStream, state: &State) -> io::Result<(Stream, bool)> {
    let start = begins_with(&stream).await?;
    let Some(tls) = state.options.tls.as_ref().filter(|_| start == Start::Tls) else {
        return Ok((Stream::Plain(stream), start == Start::Http2));
    };
    let acceptor = TlsAcceptor::from(tls.config(&state.standing().tls));
    let stream = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await??;
    let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Stream::Tls(Box::new(stream)), two))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Tls,
    Http1,
    Http2,
}

/// By the first bytes, which stay where they are.
async fn begins_with(stream: &TcpStream) -> io::Result<Start> {
    let mut start = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut start).await?;
        let come = &start[..length];
        if come.first() == Some(&HANDSHAKE) {
            return Ok(Start::Tls);
        }
        if !PREFACE.starts_with(come) || come.is_empty() {
            return Ok(Start::Http1);
        }
        if length == PREFACE.len() {
            return Ok(Start::Http2);
        }
        // It could be either still: a preface that comes in pieces, or a slow `PRI`.
        sleep(Duration::from_millis(1)).await;
    }
}

/// The faults that strike before a byte is read, or when the first have come.
async fn at_connect(stream: &TcpStream, raw: &Raw, step: &Step) {
    let at_handshake =
        step.stall.as_ref().is_some_and(|stall| stall.at == StallAt::Handshake) || step.cut.as_ref().is_some_and(|cut| cut.at == CutAt::Handshake);
    if at_handshake && begins_with(stream).await.is_err() {
        return;
    }
    match (&step.cut, &step.stall) {
        (Some(cut), _) if matches!(cut.at, CutAt::Connect | CutAt::Handshake) => {
            raw.end(cut.how);
            if cut.how == crate::demo::script::How::Fin {
                // A close over unread bytes would be a reset.
                let _ = timeout(Duration::from_secs(1), until_closed(stream)).await;
            }
        }
        (_, Some(stall)) => match stall.wait {
            Wait::Forever => until_gone(stream).await,
            Wait::For(duration) => {
                // Either way it is over: the wait, or the connection.
                let _ = timeout(duration, until_gone(stream)).await;
            }
        },
        _ => {}
    }
}

/// Reads the other side to its end.
async fn until_closed(stream: &TcpStream) {
    let mut rest = Vec::with_capacity(16 << 10);
    while stream.readable().await.is_ok() {
        rest.clear();
        match stream.try_read_buf(&mut rest) {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}

/// Waits for the hang-up of a connection without reading from it.
async fn until_gone(stream: &TcpStream) {
    loop {
        match stream.ready(Interest::READABLE | Interest::ERROR).await {
            Ok(ready) if !ready.is_read_closed() && !ready.is_error() => sleep(GLANCE).await,
            _ => return,
        }
    }
}
