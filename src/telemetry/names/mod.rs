//! Every metric, attribute and label value, once. Label values come from the closed sets here; what comes from traffic is capped elsewhere.
//! Target: the OpenTelemetry `GenAI` semantic conventions 1.41.1, written out because the constants crate marks them deprecated.

pub mod attributes;
pub mod metrics;
mod reasons;

pub use reasons::Reason;

use crate::{
    agent::{Rule, Source, ToolError},
    wire::OutputType,
};

/// The schema of the attributes' names.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.41.1";

/// Label value of what has no name.
pub const UNKNOWN: &str = "unknown";

/// Label value of names beyond their bound.
pub const OTHER: &str = "other";

/// `error.type` of what is in no closed set.
pub const ERROR_OTHER: &str = "_OTHER";

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered.
    Ok,
    /// The upstream answered 4xx.
    ClientError,
    /// The upstream answered 429.
    RateLimited,
    /// The upstream answered 5xx, could not be reached, or told an error in its stream.
    UpstreamError,
    /// A clock fired before anything was given to the agent.
    Timeout,
    /// The agent hung up.
    Cancelled,
    /// Pillion said no.
    Refused,
    /// The reply broke.
    Cut,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Ok, Self::ClientError, Self::RateLimited, Self::UpstreamError, Self::Timeout, Self::Cancelled, Self::Refused, Self::Cut];

    /// How many there are.
    pub const COUNT: usize = 8;

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::RateLimited => "rate_limited",
            Self::UpstreamError => "upstream_error",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Cut => "cut",
        }
    }

    /// Its place in an array of [`Outcome::COUNT`].
    pub fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::ClientError => 1,
            Self::RateLimited => 2,
            Self::UpstreamError => 3,
            Self::Timeout => 4,
            Self::Cancelled => 5,
            Self::Refused => 6,
            Self::Cut => 7,
        }
    }

    /// Whether the exchange failed. The agent's own hang-up is no failure.
    pub fn failed(self) -> bool {
        !matches!(self, Self::Ok | Self::Cancelled)
    }
}

/// What an inferred agent's name was inferred from.
pub fn inferred_from(source: Source) -> Option<&'static str> {
    agent_source(source).strip_prefix("inferred(")?.strip_suffix(')')
}

/// Label values of `pillion_rate_limit_remaining{kind}` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// So many requests a minute (or whatever the provider counts by).
    Requests,
    /// So many tokens.
    Tokens,
}

impl LimitKind {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// Label values of `pillion_timeouts_total{clock}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is documented at `config::Timeouts`")]
pub enum Clock {
    Connect,
    FirstByte,
    FirstToken,
    Idle,
    Total,
    Upload,
    Reader,
    Agent,
    Queue,
}

impl Clock {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstByte => "first_byte",
            Self::FirstToken => "first_token",
            Self::Idle => "idle",
            Self::Total => "total",
            Self::Upload => "upload",
            Self::Reader => "reader",
            Self::Agent => "agent",
            Self::Queue => "queue",
        }
    }
}

/// Label values of `pillion_attempts_total{result}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptResult {
    /// A reply below 400 (`2xx`, and the rare `1xx`, `3xx`).
    Success,
    /// `4xx`, but 429.
    ClientError,
    /// `429`.
    RateLimited,
    /// `5xx`.
    ServerError,
    /// No connection.
    Connect,
    /// The connection ended, or what came was not HTTP.
    Reset,
    /// A clock fired.
    Timeout,
    /// The agent hung up, or its upload was given up.
    Cancelled,
    /// An error event before the first token of a stream.
    StreamError,
}

impl AttemptResult {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::ClientError,
        Self::RateLimited,
        Self::ServerError,
        Self::Connect,
        Self::Reset,
        Self::Timeout,
        Self::Cancelled,
        Self::StreamError,
    ];

    /// The result that a reply's status stands for.
    pub fn of_status(status: u16) -> Self {
        match status {
            429 => Self::RateLimited,
            400..=499 => Self::ClientError,
            500.. => Self::ServerError,
            _ => Self::Success,
        }
    }

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::ClientError => "4xx",
            Self::RateLimited => "429",
            Self::ServerError => "5xx",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::StreamError => "stream_error",
        }
    }

    /// Whether the attempt failed. The agent's own hang-up is no failure.
    pub fn failed(self) -> bool {
        !matches!(self, Self::Success | Self::Cancelled)
    }
}

/// The value of `pillion.agent.source`.
pub fn agent_source(source: Source) -> &'static str {
    match source {
        Source::Explicit => "explicit",
        Source::Unknown => UNKNOWN,
        Source::Inferred(rule) => match rule {
            Rule::Config => "inferred(config)",
            Rule::Selection => "inferred(selection)",
            Rule::HandOver => "inferred(hand_over)",
            Rule::OwnTurn => "inferred(own_turn)",
            Rule::Role => "inferred(role)",
            Rule::Echo => "inferred(echo)",
            Rule::OwnHistory => "inferred(own_history)",
            Rule::Fingerprint => "inferred(fingerprint)",
            Rule::Predicted => "inferred(predicted)",
        },
    }
}

/// `error.type` of a tool that failed: the exception's where one is known, else a word for how it failed.
pub fn tool_error(error: &ToolError) -> &str {
    match error {
        ToolError::Exception(kind) => kind,
        ToolError::Failed => "error",
        ToolError::Unknown => "unknown_tool",
        ToolError::Arguments => "schema_mismatch",
        ToolError::NoResult => "no_result",
    }
}

/// `gen_ai.output.type`.
pub fn output_type(output: OutputType) -> &'static str {
    match output {
        OutputType::Text => "text",
        OutputType::Json => "json",
        OutputType::Image => "image",
        OutputType::Speech => "speech",
    }
}

/// The value of `pillion.trim.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Texts were shortened.
    Shorten,
    /// Messages were left out.
    Drop,
    /// Both.
    ShortenAndDrop,
}

impl Strategy {
    /// The word itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shorten => "shorten",
            Self::Drop => "drop",
            Self::ShortenAndDrop => "shorten_and_drop",
        }
    }
}

/// Label values of `pillion_connections{side}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// From agents.
    Downstream,
    /// To upstreams.
    Upstream,
}

impl Side {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
        }
    }
}

/// Label values of `pillion_connections{state}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// An exchange is on it (or its handshake is under way).
    Active,
    /// It waits for the next one.
    Idle,
}

impl ConnectionState {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
        }
    }
}
