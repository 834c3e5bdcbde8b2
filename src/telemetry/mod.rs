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
impl Telemetry {
    pub fn start(_: &crate::config::Telemetry, _: Box<dyn std::io::Write + Send>) -> Self {
        Self {}
    }
    pub fn in_flight(&self, _: &str) -> Option<InFlight> {
        None
    }
    pub fn connection(&self, _: names::Side) -> u8 {
        0
    }
    pub fn report(&self, r: Record) {
        eprintln!(
            "{} {:?} {:?} {:?} {:?}",
            r.path,
            r.outcome,
            r.reason,
            r.status,
            r.attempts.iter().map(|a| (a.result, a.reason, a.reused)).collect::<Vec<_>>()
        );
    }
    pub fn refused(&self, _: Option<&str>, r: names::Reason) {
        eprintln!("refused {r:?}");
    }
    pub fn accept_error(&self) {}
    pub fn render(&self) -> String {
        String::new()
    }
    pub fn outcomes(&self) -> Vec<(names::Outcome, u64)> {
        vec![]
    }
    pub fn shutdown(&self, _: std::time::Duration) {}
}
