//! Judges what [`Skim`](crate::wire::skim::Skim) passes over: whether texts are UTF-8 without control characters, whether their escapes are some, and the
//! form of numbers. A body that is changed must have been JSON to everybody. 64 bytes at a time, as texts are found.

use crate::wire::text::{BLOCK, bits, escaped, mask};

/// Whether a text whose structure is that of JSON is JSON (RFC 8259). Half a surrogate pair is one character of it, as §8.2 has it.
pub(super) fn is_sound(json: &[u8]) -> bool {
    if std::str::from_utf8(json).is_err() {
        return false;
    }
    let mut state = State::default();
    let (blocks, rest) = json.as_chunks::<BLOCK>();
    let are_sound = blocks.iter().enumerate().all(|(index, block)| state.take(json, index * BLOCK, block));
    let mut padded = [b' '; BLOCK];
    padded[..rest.len()].copy_from_slice(rest);
    are_sound && state.take(json, blocks.len() * BLOCK, &padded)
}

/// What a block leaves to the next.
#[derive(Default)]
struct State {
    /// Whether its first byte is escaped.
    escaping: bool,
    /// All bits if it begins within a text.
    within: u64,
    /// One if it goes on with a number.
    numeric: u64,
}

impl State {
    fn take(&mut self, json: &[u8], at: usize, block: &[u8; BLOCK]) -> bool {
        let escaped = escaped(mask(block, b'\\'), &mut self.escaping);
        let quotes = mask(block, b'"') & !escaped;
        // From an opening quote to before the closing one.
        let within = since(quotes) ^ self.within;
        self.within = if within >> (BLOCK - 1) == 1 { u64::MAX } else { 0 };
        let controls = bits(block, |bytes| bytes.simd_lt(wide::u8x16::splat(0x20)));
        controls & within == 0
            && places(escaped).all(|place| is_escape(&json[at + place..]))
            && (within == u64::MAX || self.numbers(block, within).all(|place| is_number(&json[at + place..])))
    }

    /// Where numbers begin outside of texts. The `e` of `true` is none.
    fn numbers(&mut self, block: &[u8; BLOCK], within: u64) -> impl Iterator<Item = usize> {
        let digits = bits(block, |bytes| {
            let in_range = bytes.max(wide::u8x16::splat(b'0')).min(wide::u8x16::splat(b'9'));
            bytes.simd_eq(in_range)
        });
        let numeric = (digits | [b'-', b'+', b'.', b'e', b'E'].iter().fold(0, |found, byte| found | mask(block, *byte))) & !within;
        let starts = numeric & !(numeric << 1 | self.numeric) & (digits | mask(block, b'-'));
        self.numeric = numeric >> (BLOCK - 1);
        places(starts)
    }
}

/// Of each bit, whether it and those below it are odd in number.
fn since(bits: u64) -> u64 {
    [1, 2, 4, 8, 16, 32].iter().fold(bits, |sum, shift| sum ^ (sum << shift))
}

/// The places of the bits that are set.
fn places(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = usize::try_from(bits.trailing_zeros()).ok().filter(|_| bits != 0)?;
        bits &= bits - 1;
        Some(place)
    })
}

/// Whether an escape goes on so behind its backslash.
fn is_escape(rest: &[u8]) -> bool {
    match rest.first() {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
        Some(b'u') => rest.get(1..5).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        _ => false,
    }
}

/// Whether a number stands here, and nothing of one behind it.
fn is_number(rest: &[u8]) -> bool {
    let digits = |rest: &[u8]| rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let whole = digits(rest);
    if whole == 0 || whole > 1 && rest[0] == b'0' {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
        let count = digits(exponent);
        if count == 0 {
            return false;
        }
        rest = &exponent[count..];
    }
    !matches!(rest.first(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;
    use crate::wire::skim::Skim;

    /// Whether structure and content are sound.
    fn is_json(text: &[u8]) -> bool {
        let mut skim = Skim::new(text);
        skim.skip().is_ok() && skim.is_at_end() && is_sound(text)
    }

    #[test]
    fn what_is_json_is_told_as_a_json_library_tells_it() {
        let parts: [&[u8]; 34] = [
            b"\"",
            b"\"",
            b"\\",
            b"\\\"",
            b"\\n",
            b"\\u00e4",
            b"\\ud800",
            b"\\u12",
            b"\\x",
            b"\n",
            b"\x01",
            b"\t",
            "ä".as_bytes(),
            "😀".as_bytes(),
            b"\xff",
            b"a",
            b"plain words and more of them",
            b"1",
            b"0",
            b"-",
            b"+",
            b".",
            b"e",
            b"E5",
            b"true",
            b"false",
            b"null",
            b",",
            b"[",
            b"]",
            b" ",
            b"-0.5e+1",
            b"01",
            b"\"x\"",
        ];
        let mut random = fastrand::Rng::with_seed(31);
        let (mut sound, mut rounds) = (0, 0);
        while sound < 3_000 || rounds < 60_000 {
            rounds += 1;
            let inner: Vec<u8> = (0..random.usize(..6)).flat_map(|_| random.choice(parts.iter()).unwrap().to_vec()).collect();
            let (open, close): (&[u8], &[u8]) = if random.bool() { (b"[\"", b"\"]") } else { (b"[", b"]") };
            let filler = vec![b' '; random.usize(..70)];
            let text = [&filler, open, &inner, close].concat();
            let expected = std::str::from_utf8(&text).is_ok() && serde_json::from_slice::<IgnoredAny>(&text).is_ok();
            assert_eq!(is_json(&text), expected, "{}", String::from_utf8_lossy(&text));
            sound += usize::from(expected);
        }
    }

    #[test]
    fn numbers_are_whole_wherever_a_block_ends() {
        for before in 0..140 {
            for (number, expected) in [
                ("-12.5e+10", true),
                ("0", true),
                ("01", false),
                ("1.", false),
                ("1e", false),
                ("-", false),
                ("1-2", false),
                ("1.2.3", false),
                ("0e0", true),
            ] {
                let text = format!("[{}true,{number}]", " ".repeat(before));
                assert_eq!(is_json(text.as_bytes()), expected, "{text}");
            }
        }
    }
}
