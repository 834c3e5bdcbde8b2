//! Passes over JSON where it lies, at memory speed: its structure is checked, its texts are found and not decoded. What cannot be JSON is [`NotJson`],
//! and nothing after it is read. Escapes within texts and the exact form of numbers are not judged here.

use std::borrow::Cow;

use super::{Characters, text};

/// Levels of nesting that are looked into; what lies deeper is passed over (RFC 8259 §9 lets a reader set a limit).
const DEPTH_MAX: u32 = 128;

/// What was read is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotJson;

/// A place in a text of JSON.
#[derive(Debug)]
pub(super) struct Skim<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Skim<'a> {
    /// At the beginning of a text.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// Within a text: at this offset, so many levels deep. What lies before was passed over by another.
    pub(super) fn within(bytes: &'a [u8], at: usize, depth: u32) -> Self {
        Self { bytes, at, depth }
    }

    /// How far it is.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Goes on from a later place on the same level, or on the next level if so many are `opened` in between.
    pub(super) fn jump(&mut self, at: usize, opened: u32) {
        self.at = at;
        self.depth += opened;
    }

    /// What lies between an offset and here.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// The first byte of the next token.
    pub(super) fn peek(&mut self) -> Result<u8, NotJson> {
        loop {
            match *self.bytes.get(self.at).ok_or(NotJson)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Ok(byte),
            }
        }
    }

    /// Whether nothing but blanks is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek().is_err()
    }

    /// Whether what comes lies too deep to be looked into.
    pub(super) fn is_deep(&self) -> bool {
        self.depth >= DEPTH_MAX
    }

    /// The next token, if it is this one.
    fn take(&mut self, token: u8) -> Result<(), NotJson> {
        if self.peek()? != token {
            return Err(NotJson);
        }
        self.at += 1;
        Ok(())
    }

    /// What stands between the quotes of a string, escapes as written.
    pub(super) fn text(&mut self) -> Result<&'a [u8], NotJson> {
        self.take(b'"')?;
        let start = self.at;
        let rest = &self.bytes[start..];
        let mut from = plain(rest);
        if rest.get(from) == Some(&b'"') {
            self.at = start + from + 1;
            return Ok(&rest[..from]);
        }
        let text = text::find::<false>(&rest[from..]).ok_or(NotJson)?;
        from += text.length;
        self.at = start + from + 1;
        Ok(&rest[..from])
    }

    /// What stands between the quotes of a string, escapes as written, and the characters of its text.
    pub(super) fn counted(&mut self) -> Result<(&'a [u8], Characters), NotJson> {
        self.take(b'"')?;
        let rest = &self.bytes[self.at..];
        let text = text::find::<true>(rest).ok_or(NotJson)?;
        self.at += text.length + 1;
        Ok((&rest[..text.length], text.characters))
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<Cow<'a, [u8]>, NotJson> {
        let raw = self.text()?;
        self.take(b':')?;
        if !raw.contains(&b'\\') {
            return Ok(Cow::Borrowed(raw));
        }
        Ok(unescaped(raw).map_or(Cow::Borrowed(raw), |key| Cow::Owned(key.into_bytes())))
    }

    /// Hands over each key of an object, whose value is then to be passed over.
    pub(super) fn object(&mut self, mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), NotJson>) -> Result<(), NotJson> {
        self.take(b'{')?;
        self.depth += 1;
        if self.peek()? != b'}' {
            loop {
                let key = self.key()?;
                each(self, &key)?;
                if self.peek()? != b',' {
                    break;
                }
                self.at += 1;
            }
        }
        self.depth -= 1;
        self.take(b'}')
    }

    /// Calls for each element of an array, which is then to be passed over.
    pub(super) fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), NotJson>) -> Result<(), NotJson> {
        self.take(b'[')?;
        self.depth += 1;
        if self.peek()? != b']' {
            each(self)?;
        }
        self.array_rest(each)
    }

    /// The same behind an element of an array that it is already within.
    pub(super) fn array_rest(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), NotJson>) -> Result<(), NotJson> {
        while self.peek()? == b',' {
            self.at += 1;
            each(self)?;
        }
        self.depth -= 1;
        self.take(b']')
    }

    /// Passes over a value, however deep, and gives the text that it is written in.
    pub(super) fn value(&mut self) -> Result<&'a [u8], NotJson> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        Ok(&self.bytes[start..self.at])
    }

    /// Passes over a value, however deep; not by recursion, since the depth is the sender's.
    pub(super) fn skip(&mut self) -> Result<(), NotJson> {
        let mut open = Open::default();
        loop {
            match self.peek()? {
                b'"' => drop(self.text()?),
                b'{' => {
                    self.at += 1;
                    if self.peek()? != b'}' {
                        open.push(true);
                        self.skip_key()?;
                        continue;
                    }
                    self.at += 1;
                }
                b'[' => {
                    self.at += 1;
                    if self.peek()? != b']' {
                        open.push(false);
                        continue;
                    }
                    self.at += 1;
                }
                _ => self.scalar()?,
            }
            // A value has ended, and with it perhaps what it lies in.
            loop {
                let Some(is_object) = open.last() else { return Ok(()) };
                let token = self.peek()?;
                self.at += 1;
                match (token, is_object) {
                    (b',', true) => break self.skip_key()?,
                    (b',', false) => break,
                    (b'}', true) | (b']', false) => open.pop(),
                    _ => return Err(NotJson),
                }
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), NotJson> {
        self.text()?;
        self.take(b':')
    }

    /// A number or a literal.
    fn scalar(&mut self) -> Result<(), NotJson> {
        let rest = &self.bytes[self.at..];
        let length = match rest.first().ok_or(NotJson)? {
            b't' if rest.starts_with(b"true") => 4,
            b'f' if rest.starts_with(b"false") => 5,
            b'n' if rest.starts_with(b"null") => 4,
            b'-' | b'0'..=b'9' => rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count(),
            _ => return Err(NotJson),
        };
        self.at += length;
        Ok(())
    }
}

/// How many bytes at the beginning are neither a quote nor a backslash, as far as is looked: most texts are short, and end within that.
fn plain(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mut count = 0;
    for word in words.iter().take(LOOKED) {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ u64::from_ne_bytes([b'"'; 8])) | zeros(word ^ u64::from_ne_bytes([b'\\'; 8]));
        if found != 0 {
            // The lowest bit that is set is a true one.
            return count + usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
        }
        count += 8;
    }
    count
}

/// A bit for each byte that is zero, its highest. Above the lowest that is set there may be others.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(u64::from_ne_bytes([1; 8])) & !word & u64::from_ne_bytes([0x80; 8])
}

/// Words of eight bytes that are looked at one by one, before the search for long texts is set up.
const LOOKED: usize = 4;

/// What is open around a value, innermost last: true for an object, false for an array. Allocates only for what is very deep.
#[derive(Default)]
struct Open {
    near: u64,
    near_count: u32,
    deep: Vec<bool>,
}

impl Open {
    fn push(&mut self, is_object: bool) {
        if self.near_count == u64::BITS {
            return self.deep.push(is_object);
        }
        self.near = self.near << 1 | u64::from(is_object);
        self.near_count += 1;
    }

    fn last(&self) -> Option<bool> {
        self.deep.last().copied().or_else(|| (self.near_count > 0).then_some(self.near & 1 == 1))
    }

    fn pop(&mut self) {
        if self.deep.pop().is_none() {
            self.near >>= 1;
            self.near_count = self.near_count.saturating_sub(1);
        }
    }
}

/// Hands over the text that stands between the quotes of a string, unescaped, in few large pieces. What is no escape is replaced by U+FFFD.
pub(crate) fn unescape(raw: &[u8], mut each: impl FnMut(&[u8])) {
    if memchr::memchr(b'\\', raw).is_none() {
        return each(raw);
    }
    // Code has an escape every few bytes, and what takes the pieces has its price for each.
    let mut gathered = [0; GATHERED];
    let mut length = 0;
    let mut rest = raw;
    while !rest.is_empty() {
        if length + 8 > GATHERED {
            each(&gathered[..length]);
            length = 0;
        }
        let word = rest.first_chunk::<8>().copied().unwrap_or_else(|| {
            let mut padded = [b'\\'; 8];
            padded[..rest.len()].copy_from_slice(rest);
            padded
        });
        // All eight are copied, and as many counted as stand before an escape.
        gathered[length..length + 8].copy_from_slice(&word);
        let backslashes = zeros(u64::from_le_bytes(word) ^ u64::from_ne_bytes([b'\\'; 8]));
        let plain = usize::try_from(backslashes.trailing_zeros() / 8).unwrap_or(0);
        (length, rest) = (length + plain, &rest[plain..]);
        if plain < 8 && !rest.is_empty() {
            let (taken, character) = escape(rest);
            if length + 4 > GATHERED {
                each(&gathered[..length]);
                length = 0;
            }
            length += character.encode_utf8(&mut gathered[length..]).len();
            rest = &rest[taken..];
        }
    }
    each(&gathered[..length]);
}

/// Bytes of a text that are gathered before they are handed over.
const GATHERED: usize = 512;

/// The character that an escape at the beginning of `raw` stands for, and how long it is written. A surrogate without its other half is U+FFFD.
fn escape(raw: &[u8]) -> (usize, char) {
    let plain = |character| (2, character);
    match raw.get(1) {
        Some(b'n') => plain('\n'),
        Some(b't') => plain('\t'),
        Some(b'r') => plain('\r'),
        Some(b'b') => plain('\u{8}'),
        Some(b'f') => plain('\u{c}'),
        Some(byte @ (b'"' | b'\\' | b'/')) => plain(char::from(*byte)),
        Some(b'u') => match hex(raw.get(2..6)) {
            Some(high @ 0xd800..=0xdbff) => match hex(raw.get(8..12)).filter(|_| raw[6..].starts_with(b"\\u")) {
                Some(low @ 0xdc00..=0xdfff) => (12, char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).unwrap_or(REPLACED)),
                _ => (6, REPLACED),
            },
            Some(code) => (6, char::from_u32(code).unwrap_or(REPLACED)),
            None => plain(REPLACED),
        },
        Some(_) => plain(REPLACED),
        None => (1, REPLACED),
    }
}

const REPLACED: char = char::REPLACEMENT_CHARACTER;

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}

/// The text that stands between the quotes of a string. What is no escape or no UTF-8 is replaced by U+FFFD.
pub(super) fn unescaped_lossy(raw: &[u8]) -> Cow<'_, str> {
    if !raw.contains(&b'\\') {
        return String::from_utf8_lossy(raw);
    }
    let mut text = Vec::with_capacity(raw.len());
    unescape(raw, |piece| text.extend_from_slice(piece));
    Cow::Owned(String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The text that stands between the quotes of a string; `None` if an escape of it is none.
pub(super) fn unescaped(raw: &[u8]) -> Option<String> {
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    serde_json::from_slice(&quoted).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_as_serde_reads_them() {
        for text in ["plain", "a\nb\t\"\\ /\u{8}\u{c}", "é€😀", "\u{0}\u{7f}\u{2028}", ""] {
            let quoted = serde_json::to_string(text).unwrap();
            let ascii = text.encode_utf16().fold(String::new(), |ascii, unit| format!("{ascii}\\u{unit:04x}"));
            for raw in [&quoted[1..quoted.len() - 1], &ascii] {
                assert_eq!(unescaped_lossy(raw.as_bytes()), text, "{raw}");
            }
        }
        for (raw, expected) in
            [(r"\ud800x", "\u{fffd}x"), (r"\x", "\u{fffd}"), (r"\u12", "\u{fffd}12"), ("\\", "\u{fffd}"), (r"\ud83d\u0041", "\u{fffd}A")]
        {
            assert_eq!(unescaped_lossy(raw.as_bytes()), expected, "{raw}");
        }
        assert_eq!(unescaped_lossy(b"\xff\\n"), "\u{fffd}\n");
    }

    #[test]
    fn long_texts_are_unescaped_whole() {
        let mut random = fastrand::Rng::with_seed(13);
        for _ in 0..500 {
            let parts = ["a", "plain words and more of them ", "\n", "\"", "\\", "é", "\u{1}", "\r\n\r\n", "😀"];
            let text: String = (0..random.usize(..400)).map(|_| *random.choice(parts.iter()).unwrap()).collect();
            let quoted = serde_json::to_string(&text).unwrap();
            assert_eq!(unescaped_lossy(&quoted.as_bytes()[1..quoted.len() - 1]), text);
        }
    }

    #[test]
    fn valid_values_are_passed_over_whole_and_others_not_at_all() {
        let check = |text: &str, expected: bool| {
            let mut skim = Skim::new(text.as_bytes());
            let whole = skim.value().is_ok_and(|value| value == text.trim().as_bytes()) && skim.is_at_end();
            assert_eq!(whole, expected, "{text}");
        };
        for valid in ["{}", " [ ] ", "[1,-2.5e+3,true,false,null]", r#"{"a":{"b":[[],{}]},"c":"\\\"}"}"#, r#""\\""#, "[[[[]]],[]]", "0"] {
            check(valid, true);
        }
        for invalid in
            ["", "{", "[1", "[1,]", "{,}", r#"{"a"}"#, r#"{"a":}"#, r#"{"a":1,}"#, "[}", "{]", "[1 2]", r#"[{"a":1]}"#, "nul", "x", r#""\""#, "{1:2}"]
        {
            check(invalid, false);
        }
        for depth in [63, 64, 65, 200, 100_000] {
            check(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)), true);
            check(&format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth)), true);
            check(&format!("{}{}", r#"[{"a":"#.repeat(depth), "]}".repeat(depth)), false);
        }
    }
}
