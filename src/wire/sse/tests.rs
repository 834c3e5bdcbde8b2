//! Streams as the standard allows them, divided at every place.

use super::*;
use crate::wire::partial::EVENT_MAX;

/// What a stream holds, fed in pieces of the given size.
fn events(stream: &[u8], size: usize) -> (Vec<(String, String)>, bool) {
    let mut sse = Sse::new();
    let mut found = Vec::new();
    for piece in stream.chunks(size) {
        sse.feed(piece, |event| {
            found.push(match event {
                Found::Event(event) => (String::from_utf8_lossy(event.name).into_owned(), String::from_utf8_lossy(event.data).into_owned()),
                Found::TooLong => ("too long".to_owned(), String::new()),
            });
        });
    }
    (found, sse.at_boundary())
}

#[test]
fn events_are_found_as_the_standard_says_however_split() {
    let check = |stream: &str, expected: &[(&str, &str)], boundary: bool| {
        let expected: Vec<_> = expected.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
        for size in 1..=stream.len().max(1) {
            assert_eq!(events(stream.as_bytes(), size), (expected.clone(), boundary), "{stream:?} in pieces of {size}");
        }
    };
    check("", &[], true);
    check("data: a\n\n", &[("", "a")], true);
    check("data: a\r\rdata: b\r\n\r\ndata: c\n\r\n", &[("", "a"), ("", "b"), ("", "c")], true);
    check("data: a\r\n\rdata: b\n\n", &[("", "a"), ("", "b")], true);
    check("event: x\ndata:a\n\n", &[("x", "a")], true);
    check("data: a\ndata:  b\ndata\ndata: c\n\n", &[("", "a\n b\n\nc")], true);
    check("data\n\n", &[("", "")], true);
    check(": comment\n\n", &[], true);
    check(": comment\ndata: a\n", &[], false);
    check("id: 1\nretry: x\ndatax: 1\n data: 2\n\n\n\r\n", &[], true);
    check("event: a\nevent: b\ndata: 1\n\ndata: 2\n\n", &[("b", "1"), ("", "2")], true);
    check("data: a\n\ndata: b", &[("", "a")], false);
}

#[test]
fn an_event_of_more_than_the_bound_is_passed_over_and_the_next_one_found() {
    let check = |length: usize, expected: &str| {
        let stream = format!("data: {}\n\ndata: next\n\n", "x".repeat(length));
        for size in [1000, 65_536, stream.len()] {
            let (found, boundary) = events(stream.as_bytes(), size);
            assert!(boundary);
            assert_eq!(found.len(), 2);
            assert_eq!(found[0].0, expected, "{length} bytes in pieces of {size}");
            assert_eq!(found[1].1, "next");
        }
    };
    check(EVENT_MAX - "data: \n".len(), "");
    check(EVENT_MAX, "too long");
    check(3 * EVENT_MAX, "too long");
}

/// The standard's own words, on a whole stream: normalize line ends, divide at blank lines, gather fields.
fn by_the_book(stream: &str) -> Vec<(String, String)> {
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut name, mut data) = (Vec::new(), String::new(), None::<String>);
    // What follows the last line end is no line.
    let lines = stream.split('\n').collect::<Vec<_>>();
    for line in &lines[..lines.len() - 1] {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                let name = std::mem::take(&mut name);
                events.extend(data.take().map(|data| (name, data)));
            }
            "event" => value.clone_into(&mut name),
            "data" => data = Some(data.map_or_else(|| value.to_owned(), |data| format!("{data}\n{value}"))),
            _ => {}
        }
    }
    events
}

#[test]
fn random_streams_are_read_as_by_the_book() {
    let mut random = fastrand::Rng::with_seed(5);
    let words = ["data", ":", " ", "event", "x", "\n", "\n", "\r", "\r\n", "\n\n", "data: a", "id: 1"];
    for _ in 0..5_000 {
        let stream: String = (0..random.usize(..30)).map(|_| random.choice(words).unwrap()).collect();
        let size = random.usize(1..8);
        assert_eq!(events(stream.as_bytes(), size).0, by_the_book(&stream), "{stream:?} in pieces of {size}");
    }
}

#[test]
fn an_unended_event_is_handed_over_at_the_end() {
    let mut sse = Sse::new();
    sse.feed(b"data: a\n\ndata: b\n", |_| {});
    let mut last = None;
    sse.end(|event| {
        if let Found::Event(event) = event {
            last = Some(event.data.to_vec());
        }
    });
    assert_eq!(last.as_deref(), Some(&b"b"[..]));
    sse.end(|_| panic!("handed over twice"));
}
