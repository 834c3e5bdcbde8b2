//! Turns finished [`Record`]s into metrics, spans and log lines. Nobody else knows a metric's name; nothing here can hold up traffic.

#[cfg(test)]
mod fixture;
mod metrics;
pub mod names;
mod record;
mod trace;

pub use metrics::{CONTENT_TYPE, ConnectionGauge, InFlight};
pub use record::{Attempt, ConnectPhases, Phase, Record, RetryCause};
pub use trace::{ExchangeId, TraceContext, baggage_agent, is_agent_name};

/// Where finished records go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {}
