//! The agent's end as an exchange sees it: its connection, or on HTTP/2 its stream of one. The listener makes it and acts on what is set here.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use tokio::time::Instant;

use super::tunnel::Tunnel;
use crate::telemetry::{ConnectionGauge, names::ConnectionState};

/// The next connection's number.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// A connection of an agent, or one stream on it.
#[derive(Debug)]
pub struct Peer {
    line: Line,
    /// The connection's own number.
    number: u64,
    /// Begins and ends of exchanges so far: odd while one is under way.
    turns: AtomicU32,
    reset: AtomicBool,
    stalled: AtomicBool,
    slow: AtomicBool,
    gone: AtomicBool,
    /// What the connection becomes when its HTTP has ended.
    tunnel: Mutex<Option<Box<Tunnel>>>,
}

#[derive(Debug)]
enum Line {
    /// The connection itself.
    Connection(Mutex<Load>),
    /// One stream of this connection.
    Stream(Arc<Peer>),
}

/// What a connection carries.
#[derive(Debug)]
struct Load {
    gauge: ConnectionGauge,
    exchanges: u32,
    /// Since when there has been no exchange, while there is none.
    idle: Instant,
}

/// Whose turn it is on a connection. The number tells one such time from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The agent's, and it has asked nothing yet on this connection.
    New,
    /// Ours: an exchange is under way.
    Ours(u32),
    /// The agent's, between two exchanges.
    Between(u32),
}

impl Peer {
    /// A connection that has just been accepted, counted by this gauge.
    pub fn new(mut gauge: ConnectionGauge) -> Self {
        gauge.set(ConnectionState::Idle);
        Self::on(Line::Connection(Mutex::new(Load { gauge, exchanges: 0, idle: Instant::now() })), NUMBERS.fetch_add(1, Ordering::Relaxed))
    }

    /// A stream that an agent has just opened on this connection.
    pub fn stream(connection: &Arc<Self>) -> Self {
        Self::on(Line::Stream(Arc::clone(connection)), connection.number)
    }

    fn on(line: Line, number: u64) -> Self {
        let off = || AtomicBool::new(false);
        Self { line, number, turns: AtomicU32::new(0), reset: off(), stalled: off(), slow: off(), gone: off(), tunnel: Mutex::default() }
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        match &self.line {
            Line::Connection(load) => load.lock().unwrap_or_else(PoisonError::into_inner),
            Line::Stream(connection) => connection.load(),
        }
    }

    fn connection(&self) -> Option<&Self> {
        match &self.line {
            Line::Connection(_) => None,
            Line::Stream(connection) => Some(connection),
        }
    }

    /// The connection's number: no other that is open has the same.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// An exchange begins.
    pub fn begin(&self) {
        if self.turns.fetch_or(1, Ordering::AcqRel) % 2 == 1 {
            return;
        }
        let mut load = self.load();
        load.exchanges += 1;
        load.gauge.set(ConnectionState::Active);
    }

    /// It is over.
    pub fn end(&self) {
        let ended = self.turns.fetch_update(Ordering::AcqRel, Ordering::Acquire, |turns| (turns % 2 == 1).then(|| turns.wrapping_add(1)));
        if ended.is_err() {
            return;
        }
        let mut load = self.load();
        load.exchanges = load.exchanges.saturating_sub(1);
        if load.exchanges == 0 {
            load.idle = Instant::now();
            load.gauge.set(ConnectionState::Idle);
        }
    }

    /// Whose turn it is.
    pub fn turn(&self) -> Turn {
        match self.turns.load(Ordering::Acquire) {
            0 => Turn::New,
            turns if turns % 2 == 1 => Turn::Ours(turns),
            turns => Turn::Between(turns),
        }
    }

    /// Takes all turns on a connection that carries streams: there, both sides speak when they like.
    pub fn multiplex(&self) {
        self.turns.fetch_or(1, Ordering::AcqRel);
    }

    /// Since when the connection has carried no exchange; `None` while it carries one.
    pub fn idle_since(&self) -> Option<Instant> {
        let load = self.load();
        (load.exchanges == 0).then_some(load.idle)
    }

    /// Has the connection end with a reset: a FIN would make a close-delimited reply look complete. A stream needs no such help.
    pub fn reset_on_close(&self) {
        self.reset.store(true, Ordering::Release);
    }

    /// Whether it shall end with a reset.
    pub fn is_reset_on_close(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }

    /// The agent has read nothing for longer than `timeouts.reader`.
    pub fn stall(&self) {
        self.stalled.store(true, Ordering::Release);
    }

    /// Whether that happened, on this stream or on all of its connection.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire) || self.connection().is_some_and(Self::is_stalled)
    }

    /// The agent has hung up.
    pub fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// Whether that happened, to this stream or to its connection.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire) || self.connection().is_some_and(Self::is_gone)
    }

    /// The exchange under way switches the connection to this.
    pub(super) fn switch(&self, tunnel: Tunnel) {
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(tunnel));
    }

    /// What is to be carried on, once, by whoever has served the connection until its HTTP has ended.
    pub fn tunnel(&self) -> Option<Box<Tunnel>> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A head has not come in time.
    pub fn slow(&self) {
        self.slow.store(true, Ordering::Release);
    }

    /// Whether that happened.
    pub fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Acquire)
    }
}
