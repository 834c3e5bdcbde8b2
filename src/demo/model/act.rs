//! Performs the acts of an answer, on a connection of HTTP/1.1 or on a stream of HTTP/2.

use std::{future::poll_fn, io, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use tokio::{
    io::{AsyncWriteExt, WriteHalf},
    time::{Instant, sleep, sleep_until},
};

use super::{
    frames::Desk,
    plain::pattern,
    plan::{Act, Finish},
    socket::Stream,
};
use crate::demo::script::{How, Wait};

/// How much of the pattern is written at a time.
const PATTERN_PIECE: u64 = 16 << 10;

/// How a performance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Kept,
    Closed,
    Cut(How),
}

/// Where an answer goes.
pub(super) enum Outlet<'a> {
    /// A connection of HTTP/1.1; whoever owns it watches for its hang-up.
    One(&'a mut WriteHalf<Stream>),
    /// A stream of HTTP/2, which is watched here.
    Two(Answering),
}

/// A stream of HTTP/2 that is being answered.
pub(super) struct Answering {
    pub(super) reply: SendResponse<Bytes>,
    pub(super) desk: Arc<Desk>,
    body: Option<SendStream<Bytes>>,
    handed: usize,
}

/// Performs all of it; `slowly` is the pause after every single byte.
pub(super) async fn perform(outlet: &mut Outlet<'_>, acts: Vec<Act>, slowly: Option<Duration>) -> io::Result<Outcome> {
    for act in acts {
        match act {
            Act::Head(head) => outlet.head(head)?,
            Act::Send(bytes) => send(outlet, bytes, slowly).await?,
            Act::Pattern { range, chunked } => send_pattern(outlet, range, chunked).await?,
            Act::Pause(duration) if duration.is_zero() => {}
            Act::Pause(duration) => outlet.unless_gone(sleep(duration)).await?,
            Act::Stall(wait, heartbeat) => stall(outlet, wait, heartbeat).await?,
            Act::End(Finish::Keep) => return outlet.end().map(|()| Outcome::Kept),
            Act::End(Finish::Close) => return outlet.end().map(|()| Outcome::Closed),
            Act::End(Finish::Cut(how, code)) => return outlet.cut(how, code).await.map(|()| Outcome::Cut(how)),
        }
    }
    outlet.end().map(|()| Outcome::Kept)
}

async fn send(outlet: &mut Outlet<'_>, bytes: Bytes, slowly: Option<Duration>) -> io::Result<()> {
    let Some(pause) = slowly else { return outlet.write(bytes).await };
    for at in 0..bytes.len() {
        outlet.write(bytes.slice(at..=at)).await?;
        outlet.unless_gone(sleep(pause)).await?;
    }
    Ok(())
}

async fn send_pattern(outlet: &mut Outlet<'_>, mut range: Range<u64>, chunked: bool) -> io::Result<()> {
    while range.start < range.end {
        let size = (range.end - range.start).min(PATTERN_PIECE);
        let piece = pattern(range.start, usize::try_from(size).expect("a piece is 16 KiB at most"));
        if chunked {
            outlet.write(Bytes::from(format!("{size:x}\r\n"))).await?;
        }
        outlet.write(piece).await?;
        if chunked {
            outlet.write(Bytes::from_static(b"\r\n")).await?;
        }
        range.start += size;
    }
    Ok(())
}

/// Silence, with a sign of life now and then if there is one. For ever is until the other side hangs up.
async fn stall(outlet: &mut Outlet<'_>, wait: Wait, heartbeat: Option<(Duration, Bytes)>) -> io::Result<()> {
    let end = match wait {
        Wait::For(duration) => Some(Instant::now() + duration),
        Wait::Forever => None,
    };
    loop {
        let beat = heartbeat.as_ref().map(|(pause, sign)| (Instant::now() + *pause, sign)).filter(|(at, _)| end.is_none_or(|end| *at < end));
        match (beat, end) {
            (Some((at, sign)), _) => {
                outlet.unless_gone(sleep_until(at)).await?;
                outlet.write(sign.clone()).await?;
            }
            (None, Some(end)) => return outlet.unless_gone(sleep_until(end)).await,
            (None, None) => return outlet.unless_gone(std::future::pending()).await,
        }
    }
}

impl Outlet<'_> {
    /// A head of HTTP/2.
    fn head(&mut self, head: http::Response<()>) -> io::Result<()> {
        if let Self::Two(stream) = self {
            stream.body = Some(stream.reply.send_response(head, false).map_err(io::Error::other)?);
        }
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        match self {
            Self::One(stream) => {
                stream.write_all(&bytes).await?;
                stream.flush().await
            }
            Self::Two(stream) => stream.write(bytes).await,
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Two(Answering { body: Some(body), .. }) => body.send_data(Bytes::new(), true).map_err(io::Error::other),
            _ => Ok(()),
        }
    }

    /// What was written leaves first; of HTTP/2 it may be the stream alone that ends.
    async fn cut(&mut self, how: How, code: u32) -> io::Result<()> {
        let Self::Two(stream) = self else { return Ok(()) };
        let id = u32::from(stream.reply.stream_id());
        let (desk, handed) = (Arc::clone(&stream.desk), stream.handed);
        self.unless_gone(desk.sent(id, handed)).await?;
        match (how, self) {
            (How::Stream, Self::Two(stream)) => match &mut stream.body {
                Some(body) => body.send_reset(Reason::from(code)),
                None => stream.reply.send_reset(Reason::from(code)),
            },
            (How::Clean, outlet) => outlet.end()?,
            _ => {}
        }
        Ok(())
    }

    /// Waits for something, unless the other side gives the stream up.
    async fn unless_gone(&mut self, waiting: impl Future<Output = ()>) -> io::Result<()> {
        match self {
            Self::One(_) => {
                waiting.await;
                Ok(())
            }
            Self::Two(stream) => tokio::select! {
                () = waiting => Ok(()),
                error = stream.gone() => Err(error),
            },
        }
    }
}

impl Answering {
    pub(super) fn new(reply: SendResponse<Bytes>, desk: Arc<Desk>) -> Self {
        Self { reply, desk, body: None, handed: 0 }
    }

    /// Within the other side's windows.
    async fn write(&mut self, mut bytes: Bytes) -> io::Result<()> {
        let Some(body) = &mut self.body else { return Ok(()) };
        while !bytes.is_empty() {
            body.reserve_capacity(bytes.len());
            let room = match poll_fn(|cx| body.poll_capacity(cx)).await {
                Some(Ok(0)) => continue,
                Some(Ok(room)) => room.min(bytes.len()),
                Some(Err(error)) => return Err(gone(error)),
                None => return Err(io::ErrorKind::ConnectionReset.into()),
            };
            body.send_data(bytes.split_to(room), false).map_err(io::Error::other)?;
            self.handed += room;
        }
        Ok(())
    }

    async fn gone(&mut self) -> io::Error {
        let reset = match &mut self.body {
            Some(body) => poll_fn(|cx| body.poll_reset(cx)).await,
            None => poll_fn(|cx| self.reply.poll_reset(cx)).await,
        };
        match reset {
            Ok(_) => io::ErrorKind::ConnectionReset.into(),
            Err(error) => gone(error),
        }
    }
}

/// A stream that was reset, or a connection that ended.
fn gone(error: h2::Error) -> io::Error {
    if error.is_reset() { io::ErrorKind::ConnectionReset.into() } else { io::Error::other(error) }
}
