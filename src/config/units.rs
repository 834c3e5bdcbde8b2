//! Durations and sizes as people write them (`30s`, `64KiB`), both ways. No other unit is guessed: a bare number is no duration.

use std::time::Duration;

/// Longest duration that can be set: far beyond any sensible one, near enough that `now + duration` never overflows.
pub(super) const LONGEST: Duration = Duration::from_hours(7 * 24);

/// The units of sizes, longest first of those that end alike.
const SIZES: [(&str, u64); 8] =
    [("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("kb", 1_000), ("mb", 1_000_000), ("gb", 1_000_000_000), ("b", 1), ("", 1)];

/// `30s`, `5m`, `500ms`, `1h 30m`; at most [`LONGEST`].
pub(super) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|duration| *duration <= LONGEST)
}

/// As [`duration`] reads it.
pub(super) fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// `64KiB`, `16MiB`, `16MB`, `1GiB`, `4096`, in either case: bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, factor) = SIZES.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// As [`bytes`] reads it, in the largest binary unit that divides it.
pub(super) fn bytes_text(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_have_a_bound() {
        for (text, milliseconds) in [("30s", 30_000), ("5m", 300_000), ("500ms", 500), ("1h 30m", 5_400_000), ("0s", 0), ("7d", 604_800_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "30", "5 minuets", "-1s", "8d", "1e3s", "s", "off", "99999999999999999999s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_in_both_systems_and_overflow_is_no_size() {
        for (text, expected) in
            [("0", 0), ("4096", 4096), ("64KiB", 65_536), ("16 mib", 16 << 20), ("16MB", 16_000_000), ("1GiB", 1 << 30), ("7B", 7)]
        {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for text in ["", "KiB", "1.5MiB", "-1", "16M", "1TiB", "99999999999999999999", "18446744073709551615KiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        for number in [0, 1, 1023, 1024, 65_536, 16 << 20, 1 << 30, 1_000_000] {
            assert_eq!(bytes(&bytes_text(number)), Some(number));
        }
        for milliseconds in [0, 1, 500, 1_500, 90_000, 604_800_000] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(duration(&duration_text(expected)), Some(expected));
        }
    }
}
