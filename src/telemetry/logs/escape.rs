//! Makes what traffic says harmless in a log: no line ends, no terminal sequences, no characters that turn or hide text. One value is one value.

use std::fmt::{self, Write};

/// Longest value in a line of text, in characters.
const TEXT_MAX: usize = 200;

/// A value in a line of text: bare where it is one plain word, else quoted.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a>(pub &'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = *self;
        let plain = |c: char| !(c.is_whitespace() || is_harmful(c) || matches!(c, '"' | '\\' | '='));
        if !value.is_empty() && value.chars().all(plain) {
            return write_capped(f, value, |f, c| f.write_char(c));
        }
        f.write_char('"')?;
        write_capped(f, value, |f, c| match c {
            '"' | '\\' => write!(f, "\\{c}"),
            c => write_visible(f, c),
        })?;
        f.write_char('"')
    }
}

/// A sentence in a line of text: not quoted, but as harmless.
pub(super) struct Sentence<'a>(pub(super) &'a str);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| write_visible(f, c))
    }
}

/// A JSON string, quotes included.
pub(super) fn json_string(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // All of them are within the first 2¹⁶: no surrogates needed.
            c if is_harmful(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_capped(f: &mut fmt::Formatter<'_>, value: &str, mut write: impl FnMut(&mut fmt::Formatter<'_>, char) -> fmt::Result) -> fmt::Result {
    value.chars().take(TEXT_MAX).try_for_each(|c| write(f, c))?;
    if value.chars().nth(TEXT_MAX).is_some() { f.write_char('…') } else { Ok(()) }
}

fn write_visible(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    if is_harmful(c) { write!(f, "{}", c.escape_unicode()) } else { f.write_char(c) }
}

/// Controls of both sets (line ends, escape sequences), Unicode's own line ends, marks that turn the direction of text, and the byte order mark.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{Sentence, Word, json_string};

    #[test]
    fn a_word_is_quoted_where_it_could_be_taken_for_more() {
        for (value, expected) in [
            ("gpt-4o", "gpt-4o"),
            ("rédacteur", "rédacteur"),
            ("", "\"\""),
            ("web surfer", "\"web surfer\""),
            ("a=b", "\"a=b\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("x\r\n12:00 ok", "\"x\\u{d}\\u{a}12:00 ok\""),
            ("\u{1b}[31m\u{9b}1m", "\"\\u{1b}[31m\\u{9b}1m\""),
            ("a\u{2028}b\u{202e}c", "\"a\\u{2028}b\\u{202e}c\""),
        ] {
            assert_eq!(Word(value).to_string(), expected);
        }
        assert_eq!(Word(&"x".repeat(300)).to_string(), format!("{}…", "x".repeat(200)));
    }

    #[test]
    fn a_sentence_stays_on_its_line() {
        assert_eq!(Sentence("bound to \"a b\"\n\u{1b}[0m").to_string(), "bound to \"a b\"\\u{a}\\u{1b}[0m");
    }

    #[test]
    fn json_reads_back_as_it_was() {
        for value in ["plain", "\"\\\r\n\t\u{0}\u{1b}\u{7f}\u{9b}\u{2028}\u{202e}\u{feff}é😀"] {
            let mut out = String::new();
            json_string(&mut out, value);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), value);
            assert!(!out.chars().any(super::is_harmful), "{out}");
        }
    }
}
