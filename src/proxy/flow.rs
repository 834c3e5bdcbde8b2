//! One direction of a tunnel: a buffer of its own, filled from one side and emptied into the other. What waits is never more than that buffer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::Frames;

/// What is taken from one side before the other must take it, in bytes.
const BUFFER: usize = 16 << 10;

/// One direction.
#[derive(Debug)]
pub(super) struct Flow {
    buffer: Box<[u8]>,
    /// What of the buffer is still to be written.
    waiting: std::ops::Range<usize>,
    bytes: u64,
    /// Whether something was written and not flushed.
    unflushed: bool,
    /// Whether the reader's end has come, and whether it was passed on.
    ended: bool,
    done: bool,
    frames: Frames,
}

/// Which side of a flow broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrokenFlow {
    /// The one that is read.
    Reader,
    /// The one that is written to.
    Writer,
}

impl BrokenFlow {
    /// Whether it was the one that is read.
    pub(super) fn is_of_reader(self) -> bool {
        self == Self::Reader
    }
}

impl Flow {
    /// With nothing in it.
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER].into_boxed_slice(),
            waiting: 0..0,
            bytes: 0,
            unflushed: false,
            ended: false,
            done: false,
            frames: Frames::default(),
        }
    }

    /// Bytes given on.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the bytes given on end with a whole frame.
    pub(super) fn at_boundary(&self) -> bool {
        self.frames.at_boundary()
    }

    /// Whether a close frame was given on.
    pub(super) fn has_closed(&self) -> bool {
        self.frames.has_closed()
    }

    /// Whether it has ended, or will with what waits.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Carries what can be carried; ready when the reader's end was passed on, and ever after.
    pub(super) fn poll<R, W>(&mut self, mut from: Pin<&mut R>, mut to: Pin<&mut W>, cx: &mut Context<'_>) -> Poll<Result<(), BrokenFlow>>
    where
        R: AsyncRead,
        W: AsyncWrite,
    {
        let writer = |_: io::Error| BrokenFlow::Writer;
        while !self.done {
            if !self.waiting.is_empty() {
                let written = ready!(to.as_mut().poll_write(cx, &self.buffer[self.waiting.clone()])).map_err(writer)?;
                if written == 0 {
                    return Poll::Ready(Err(BrokenFlow::Writer));
                }
                self.frames.feed(&self.buffer[self.waiting.start..self.waiting.start + written]);
                self.waiting.start += written;
                self.bytes += u64::try_from(written).unwrap_or(u64::MAX);
                self.unflushed = true;
            } else if self.ended {
                ready!(to.as_mut().poll_shutdown(cx)).map_err(writer)?;
                self.done = true;
            } else {
                let mut room = ReadBuf::new(&mut self.buffer);
                match from.as_mut().poll_read(cx, &mut room) {
                    Poll::Ready(Ok(())) => {
                        self.waiting = 0..room.filled().len();
                        self.ended = self.waiting.is_empty();
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(BrokenFlow::Reader)),
                    Poll::Pending => {
                        if self.unflushed {
                            ready!(to.as_mut().poll_flush(cx)).map_err(writer)?;
                            self.unflushed = false;
                        }
                        return Poll::Pending;
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
