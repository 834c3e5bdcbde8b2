//! Step 2: the request's body, held whole where it may have to be sent again.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, header, request};
use http_body::Body as _;
use hyper::body::Incoming;

use super::{exchange::Exchange, peer::Peer, refusal::Refusal, route::Target};
use crate::{
    body::{self, Held, Ledger, ReadError, Reservation, Upload, UploadProgress},
    config::Policy,
    telemetry::names::{Clock, Reason},
};

/// A request's body, ready to be sent.
#[derive(Debug)]
pub(super) enum Received {
    /// Held; can be sent as often as need be. The bytes stay reserved until the exchange no longer needs them.
    Whole(Bytes, Reservation),
    /// Passed on as it comes, once.
    Streamed(Upload, Arc<UploadProgress>),
}

impl Received {
    /// Whether it can be sent again.
    pub(super) fn is_replayable(&self) -> bool {
        matches!(self, Self::Whole(..))
    }

    /// With another body in the place of the one that was held.
    pub(super) fn with(self, body: Bytes) -> Self {
        match self {
            Self::Whole(_, reservation) => Self::Whole(body, reservation),
            streamed @ Self::Streamed(..) => streamed,
        }
    }

    /// Reserves so many bytes more; false if there is no room for them.
    pub(super) fn reserve(&mut self, more: usize) -> bool {
        match self {
            Self::Whole(_, reservation) => reservation.grow(u64::try_from(more).unwrap_or(u64::MAX)),
            Self::Streamed(..) => false,
        }
    }
}

/// Reads what has to be held.
pub(super) async fn receive(
    exchange: &mut Exchange,
    (head, mut body): (&request::Parts, Incoming),
    target: &Target,
    policy: &Policy,
    (ledger, limit): (&Ledger, Option<u64>),
) -> Result<Received, Refusal> {
    let stated = body.size_hint().exact();
    if let (Some(limit), Some(stated)) = (limit, stated)
        && stated > limit
    {
        return Err(too_large(limit));
    }
    let mut reservation = ledger.open();
    if body.is_end_stream() {
        return Ok(Received::Whole(Bytes::new(), reservation));
    }
    let held_max = policy.retries.body_max.min(limit.unwrap_or(u64::MAX));
    let hold =
        target.dialect.is_some() && head.method == Method::POST && stated.map_or_else(|| !announces_trailers(head), |stated| stated <= held_max);
    let read = if hold {
        let reading = body::read_up_to(&mut body, held_max, &mut reservation, policy.timeouts.upload);
        exchange.wait(reading).await.map_err(|error| broken(&error, exchange.peer()))?
    } else {
        Held::Over(Bytes::new())
    };
    match read {
        Held::Whole(bytes) => {
            exchange.record().request_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            Ok(Received::Whole(bytes, reservation))
        }
        Held::Over(prefix) => {
            let (upload, progress) = Upload::new(prefix, body, limit);
            Ok(Received::Streamed(upload, progress))
        }
    }
}

/// Whether fields shall follow the body: they can go on only behind a body that passes as it comes.
fn announces_trailers(head: &request::Parts) -> bool {
    head.headers.contains_key(header::TRAILER)
}

/// The answer to a body over `server.body_limit`.
pub(super) fn too_large(limit: u64) -> Refusal {
    Refusal::new(Reason::BodyTooLarge, format!("The request's body is larger than {limit} bytes (server.body_limit)"))
}

fn broken(error: &ReadError, peer: &Peer) -> Refusal {
    if matches!(error, ReadError::Broken(error) if body::is_reset(error)) {
        peer.leave();
    }
    match error {
        ReadError::Silent(silence) => Refusal::timed_out(Clock::Upload, "no byte of the request's body from the agent", Some(*silence), 0),
        ReadError::Broken(_) => Refusal::new(Reason::Framing, "The request's body broke off, or its framing is not valid HTTP"),
    }
}
