//! The agent's connection as the exchanges on it see it. The listener makes one for each connection and acts on what is set here.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// One connection of an agent.
#[derive(Debug, Default)]
pub struct Peer {
    turn: AtomicU8,
    reset: AtomicBool,
    stalled: AtomicBool,
}

/// Whose turn it is on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The agent's, and it has asked nothing yet on this connection.
    New,
    /// Ours: an exchange is under way.
    Ours,
    /// The agent's, between two exchanges.
    Between,
}

impl Peer {
    /// An exchange begins.
    pub fn begin(&self) {
        self.turn.store(1, Ordering::Release);
    }

    /// It is over.
    pub fn end(&self) {
        self.turn.store(2, Ordering::Release);
    }

    /// Whose turn it is.
    pub fn turn(&self) -> Turn {
        match self.turn.load(Ordering::Acquire) {
            0 => Turn::New,
            1 => Turn::Ours,
            _ => Turn::Between,
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
}
