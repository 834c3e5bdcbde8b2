//! One HTTP/2 stream of an agent: its own patience with a reader that does not read, and an end that tells a broken reply apart from a whole one.
//! hyper runs each stream as a task and polls its body only while the agent's window is open; what it does meanwhile is seen from both ends of that task.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{drain::Tracker, proxy::Peer};

/// Most bytes that are given at once, as many as a frame of HTTP/2 holds: what waits for the window is then a part of one piece of memory, not several.
const PIECE: usize = 16 << 10;

/// The stream's side of its connection.
#[derive(Debug)]
pub(super) struct Stream {
    peer: Arc<Peer>,
    /// Frames taken from the body, and asked of it, so far: odd while one was taken and no further one asked for.
    frames: AtomicU64,
    passes: Arc<Passes>,
}

impl Stream {
    /// A stream that was just opened.
    pub(super) fn new(peer: Arc<Peer>, passes: Arc<Passes>) -> Self {
        Self { peer, frames: AtomicU64::new(0), passes }
    }
}

/// Runs streams: hyper hands each over right after it has called the service for it, in the same turn of the connection.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    tracker: Tracker,
    reader: Option<Duration>,
    /// The stream that the service was called for last.
    next: Arc<Mutex<Option<Arc<Stream>>>>,
}

impl Runner {
    /// Streams end when a reader reads nothing for `reader`.
    pub(super) fn new(tracker: Tracker, reader: Option<Duration>) -> Self {
        Self { tracker, reader, next: Arc::default() }
    }

    /// The stream whose task comes next.
    pub(super) fn expect(&self, stream: Arc<Stream>) {
        *lock(&self.next) = Some(stream);
    }
}

impl<F> hyper::rt::Executor<F> for Runner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        let stream = lock(&self.next).take();
        let reader = self.reader;
        drop(match stream {
            Some(stream) => self.tracker.spawn(async move { watch(task, stream, reader).await }),
            None => self.tracker.spawn(async move { drop(task.await) }),
        });
    }
}

/// Runs a stream's task, and drops it when the agent has let a frame wait for too long: the stream is reset then.
async fn watch<F: Future>(task: F, stream: Arc<Stream>, reader: Option<Duration>) {
    let mut task = std::pin::pin!(task);
    // The frame that waits, and until when.
    let mut waiting: Option<(u64, Pin<Box<Sleep>>)> = None;
    std::future::poll_fn(|cx| {
        if task.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let frames = stream.frames.load(Ordering::Acquire);
        let until = reader.filter(|_| frames % 2 == 1).and_then(|reader| Instant::now().checked_add(reader));
        let Some(until) = until else {
            waiting = None;
            return Poll::Pending;
        };
        if waiting.as_ref().is_none_or(|(frame, _)| *frame != frames) {
            waiting = Some((frames, Box::pin(sleep_until(until))));
        }
        if let Some((_, sleep)) = &mut waiting {
            std::task::ready!(sleep.as_mut().poll(cx));
            stream.peer.stall();
        }
        Poll::Ready(())
    })
    .await;
}

/// A reply's body on its stream.
#[derive(Debug)]
pub(super) struct StreamBody<B: Body> {
    body: B,
    stream: Arc<Stream>,
    /// What is left of a frame that is given piece by piece.
    left: Option<Bytes>,
    /// What broke it, and the pass of the connection that has to be over before that is told.
    broken: Option<(B::Error, u64)>,
}

impl<B: Body<Data = Bytes>> StreamBody<B> {
    /// Of a reply.
    pub(super) fn new(body: B, stream: Arc<Stream>) -> Self {
        Self { body, stream, left: None, broken: None }
    }
}

impl<B> Body for StreamBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Unpin,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let (frames, passes) = (&this.stream.frames, &this.stream.passes);
        if this.broken.is_none() {
            if frames.load(Ordering::Relaxed) % 2 == 1 {
                frames.fetch_add(1, Ordering::Release);
            }
            let frame = match this.left.take() {
                Some(data) => Some(Ok(Frame::data(data))),
                None => std::task::ready!(Pin::new(&mut this.body).poll_frame(cx)),
            };
            match frame.map(|frame| frame.map(|frame| first_of(frame, &mut this.left))) {
                // A reset throws away what h2 has not written yet, which may be the event that says why: a whole pass first, and the one under way.
                Some(Err(error)) => this.broken = Some((error, passes.now() + 2)),
                frame => {
                    frames.fetch_add(u64::from(frame.is_some()), Ordering::Release);
                    return Poll::Ready(frame);
                }
            }
        }
        if let Some((_, pass)) = &this.broken {
            std::task::ready!(passes.poll(*pass, cx));
        }
        Poll::Ready(this.broken.take().map(|(error, _)| Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.left.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The frame, or its first piece where it is larger than one of HTTP/2; the rest is left.
fn first_of(frame: Frame<Bytes>, left: &mut Option<Bytes>) -> Frame<Bytes> {
    match frame.into_data() {
        Ok(mut data) if data.len() > PIECE => {
            let first = data.split_to(PIECE);
            *left = Some(data);
            Frame::data(first)
        }
        Ok(data) => Frame::data(data),
        Err(other) => other,
    }
}

/// How often a connection has written what its streams gave it.
#[derive(Debug, Default)]
pub(super) struct Passes {
    done: AtomicU64,
    wakers: Mutex<Wakers>,
}

#[derive(Debug, Default)]
struct Wakers {
    connection: Option<Waker>,
    waiting: Vec<Waker>,
}

impl Passes {
    fn now(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Ready when that many passes are done; has the connection make one more as long as they are not.
    fn poll(&self, pass: u64, cx: &Context<'_>) -> Poll<()> {
        let mut wakers = lock(&self.wakers);
        if self.now() >= pass {
            return Poll::Ready(());
        }
        wakers.waiting.push(cx.waker().clone());
        if let Some(connection) = &wakers.connection {
            connection.wake_by_ref();
        }
        Poll::Pending
    }

    /// The connection has been polled.
    pub(super) fn pass(&self, cx: &Context<'_>) {
        let mut wakers = lock(&self.wakers);
        self.done.fetch_add(1, Ordering::Release);
        if !wakers.connection.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            wakers.connection = Some(cx.waker().clone());
        }
        wakers.waiting.drain(..).for_each(Waker::wake);
    }

    /// The connection is no more: nobody waits for it.
    pub(super) fn end(&self) {
        let mut wakers = lock(&self.wakers);
        self.done.store(u64::MAX, Ordering::Release);
        wakers.waiting.drain(..).for_each(Waker::wake);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
