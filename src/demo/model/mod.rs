//! A simulated model server: OpenAI (chat completions, responses, completions, embeddings), Anthropic, Gemini and Ollama with tools,
//! usage, streams and lists of models, some plain paths for carrying tests, and faults to order. It writes its own HTTP/1.1, so that
//! every fault of the wire is exactly the one that was asked for. It judges what it is sent as a strict server would and does not
//! pretend to understand.
//!
//! ```text
//! connection ── http (head, body) ── Playing (which step) ── answer ─┬─ ask ─ mind ─ speech (one file a dialect)
//!                                                                    └─ plain (/echo, /bytes/N, /sink, /files)
//!            └─ plan (step + answer → acts) ── act (acts → socket, watching for the hang-up)
//! ```

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::script::Script;

mod act;
mod answer;
mod ask;
mod connection;
mod control;
mod encode;
mod errors;
mod exchange;
mod frames;
mod http;
mod http1;
mod http2;
mod limits;
mod mind;
mod plain;
mod plan;
mod schema;
mod seen;
mod servers;
mod socket;
mod speech;
mod state;
mod strict;
mod tempo;
mod text;
mod tls;
mod weigh;
mod window;

pub use plain::pattern;
pub use seen::{End, Hangup, Seen};
use state::State;
pub use strict::refused;
pub(in crate::demo) use text::sentences;
pub use tls::{Tls, TlsError};

/// After an accept that failed for want of descriptors: long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a model is started with.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Where it listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// Same seed, same requests: same answers.
    pub seed: u64,
    /// What goes wrong.
    pub script: Script,
    /// How fast it talks.
    pub pace: Pace,
    /// How much of a body is kept, in bytes.
    pub body_cap: usize,
    /// What TLS is served with, if it is.
    pub tls: Option<Tls>,
}

impl Default for ModelOptions {
    /// A free port of the loopback, no faults, no waiting, bodies kept up to 8 MiB.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 0,
            script: Script::default(),
            pace: Pace::default(),
            body_cap: 8 << 20,
            tls: None,
        }
    }
}

/// How fast a model talks. Each answer's own figures vary around these, under the seed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    /// The usual wait before the first token.
    pub first_token: Duration,
    /// The usual tokens a second from then on; `None` is all at once.
    pub tokens_per_second: Option<f64>,
}

/// A model that is running; it ends when this is dropped.
pub struct Model {
    address: SocketAddr,
    state: Arc<State>,
    tasks: JoinSet<()>,
}

/// What was waited for did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not seen within {within:?}; {seen} requests were")]
pub struct NotSeen {
    /// How long was waited.
    pub within: Duration,
    /// How many requests had come by then.
    pub seen: usize,
}

impl Model {
    /// Binds and begins to serve.
    pub async fn start(options: ModelOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(options));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`, or `https://ADDRESS` where it serves TLS.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.state.options.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// The requests so far, in the order of their heads.
    pub fn requests(&self) -> Vec<Seen> {
        self.state.seen()
    }

    /// Waits until so many requests have come, with their bodies (or without, if they ended before).
    pub async fn wait_for(&self, count: usize, within: Duration) -> Result<Vec<Seen>, NotSeen> {
        self.wait_until(within, |seen| seen.iter().filter(|one| one.body_complete || one.end != End::Open).count() >= count).await
    }

    /// Waits until so many requests have ended.
    pub async fn wait_for_ends(&self, count: usize, within: Duration) -> Result<Vec<Seen>, NotSeen> {
        self.wait_until(within, |seen| seen.iter().filter(|one| one.end != End::Open).count() >= count).await
    }

    /// Waits until something holds of the requests.
    pub async fn wait_until(&self, within: Duration, holds: impl Fn(&[Seen]) -> bool) -> Result<Vec<Seen>, NotSeen> {
        let deadline = Instant::now() + within;
        let mut changes = self.state.changes();
        loop {
            changes.mark_unchanged();
            let seen = self.state.seen();
            if holds(&seen) {
                return Ok(seen);
            }
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(NotSeen { within, seen: seen.len() });
            }
        }
    }

    /// Plays another script from its beginning.
    pub fn script(&self, script: Script) {
        self.state.play(script);
    }

    /// Forgets the script and the requests.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.connections()
    }

    /// Requests so far that were no HTTP; each was answered 400 and its connection closed.
    pub fn malformed(&self) -> u64 {
        self.state.malformed()
    }

    /// Ends it and all its connections.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Accepts until it is dropped, and owns the connections' tasks.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection::serve(stream, peer, Arc::clone(&state)));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

#[cfg(test)]
mod tests;
