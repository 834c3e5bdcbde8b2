//! Pillion: an observability sidecar proxy for LLM traffic.

pub mod body;
pub mod config;
pub mod drain;
pub mod proxy;
pub mod secret;
pub mod telemetry;
pub mod upstream;
pub mod wire;
