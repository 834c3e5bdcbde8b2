//! Known heads: beginnings of bodies that were read before, so that a body which continues one is read from there on only. Agents send their whole
//! history with every request; what is new is its tail. No text is kept, only hashes: a wrong guess takes two equal ones of 64 bits, keyed at random.
//!
//! ```text
//!  body    {"model":"m","messages":[{…},{…},{…},{…}],"tools":[…]}
//!          ├── block ──┼── block ──┼─ rest ─┤                      a head ends just behind a message
//!  chain   0           1           2          `ends` says by the chain's value which lengths of a rest are known behind it,
//!                                             `places` holds the heads by the hash of all that lies before their end
//! ```

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    time::Duration,
};

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use crate::wire::{self, Dialect, Resume};

/// Most places in bodies that are remembered; the one that was used longest ago goes first.
const PLACES_MAX: usize = 4096;

/// Most heads of one place: so many runs may have begun with the very same bytes. The oldest goes first.
const SAME_MAX: usize = 8;

/// How long a place is remembered that no request comes by.
const IDLE_MAX: Duration = Duration::from_hours(1);

/// Bytes of a block.
const BLOCK: usize = 1024;

/// The hashes of a body's beginnings. Made without the index, so that nobody waits for it.
#[derive(Debug, Clone)]
pub struct Trail {
    /// Of the first so many blocks.
    chain: Vec<u64>,
}

/// Heads of bodies, each with what its keeper wants to know of it.
#[derive(Debug)]
pub struct Heads<T> {
    ends: HashMap<u64, Ends, BuildHasherDefault<Given>>,
    places: LinkedHashMap<u64, Place<T>, BuildHasherDefault<Given>>,
    /// Heads that were kept so far.
    kept: u64,
}

/// One head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeadId {
    place: u64,
    number: u64,
}

/// The deepest place of a body that is known.
#[derive(Debug, Clone)]
pub struct Recalled {
    /// From where on it is to be read.
    pub resume: Resume,
    place: u64,
}

/// What is known of a body before it is read: made by [`super::Agents::recall`], and needed again when it has been.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its hashes.
    pub trail: Trail,
    /// Its deepest place that is known.
    pub recalled: Option<Recalled>,
}

/// The lengths of the rests that are known behind a block, each with the number of its places. In order.
type Ends = Vec<(usize, usize)>;

#[derive(Debug)]
struct Place<T> {
    /// The chain's value before its rest, and that rest's length.
    before: (u64, usize),
    resume: Resume,
    /// Newest last.
    heads: Vec<(u64, T)>,
    used: Instant,
}

impl Known {
    /// From where on the body is to be read; `None` for the whole.
    pub fn resume(&self) -> Option<&Resume> {
        self.recalled.as_ref().map(|recalled| &recalled.resume)
    }
}

impl Trail {
    /// Of a body.
    pub fn of(dialect: Dialect, body: &[u8]) -> Self {
        let (blocks, _) = body.as_chunks::<BLOCK>();
        let mut chain = Vec::with_capacity(blocks.len() + 1);
        let mut value = wire::hash(dialect.name().as_bytes());
        chain.push(value);
        for block in blocks {
            value = join(value, wire::hash(block));
            chain.push(value);
        }
        Self { chain }
    }

    /// Of the body as a whole.
    pub fn whole(&self, body: &[u8]) -> u64 {
        self.place(body, body.len()).map_or(0, |(whole, _)| whole)
    }

    /// The place at this offset, and what lies before its rest.
    fn place(&self, body: &[u8], at: usize) -> Option<(u64, (u64, usize))> {
        let before = *self.chain.get(at / BLOCK)?;
        let rest = body.get(at - at % BLOCK..at)?;
        Some((join(before, wire::hash(rest)), (before, rest.len())))
    }
}

impl<T> Heads<T> {
    /// The deepest known place of a body.
    pub fn recall(&mut self, trail: &Trail, body: &[u8], now: Instant) -> Option<Recalled> {
        let place = self.deepest(trail, body)?;
        let found = self.places.to_back(&place)?;
        found.used = now;
        Some(Recalled { resume: found.resume.clone(), place })
    }

    /// The heads of that place, newest first. They begin with the same bytes, and may yet belong to different runs.
    pub fn at(&self, recalled: &Recalled) -> impl Iterator<Item = (HeadId, &T)> {
        let heads = self.places.get(&recalled.place).map_or(&[][..], |place| &place.heads);
        heads.iter().rev().map(|(number, head)| (HeadId { place: recalled.place, number: *number }, head))
    }

    /// Remembers a head of this body, up to `resume`. Others of the same place stay: it is for the keeper to [`Self::take`] the one that is continued.
    pub fn keep(&mut self, (trail, body): (&Trail, &[u8]), resume: Resume, head: T, now: Instant) -> Option<HeadId> {
        let (key, before) = trail.place(body, resume.at)?;
        if !self.places.contains_key(&key) {
            if self.places.len() >= PLACES_MAX {
                self.forget_oldest();
            }
            self.end(before);
            self.places.insert(key, Place { before, resume: resume.clone(), heads: Vec::new(), used: now });
        }
        let place = self.places.to_back(&key)?;
        (place.resume, place.used) = (resume, now);
        if place.heads.len() >= SAME_MAX {
            place.heads.remove(0);
        }
        self.kept += 1;
        place.heads.push((self.kept, head));
        Some(HeadId { place: key, number: self.kept })
    }

    /// Forgets a head, and gives back what was kept with it.
    pub fn take(&mut self, id: HeadId) -> Option<T> {
        let heads = &mut self.places.get_mut(&id.place)?.heads;
        let index = heads.iter().position(|(number, _)| *number == id.number)?;
        let (_, head) = heads.remove(index);
        if heads.is_empty()
            && let Some(place) = self.places.remove(&id.place)
        {
            self.forget(place.before);
        }
        Some(head)
    }

    /// What is kept with a head.
    pub fn find(&mut self, id: HeadId) -> Option<&mut T> {
        self.places.get_mut(&id.place)?.heads.iter_mut().find(|(number, _)| *number == id.number).map(|(_, head)| head)
    }

    /// Forgets what no request came by for long.
    pub fn expire(&mut self, now: Instant) {
        while self.places.front().is_some_and(|(_, place)| now.saturating_duration_since(place.used) >= IDLE_MAX) {
            self.forget_oldest();
        }
    }

    /// Places that are known.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn deepest(&self, trail: &Trail, body: &[u8]) -> Option<u64> {
        for (block, before) in trail.chain.iter().enumerate().rev() {
            let Some(ends) = self.ends.get(before) else { continue };
            for (length, _) in ends.iter().rev() {
                let at = block * BLOCK + length;
                // Behind a message comes the next one, or the list's end.
                if !body.get(at).is_some_and(|next| matches!(next, b',' | b']' | b' ' | b'\n' | b'\r' | b'\t')) {
                    continue;
                }
                let Some((place, _)) = trail.place(body, at) else { continue };
                if self.places.contains_key(&place) {
                    return Some(place);
                }
            }
        }
        None
    }

    fn end(&mut self, (before, length): (u64, usize)) {
        let ends = self.ends.entry(before).or_default();
        match ends.binary_search_by_key(&length, |(length, _)| *length) {
            Ok(index) => ends[index].1 += 1,
            Err(index) => ends.insert(index, (length, 1)),
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, place)) = self.places.pop_front() {
            self.forget(place.before);
        }
    }

    fn forget(&mut self, (before, length): (u64, usize)) {
        let Some(ends) = self.ends.get_mut(&before) else { return };
        if let Ok(index) = ends.binary_search_by_key(&length, |(length, _)| *length) {
            ends[index].1 -= 1;
            if ends[index].1 == 0 {
                ends.remove(index);
            }
        }
        if ends.is_empty() {
            self.ends.remove(&before);
        }
    }
}

impl<T> Default for Heads<T> {
    fn default() -> Self {
        Self { ends: HashMap::default(), places: LinkedHashMap::default(), kept: 0 }
    }
}

/// A hash of what two hashes stand for, one behind the other.
fn join(before: u64, next: u64) -> u64 {
    (before.rotate_left(23) ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What is hashed is a hash.
#[derive(Debug, Default)]
struct Given(u64);

impl Hasher for Given {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = wire::hash(bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests;
