//! How large a model's window is, and what of it is for the prompt: by the config, by what upstreams have said, by the request, by the bundled table.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use hashlink::LruCache;
use tokio::time::Instant;

use super::{Asked, Model, Models, number, whole};
use crate::wire::{Dialect, Overflow};

/// Windows that are remembered; of more, those used longest ago are forgotten.
const LEARNT_MAX: usize = 1024;
/// How long: an upstream is started anew with another window, or another model takes the name.
const REMEMBERED: Duration = Duration::from_hours(1);
/// Windows in the table that are of the input alone: `OpenAI`'s 400,000, 1,050,000 and 128,000 less the largest answer.
const INPUT_ONLY: [u64; 3] = [272_000, 922_000, 111_616];
/// Ollama's own window stands in the request (`num_ctx`), or nobody says it: longer bodies are looked at. The least that Ollama has by itself is 2,048.
const OLLAMA_LOOKED: u64 = 2048;

/// The window of a model, and what of it is for the prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Tokens.
    pub tokens: u64,
    /// Tokens of them that are kept for the answer.
    pub answer: u64,
    /// Who says so.
    pub origin: Origin,
}

/// Who says how large a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The bundled table.
    Table,
    /// `context.windows` of the config.
    Config,
    /// An error or an answer of the upstream.
    Learnt,
    /// The request itself (Ollama's `num_ctx`).
    Request,
}

impl Window {
    /// Most tokens of a prompt.
    pub fn most(self) -> u64 {
        self.tokens.saturating_sub(self.answer)
    }

    /// By so many tokens the cut moves at a time, where a prompt is trimmed down to this part of the window: half of what is there for the prompt at most.
    pub fn step(self, target: f64) -> u64 {
        whole((number(self.tokens) * (1.0 - target)).floor()).min(self.most() / 2).max(1)
    }
}

/// A model at an upstream, by a keyed hash of both names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

/// Windows that upstreams have told.
#[derive(Debug)]
pub(super) struct Learnt {
    names: RandomState,
    /// Whether there ever was one: nothing is locked before.
    any: AtomicBool,
    windows: Mutex<LruCache<Key, Told, RandomState>>,
    /// The same of models that answered under other names than they were asked by.
    any_named: AtomicBool,
    named: Mutex<LruCache<Key, Model, RandomState>>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    tokens: u64,
    at: Instant,
    /// Whether the upstream gave the number.
    is_certain: bool,
}

impl Default for Learnt {
    fn default() -> Self {
        let windows = Mutex::new(LruCache::with_hasher(LEARNT_MAX, RandomState::default()));
        let named = Mutex::new(LruCache::with_hasher(LEARNT_MAX, RandomState::default()));
        Self { names: RandomState::default(), any: AtomicBool::new(false), windows, any_named: AtomicBool::new(false), named }
    }
}

impl Learnt {
    pub(super) fn key(&self, upstream: &str, model: &str) -> Key {
        use std::hash::BuildHasher as _;
        Key(self.names.hash_one((upstream, model)))
    }

    pub(super) fn tell(&self, key: Key, tokens: u64, is_certain: bool, now: Instant) {
        let mut windows = self.lock();
        // A guess does not displace what was said.
        let stays = !is_certain && windows.peek(&key).is_some_and(|told| told.is_certain && now < told.at + REMEMBERED);
        if tokens > 0 && !stays {
            windows.insert(key, Told { tokens, at: now, is_certain });
            self.any.store(true, Ordering::Release);
        }
    }

    /// A prompt of so many tokens was read whole: no smaller window is right.
    fn contradict(&self, key: Key, tokens: u64) {
        if self.any.load(Ordering::Acquire) {
            let mut windows = self.lock();
            if windows.peek(&key).is_some_and(|told| told.tokens < tokens) {
                windows.remove(&key);
            }
        }
    }

    fn of(&self, asked: Asked<'_>, model: &str, now: Instant) -> Option<Told> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.lock().get(&self.key(asked.upstream, model)).copied().filter(|told| now < told.at + REMEMBERED)
    }

    /// The model that answered under another name than it was asked by.
    fn named(&self, upstream: &str, asked: &str) -> Option<Model> {
        if !self.any_named.load(Ordering::Acquire) {
            return None;
        }
        self.named.lock().unwrap_or_else(PoisonError::into_inner).get(&self.key(upstream, asked)).copied()
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Key, Told, RandomState>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked<'_> {
    /// Whether a body of so many bytes may be more than fits into this window: no byte is more than one token.
    pub fn may_overflow(self, window: Option<Window>, length: usize) -> bool {
        if matches!(self.dialect, Dialect::OpenaiEmbeddings | Dialect::OpenaiCompletions) {
            return false;
        }
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        window.is_some_and(|window| length > window.most()) || (is_ollama(self) && length > OLLAMA_LOOKED)
    }
}

impl Models {
    /// The window of the model that is asked, at the cost of a look into a table; `None` where nobody knows it. What a request says of its own (Ollama's
    /// `num_ctx`) is known to `fit` alone.
    pub fn window(&self, asked: Asked<'_>, now: Instant) -> Option<Window> {
        self.window_of(asked, None, now).map(|(window, _)| window)
    }

    /// The window, and whether it is certain enough to refuse by. The server does what the request says, whatever it did before, so that comes before what
    /// was learnt; the config can only make it smaller.
    pub(super) fn window_of(&self, asked: Asked<'_>, own: Option<u64>, now: Instant) -> Option<(Window, bool)> {
        let model = asked.call.model.as_deref()?;
        let facts = self.find(asked.provider, model).or_else(|| self.learnt.named(asked.upstream, model));
        let configured = self.windows.of(model).map(|&tokens| (tokens, Origin::Config, true));
        let said = match own.filter(|&tokens| tokens > 0) {
            Some(tokens) => Some((tokens, Origin::Request, false)),
            None => self.learnt.of(asked, model, now).map(|told| (told.tokens, Origin::Learnt, told.is_certain)),
        };
        let smallest = configured.into_iter().chain(said).min_by_key(|(tokens, ..)| *tokens);
        let in_table = || Some((facts?.window?, Origin::Table, true));
        let (tokens, origin, is_certain) = smallest.or_else(in_table)?;
        let largest = facts.and_then(|facts| facts.output_max);
        let is_input = origin != Origin::Config && (INPUT_ONLY.contains(&tokens) || is_gemini(asked, model));
        Some((Window { tokens, answer: answer(asked.call.max_tokens, largest, tokens, is_input), origin }, is_certain))
    }

    /// A model has said its name in an answer. Where the one by which it was asked says nothing (a deployment's, an alias of a gateway), that one does.
    pub fn answered(&self, asked: Asked<'_>, name: &str) {
        let Some(model) = asked.call.model.as_deref().filter(|&model| model != name && self.find(asked.provider, model).is_none()) else { return };
        if let Some(facts) = self.find(asked.provider, name).filter(|facts| facts.window.is_some()) {
            self.learnt.named.lock().unwrap_or_else(PoisonError::into_inner).insert(self.learnt.key(asked.upstream, model), facts);
            self.learnt.any_named.store(true, Ordering::Release);
        }
    }

    /// The upstream has said that a prompt did not fit.
    pub fn overflowed(&self, asked: Asked<'_>, overflow: Overflow, now: Instant) {
        if let (Some(model), Some(window)) = (asked.call.model.as_deref(), overflow.window) {
            self.learnt.tell(self.learnt.key(asked.upstream, model), window, true, now);
        }
    }

    /// A prompt of so many tokens was read whole.
    pub(super) fn was_read(&self, key: Key, tokens: u64) {
        self.learnt.contradict(key, tokens);
    }
}

/// Whether Ollama answers: it cuts what is too long without a word.
pub(super) fn is_ollama(asked: Asked<'_>) -> bool {
    asked.dialect == Dialect::Ollama || asked.provider == Some("ollama")
}

/// Gemini's windows are of the input.
fn is_gemini(asked: Asked<'_>, model: &str) -> bool {
    asked.dialect == Dialect::Gemini || asked.provider == Some("gcp.gemini") || model.contains("gemini")
}

/// What is kept for the answer: what is asked for, at most the model's own largest; where nothing is asked for that largest, at most a quarter. An answer
/// asked for of seven eighths and more is no wish but a default (servers that take it cap it): a quarter is kept.
fn answer(asked: Option<u64>, largest: Option<u64>, window: u64, is_input: bool) -> u64 {
    let quarter = window / 4;
    match (asked, largest) {
        (asked, largest) if is_input => asked.zip(largest).map_or(0, |(asked, largest)| asked.saturating_sub(largest)).min(quarter),
        (Some(asked), largest) => {
            let wanted = asked.min(largest.unwrap_or(asked));
            if wanted >= window - window / 8 { quarter } else { wanted }
        }
        (None, largest) => quarter.min(largest.unwrap_or(quarter)),
    }
}

#[cfg(test)]
mod tests;
