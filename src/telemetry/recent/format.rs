//! How times and short texts are written in `/api/*`.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serializer;

use crate::telemetry::logs::Timestamp;

/// Longest text of a row, in bytes.
const TEXT_MAX: usize = 256;

/// RFC 3339, in UTC, with milliseconds: `2026-01-01T12:00:01.123Z`.
pub fn iso<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Timestamp(*at))
}

/// The same, where there is a time.
#[expect(clippy::ref_option, reason = "serde gives references")]
pub(super) fn maybe_iso<S: Serializer>(at: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => iso(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// Seconds as a number.
pub fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Seconds as a number, where there are any.
#[expect(clippy::ref_option, reason = "serde gives references")]
pub(super) fn maybe_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => seconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}

/// As it is shown.
pub(super) fn shown<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// USD, to the billionth: what is beyond is the noise of adding up.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
pub(super) fn usd<S: Serializer>(usd: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((usd * 1e9).round() / 1e9)
}

/// The text, cut.
pub(super) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

/// The same, to be kept.
pub(super) fn short(text: &str) -> Box<str> {
    shortened(text).into()
}

/// A trace's id, in hex.
pub(super) fn trace_id<S: Serializer>(id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{id:032x}"))
}

/// A conversation's id, as [`super::row::conversation_key`] shows it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
pub(super) fn conversation_id<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{id:016x}"))
}

/// Counts by name, as a map in the order of the names.
pub(super) fn by_name<S: Serializer>(counts: &[(Arc<str>, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut sorted: Vec<_> = counts.iter().map(|(name, count)| (name, count)).collect();
    sorted.sort_unstable();
    serializer.collect_map(sorted)
}
