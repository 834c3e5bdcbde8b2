use std::{
    io::Write,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use super::{Exposition, Metrics};
use crate::{
    agent::{ToolError, ToolRun},
    config,
    telemetry::{
        fixture::{record, tool_run, trim, with_tools},
        names::{AttemptResult, ConnectionState, LimitKind, Outcome, Reason, Side},
        record::{Phase, RateLimit, Record},
    },
};

fn metrics() -> Metrics {
    Metrics::new(&config::Telemetry::default())
}

/// The value of the one line that begins with `series`.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn check(text: &str, series: &str, expected: f64) {
    let found = value(text, series).unwrap_or_else(|| panic!("{series} is missing in:\n{text}"));
    assert!((found - expected).abs() < 1e-9, "{series} is {found}, not {expected}");
}

fn promtool(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: apt-get install -y --no-install-recommends prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let told = promtool.wait_with_output().unwrap();
    let said = [told.stdout, told.stderr].concat();
    assert!(told.status.success() && said.is_empty(), "promtool says: {}", String::from_utf8_lossy(&said));
}

#[test]
fn a_good_exchange_shows_in_every_metric_it_belongs_to() {
    let metrics = metrics();
    metrics.record(&record(), false, None);
    let text = metrics.render(Exposition::Text);
    let gen_ai = "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_request_model=\"gpt-4o\"";
    let agent = "gen_ai_agent_name=\"planner\",server_address=\"api.openai.com\",error_type=\"\"";
    let labels = "agent=\"planner\",upstream=\"openai\",model=\"gpt-4o\",dialect=\"openai-chat\",stream=\"true\",outcome=\"ok\"";
    check(&text, &format!("pillion_exchanges_total{{{labels}}}"), 1.0);
    check(&text, "pillion_attempts_total{upstream=\"openai\",result=\"5xx\"}", 1.0);
    check(&text, "pillion_attempts_total{upstream=\"openai\",result=\"2xx\"}", 1.0);
    check(&text, "pillion_retries_total{upstream=\"openai\",reason=\"500\"}", 1.0);
    check(&text, "pillion_retry_wait_seconds_sum{upstream=\"openai\"}", 0.5);
    check(&text, "pillion_prompt_characters_sum{agent=\"planner\",model=\"gpt-4o\"}", 3000.0);
    check(&text, "pillion_tokens_total{agent=\"planner\",upstream=\"openai\",model=\"gpt-4o\",type=\"cache_read\"}", 512.0);
    check(&text, "pillion_connect_seconds_count{upstream=\"openai\",phase=\"tls\"}", 2.0);
    check(&text, "pillion_overhead_seconds_bucket{stream=\"true\",le=\"0.00025\"}", 1.0);
    check(&text, "pillion_overhead_seconds_bucket{stream=\"true\",le=\"0.0001\"}", 0.0);
    check(&text, &format!("gen_ai_client_operation_duration_seconds_sum{{{gen_ai},{agent}}}"), 1.24);
    check(&text, &format!("gen_ai_client_operation_time_to_first_chunk_seconds_sum{{{gen_ai},{agent}}}"), 0.31);
    let per_chunk = format!("{{{gen_ai},server_address=\"api.openai.com\",error_type=\"\"}}");
    check(&text, &format!("gen_ai_client_operation_time_per_output_chunk_seconds_count{per_chunk}"), 93.0);
    check(&text, &format!("gen_ai_client_operation_time_per_output_chunk_seconds_sum{per_chunk}"), 0.93);
    check(&text, &format!("gen_ai_client_token_usage_sum{{{gen_ai},{agent},gen_ai_token_type=\"output\"}}"), 95.0);
    for absent in ["pillion_usage_missing_total", "pillion_timeouts_total", "pillion_refusals_total", "pillion_sdk_retries_total", "reasoning"] {
        assert!(!text.contains(absent), "{absent}");
    }
}

#[test]
fn a_clock_is_counted_each_time_it_fires_and_its_answer_is_our_own() {
    let metrics = metrics();
    let mut timeout = record();
    timeout.outcome = Outcome::Timeout;
    (timeout.reason, timeout.clock, timeout.status) = (Some(Reason::TimeoutConnect), Reason::TimeoutConnect.clock(), Some(504));
    for attempt in &mut timeout.attempts {
        (attempt.result, attempt.reason) = (AttemptResult::Timeout, Some(Reason::TimeoutConnect));
    }
    metrics.record(&timeout, false, None);
    let text = metrics.render(Exposition::Text);
    check(&text, "pillion_timeouts_total{agent=\"planner\",upstream=\"openai\",clock=\"connect\"}", 2.0);
    check(&text, "pillion_refusals_total{agent=\"planner\",reason=\"timeout_connect\"}", 1.0);
    assert!(text.contains("server_address=\"api.openai.com\",error_type=\"timeout_connect\",le=\"1.28\"} 1"), "{text}");
}

#[test]
fn a_hang_up_is_timed_by_where_it_happened() {
    let metrics = metrics();
    metrics.record(&Record { outcome: Outcome::Cancelled, phase: Phase::Waiting, ..record() }, false, None);
    let text = metrics.render(Exposition::Text);
    check(&text, "pillion_cancelled_after_seconds_sum{agent=\"planner\",upstream=\"openai\",phase=\"waiting\"}", 1.24);
    assert!(!text.contains("error_type=\"_OTHER\""), "a hang-up is no error");
}

#[test]
fn the_rarer_facts_have_their_counters() {
    let metrics = metrics();
    let mut odd = record();
    (odd.budget_exhausted, odd.sdk_retry_count, odd.skipped, odd.credentials_replaced) = (true, Some(2), Some("encoding"), true);
    odd.usage_asked = true;
    odd.trim = Some(trim());
    odd.reply.usage = crate::wire::Usage::default();
    metrics.record(&odd, true, None);
    // An answer that only counts tokens lacks nothing.
    let counting = crate::wire::Reply { counted: Some(7), ..crate::wire::Reply::default() };
    metrics.record(&Record { reply: counting, ..record() }, false, None);
    metrics.refused(None, Reason::Framing);
    metrics.accept_error();
    metrics.panicked();
    let text = metrics.render(Exposition::Text);
    check(&text, "pillion_retry_budget_exhausted_total{upstream=\"openai\"}", 1.0);
    check(&text, "pillion_sdk_retries_total{agent=\"planner\"}", 1.0);
    check(&text, "pillion_observation_skipped_total{reason=\"encoding\"}", 1.0);
    check(&text, "pillion_passthrough_modified_total{reason=\"credentials\"}", 1.0);
    check(&text, "pillion_passthrough_modified_total{reason=\"trace\"}", 1.0);
    check(&text, "pillion_passthrough_modified_total{reason=\"include_usage\"}", 1.0);
    check(&text, "pillion_passthrough_modified_total{reason=\"trim\"}", 1.0);
    check(&text, "pillion_trims_total{agent=\"planner\",model=\"gpt-4o\"}", 1.0);
    check(&text, "pillion_trimmed_messages_total{agent=\"planner\",model=\"gpt-4o\"}", 12.0);
    check(&text, "pillion_trimmed_tokens_total{agent=\"planner\",model=\"gpt-4o\"}", 34_567.0);
    check(&text, "pillion_usage_missing_total{upstream=\"openai\",model=\"gpt-4o\"}", 1.0);
    check(&text, "pillion_refusals_total{agent=\"unknown\",reason=\"framing\"}", 1.0);
    check(&text, "pillion_accept_errors_total", 1.0);
    check(&text, "pillion_panics_total", 1.0);
}

#[test]
fn prompts_cost_tools_and_conversations_are_measured() {
    let metrics = metrics();
    let mut record = with_tools();
    record.rate_limits = vec![RateLimit { kind: LimitKind::Tokens, remaining: Some(17), reset: Some(Duration::from_millis(1500)) }];
    metrics.record(&record, false, None);
    record.rate_limits[0].remaining = Some(11);
    metrics.record(&record, false, None);
    let text = metrics.render(Exposition::Text);
    let (of_agent, of_upstream) = ("{agent=\"planner\",model=\"gpt-4o\"}", "{upstream=\"openai\",model=\"gpt-4o\"}");
    check(&text, &format!("pillion_prompt_tokens_sum{of_agent}"), 1624.0);
    check(&text, &format!("pillion_prompt_window_ratio_sum{of_agent}"), 2.0 * 812.0 / 128_000.0);
    check(&text, &format!("pillion_token_estimate_error_ratio_sum{of_upstream}"), 2.0 * 18.0 / 812.0);
    check(&text, "pillion_cost_usd_total{agent=\"planner\",upstream=\"openai\",model=\"gpt-4o\"}", 0.00468);
    check(&text, "pillion_tool_calls_total{agent=\"planner\",tool=\"search\"}", 4.0);
    check(&text, "pillion_tool_duration_seconds_sum{agent=\"planner\",tool=\"get_weather\"}", 3.0);
    check(&text, "pillion_tool_errors_total{agent=\"planner\",tool=\"get_weather\",error_type=\"TimeoutError\"}", 2.0);
    check(&text, "pillion_conversation_turns_bucket{agent=\"planner\",le=\"3\"}", 2.0);
    check(&text, "pillion_conversation_turns_bucket{agent=\"planner\",le=\"2\"}", 0.0);
    check(&text, "pillion_rate_limit_remaining{upstream=\"openai\",model=\"gpt-4o\",kind=\"tokens\"}", 11.0);
    check(&text, "pillion_rate_limit_reset_seconds{upstream=\"openai\",model=\"gpt-4o\",kind=\"tokens\"}", 1.5);
    promtool(&text);
}

#[test]
fn a_call_that_never_came_back_is_an_error_without_a_duration() {
    let metrics = metrics();
    metrics.run(&ToolRun { error: Some(ToolError::NoResult), agent: None, ..tool_run() });
    metrics.schema_mismatch(Some("planner"), "search");
    let text = metrics.render(Exposition::Text);
    check(&text, "pillion_tool_errors_total{agent=\"unknown\",tool=\"get_weather\",error_type=\"no_result\"}", 1.0);
    check(&text, "pillion_tool_schema_mismatches_total{agent=\"planner\",tool=\"search\"}", 1.0);
    assert!(!text.contains("pillion_tool_duration"), "{text}");
}

#[test]
fn an_uncounted_prompt_is_measured_by_its_estimate() {
    let metrics = metrics();
    let mut record = with_tools();
    record.reply.usage = crate::wire::Usage::default();
    metrics.record(&record, false, None);
    let text = metrics.render(Exposition::Text);
    check(&text, "pillion_prompt_tokens_sum{agent=\"planner\",model=\"gpt-4o\"}", 830.0);
    assert!(!text.contains("pillion_token_estimate_error_ratio"), "{text}");
}

#[test]
fn what_is_not_of_a_model_is_in_no_gen_ai_metric() {
    let metrics = metrics();
    metrics.record(&Record { dialect: None, call: crate::wire::Call::default(), streamed: false, ..record() }, false, None);
    let text = metrics.render(Exposition::Text);
    assert!(!text.contains("gen_ai_client"), "{text}");
    let labels = "agent=\"planner\",upstream=\"openai\",model=\"unknown\",dialect=\"unknown\",stream=\"false\",outcome=\"ok\"";
    check(&text, &format!("pillion_exchanges_total{{{labels}}}"), 1.0);
}

#[test]
fn gauges_return_to_zero() {
    let metrics = metrics();
    let first = metrics.in_flight("openai");
    let second = metrics.in_flight("openai");
    let mut connection = metrics.connection(Side::Downstream);
    connection.set(ConnectionState::Idle);
    let text = metrics.render(Exposition::Text);
    check(&text, "pillion_exchanges_in_flight{upstream=\"openai\"}", 2.0);
    check(&text, "pillion_connections{side=\"downstream\",state=\"active\"}", 0.0);
    check(&text, "pillion_connections{side=\"downstream\",state=\"idle\"}", 1.0);
    drop((first, second, connection));
    let text = metrics.render(Exposition::Text);
    check(&text, "pillion_exchanges_in_flight{upstream=\"openai\"}", 0.0);
    check(&text, "pillion_connections{side=\"downstream\",state=\"idle\"}", 0.0);
}

#[test]
fn agents_and_models_that_join_to_the_same_text_have_series_of_their_own() {
    let metrics = metrics();
    for (agent, model) in [("ab", "c"), ("a", "bc")] {
        let mut each = record();
        (each.agent, each.call.model) = (Some(agent.into()), Some(model.to_owned()));
        metrics.record(&each, false, None);
    }
    let text = metrics.render(Exposition::Text);
    check(&text, "pillion_prompt_characters_count{agent=\"ab\",model=\"c\"}", 1.0);
    check(&text, "pillion_prompt_characters_count{agent=\"a\",model=\"bc\"}", 1.0);
}

/// 10⁵ hostile agents, models, tools and upstreams: the page stays within its bounds, and no exchange is lost from the sum.
#[test]
fn hostile_labels_stay_within_the_bounds() {
    let metrics = metrics();
    let outcomes = [Outcome::Ok, Outcome::ClientError, Outcome::UpstreamError];
    for index in 0..100_000_u32 {
        let mut hostile = with_tools();
        hostile.reply.tool_calls[0].name = format!("called-{index}-{}", "t".repeat(90));
        hostile.tools[0].name = format!("ran-{index}").into();
        hostile.tools[0].error = Some(ToolError::Exception(format!("Error{index}").into()));
        hostile.tools[0].agent = Some(format!("agent-{index}").into());
        hostile.agent = Some(format!("agent-{}", index % 977).into());
        hostile.call.model = Some(format!("model-{}-{}", index % 1009, "m".repeat(90)));
        hostile.upstream = Some(format!("upstream-{}", index % 13).into());
        hostile.outcome = outcomes[usize::try_from(index % 3).unwrap()];
        hostile.status = Some(u16::try_from(400 + index % 200).unwrap());
        metrics.record(&hostile, false, None);
    }
    let text = metrics.render(Exposition::Text);
    let exchanges: f64 =
        text.lines().filter(|line| line.starts_with("pillion_exchanges_total")).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!((exchanges - 100_000.0).abs() < 1e-9, "{exchanges}");
    assert!(samples <= 10_000, "{samples} series");
    assert!(text.len() <= 3_000_000, "{} bytes", text.len());
    for label in ["agent", "model", "tool", "error_type", "series"] {
        assert!(value(&text, &format!("pillion_label_overflow_total{{label=\"{label}\"}}")).unwrap() > 0.0, "{label}");
    }
    promtool(&text);
}

#[test]
fn an_agent_beyond_the_bound_is_counted_once_for_each_exchange() {
    let metrics = Metrics::new(&config::Telemetry { max_agents: 1, ..config::Telemetry::default() });
    for agent in ["first", "second"] {
        let mut record = Record { agent: Some(agent.into()), ..record() };
        record.reply.tool_calls = vec![crate::wire::ToolCall { name: "search".to_owned(), ..Default::default() }; 3];
        metrics.record(&record, false, None);
    }
    let text = metrics.render(Exposition::Text);
    check(&text, r#"pillion_label_overflow_total{label="agent"}"#, 1.0);
    check(&text, r#"pillion_tool_calls_total{agent="other",tool="search"}"#, 3.0);
}

#[test]
fn promtool_has_nothing_to_say() {
    let metrics = metrics();
    metrics.record(&record(), true, None);
    let mut odd = record();
    (odd.agent, odd.call.model) = (Some("a\"\\\n{}".into()), Some("m\u{2028}\r\u{1b}[1m".to_owned()));
    (odd.outcome, odd.budget_exhausted, odd.sdk_retry_count, odd.skipped) = (Outcome::Cancelled, true, Some(1), Some("parse"));
    metrics.record(&odd, true, None);
    odd.reply.usage = crate::wire::Usage::default();
    (odd.outcome, odd.credentials_replaced) = (Outcome::Ok, true);
    metrics.record(&odd, true, None);
    metrics.record(
        &Record { outcome: Outcome::Timeout, reason: Some(Reason::TimeoutTotal), clock: Reason::TimeoutTotal.clock(), ..record() },
        true,
        None,
    );
    let _held = (metrics.in_flight("openai"), metrics.connection(Side::Upstream));
    metrics.refused(Some("planner"), Reason::Host);
    let text = metrics.render(Exposition::Text);
    for name in ["pillion_timeouts_total", "pillion_usage_missing_total", "process_cpu_seconds_total", "pillion_build_info"] {
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    promtool(&text);
}

#[test]
fn records_of_many_threads_are_all_counted() {
    let metrics = Arc::new(metrics());
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let metrics = &metrics;
            scope.spawn(move || {
                for index in 0..500_u32 {
                    let mut each = record();
                    each.agent = Some(format!("agent-{}", (thread + index) % 5).into());
                    metrics.record(&each, false, None);
                }
            });
        }
    });
    let text = metrics.render(Exposition::Text);
    let counted: f64 =
        text.lines().filter(|line| line.starts_with("pillion_exchanges_total")).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    assert!((counted - 4000.0).abs() < 1e-9, "{counted}");
}
