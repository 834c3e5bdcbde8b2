//! HTTP/2 towards one upstream: the connections that many exchanges share, and who makes them. hyper-util's pool knows neither how many streams a
//! peer takes nor what it will speak before it has been asked, so the connections are kept here; HTTP/1.1 ones stay with that pool.
//!
//! ```text
//!  attempt ──▶ room on a connection? ──yes──▶ one more stream on it
//!                  │ no
//!                  ▼ one at a time
//!              connect, TLS, ALPN ── http/1.1 ──▶ handed to the HTTP/1.1 pool; remembered for a while
//!                  │ h2
//!                  ▼
//!              first SETTINGS: how many streams it takes ──▶ shared until retired by age, idleness, GOAWAY or its end
//! ```

use std::{
    convert::Infallible,
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::client::conn::http2::{Builder, Connection as Driver, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    connect::{ConnectError, Connector, Progress},
    line::{Line, Use},
    preface::Preface,
    socket::Socket,
    tls::Offer,
};
use crate::{body::Outgoing, config, drain::Tracker};

/// A connection takes new exchanges for this long, so that a changed address is followed; what runs on it then may finish.
pub(super) const AGE_MAX: Duration = Duration::from_mins(5);
/// An idle connection is closed after this; most providers' load balancers close theirs after 60 s or more.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// Most streams on one connection, whatever the peer would take: one lost connection shall not end more than this.
const STREAMS_MAX: usize = 100;
/// What is buffered of one stream for a reader that is slow, each way. A model's stream needs a thousandth of it.
const STREAM_WINDOW: u32 = 64 << 10;
/// All streams may be stalled without holding up another, at events of as few bytes as a model sends. More than all their windows together, for h2 ends
/// a connection, with all that is on it, when what its unread frames are short of 256 bytes comes to half of this.
const CONNECTION_WINDOW: u32 = 2 * 100 * (STREAM_WINDOW / SMALL_FRAME) * (256 - SMALL_FRAME);
/// A DATA frame of a few letters in their event.
const SMALL_FRAME: u32 = 64;
/// Largest head of a reply.
const HEAD_MAX: u32 = 64 << 10;

/// When a silent peer is asked whether it is still there, and how long it may take to say so: a dead one is known after 35 s. Idle connections are
/// not asked: some servers take that for abuse, and they are closed soon anyway.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pings {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl Default for Pings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(20), timeout: Duration::from_secs(15) }
    }
}

/// One connection that exchanges share.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Outgoing>,
    line: Arc<Line>,
    /// Streams that the peer takes at a time.
    limit: Arc<AtomicUsize>,
}

/// A place on a connection.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) sender: SendRequest<Outgoing>,
    pub(super) held: Use,
}

/// What an upstream spoke last.
#[derive(Debug, Clone, Copy)]
enum Spoken {
    Unknown,
    Http1(Instant),
    Http2,
}

/// The HTTP/2 connections of one upstream.
pub(super) struct Shared {
    connector: Connector,
    offer: Offer,
    /// Whether HTTP/2 is spoken unasked.
    prior: bool,
    connections: Arc<Mutex<Vec<Connection>>>,
    spoken: Mutex<Spoken>,
    making: Semaphore,
    failed: Mutex<Option<(Instant, Arc<ConnectError>)>>,
    tracker: Tracker,
    pings: Pings,
}

impl Shared {
    /// For an upstream with which HTTP/2 may be spoken; `None` for others.
    pub(super) fn of(upstream: &config::Upstream, connector: Connector, tracker: &Tracker) -> Option<Self> {
        let offer = match (upstream.http2, upstream.tls) {
            (config::Http2::Off, _) | (config::Http2::Auto, false) => return None,
            (config::Http2::Auto, true) => Offer::Either,
            (config::Http2::Prior, _) => Offer::Http2,
        };
        Some(Self {
            connector,
            offer,
            prior: upstream.http2 == config::Http2::Prior,
            connections: Arc::default(),
            spoken: Mutex::new(Spoken::Unknown),
            making: Semaphore::new(1),
            failed: Mutex::default(),
            tracker: tracker.clone(),
            pings: Pings::default(),
        })
    }

    /// A place for one exchange, on a connection that is there or on a new one; `None` if the upstream speaks HTTP/1.1.
    pub(super) async fn place(&self, progress: &Progress) -> Result<Option<Place>, Arc<ConnectError>> {
        let asked = Instant::now();
        if let Some(place) = self.room() {
            return Ok(Some(place));
        }
        let _making = match self.spoken() {
            Spoken::Http1(since) if since.elapsed() < AGE_MAX => return Ok(None),
            // Others go on meanwhile.
            Spoken::Http1(_) => match self.making.try_acquire() {
                Ok(permit) => permit,
                Err(_) => return Ok(None),
            },
            Spoken::Unknown | Spoken::Http2 => self.making.acquire().await.expect("the semaphore is never closed"),
        };
        // Whoever was before us may have answered for us too.
        if let Some(place) = self.room() {
            return Ok(Some(place));
        }
        if matches!(self.spoken(), Spoken::Http1(since) if since >= asked) {
            return Ok(None);
        }
        if let Some(error) = self.failed_since(asked) {
            return Err(error);
        }
        match (Box::pin(self.make(progress)).await, self.spoken()) {
            (Ok(place), _) => Ok(place),
            // The HTTP/1.1 pool may have connections that still work.
            (Err(_), Spoken::Http1(_)) => Ok(None),
            (Err(error), _) => {
                let error = Arc::new(error);
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&error)));
                Err(error)
            }
        }
    }

    /// The connection on which a request could not be sent takes no others.
    pub(super) fn forget(&self, line: &Arc<Line>) {
        line.retire();
        self.lock().retain(|connection| !Arc::ptr_eq(&connection.line, line));
    }

    /// What the upstream speaks is to be found out again.
    pub(super) fn forget_what_was_spoken(&self) {
        self.speaks(Spoken::Unknown);
    }

    fn room(&self) -> Option<Place> {
        let mut connections = self.lock();
        connections.retain(|connection| !connection.sender.is_closed() && !connection.line.is_retired());
        connections.iter().find_map(|connection| {
            let most = connection.limit.load(Ordering::Acquire).min(STREAMS_MAX);
            let held = connection.line.begin_below(most)?;
            Some(Place { sender: connection.sender.clone(), held })
        })
    }

    async fn make(&self, progress: &Progress) -> Result<Option<Place>, ConnectError> {
        let socket = self.connector.connect(self.offer, progress).await?;
        if self.offer == Offer::Either && !socket.has_agreed_on_http2() {
            self.speaks(Spoken::Http1(Instant::now()));
            self.connector.keep(socket);
            return Ok(None);
        }
        progress.at_first_frame();
        let agreed = !self.prior;
        let (connection, keeper) = self.open(socket, agreed).await?;
        self.speaks(Spoken::Http2);
        let held = connection.line.begin();
        let place = Place { sender: connection.sender.clone(), held };
        self.lock().push(connection);
        self.tracker.spawn(keeper);
        Ok(Some(place))
    }

    /// Speaks HTTP/2 on a new connection and waits for the peer to do the same.
    async fn open(&self, mut socket: Socket, agreed: bool) -> Result<(Connection, impl Future<Output = ()> + Send + 'static), ConnectError> {
        let host = || self.connector.host();
        let line = Arc::clone(socket.line());
        let verdict = socket.watch();
        let mut builder = Builder::new(self.tracker.clone());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_MAX)
            .max_send_buf_size(64 << 10)
            .keep_alive_interval(self.pings.interval)
            .keep_alive_timeout(self.pings.timeout)
            .keep_alive_while_idle(false);
        let ended = |_| ConnectError::Ended { host: host() };
        let (sender, driver) = builder.handshake(TokioIo::new(socket)).await.map_err(ended)?;
        let limit = Arc::new(AtomicUsize::new(0));
        let (driving, ended) = oneshot::channel();
        self.tracker.spawn(drive(driver, Arc::clone(&limit), driving));
        let why = if agreed {
            "it agreed to (ALPN); set http2: off for this upstream"
        } else {
            "http2: prior says that it does; set http2: auto for this upstream"
        };
        match verdict.await {
            Ok(Preface::Http2(most)) => {
                limit.store(most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX), Ordering::Release);
            }
            Ok(_) => return Err(ConnectError::NotHttp2 { host: host(), why }),
            Err(_) => return Err(ConnectError::Ended { host: host() }),
        }
        let keeper = keep(Arc::downgrade(&self.connections), Arc::clone(&line), ended);
        Ok((Connection { sender, line, limit }, keeper))
    }

    fn failed_since(&self, asked: Instant) -> Option<Arc<ConnectError>> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().filter(|(at, _)| *at > asked).map(|(_, error)| Arc::clone(error))
    }

    fn spoken(&self) -> Spoken {
        *self.spoken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn speaks(&self, spoken: Spoken) {
        *self.spoken.lock().unwrap_or_else(PoisonError::into_inner) = spoken;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("offer", &self.offer).field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// Sends what exchanges ask for, and notes how many streams the peer takes by now. `_driving` ends with the connection.
async fn drive(mut driver: Driver<TokioIo<Socket>, Outgoing, Tracker>, limit: Arc<AtomicUsize>, _driving: oneshot::Sender<Infallible>) {
    let mut polled_before = false;
    let ended = poll_fn(|cx| {
        let polled = Pin::new(&mut driver).poll(cx);
        // Before the first request is sent, the first SETTINGS have said it.
        if polled_before {
            limit.store(driver.current_max_send_streams(), Ordering::Release);
        }
        polled_before = true;
        polled
    });
    // How it ended, each exchange on it is told.
    let _ = ended.await;
}

/// Takes the connection out of use when it has ended, is old or has been idle for long. hyper closes it when the last exchange on it has ended.
async fn keep(connections: Weak<Mutex<Vec<Connection>>>, line: Arc<Line>, mut ended: oneshot::Receiver<Infallible>) {
    let old = line.made + AGE_MAX;
    loop {
        let now = Instant::now();
        let idle_out = line.idle_since().unwrap_or(now) + IDLE_TIMEOUT;
        if now >= old || now >= idle_out || line.is_retired() {
            break;
        }
        if timeout_at(old.min(idle_out), &mut ended).await.is_ok() {
            break;
        }
    }
    line.retire();
    if let Some(connections) = connections.upgrade() {
        connections.lock().unwrap_or_else(PoisonError::into_inner).retain(|connection| !Arc::ptr_eq(&connection.line, &line));
    }
}

#[cfg(test)]
mod tests;
