//! Tokens of a text by a public tokenizer, in bounded time: what no text for people is made of is counted by samples.
//!
//! Both tokenizers first part a text into words, blanks, figures and signs, and then merge bytes within each part. A part of many kilobytes takes long
//! and no person writes one, so of it the two ends are counted and the middle is taken to be like them. Text is passed in slices, cut between words, so
//! that little is decoded at a time. Once what was counted has taken its time, all further text is counted by samples too.

use std::str;

use tiktoken::CoreBpe;

use crate::wire::unescape;

/// A public tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::context) enum Tokenizer {
    /// Of GPT-4o and everything of `OpenAI` since; the open-weight ones too, whose own differs in special tokens only.
    O200k,
    /// Of GPT-4, GPT-3.5 and the embeddings.
    Cl100k,
}

impl Tokenizer {
    /// The tokenizer with its vocabulary, which is unpacked when it is first asked for: 0.1 s, 24 MB.
    fn core(self) -> &'static CoreBpe {
        let name = match self {
            Self::O200k => "o200k_base",
            Self::Cl100k => "cl100k_base",
        };
        tiktoken::get_encoding(name).expect("both vocabularies are compiled in")
    }
}

/// Tokens of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::context) struct Tokens {
    pub(in crate::context) count: u64,
    /// Figures beyond one for each of those tokens: vocabularies that take numbers apart figure by figure have so many more.
    pub(in crate::context) figures: u64,
    /// Whether every byte of it went through the tokenizer.
    pub(in crate::context) is_exact: bool,
}

impl Tokens {
    /// Both together.
    pub(in crate::context) fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, figures: self.figures + other.figures, is_exact: self.is_exact && other.is_exact }
    }

    /// Without those of a part.
    pub(in crate::context) fn less(self, part: Self) -> Self {
        Self { count: self.count.saturating_sub(part.count), figures: self.figures.saturating_sub(part.figures), ..self }
    }

    /// Of what no tokenizer has seen.
    pub(in crate::context) fn guess(count: u64) -> Self {
        Self { count, figures: 0, is_exact: false }
    }

    /// Of what is added to texts, by a rule.
    pub(in crate::context) fn added(count: u64) -> Self {
        Self { count, figures: 0, is_exact: true }
    }
}

/// Bytes, as written, that are decoded and counted at a time.
const SLICE: usize = 64 << 10;
/// How far in front of a slice's end a place between two words is looked for.
const LOOK: usize = 4 << 10;
/// Longest part that is counted whole.
const RUN: usize = 1 << 10;
/// Bytes at either end of a longer one that are.
const END: usize = RUN / 2;
/// What one request may take: a token of common text takes 1 (30 ns), one of what compresses badly 4 (70 to 250 ns). 1 Mi of common text is 3.5 MB.
const WORK: u64 = 1 << 20;
/// Common text has at least so many bytes a token: English prose 4.5, code 3.2, base64 1.5, random letters 1.9.
const COMMON: u64 = 3;
/// Of slices beyond [`WORK`] that are at least so long, one byte in [`SAMPLED`] is counted; of shorter ones none.
const SAMPLED_LEAST: usize = 4 << 10;
const SAMPLED: usize = 128;

/// Counts texts of one request.
#[derive(Debug)]
pub(in crate::context) struct Counting {
    tokenizer: Tokenizer,
    /// What is left of [`WORK`].
    work: u64,
    /// Bytes that were counted, and their tokens: what text that is not looked at is taken to be like.
    seen: (u64, u64),
    decoded: Vec<u8>,
}

impl Counting {
    pub(in crate::context) fn new(tokenizer: Tokenizer) -> Self {
        // Three bytes a token until something is known.
        Self { tokenizer, work: WORK, seen: (30, 10), decoded: Vec::new() }
    }

    pub(in crate::context) fn tokenizer(&self) -> Tokenizer {
        self.tokenizer
    }

    /// Tokens of a text as it stands in a body. Of a string (`is_quoted`) the escapes are as written.
    pub(in crate::context) fn text(&mut self, raw: &[u8], is_quoted: bool) -> Tokens {
        let mut tokens = Tokens::added(0);
        let mut rest = raw;
        while !rest.is_empty() {
            let (slice, behind) = rest.split_at(cut(rest));
            rest = behind;
            let part = if self.work == 0 { self.guess(slice, is_quoted) } else { self.slice(slice, is_quoted) };
            tokens = tokens.and(part);
        }
        tokens
    }

    fn slice(&mut self, raw: &[u8], is_quoted: bool) -> Tokens {
        let core = self.tokenizer.core();
        let tokens = if is_quoted && memchr::memchr(b'\\', raw).is_some() {
            self.decoded.clear();
            unescape(raw, |piece| self.decoded.extend_from_slice(piece));
            valid(core, &self.decoded)
        } else {
            valid(core, raw)
        };
        let bytes = length(raw);
        let price = if tokens.count * COMMON <= bytes { 1 } else { 4 };
        self.work = self.work.saturating_sub(tokens.count * price);
        self.seen = (self.seen.0 + bytes, self.seen.1 + tokens.count);
        tokens
    }

    /// What is beyond the bound: by a sample of it, or by what went before.
    fn guess(&mut self, raw: &[u8], is_quoted: bool) -> Tokens {
        let sample = if raw.len() < SAMPLED_LEAST { &raw[..0] } else { &raw[raw.len() / 2..][..raw.len() / SAMPLED] };
        if sample.is_empty() {
            let (bytes, tokens) = self.seen;
            return Tokens::guess((length(raw) * tokens).div_ceil(bytes));
        }
        let Tokens { count, figures, .. } = self.slice(sample, is_quoted);
        let all = |tokens: u64| (length(raw) * tokens).div_ceil(length(sample));
        Tokens { count: all(count.max(1)), figures: all(figures), is_exact: false }
    }
}

/// Where a slice ends: between two words if there are any near its end, else where neither an escape nor a character is cut.
fn cut(raw: &[u8]) -> usize {
    if raw.len() <= SLICE {
        return raw.len();
    }
    let is_word =
        |at: usize| raw[at] == b' ' && raw[at + 1].is_ascii_alphabetic() && raw[at - 1].is_ascii_alphabetic() && !raw[at - 6..at].contains(&b'\\');
    let is_whole = |at: usize| {
        let is_plain = raw[at] & 0xc0 != 0x80 && !raw[at - 12..at].contains(&b'\\');
        let is_high = || raw[at - 6..at].starts_with(b"\\u") && matches!((raw[at - 4] | 0x20, raw[at - 3] | 0x20), (b'd', b'8' | b'9' | b'a' | b'b'));
        is_plain || (raw[at] == b'\\' && raw[at - 1] != b'\\' && !is_high())
    };
    let places = || (SLICE - LOOK..SLICE).rev();
    places().find(|&at| is_word(at)).or_else(|| places().find(|&at| is_whole(at))).unwrap_or(SLICE)
}

fn valid(core: &CoreBpe, text: &[u8]) -> Tokens {
    let tokens = match str::from_utf8(text) {
        Ok(text) => parted(core, text),
        Err(_) => parted(core, &String::from_utf8_lossy(text)),
    };
    Tokens { figures: figures(text), ..tokens }
}

/// Figures beyond one a token: both tokenizers take up to three together.
fn figures(text: &[u8]) -> u64 {
    let (mut beyond, mut run) = (0, 0_u8);
    for byte in text {
        let is_figure = byte.is_ascii_digit();
        beyond += u64::from(is_figure && run != 0);
        run = if is_figure && run < 2 { run + 1 } else { 0 };
    }
    beyond
}

/// Counts what lies between long parts whole, and those by their ends. A part longer than [`RUN`] has at least one of the places that are looked at.
fn parted(core: &CoreBpe, text: &str) -> Tokens {
    let mut tokens = Tokens::added(0);
    let (mut from, mut place) = (0, END);
    while place + END <= text.len() {
        let at = text.ceil_char_boundary(place);
        place += END;
        let Some(class) = text[at..].chars().next().and_then(class) else { continue };
        let end = text[at..].char_indices().find(|(_, other)| self::class(*other) != Some(class)).map_or(text.len(), |(offset, _)| at + offset);
        if end < at + END / 2 {
            continue;
        }
        let start = text[from..at].char_indices().rev().find(|(_, other)| self::class(*other) != Some(class));
        let start = start.map_or(from, |(offset, other)| from + offset + other.len_utf8());
        if end - start > RUN {
            let (head, tail) = (text.ceil_char_boundary(start + END), text.floor_char_boundary(end - END));
            let ends = count(core, &text[start..head]) + count(core, &text[tail..end]);
            let bytes = text.as_bytes();
            let known = length(&bytes[start..head]) + length(&bytes[tail..end]);
            tokens.count += count(core, &text[from..start]) + ends + (length(&bytes[head..tail]) * ends).div_ceil(known);
            tokens.is_exact = false;
            from = end;
        }
        place = place.max(end);
    }
    tokens.count += count(core, &text[from..]);
    tokens
}

/// What may stand together in one part of any length. Figures never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Blank,
    Sign,
}

fn class(character: char) -> Option<Class> {
    match character {
        _ if character.is_alphabetic() => Some(Class::Letter),
        _ if character.is_whitespace() => Some(Class::Blank),
        _ if character.is_numeric() => None,
        _ => Some(Class::Sign),
    }
}

fn count(core: &CoreBpe, text: &str) -> u64 {
    u64::try_from(core.count(text)).unwrap_or(u64::MAX)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Counting, RUN, SLICE, Tokenizer, Tokens, WORK, length};

    fn exact(text: &str) -> u64 {
        u64::try_from(tiktoken::get_encoding("o200k_base").unwrap().count(text)).unwrap()
    }

    fn counted(raw: &[u8]) -> Tokens {
        Counting::new(Tokenizer::O200k).text(raw, true)
    }

    /// What is said of it.
    fn said(raw: &[u8]) -> (u64, bool) {
        let Tokens { count, is_exact, .. } = counted(raw);
        (count, is_exact)
    }

    /// As Python writes what is not ASCII.
    fn escaped(text: &str) -> String {
        text.encode_utf16().fold(String::new(), |escaped, unit| escaped + &format!("\\u{unit:04x}"))
    }

    /// Within so many percent.
    fn near(one: u64, other: u64, percent: u64) -> bool {
        one.abs_diff(other) * 100 <= other * percent
    }

    const CODE: &str = "fn main() {\n\tlet Größe = \"naïve 東京\";\n\t// It's <|endoftext|> 12345, you'll see 🎉 …\n}\r\n\r\n   \n";

    #[test]
    fn a_text_has_as_many_tokens_as_its_tokenizer_gives() {
        for text in ["", "a", "Hello, world!", CODE, &CODE.repeat(40)] {
            let raw = serde_json::to_string(text).unwrap();
            let raw = &raw.as_bytes()[1..raw.len() - 1];
            assert_eq!(said(raw), (exact(text), true), "{text}");
        }
        assert_eq!(counted(b"<|endoftext|>").count, exact("<|endoftext|>"));
        assert!(counted(b"<|endoftext|>").count > 1, "a special token's name within a text is text");
    }

    #[test]
    fn escapes_count_as_what_they_stand_for() {
        let text = "東京は夜の七時。\n\"🎉\" Grüße";
        let escaped = escaped(text);
        assert_eq!(counted(escaped.as_bytes()).count, exact(text));
        assert_eq!(Counting::new(Tokenizer::O200k).text(b"{\"a\":\"\\n\"}", false).count, exact("{\"a\":\"\\n\"}"));
    }

    #[test]
    fn a_long_text_is_cut_where_no_token_is() {
        let text = "It is the work of a moment; you'll see that nothing is lost.\n\nfn f() {\n    call(1);\n}\n".repeat(4 * SLICE / 80);
        let raw = text.replace('\n', "\\n");
        assert_eq!(said(raw.as_bytes()), (exact(&text), true));
        // Where there is no place between words, a token or two are lost at each cut.
        let text = "東京は夜の七時、🎉".repeat(4 * SLICE / 28);
        let escaped = escaped(&text);
        assert!(counted(escaped.as_bytes()).count.abs_diff(exact(&text)) < 60);
        assert!(counted(text.as_bytes()).count.abs_diff(exact(&text)) < 20);
    }

    #[test]
    fn what_has_no_break_is_counted_by_its_ends_and_said_to_be() {
        for (unit, percent) in [("a", 2), (" ", 30), ("=", 2), ("あ", 2), ("xq", 3)] {
            let text = format!("before {} behind", unit.repeat(20 * RUN / unit.len()));
            let counted = counted(text.as_bytes());
            assert!(!counted.is_exact, "{unit}");
            assert!(near(counted.count, exact(&text), percent), "{unit}: {} for {}", counted.count, exact(&text));
        }
        let short = format!("before {} behind", "a".repeat(RUN - 10));
        assert_eq!(said(short.as_bytes()), (exact(&short), true));
    }

    #[test]
    fn beyond_its_bound_a_request_is_sampled() {
        let mut random = fastrand::Rng::with_seed(3);
        let base64: String = (0..3 << 20).map(|_| random.alphanumeric()).collect();
        let mut counting = Counting::new(Tokenizer::O200k);
        let first = counting.text(&base64.as_bytes()[..SLICE], true);
        assert!(first.is_exact);
        let all = counting.text(base64.as_bytes(), true);
        assert!(!all.is_exact && counting.work == 0, "{all:?}");
        let expected = first.count * length(base64.as_bytes()) / length(&base64.as_bytes()[..SLICE]);
        assert!(near(all.count, expected, 3), "{} for {expected}", all.count);
        assert!(all.count * 4 > WORK);
        // What is too short for a sample is like the rest.
        assert!(near(counting.text(&base64.as_bytes()[..3000], true).count, first.count * 3000 / length(&base64.as_bytes()[..SLICE]), 15));
    }

    #[test]
    fn figures_are_counted_beyond_one_a_token() {
        for (text, expected) in
            [("", 0), ("7", 0), ("a7b8", 0), ("42", 1), ("123", 2), ("1234", 2), ("123456", 4), ("2026-11-21", 2 + 1 + 1), ("x", 0)]
        {
            assert_eq!(counted(text.as_bytes()).figures, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_utf_8_is_counted_all_the_same() {
        assert!(counted(b"caf\xff\xfe \xe6\x9d hello").count >= 3);
        assert!(counted(&vec![0x80; 3 * SLICE]).count > 0);
        assert!(counted("\\".repeat(3 * SLICE).as_bytes()).count > 0);
        assert!(counted("\\u".repeat(3 * SLICE).as_bytes()).count > 0);
    }
}
