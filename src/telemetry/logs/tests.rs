use std::{
    io::{self, Write},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, SystemTime},
};

use super::{Event, Log, LogLayer};
use crate::{
    agent::ToolRun,
    config::{LogFormat, LogLevel},
    telemetry::{
        fixture::{record, tool_run, trim, with_tools},
        names::{AttemptResult, Outcome, Reason},
        record::{Record, Trim},
    },
    wire::Call,
};

/// What was written, shared.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a log of this level and format writes.
fn written(level: LogLevel, format: LogFormat, tell: impl FnOnce(&Log)) -> String {
    let page = Page::default();
    let log = Log::start(level, format, Box::new(page.clone())).unwrap();
    tell(&log);
    log.shutdown(Duration::from_secs(10));
    assert_eq!(log.dropped(), 0);
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn text(record: Record) -> String {
    written(LogLevel::Info, LogFormat::Text, |log| log.exchange(&Arc::new(record)))
}

const TRACE: &str = "trace=00000000000000000000000000000abc-0000000000000def\n";

#[test]
fn a_good_exchange_reads_at_a_glance() {
    let expected = "12:00:01.363 ok    planner → openai gpt-4o 200 1.24s first 310ms in 812 (512 cached) out 95 attempts 2 (500) ";
    assert_eq!(text(record()), format!("{expected}{TRACE}"));
}

#[test]
fn a_conversation_with_tools_reads_at_a_glance() {
    let expected = "12:00:01.363 ok    planner (echo) → openai gpt-4o 200 1.24s first 310ms in 812 (512 cached) out 95 $0.002340 \
        after get_weather 1.50s TimeoutError calls search ×2 attempts 2 (500) turn 3 conversation=0000000000001a2b ";
    assert_eq!(text(with_tools()), format!("{expected}{TRACE}"));
    let mut many = Record { attempts: Vec::new(), conversation: None, cost: Some(12.3456), ..with_tools() };
    many.tools = vec![ToolRun { error: None, ..tool_run() }; 10];
    many.reply = crate::wire::Reply::default();
    let expected = "12:00:01.363 ok    planner (echo) → openai gpt-4o 200 1.24s first 310ms in ~830 $12.35 after ";
    let runs = ["get_weather 1.50s"; 8].join(", ");
    assert_eq!(text(many), format!("{expected}{runs} and 2 more {TRACE}"));
}

#[test]
fn a_json_line_tells_tools_cost_and_conversation() {
    let line = written(LogLevel::Info, LogFormat::Json, |log| log.exchange(&Arc::new(with_tools())));
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&object["agent"], &object["agent_inferred_from"]), (&"planner".into(), &"echo".into()));
    assert_eq!((&object["conversation"], &object["turn"]), (&"0000000000001a2b".into(), &3.into()));
    assert_eq!((&object["cost_usd"], &object["prompt_window"]), (&0.00234.into(), &128_000.into()));
    assert_eq!(object["tool_calls"], serde_json::json!(["search", "search"]));
    let result = serde_json::json!([{"tool": "get_weather", "call": "call_1", "duration": 1.5, "error": "TimeoutError"}]);
    assert_eq!(object["tool_results"], result);
}

#[test]
fn a_trimmed_prompt_says_by_how_much() {
    let of = |messages: u64, texts: u64, tokens: u64| Record { trim: Some(Trim { messages, texts, tokens, ..trim() }), ..record() };
    for (record, expected) in [
        (of(12, 2, 34_567), " out 95 trimmed 12 messages and 2 texts, 34,567 tokens attempts 2"),
        (of(1, 0, 999), " trimmed 1 message, 999 tokens "),
        (of(0, 1, 1_002_003), " trimmed 1 text, 1,002,003 tokens "),
    ] {
        let line = text(record);
        assert!(line.contains(expected), "{line}");
    }
    let line = written(LogLevel::Info, LogFormat::Json, |log| log.exchange(&Arc::new(of(12, 2, 34_567))));
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    let told = ["trimmed_messages", "trimmed_texts", "trimmed_tokens", "trim_strategy"].map(|key| object[key].to_string());
    assert_eq!(told, ["12", "2", "34567", "\"shorten_and_drop\""]);
}

#[test]
fn a_failed_exchange_says_why() {
    let mut timeout = Record { outcome: Outcome::Timeout, reason: Some(Reason::TimeoutConnect), status: Some(504), first_token: None, ..record() };
    timeout.reply = crate::wire::Reply::default();
    for attempt in &mut timeout.attempts {
        (attempt.result, attempt.reason, attempt.status) = (AttemptResult::Timeout, Some(Reason::TimeoutConnect), None);
    }
    let expected = "12:00:01.363 timeout planner → openai gpt-4o 504 timeout_connect 1.24s attempts 2 (timeout_connect) ";
    assert_eq!(text(timeout), format!("{expected}{TRACE}"));
}

#[test]
fn what_is_of_no_model_shows_its_path() {
    let mut refused = Record { outcome: Outcome::Refused, reason: Some(Reason::NoRoute), status: Some(404), agent: None, upstream: None, ..record() };
    (refused.call, refused.reply, refused.attempts, refused.streamed) = (Call::default(), crate::wire::Reply::default(), Vec::new(), false);
    refused.path = "/a b\n".to_owned();
    let expected = "12:00:01.363 refused unknown → - POST \"/a b\\u{a}\" 404 no_route 1.24s ";
    assert_eq!(text(refused), format!("{expected}{TRACE}"));
}

#[test]
fn hostile_values_stay_in_their_place() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let mut hostile = record();
        hostile.call.model = Some("m\r\n12:00:00.000 ok \u{1b}[2J\u{9b}1m\u{2028}\"".to_owned());
        hostile.agent = Some("a\u{202e}b".into());
        hostile.tools = vec![ToolRun { name: "t\r\n\u{1b}[2J".into(), ..tool_run() }];
        hostile.reply.tool_calls = vec![crate::wire::ToolCall { name: "t\r\n\u{2028}".to_owned(), ..crate::wire::ToolCall::default() }];
        let line = written(LogLevel::Info, format, |log| log.exchange(&Arc::new(hostile)));
        assert_eq!((line.lines().count(), line.matches('\n').count()), (1, 1), "{line}");
        assert!(!line.trim_end().contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}')), "{line}");
    }
}

#[test]
fn a_json_line_is_an_object_with_what_is_known() {
    let line = written(LogLevel::Info, LogFormat::Json, |log| log.exchange(&Arc::new(record())));
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    let expected = serde_json::json!({
        "time": "2026-01-01T12:00:01.363Z", "level": "info", "message": "exchange", "outcome": "ok", "agent": "planner", "upstream": "openai",
        "dialect": "openai-chat", "model": "gpt-4o", "method": "POST", "path": "/v1/chat/completions", "status": 200, "stream": true,
        "duration": 1.24, "first_byte": 0.29, "first_token": 0.31, "overhead": 0.00018, "input_tokens": 812, "output_tokens": 95,
        "cache_read_tokens": 512, "prompt_characters": 3000, "request_bytes": 4096, "reply_bytes": 20000, "attempts": 2,
        "attempt_results": "500,200", "sdk_retry_count": 0, "trace": "00000000000000000000000000000abc-0000000000000def",
    });
    assert_eq!(object, expected);
}

#[test]
fn failed_exchanges_are_warnings_and_others_are_not() {
    let outcomes = [Outcome::Ok, Outcome::Cancelled, Outcome::RateLimited, Outcome::Cut];
    let count = |level| {
        let tell = |log: &Log| outcomes.iter().for_each(|&outcome| log.exchange(&Arc::new(Record { outcome, ..record() })));
        written(level, LogFormat::Text, tell).lines().count()
    };
    assert_eq!([LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error, LogLevel::Off].map(count), [4, 4, 2, 0, 0]);
}

#[test]
fn events_of_the_program_come_out_in_the_same_format() {
    let tell = |log: &Log| {
        tracing::subscriber::with_default(LogLayer::subscriber(log.clone()), || {
            tracing::info!(address = %"127.0.0.1:4100", "listening for\nagents");
            tracing::debug!("not at this level");
            tracing::info!(target: "hyper::proto", "not from that crate");
            tracing::warn!(target: "hyper::proto", "only warnings");
        });
    };
    let text = written(LogLevel::Info, LogFormat::Text, tell);
    let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(lines, ["info  listening for\\u{a}agents address=127.0.0.1:4100", "warn  hyper: only warnings"]);
    let json = written(LogLevel::Info, LogFormat::Json, tell);
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["message"], "listening for\nagents");
    assert_eq!((&first["level"], &first["target"], &first["fields"]["address"]), (&"info".into(), &"pillion".into(), &"127.0.0.1:4100".into()));
}

/// A pipe whose reader has stopped.
struct Blocked(mpsc::Receiver<()>);

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_blocked_pipe_holds_nobody_up_and_every_lost_line_is_counted() {
    let (unblock, blocked) = mpsc::sync_channel(1);
    let log = Log::start(LogLevel::Info, LogFormat::Text, Box::new(Blocked(blocked))).unwrap();
    let line = Arc::new(record());
    for _ in 0..20_000 {
        log.exchange(&line);
    }
    let dropped_before = log.dropped();
    assert!(dropped_before >= 20_000 - 2 * 4096, "{dropped_before}");
    log.shutdown(Duration::from_millis(50));
    let lost = log.dropped();
    // All but the one batch that the writer holds.
    assert!((20_000 - 256..20_000).contains(&lost), "{lost}");
    drop(unblock);
}

#[test]
fn a_dead_reader_costs_lines_and_nothing_else() {
    struct Dead;
    impl Write for Dead {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::start(LogLevel::Info, LogFormat::Text, Box::new(Dead)).unwrap();
    for _ in 0..1000 {
        log.event(Event { at: SystemTime::now(), level: LogLevel::Error, target: "pillion", message: "x".to_owned(), fields: Vec::new() });
    }
    log.shutdown(Duration::from_secs(10));
    assert_eq!(log.dropped(), 1000);
}
