//! A text's mark: a hash and a length by which the same text is known again, without keeping it. Blanks at both ends do not count, and neither does
//! how the text was split or escaped.

use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64, xxh3_64_with_secret};

/// Blanks within a text that may turn out to stand at its end are held back; so many in a row count as part of the text.
const BLANKS_MAX: usize = 256;

/// The key of [`hash`]: another in every process, so that nobody can look for bytes with the same hash.
static SECRET: LazyLock<[u8; 192]> = LazyLock::new(|| {
    let random = RandomState::new();
    let mut secret = [0; 192];
    for (word, number) in secret.as_chunks_mut::<8>().0.iter_mut().zip(0_u64..) {
        *word = random.hash_one(number).to_ne_bytes();
    }
    secret
});

/// A hash of bytes as they are, at memory speed. It means nothing in another process.
pub fn hash(bytes: &[u8]) -> u64 {
    xxh3_64_with_secret(bytes, SECRET.as_slice())
}

/// What a text is known by. Two different texts have the same mark once in 2⁶⁴.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TextMark {
    /// Of the text without the blanks at its ends.
    pub hash: u64,
    /// Its bytes in UTF-8, without the blanks at its ends. 0 for no text.
    pub length: u64,
}

impl TextMark {
    /// Of a text that is there as it is.
    pub fn of(text: &str) -> Self {
        Self::of_bytes(text.as_bytes())
    }

    /// Of a text that is there as it is, whatever its bytes.
    pub(super) fn of_bytes(text: &[u8]) -> Self {
        let text = text.trim_ascii_start();
        let solid = text.trim_ascii_end().len();
        let blanks = text.len() - solid;
        let text = &text[..solid + blanks - blanks % BLANKS_MAX];
        let hash = if text.is_empty() { 0 } else { xxh3_64(text) };
        Self { hash, length: u64::try_from(text.len()).unwrap_or(u64::MAX) }
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Makes a mark of a text that comes in pieces, unescaped.
#[derive(Default)]
pub(super) struct Marker {
    hasher: Option<Box<Xxh3Default>>,
    length: u64,
    /// Blanks since the last other byte.
    blanks: Vec<u8>,
}

impl Marker {
    /// Adds the next piece.
    pub(super) fn add(&mut self, piece: &[u8]) {
        let piece = if self.length == 0 { piece.trim_ascii_start() } else { piece };
        let solid = piece.trim_ascii_end().len();
        if solid > 0 {
            self.take_blanks();
            self.take(&piece[..solid]);
        }
        let mut blanks = if self.length == 0 { &[][..] } else { &piece[solid..] };
        while !blanks.is_empty() {
            let (held, more) = blanks.split_at(blanks.len().min(BLANKS_MAX - self.blanks.len()));
            self.blanks.extend_from_slice(held);
            blanks = more;
            if self.blanks.len() == BLANKS_MAX {
                self.take_blanks();
            }
        }
    }

    fn take_blanks(&mut self) {
        let mut blanks = std::mem::take(&mut self.blanks);
        self.take(&blanks);
        blanks.clear();
        self.blanks = blanks;
    }

    /// The mark of what was added so far.
    pub(super) fn mark(&self) -> TextMark {
        TextMark { hash: self.hasher.as_ref().map_or(0, |hasher| hasher.digest()), length: self.length }
    }

    fn take(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.hasher.get_or_insert_with(|| Box::new(Xxh3Default::new())).update(bytes);
            self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        }
    }
}

impl std::fmt::Debug for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Marker").field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Marker, TextMark};

    #[test]
    fn a_text_is_known_however_it_was_split_and_padded() {
        let text = "The answer is  42.\n\nIt is.";
        let whole = TextMark::of(text);
        assert_eq!(whole.length, 26);
        for split in 0..text.len() {
            let mut marker = Marker::default();
            for piece in [" \n", &text[..split], &text[split..], "\n ", "\t"] {
                marker.add(piece.as_bytes());
            }
            assert_eq!(marker.mark(), whole, "{split}");
        }
        assert_ne!(TextMark::of("The answer is 42.\n\nIt is."), whole);
        assert!(TextMark::of(" \n").is_empty() && TextMark::default().is_empty());
    }

    #[test]
    fn so_is_one_with_more_blanks_than_are_held_back() {
        for blanks in [0, 1, 255, 256, 257, 300, 512, 600, 5000] {
            for end in ["", "x", " \u{e9}\n"] {
                let text = format!(" a b{}{end}", " \n".repeat(blanks).split_at(blanks).0);
                let whole = TextMark::of(&text);
                for size in [1, 2, 7, 100, 256, 400] {
                    let mut marker = Marker::default();
                    text.as_bytes().chunks(size).for_each(|piece| marker.add(piece));
                    assert_eq!(marker.mark(), whole, "{blanks} blanks and {end:?} in pieces of {size}");
                }
            }
        }
    }
}
