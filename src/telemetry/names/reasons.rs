//! Our reasons: the one vocabulary that refusal header, error `code`, `error.type` and metric labels share.

use super::Clock;

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
    /// The prompt does not fit the model's window, and cannot be made to.
    ContextTooLarge,
    /// The request came through this Pillion before.
    ProxyLoop,
    /// Not HTTP: a bare 400, 414 or 431 and a close; no exchange.
    Framing,
    /// The head did not come in time: closed; no exchange.
    SlowHead,
    /// A fault of Pillion.
    Panic,
}

impl Reason {
    /// The word itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TimeoutConnect => "timeout_connect",
            Self::TimeoutFirstByte => "timeout_first_byte",
            Self::TimeoutFirstToken => "timeout_first_token",
            Self::TimeoutTotal => "timeout_total",
            Self::TimeoutUpload => "timeout_upload",
            Self::TimeoutAgent => "timeout_agent",
            Self::TimeoutIdle => "timeout_idle",
            Self::TimeoutReader => "timeout_reader",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionReset => "connection_reset",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::BadResponse => "bad_response",
            Self::StreamCut => "stream_cut",
            Self::StreamError => "stream_error",
            Self::Draining => "draining",
            Self::Overloaded => "overloaded",
            Self::NoRoute => "no_route",
            Self::Host => "host",
            Self::Origin => "origin",
            Self::UriTooLong => "uri_too_long",
            Self::BodyTooLarge => "body_too_large",
            Self::ContextTooLarge => "context_too_large",
            Self::ProxyLoop => "proxy_loop",
            Self::Framing => "framing",
            Self::SlowHead => "slow_head",
            Self::Panic => "panic",
        }
    }

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

    /// The clock behind a timeout.
    pub fn clock(self) -> Option<Clock> {
        Some(match self {
            Self::TimeoutConnect => Clock::Connect,
            Self::TimeoutFirstByte => Clock::FirstByte,
            Self::TimeoutFirstToken => Clock::FirstToken,
            Self::TimeoutTotal => Clock::Total,
            Self::TimeoutUpload => Clock::Upload,
            Self::TimeoutAgent => Clock::Agent,
            Self::TimeoutIdle => Clock::Idle,
            Self::TimeoutReader => Clock::Reader,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn exactly_the_timeouts_have_a_clock_and_it_has_their_name() {
        let timeouts = [
            Reason::TimeoutConnect,
            Reason::TimeoutFirstByte,
            Reason::TimeoutFirstToken,
            Reason::TimeoutTotal,
            Reason::TimeoutUpload,
            Reason::TimeoutAgent,
            Reason::TimeoutIdle,
            Reason::TimeoutReader,
        ];
        for reason in timeouts {
            let clock = reason.clock().map(super::Clock::as_str);
            assert_eq!(Some(reason.as_str()), clock.map(|clock| format!("timeout_{clock}")).as_deref());
        }
        for reason in [Reason::ConnectionRefused, Reason::StreamCut, Reason::Draining, Reason::Framing, Reason::Panic] {
            assert_eq!(reason.clock(), None, "{}", reason.as_str());
        }
    }
}
