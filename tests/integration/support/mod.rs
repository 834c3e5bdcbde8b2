//! Builders and readers that the tests share: `model()` and `upstream()` answer, `proxy()` carries, `agent()` asks. Nothing here sleeps:
//! whatever is waited for is read until it is there, or until [`PATIENCE`] is over.

mod agent;
mod binary;
mod call;
pub(crate) mod captures;
mod metrics;
mod model;
pub(crate) mod pages;
pub(crate) mod parts;
mod peer;
pub(crate) mod promql;
mod proxy;
mod reply;
mod shield;
mod streams;
mod together;
mod upstream;
pub(crate) mod yaml;

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use tokio::time::timeout;

pub(crate) use agent::{Agent, agent, find};
pub(crate) use binary::{Binary, run, verb};
pub(crate) use call::{Call, call, chat, messages};
pub(crate) use metrics::Metrics;
pub(crate) use model::model;
pub(crate) use peer::{Ask, Authority, Peer, answer_http2, body_of, is_http2, peer, serve_http2};
pub(crate) use proxy::{Proxy, proxy};
pub(crate) use reply::{End, Reply};
pub(crate) use shield::{Pair, admin_over, ask_over, streams_over, tls_config};
pub(crate) use streams::{Asked, Streams, streams};
pub(crate) use together::all;
pub(crate) use upstream::{Heard, Upstream, Wire, chunk, sse_head, upstream};

/// How long a test waits for what must come. Long, for a busy machine: no test measures time by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An address where nobody listens: below the ports that the kernel gives to whoever connects, one of which could be this one a moment later.
pub(crate) fn free() -> SocketAddr {
    let mut ports = std::iter::repeat_with(|| fastrand::u16(12_000..32_000));
    ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()?.local_addr().ok()).unwrap()
}

/// Waits for `what`, which must come.
#[track_caller]
pub(crate) fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let at = std::panic::Location::caller();
    async move { timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what} ({at})")) }
}

/// SHA-256 in hex.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes.as_ref()))
}

/// A digest in hex.
pub(crate) fn hex(digest: ring::digest::Digest) -> String {
    digest.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}
