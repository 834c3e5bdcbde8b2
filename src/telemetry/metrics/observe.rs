//! Turns one finished record into samples.

use super::{
    families::Families,
    handles::{Handles, TokenType},
    values::float,
};
use crate::telemetry::{
    names::Outcome,
    record::{Phase, Record, Trim},
};

/// Adds one exchange to every metric it belongs to. `traced` says that the `traceparent` sent upstream was ours.
pub(super) fn observe(families: &Families, handles: &Handles, record: &Record, traced: bool) {
    let error = record.error_type().unwrap_or_default();
    handles.exchange(families, record.outcome);
    handles.overhead(families, record.overhead.as_secs_f64());
    handles.duration(families, &error, record.duration.as_secs_f64());
    observe_prompt(families, handles, record);
    observe_limits(families, handles, record);
    observe_stream(families, handles, record, &error);
    observe_usage(families, handles, record, &error);
    observe_attempts(families, handles, record);
    observe_trouble(families, handles, record);
    if record.credentials_replaced {
        families.modified.with(&["credentials"]).inc();
    }
    if record.usage_asked {
        families.modified.with(&["include_usage"]).inc();
    }
    if traced && !record.attempts.is_empty() {
        families.modified.with(&["trace"]).inc();
    }
    if let Some(trim) = &record.trim {
        observe_trim(families, handles, trim, !record.attempts.is_empty());
    }
    if let Some(reason) = record.skipped {
        families.skipped.with(&[reason]).inc();
    }
}

fn observe_prompt(families: &Families, handles: &Handles, record: &Record) {
    if let Some(characters) = record.call.prompt_characters {
        handles.prompt_characters(families, float(characters));
    }
    if let Some((tokens, _)) = record.prompt_tokens() {
        handles.prompt_tokens(families, float(tokens));
        if let Some(window) = record.prompt_window.filter(|&window| window > 0) {
            handles.window_ratio(families, float(tokens) / float(window));
        }
    }
    if let (Some(estimated), Some(counted @ 1..)) = (record.prompt_tokens, record.reply.usage.input) {
        handles.estimate_error(families, float(estimated.abs_diff(counted)) / float(counted));
    }
    if let Some(conversation) = &record.conversation {
        handles.turn(families, float(conversation.turn));
    }
}

/// `was_sent`: else nobody has got it so.
fn observe_trim(families: &Families, handles: &Handles, trim: &Trim, was_sent: bool) {
    let labels = [&*handles.labels.agent, &*handles.labels.model];
    families.trims.with(&labels).inc();
    families.trimmed_tokens.with(&labels).add(trim.tokens);
    families.trimmed_messages.with(&labels).add(trim.messages);
    if was_sent {
        families.modified.with(&["trim"]).inc();
    }
}

/// Told as the last reply said it: with several processes behind one key, so is each's view.
fn observe_limits(families: &Families, handles: &Handles, record: &Record) {
    for limit in &record.rate_limits {
        let labels = [&*handles.labels.upstream, &*handles.labels.model, limit.kind.as_str()];
        if let Some(remaining) = limit.remaining {
            families.limit_remaining.with(&labels).set(float(remaining));
        }
        if let Some(reset) = limit.reset {
            families.limit_reset.with(&labels).set(reset.as_secs_f64());
        }
    }
}

fn observe_stream(families: &Families, handles: &Handles, record: &Record, error: &str) {
    if !record.streamed {
        return;
    }
    if let Some(first) = record.first_token {
        handles.first_chunk(families, error, first.as_secs_f64());
    }
    if record.content_events > 0 {
        let mean = record.content_time.as_secs_f64() / float(record.content_events);
        handles.per_chunk(families, error, (mean, record.content_events));
    }
}

fn observe_usage(families: &Families, handles: &Handles, record: &Record, error: &str) {
    let usage = &record.reply.usage;
    let told = [
        (TokenType::Input, usage.input),
        (TokenType::Output, usage.output),
        (TokenType::CacheRead, usage.cache_read),
        (TokenType::CacheWrite, usage.cache_write),
        (TokenType::Reasoning, usage.reasoning),
    ];
    for (kind, tokens) in told.into_iter().filter_map(|(kind, tokens)| Some((kind, tokens?))) {
        handles.tokens(families, kind, tokens);
        handles.usage(families, error, (kind, float(tokens)));
    }
    if let Some(usd) = record.cost {
        handles.cost(families, usd);
    }
    // What only counts tokens spends none.
    let is_due = record.outcome == Outcome::Ok && record.dialect.is_some() && record.reply.counted.is_none();
    if is_due && usage.input.is_none() && usage.output.is_none() {
        families.usage_missing.with(&[&handles.labels.upstream, &handles.labels.model]).inc();
    }
}

fn observe_attempts(families: &Families, handles: &Handles, record: &Record) {
    let upstream = &*handles.labels.upstream;
    for attempt in &record.attempts {
        handles.attempt(families, attempt.result);
        if let Some(retry) = &attempt.retry {
            families.retries.with(&[upstream, retry.reason]).inc();
            families.retry_wait.with(&[upstream]).observe(retry.wait.as_secs_f64());
        }
        let phases = attempt.connect.unwrap_or_default();
        for (phase, time) in [("dns", phases.dns), ("tcp", phases.tcp), ("tls", phases.tls)] {
            if let Some(time) = time {
                families.connect.with(&[upstream, phase]).observe(time.as_secs_f64());
            }
        }
    }
    if record.budget_exhausted {
        families.budget_exhausted.with(&[upstream]).inc();
    }
}

fn observe_trouble(families: &Families, handles: &Handles, record: &Record) {
    let (agent, upstream) = (&*handles.labels.agent, &*handles.labels.upstream);
    if record.sdk_retry_count.is_some_and(|count| count > 0) {
        families.sdk_retries.with(&[agent]).inc();
    }
    if let Some(reason) = record.refusal() {
        families.refusals.with(&[agent, reason.as_str()]).inc();
    }
    if record.outcome == Outcome::Cancelled {
        let phase = match record.phase {
            Phase::Queue => "queue",
            Phase::Waiting => "waiting",
            Phase::Streaming => "streaming",
        };
        families.cancelled_after.with(&[agent, upstream, phase]).observe(record.duration.as_secs_f64());
    }
    for clock in record.clocks() {
        families.timeouts.with(&[agent, upstream, clock.as_str()]).inc();
    }
}
