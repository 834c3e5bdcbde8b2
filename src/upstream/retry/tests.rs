//! Every form of `retry-after`, and every status.

use http::{HeaderName, HeaderValue};

use super::*;

/// Sunday, 6 November 1994, 08:49:37 GMT: the date of RFC 9110's examples.
const NOW: u64 = 784_111_777;

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    map
}

fn check(headers: &[(&str, &str)], expected: Option<f64>) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    assert_eq!(stated_wait(&map(headers), now).map(|wait| wait.as_secs_f64()), expected, "{headers:?}");
}

#[test]
fn a_stated_wait_is_read_in_all_its_forms() {
    check(&[], None);
    for (value, seconds) in [("0", 0.0), ("1", 1.0), ("3.7", 3.7), (" 2 ", 2.0), ("1e9", 1e9), ("99999999999999999999", 3.2e9)] {
        check(&[("retry-after", value)], Some(seconds));
    }
    for garbage in ["-1", "abc", "", "nan", "inf", "2s", "0x10", "Sun, 99 Nov 1994 08:49:37 GMT"] {
        check(&[("retry-after", garbage)], None);
    }
    check(&[("retry-after", "1"), ("retry-after", "2")], None);
    check(&[("retry-after-ms", "20"), ("retry-after", "9")], Some(0.02));
    check(&[("retry-after-ms", "soon"), ("retry-after", "9")], Some(9.0));
}

#[test]
fn dates_are_read_in_http_s_three_formats_and_a_past_one_is_no_wait() {
    for date in ["Sun, 06 Nov 1994 08:49:39 GMT", "Sunday, 06-Nov-94 08:49:39 GMT", "Sun Nov  6 08:49:39 1994"] {
        check(&[("retry-after", date)], Some(2.0));
    }
    check(&[("retry-after", "Sun, 06 Nov 1994 08:49:30 GMT")], Some(0.0));
    check(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], Some(252_618_189_022.0));
}

#[test]
fn a_spent_rate_limit_states_its_reset() {
    check(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1s")], Some(1.0));
    check(&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")], Some(360.0));
    check(
        &[
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "20ms"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "2"),
        ],
        Some(2.0),
    );
    check(&[("x-ratelimit-remaining-tokens", "17"), ("x-ratelimit-reset-tokens", "6m0s")], None);
}

#[test]
fn only_transient_statuses_are_retried() {
    let retries = Retries::default();
    for status in 300..600 {
        let expected = if [408, 425, 429, 500, 502, 503, 504, 529].contains(&status) { Advice::Retry(None) } else { Advice::Final };
        assert_eq!(advice(status, &HeaderMap::new(), None, &retries, SystemTime::UNIX_EPOCH), expected, "{status}");
    }
}

#[test]
fn x_should_retry_overrides_the_status_both_ways() {
    let (retries, now) = (Retries::default(), SystemTime::UNIX_EPOCH);
    assert_eq!(advice(500, &map(&[("x-should-retry", "false")]), None, &retries, now), Advice::Final);
    assert_eq!(advice(400, &map(&[("x-should-retry", "true")]), None, &retries, now), Advice::Retry(None));
    assert_eq!(advice(500, &map(&[("x-should-retry", "maybe")]), None, &retries, now), Advice::Retry(None));
}

#[test]
fn an_exhausted_quota_and_a_wait_beyond_the_cap_are_not_retried() {
    let (retries, now) = (Retries::default(), SystemTime::UNIX_EPOCH);
    let quota = ReplyError { code: Some("insufficient_quota".to_owned()), ..ReplyError::default() };
    assert_eq!(advice(429, &HeaderMap::new(), Some(&quota), &retries, now), Advice::Final);
    assert_eq!(advice(429, &map(&[("retry-after", "31")]), None, &retries, now), Advice::TooLong(Duration::from_secs(31)));
    assert_eq!(advice(429, &map(&[("retry-after", "30")]), None, &retries, now), Advice::Retry(Some(Duration::from_secs(30))));
}

#[test]
fn the_back_off_doubles_up_to_its_bound_and_is_fully_jittered() {
    let backoff = Backoff::of(&Retries::default());
    for (retry, bound) in [(0, 500), (1, 1000), (2, 2000), (4, 8000), (5, 8000), (4_000_000, 8000)] {
        assert_eq!(backoff.wait(retry, 1.0), Duration::from_millis(bound));
        assert_eq!(backoff.wait(retry, 0.5), Duration::from_millis(bound) / 2);
        assert_eq!(backoff.wait(retry, 0.0), Duration::ZERO);
    }
    assert_eq!(Backoff::stated(Duration::from_secs(1), 0.0), Duration::from_secs(1));
    assert_eq!(Backoff::stated(Duration::from_secs(1), 1.0), Duration::from_millis(1100));
}
