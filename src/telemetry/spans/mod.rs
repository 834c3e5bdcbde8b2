//! Turns one finished record into its spans: the exchange's, one for each attempt where there was more to tell than the exchange's own says, and one for
//! each tool whose result the request brought.
//! Built once, at the end, straight into the exporter's data model.

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    InstrumentationScope,
    trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

mod attempt;
mod attributes;
mod exchange;
mod sampling;
mod tool;

use attributes::Attributes;
pub(super) use sampling::Sampling;

use super::{
    contents::{self, Captured},
    names::{
        Outcome, Reason, SCHEMA_URL, agent_source,
        attributes::{event, gen_ai, general, pillion},
        output_type, tool_error,
    },
    record::{Attempt, Record},
};
use crate::{agent::ToolRun, config::AttemptSpans};

/// Makes spans.
#[derive(Debug)]
pub(super) struct Spans {
    attempt_spans: AttemptSpans,
    scope: InstrumentationScope,
}

impl Spans {
    /// With `propagate`, upstreams are told the id of the attempt's span as their parent, so that each attempt gets one: no trace has a hole.
    pub(super) fn new(attempt_spans: AttemptSpans, propagate: bool) -> Self {
        let attempt_spans = if propagate { AttemptSpans::Always } else { attempt_spans };
        let scope = InstrumentationScope::builder("pillion").with_version(env!("CARGO_PKG_VERSION")).with_schema_url(SCHEMA_URL).build();
        Self { attempt_spans, scope }
    }

    /// Who makes them.
    pub(super) fn scope(&self) -> &InstrumentationScope {
        &self.scope
    }

    /// How many spans a record makes.
    pub(super) fn count(&self, record: &Record) -> usize {
        1 + self.attempts(record).len() + record.tools.len()
    }

    /// The spans of a record: the exchange's first, with its contents where those were captured.
    pub(super) fn build(&self, record: &Record, captured: Option<&Captured>) -> Vec<SpanData> {
        let attempts = self.attempts(record);
        let mut spans = Vec::with_capacity(self.count(record));
        let mut span = exchange::span(&self.scope, record, attempts.is_empty());
        span.attributes.extend(captured.into_iter().flat_map(|captured| contents::attributes(record, captured)));
        spans.push(span);
        let children = attempts.iter().enumerate();
        spans.extend(children.map(|(index, attempt)| attempt::span(&self.scope, record, index, attempt)));
        spans.extend(record.tools.iter().map(|run| tool::span(&self.scope, run, record.trace.flags)));
        spans
    }

    /// The span of a tool's run whose result no request has brought.
    pub(super) fn run(&self, run: &ToolRun) -> SpanData {
        tool::span(&self.scope, run, 0)
    }

    /// The attempts that get spans of their own.
    fn attempts<'a>(&self, record: &'a Record) -> &'a [Attempt] {
        let worth_it = match self.attempt_spans {
            AttemptSpans::Always => true,
            AttemptSpans::WhenRetried => record.attempts.len() > 1 || record.attempts.iter().any(|attempt| attempt.result.failed()),
        };
        if worth_it { &record.attempts } else { &[] }
    }
}

/// A client span without end, attributes and events.
fn blank(scope: &InstrumentationScope, (trace, span_id, flags): (TraceId, u64, u8), start: SystemTime, name: Cow<'static, str>) -> SpanData {
    let flags = TraceFlags::new(flags) | TraceFlags::SAMPLED;
    SpanData {
        span_context: SpanContext::new(trace, SpanId::from(span_id), flags, false, TraceState::NONE),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        name,
        start_time: start,
        end_time: start,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope.clone(),
    }
}

/// The place of one of a record's own spans in its trace.
fn place(record: &Record, span_id: u64) -> (TraceId, u64, u8) {
    (TraceId::from(record.trace.trace_id), span_id, record.trace.flags)
}

fn status(error: Option<&Cow<'static, str>>) -> Status {
    error.map_or(Status::Unset, |error| Status::error(error.clone()))
}

#[cfg(test)]
pub(super) mod conventions;
#[cfg(test)]
mod tests;
