//! What a receiver gets keeps to the conventions' attribute tables, over both protocols: names, types and levels survive the journey.

use std::{collections::BTreeSet, time::Duration};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};

use super::{
    counts,
    receiver::{Receiver, grpc_ok, ok},
    start,
};
use crate::{
    config::{self, AttemptSpans},
    telemetry::{
        record::Record,
        spans::conventions::{OF_ATTEMPT, OF_TOOL, Told, Type, all_seen, exchanges, of_exchange},
        trace::TraceContext,
    },
};

fn told(span: &Span) -> Told {
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{}", span.name);
    let attributes = span.attributes.iter().map(|pair| (pair.key.clone(), pair.value.as_ref().and_then(type_of))).collect();
    let failed = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
    Told { name: span.name.clone(), attributes, failed }
}

fn type_of(value: &AnyValue) -> Option<Type> {
    let is_text = |value: &AnyValue| type_of(value) == Some(Type::Text);
    Some(match value.value.as_ref()? {
        Value::StringValue(_) => Type::Text,
        Value::IntValue(_) => Type::Int,
        Value::DoubleValue(_) => Type::Double,
        Value::BoolValue(_) => Type::Flag,
        Value::ArrayValue(array) if array.values.iter().all(is_text) => Type::Texts,
        _ => return None,
    })
}

/// All spans of these records, as the receiver got them.
fn received(receiver: &Receiver, attempt_spans: AttemptSpans, records: &[Record]) -> Vec<Span> {
    let telemetry = start(&config::Telemetry { attempt_spans, ..super::config(receiver) });
    for record in records {
        telemetry.report(record.clone());
    }
    telemetry.shutdown(Duration::from_secs(2));
    let exported = usize::try_from(counts(&telemetry)["exported"]).unwrap();
    let mut spans = Vec::new();
    while spans.len() < exported {
        let (_, request) = receiver.next();
        spans.extend(request.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans));
    }
    spans
}

#[test]
fn what_is_received_over_either_protocol_keeps_to_the_conventions() {
    for receiver in [Receiver::start(&[ok()]), Receiver::grpc(&[grpc_ok()])] {
        let mut seen = BTreeSet::new();
        let mut records = exchanges();
        for (span_id, record) in (1..).zip(&mut records) {
            record.trace = TraceContext { span_id, ..TraceContext::new_root() };
        }
        for mode in [AttemptSpans::Always, AttemptSpans::WhenRetried] {
            let spans = received(&receiver, mode, &records);
            let (tools, spans): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.kind() == SpanKind::Internal);
            assert_eq!(tools.len(), records.iter().map(|record| record.tools.len()).sum::<usize>());
            for span in tools {
                told(span).check(OF_TOOL, &mut seen);
            }
            for record in &records {
                let of = |id: &[u8]| *id == record.trace.span_id.to_be_bytes();
                let own = spans.iter().find(|span| of(&span.span_id)).expect("the exchange's own");
                let attempts: Vec<_> = spans.iter().filter(|span| of(&span.parent_span_id)).collect();
                told(own).check(&of_exchange(record, attempts.is_empty()), &mut seen);
                for span in attempts {
                    assert_eq!(span.trace_id, own.trace_id);
                    told(span).check(OF_ATTEMPT, &mut seen);
                }
            }
        }
        all_seen(&seen);
    }
}
