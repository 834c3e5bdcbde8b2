//! Why an attempt has no reply: our word for it, whether to try again, and what a person reads in the traceback.

use std::{error::Error, sync::Arc};

use http::uri;
use hyper_util::client::legacy;

use super::{
    connect::{ConnectError, named},
    line::{Line, Use},
    tls::TlsError,
    tunnel::TunnelError,
};
use crate::{
    body::UploadError,
    config,
    telemetry::names::{Clock, Reason},
};

/// Whether it would be safe to try again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The upstream cannot have seen the request.
    Unsent,
    /// The upstream has seen the request and says that it did not touch it. The word for why: label value of `pillion_retries_total`.
    Unprocessed(&'static str),
    /// A reused connection ended before one byte of a reply: most likely it was being closed already.
    Stale,
    /// The upstream may be at work on it.
    Unsafe,
    /// It would fail the same way.
    Useless,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// Our word for it.
    pub reason: Reason,
    /// The clock, if one fired.
    pub clock: Option<Clock>,
    /// Whether to try again.
    pub again: Again,
    /// For the person who reads the traceback: which hop, and what it said. Lower case, no full stop.
    pub detail: String,
    /// The connection, if there was one.
    pub line: Option<Arc<Line>>,
    /// Whether it had served others before.
    pub reused: bool,
}

/// Where it failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) authority: &'a uri::Authority,
    pub(super) upstream: &'a config::Upstream,
}

impl Failure {
    fn new(reason: Reason, again: Again, detail: String) -> Self {
        Self { reason, clock: None, again, detail, line: None, reused: false }
    }

    fn on(mut self, held: &Use) -> Self {
        (self.line, self.reused) = (Some(Arc::clone(held.line())), held.reused);
        self
    }
}

impl At<'_> {
    /// `step` is how far the connection was.
    pub(super) fn timed_out(self, clock: Clock, line: Option<Arc<Line>>, step: &str) -> Failure {
        let at = self.place();
        let again = if clock == Clock::Connect { Again::Unsent } else { Again::Unsafe };
        let detail = match clock {
            Clock::Connect if step.is_empty() => format!("no connection to {at} (DNS, TCP and TLS)"),
            Clock::Connect => format!("no connection to {at} (DNS, TCP and TLS; it was {step})"),
            Clock::Upload => format!("no byte of the request's body went from the agent to {at}"),
            _ => format!("no reply from {at}"),
        };
        let failure = Failure { clock: Some(clock), ..Failure::new(Reason::of_clock(clock), again, detail) };
        match line {
            Some(line) => failure.on(&line.begin()),
            None => failure,
        }
    }

    /// It switched to another protocol unasked.
    pub(super) fn switched(self, held: &Use) -> Failure {
        let detail = format!("{} switched to another protocol, which it was not asked to", self.authority);
        Failure::new(Reason::BadResponse, Again::Unsafe, detail).on(held)
    }

    /// The proxy in between wants other credentials.
    pub(super) fn refused_by_proxy(self, held: &Use) -> Failure {
        let proxy = self.upstream.hop.as_deref().map(named).unwrap_or_default();
        let detail = format!("cannot go through the proxy {proxy}: {}", TunnelError::Credentials);
        Failure::new(Reason::ConnectionRefused, Again::Useless, detail).on(held)
    }

    /// The HTTP/1.1 client has no reply.
    pub(super) fn failed(self, error: &legacy::Error, line: Option<&Arc<Line>>) -> Failure {
        let held = line.map(Line::begin);
        let failure = match (find::<ConnectError>(error), find::<hyper::Error>(error)) {
            (Some(connect), _) => unconnected(connect),
            (None, Some(hyper)) => {
                let stale = held.as_ref().is_some_and(|held| held.reused && !held.has_read());
                self.unanswered(hyper, stale, line.is_some_and(|line| line.heard_tls()))
            }
            (None, None) => Failure::new(Reason::ConnectionReset, Again::Unsafe, format!("{} could not be asked: {error}", self.authority)),
        };
        match held {
            Some(held) => failure.on(&held),
            None => failure,
        }
    }

    fn unanswered(self, error: &hyper::Error, stale: bool, heard_tls: bool) -> Failure {
        let at = self.place();
        if let Some(upload) = find::<UploadError>(error) {
            return broken_upload(upload);
        }
        if error.is_canceled() {
            return Failure::new(Reason::ConnectionReset, Again::Unsent, format!("{at} closed the connection before the request was sent"));
        }
        if error.is_parse() && heard_tls && !self.upstream.tls {
            let detail = format!("{at} speaks TLS on this port, and its URL begins with http://; try https://");
            return Failure::new(Reason::BadResponse, Again::Useless, detail);
        }
        if error.is_parse() {
            return Failure::new(Reason::BadResponse, Again::Unsafe, format!("{at} answered with what is not HTTP/1.1: {error}"));
        }
        let again = if stale { Again::Stale } else { Again::Unsafe };
        Failure::new(Reason::ConnectionReset, again, format!("{at} closed the connection without a reply"))
    }

    /// A stream has no reply (RFC 9113 §8.7: what was refused, or lies above the last stream of a GOAWAY, was not processed).
    pub(super) fn unanswered_http2(self, error: &hyper::Error, held: &Use) -> Failure {
        let at = self.place();
        if let Some(upload) = find::<UploadError>(error) {
            return broken_upload(upload).on(held);
        }
        let failure = match find::<h2::Error>(error) {
            // h2 tells a stream of a GOAWAY only if it lies above the last one that the peer has looked at.
            Some(goaway) if goaway.is_go_away() && goaway.is_remote() => {
                let detail = format!("{at} is closing the connection and did not look at this request (GOAWAY)");
                Failure::new(Reason::ConnectionReset, Again::Unprocessed("goaway"), detail)
            }
            Some(reset) if reset.is_reset() && reset.is_remote() && reset.reason() == Some(h2::Reason::REFUSED_STREAM) => {
                let detail = format!("{at} took no further stream on this connection (REFUSED_STREAM)");
                Failure::new(Reason::ConnectionReset, Again::Unprocessed("refused_stream"), detail)
            }
            Some(reset) if reset.is_reset() && reset.is_remote() => {
                let why = reset.reason().map(|reason| reason.to_string()).unwrap_or_default();
                Failure::new(Reason::ConnectionReset, Again::Unsafe, format!("{at} reset the stream without a reply ({why})"))
            }
            Some(other) if !other.is_io() && other.is_library() => {
                Failure::new(Reason::BadResponse, Again::Unsafe, format!("{at} answered with what is not HTTP/2: {other}"))
            }
            _ if error.is_timeout() => Failure::new(Reason::ConnectionReset, Again::Unsafe, format!("{at} is gone: it answered no ping")),
            _ => Failure::new(Reason::ConnectionReset, Again::Unsafe, format!("{at} closed the connection without a reply")),
        };
        failure.on(held)
    }

    /// The upstream, and the way there.
    fn place(self) -> String {
        match (&self.upstream.socket, self.upstream.hop.as_deref()) {
            (Some(socket), _) => socket.display().to_string(),
            (None, Some(proxy)) => format!("{} (through the proxy {})", self.authority, named(proxy)),
            (None, None) => self.authority.to_string(),
        }
    }
}

/// There is no connection.
pub(super) fn unconnected(error: &ConnectError) -> Failure {
    let (reason, again) = verdict(error);
    Failure::new(reason, again, told(error))
}

fn broken_upload(upload: &UploadError) -> Failure {
    let reason = match upload {
        UploadError::TooLarge(_) => Reason::BodyTooLarge,
        UploadError::Broken(_) => Reason::Framing,
    };
    Failure::new(reason, Again::Useless, upload.to_string())
}

/// Our word for it, and whether it may do better another time: what is refused will be refused again, what broke off may not.
fn verdict(error: &ConnectError) -> (Reason, Again) {
    match error {
        ConnectError::Dns { .. } => (Reason::Dns, Again::Unsent),
        ConnectError::Tcp { .. } => (Reason::ConnectionRefused, Again::Unsent),
        ConnectError::Proxy { source, .. } => match source {
            TunnelError::Unreached(error) => verdict(error),
            // 5xx is of the way behind the proxy.
            TunnelError::Refused(500..) => (Reason::ConnectionRefused, Again::Unsent),
            TunnelError::Credentials | TunnelError::Refused(_) => (Reason::ConnectionRefused, Again::Useless),
            TunnelError::NotHttp => (Reason::BadResponse, Again::Useless),
            TunnelError::Ended(_) => (Reason::ConnectionReset, Again::Unsent),
        },
        ConnectError::Tls { source: TlsError::Broken(_), .. } => (Reason::Tls, Again::Unsent),
        ConnectError::Tls { .. } | ConnectError::Roots { .. } => (Reason::Tls, Again::Useless),
        ConnectError::NotHttp2 { .. } => (Reason::BadResponse, Again::Useless),
        ConnectError::Ended { .. } => (Reason::ConnectionReset, Again::Unsent),
    }
}

/// An error with all its causes.
fn told(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The first error of this type among the causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(<dyn Error>::downcast_ref::<E>)
}

/// An error, its cause, the cause of that, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (**error).source())
}
