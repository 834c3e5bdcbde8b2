//! Turns one finished record into its spans: the exchange's, and one for each attempt where there was more to tell than the exchange's own says.
//! Built once, at the end, straight into the exporter's data model.

use std::borrow::Cow;

use opentelemetry::{
    InstrumentationScope,
    trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

mod attempt;
mod attributes;
mod exchange;
mod sampling;

use attributes::Attributes;
pub(super) use sampling::is_kept;

use super::{
    names::{
        Outcome, Reason, SCHEMA_URL, agent_source,
        attributes::{event, gen_ai, general, pillion},
    },
    record::{Attempt, Record},
};
use crate::config::AttemptSpans;

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
        1 + self.attempts(record).len()
    }

    /// The spans of a record: the exchange's first.
    pub(super) fn build(&self, record: &Record) -> Vec<SpanData> {
        let attempts = self.attempts(record);
        let mut spans = Vec::with_capacity(1 + attempts.len());
        spans.push(exchange::span(&self.scope, record, attempts.is_empty()));
        let children = attempts.iter().enumerate();
        spans.extend(children.map(|(index, attempt)| attempt::span(&self.scope, record, index, attempt)));
        spans
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

/// A client span in the record's trace, without times, attributes and events.
fn blank(scope: &InstrumentationScope, record: &Record, span_id: u64, name: Cow<'static, str>) -> SpanData {
    let trace = &record.trace;
    let flags = TraceFlags::new(trace.flags) | TraceFlags::SAMPLED;
    SpanData {
        span_context: SpanContext::new(TraceId::from(trace.trace_id), SpanId::from(span_id), flags, false, TraceState::NONE),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        name,
        start_time: record.started_at,
        end_time: record.started_at,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope.clone(),
    }
}

fn status(error: Option<&Cow<'static, str>>) -> Status {
    error.map_or(Status::Unset, |error| Status::error(error.clone()))
}

#[cfg(test)]
mod tests;
