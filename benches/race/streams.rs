//! Streams: many that are paced as a model's are, and some at full speed. Each event carries its time and its number.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    bodies::{self, Asking},
    contenders::Running,
    http::{Chunks, Errand, Wire},
    upstream::{Epoch, Upstream},
    usage::{Meter, Process, float, percentile},
};

/// Bytes of a stream's request.
const REQUEST: usize = 4000;
/// From the start of a contender until it is idle.
const SETTLE: Duration = Duration::from_millis(200);
/// How long streams may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was measured of paced streams.
#[derive(Debug)]
pub(crate) struct Paced {
    /// Resident kB before the first request, and for each live stream.
    pub(crate) memory: Option<[f64; 2]>,
    /// CPU µs of an event.
    pub(crate) cpu: Option<f64>,
    /// Delay of an event in µs: median and 99th percentile.
    pub(crate) delay: [f64; 2],
    /// From the request to its first event with text, in µs: median and 99th percentile.
    pub(crate) first: [f64; 2],
    /// Events that never arrived.
    pub(crate) lost: u64,
}

/// What was measured of streams at full speed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flood {
    /// Events in a second.
    pub(crate) rate: f64,
    /// CPU µs of an event.
    pub(crate) cpu: Option<f64>,
}

#[derive(Debug, Default)]
struct Shared {
    counts: AtomicBool,
    begun: AtomicU64,
    counted: AtomicU64,
    arrived: AtomicU64,
}

/// Of one stream.
#[derive(Debug, Default)]
struct Seen {
    first: Duration,
    delays: Vec<Duration>,
}

/// Runs `streams` paced streams against a contender that was just started; all live for `time`.
pub(crate) async fn paced(contender: &Running, upstream: &Upstream, streams: u32, (ramp, time): (Duration, Duration)) -> anyhow::Result<Paced> {
    let (process, shared) = (contender.process(), Arc::new(Shared::default()));
    sleep(SETTLE).await;
    upstream.take_sent();
    let idle = process.map(Process::resident).transpose()?;
    let mut readers = JoinSet::new();
    let begun = Instant::now();
    for stream in 0..streams {
        let asking = Asking::chat(contender.address, REQUEST, u64::from(stream), Errand::Paced);
        readers.spawn(read(contender.address, asking, upstream.epoch, Arc::clone(&shared)));
        tokio::time::sleep_until(begun + ramp * (stream + 1) / streams).await;
    }
    while shared.begun.load(Ordering::Relaxed) < u64::from(streams) {
        ensure!(begun.elapsed() < ramp + PATIENCE, "only {} of {streams} streams began", shared.begun.load(Ordering::Relaxed));
        sleep(Duration::from_millis(1)).await;
    }
    let meter = Meter::start(process)?;
    shared.counts.store(true, Ordering::Relaxed);
    sleep(time).await;
    shared.counts.store(false, Ordering::Relaxed);
    let events = shared.counted.load(Ordering::Relaxed);
    let cpu = meter.micros_each(events)?;
    let live = process.map(Process::resident).transpose()?;
    upstream.stop_streams();
    let (mut delays, mut firsts) = timeout(PATIENCE, gather(&mut readers)).await.context("streams do not end")??;
    Ok(Paced {
        memory: idle.zip(live).map(|(idle, live)| [idle, (live - idle) / f64::from(streams)]),
        cpu,
        delay: [percentile(&mut delays, 50), percentile(&mut delays, 99)],
        first: [percentile(&mut firsts, 50), percentile(&mut firsts, 99)],
        lost: upstream.take_sent().saturating_sub(shared.arrived.load(Ordering::Relaxed)),
    })
}

/// Runs some streams of `events` events together, each at full speed.
pub(crate) async fn flood(contender: &Running, upstream: &Upstream, streams: u64, events: u64) -> anyhow::Result<Flood> {
    let (shared, mut readers) = (Arc::new(Shared::default()), JoinSet::new());
    upstream.take_sent();
    let meter = Meter::start(contender.process())?;
    let begun = Instant::now();
    for stream in 0..streams {
        let asking = Asking::chat(contender.address, REQUEST, stream, Errand::Flood(events / streams));
        readers.spawn(read(contender.address, asking, upstream.epoch, Arc::clone(&shared)));
    }
    timeout(2 * PATIENCE, gather(&mut readers)).await.context("streams do not end")??;
    let elapsed = begun.elapsed();
    let (sent, arrived) = (upstream.take_sent(), shared.arrived.load(Ordering::Relaxed));
    let cpu = meter.micros_each(arrived)?;
    ensure!(arrived == sent && sent == events / streams * streams, "{arrived} events of {sent} arrived at full speed");
    Ok(Flood { rate: float(arrived) / elapsed.as_secs_f64(), cpu })
}

async fn gather(readers: &mut JoinSet<anyhow::Result<Seen>>) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut delays, mut firsts) = (Vec::new(), Vec::new());
    while let Some(seen) = readers.join_next().await {
        let seen = seen??;
        delays.extend(seen.delays);
        firsts.push(seen.first);
    }
    Ok((delays, firsts))
}

/// Reads one stream to its end; whatever is missing or out of order is an error.
async fn read(address: std::net::SocketAddr, asking: Asking, epoch: Epoch, shared: Arc<Shared>) -> anyhow::Result<Seen> {
    let mut wire = Wire::connect(address).await?;
    let asked = Instant::now();
    wire.write(asking.bytes()).await?;
    let head = wire.reply().await?;
    ensure!(head.status == 200, "a stream was answered with status {}", head.status);
    let (mut chunks, mut unread, mut seen) = (Chunks::new(), Vec::new(), Seen::default());
    let (mut next, mut done) = (0, false);
    while wire.chunked(&mut chunks, &mut unread).await? {
        let now = epoch.now();
        let mut from = 0;
        while let Some(length) = memchr::memmem::find(&unread[from..], b"\n\n") {
            let event = &unread[from..from + length];
            from += length + 2;
            done |= event == b"data: [DONE]";
            let Some((sent, number)) = bodies::read_stamp(event) else { continue };
            ensure!(number == next, "event {number} came where {next} was due");
            if next == 0 {
                seen.first = asked.elapsed();
                shared.begun.fetch_add(1, Ordering::Relaxed);
            }
            next += 1;
            shared.arrived.fetch_add(1, Ordering::Relaxed);
            if shared.counts.load(Ordering::Relaxed) {
                shared.counted.fetch_add(1, Ordering::Relaxed);
                seen.delays.push(Duration::from_nanos(now.saturating_sub(sent)));
            }
        }
        unread.drain(..from);
    }
    ensure!(done, "a stream ended without its last event");
    Ok(seen)
}
