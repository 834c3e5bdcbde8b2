//! A map keyed by several strings at once, exactly: the hash finds the place, equality decides. (`prometheus` keys its vectors by a hash of the
//! concatenated values alone, so that ("ab", "c") and ("a", "bc") share a series.) Looking up takes a read lock and allocates nothing.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, PoisonError, RwLock},
};

use foldhash::fast::RandomState;

/// The map. It only grows, or is cleared.
#[derive(Debug)]
pub(super) struct Exact<V> {
    hasher: RandomState,
    places: RwLock<HashMap<u64, Vec<Entry<V>>>>,
}

type Entry<V> = (Box<[Box<str>]>, Arc<V>);

impl<V> Exact<V> {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::default(), places: RwLock::new(HashMap::new()) }
    }

    /// The value of exactly these strings.
    pub(super) fn find(&self, key: &[&str]) -> Option<Arc<V>> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        search(places.get(&self.hasher.hash_one(key))?, key)
    }

    /// The value of exactly these strings; what `new` makes, if there is none yet. `None` if `new` makes none.
    pub(super) fn find_or_insert(&self, key: &[&str], new: impl FnOnce() -> Option<V>) -> Option<Arc<V>> {
        let hash = self.hasher.hash_one(key);
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = places.get(&hash).and_then(|place| search(place, key)) {
            return Some(value);
        }
        let value = Arc::new(new()?);
        places.entry(hash).or_default().push((key.iter().map(|&part| part.into()).collect(), Arc::clone(&value)));
        Some(value)
    }

    /// How many places are taken: all but colliding entries.
    pub(super) fn len(&self) -> usize {
        self.places.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.places.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Sees every entry once, in no order.
    pub(super) fn for_each(&self, mut see: impl FnMut(&[Box<str>], &V)) {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in places.values().flatten() {
            see(key, value);
        }
    }
}

fn search<V>(place: &[Entry<V>], key: &[&str]) -> Option<Arc<V>> {
    let same = |theirs: &[Box<str>]| theirs.len() == key.len() && theirs.iter().zip(key).all(|(a, b)| **a == **b);
    place.iter().find(|(theirs, _)| same(theirs)).map(|(_, value)| Arc::clone(value))
}

#[cfg(test)]
mod tests {
    use super::{Exact, search};

    #[test]
    fn strings_that_join_to_the_same_text_are_different_keys() {
        let map: Exact<u8> = Exact::new();
        for (key, value) in [(["ab", "c"], 1), (["a", "bc"], 2), (["abc", ""], 3), (["", "abc"], 4)] {
            map.find_or_insert(&key, || Some(value));
        }
        for (key, value) in [(["ab", "c"], 1), (["a", "bc"], 2), (["abc", ""], 3), (["", "abc"], 4)] {
            assert_eq!(map.find(&key).as_deref(), Some(&value), "{key:?}");
        }
        assert!(map.find(&["a", "b"]).is_none() && map.find(&["abc"]).is_none());
    }

    #[test]
    fn entries_that_share_a_hash_are_told_apart() {
        let entry = |key: &[&str], value: u8| (key.iter().map(|&part| part.into()).collect(), std::sync::Arc::new(value));
        let place = [entry(&["a", "b"], 1), entry(&["c", "d"], 2)];
        assert_eq!(search(&place, &["c", "d"]).as_deref(), Some(&2));
        assert_eq!(search(&place, &["c"]), None);
    }

    #[test]
    fn a_key_is_made_once() {
        let map: Exact<u8> = Exact::new();
        assert_eq!((map.find_or_insert(&["a"], || None), map.len()), (None, 0));
        assert_eq!(map.find_or_insert(&["a"], || Some(1)).as_deref(), Some(&1));
        assert_eq!(map.find_or_insert(&["a"], || Some(2)).as_deref(), Some(&1));
        map.clear();
        assert_eq!(map.find(&["a"]), None);
    }
}
