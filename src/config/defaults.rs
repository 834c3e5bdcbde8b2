//! Every default, in one place.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    AgentRules, AttemptSpans, ByModel, Carry, Config, Context, LogFormat, LogLevel, Policy, Retries, Server, Telemetry, Timeouts, Trim, Trimming,
    Upstream,
};

/// `telemetry.otlp.timeout`, as OpenTelemetry's specification has it.
pub(super) const OTLP_TIMEOUT: Duration = Duration::from_secs(10);

/// What holds when nothing is configured.
impl Default for Config {
    fn default() -> Self {
        Self {
            server: Server::default(),
            upstreams: Upstream::built_in().map(|upstream| (upstream.name.to_string(), Arc::new(upstream))).collect(),
            only_upstream: None,
            routes: Vec::new(),
            agents: AgentRules::default(),
            policy: Arc::new(Policy::default()),
            context: Context::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4100)).into(),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 4101)).into(),
            admin_token: None,
            hosts: Vec::new(),
            tls: None,
            drain_delay: Duration::ZERO,
            grace: Duration::from_secs(30),
            body_limit: None,
            head_limit: 64 << 10,
            max_connections: 10_000,
        }
    }
}

impl Default for Carry {
    fn default() -> Self {
        Self { include_usage: true, hold_head: true, error_events: true, via: true, should_retry: true, exchange_headers: true }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Some(Duration::from_secs(5)),
            first_byte: Some(Duration::from_mins(2)),
            first_token: Some(Duration::from_mins(5)),
            idle: Some(Duration::from_mins(2)),
            total: Some(Duration::from_mins(10)),
            stream_total: None,
            upload: Some(Duration::from_secs(30)),
            reader: Some(Duration::from_mins(5)),
        }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff_initial: Duration::from_millis(500),
            backoff_max: Duration::from_secs(8),
            retry_after_max: Duration::from_secs(30),
            budget_ratio: 0.2,
            budget_per_second: 1.0,
            budget_burst: 10.0,
            body_max: 16 << 20,
            on_timeout: false,
        }
    }
}

impl Default for Trimming {
    fn default() -> Self {
        Self { trim: Trim::Oversize, target: 0.7 }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp: None,
            resource: vec![("service.name".to_owned(), "pillion".to_owned())],
            sample: 1.0,
            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            max_agents: 50,
            max_series: 10_000,
            propagate: false,
            attempt_spans: AttemptSpans::WhenRetried,
            capture_content: false,
            prices: ByModel::default(),
        }
    }
}
