//! What Pillion is shown and tested with: a simulated model with faults to order, and agents that talk to it through a proxy.

pub mod agents;
pub mod model;
pub mod script;
mod simulate;
pub mod summary;

pub use simulate::{ServeTls, SimulateError, SimulateOptions, simulate};
