//! Every metric, attribute and label value, once. Label values come from the closed sets here.

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

/// Our reasons: one vocabulary for the refusal header, the error's `code`, `error.type` and metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// DNS, TCP and TLS took too long.
    TimeoutConnect,
    /// No head of a streamed reply.
    TimeoutFirstByte,
    /// No content in a stream.
    TimeoutFirstToken,
    /// No whole reply.
    TimeoutTotal,
    /// No byte of the request.
    TimeoutUpload,
    /// The agent's own limit, answered just before.
    TimeoutAgent,
    /// The reply's body fell silent.
    TimeoutIdle,
    /// The agent read nothing.
    TimeoutReader,
    /// The upstream's port is closed.
    ConnectionRefused,
    /// The connection ended before a reply.
    ConnectionReset,
    /// The name does not resolve.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// What came is not HTTP.
    BadResponse,
    /// A reply's body ended before its end.
    StreamCut,
    /// An error event in a stream after its first token.
    StreamError,
    /// Pillion is shutting down.
    Draining,
    /// A bound of Pillion is reached.
    Overloaded,
    /// Nothing of the config matches the path.
    NoRoute,
    /// A foreign `Host`.
    Host,
    /// A foreign `Origin`.
    Origin,
    /// The request's target is longer than 16 KiB.
    UriTooLong,
    /// Over `server.body_limit`.
    BodyTooLarge,
    /// The request came through this Pillion before.
    ProxyLoop,
    /// Not HTTP: a bare 400, 414 or 431 and a close; no exchange.
    Framing,
    /// The head did not come in time: closed; no exchange.
    SlowHead,
    /// A fault of Pillion.
    Panic,
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
    /// The agent hung up.
    Cancelled,
    /// An error event before the first token of a stream.
    StreamError,
}

/// How an agent's name is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AgentSource {
    /// By its own word: path, header, baggage.
    Explicit,
    /// Not at all.
    #[default]
    Unknown,
}

impl Reason {
    /// The reason that stands for a clock.
    pub fn of_clock(clock: Clock) -> Self {
        match clock {
            Clock::Connect => Self::TimeoutConnect,
            Clock::FirstByte => Self::TimeoutFirstByte,
            Clock::FirstToken => Self::TimeoutFirstToken,
            Clock::Idle => Self::TimeoutIdle,
            Clock::Total | Clock::Queue => Self::TimeoutTotal,
            Clock::Upload => Self::TimeoutUpload,
            Clock::Reader => Self::TimeoutReader,
            Clock::Agent => Self::TimeoutAgent,
        }
    }
}

impl AttemptResult {
    /// The result that a reply's status stands for.
    pub fn of_status(status: u16) -> Self {
        match status {
            429 => Self::RateLimited,
            400..=499 => Self::ClientError,
            500.. => Self::ServerError,
            _ => Self::Success,
        }
    }
}
