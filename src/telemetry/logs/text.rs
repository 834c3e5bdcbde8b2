//! A line for a person: what happened, who to whom, how long, and what was odd about it.

use std::fmt::{self, Write};

use super::{
    Event, Line,
    escape::{Sentence, Word},
    level_name,
    time::{Short, TimeOfDay},
};
use crate::{
    context::Grouped,
    telemetry::{
        names::{Outcome, Reason, UNKNOWN, inferred_from, tool_error},
        record::{Attempt, Record, Trim},
    },
    wire::ToolCall,
};

/// Tools that are shown.
const TOOLS_MAX: usize = 8;

/// Adds the line, without its end.
pub(super) fn line(out: &mut String, line: &Line) {
    // Writing to a `String` cannot fail.
    let _ = match line {
        Line::Exchange(record) => exchange(out, record).and_then(|()| ids(out, record)),
        Line::Event(told) => event(out, told),
    };
}

/// Adds the line without ids, which lead nowhere once the proxy has ended.
pub(super) fn brief(out: &mut String, line: &Line) {
    let _ = match line {
        Line::Exchange(record) => exchange(out, record),
        Line::Event(told) => event(out, told),
    };
}

fn exchange(out: &mut String, record: &Record) -> fmt::Result {
    write!(out, "{} {:<5} ", TimeOfDay(record.ended_at()), record.outcome.as_str())?;
    agent(out, record)?;
    match &record.upstream {
        Some(upstream) => write!(out, "{}", Word(upstream))?,
        None => out.write_char('-')?,
    }
    match &record.call.model {
        Some(model) => write!(out, " {}", Word(model))?,
        None => write!(out, " {} {}", record.method, Word(&record.path))?,
    }
    if let Some(status) = record.status {
        write!(out, " {status}")?;
    }
    if let Some(reason) = record.reason.filter(|_| record.outcome != Outcome::Ok) {
        write!(out, " {}", reason.as_str())?;
    }
    write!(out, " {}", Short(record.duration))?;
    answer(out, record)?;
    trimmed(out, record)?;
    tools(out, record)?;
    attempts(out, &record.attempts)
}

fn ids(out: &mut String, record: &Record) -> fmt::Result {
    if let Some(conversation) = &record.conversation {
        write!(out, " turn {} conversation={:016x}", conversation.turn, conversation.id)?;
    }
    write!(out, " trace={}", record.trace.exchange_id())
}

/// `planner`, or `planner (echo)`: what its name was inferred from.
fn agent(out: &mut String, record: &Record) -> fmt::Result {
    write!(out, "{}", Word(record.agent.as_deref().unwrap_or(UNKNOWN)))?;
    if let Some(from) = inferred_from(record.agent_source) {
        write!(out, " ({from})")?;
    }
    out.write_str(" → ")
}

fn answer(out: &mut String, record: &Record) -> fmt::Result {
    if let Some(first) = record.first_token.filter(|_| record.streamed) {
        write!(out, " first {}", Short(first))?;
    }
    if let Some((tokens, estimated)) = record.prompt_tokens() {
        write!(out, " in {}{tokens}", if estimated { "~" } else { "" })?;
    }
    if let Some(cached) = record.reply.usage.cache_read.filter(|&cached| cached > 0) {
        write!(out, " ({cached} cached)")?;
    }
    if let Some(tokens) = record.reply.usage.output {
        write!(out, " out {tokens}")?;
    }
    match record.cost {
        Some(usd) if usd >= 1.0 => write!(out, " ${usd:.2}")?,
        Some(usd) if usd >= 0.01 => write!(out, " ${usd:.4}")?,
        Some(usd) => write!(out, " ${usd:.6}")?,
        None => (),
    }
    if let Some(kind) = record.reply.error.as_ref().and_then(|error| error.code.as_ref().or(error.kind.as_ref())) {
        write!(out, " error {}", Word(kind))?;
    }
    Ok(())
}

/// `trimmed 12 messages and 2 texts, 34,567 tokens`.
fn trimmed(out: &mut String, record: &Record) -> fmt::Result {
    let Some(Trim { messages, texts, tokens, .. }) = record.trim else { return Ok(()) };
    let some = |count: u64, word: &str| format!("{} {word}{}", Grouped(count), if count == 1 { "" } else { "s" });
    out.write_str(" trimmed ")?;
    match (messages, texts) {
        (0, _) => out.write_str(&some(texts, "text"))?,
        (_, 0) => out.write_str(&some(messages, "message"))?,
        _ => write!(out, "{} and {}", some(messages, "message"), some(texts, "text"))?,
    }
    write!(out, ", {}", some(tokens, "token"))
}

/// `after get_weather 1.5s TimeoutError`: whose results the request brought; `calls search ×2`: what the answer calls.
fn tools(out: &mut String, record: &Record) -> fmt::Result {
    for (place, run) in record.tools.iter().take(TOOLS_MAX).enumerate() {
        write!(out, "{}{} {}", if place == 0 { " after " } else { ", " }, Word(&run.name), Short(run.duration))?;
        if let Some(error) = &run.error {
            write!(out, " {}", Word(tool_error(error)))?;
        }
    }
    more(out, record.tools.len())?;
    let calls: Vec<&[ToolCall]> = record.reply.tool_calls.chunk_by(|one, next| one.name == next.name).collect();
    for (place, same) in calls.iter().take(TOOLS_MAX).enumerate() {
        let name = same.first().map_or("", |call| &call.name);
        write!(out, "{}{}", if place == 0 { " calls " } else { ", " }, Word(name))?;
        if same.len() > 1 {
            write!(out, " ×{}", same.len())?;
        }
    }
    more(out, calls.len())
}

fn more(out: &mut String, all: usize) -> fmt::Result {
    if all > TOOLS_MAX { write!(out, " and {} more", all - TOOLS_MAX) } else { Ok(()) }
}

/// `attempts 3 (500, connection_reset)`: how those before the last one ended.
fn attempts(out: &mut String, attempts: &[Attempt]) -> fmt::Result {
    let Some((_, earlier @ [_, ..])) = attempts.split_last() else { return Ok(()) };
    write!(out, " attempts {} (", attempts.len())?;
    for (index, attempt) in earlier.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let ending = attempt.reason.map(Reason::as_str);
        match (ending, attempt.status) {
            (Some(reason), _) => write!(out, "{comma}{reason}")?,
            (None, Some(status)) => write!(out, "{comma}{status}")?,
            (None, None) => write!(out, "{comma}{}", attempt.result.as_str())?,
        }
    }
    out.write_char(')')
}

/// Other crates say who they are.
fn event(out: &mut String, event: &Event) -> fmt::Result {
    write!(out, "{} {:<5} ", TimeOfDay(event.at), level_name(event.level))?;
    if !event.target.starts_with("pillion") {
        write!(out, "{}: ", event.target)?;
    }
    write!(out, "{}", Sentence(&event.message))?;
    event.fields.iter().try_for_each(|(name, value)| write!(out, " {name}={}", Word(value)))
}
