//! Performs the acts of an answer on the socket.

use std::{io, ops::Range, time::Duration};

use bytes::Bytes;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, sleep_until},
};

use super::{
    http::write_all,
    plain::pattern,
    plan::{Act, Finish},
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

/// Performs all of it; `slowly` is the pause after every single byte.
pub(super) async fn perform(stream: &TcpStream, acts: Vec<Act>, slowly: Option<Duration>) -> io::Result<Outcome> {
    for act in acts {
        match act {
            Act::Send(bytes) => send(stream, &bytes, slowly).await?,
            Act::Pattern { range, chunked } => send_pattern(stream, range, chunked).await?,
            Act::Pause(duration) if duration.is_zero() => {}
            Act::Pause(duration) => sleep(duration).await,
            Act::Stall(wait, heartbeat) => stall(stream, wait, heartbeat).await?,
            Act::End(Finish::Keep) => return Ok(Outcome::Kept),
            Act::End(Finish::Close) => return Ok(Outcome::Closed),
            Act::End(Finish::Cut(how)) => return Ok(Outcome::Cut(how)),
        }
    }
    Ok(Outcome::Kept)
}

async fn send(stream: &TcpStream, bytes: &[u8], slowly: Option<Duration>) -> io::Result<()> {
    let Some(pause) = slowly else { return write_all(stream, bytes).await };
    for byte in bytes {
        write_all(stream, &[*byte]).await?;
        sleep(pause).await;
    }
    Ok(())
}

async fn send_pattern(stream: &TcpStream, mut range: Range<u64>, chunked: bool) -> io::Result<()> {
    while range.start < range.end {
        let size = (range.end - range.start).min(PATTERN_PIECE);
        let piece = pattern(range.start, usize::try_from(size).expect("a piece is 16 KiB at most"));
        if chunked {
            write_all(stream, format!("{size:x}\r\n").as_bytes()).await?;
        }
        write_all(stream, &piece).await?;
        if chunked {
            write_all(stream, b"\r\n").await?;
        }
        range.start += size;
    }
    Ok(())
}

/// Silence, with a sign of life now and then if there is one. For ever is until the other side hangs up.
async fn stall(stream: &TcpStream, wait: Wait, heartbeat: Option<(Duration, Bytes)>) -> io::Result<()> {
    let silence = async {
        match wait {
            Wait::For(duration) => sleep_until(Instant::now() + duration).await,
            Wait::Forever => std::future::pending().await,
        }
    };
    let signs = async {
        let Some((pause, sign)) = heartbeat else { return std::future::pending().await };
        loop {
            sleep(pause).await;
            if let Err(error) = write_all(stream, &sign).await {
                return error;
            }
        }
    };
    tokio::select! {
        () = silence => Ok(()),
        error = signs => Err(error),
    }
}
