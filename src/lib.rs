//! Pillion: an observability sidecar proxy for LLM traffic.

pub mod admin;
pub mod body;
pub mod cli;
pub mod config;
pub mod demo;
pub mod downstream;
pub mod drain;
pub mod proxy;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod upstream;
pub mod wire;
