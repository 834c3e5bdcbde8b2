//! What the last exchanges add up to, and how much of it is kept.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{AGENTS_MAX, CONVERSATIONS_MAX, ROWS_MAX, Recent};
use crate::{
    agent::{Conversation, ToolError, ToolRun},
    telemetry::{
        fixture::{record, trim},
        names::{Clock, Outcome, Reason},
        record::{Phase, Record},
    },
    wire::{ReplyError, ToolCall, Usage},
};

fn run(name: &str, milliseconds: u64, error: Option<ToolError>) -> ToolRun {
    ToolRun {
        name: name.into(),
        id: None,
        agent: None,
        called_at: record().started_at,
        duration: Duration::from_millis(milliseconds),
        error,
        trace: 1,
        span_id: 2,
        parent: 3,
    }
}

fn in_conversation(id: u64, turn: u64) -> Record {
    Record { conversation: Some(Conversation { id, given: None, turn }), ..record() }
}

#[test]
fn a_row_tells_what_happened_and_nothing_that_was_said() {
    let recent = Recent::default();
    let mut full = in_conversation(0xab, 3);
    full.reply.tool_calls = vec![ToolCall { name: "search".to_owned(), arguments: Some("{\"q\":\"canary\"}".to_owned()), ..ToolCall::default() }];
    full.reply.short_text = Some("canary".to_owned());
    full.tools = vec![run("get_weather", 1500, Some(ToolError::Exception("TimeoutError".into())))];
    full.cost = Some(0.25);
    recent.add(&Arc::new(full.clone()));
    let row = serde_json::to_value(&recent.rows()[0]).unwrap();
    let expected = json!({
        "id": "00000000000000000000000000000abc-0000000000000def",
        "started_at": "2026-01-01T12:00:00.123Z",
        "duration_seconds": 1.24,
        "agent": "planner",
        "agent_source": "explicit",
        "conversation": "00000000000000ab",
        "turn": 3,
        "upstream": "openai",
        "method": "POST",
        "path": "/v1/chat/completions",
        "dialect": "openai-chat",
        "model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "stream": true,
        "outcome": "ok",
        "status": 200,
        "attempts": 2,
        "first_token_seconds": 0.31,
        "agent_timeout_seconds": 60.0,
        "sdk_retry_count": 0,
        "tokens": {"input": 812, "output": 95, "cache_read": 512},
        "cost_usd": 0.25,
        "prompt_characters": 3000,
        "prompt_messages": 3,
        "finish_reasons": ["stop"],
        "tool_calls": ["search"],
        "tool_results": [{"tool": "get_weather", "duration_seconds": 1.5, "error": "TimeoutError"}],
        "request_bytes": 4096,
        "reply_bytes": 20000
    });
    assert_eq!(row, expected);
}

#[test]
fn what_is_not_known_of_an_exchange_is_not_in_its_row() {
    let recent = Recent::default();
    let blank = record();
    recent.add(&Arc::new(Record::begin(blank.trace, blank.started, blank.started_at, http::Method::GET, "/nothing".to_owned())));
    let Value::Object(row) = serde_json::to_value(&recent.rows()[0]).unwrap() else { panic!("an object") };
    let names: Vec<&str> = row.keys().map(String::as_str).collect();
    let mut expected = [
        "id",
        "started_at",
        "duration_seconds",
        "agent",
        "agent_source",
        "method",
        "path",
        "stream",
        "outcome",
        "attempts",
        "phase",
        "request_bytes",
        "reply_bytes",
    ];
    expected.sort_unstable();
    assert_eq!((names, &row["agent"], &row["agent_source"]), (expected.to_vec(), &"unknown".into(), &"unknown".into()));
}

#[test]
fn the_sums_of_an_agent_say_how_it_fares() {
    let recent = Recent::default();
    for milliseconds in 1..=100 {
        recent.add(&Arc::new(Record { duration: Duration::from_millis(milliseconds), cost: Some(0.01), ..record() }));
    }
    let mut uncounted = record();
    uncounted.reply.usage = Usage::default();
    recent.add(&Arc::new(uncounted.clone()));
    let mut failed = Record { outcome: Outcome::RateLimited, status: Some(429), ..record() };
    failed.reply.error = Some(ReplyError { code: Some("insufficient_quota".to_owned()), ..ReplyError::default() });
    recent.add(&Arc::new(failed.clone()));
    let (timeout, clock) = (Some(Reason::TimeoutFirstToken), Some(Clock::FirstToken));
    recent.add(&Arc::new(Record { outcome: Outcome::Timeout, reason: timeout, clock, sdk_retry_count: Some(1), ..record() }));
    recent.add(&Arc::new(Record { outcome: Outcome::Cancelled, phase: Phase::Waiting, duration: Duration::from_mins(1), ..record() }));
    recent.add(&Arc::new(Record {
        tools: vec![run("search", 100, None), run("search", 300, Some(ToolError::NoResult))],
        cost: Some(0.0),
        ..record()
    }));
    recent.add_run(&ToolRun { agent: Some("planner".into()), ..run("search", 0, Some(ToolError::NoResult)) });
    recent.schema_mismatch(Some(&"planner".into()), "search");
    let agents = recent.agents();
    let [planner] = agents.as_slice() else { panic!("one agent: {agents:?}") };
    let told = serde_json::to_value(planner).unwrap();
    let check = |pointer: &str, expected: Value| assert_eq!(told.pointer(pointer), Some(&expected), "{pointer} of {told:#}");
    check("/name", "planner".into());
    check("/sources/explicit", 105.into());
    check(
        "/exchanges",
        json!({"total": 105, "ok": 102, "client_error": 0, "rate_limited": 1, "upstream_error": 0, "timeout": 1, "cancelled": 1, "refused": 0, "cut": 0}),
    );
    check("/models/gpt-4o", 105.into());
    check("/tokens/input", (104 * 812).into());
    check("/usage_missing", 1.into());
    check("/cost_missing", 0.into());
    check("/retries", 105.into());
    check("/sdk_retries", 1.into());
    check("/agent_timeout_seconds", 60.0.into());
    check("/latency", json!({"p50_seconds": 0.051, "p95_seconds": 0.097, "max_seconds": 1.24}));
    check("/timeouts", json!({"first_token": 1}));
    check("/hang_ups", json!({"count": 1, "phases": {"waiting": 1}, "waited": {"p50_seconds": 60.0, "p95_seconds": 60.0, "max_seconds": 60.0}}));
    check("/errors", json!({"429": 1, "timeout_first_token": 1}));
    check("/last_error/error_type", "timeout_first_token".into());
    check(
        "/tools/search",
        json!({"runs": 3, "errors": 2, "last_error": "no_result", "schema_mismatches": 1, "total_seconds": 0.4, "max_seconds": 0.3}),
    );
    assert!((planner.cost_usd - 1.0).abs() < 1e-9);
}

/// Where one agent hands over to another, the results of the first one's tools come with the second one's request.
#[test]
fn a_tool_is_told_of_the_agent_that_called_it() {
    let recent = Recent::default();
    let tools = vec![ToolRun { agent: Some("alice".into()), ..run("search", 100, None) }];
    recent.add(&Arc::new(Record { agent: Some("bob".into()), tools, ..record() }));
    let mut told: Vec<_> = recent.agents().into_iter().map(|agent| (agent.name.to_string(), agent.tools.len())).collect();
    told.sort();
    assert_eq!(told, [("alice".to_owned(), 1), ("bob".to_owned(), 0)]);
}

#[test]
fn a_conversation_goes_from_its_first_exchange_to_its_last() {
    let recent = Recent::default();
    let first = in_conversation(1, 1);
    let mut second = Record { started_at: first.started_at + Duration::from_secs(10), agent: Some("writer".into()), ..in_conversation(1, 2) };
    second.tools = vec![run("search", 8000, Some(ToolError::Failed))];
    let (given, end) = (second.conversation.as_mut().unwrap(), 11.24);
    given.given = Some("run 7".into());
    recent.add(&Arc::new(first.clone()));
    recent.add(&Arc::new(second.clone()));
    let told = serde_json::to_value(&recent.conversations()[0]).unwrap();
    let check = |pointer: &str, expected: Value| assert_eq!(told.pointer(pointer), Some(&expected), "{pointer} of {told:#}");
    check("/id", "0000000000000001".into());
    check("/given", "run 7".into());
    check("/turns", 2.into());
    check("/agents", json!({"planner": 1, "writer": 1}));
    check("/duration_seconds", end.into());
    check("/longest_pause_seconds", 8.76.into());
    check("/tool_seconds", 8.0.into());
    check("/model_seconds", 2.48.into());
    check("/tool_errors", 1.into());
    check("/trace_id", "00000000000000000000000000000abc".into());
}

#[test]
fn all_of_it_is_bounded_whatever_comes() {
    let recent = Recent::default();
    for n in 0..3_000_u64 {
        let mut hostile = in_conversation(n, 1);
        hostile.agent = Some(format!("agent {n}").into());
        hostile.started_at += Duration::from_secs(n);
        hostile.call.model = Some("m".repeat(1 << 10));
        hostile.path = "/é".repeat(400);
        hostile.reply.finish_reasons = vec!["r".repeat(1 << 10); 64];
        hostile.tools = (0..100).map(|tool| run(&format!("{tool}{}", "t".repeat(1 << 10)), 1, None)).collect();
        recent.add(&Arc::new(hostile.clone()));
    }
    let (rows, agents, conversations) = (recent.rows(), recent.agents(), recent.conversations());
    assert_eq!((recent.seen(), rows.len(), agents.len(), conversations.len()), (3_000, ROWS_MAX, AGENTS_MAX + 1, CONVERSATIONS_MAX));
    assert!(rows.iter().all(|row| serde_json::to_string(row).unwrap().len() < 16 << 10));
    assert!(rows.is_sorted_by(|newer, older| newer.started_at >= older.started_at));
    let other = agents.iter().find(|sums| &*sums.name == "other").unwrap();
    assert_eq!((other.exchanges.total(), other.tools.len()), (2_500, 21));
    assert_eq!(conversations.iter().map(|sums| sums.id).min(), Some(3_000 - 512));
}

#[test]
fn who_adds_and_who_reads_do_not_wait_for_each_other_long() {
    let recent = Arc::new(Recent::default());
    std::thread::scope(|scope| {
        for writer in 0..4_u64 {
            let recent = &recent;
            scope.spawn(move || (0..500).for_each(|n| recent.add(&Arc::new(in_conversation(writer * 1_000 + n, 1)))));
        }
        while recent.seen() < 2_000 {
            assert!(recent.rows().len() <= ROWS_MAX && recent.conversations().len() <= CONVERSATIONS_MAX && recent.agents().len() <= 1);
        }
    });
    assert_eq!(recent.agents()[0].exchanges.total(), 2_000);
}

#[test]
fn what_was_trimmed_is_in_the_row_and_in_the_agent_s_sums() {
    let recent = Recent::default();
    for _ in 0..2 {
        recent.add(&Arc::new(Record { trim: Some(trim()), ..record() }));
    }
    recent.add(&Arc::new(record()));
    let rows: Vec<Value> = recent.rows().iter().map(|row| serde_json::to_value(row).unwrap()["trimmed"].clone()).collect();
    assert_eq!(rows.iter().filter(|row| row.is_null()).count(), 1);
    assert!(rows.contains(&json!({"messages": 12, "texts": 2, "tokens": 34_567, "strategy": "shorten_and_drop"})), "{rows:?}");
    let sums = &recent.agents()[0];
    assert_eq!((sums.trims, sums.trimmed_tokens), (2, 69_134));
}
