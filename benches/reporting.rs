//! What it costs to report a finished exchange, to render the page of metrics, and to know a model: nanoseconds each.
//! `cargo bench --bench reporting`. The best of some rounds is told: what disturbs a round can only make it slower.
#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]

use std::{
    hint::black_box,
    io,
    time::{Duration, SystemTime},
};

use pillion::{
    agent::{Conversation, Source, ToolRun},
    config::{self, Compression, LogLevel, Protocol},
    context::Models,
    telemetry::{Attempt, Exposition, Phase, Record, Telemetry, TraceContext, names::AttemptResult, names::Outcome},
    wire::{Call, Dialect, Reply, ToolCall, Usage},
};
use tokio::time::Instant;

/// Repetitions of a round.
const REPEATS: u32 = 2000;
/// Times that each is measured.
const ROUNDS: u32 = 40;

fn main() {
    println!("{:<40} {:>8}", "what", "ns each");
    reports();
    page();
    models();
}

fn tell(what: &str, work: impl FnMut()) {
    println!("{what:<40} {:>8}", best(work).as_nanos());
}

fn forget<T>(found: T) {
    black_box(found);
}

fn best(mut work: impl FnMut()) -> Duration {
    let round = |_| {
        let since = Instant::now();
        (0..REPEATS).for_each(|_| work());
        since.elapsed() / REPEATS
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}

fn reports() {
    let telemetry =
        |log_level, otlp| Telemetry::start(&config::Telemetry { log_level, otlp, ..Default::default() }, Box::new(io::sink())).expect("threads");
    let (quiet, logging, exporting) = (telemetry(LogLevel::Off, None), telemetry(LogLevel::Info, None), telemetry(LogLevel::Info, Some(nobody())));
    for (name, record) in [("exchange", exchange()), ("exchange with tools", with_tools())] {
        let clone = best(|| drop(black_box(record.clone())));
        let measure = |telemetry: &Telemetry| best(|| telemetry.report(record.clone())).saturating_sub(clone);
        println!("{:<40} {:>8}", format!("{name}: metrics"), measure(&quiet).as_nanos());
        println!("{:<40} {:>8}", format!("{name}: metrics and a line of log"), measure(&logging).as_nanos());
        println!("{:<40} {:>8}", format!("{name}: metrics, log and spans"), measure(&exporting).as_nanos());
    }
    let mut number = 0_u64;
    tell("exchange of a name beyond the bounds", || {
        number += 1;
        quiet.report(Record { agent: Some(format!("agent-{number}").into()), ..exchange() });
    });
}

/// A collector that is not there, so that the queue of spans is soon full: what a report then costs.
fn nobody() -> config::Otlp {
    config::Otlp {
        endpoint: "http://127.0.0.1:1/v1/traces".to_owned(),
        protocol: Protocol::HttpProtobuf,
        headers: Vec::new(),
        timeout: Duration::from_millis(10),
        compression: Compression::None,
        ca: None,
        client: None,
    }
}

/// Each series that the bounds allow is there.
fn page() {
    let telemetry = Telemetry::start(&config::Telemetry { log_level: LogLevel::Off, ..Default::default() }, Box::new(io::sink())).expect("threads");
    for number in 0..100_000_u32 {
        let mut record = with_tools();
        record.agent = Some(format!("agent-{}", number % 977).into());
        record.call.model = Some(format!("model-{}", number % 1009));
        record.upstream = Some(format!("upstream-{}", number % 13).into());
        record.tools[0].name = format!("ran-{number}").into();
        telemetry.report(record);
    }
    let render = || {
        let since = Instant::now();
        forget(telemetry.render(Exposition::Text));
        since.elapsed()
    };
    println!("{:<40} {:>8}", "the page of metrics, full", (0..ROUNDS).map(|_| render()).min().unwrap_or_default().as_nanos());
}

fn models() {
    let models = Models::default();
    for (provider, name) in
        [("openai", "gpt-4o"), ("openai", "gpt-4o-2031-01-01"), ("gateway", "anthropic/claude-sonnet-4.5"), ("gateway", "unknown")]
    {
        tell(&format!("find {name} ({provider})"), || forget(models.find(Some(provider), black_box(name))));
    }
    let (call, usage) = (exchange().call, exchange().reply.usage);
    tell("cost", || forget(models.cost(Some("openai"), Some("gpt-4o"), Some("gpt-4o-2024-08-06"), &usage)));
    tell("learn", || models.learn(black_box(&call), 812));
    tell("estimate", || forget(models.estimate(black_box(&call), None)));
}

fn exchange() -> Record {
    let started_at = SystemTime::now();
    let attempt = Attempt {
        started: Instant::now(),
        started_at,
        duration: Duration::from_millis(1200),
        result: AttemptResult::Success,
        status: Some(200),
        reason: None,
        retry: None,
        reused: true,
        peer: None,
        protocol: Some("1.1"),
        connect: None,
    };
    Record {
        duration: Duration::from_millis(1240),
        outcome: Outcome::Ok,
        agent: Some("planner".into()),
        agent_source: Source::Explicit,
        dialect: Some(Dialect::OpenaiChat),
        upstream: Some("openai".into()),
        provider: Some("openai".into()),
        server: Some(("api.openai.com".into(), 443)),
        call: Call { model: Some("gpt-4o".to_owned()), stream: true, prompt_weight: Some(3000), tools_declared: Some(2), ..Call::default() },
        status: Some(200),
        reply: Reply {
            id: Some("chatcmpl-1".to_owned()),
            model: Some("gpt-4o-2024-08-06".to_owned()),
            finish_reasons: vec!["stop".to_owned()],
            usage: Usage { input: Some(812), output: Some(95), cache_read: Some(512), ..Usage::default() },
            ..Reply::default()
        },
        streamed: true,
        attempts: vec![attempt],
        phase: Phase::Streaming,
        first_token: Some(Duration::from_millis(310)),
        content_events: 93,
        content_time: Duration::from_millis(930),
        prompt_tokens: Some(830),
        prompt_window: Some(128_000),
        cost: Some(0.002),
        conversation: Some(Conversation { id: 1, given: None, turn: 3 }),
        ..Record::begin(TraceContext::new_root(), Instant::now(), started_at, http::Method::POST, "/v1/chat/completions".to_owned())
    }
}

fn with_tools() -> Record {
    let mut record = exchange();
    let call = ToolCall { id: Some("call_2".to_owned()), name: "search".to_owned(), ..ToolCall::default() };
    record.reply.tool_calls = vec![call.clone(), call];
    record.tools = vec![ToolRun {
        name: "get_weather".into(),
        id: Some("call_1".into()),
        agent: Some("planner".into()),
        called_at: SystemTime::now(),
        duration: Duration::from_millis(1500),
        error: None,
        trace: 1,
        span_id: 2,
        parent: 3,
    }];
    record
}
