//! W3C Trace Context: who our parent is, and who we are. Reads `traceparent`; writes `x-pillion-exchange` and the `traceparent` of an attempt.

/// The exchange's place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// 16 bytes, never all zero.
    pub trace_id: u128,
    /// Of the exchange's own span; never 0.
    pub span_id: u64,
    /// The agent's span, if it sent one.
    pub parent_id: Option<u64>,
    /// `trace-flags`: the parent's, or sampled.
    pub flags: u8,
}
