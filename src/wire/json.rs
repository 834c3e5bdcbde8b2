//! JSON read where it lies: a value is its own source text, judged when it is asked for. No tree, no copy of what is not kept;
//! a field of the wrong type reads as absent. What is not valid JSON gives nothing.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Longest name (model, id, finish reason) that is kept, in bytes; far above any real one.
const NAME_MAX: usize = 256;

/// Largest count of tokens that is believed: above every window, and sums of a few of them cannot overflow.
const TOKENS_MAX: u64 = 1 << 40;

/// One JSON value, as the text that it is written in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The value that a whole text holds. Whether it is valid shows when it is read.
    pub(super) fn new(text: &'a str) -> Self {
        Self(text.trim_ascii())
    }

    /// The named fields of an object. Absent and `null` are the same; of a repeated key the last wins. `None` if this is no (valid) object.
    pub(super) fn fields<const N: usize>(self, names: [&str; N]) -> Option<[Option<Self>; N]> {
        self.visit(Fields(names))
    }

    /// Hands over each element of an array with its position. `false` if this is no (valid) array; elements before the fault were handed over.
    pub(super) fn items(self, each: impl FnMut(usize, Self)) -> bool {
        self.visit(Items(each)).is_some()
    }

    /// A string's text if it is short enough to be a name, and not empty.
    pub(super) fn name(self) -> Option<String> {
        if self.0.len() > NAME_MAX || !self.is_text() {
            return None;
        }
        serde_json::from_str(self.0).ok()
    }

    /// What stands between the quotes of a string, escapes as written: for comparing with plain words.
    pub(super) fn word(self) -> Option<&'a str> {
        self.0.strip_prefix('"')?.strip_suffix('"')
    }

    /// Whether this is a string with at least one character.
    pub(super) fn is_text(self) -> bool {
        self.word().is_some_and(|word| !word.is_empty())
    }

    /// Whether this is an array with at least one element, or an object with at least one field.
    pub(super) fn is_filled(self) -> bool {
        let inner = self.0.strip_prefix(['[', '{']).unwrap_or("");
        !inner.trim_start().starts_with([']', '}']) && !inner.is_empty()
    }

    /// Whether this is an array.
    pub(super) fn is_array(self) -> bool {
        self.0.starts_with('[')
    }

    /// `true`, and nothing else.
    pub(super) fn is_true(self) -> bool {
        self.0 == "true"
    }

    /// `true` or `false`.
    pub(super) fn flag(self) -> Option<bool> {
        self.0.parse().ok()
    }

    /// A whole number that is not negative, written without fraction or exponent.
    pub(super) fn number(self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// A count of tokens: a whole number within reason.
    pub(super) fn tokens(self) -> Option<u64> {
        self.number().filter(|&count| count <= TOKENS_MAX)
    }

    /// A finite number.
    pub(super) fn decimal(self) -> Option<f64> {
        if !self.0.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return None;
        }
        self.0.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn visit<V: Visitor<'a>>(self, visitor: V) -> Option<V::Value> {
        read(self.0, Any(visitor))
    }
}

/// Reads a whole text by a seed; `None` if it is not valid JSON, or not of the seed's type, or nested too deep for it.
pub(super) fn read<'a, S: DeserializeSeed<'a>>(text: &'a str, seed: S) -> Option<S::Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(value)
}

/// The next value of an object as its source text; `None` for `null`.
pub(super) fn value<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Json<'de>>, A::Error> {
    map.next_value().map(present)
}

fn present(raw: &RawValue) -> Option<Json<'_>> {
    (raw.get() != "null").then(|| Json(raw.get()))
}

/// Lets a visitor see a value of whatever type.
struct Any<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Any<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_any(self.0)
    }
}

/// A key of an object, however it is escaped, and be it no valid Unicode.
pub(super) struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, [u8]>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_bytes<E>(self, key: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_vec()))
    }
}

struct Fields<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<Json<'de>>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(key) = map.next_key_seed(Key)? {
            match self.0.iter().zip(&mut found).find(|(name, _)| name.as_bytes() == &*key) {
                Some((_, slot)) => *slot = value(&mut map)?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

struct Items<F>(F);

impl<'de, F: FnMut(usize, Json<'de>)> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let mut position = 0;
        while let Some(raw) = items.next_element::<&'de RawValue>()? {
            (self.0)(position, Json(raw.get()));
            position += 1;
        }
        Ok(())
    }
}

/// What to make of a value whose type is not known before: each type that is not spoken of reads as `nothing`.
pub(super) trait Take<'de>: Sized {
    /// What comes out.
    type Value;

    /// For `null`, a flag, and every type not spoken of.
    fn nothing(self) -> Self::Value;

    /// For a string.
    fn text(self, _text: &str) -> Self::Value {
        self.nothing()
    }

    /// For a number.
    fn number(self) -> Self::Value {
        self.nothing()
    }

    /// For an array.
    fn items<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(items)?;
        Ok(self.nothing())
    }

    /// For an object.
    fn fields<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        skip_fields(&mut map)?;
        Ok(self.nothing())
    }
}

/// Passes over what is left of an object.
pub(super) fn skip_fields<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    while map.next_key_seed(Key)?.is_some() {
        map.next_value::<IgnoredAny>()?;
    }
    Ok(())
}

/// The seed of a [`Take`].
pub(super) struct Taken<T>(pub(super) T);

impl<'de, T: Take<'de>> DeserializeSeed<'de> for Taken<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Take<'de>> Visitor<'de> for Taken<T> {
    type Value = T::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<T::Value, E> {
        Ok(self.0.nothing())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T::Value, E> {
        Ok(self.0.nothing())
    }

    fn visit_i64<E>(self, _: i64) -> Result<T::Value, E> {
        Ok(self.0.number())
    }

    fn visit_u64<E>(self, _: u64) -> Result<T::Value, E> {
        Ok(self.0.number())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T::Value, E> {
        Ok(self.0.number())
    }

    fn visit_str<E>(self, text: &str) -> Result<T::Value, E> {
        Ok(self.0.text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<T::Value, A::Error> {
        self.0.items(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T::Value, A::Error> {
        self.0.fields(map)
    }
}
