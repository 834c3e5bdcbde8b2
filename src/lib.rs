//! Pillion: an observability sidecar proxy for LLM traffic.

pub mod config;
pub mod demo;
pub mod secret;
pub mod telemetry;
pub mod wire;
