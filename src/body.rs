//! Bodies on their way up: held whole for a replay, or passed on as they come. Every byte held is reserved first, within one bound.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

/// All bytes held for replays at one time: 256 MiB. Beyond it, requests are served without replay.
pub const HELD_MAX: u64 = 256 << 20;

/// A buffer grows to at most this ahead of what has really arrived, whatever `content-length` says.
const TRUSTED_CAPACITY: u64 = 1 << 20;

/// What is held of all requests together. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    held: Arc<AtomicU64>,
}

/// Bytes reserved in a [`Ledger`]; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    ledger: Ledger,
    bytes: u64,
}

impl Ledger {
    /// Bytes held now.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// An empty reservation, to be grown.
    pub fn open(&self) -> Reservation {
        Reservation { ledger: self.clone(), bytes: 0 }
    }
}

impl Reservation {
    /// Reserves `bytes` more; false (and nothing reserved) if all together would be over [`HELD_MAX`].
    pub fn grow(&mut self, bytes: u64) -> bool {
        let grown =
            self.ledger.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| held.checked_add(bytes).filter(|sum| *sum <= HELD_MAX));
        if grown.is_ok() {
            self.bytes += bytes;
        }
        grown.is_ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What became of an attempt to hold a body.
#[derive(Debug)]
pub enum Held {
    /// All of it.
    Whole(Bytes),
    /// More than may be held: what was read so far, the rest is still in the body.
    Over(Bytes),
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No byte for the given time.
    #[error("no byte of the body for {0:?}")]
    Silent(Duration),
    /// The connection ended, or the framing is broken.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}

/// Reads a body whole, up to `limit` bytes and within the ledger's bound; each wait for bytes at most `silence`.
pub async fn read_up_to(body: &mut Incoming, limit: u64, reservation: &mut Reservation, silence: Option<Duration>) -> Result<Held, ReadError> {
    let mut first: Option<Bytes> = None;
    let mut gathered = BytesMut::new();
    let expected = body.size_hint().upper();
    loop {
        let frame = match silence {
            Some(silence) => timeout(silence, body.frame()).await.map_err(|_| ReadError::Silent(silence))?,
            None => body.frame().await,
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(ReadError::Broken)?.into_data() else { continue };
        let reserved = reservation.grow(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if first.is_none() && gathered.is_empty() {
            first = Some(data);
        } else {
            if let Some(first) = first.take() {
                let room = expected.unwrap_or(0).min(TRUSTED_CAPACITY).min(limit);
                gathered.reserve(usize::try_from(room).unwrap_or(0).max(first.len() + data.len()));
                gathered.extend_from_slice(&first);
            }
            gathered.extend_from_slice(&data);
        }
        let length = first.as_ref().map_or(gathered.len(), Bytes::len);
        if !reserved || u64::try_from(length).unwrap_or(u64::MAX) > limit {
            return Ok(Held::Over(first.unwrap_or_else(|| gathered.freeze())));
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(Held::Whole(first.unwrap_or_else(|| gathered.freeze())))
}

/// Whether a body broke off because the other side has reset its HTTP/2 stream, which is how it hangs up.
pub fn is_reset(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| cause.is_remote() && cause.is_reset())
}

/// A body on its way up.
#[derive(Debug)]
pub enum Outgoing {
    /// Held whole (or empty); can be sent again.
    Whole(Bytes),
    /// Held in pieces, to be sent one behind the other; can be sent again.
    Pieces([Bytes; 3]),
    /// Passed on as it comes; can be sent once.
    Streamed(Upload),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Pieces(pieces) => {
                let next = pieces.iter_mut().find(|piece| !piece.is_empty()).map(std::mem::take);
                Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
            }
            Self::Streamed(upload) => upload.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Pieces(pieces) => pieces.iter().all(Bytes::is_empty),
            Self::Streamed(upload) => upload.prefix.is_empty() && upload.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Self::Pieces(pieces) => SizeHint::with_exact(u64::try_from(pieces.iter().map(Bytes::len).sum::<usize>()).unwrap_or(u64::MAX)),
            Self::Streamed(upload) => {
                let (mut hint, prefix) = (upload.body.size_hint(), u64::try_from(upload.prefix.len()).unwrap_or(u64::MAX));
                if let Some(exact) = hint.exact() {
                    hint.set_exact(exact + prefix);
                }
                hint
            }
        }
    }
}

/// The fields after a body that may go on: none that frames, routes, describes or authenticates, for whoever reads them has acted on the head already
/// (RFC 9110 §6.5.1), and none of Pillion's own.
pub fn trailers(from: &HeaderMap) -> HeaderMap {
    const HEAD_ONLY: [HeaderName; 18] = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::COOKIE,
        header::EXPECT,
        header::HOST,
        header::LOCATION,
        header::PROXY_AUTHORIZATION,
        header::SET_COOKIE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::VIA,
    ];
    let goes_on = |name: &HeaderName| !HEAD_ONLY.contains(name) && !name.as_str().starts_with("x-pillion-");
    let mut to = HeaderMap::with_capacity(from.len());
    for (name, value) in from.iter().filter(|(name, _)| goes_on(name)) {
        to.append(name, value.clone());
    }
    to
}

/// Why an upload ended early.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The agent's body is larger than `server.body_limit`.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    /// The agent went away, or its framing is broken.
    #[error("the agent's body broke off")]
    Broken(#[source] hyper::Error),
    /// The reply is over: nobody waits for the rest.
    #[error("the reply was over before the request")]
    Stopped,
}

/// A body that is passed on as it comes, and watched.
#[derive(Debug)]
pub struct Upload {
    prefix: Bytes,
    body: Incoming,
    limit: Option<u64>,
    progress: Arc<UploadProgress>,
}

/// How far an [`Upload`] is; shared with whoever waits for the reply.
#[derive(Debug)]
pub struct UploadProgress {
    bytes: AtomicU64,
    done: AtomicBool,
    too_large: AtomicBool,
    reset: AtomicBool,
    stopped: AtomicBool,
    /// Who waits for the agent's bytes.
    waiting: Mutex<Option<Waker>>,
    last: Mutex<Instant>,
}

impl Upload {
    /// `prefix` goes first, then what is left of `body`; more than `limit` bytes in all end it with an error.
    pub fn new(prefix: Bytes, body: Incoming, limit: Option<u64>) -> (Self, Arc<UploadProgress>) {
        let progress = Arc::new(UploadProgress {
            bytes: AtomicU64::new(0),
            done: AtomicBool::new(false),
            too_large: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            waiting: Mutex::default(),
            last: Mutex::new(Instant::now()),
        });
        (Self { prefix, body, limit, progress: Arc::clone(&progress) }, progress)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if !self.prefix.is_empty() {
            let prefix = std::mem::take(&mut self.prefix);
            return Poll::Ready(Some(self.pass(Frame::data(prefix))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_pending() {
            *self.progress.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        }
        if self.progress.stopped.load(Ordering::Acquire) {
            return Poll::Ready(Some(Err(UploadError::Stopped)));
        }
        match std::task::ready!(polled) {
            Some(Ok(frame)) => Poll::Ready(Some(self.pass(frame))),
            Some(Err(broken)) => {
                self.progress.reset.store(is_reset(&broken), Ordering::Release);
                Poll::Ready(Some(Err(UploadError::Broken(broken))))
            }
            None => {
                self.progress.done();
                Poll::Ready(None)
            }
        }
    }

    fn pass(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, UploadError> {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let sum = self.progress.add(u64::try_from(length).unwrap_or(u64::MAX));
        match self.limit {
            Some(limit) if sum > limit => {
                self.progress.too_large.store(true, Ordering::Release);
                Err(UploadError::TooLarge(limit))
            }
            _ => {
                if self.body.is_end_stream() {
                    self.progress.done();
                }
                Ok(match frame.trailers_ref() {
                    Some(fields) => Frame::trailers(trailers(fields)),
                    None => frame,
                })
            }
        }
    }
}

impl UploadProgress {
    /// Ends the upload, if it has not ended: a reply that is over before its request leaves nobody to take the rest (RFC 9112 §9.3).
    pub fn stop(&self) {
        if self.is_done() {
            return;
        }
        self.stopped.store(true, Ordering::Release);
        if let Some(waker) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    fn add(&self, bytes: u64) -> u64 {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    fn done(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.done.store(true, Ordering::Release);
    }

    /// Bytes passed on so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether all of it has been passed on.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Whether it was ended for being over the limit.
    pub fn is_too_large(&self) -> bool {
        self.too_large.load(Ordering::Acquire)
    }

    /// Whether the agent has taken the request back in the middle of it: by a reset of its stream.
    pub fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }

    /// When the last bytes were passed on, or the end.
    pub fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
