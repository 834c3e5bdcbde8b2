//! The wait before a retry: the one that the upstream stated, whole, and never one that is too long to be waited for.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{after, gaps, pair};
use crate::support::{Reply, all, chat, messages};

/// Far less than the shortest wait that is stated here, and enough for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A 429 with these headers is tried again, no sooner than after `floor`, and not much later.
async fn waits(headers: &str, floor: Duration) {
    let (pair, reply) = after(&format!("[{{status: 429, headers: {headers}}}]")).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (200, 2), "{headers}");
    let gap = gaps(&pair.seen())[0];
    assert!(gap >= floor && gap < floor + AT_ONCE, "{headers}: {gap:?} instead of {floor:?}");
}

/// A 429 with these headers is passed on at once, with them.
async fn passes(headers: &str) -> Reply {
    let began = Instant::now();
    let (pair, reply) = after(&format!("[{{status: 429, headers: {headers}}}]")).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (429, 1), "{headers}");
    assert!(began.elapsed() < AT_ONCE, "{headers}: {:?}", began.elapsed());
    reply
}

/// An instant as the older two of HTTP's three date formats write it.
fn old_formats(date: &str) -> [String; 2] {
    let parts: Vec<&str> = date.split(' ').collect();
    let &[weekday, day, month, year, time, _] = parts.as_slice() else { panic!("{date}") };
    let short = weekday.trim_end_matches(',');
    let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let long = days.into_iter().find(|day| day.starts_with(short)).unwrap();
    let number: u8 = day.parse().unwrap();
    [format!("{long}, {day}-{month}-{} {time} GMT", &year[2..]), format!("{short} {month} {number:>2} {time} {year}")]
}

#[tokio::test]
async fn a_stated_wait_is_waited_out() {
    let cases = [("{}", 0), ("{Retry-After: 0}", 0), ("{Retry-After: 1}", 1000), ("{Retry-After: 3.7}", 3700), ("{Retry-After: \" 2 \"}", 2000)];
    all(cases.map(|(headers, floor)| waits(headers, Duration::from_millis(floor)))).await;
}

#[tokio::test]
async fn milliseconds_and_reset_times_are_waited_out_as_seconds_are() {
    let cases = [
        ("{retry-after-ms: 300}", 300),
        ("{retry-after-ms: 300, retry-after: 20}", 300),
        ("{x-ratelimit-remaining-requests: 0, x-ratelimit-reset-requests: 400ms}", 400),
        ("{x-ratelimit-remaining-tokens: 0, x-ratelimit-reset-tokens: 0m1s}", 1000),
        ("{x-ratelimit-remaining-tokens: 5, x-ratelimit-reset-tokens: 20s}", 0),
    ];
    all(cases.map(|(headers, floor)| waits(headers, Duration::from_millis(floor)))).await;
}

#[tokio::test]
async fn a_wait_over_the_cap_is_no_retry_and_the_429_passes_at_once() {
    let cases = [
        "Retry-After: 31",
        "Retry-After: 1e9",
        "Retry-After: 99999999999999999999",
        "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
        "retry-after-ms: 30001",
    ];
    let replies = all(cases.map(|line| async move { (line, passes(&format!("[\"{line}\"]")).await) })).await;
    for (line, reply) in replies {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!((reply.header(name), reply.header("x-should-retry")), (Some(value), Some("false")));
    }
}

#[tokio::test]
async fn a_wait_that_cannot_be_read_is_our_own_back_off() {
    let cases = [
        r#"["Retry-After: -5"]"#,
        r#"["Retry-After: abc"]"#,
        r#"["Retry-After: "]"#,
        r#"["Retry-After: NaN"]"#,
        r#"["Retry-After: inf"]"#,
        r#"["Retry-After: 20", "Retry-After: 25"]"#,
        r#"["Retry-After: Foo, 06 Nov 2094 08:49:37 GMT"]"#,
    ];
    all(cases.map(|headers| waits(headers, Duration::ZERO))).await;
}

#[tokio::test]
async fn a_past_date_is_no_wait_in_any_format() {
    let imf = "Sun, 06 Nov 1994 08:49:37 GMT";
    let [rfc_850, asctime] = old_formats(imf);
    all([imf, &rfc_850, &asctime].map(|date| async move { waits(&format!("[\"Retry-After: {date}\"]"), Duration::ZERO).await })).await;
}

#[tokio::test]
async fn a_date_to_come_is_waited_for_in_all_three_formats() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
    let [rfc_850, asctime] = old_formats(&date);
    let then = httpdate::parse_http_date(&date).unwrap();
    all([&date, &rfc_850, &asctime].map(|date| async move {
        let (pair, reply) = after(&format!("[{{status: 503, headers: [\"Retry-After: {date}\"]}}]")).await;
        assert_eq!((reply.status, pair.attempts(&reply).await), (200, 2), "{date}");
        assert!(SystemTime::now() >= then, "{date}: too early");
    }))
    .await;
}

#[tokio::test]
async fn an_attempt_that_the_agent_would_not_wait_for_is_not_begun() {
    let pair = pair("[{status: 429, headers: {retry-after: 5}}]", "").await;
    let began = Instant::now();
    let reply = pair.ask(&chat(false).header("x-pillion-timeout", "2s")).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (429, 1));
    assert!(began.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn an_attempt_beyond_the_total_is_not_begun() {
    let pair = pair("[{status: 503, headers: {retry-after: 5}}]", "timeouts: {total: 2s}").await;
    let reply = pair.chat().await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (503, 1));
}

#[tokio::test]
async fn an_overloaded_anthropic_is_tried_again_as_a_503_is() {
    let pair = pair("[{status: 529, headers: {retry-after: 1}}]", "").await;
    let reply = pair.ask(&messages(false)).await;
    assert_eq!((reply.status, pair.attempts(&reply).await), (200, 2), "{}", reply.text());
    assert!(gaps(&pair.seen())[0] >= Duration::from_secs(1));
}
