//! JSON read where it lies: a value is its own source text, judged when it is asked for. No tree, no copy of what is not kept;
//! a field of the wrong type reads as absent. What is not valid JSON gives nothing.

use std::borrow::Cow;

use super::skim::{NotJson, Skim, unescaped};

/// Longest name (model, id, finish reason) that is kept, in bytes; far above any real one.
pub(super) const NAME_MAX: usize = 256;

/// Largest count of tokens that is believed: above every window, and sums of a few of them cannot overflow.
const TOKENS_MAX: u64 = 1 << 40;

/// One JSON value, as the text that it is written in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Json<'a>(&'a [u8]);

impl<'a> Json<'a> {
    /// The value that a whole text holds. Whether it is valid shows when it is read.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self(text.trim_ascii())
    }

    /// The next value; `None` for `null`.
    pub(super) fn next(skim: &mut Skim<'a>) -> Result<Option<Self>, NotJson> {
        let value = skim.value()?;
        Ok((value != b"null").then_some(Self(value)))
    }

    /// The named fields of an object. Absent and `null` are the same; of a repeated key the last wins. `None` if this is no (valid) object.
    pub(super) fn fields<const N: usize>(self, names: [&str; N]) -> Option<[Option<Self>; N]> {
        let mut found = [None; N];
        let mut skim = Skim::new(self.0);
        let read = skim.object(|skim, key| {
            match names.iter().zip(&mut found).find(|(name, _)| name.as_bytes() == key) {
                Some((_, slot)) => *slot = Self::next(skim)?,
                None => skim.skip()?,
            }
            Ok(())
        });
        (read.is_ok() && skim.is_at_end()).then_some(found)
    }

    /// The text that it is written in.
    pub(super) fn raw(self) -> &'a [u8] {
        self.0
    }

    /// A place at the value's beginning, for what is to be read in one pass.
    pub(super) fn skim(self) -> Skim<'a> {
        Skim::new(self.0)
    }

    /// Hands over each element of an array with its position. `false` if this is no (valid) array; elements before the fault were handed over.
    pub(super) fn items(self, mut each: impl FnMut(usize, Self)) -> bool {
        let mut skim = Skim::new(self.0);
        let mut position = 0;
        let read = skim.array(|skim| {
            each(position, Self(skim.value()?));
            position += 1;
            Ok(())
        });
        read.is_ok() && skim.is_at_end()
    }

    /// A string's text if it is short enough to be a name, and not empty.
    pub(super) fn name(self) -> Option<String> {
        if self.0.len() > NAME_MAX || !self.is_text() {
            return None;
        }
        match self.word()? {
            word if word.contains('\\') => unescaped(word.as_bytes()),
            word => Some(word.to_owned()),
        }
    }

    /// What stands between the quotes of a string, escapes as written: for comparing with plain words.
    pub(super) fn word(self) -> Option<&'a str> {
        std::str::from_utf8(self.quoted()?).ok()
    }

    /// What stands between the quotes of a string, escapes as written, whatever its bytes.
    pub(super) fn quoted(self) -> Option<&'a [u8]> {
        self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")
    }

    /// Whether this is a string with at least one character.
    pub(super) fn is_text(self) -> bool {
        self.quoted().is_some_and(|text| !text.is_empty())
    }

    /// Whether this is an array with at least one element, or an object with at least one field.
    pub(super) fn is_filled(self) -> bool {
        let inner = match self.0.split_first() {
            Some((b'[' | b'{', inner)) => inner.trim_ascii_start(),
            _ => return false,
        };
        inner.first().is_some_and(|first| !matches!(first, b']' | b'}'))
    }

    /// Whether this is an array.
    pub(super) fn is_array(self) -> bool {
        self.0.starts_with(b"[")
    }

    /// `true`, and nothing else.
    pub(super) fn is_true(self) -> bool {
        self.0 == b"true"
    }

    /// `true` or `false`.
    pub(super) fn flag(self) -> Option<bool> {
        self.scalar()?.parse().ok()
    }

    /// A whole number that is not negative, written without fraction or exponent.
    pub(super) fn number(self) -> Option<u64> {
        self.scalar()?.parse().ok()
    }

    /// A count of tokens: a whole number within reason.
    pub(super) fn tokens(self) -> Option<u64> {
        self.number().filter(|&count| count <= TOKENS_MAX)
    }

    /// A whole number, written without fraction or exponent.
    pub(super) fn integer(self) -> Option<i64> {
        self.scalar()?.parse().ok()
    }

    /// A finite number.
    pub(super) fn decimal(self) -> Option<f64> {
        let text = self.scalar().filter(|text| text.starts_with(|first: char| first == '-' || first.is_ascii_digit()))?;
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn scalar(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }
}

/// A name by what stands between its quotes; `None` if it is empty or too long to be one.
pub(super) fn name(quoted: &[u8]) -> Option<Cow<'_, str>> {
    if !(1..=NAME_MAX).contains(&quoted.len()) {
        return None;
    }
    if quoted.contains(&b'\\') {
        return unescaped(quoted).map(Cow::Owned);
    }
    std::str::from_utf8(quoted).ok().map(Cow::Borrowed)
}
