//! Whole replies: as many requests as can be, on some connections, for some time.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    bodies::{Asking, Growing},
    contenders::Running,
    http::{Errand, Wire},
    usage::{Meter, float, percentile},
};

/// Different bodies of one connection, where each request has a new one.
const VARIANTS: u64 = 4;
/// Most requests of one run.
const REQUESTS_MAX: u64 = 500_000;
/// How long the last requests may take.
const LAST: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// Bytes of a request's body.
    pub(crate) size: usize,
    /// What it is.
    pub(crate) body: Body,
    /// Connections, each with one request at a time.
    pub(crate) connections: u64,
}

/// What the bodies of a case have to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// They are the same.
    Same,
    /// Each is of its own, from its first message on.
    New,
    /// Each is the one before and a turn more; one in some fifty begins anew.
    GoesOn,
}

/// All cases.
pub(crate) const CASES: [Case; 10] = [
    Case { size: 1000, body: Body::Same, connections: 1 },
    Case { size: 1000, body: Body::Same, connections: 16 },
    Case { size: 1000, body: Body::New, connections: 1 },
    Case { size: 1000, body: Body::New, connections: 16 },
    Case { size: 100_000, body: Body::Same, connections: 1 },
    Case { size: 100_000, body: Body::Same, connections: 16 },
    Case { size: 100_000, body: Body::New, connections: 1 },
    Case { size: 100_000, body: Body::New, connections: 16 },
    Case { size: 100_000, body: Body::GoesOn, connections: 1 },
    Case { size: 100_000, body: Body::GoesOn, connections: 16 },
];

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Requests in a second.
    pub(crate) rate: f64,
    /// CPU µs of a request.
    pub(crate) cpu: Option<f64>,
    /// Latency in µs: median and 99th percentile.
    pub(crate) latency: [f64; 2],
}

impl Case {
    /// The heading in the table.
    pub(crate) fn title(&self) -> String {
        let body = match self.body {
            Body::Same => "the same body",
            Body::New => "a new body each time",
            Body::GoesOn => "a conversation that goes on",
        };
        let plural = if self.connections == 1 { "" } else { "s" };
        format!("whole replies, {} KB, {body}, {} connection{plural}", self.size / 1000, self.connections)
    }

    /// Runs it against a contender.
    pub(crate) async fn run(&self, contender: &Running, warm: Duration, time: Duration) -> anyhow::Result<Measured> {
        let shared = Arc::new(Shared::default());
        let mut loads = JoinSet::new();
        for connection in 0..self.connections {
            loads.spawn(load(contender.address, Asked::new(self, contender.address, connection), Arc::clone(&shared)));
        }
        sleep(warm).await;
        let meter = Meter::start(contender.process())?;
        let begun = Instant::now();
        shared.counts.store(true, Ordering::Relaxed);
        sleep(time).await;
        let (elapsed, requests) = (begun.elapsed(), shared.requests.load(Ordering::Relaxed));
        let cpu = meter.micros_each(requests)?;
        shared.over.store(true, Ordering::Relaxed);
        let mut latencies = timeout(LAST, gather(&mut loads)).await??;
        ensure!(requests > 0, "no request was answered");
        Ok(Measured { rate: float(requests) / elapsed.as_secs_f64(), cpu, latency: [percentile(&mut latencies, 50), percentile(&mut latencies, 99)] })
    }
}

#[derive(Debug, Default)]
struct Shared {
    counts: AtomicBool,
    over: AtomicBool,
    requests: AtomicU64,
    number: AtomicU64,
}

/// What one connection asks, one after the other.
#[derive(Debug)]
enum Asked {
    Same(Asking),
    New(Vec<Asking>),
    GoesOn(Box<Growing>),
}

impl Asked {
    fn new(case: &Case, host: SocketAddr, connection: u64) -> Self {
        let asking = |seed| Asking::chat(host, case.size, seed, Errand::Whole);
        match case.body {
            Body::Same => Self::Same(asking(0)),
            Body::New => Self::New((0..VARIANTS).map(|variant| asking(connection * VARIANTS + variant)).collect()),
            Body::GoesOn => Self::GoesOn(Box::new(Growing::new(host, case.size - case.size / 5, connection))),
        }
    }

    fn next(&mut self, turn: usize, number: u64) -> &[u8] {
        match self {
            Self::Same(asking) => asking.bytes(),
            Self::New(askings) => {
                let variants = askings.len();
                let asking = &mut askings[turn % variants];
                asking.number(number);
                asking.bytes()
            }
            Self::GoesOn(growing) => growing.next(number),
        }
    }
}

async fn load(address: SocketAddr, mut asked: Asked, shared: Arc<Shared>) -> anyhow::Result<Vec<Duration>> {
    let mut wire = Wire::connect(address).await?;
    let mut latencies = Vec::new();
    for turn in 0.. {
        let number = shared.number.fetch_add(1, Ordering::Relaxed);
        if shared.over.load(Ordering::Relaxed) || number >= REQUESTS_MAX {
            break;
        }
        let bytes = asked.next(turn, number);
        let begun = Instant::now();
        wire.write(bytes).await?;
        let head = wire.reply().await?;
        let length = wire.skip(head.framing).await?;
        ensure!(head.status == 200 && length > 500, "answered with status {} and {length} bytes", head.status);
        if shared.counts.load(Ordering::Relaxed) {
            latencies.push(begun.elapsed());
            shared.requests.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(latencies)
}

async fn gather(loads: &mut JoinSet<anyhow::Result<Vec<Duration>>>) -> anyhow::Result<Vec<Duration>> {
    let mut all = Vec::new();
    while let Some(load) = loads.join_next().await {
        all.extend(load??);
    }
    Ok(all)
}
