//! Times of a log line, in UTC, without a calendar library.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// `12:00:01.123`
pub(super) struct TimeOfDay(pub(super) SystemTime);

/// `2026-01-01T12:00:01.123Z` (RFC 3339).
pub(in crate::telemetry) struct Timestamp(pub(in crate::telemetry) SystemTime);

/// `0.2ms`, `310ms`, `1.24s`, `605s`.
#[derive(Debug, Clone, Copy)]
pub struct Short(pub Duration);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = since_epoch(self.0);
        let second = since.as_secs() % 86_400;
        write!(f, "{:02}:{:02}:{:02}.{:03}", second / 3600, second / 60 % 60, second % 60, since.subsec_millis())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(since_epoch(self.0).as_secs() / 86_400);
        write!(f, "{year:04}-{month:02}-{day:02}T{}Z", TimeOfDay(self.0))
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        match self.0 {
            time if time < Duration::from_millis(10) => write!(f, "{:.1}ms", seconds * 1e3),
            time if time < Duration::from_secs(1) => write!(f, "{}ms", time.as_millis()),
            time if time < Duration::from_secs(100) => write!(f, "{seconds:.2}s"),
            _ => write!(f, "{seconds:.0}s"),
        }
    }
}

/// A clock before 1970 is shown as 1970.
fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Year, month and day of a number of days since 1970, by Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is their last.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{Short, Timestamp};

    #[test]
    fn timestamps_are_the_calendars() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_767_268_801, "2026-01-01T12:00:01.007Z"),
            (1_835_481_599, "2028-02-29T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(Timestamp(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(7)).to_string(), expected);
            // The same, by a library that is no part of this.
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            assert!(http.contains(&expected[11..19]) && http.contains(&expected[..4]) && http[5..7] == expected[8..10], "{http}");
        }
        assert_eq!(Timestamp(UNIX_EPOCH - Duration::from_secs(9)).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn short_times_have_three_figures() {
        for (micros, expected) in
            [(0, "0.0ms"), (180, "0.2ms"), (310_400, "310ms"), (1_240_000, "1.24s"), (99_990_000, "99.99s"), (605_400_000, "605s")]
        {
            assert_eq!(Short(Duration::from_micros(micros)).to_string(), expected);
        }
    }
}
