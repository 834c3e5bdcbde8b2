//! The span of one attempt: `POST`, a child of the exchange's.

use opentelemetry::{InstrumentationScope, trace::SpanId};
use opentelemetry_sdk::trace::SpanData;

use super::{Attempt, Attributes, Record, blank, general, place, status};

/// The span of the attempt with this index.
pub(super) fn span(scope: &InstrumentationScope, record: &Record, index: usize, attempt: &Attempt) -> SpanData {
    let error = attempt.error_type();
    let mut attributes = Attributes::with_capacity(11);
    attributes
        .text(general::HTTP_METHOD, Some(record.method.to_string()))
        .text(general::URL_PATH, Some(record.path.clone()))
        .text(general::SERVER_ADDRESS, record.server.as_ref().map(|(host, _)| host.clone()))
        .int(general::SERVER_PORT, record.server.as_ref().map(|(_, port)| *port))
        .int(general::HTTP_STATUS, attempt.status)
        .int(general::HTTP_RESEND_COUNT, i64::try_from(index).ok().filter(|&index| index > 0))
        .text(general::PEER_ADDRESS, attempt.peer.map(|peer| peer.ip().to_string()))
        .int(general::PEER_PORT, attempt.peer.map(|peer| peer.port()))
        .text(general::PROTOCOL_VERSION, attempt.protocol)
        .text(general::ERROR_TYPE, error.clone());
    let mut span = blank(scope, place(record, record.trace.attempt_span_id(index)), attempt.started_at, record.method.to_string().into());
    span.parent_span_id = SpanId::from(record.trace.span_id);
    span.end_time = attempt.ended_at();
    span.attributes = attributes.into_vec();
    span.status = status(error.as_ref());
    span
}
