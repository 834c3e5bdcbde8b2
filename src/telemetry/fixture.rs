//! Records for tests.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{
    names::{AttemptResult, Outcome},
    record::{Attempt, ConnectPhases, Phase, Record, RetryCause, Trim},
    trace::TraceContext,
};
use crate::{
    agent::{Conversation, Rule, Source, ToolError, ToolRun},
    config,
    wire::{Call, Dialect, Reply, ToolCall, Usage},
};

/// A good streamed chat of the agent `planner` with `gpt-4o`, on the second attempt.
pub(crate) fn record() -> Record {
    let second =
        Attempt { retry: Some(RetryCause { reason: "500", wait: Duration::from_millis(500) }), ..attempt(AttemptResult::Success, Some(200)) };
    let trace = TraceContext { trace_id: 0xabc, span_id: 0xdef, parent_id: None, flags: 1 };
    let started_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_268_800_123);
    Record {
        duration: Duration::from_millis(1240),
        outcome: Outcome::Ok,
        agent: Some("planner".into()),
        agent_source: Source::Explicit,
        dialect: Some(Dialect::OpenaiChat),
        upstream: Some("openai".into()),
        provider: Some("openai".into()),
        server: Some(("api.openai.com".into(), 443)),
        call: Call {
            model: Some("gpt-4o".to_owned()),
            stream: true,
            max_tokens: Some(100),
            temperature: Some(0.5),
            prompt_characters: Some(3000),
            prompt_messages: Some(3),
            tools_declared: Some(2),
            ..Call::default()
        },
        status: Some(200),
        reply: Reply {
            id: Some("chatcmpl-1".to_owned()),
            model: Some("gpt-4o-2024-08-06".to_owned()),
            finish_reasons: vec!["stop".to_owned()],
            usage: Usage { input: Some(812), output: Some(95), cache_read: Some(512), ..Usage::default() },
            ..Reply::default()
        },
        streamed: true,
        attempts: vec![attempt(AttemptResult::ServerError, Some(500)), second],
        phase: Phase::Streaming,
        first_byte: Some(Duration::from_millis(290)),
        first_token: Some(Duration::from_millis(310)),
        content_events: 93,
        content_time: Duration::from_millis(930),
        longest_gap: Duration::from_millis(40),
        overhead: Duration::from_micros(180),
        agent_timeout: Some(Duration::from_mins(1)),
        sdk_retry_count: Some(0),
        request_bytes: 4096,
        reply_bytes: 20_000,
        ..Record::begin(trace, Instant::now(), started_at, http::Method::POST, "/v1/chat/completions".to_owned())
    }
}

/// What [`record`] would be in a conversation with tools: it brings a result of `get_weather`, and its answer calls `search` twice.
pub(crate) fn with_tools() -> Record {
    let call = |id: &str| ToolCall { id: Some(id.to_owned()), name: "search".to_owned(), ..ToolCall::default() };
    let mut record = record();
    record.agent_source = Source::Inferred(Rule::Echo);
    record.conversation = Some(Conversation { id: 0x1a2b, given: Some("thread-7".into()), turn: 3 });
    record.tools = vec![tool_run()];
    record.reply.tool_calls = vec![call("call_2"), call("call_3")];
    record.reply.finish_reasons = vec!["tool_calls".to_owned()];
    (record.prompt_tokens, record.prompt_window, record.cost) = (Some(830), Some(128_000), Some(0.00234));
    record
}

/// A run of `get_weather` of 1.5 s, which ended in a `TimeoutError`.
pub(crate) fn tool_run() -> ToolRun {
    ToolRun {
        name: "get_weather".into(),
        id: Some("call_1".into()),
        agent: Some("planner".into()),
        called_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_268_798),
        duration: Duration::from_millis(1500),
        error: Some(ToolError::Exception("TimeoutError".into())),
        trace: 0xabc,
        span_id: 0x123,
        parent: 0x456,
    }
}

/// Twelve messages were left out and two texts shortened.
pub(crate) fn trim() -> Trim {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_268_800_125);
    Trim { messages: 12, texts: 2, tokens: 34_567, at }
}

/// An attempt over a new connection to `192.0.2.1:443` that took 100 ms.
pub(crate) fn attempt(result: AttemptResult, status: Option<u16>) -> Attempt {
    let connect = ConnectPhases { dns: None, tcp: Some(Duration::from_millis(2)), tls: Some(Duration::from_millis(8)) };
    Attempt {
        started: Instant::now(),
        started_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_268_800_200),
        duration: Duration::from_millis(100),
        result,
        status,
        reason: None,
        retry: None,
        reused: false,
        peer: Some(([192, 0, 2, 1], 443).into()),
        protocol: Some("1.1"),
        connect: Some(connect),
    }
}

/// A receiver over HTTP, all else as it is by default.
pub(super) fn otlp(endpoint: String) -> config::Otlp {
    let (protocol, compression) = (config::Protocol::HttpProtobuf, config::Compression::None);
    config::Otlp { endpoint, protocol, headers: Vec::new(), timeout: Duration::from_secs(10), compression, ca: None, client: None }
}
