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
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use crate::proxy::{Peer, Turn};

/// From the first byte of a head (or a new connection) to its last.
const HEAD: Duration = Duration::from_secs(10);
/// Between two exchanges. Python's clients drop idle connections after 5 s, so this never races with them.
const IDLE: Duration = Duration::from_mins(1);

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
    fn poll_read(&mut self, turn: Turn, cx: &mut Context<'_>) -> Poll<()> {
        let at = match (turn, self.waiting) {
            (Turn::Ours(_), _) => return Poll::Pending,
            (_, Some((of, _, at))) if of == turn => at,
            _ => {
                let at = Instant::now() + if turn == Turn::New { HEAD } else { IDLE };
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
    stream: TcpStream,
    peer: Arc<Peer>,
    patience: Patience,
}

impl AgentSocket {
    /// Around an accepted stream.
    pub(super) fn new(stream: TcpStream, peer: Arc<Peer>, patience: Patience) -> Self {
        Self { stream, peer, patience }
    }

    fn written(&mut self, polled: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if polled.is_ready() {
            self.patience.blocked = None;
            return polled;
        }
        std::task::ready!(self.patience.poll_write(cx));
        self.peer.stall();
        self.peer.reset_on_close();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the agent reads nothing")))
    }
}

impl AsyncRead for AgentSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut socket.stream).poll_read(cx, buffer);
        let turn = socket.peer.turn();
        if polled.is_ready() {
            if buffer.filled().len() > before {
                socket.patience.has_read(turn);
            } else if buffer.remaining() > 0 {
                socket.peer.leave();
            }
            return polled;
        }
        std::task::ready!(socket.patience.poll_read(turn, cx));
        if turn == Turn::New || matches!(socket.patience.waiting, Some((_, true, _))) {
            socket.peer.slow();
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request in time")))
    }
}

impl AsyncWrite for AgentSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let polled = Pin::new(&mut socket.stream).poll_write(cx, bytes);
        socket.written(polled, cx)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let polled = Pin::new(&mut socket.stream).poll_write_vectored(cx, slices);
        socket.written(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        if self.peer.is_reset_on_close() {
            // Fails only where the connection is gone already.
            let _ = self.stream.set_zero_linger();
        }
    }
}
