//! Turns finished [`Record`]s into metrics, spans and log lines. Nobody else knows a metric's name; nothing here can hold up traffic.

pub mod names;
mod record;
mod trace;

pub use record::{Attempt, ConnectPhases, Phase, Record, RetryCause};
pub use trace::TraceContext;

/// Where finished records go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {}
