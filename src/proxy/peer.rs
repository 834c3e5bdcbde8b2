//! The agent's connection as the exchanges on it see it. The listener makes one for each connection and acts on what is set here.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use super::tunnel::Tunnel;
use crate::telemetry::{ConnectionGauge, names::ConnectionState};

/// One connection of an agent.
#[derive(Debug)]
pub struct Peer {
    gauge: Mutex<ConnectionGauge>,
    /// Begins and ends of exchanges so far: odd while one is under way.
    turns: AtomicU32,
    reset: AtomicBool,
    stalled: AtomicBool,
    slow: AtomicBool,
    gone: AtomicBool,
    /// What the connection becomes when its HTTP has ended.
    tunnel: Mutex<Option<Box<Tunnel>>>,
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
        let off = || AtomicBool::new(false);
        Self { gauge: Mutex::new(gauge), turns: AtomicU32::new(0), reset: off(), stalled: off(), slow: off(), gone: off(), tunnel: Mutex::default() }
    }

    fn count_as(&self, state: ConnectionState) {
        self.gauge.lock().unwrap_or_else(PoisonError::into_inner).set(state);
    }

    /// An exchange begins.
    pub fn begin(&self) {
        self.turns.fetch_or(1, Ordering::AcqRel);
        self.count_as(ConnectionState::Active);
    }

    /// It is over.
    pub fn end(&self) {
        let _ = self.turns.fetch_update(Ordering::AcqRel, Ordering::Acquire, |turns| (turns % 2 == 1).then(|| turns.wrapping_add(1)));
        self.count_as(ConnectionState::Idle);
    }

    /// Whose turn it is.
    pub fn turn(&self) -> Turn {
        match self.turns.load(Ordering::Acquire) {
            0 => Turn::New,
            turns if turns % 2 == 1 => Turn::Ours(turns),
            turns => Turn::Between(turns),
        }
    }

    /// Has the connection end with a reset: a FIN would make a close-delimited reply look complete.
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

    /// Whether that happened.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// The agent has hung up.
    pub fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// Whether that happened.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
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
