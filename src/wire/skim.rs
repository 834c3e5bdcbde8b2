//! Passes over JSON where it lies, at memory speed: its structure is checked, its texts are found and not decoded. What cannot be JSON is [`NotJson`],
//! and nothing after it is read. Escapes within texts and the exact form of numbers are not judged here.

use std::borrow::Cow;

use memchr::memchr;

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
        loop {
            let quote = from + memchr(b'"', &rest[from..]).ok_or(NotJson)?;
            let escapes = rest[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
            from = quote + 1;
            if escapes % 2 == 0 {
                self.at = start + from;
                return Ok(&rest[..quote]);
            }
        }
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<Cow<'a, [u8]>, NotJson> {
        let raw = self.text()?;
        self.take(b':')?;
        if memchr(b'\\', raw).is_none() {
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
            loop {
                each(self)?;
                if self.peek()? != b',' {
                    break;
                }
                self.at += 1;
            }
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
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, _) = bytes.as_chunks::<8>();
    let mut count = 0;
    for word in words.iter().take(LOOKED) {
        let word = u64::from_le_bytes(*word);
        let found = is_zero(word ^ u64::from_ne_bytes([b'"'; 8])) | is_zero(word ^ u64::from_ne_bytes([b'\\'; 8]));
        if found != 0 {
            // The lowest bit that is set is a true one.
            return count + usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
        }
        count += 8;
    }
    count
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

/// The text that stands between the quotes of a string; `None` if an escape of it is none.
pub(super) fn unescaped(raw: &[u8]) -> Option<String> {
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    serde_json::from_slice(&quoted).ok()
}

/// Bytes that are counted at one go: as many as a byte can count.
const BLOCK: usize = 128;

/// Characters (Unicode scalar values) of what stands between the quotes of a string. Half a surrogate pair is one.
pub(super) fn characters(raw: &[u8]) -> u64 {
    let mut total = Tally::default();
    let mut blocks = raw.chunks(BLOCK);
    let mut at = 0;
    for block in blocks.by_ref() {
        at += block.len();
        total.add(Tally::of(block, raw.get(at).copied()));
    }
    let escapes = if total.intricate { escapes_shorten(raw) } else { total.escapes };
    total.characters.saturating_sub(escapes)
}

/// What a block of a string's source holds.
#[derive(Clone, Copy, Default)]
struct Tally {
    /// Bytes that are no continuation of a UTF-8 sequence: one for each character of the source.
    characters: u64,
    /// Backslashes.
    escapes: u64,
    /// Whether a backslash follows a backslash, or a `u` does: then an escape is not simply two characters for one.
    intricate: bool,
}

impl Tally {
    /// `next` is the byte after the block. Written so that the compiler makes vector code of it: no early end, no wide counters.
    fn of(block: &[u8], next: Option<u8>) -> Self {
        let (mut continued, mut escapes) = (0_u8, 0_u8);
        for byte in block {
            continued = continued.wrapping_add(u8::from(byte & 0xC0 == 0x80));
            escapes = escapes.wrapping_add(u8::from(*byte == b'\\'));
        }
        let after = |byte: u8| matches!(byte, b'\\' | b'u');
        let mut intricate = block.last() == Some(&b'\\') && next.is_some_and(after);
        if escapes > 0 {
            let pairs = block.iter().zip(block.iter().skip(1));
            intricate |= pairs.fold(0_u8, |found, (byte, next)| found | (u8::from(*byte == b'\\') & u8::from(after(*next)))) > 0;
        }
        let length = u64::try_from(block.len()).unwrap_or(0);
        Self { characters: length - u64::from(continued), escapes: escapes.into(), intricate }
    }

    fn add(&mut self, other: Self) {
        self.characters += other.characters;
        self.escapes += other.escapes;
        self.intricate |= other.intricate;
    }
}

/// By how much the escapes of a string make its source longer than its text, escape by escape.
fn escapes_shorten(raw: &[u8]) -> u64 {
    let mut shorter = 0;
    let mut rest = raw;
    let mut after_high = false;
    while let Some(at) = memchr(b'\\', rest) {
        let escape = &rest[at..];
        let code = escape.get(2..6).filter(|_| escape.get(1) == Some(&b'u')).and_then(code_unit);
        after_high &= at == 0;
        let (length, shortens) = match code {
            Some(0xDC00..=0xDFFF) if after_high => (6, 6),
            Some(_) => (6, 5),
            None => (2, 1),
        };
        after_high = matches!(code, Some(0xD800..=0xDBFF));
        shorter += shortens;
        rest = escape.get(length..).unwrap_or_default();
    }
    shorter
}

fn code_unit(digits: &[u8]) -> Option<u16> {
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn characters_are_those_of_the_decoded_text() {
        let mut random = fastrand::Rng::with_seed(11);
        let parts =
            ["a", "ä", "😀", "\\n", "\\\"", "\\\\", "\\u00e4", "\\ud83d\\ude00", "\\/", "u", "plain words and more of them ", "\\\\n", "\\\\\\n"];
        for _ in 0..5_000 {
            let raw: String = (0..random.usize(..60)).map(|_| *random.choice(parts.iter()).unwrap()).collect();
            let expected = serde_json::from_str::<String>(&format!("\"{raw}\"")).unwrap().chars().count();
            assert_eq!(characters(raw.as_bytes()), u64::try_from(expected).unwrap(), "{raw}");
        }
    }

    #[test]
    fn odd_escapes_count_and_never_panic() {
        let check = |raw: &str, expected: u64| assert_eq!(characters(raw.as_bytes()), expected, "{raw}");
        check(r"half \ud83d", 6);
        check(r"\ud83d\ud83d\ude00", 2);
        check(r"\ude00\ud83d", 2);
        check(r"\u12", 3);
        check(r"\", 0);
        check(r"\uzzzz", 5);
    }
}
