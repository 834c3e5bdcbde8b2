//! Takes credentials out of texts, as far as they can be told by how they begin: keys of providers and of what agents use beside them, and whatever
//! follows `Bearer`. A key that looks like any other word is not known for one.

use std::borrow::Cow;

use serde_json::Value;

/// How keys begin.
const PREFIXES: [&str; 21] = [
    "sk-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "pk-lf-",
    "AIza",
    "ya29.",
    "gsk_",
    "xai-",
    "pplx-",
    "nvapi-",
    "hf_",
    "r8_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xox",
    "AKIA",
    "eyJ",
];
/// A shorter word is no key.
const LENGTH_MIN: usize = 16;
/// What stands in place of a key's secret part.
const MASK: &str = "***";

/// A text without them.
pub(super) fn text(text: Cow<'_, str>) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut done = 0;
    let mut bearer = false;
    for (start, end) in words(&text) {
        let word = &text[start..end];
        if let Some(kept) = secret(word, bearer) {
            clean.push_str(&text[done..start + kept]);
            clean.push_str(MASK);
            done = end;
        }
        bearer = word.eq_ignore_ascii_case("bearer");
    }
    if done == 0 {
        return text;
    }
    clean.push_str(&text[done..]);
    Cow::Owned(clean)
}

/// The same of every text within a value.
pub(super) fn value(within: &mut Value) {
    match within {
        Value::String(string) => {
            if let Cow::Owned(clean) = text(Cow::Borrowed(string)) {
                *string = clean;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(value),
        Value::Object(fields) => fields.values_mut().for_each(value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// How much of a word may be shown, if it is a key.
fn secret(word: &str, bearer: bool) -> Option<usize> {
    if word.len() < LENGTH_MIN {
        return None;
    }
    let prefix = PREFIXES.iter().find(|prefix| word.starts_with(*prefix)).map(|prefix| prefix.len());
    let rest = &word.as_bytes()[prefix.unwrap_or_default()..];
    // Words that are meant to be read have no digits among their letters.
    let is_drawn = rest.iter().any(u8::is_ascii_digit) && rest.iter().any(u8::is_ascii_alphabetic);
    prefix.or(bearer.then_some(0)).filter(|_| is_drawn)
}

/// Where runs of what keys are made of begin and end.
fn words(text: &str) -> impl Iterator<Item = (usize, usize)> + use<'_> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'/' | b'~');
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(is_part)?;
        at = bytes[start..].iter().position(|byte| !is_part(byte)).map_or(bytes.len(), |length| start + length);
        Some((start, at))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_masked_and_words_are_not() {
        let check = |from: &str, to: &str| assert_eq!(text(Cow::Borrowed(from)), to);
        check("key=sk-proj-abcDEF0123456789, and é", "key=sk-***, and é");
        check("Authorization: Bearer abcdefghijklmnop1234", "Authorization: Bearer ***");
        check("\"AIzaSyA1234567890abcdefgh\"", "\"AIza***\"");
        check("two: ghp_0123456789abcdefghij ghp_0123456789abcdefghij", "two: ghp_*** ghp_***");
        check("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJ***");
        for plain in
            ["", "sk-learn-based-classifiers", "Bearer of good news", "the bearer understandable-words", "sk-1", "0123456789abcdef0123", "你好 🦀"]
        {
            check(plain, plain);
        }
    }

    #[test]
    fn they_are_found_within_values() {
        let mut given = json!({"a": ["sk-0123456789abcdefghij", 1, null], "sk-0123456789abcdefghij": {"b": true}});
        value(&mut given);
        assert_eq!(given, json!({"a": ["sk-***", 1, null], "sk-0123456789abcdefghij": {"b": true}}));
    }
}
