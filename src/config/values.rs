//! What one value must be: each function reads a text, or says what is wanted in its place.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use super::{fields::Wanted, glob, units};
use crate::secret::Secret;

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Result<bool, Wanted> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err("`true` or `false`".into()),
    }
}

/// A duration, 0 allowed.
pub(super) fn duration(text: &str) -> Result<Duration, Wanted> {
    units::duration(text).ok_or_else(|| "a duration such as `30s`, `5m` or `500ms`, at most `7d`".into())
}

/// A duration of a clock that can be stopped with `off`.
pub(super) fn clock(text: &str) -> Result<Option<Duration>, Wanted> {
    if text == "off" {
        return Ok(None);
    }
    match units::duration(text).filter(|duration| *duration >= Duration::from_millis(1)) {
        Some(duration) => Ok(Some(duration)),
        None => Err("a duration such as `30s`, `5m` or `500ms`, from `1ms` to `7d`, or `off`".into()),
    }
}

/// A whole number within bounds.
pub(super) fn whole<T: TryFrom<u64>>(bounds: RangeInclusive<u64>) -> impl FnOnce(&str) -> Result<T, Wanted> {
    move |text| {
        let number = text.parse().ok().filter(|number| bounds.contains(number)).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("a whole number from {} to {}", bounds.start(), bounds.end()).into())
    }
}

/// A number within bounds.
pub(super) fn number(bounds: RangeInclusive<f64>) -> impl FnOnce(&str) -> Result<f64, Wanted> {
    move |text| {
        let number = text.parse::<f64>().ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| format!("a number from {} to {}", bounds.start(), bounds.end()).into())
    }
}

/// A size in bytes within bounds.
pub(super) fn size<T: TryFrom<u64>>(bounds: RangeInclusive<u64>) -> impl FnOnce(&str) -> Result<T, Wanted> {
    move |text| {
        let size = units::bytes(text).filter(|size| bounds.contains(size)).and_then(|size| T::try_from(size).ok());
        let (least, most) = (units::bytes_text(*bounds.start()), units::bytes_text(*bounds.end()));
        size.ok_or_else(|| format!("a size such as `64KiB`, `16MiB` or `4096`, from `{least}` to `{most}`").into())
    }
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(table: &'static [(&'static str, T)]) -> impl FnOnce(&str) -> Result<T, Wanted> {
    move |text| {
        let found = table.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = table.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("one of {}", words.join(", ")).into()
        })
    }
}

/// The word for a value, as [`one_of`] reads it.
pub(super) fn word_of<T: PartialEq>(table: &'static [(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, one)| one == value).map_or("", |(word, _)| word)
}

/// An address to bind. Every interface has to be asked for in so many words.
pub(super) fn address(text: &str) -> Result<SocketAddr, Wanted> {
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let address = local.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).or_else(|| text.parse().ok());
    address.ok_or_else(|| {
        "an address and port such as `127.0.0.1:4100` or `[::1]:4100`; `0.0.0.0:4100` is every interface; or `unix:` and the path of a socket".into()
    })
}

/// A host name as it stands in `Host`, without a port.
pub(super) fn host(text: &str) -> Result<String, Wanted> {
    let is_host = !text.is_empty() && text.len() <= 253 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if is_host { Ok(text.to_ascii_lowercase()) } else { Err("the name of a host, without scheme, port or path".into()) }
}

/// What can be sent in a header. White space around it is dropped: secrets kept in files tend to end in a line feed.
pub(super) fn credential(text: &str) -> Result<Secret, Wanted> {
    let text = text.trim();
    let is_sendable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_sendable { Ok(Secret::new(text)) } else { Err("a credential: visible ASCII, no spaces, not empty".into()) }
}

/// A glob.
pub(super) fn pattern(text: &str) -> Result<String, Wanted> {
    let is_pattern = (1..=glob::LONGEST).contains(&text.chars().count());
    if is_pattern { Ok(text.to_owned()) } else { Err(format!("a pattern of 1 to {} characters", glob::LONGEST).into()) }
}

/// A glob of a path.
pub(super) fn path_pattern(text: &str) -> Result<String, Wanted> {
    if text.starts_with(['/', '*', '?']) { pattern(text) } else { Err("a path that begins with `/`, or a pattern".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_spelled_out() {
        for (text, expected) in
            [("127.0.0.1:4100", "127.0.0.1:4100"), ("localhost:0", "127.0.0.1:0"), ("[::1]:80", "[::1]:80"), ("0.0.0.0:1", "0.0.0.0:1")]
        {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), Ok(expected));
        }
        for text in ["", "4100", ":4100", "127.0.0.1", "::1:80", "example.com:80", "localhost", "127.0.0.1:65536"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_keep_within_their_bounds() {
        for (text, expected) in [("1", Some(1)), ("20", Some(20)), ("0", None), ("21", None), ("-1", None), ("1.0", None), ("many", None), ("", None)]
        {
            assert_eq!(whole::<u32>(1..=20)(text).ok(), expected, "{text}");
        }
        for (text, expected) in
            [("0", Some(0.0)), ("0.25", Some(0.25)), ("1", Some(1.0)), ("1.01", None), ("-0.1", None), ("NaN", None), ("inf", None)]
        {
            assert_eq!(number(0.0..=1.0)(text).ok(), expected, "{text}");
        }
        for (text, expected) in [("8KiB", Some(8192)), ("8191", None), ("2MiB", None), ("x", None)] {
            assert_eq!(size::<usize>(8 << 10..=1 << 20)(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_clock_can_be_stopped_but_not_set_to_nothing() {
        assert_eq!(clock("off"), Ok(None));
        assert_eq!(clock("1ms"), Ok(Some(Duration::from_millis(1))));
        for text in ["0s", "5us", "30", "never", "on", ""] {
            assert!(clock(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_credential_can_be_sent_in_a_header() {
        assert!(credential(" sk-1\n").is_ok_and(|secret| secret.reveal() == "sk-1"));
        for text in ["", " ", "a b", "a\nb", "ü"] {
            assert!(credential(text).is_err(), "{text:?}");
        }
    }
}
