//! What is known of one connection, shared between the socket, which writes it, and the attempts that use it; and one exchange's use of it.

use std::{
    net::SocketAddr,
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::time::Instant;

use crate::telemetry::{ConnectPhases, ConnectionGauge, names::ConnectionState};

/// One connection. HTTP/1.1 gives it to one exchange after the other, HTTP/2 to many at a time.
#[derive(Debug)]
pub struct Line {
    /// The peer's address; a Unix socket has none.
    pub peer: Option<SocketAddr>,
    /// How long making it took.
    pub phases: ConnectPhases,
    /// When it was there.
    pub made: Instant,
    uses: AtomicU32,
    active: AtomicUsize,
    read: AtomicU64,
    read_before: AtomicU64,
    first_byte: AtomicU8,
    retired: AtomicBool,
    idle_since: Mutex<Instant>,
    gauge: Mutex<ConnectionGauge>,
}

/// One exchange on a connection, until it is dropped.
#[derive(Debug)]
pub struct Use {
    line: Arc<Line>,
    /// Whether the connection had served others before.
    pub reused: bool,
}

impl Line {
    pub(super) fn new(peer: Option<SocketAddr>, phases: ConnectPhases, gauge: ConnectionGauge) -> Self {
        let made = Instant::now();
        Self {
            peer,
            phases,
            made,
            uses: AtomicU32::new(0),
            active: AtomicUsize::new(0),
            read: AtomicU64::new(0),
            read_before: AtomicU64::new(0),
            first_byte: AtomicU8::new(0),
            retired: AtomicBool::new(false),
            idle_since: Mutex::new(made),
            gauge: Mutex::new(gauge),
        }
    }

    /// One more exchange on this connection.
    pub(super) fn begin(self: &Arc<Self>) -> Use {
        self.active.fetch_add(1, Ordering::AcqRel);
        self.used()
    }

    /// The same, if fewer than `most` are on it.
    pub(super) fn begin_below(self: &Arc<Self>, most: usize) -> Option<Use> {
        let begun = self.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, |active| (active < most).then_some(active + 1));
        begun.is_ok().then(|| self.used())
    }

    fn used(self: &Arc<Self>) -> Use {
        self.count_as(ConnectionState::Active);
        Use { line: Arc::clone(self), reused: self.uses.fetch_add(1, Ordering::AcqRel) > 0 }
    }

    /// Since when no exchange is on it; `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let idle = self.active.load(Ordering::Acquire) == 0;
        idle.then(|| *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a byte was read since the last exchange ended. Means something only where there is one at a time.
    pub(super) fn has_read(&self) -> bool {
        self.read.load(Ordering::Acquire) > self.read_before.load(Ordering::Acquire)
    }

    /// Whether what was read first is a TLS record: an alert (21) or a handshake (22).
    pub(super) fn heard_tls(&self) -> bool {
        matches!(self.first_byte.load(Ordering::Acquire), 21 | 22)
    }

    /// Notes what the socket has read.
    pub(super) fn note_read(&self, bytes: &[u8]) {
        let Some(first) = bytes.first() else { return };
        if self.read.fetch_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX), Ordering::AcqRel) == 0 {
            self.first_byte.store(*first, Ordering::Release);
        }
    }

    /// Takes no further exchanges.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    fn count_as(&self, state: ConnectionState) {
        self.gauge.lock().unwrap_or_else(PoisonError::into_inner).set(state);
    }
}

impl Use {
    /// The reply has ended as its framing says: on HTTP/1.1 the connection may serve others, whose bytes are counted from here.
    pub fn end(&self) {
        self.line.read_before.store(self.line.read.load(Ordering::Acquire), Ordering::Release);
    }

    /// The connection.
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }
}

impl Deref for Use {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.line
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if self.line.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.line.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            self.line.count_as(ConnectionState::Idle);
        }
    }
}
