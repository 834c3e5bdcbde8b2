//! The configuration: what the file, the environment and the flags say, turned once into one immutable, valid [`Config`].
//! The only place that reads the environment.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

mod agents;
mod defaults;
mod destinations;
mod effective;
mod environment;
mod errors;
mod fields;
mod glob;
mod listen;
mod load;
mod models;
mod otlp;
mod proxies;
mod reporting;
mod sections;
mod tls;
mod tree;
mod units;
mod upstreams;
mod values;

pub use agents::{AgentRule, AgentRules, Asking, KeyHash, When, is_agent_name};
pub use effective::Selection;
pub use environment::Environment;
pub use errors::{Errors, Origin, Origins};
pub use listen::Listen;
pub use load::{Flags, Loaded, load, read};
pub use models::{ByModel, Context, Prices};
pub use tls::{Tls, TlsError};
pub use upstreams::UrlError;

use crate::{secret::Secret, wire::Dialect};

/// Everything that can be set, valid and with all defaults filled in. One exchange sees one `Config`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The two ports and their bounds.
    pub server: Server,
    /// Every upstream a request can reach: the built-in ones and the configured ones, by name.
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
    /// `--upstream URL`: where everything goes, if set. Its name is `upstream`.
    pub only_upstream: Option<Arc<Upstream>>,
    /// Routes of the file, in order; the first that matches wins.
    pub routes: Vec<Route>,
    /// Rules that name agents, and agents with policies of their own.
    pub agents: AgentRules,
    /// The exceptions to transparency that are switched on, and the policies where no route says otherwise.
    pub policy: Arc<Policy>,
    /// What is known of models' windows.
    pub context: Context,
    /// What is reported, where to, and how much of it.
    pub telemetry: Telemetry,
}

/// The policies of one exchange: the config's own, or a route's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// The exceptions to transparency.
    pub carry: Carry,
    /// The clocks.
    pub timeouts: Timeouts,
    /// How often, how soon and what is tried again.
    pub retries: Retries,
    /// What becomes of a prompt that would not fit.
    pub context: Trimming,
}

/// `server`: the two ports and their bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Where agents connect. Default `127.0.0.1:4100`.
    pub listen: Listen,
    /// Where health, metrics and the admin API are. Default `127.0.0.1:4101`.
    pub admin: Listen,
    /// Bearer token of the admin port; required when `admin` is beyond loopback.
    pub admin_token: Option<Secret>,
    /// Names accepted in `Host` and `Origin` on loopback, beside `localhost`, `127.0.0.1` and `[::1]`.
    pub hosts: Vec<String>,
    /// The certificate and key by which agents connect, where they shall do so by TLS.
    pub tls: Option<Tls>,
    /// After SIGTERM: how long new exchanges are still accepted while `/readyz` already says no. Default 0 s.
    pub drain_delay: Duration,
    /// After that: how long exchanges in flight may take to finish. Default 30 s.
    pub grace: Duration,
    /// Largest request body in bytes; unset: no limit.
    pub body_limit: Option<u64>,
    /// Largest request head in bytes. Default 64 KiB.
    pub head_limit: usize,
    /// Most connections of agents at one time. Default 10,000.
    pub max_connections: usize,
}

/// One destination.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name: in the path, in labels, in routes.
    pub name: Arc<str>,
    /// Whether `https`.
    pub tls: bool,
    /// Host name or address (IPv6 without brackets).
    pub host: String,
    /// Port, the scheme's default filled in.
    pub port: u16,
    /// The URL's own path, without a trailing slash; `""` for none. Goes in front of the request's.
    pub path: String,
    /// The dialect where the path's tail does not say it.
    pub dialect: Option<Dialect>,
    /// Sent in place of the agent's own credentials, in the upstream's own header (`authorization: Bearer`, `x-api-key`, `x-goog-api-key`).
    pub api_key: Option<Secret>,
    /// A PEM file of roots that this upstream is checked against, in place of the machine's.
    pub ca: Option<PathBuf>,
    /// The Unix socket it listens on (`unix:///run/model.sock`), in place of host and port.
    pub socket: Option<PathBuf>,
    /// Which HTTP is spoken with it. Default auto.
    pub http2: Http2,
    /// The proxy of the environment that leads there.
    pub hop: Option<Arc<Hop>>,
    /// `gen_ai.provider.name`: by host for the known providers, else the upstream's own name.
    pub provider: Arc<str>,
}

/// `upstreams.NAME.http2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Http2 {
    /// Over TLS what both sides prefer (ALPN), HTTP/1.1 in the clear.
    #[default]
    Auto,
    /// HTTP/1.1 alone.
    Off,
    /// HTTP/2 alone: in the clear by prior knowledge (RFC 9113 §3.3), over TLS by ALPN.
    Prior,
}

/// A proxy that the environment names (`HTTPS_PROXY` and its like) and through which an upstream is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Whether the proxy itself is spoken to over TLS.
    pub tls: bool,
    /// Host name or address (IPv6 without brackets).
    pub host: String,
    /// Port, the scheme's default filled in.
    pub port: u16,
    /// The value of `proxy-authorization`, where its URL holds credentials.
    pub authorization: Option<Secret>,
    /// The variable that names it.
    pub variable: &'static str,
}

/// One entry of `routes`. `None` matches everything; patterns are globs (`*`, `?`).
#[derive(Debug, Clone)]
pub struct Route {
    /// Of the path that is left when `/@AGENT` is removed.
    pub path: Option<String>,
    /// Of the model asked for.
    pub model: Option<String>,
    /// Of the agent's name.
    pub agent: Option<String>,
    /// Where it goes; else where it would have gone.
    pub upstream: Option<Arc<Upstream>>,
    /// The policies: the config's with the route's own on top.
    pub policy: Arc<Policy>,
}

/// `carry`: the exceptions to transparency, each of which can be turned off.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the config")]
pub struct Carry {
    /// Ask for the token counts of streams on the agent's behalf, and take them out of the reply again. Default true.
    pub include_usage: bool,
    /// Hold a stream's head until its first content. Default true.
    pub hold_head: bool,
    /// End a broken stream with an error event. Default true.
    pub error_events: bool,
    /// Add `via` (and find loops by it). Default true.
    pub via: bool,
    /// Add `x-should-retry: false` to final failures. Default true.
    pub should_retry: bool,
    /// Add `x-pillion-exchange`, `x-pillion-attempts` and `x-pillion-trimmed` to replies. Default true.
    pub exchange_headers: bool,
}

/// `timeouts`: the clocks. `None` (`off` in the file) stops a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// DNS, TCP and TLS together, of one attempt. Default 5 s.
    pub connect: Option<Duration>,
    /// From the request's last byte to the whole head of the reply, of a streamed call. Default 2 min.
    pub first_byte: Option<Duration>,
    /// From the request's last byte to the stream's first content. Default 5 min.
    pub first_token: Option<Duration>,
    /// Between two reads of a reply's body. Default 2 min.
    pub idle: Option<Duration>,
    /// A whole reply, and a stream until its first token, all attempts and waits included. Default 10 min.
    pub total: Option<Duration>,
    /// A whole stream. Default off.
    pub stream_total: Option<Duration>,
    /// No byte of the request from the agent, or none taken by the upstream. Default 30 s.
    pub upload: Option<Duration>,
    /// The agent reads nothing while bytes wait. Default 5 min.
    pub reader: Option<Duration>,
}

/// `retries`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retries {
    /// Attempts in all. Default 3; 1 turns retries off.
    pub attempts: u32,
    /// First bound of the back-off; doubles each time, full jitter. Default 500 ms.
    pub backoff_initial: Duration,
    /// Last bound of the back-off. Default 8 s.
    pub backoff_max: Duration,
    /// A stated wait beyond this is not waited for. Default 30 s.
    pub retry_after_max: Duration,
    /// What each request adds to the upstream's budget of retries. Default 0.2.
    pub budget_ratio: f64,
    /// What each second adds. Default 1.
    pub budget_per_second: f64,
    /// How many the budget holds at most, and at the start. Default 10.
    pub budget_burst: f64,
    /// Largest request body held for a replay. Default 16 MiB.
    pub body_max: u64,
    /// Whether a clock that fires is retried. Default false.
    pub on_timeout: bool,
}

/// `context`, as far as it is a policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trimming {
    /// Which prompts are trimmed. Default those that would not fit.
    pub trim: Trim,
    /// To what share of the model's window, at most in one step. Default 0.7.
    pub target: f64,
}

/// `context.trim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// What would not fit.
    Oversize,
    /// Nothing.
    Off,
}

/// `telemetry`.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// Where spans go; `None`: nowhere.
    pub otlp: Option<Otlp>,
    /// Extra resource attributes (`OTEL_RESOURCE_ATTRIBUTES`), and `service.name` (`OTEL_SERVICE_NAME`, default `pillion`).
    pub resource: Vec<(String, String)>,
    /// Share of ordinary exchanges whose spans are kept, 0 to 1. Default 1.
    pub sample: f64,
    /// Least severity of the log. Default info.
    pub log_level: LogLevel,
    /// Text or JSON. Default text.
    pub log_format: LogFormat,
    /// Agents with a label of their own. Default 50.
    pub max_agents: usize,
    /// Series in all. Default 10,000.
    pub max_series: usize,
    /// Whether the `traceparent` sent upstream is ours. Default false.
    pub propagate: bool,
    /// When attempts get spans of their own. Default when retried (or failed).
    pub attempt_spans: AttemptSpans,
    /// Whether spans say what was asked and answered. Default false.
    pub capture_content: bool,
    /// Prices in place of the bundled table's.
    pub prices: ByModel<Prices>,
}

/// `telemetry.otlp`.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// Over HTTP the traces URL in full, e.g. `http://127.0.0.1:4318/v1/traces`; over gRPC scheme, host and port. (`endpoint` in the file and `OTEL_EXPORTER_OTLP_ENDPOINT` are bases to which
    /// `/v1/traces` is added; `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is taken as it is.)
    pub endpoint: String,
    /// How spans travel. Default `http/protobuf`.
    pub protocol: Protocol,
    /// Sent with each export.
    pub headers: Vec<(String, Secret)>,
    /// Of one export. Default 10 s.
    pub timeout: Duration,
    /// Of what is sent. Default none.
    pub compression: Compression,
    /// A PEM file of roots that the receiver is checked against, in place of the machine's.
    pub ca: Option<PathBuf>,
    /// Whom we are to the receiver; unset: nobody.
    pub client: Option<ClientCertificate>,
}

/// `telemetry.otlp.client_certificate` and `client_key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// A PEM file of our certificate and those between it and its root.
    pub certificate: PathBuf,
    /// A PEM file of its key.
    pub key: PathBuf,
}

/// `telemetry.otlp.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// POST of Protocol Buffers over HTTP/1.1.
    HttpProtobuf,
    /// gRPC, over HTTP/2.
    Grpc,
}

/// `telemetry.otlp.compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// gzip.
    Gzip,
}

/// `telemetry.log.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// What helps when looking for a fault.
    Debug,
    /// One line an exchange, and the program's own story.
    Info,
    /// Only what needs a look.
    Warn,
    /// Only failures.
    Error,
    /// Nothing.
    Off,
}

/// `telemetry.log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// The same without ids: between the lines of a program that Pillion runs around. Not to be set.
    Brief,
    /// One JSON object a line.
    Json,
}

/// `telemetry.attempt_spans`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptSpans {
    /// One for each attempt.
    Always,
    /// Only where there was more than one attempt, or the only one failed.
    WhenRetried,
}
