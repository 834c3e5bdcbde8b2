//! What the connections of one simulated model share: the script being played, the requests seen, the options.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{sync::watch, time::Instant};

use super::{
    ModelOptions,
    limits::{Charge, Limits},
    seen::{End, Seen},
};
use crate::demo::script::{Arrival, Playing, Script, Standing, Step};

/// Requests that are remembered; the oldest go first.
const SEEN_MAX: usize = 20_000;

/// Shared by all connections.
pub(super) struct State {
    /// What the model was started with.
    pub(super) options: ModelOptions,
    /// When it was started.
    pub(super) started: Instant,
    shared: Mutex<Shared>,
    changed: watch::Sender<()>,
    connections: AtomicU64,
    malformed: AtomicU64,
    serial: AtomicU64,
    door: AtomicBool,
}

struct Shared {
    playing: Playing,
    limits: Option<Limits>,
    seen: VecDeque<Seen>,
    /// The number of the oldest request in `seen`.
    first: u64,
}

impl State {
    pub(super) fn new(options: ModelOptions) -> Self {
        let limits = options.script.standing.rate_limit.map(Limits::new);
        let shared = Shared { playing: Playing::new(options.script.clone()), limits, seen: VecDeque::new(), first: 0 };
        let count = || AtomicU64::new(0);
        Self {
            options,
            started: Instant::now(),
            shared: Mutex::new(shared),
            changed: watch::Sender::new(()),
            connections: count(),
            malformed: count(),
            serial: count(),
            door: AtomicBool::new(false),
        }
    }

    /// Poisoning is no reason to stop: every change under the lock is complete in itself.
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another script, from its beginning.
    pub(super) fn play(&self, script: Script) {
        let mut shared = self.shared();
        shared.limits = script.standing.rate_limit.map(Limits::new);
        shared.playing = Playing::new(script);
    }

    /// No script, no requests seen.
    pub(super) fn reset(&self) {
        let mut shared = self.shared();
        let forgotten = u64::try_from(shared.seen.len()).expect("a length in memory fits 64 bits");
        shared.first += forgotten;
        shared.seen.clear();
        shared.playing = Playing::default();
        shared.limits = None;
    }

    /// Whether the next new connection is struck.
    pub(super) fn strikes_at_connect(&self) -> bool {
        self.shared().playing.strikes_at_connect()
    }

    /// What holds for all requests.
    pub(super) fn standing(&self) -> Standing {
        self.shared().playing.standing().clone()
    }

    /// What of a limit is left after a request of so many tokens, if there is a limit.
    pub(super) fn charge(&self, tokens: usize) -> Option<Charge> {
        self.shared().limits.as_mut().map(|limits| limits.charge(tokens, Instant::now()))
    }

    /// The step of a new connection, if one strikes there.
    pub(super) fn step_at_connect(&self) -> Option<Step> {
        self.shared().playing.at_connect()
    }

    /// The step of a request whose head alone is there, if it does not wait for the body.
    pub(super) fn early_step(&self, arrival: &Arrival<'_>) -> Option<Step> {
        self.shared().playing.early_step(arrival)
    }

    /// The step of a request.
    pub(super) fn step(&self, arrival: &Arrival<'_>) -> Step {
        self.shared().playing.step(arrival)
    }

    /// Remembers a request; the number is for [`State::update`].
    pub(super) fn arrived(&self, seen: Seen) -> u64 {
        let mut shared = self.shared();
        if shared.seen.len() == SEEN_MAX {
            shared.seen.pop_front();
            shared.first += 1;
        }
        let number = shared.first + u64::try_from(shared.seen.len()).expect("a length in memory fits 64 bits");
        shared.seen.push_back(seen);
        drop(shared);
        self.changed.send_replace(());
        number
    }

    /// Changes what is known of a request, unless it was forgotten.
    pub(super) fn update(&self, number: u64, change: impl FnOnce(&mut Seen)) {
        let mut shared = self.shared();
        let index = number.checked_sub(shared.first).and_then(|index| usize::try_from(index).ok());
        if let Some(seen) = index.and_then(|index| shared.seen.get_mut(index)) {
            change(seen);
        }
        drop(shared);
        self.changed.send_replace(());
    }

    /// The end of a request.
    pub(super) fn ended(&self, number: u64, end: impl FnOnce(&Seen, Instant) -> End) {
        let now = Instant::now();
        self.update(number, |seen| {
            seen.end = end(seen, now);
            seen.ended = Some(now);
        });
    }

    /// All requests that are remembered, in the order of their heads.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared().seen.iter().cloned().collect()
    }

    /// Tells of every change of what was seen.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// From now on connections may be for `/__simulate/`, even where they are to fail.
    pub(super) fn open_door(&self) {
        self.door.store(true, Ordering::Relaxed);
    }

    /// Whether they may.
    pub(super) fn has_door(&self) -> bool {
        self.door.load(Ordering::Relaxed)
    }

    /// The number of a new connection, from 1 on.
    pub(super) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Connections so far.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a request that was no HTTP.
    pub(super) fn count_malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were no HTTP, so far.
    pub(super) fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }

    /// A number that no other answer has.
    pub(super) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }
}
