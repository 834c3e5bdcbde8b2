//! An agent's socket, and our patience with it: how long a head may take, an idle connection may stay, and a reader may not read.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    brake::Brake,
    frames::{CALM, Frames},
    transport::Transport,
};
use crate::proxy::{Peer, Turn};

/// What an HTTP/2 connection begins with (RFC 9113 §3.4), and no HTTP/1.1 request.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// From the first byte of a head (or a new connection) to its last.
pub(super) const HEAD: Duration = Duration::from_secs(10);
/// Between two exchanges. Python's clients drop idle connections after 5 s, so this never races with them.
pub(super) const IDLE: Duration = Duration::from_mins(1);

/// The clocks of one connection.
#[derive(Debug)]
pub(super) struct Patience {
    reader: Option<Duration>,
    /// The turn that the read clock was set for, whether its head has begun, and when it rings.
    waiting: Option<(Turn, bool, Instant)>,
    /// Since when nothing could be written.
    blocked: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// With a reader clock, or none.
    pub(super) fn new(reader: Option<Duration>) -> Self {
        Self { reader, waiting: None, blocked: None, sleep: None }
    }

    /// Bytes were read in this turn.
    fn has_read(&mut self, turn: Turn) {
        let begun = matches!(self.waiting, Some((of, true, _)) if of == turn);
        if !begun && !matches!(turn, Turn::Ours(_)) {
            self.waiting = Some((turn, true, Instant::now() + HEAD));
        }
    }

    /// Nothing can be read in this turn: ready when that has lasted too long.
    fn poll_read(&mut self, turn: Turn, peer: &Peer, cx: &mut Context<'_>) -> Poll<()> {
        let at = match (turn, self.waiting) {
            (Turn::Ours(_), _) => return Poll::Pending,
            (_, Some((of, _, at))) if of == turn => at,
            _ => {
                // Since the last exchange, not since it was noticed: that can be when an older timer rings.
                let now = Instant::now();
                let at = if turn == Turn::New { now + HEAD } else { peer.idle_since().unwrap_or(now) + IDLE };
                self.waiting = Some((turn, false, at));
                at
            }
        };
        self.poll_at(at, cx)
    }

    /// Nothing can be written: ready when that has lasted too long.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(reader) = self.reader else { return Poll::Pending };
        let since = *self.blocked.get_or_insert_with(Instant::now);
        match since.checked_add(reader) {
            Some(at) => self.poll_at(at, cx),
            None => Poll::Pending,
        }
    }

    /// The timer is moved only when it would ring too late; when it rings too early it is set anew.
    fn poll_at(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            std::task::ready!(sleep.as_mut().poll(cx));
            if at <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

/// One agent's connection.
#[derive(Debug)]
pub(super) struct AgentSocket {
    transport: Transport,
    peer: Arc<Peer>,
    brake: Arc<Brake>,
    patience: Patience,
    sniffed: Sniffed,
    /// What the agent sends, followed where it is HTTP/2.
    frames: Option<Frames>,
    /// Whether the last write was taken in part only.
    is_midway: bool,
}

/// The first bytes of a connection, read to tell its protocol and still to be given to who speaks it.
#[derive(Debug, Default)]
struct Sniffed {
    bytes: [u8; PREFACE.len()],
    read: usize,
    given: usize,
}

impl AgentSocket {
    /// Around an accepted connection.
    pub(super) fn new(transport: Transport, (peer, brake): (Arc<Peer>, Arc<Brake>), patience: Patience) -> Self {
        Self { transport, peer, brake, patience, sniffed: Sniffed::default(), frames: None, is_midway: false }
    }

    /// Whether the agent begins as HTTP/2 does. Reads no further than it takes to tell.
    pub(super) async fn is_http2(&mut self) -> io::Result<bool> {
        let mut sniffed = Sniffed::default();
        while PREFACE.starts_with(sniffed.seen()) && sniffed.read < PREFACE.len() {
            let read = self.read(sniffed.bytes.get_mut(sniffed.read..).unwrap_or_default()).await?;
            if read == 0 {
                break;
            }
            sniffed.read += read;
        }
        let is_preface = sniffed.seen() == PREFACE;
        self.sniffed = sniffed;
        Ok(is_preface)
    }

    /// From now on HTTP/2 is spoken, preface first.
    pub(super) fn speak_http2(&mut self) {
        self.peer.multiplex();
        let mut frames = Frames::new(PREFACE.len(), Instant::now());
        frames.follow(self.sniffed.seen(), Instant::now());
        self.frames = Some(frames);
    }

    /// An error where these bytes make it a flood. The agent is told, if there is room and no frame of ours is half written.
    fn follow(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> io::Result<()> {
        let Some(frames) = &mut self.frames else { return Ok(()) };
        if frames.follow(bytes, Instant::now()) {
            return Ok(());
        }
        if !self.is_midway {
            // Whoever floods and does not read is told nothing.
            let _ = Pin::new(&mut self.transport).poll_write(cx, &CALM);
            let _ = Pin::new(&mut self.transport).poll_flush(cx);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the agent floods the connection"))
    }

    fn written<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.patience.blocked = None;
            self.brake.release();
            return polled;
        }
        self.brake.pull();
        std::task::ready!(self.patience.poll_write(cx));
        self.peer.stall();
        self.peer.reset_on_close();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the agent reads nothing")))
    }
}

impl Sniffed {
    fn seen(&self) -> &[u8] {
        self.bytes.get(..self.read).unwrap_or_default()
    }

    /// Gives what is left of it to who reads; whether there was anything.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let left = self.bytes.get(self.given..self.read).unwrap_or_default();
        let giving = left.get(..buffer.remaining().min(left.len())).unwrap_or_default();
        buffer.put_slice(giving);
        self.given += giving.len();
        !giving.is_empty()
    }
}

impl AsyncRead for AgentSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if socket.sniffed.give(buffer) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut socket.transport).poll_read(cx, buffer);
        let turn = socket.peer.turn();
        if polled.is_ready() {
            if buffer.filled().len() > before {
                socket.patience.has_read(turn);
                socket.follow(buffer.filled().get(before..).unwrap_or_default(), cx)?;
            } else if buffer.remaining() > 0 {
                socket.peer.leave();
            }
            return polled;
        }
        std::task::ready!(socket.patience.poll_read(turn, &socket.peer, cx));
        if turn == Turn::New || matches!(socket.patience.waiting, Some((_, true, _))) {
            socket.peer.slow();
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request in time")))
    }
}

impl AsyncWrite for AgentSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let polled = Pin::new(&mut socket.transport).poll_write(cx, bytes);
        socket.is_midway = !matches!(polled, Poll::Ready(Ok(written)) if written == bytes.len());
        socket.written(polled, cx)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let polled = Pin::new(&mut socket.transport).poll_write_vectored(cx, slices);
        socket.is_midway = !matches!(polled, Poll::Ready(Ok(written)) if written == slices.iter().map(|slice| slice.len()).sum::<usize>());
        socket.written(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        // What TLS has encrypted may still wait here, with nothing more to be written.
        let polled = Pin::new(&mut socket.transport).poll_flush(cx);
        socket.written(polled, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(cx)
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        if self.peer.is_reset_on_close() {
            self.transport.reset();
        }
    }
}
