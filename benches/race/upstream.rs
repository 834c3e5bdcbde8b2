//! The upstream of all contenders: answers at once what it is asked for, from bytes made beforehand.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pillion::drain::Tracker;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    bodies::{self, Event},
    http::{Errand, Wire},
};

/// Between two events of a paced stream.
pub(crate) const PACE: Duration = Duration::from_millis(50);
/// Bytes that a stream at full speed hands over at once.
const BATCH: usize = 8 << 10;

/// A clock that both ends of a stream read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch(Instant);

impl Epoch {
    /// Nanoseconds since the race began.
    pub(crate) fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The upstream, as the race sees it.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// By which the events are stamped.
    pub(crate) epoch: Epoch,
    /// Ends the paced streams that began before.
    stop: watch::Sender<u64>,
    /// Events with text that were sent.
    sent: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
struct Part {
    epoch: Epoch,
    stop: watch::Receiver<u64>,
    sent: Arc<AtomicU64>,
    reply: Arc<[u8]>,
}

impl Upstream {
    /// Begins to serve on the current runtime.
    pub(crate) async fn start(tracker: &Tracker) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(0);
        let (epoch, sent) = (Epoch(Instant::now()), Arc::new(AtomicU64::new(0)));
        let part = Part { epoch, stop: stopped, sent: Arc::clone(&sent), reply: bodies::reply().into() };
        let own = tracker.clone();
        tracker.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let part = part.clone();
                own.spawn(async move {
                    // A contender that is killed hangs up; that is no event here.
                    drop(part.serve(stream).await);
                });
            }
        });
        Ok(Self { address, epoch, stop, sent })
    }

    /// Has all paced streams end properly.
    pub(crate) fn stop_streams(&self) {
        self.stop.send_modify(|generation| *generation += 1);
    }

    /// Events with text sent since the last call.
    pub(crate) fn take_sent(&self) -> u64 {
        self.sent.swap(0, Ordering::Relaxed)
    }
}

impl Part {
    async fn serve(mut self, stream: TcpStream) -> std::io::Result<()> {
        let mut wire = Wire::new(stream)?;
        while let Some(head) = wire.request().await? {
            wire.skip(head.framing).await?;
            match head.errand {
                Errand::Nothing => wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?,
                Errand::Whole => wire.write(&self.reply).await?,
                Errand::Paced => self.paced(&mut wire).await?,
                Errand::Flood(events) => self.flood(&mut wire, events).await?,
            }
        }
        Ok(())
    }

    async fn paced(&mut self, wire: &mut Wire) -> std::io::Result<()> {
        let mut event = Event::new();
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.stop.mark_unchanged();
        wire.write(bodies::STREAM_HEAD).await?;
        wire.write(&bodies::first_event()).await?;
        for number in 0.. {
            tokio::select! {
                _ = pace.tick() => {}
                _ = self.stop.changed() => break,
            }
            wire.write(event.stamp(self.epoch.now(), number)).await?;
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        wire.write(&bodies::last_events()).await
    }

    async fn flood(&self, wire: &mut Wire, events: u64) -> std::io::Result<()> {
        let mut event = Event::new();
        let mut batch = Vec::with_capacity(2 * BATCH);
        batch.extend_from_slice(bodies::STREAM_HEAD);
        batch.extend_from_slice(&bodies::first_event());
        for number in 0..events {
            batch.extend_from_slice(event.stamp(self.epoch.now(), number));
            if batch.len() >= BATCH {
                wire.write(&batch).await?;
                batch.clear();
            }
        }
        batch.extend_from_slice(&bodies::last_events());
        self.sent.fetch_add(events, Ordering::Relaxed);
        wire.write(&batch).await
    }
}
