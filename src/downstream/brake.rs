//! Lets a reply's body wait while its agent's HTTP/1.1 connection takes nothing: hyper would gather its whole buffer of 64 KiB for each agent that
//! does not read, and a frame more.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use http_body::{Body, Frame, SizeHint};

/// Shared by a connection's socket and the bodies that go over it.
#[derive(Debug, Default)]
pub(super) struct Brake {
    on: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Brake {
    /// Nothing could be written.
    pub(super) fn pull(&self) {
        self.on.store(true, Ordering::Release);
    }

    /// Something could.
    pub(super) fn release(&self) {
        if self.on.load(Ordering::Acquire) {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            self.on.store(false, Ordering::Release);
            if let Some(waker) = waiting.take() {
                waker.wake();
            }
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.on.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.on.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        *waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A body behind a brake.
#[derive(Debug)]
pub(super) struct BrakedBody<B> {
    body: B,
    brake: Arc<Brake>,
}

impl<B> BrakedBody<B> {
    /// Waits for this brake.
    pub(super) fn new(body: B, brake: Arc<Brake>) -> Self {
        Self { body, brake }
    }
}

impl<B: Body + Unpin> Body for BrakedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        std::task::ready!(this.brake.poll(cx));
        Pin::new(&mut this.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};

    use std::future::Future as _;

    use super::*;

    #[tokio::test]
    async fn a_body_waits_while_the_brake_is_on_and_is_woken_when_it_is_released() {
        let brake = Arc::new(Brake::default());
        let mut body = BrakedBody::new(Full::new(Bytes::from_static(b"x")), Arc::clone(&brake));
        brake.pull();
        let mut frame = std::pin::pin!(body.frame());
        let first = std::future::poll_fn(|cx| Poll::Ready(frame.as_mut().poll(cx).is_pending())).await;
        assert!(first, "nothing is given while nothing is taken");
        let ((), given) = tokio::join!(async { brake.release() }, frame);
        assert!(given.is_some_and(|frame| frame.is_ok()));
    }
}
