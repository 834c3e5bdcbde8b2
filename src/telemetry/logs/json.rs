//! A line for a machine: one JSON object. Durations are in seconds; what is not known is absent.

use std::{fmt::Write, time::Duration};

use super::{Event, Line, escape::json_string, level_name, level_of, time::Timestamp};
use crate::{
    telemetry::{
        names::{Clock, Reason, inferred_from, tool_error},
        record::Record,
    },
    wire::Dialect,
};

/// Adds the line, without its end.
pub(super) fn line(out: &mut String, line: &Line) {
    match line {
        Line::Exchange(record) => exchange(out, record),
        Line::Event(told) => event(out, told),
    }
}

fn exchange(out: &mut String, record: &Record) {
    let mut object = Object::open(out);
    object
        .text("time", Some(&Timestamp(record.ended_at()).to_string()))
        .text("level", Some(level_name(level_of(record))))
        .text("message", Some("exchange"))
        .text("outcome", Some(record.outcome.as_str()))
        .text("reason", record.reason.map(Reason::as_str))
        .text("clock", record.clock.map(Clock::as_str))
        .text("agent", record.agent.as_deref())
        .text("agent_inferred_from", inferred_from(record.agent_source))
        .text("conversation", record.conversation.as_ref().map(|conversation| format!("{:016x}", conversation.id)).as_deref())
        .number("turn", record.conversation.as_ref().map(|conversation| conversation.turn))
        .text("upstream", record.upstream.as_deref())
        .text("dialect", record.dialect.map(Dialect::name))
        .text("model", record.call.model.as_deref())
        .text("method", Some(record.method.as_str()))
        .text("path", Some(&record.path))
        .number("status", record.status)
        .flag("stream", record.call.stream || record.streamed)
        .seconds("duration", Some(record.duration))
        .seconds("first_byte", record.first_byte)
        .seconds("first_token", record.first_token)
        .seconds("overhead", Some(record.overhead));
    tokens(&mut object, record);
    tools(&mut object, record);
    object
        .text("error_kind", record.reply.error.as_ref().and_then(|error| error.kind.as_deref()))
        .text("error_code", record.reply.error.as_ref().and_then(|error| error.code.as_deref()))
        .number("request_bytes", Some(record.request_bytes))
        .number("reply_bytes", Some(record.reply_bytes))
        .number("attempts", u64::try_from(record.attempts.len()).ok())
        .text("attempt_results", attempt_results(record).as_deref())
        .number("sdk_retry_count", record.sdk_retry_count.map(u64::from))
        .text("trace", Some(record.trace.exchange_id().as_str()));
    object.close();
}

fn tokens(object: &mut Object<'_>, record: &Record) {
    let usage = &record.reply.usage;
    object
        .number("input_tokens", usage.input)
        .number("output_tokens", usage.output)
        .number("cache_read_tokens", usage.cache_read)
        .number("cache_write_tokens", usage.cache_write)
        .number("reasoning_tokens", usage.reasoning)
        .number("prompt_characters", record.call.prompt_characters)
        .number("prompt_tokens_estimated", record.prompt_tokens)
        .number("prompt_window", record.prompt_window)
        .number("trimmed_messages", record.trim.map(|trim| trim.messages))
        .number("trimmed_texts", record.trim.map(|trim| trim.texts))
        .number("trimmed_tokens", record.trim.map(|trim| trim.tokens))
        .text("trim_strategy", record.trim.map(|trim| trim.strategy().as_str()))
        .float("cost_usd", record.cost);
}

fn tools(object: &mut Object<'_>, record: &Record) {
    object.list("tool_calls", &record.reply.tool_calls, |out, call| json_string(out, &call.name));
    object.list("tool_results", &record.tools, |out, run| {
        let mut object = Object::open(out);
        object
            .text("tool", Some(&run.name))
            .text("call", run.id.as_deref())
            .seconds("duration", Some(run.duration))
            .text("error", run.error.as_ref().map(tool_error));
        object.close();
    });
}

/// Of more than one attempt: `500,200`.
fn attempt_results(record: &Record) -> Option<String> {
    let result = |attempt: &crate::telemetry::record::Attempt| match (attempt.reason, attempt.status) {
        (Some(reason), _) => reason.as_str().to_owned(),
        (None, Some(status)) => status.to_string(),
        (None, None) => attempt.result.as_str().to_owned(),
    };
    (record.attempts.len() > 1).then(|| record.attempts.iter().map(result).collect::<Vec<_>>().join(","))
}

fn event(out: &mut String, event: &Event) {
    let mut object = Object::open(out);
    object
        .text("time", Some(&Timestamp(event.at).to_string()))
        .text("level", Some(level_name(event.level)))
        .text("target", Some(event.target))
        .text("message", Some(&event.message));
    if !event.fields.is_empty() {
        let mut fields = Object::open(object.key("fields"));
        for (name, value) in &event.fields {
            fields.text(name, Some(value));
        }
        fields.close();
    }
    object.close();
}

/// A JSON object in the making.
struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    fn close(self) {
        self.out.push('}');
    }

    fn key(&mut self, name: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        json_string(self.out, name);
        self.out.push(':');
        self.out
    }

    fn text(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            json_string(self.key(name), value);
        }
        self
    }

    fn number(&mut self, name: &str, value: Option<impl Into<u64>>) -> &mut Self {
        if let Some(value) = value {
            let _ = write!(self.key(name), "{}", value.into());
        }
        self
    }

    fn seconds(&mut self, name: &str, value: Option<Duration>) -> &mut Self {
        self.float(name, value.map(|value| value.as_secs_f64()))
    }

    fn float(&mut self, name: &str, value: Option<f64>) -> &mut Self {
        if let Some(value) = value {
            let _ = write!(self.key(name), "{value}");
        }
        self
    }

    /// Nothing where there is nothing in it.
    fn list<T>(&mut self, name: &str, values: &[T], write: impl Fn(&mut String, &T)) {
        let Some((first, rest)) = values.split_first() else { return };
        let out = self.key(name);
        out.push('[');
        write(out, first);
        for value in rest {
            out.push(',');
            write(out, value);
        }
        out.push(']');
    }

    fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.key(name).push_str(if value { "true" } else { "false" });
        self
    }
}
