//! What a `101` leaves of an exchange: bytes both ways, as they come and unread but for where frames begin, until both sides have ended or one is lost.
//! It is one exchange like any other: in flight until then, reported once, waited for by a drain.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Method, Version, header, request, response};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout},
};

use super::{exchange::Exchange, flow::Flow, silence::Silence};
use crate::{
    config::Timeouts,
    telemetry::names::{Clock, Outcome, Reason},
    upstream::Use,
    wire::{GOING_AWAY, GOING_AWAY_MASKED},
};

/// When one side has ended, the other is waited for no longer than this (`timeouts.idle` if it is set).
const HALF_CLOSED: Duration = Duration::from_mins(2);
/// How long both sides may take to hear that Pillion goes away.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// What is read and thrown away at one time while that is being heard.
const SCRAP: usize = 4 << 10;

/// One side of a tunnel.
type Side = TokioIo<Upgraded>;

/// An agent's wish to switch, as it can be granted: a WebSocket's, over HTTP/1.1 (RFC 6455 §4.1). Any other protocol is not switched to: RFC 9110 §7.8
/// lets a server ignore `upgrade`, and what is not known here could be a way around everything that is.
#[derive(Debug)]
pub(super) struct Switch {
    agent: OnUpgrade,
    /// `websocket`, as the agent spelled it.
    pub protocol: HeaderValue,
}

impl Switch {
    /// Takes the wish out of a request's head, if there is one.
    pub(super) fn asked(head: &mut request::Parts, body: &Incoming) -> Option<Self> {
        let agent = head.extensions.remove::<OnUpgrade>()?;
        let is_plain = head.method == Method::GET && head.version == Version::HTTP_11 && body.is_end_stream();
        let protocol = head.headers.get_all(header::UPGRADE).iter().find(|value| is_websocket(value)).cloned();
        let named = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.split(',').any(|name| name.trim().eq_ignore_ascii_case("upgrade")));
        let is_named = head.headers.get_all(header::CONNECTION).iter().any(named);
        protocol.filter(|_| is_plain && is_named).map(|protocol| Self { agent, protocol })
    }
}

/// Whether this is the token of WebSocket.
pub(super) fn is_websocket(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"websocket")
}

/// An exchange whose connections have been handed over to the two sides.
#[derive(Debug)]
pub struct Tunnel {
    agent: OnUpgrade,
    upstream: OnUpgrade,
    exchange: Exchange,
    line: Use,
    /// Longest silence once one side has ended.
    half_closed: Duration,
    /// When it must have ended.
    end: Option<(Instant, Clock)>,
}

/// What ended a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The agent: a FIN or a reset of its own came first.
    Agent,
    /// The upstream, with a FIN.
    Upstream,
    /// The upstream's connection broke.
    Broken,
    /// A clock.
    Clock(Clock),
    /// Pillion is being stopped.
    Cutting,
}

impl Tunnel {
    /// Takes over when the `101` goes out.
    pub(super) fn new(switch: Switch, head: &mut response::Parts, line: Use, exchange: Exchange, timeouts: &Timeouts) -> Option<Self> {
        let upstream = head.extensions.remove::<OnUpgrade>()?;
        let end = timeouts.stream_total.and_then(|total| Some((Instant::now().checked_add(total)?, Clock::Total)));
        Some(Self { agent: switch.agent, upstream, exchange, line, half_closed: timeouts.idle.unwrap_or(HALF_CLOSED), end })
    }

    /// Carries until the end. The agent's connection must have ended its HTTP, or this waits for it.
    pub async fn run(self) {
        let Self { agent, upstream, mut exchange, line, half_closed, end } = self;
        // Dropped here, the exchange says that the agent hung up before it had read the head.
        let Ok(agent) = agent.await else { return };
        let Ok(upstream) = upstream.await else { return exchange.finish(Outcome::Cut, Some(Reason::ConnectionReset)) };
        let mut sides = Sides::new(TokioIo::new(agent), TokioIo::new(upstream), half_closed, end);
        let mut cutting = exchange.cutting();
        let ending = poll_fn(|cx| match sides.poll(cx) {
            Poll::Pending => cutting.poll(cx).map(|()| Ending::Cutting),
            ended @ Poll::Ready(_) => ended,
        })
        .await;
        if ending == Ending::Cutting {
            sides.say_goodbye().await;
        }
        let record = exchange.record();
        record.request_bytes = sides.up.bytes();
        record.reply_bytes = sides.down.bytes();
        line.end();
        sides.report(ending, exchange);
    }
}

/// The two sides, and what flows between them.
struct Sides {
    agent: Side,
    upstream: Side,
    up: Flow,
    down: Flow,
    /// What ended first.
    first: Option<Ending>,
    half_closed: Duration,
    silence: Silence,
    end: Option<(Instant, Clock)>,
}

impl Sides {
    fn new(agent: Side, upstream: Side, half_closed: Duration, end: Option<(Instant, Clock)>) -> Self {
        // Neither side owes the other a word while both are there: no clock of silence runs.
        let silence = Silence::new(None, end, Instant::now());
        Self { agent, upstream, up: Flow::new(), down: Flow::new(), first: None, half_closed, silence, end }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let before = (self.up.bytes(), self.down.bytes());
        // The upstream's last words first: they are lost once a write has been refused.
        let down = self.down.poll(Pin::new(&mut self.upstream), Pin::new(&mut self.agent), cx);
        match down {
            Poll::Ready(Err(flow)) if flow.is_of_reader() => return Poll::Ready(self.first.unwrap_or(Ending::Broken)),
            Poll::Ready(Err(_)) => return Poll::Ready(self.first.unwrap_or(Ending::Agent)),
            Poll::Ready(Ok(())) => self.has_ended(Ending::Upstream),
            Poll::Pending => {}
        }
        let up = self.up.poll(Pin::new(&mut self.agent), Pin::new(&mut self.upstream), cx);
        match up {
            Poll::Ready(Err(flow)) if flow.is_of_reader() => return Poll::Ready(self.first.unwrap_or(Ending::Agent)),
            // What the upstream still has to say is heard to its end.
            Poll::Ready(Err(_)) => self.has_ended(Ending::Broken),
            Poll::Ready(Ok(())) => self.has_ended(Ending::Agent),
            Poll::Pending => {}
        }
        // When both have said goodbye, there is nothing to wait for once either has gone.
        let is_over = up.is_ready() && down.is_ready() || self.up.has_closed() && self.down.has_closed();
        if let Some(first) = self.first.filter(|_| is_over) {
            return Poll::Ready(first);
        }
        if self.first.is_some() && before != (self.up.bytes(), self.down.bytes()) {
            self.silence.broken(Instant::now());
        }
        self.silence.poll(cx).map(|clock| match (clock, self.first) {
            (Clock::Idle, Some(first)) => first,
            (clock, _) => Ending::Clock(clock),
        })
    }

    /// One side has ended: from now on the other must not be silent for long.
    fn has_ended(&mut self, ending: Ending) {
        if self.first.is_none() {
            self.first = Some(ending);
            self.silence = Silence::new(Some((self.half_closed, Clock::Idle)), self.end, Instant::now());
        }
    }

    /// Tells each side that can be told between two frames, and gives it a moment to hear it.
    async fn say_goodbye(&mut self) {
        let Self { agent, upstream, up, down, .. } = self;
        let both = async {
            tokio::join!(part(agent, down, &GOING_AWAY), part(upstream, up, &GOING_AWAY_MASKED));
        };
        // Whoever has not heard it by then will not.
        let _ = timeout(LAST_WORDS, both).await;
    }

    /// A tunnel that a close frame has gone through was ended on purpose, however its connections then ended.
    fn report(&self, ending: Ending, mut exchange: Exchange) {
        let said_goodbye = self.up.has_closed() || self.down.has_closed();
        let (outcome, reason) = match ending {
            Ending::Cutting => (Outcome::Cut, Reason::Draining),
            _ if said_goodbye => return exchange.finish(Outcome::Ok, None),
            // Dropped unfinished, it reports the hang-up itself.
            Ending::Agent => return,
            Ending::Upstream => (Outcome::Cut, Reason::StreamCut),
            Ending::Broken => (Outcome::Cut, Reason::ConnectionReset),
            Ending::Clock(clock) => {
                exchange.record().clock = Some(clock);
                (Outcome::Cut, Reason::of_clock(clock))
            }
        };
        if ending != Ending::Upstream && !self.down.at_boundary() || ending == Ending::Broken {
            exchange.peer().reset_on_close();
        }
        exchange.finish(outcome, Some(reason));
    }
}

/// Ends one side: by `goodbye` where it can be said, and by waiting until that has been read, so that no reset overtakes it.
async fn part(side: &mut Side, flow: &Flow, goodbye: &[u8]) {
    if !flow.at_boundary() || flow.has_closed() || flow.has_ended() {
        return;
    }
    if side.write_all(goodbye).await.is_err() || side.shutdown().await.is_err() {
        return;
    }
    let mut scrap = [0; SCRAP];
    while side.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
}
