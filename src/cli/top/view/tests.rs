use std::time::Duration;

use serde_json::{Value, json};

use super::{COLUMNS, Room, View, cells, fitting, shared};
use crate::cli::top::{
    client::Unseen,
    seen::{Seen, in_flight},
};

const WIDE: Room = Room { width: 160, height: 100 };

fn agent(name: &str, ok: u64, failed: u64) -> Value {
    json!({
        "name": name, "sources": {"explicit": ok}, "known_by": "inferred(own_turn)",
        "exchanges": {"total": ok + failed, "ok": ok, "timeout": failed},
        "tokens": {"input": 81_200, "output": 9100}, "cost_usd": 0.5, "cost_missing": 1, "retries": 2,
        "latency": {"p50_seconds": 0.25, "p95_seconds": 4.0, "max_seconds": 5.0},
        "errors": if failed > 0 { json!({"429": 1, "timeout_first_token": failed}) } else { json!({}) },
        "tools": {"search": {"runs": 12, "errors": 2, "total_seconds": 1.0}},
    })
}

fn failure(agent: &str) -> Value {
    json!({
        "id": "x", "started_at": "2026-01-01T12:24:23.123Z", "duration_seconds": 4.0, "agent": agent, "model": "gpt-4o", "upstream": "openai",
        "outcome": "timeout", "error_type": "timeout_first_token", "attempts": 3,
    })
}

fn seen(agents: &[Value], exchanges: &[Value]) -> Seen {
    let running =
        json!({"remembered": 5, "conversations": [{"running_tools": [{"tool": "fetch", "agent": "planner", "running_seconds": 12.5}]}, {}]});
    Seen::new(
        serde_json::from_value(json!({"agents": agents})).unwrap(),
        serde_json::from_value(json!({"exchanges": exchanges})).unwrap(),
        serde_json::from_value(running).unwrap(),
        4.0,
    )
}

fn shown(view: &View<'_>, room: Room) -> Vec<String> {
    view.lines(room).into_iter().map(|line| line.text).collect()
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_known_stands_in_a_wide_window() {
    let mut view = View::new("http://127.0.0.1:4101", Some(Duration::from_secs(2)));
    view.take(seen(&[agent("planner", 8, 0), agent("writer", 2, 0)], &[]));
    tokio::time::advance(Duration::from_secs(2)).await;
    view.take(seen(&[agent("planner", 10, 0), agent("writer", 2, 3)], &[failure("writer"), json!({"outcome": "ok", "agent": "planner"})]));
    let lines = shown(&view, WIDE);
    assert!(lines[0].starts_with("pillion top  http://127.0.0.1:4101  ") && lines[0].ends_with("every 2s · q quits"), "{lines:#?}");
    let expected = "15 exchanges, 2.5/s · 4 in flight · 3 failed · 0 hung up · 162.4k → 18.2k tokens · ≥$1.00 · 5 conversations";
    assert_eq!(lines[1], expected);
    let expected = "
agent             calls     ok failed hung up retries     p50     p95           tokens      cost       tools      named by  fails by
writer                5      2      3       0       2   250ms   4.00s    81.2k → 9100    ≥$0.50   12, 2 bad      own_turn  3 × timeout_first_token, 1 × 429
planner              10     10      0       0       2   250ms   4.00s    81.2k → 9100    ≥$0.50   12, 2 bad      own_turn

last failures (UTC)
12:24:27  writer          no first token in time (timeouts.first_token) · gpt-4o at openai · 4.00s, 3 attempts

tools that run
fetch of planner, for 12.50s";
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (lines, expected): (Vec<String>, Vec<String>) =
        (lines[2..].iter().map(|line| squeezed(line)).collect(), expected.lines().map(squeezed).collect());
    assert_eq!(lines, expected);
}

#[test]
fn a_page_keeps_within_every_window() {
    let agents: Vec<Value> = (0..70).map(|nth| agent(&format!("agent 数据 {nth}"), 1_000_000, 3)).collect();
    let failures: Vec<Value> = (0..70).map(|_| failure("写手")).collect();
    let mut view = View::new("http://127.0.0.1:4101", Some(Duration::from_secs(2)));
    view.take(seen(&agents, &failures));
    for (width, height) in [(1, 1), (10, 3), (40, 10), (79, 24), (80, 24), (100, 30), (119, 50), (200, 60), (300, 200)] {
        let lines = shown(&view, Room { width, height });
        assert!(lines.len() <= height, "{width}×{height}: {lines:#?}");
        assert!(lines.iter().all(|line| cells(line) <= width), "{width}×{height}: {lines:#?}");
        if height >= 24 {
            assert!(lines.len() >= height.min(110) - 1, "room is left: {lines:#?}");
            for part in ["agent", "last failures", "tools that run"] {
                assert!(lines.iter().any(|line| line.starts_with(part)), "{width}×{height}: no {part}: {lines:#?}");
            }
            assert!(lines.iter().any(|line| line.starts_with("and ") && line.ends_with(" more")), "{lines:#?}");
        }
    }
}

#[test]
fn what_traffic_says_cannot_write_to_the_terminal() {
    let evil = "\x1b]0;x\x07\u{9b}2J\u{202e}\r\n";
    let mut bad = failure(evil);
    for field in ["model", "upstream", "error_type", "provider_error", "started_at", "outcome"] {
        bad[field] = json!(evil);
    }
    let mut worse = agent(evil, 1, 1);
    worse["errors"] = json!({evil: 1});
    worse["known_by"] = json!(evil);
    let mut view = View::new("http://127.0.0.1:4101", None);
    view.take(seen(&[worse], &[bad]));
    for width in [20, 80, 160, 300] {
        let lines = shown(&view, Room { width, ..WIDE });
        assert!(!lines.iter().any(|line| line.contains(|c: char| c.is_control() || c == '\u{202e}')), "{lines:#?}");
    }
}

#[test]
fn a_port_that_is_gone_is_said_and_what_was_seen_stays() {
    let mut view = View::new("http://127.0.0.1:4101", Some(Duration::from_secs(2)));
    assert_eq!(shown(&view, WIDE)[1], "looking …");
    view.miss(&Unseen::NoToken);
    assert!(shown(&view, WIDE)[1].starts_with("the admin port wants its token: --token, or PILLION_SERVER__ADMIN_TOKEN"));
    view.take(seen(&[agent("planner", 1, 0)], &[]));
    view.miss(&Unseen::Away("connection refused".to_owned()));
    let lines = shown(&view, WIDE);
    assert_eq!(lines[1], "the admin port cannot be reached: connection refused");
    assert!(lines[2].starts_with("trying again") && lines[2].contains("below is what was seen"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("planner")), "{lines:#?}");
}

#[test]
fn lines_are_shared_out_until_nobody_wants_more() {
    for (left, wants, expected) in [
        (100, [3, 2, 1], [3, 2, 1]),
        (0, [3, 2, 1], [0, 0, 0]),
        (8, [50, 50, 50], [4, 3, 1]),
        (16, [50, 50, 50], [8, 6, 2]),
        (16, [50, 0, 1], [15, 0, 1]),
        (5, [50, 50, 50], [4, 1, 0]),
    ] {
        assert_eq!(shared(left, wants), expected);
    }
}

#[test]
fn a_text_is_cut_by_cells() {
    for (text, width, expected) in
        [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("数据库", 6, "数据库"), ("数据库", 5, "数据…"), ("数据库", 4, "数…"), ("a", 0, "")]
    {
        assert_eq!(fitting(text, width), expected);
    }
}

#[test]
fn what_is_in_flight_is_read_from_the_metrics() {
    let series = "pillion_exchanges_in_flight{upstream=\"a b\"} 2\npillion_exchanges_in_flight{upstream=\"c\"} 3\n";
    let page = format!("# HELP pillion_exchanges_in_flight x\n{series}pillion_exchanges_in_flight_more 7\n");
    assert_eq!(in_flight(&page).to_string(), "5");
    assert_eq!(in_flight("pillion_tasks 3\n").to_string(), "0");
}

#[test]
fn a_window_has_no_more_columns_than_it_is_wide() {
    for width in 30..200 {
        let taken: usize = COLUMNS.iter().filter(|column| column.from <= width).map(|column| column.width).sum();
        assert!(taken <= width, "{taken} in {width}");
    }
}
