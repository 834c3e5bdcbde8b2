//! The span of a tool's run: `execute_tool get_weather`, a child of the exchange whose answer called it. Nobody told us of the run: it is inferred from
//! the call and its result.

use opentelemetry::{
    InstrumentationScope,
    trace::{SpanId, SpanKind, TraceId},
};
use opentelemetry_sdk::trace::SpanData;

use super::{Attributes, blank, gen_ai, general, pillion, status, tool_error};
use crate::agent::ToolRun;

/// The run's span. `flags`: those of the trace, of which the run keeps only what its exporter says.
pub(super) fn span(scope: &InstrumentationScope, run: &ToolRun, flags: u8) -> SpanData {
    let error = run.error.as_ref().map(|error| tool_error(error).to_owned().into());
    let mut attributes = Attributes::with_capacity(7);
    attributes
        .text(gen_ai::OPERATION_NAME, Some(gen_ai::EXECUTE_TOOL))
        .text(gen_ai::TOOL_NAME, Some(run.name.clone()))
        .text(gen_ai::TOOL_CALL_ID, run.id.clone())
        .text(gen_ai::TOOL_TYPE, Some(gen_ai::FUNCTION))
        .text(gen_ai::AGENT_NAME, run.agent.clone())
        .text(general::ERROR_TYPE, error.clone())
        .flag(pillion::INFERRED, Some(true));
    let name = format!("{} {}", gen_ai::EXECUTE_TOOL, run.name);
    let mut span = blank(scope, (TraceId::from(run.trace), run.span_id, flags), run.called_at, name.into());
    span.span_kind = SpanKind::Internal;
    span.parent_span_id = SpanId::from(run.parent);
    span.end_time = run.called_at.checked_add(run.duration).unwrap_or(run.called_at);
    span.attributes = attributes.into_vec();
    span.status = status(error.as_ref());
    span
}
