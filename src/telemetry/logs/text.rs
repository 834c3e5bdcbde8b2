//! A line for a person: what happened, who to whom, how long, and what was odd about it.

use std::fmt::{self, Write};

use super::{
    Event, Line,
    escape::{Sentence, Word},
    level_name,
    time::{Short, TimeOfDay},
};
use crate::telemetry::{
    names::{Outcome, Reason},
    record::{Attempt, Record},
};

/// Adds the line, without its end.
pub(super) fn line(out: &mut String, line: &Line) {
    // Writing to a `String` cannot fail.
    let _ = match line {
        Line::Exchange(record) => exchange(out, record),
        Line::Event(told) => event(out, told),
    };
}

fn exchange(out: &mut String, record: &Record) -> fmt::Result {
    let agent = record.agent.as_deref().unwrap_or("unknown");
    write!(out, "{} {:<5} {} → ", TimeOfDay(record.ended_at()), record.outcome.as_str(), Word(agent))?;
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
    attempts(out, &record.attempts)?;
    write!(out, " trace={}", record.trace.exchange_id())
}

fn answer(out: &mut String, record: &Record) -> fmt::Result {
    if let Some(first) = record.first_token.filter(|_| record.streamed) {
        write!(out, " first {}", Short(first))?;
    }
    if let Some(tokens) = record.reply.usage.input {
        write!(out, " in {tokens}")?;
    }
    if let Some(tokens) = record.reply.usage.output {
        write!(out, " out {tokens}")?;
    }
    if let Some(kind) = record.reply.error.as_ref().and_then(|error| error.code.as_ref().or(error.kind.as_ref())) {
        write!(out, " error {}", Word(kind))?;
    }
    Ok(())
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
