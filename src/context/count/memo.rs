//! What was counted before: a conversation's next request brings all of the last one's texts again, and only what is new is to be counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashlink::LruCache;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::tokens::{Tokenizer, Tokens};

/// Texts that are remembered: 64 conversations of 1,000 texts each, in 5 MB.
const TEXTS_MAX: usize = 1 << 16;
/// Shorter texts are counted as quickly as they are found.
pub(super) const LEAST: usize = 64;

/// By what a text is remembered: a keyed hash of its bytes, so that nobody can write two texts that pass for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(u128);

/// Tokens of texts, those seen last. Holds hashes, and no text.
#[derive(Debug)]
pub(super) struct Memo {
    seed: u64,
    texts: Mutex<LruCache<Key, Tokens, RandomState>>,
}

impl Default for Memo {
    fn default() -> Self {
        Self { seed: fastrand::u64(..), texts: Mutex::new(LruCache::with_hasher(TEXTS_MAX, RandomState::default())) }
    }
}

impl Memo {
    /// `how`: what is counted differently has another key.
    pub(super) fn key(&self, raw: &[u8], tokenizer: Tokenizer, how: u64) -> Key {
        let tokenizer = match tokenizer {
            Tokenizer::O200k => 0,
            Tokenizer::Cl100k => 1 << 32,
        };
        Key(xxh3_128_with_seed(raw, self.seed ^ tokenizer ^ how))
    }

    pub(super) fn of(&self, keys: impl Iterator<Item = Option<Key>>) -> Vec<Option<Tokens>> {
        let mut texts = self.lock();
        keys.map(|key| texts.get(&key?).copied()).collect()
    }

    pub(super) fn keep(&self, counted: impl Iterator<Item = (Key, Tokens)>) {
        let mut texts = self.lock();
        for (key, tokens) in counted {
            texts.insert(key, tokens);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Key, Tokens, RandomState>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
