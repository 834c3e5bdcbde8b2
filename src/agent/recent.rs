//! A map that is bounded and forgets: beyond its bound the entry that was used longest ago goes, and so does every one that was not used for long.

use std::{fmt, hash::Hash, time::Duration};

use foldhash::fast::RandomState;
use hashlink::LinkedHashMap;
use tokio::time::Instant;

/// The map. In the order of use.
pub(super) struct Recent<K, V> {
    entries: LinkedHashMap<K, (Instant, V), RandomState>,
    max: usize,
    idle: Duration,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// Holds at most `max` entries, each for as long as it is used within `idle`.
    pub(super) fn new(max: usize, idle: Duration) -> Self {
        Self { entries: LinkedHashMap::with_hasher(RandomState::default()), max, idle }
    }

    pub(super) fn find(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// To change it; that alone is no use.
    pub(super) fn find_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// To use it.
    pub(super) fn touch(&mut self, key: &K, now: Instant) -> Option<&mut V> {
        let (used, value) = self.entries.to_back(key)?;
        *used = now;
        Some(value)
    }

    /// Adds or replaces an entry; gives back the one that had to go for it.
    pub(super) fn insert(&mut self, key: K, value: V, now: Instant) -> Option<(K, V)> {
        self.entries.insert(key, (now, value));
        let gone = if self.entries.len() > self.max { self.entries.pop_front() } else { None };
        gone.map(|(key, (_, value))| (key, value))
    }

    /// The entry, made if there is none yet.
    pub(super) fn entry(&mut self, key: &K, now: Instant) -> &mut V
    where
        K: Clone,
        V: Default,
    {
        if !self.entries.contains_key(key) {
            self.insert(key.clone(), V::default(), now);
        }
        self.touch(key, now).expect("it was inserted, and the bound is above one")
    }

    /// Forgets what was not used for long; gives back what that was, one at a time.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(K, V)> {
        let (_, (used, _)) = self.entries.front()?;
        let is_over = now.saturating_duration_since(*used) >= self.idle;
        is_over.then(|| self.entries.pop_front()).flatten().map(|(key, (_, value))| (key, value))
    }

    /// From the one that was used last on.
    pub(super) fn newest(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().rev().map(|(key, (_, value))| (key, value))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<K, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("len", &self.entries.len()).field("max", &self.max).finish_non_exhaustive()
    }
}

/// A few newest ones, the newest last. There is but one, as a rule: that one costs no allocation.
#[derive(Debug, Clone, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    More(Vec<T>),
}

impl<T: PartialEq> Few<T> {
    /// Adds one that is not there yet; the oldest goes if there are more than `max` then.
    pub(super) fn add(&mut self, one: T, max: usize) {
        if self.contains(&one) {
            return;
        }
        *self = match std::mem::take(self) {
            Self::None => Self::One(one),
            Self::One(first) => Self::More(vec![first, one]),
            Self::More(mut all) => {
                if all.len() >= max {
                    all.remove(0);
                }
                all.push(one);
                Self::More(all)
            }
        };
    }

    /// The newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &T> {
        self.all().iter().rev()
    }

    pub(super) fn contains(&self, one: &T) -> bool {
        self.all().contains(one)
    }

    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    fn all(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::More(all) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let begun = Instant::now();
        let mut recent = Recent::new(2, Duration::from_secs(10));
        assert_eq!(recent.insert(1, 'a', begun), None);
        recent.insert(2, 'b', begun);
        assert_eq!(recent.touch(&1, begun).copied(), Some('a'));
        assert_eq!(recent.insert(3, 'c', begun), Some((2, 'b')));
        assert_eq!(recent.newest().map(|(key, _)| *key).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(recent.expired(begun + Duration::from_secs(9)), None);
        assert_eq!(recent.expired(begun + Duration::from_secs(10)), Some((1, 'a')));
        assert_eq!((recent.find(&3), recent.len()), (Some(&'c'), 1));
    }

    #[test]
    fn of_a_few_the_newest_stay() {
        let mut few = Few::default();
        for one in [1, 2, 2, 3] {
            few.add(one, 2);
        }
        assert_eq!(few.newest().copied().collect::<Vec<_>>(), [3, 2]);
    }
}
