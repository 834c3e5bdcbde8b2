//! What an HTTP/2 connection writes, frame by frame: some kinds are kept back, frames can be slipped in between, and what of each
//! stream's data has left is counted. By this a server that keeps the protocol can be made to break it as ordered.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};

use super::socket::Stream;
use crate::demo::script::Http2;

/// The length of a frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;
/// Beyond this much unsent the connection waits.
const UNSENT_MAX: usize = 64 << 10;
const DATA: u8 = 0x0;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const ACK: u8 = 0x1;

/// A connection whose frames are looked at on their way out.
pub(super) struct Frames {
    stream: Stream,
    kept_back: Http2,
    desk: Arc<Desk>,
    /// The beginning of a frame.
    partial: BytesMut,
    unsent: BytesMut,
}

/// What others know and order of the frames.
pub(super) struct Desk {
    slipped: Mutex<BytesMut>,
    sent: watch::Sender<HashMap<u32, usize>>,
}

impl Desk {
    /// Says goodbye: which stream was the last one, and why (RFC 9113 section 6.8).
    pub(super) fn goaway(&self, last: u32, code: u32) {
        let mut slipped = self.slipped();
        slipped.put_slice(&[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0]);
        slipped.put_u32(last);
        slipped.put_u32(code);
    }

    /// Waits until so much of a stream's data has been handed to the socket.
    pub(super) async fn sent(&self, stream: u32, bytes: usize) {
        let mut sent = self.sent.subscribe();
        // The sender is ours: it is there as long as we are.
        let _ = sent.wait_for(|sent| sent.get(&stream).copied().unwrap_or(0) >= bytes).await;
    }

    /// Forgets a stream that is over.
    pub(super) fn forget(&self, stream: u32) {
        self.sent.send_modify(|sent| {
            sent.remove(&stream);
        });
    }

    fn slipped(&self) -> MutexGuard<'_, BytesMut> {
        self.slipped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Frames {
    pub(super) fn new(stream: Stream, kept_back: Http2) -> (Self, Arc<Desk>) {
        let desk = Arc::new(Desk { slipped: Mutex::default(), sent: watch::Sender::default() });
        (Self { stream, kept_back, desk: Arc::clone(&desk), partial: BytesMut::new(), unsent: BytesMut::new() }, desk)
    }

    /// Takes whole frames over, but for those that are kept back, and what is to be slipped in between two.
    fn sort(&mut self) {
        while let Some(&[high, middle, low, kind, flags, ..]) = self.partial.first_chunk::<HEAD>().map(|head| &head[..]) {
            let payload = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            if self.partial.len() < HEAD + payload {
                return;
            }
            let frame = self.partial.split_to(HEAD + payload);
            let kept_back = match kind {
                PING => self.kept_back.ignore_pings && flags & ACK != 0,
                WINDOW_UPDATE => self.kept_back.no_window_updates,
                _ => false,
            };
            if !kept_back {
                self.unsent.put_slice(&frame);
            }
            if kind == DATA {
                let stream = (&frame[5..HEAD]).get_u32();
                self.desk.sent.send_modify(|sent| *sent.entry(stream).or_default() += payload);
            }
        }
        if self.partial.is_empty() {
            let mut slipped = self.desk.slipped();
            self.unsent.put_slice(&slipped);
            slipped.clear();
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.unsent.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Frames {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Frames {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let frames = self.get_mut();
        if frames.unsent.len() > UNSENT_MAX {
            ready!(frames.poll_send(cx))?;
        }
        frames.partial.put_slice(bytes);
        frames.sort();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let frames = self.get_mut();
        frames.sort();
        ready!(frames.poll_send(cx))?;
        Pin::new(&mut frames.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let frames = self.get_mut();
        ready!(frames.poll_send(cx))?;
        Pin::new(&mut frames.stream).poll_shutdown(cx)
    }
}
