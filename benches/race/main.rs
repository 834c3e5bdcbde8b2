//! Pillion against no proxy at all, a bare hyper proxy, and the proxies that everybody knows, in one run on one machine:
//! `cargo bench --bench race [-- --quick]`. Who is not installed is named, with what installs it.
//!
//! Upstream and load are on core 0, the contender that runs is alone on core 1, with one worker thread. Every case is run in rounds, each
//! contender once in each, in turn forwards and backwards, since machines are not quiet; the table shows medians.

mod bare;
mod bodies;
mod contenders;
mod http;
mod report;
mod streams;
mod upstream;
mod usage;
mod whole;

use std::{ffi::OsString, io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser as _;
use pillion::drain::Tracker;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

use self::{
    contenders::{BARE, Contender, DIRECT, LOADS_CORE, NGINX, PILLION, Running, TABLE, pinned},
    report::Report,
    upstream::Upstream,
};

/// Compares Pillion with other proxies.
#[derive(Debug, clap::Parser)]
struct Options {
    /// Shorter runs: a look, not a verdict
    #[arg(long)]
    quick: bool,
    /// Paced streams at one time
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    streams: u32,
    /// How often each contender runs each case
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each run
    #[arg(long)]
    seconds: Option<f64>,
    /// Who takes part, of: direct, bare hyper, pillion, pillion+otlp, nginx, haproxy, envoy; all, unless given
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Runs cases whose title has this in it
    #[arg(long, default_value = "")]
    case: String,
    /// Pillion's binary
    #[arg(long, default_value = env!("CARGO_BIN_EXE_pillion"))]
    pillion: PathBuf,
    /// Where programs are looked for
    #[arg(long, env = "PATH", hide = true)]
    path: OsString,
    /// Is the bare proxy, listening here
    #[arg(long, hide = true, requires = "upstream")]
    bare: Option<SocketAddr>,
    /// The bare proxy's upstream
    #[arg(long, hide = true)]
    upstream: Option<SocketAddr>,
    /// Is upstream and load, and runs the race
    #[arg(long, hide = true)]
    here: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    if let (Some(listen), Some(upstream)) = (options.bare, options.upstream) {
        bare::run(listen, upstream)?;
    } else if options.here {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Race::run(options))?;
    } else if options.bench {
        raise_open_files();
        let mut program = vec![std::env::current_exe()?.into_os_string(), "--here".into()];
        program.extend(std::env::args_os().skip(1));
        let status = pinned(LOADS_CORE, program, &options.path).status().context("cannot start taskset")?;
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    } else {
        writeln!(std::io::stdout().lock(), "nothing is raced by a test; `cargo bench --bench race` does")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A thousand streams are two thousand sockets for each of us: the limit that all inherit is made as high as it may be.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be, the streams that do not begin will tell.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// How long things take.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Before a run of whole replies is measured.
    warm: Duration,
    whole: Duration,
    /// While streams begin.
    ramp: Duration,
    streams: Duration,
    /// Events of the streams at full speed, all together.
    flood: u64,
}

impl Times {
    fn of(options: &Options) -> anyhow::Result<Self> {
        let own = options.seconds.map(Duration::try_from_secs_f64).transpose().context("--seconds")?;
        let (warm, whole, ramp, streams, flood) = if options.quick { (50, 250, 500, 1000, 10_000) } else { (150, 600, 1000, 3500, 40_000) };
        let milliseconds = Duration::from_millis;
        Ok(Self {
            warm: milliseconds(warm),
            whole: own.unwrap_or(milliseconds(whole)),
            ramp: milliseconds(ramp),
            streams: own.unwrap_or(milliseconds(streams)),
            flood,
        })
    }
}

/// Who takes part and is there; the others are named.
fn contenders(options: &Options) -> anyhow::Result<Vec<Contender>> {
    let unknown = options.only.iter().find(|name| TABLE.iter().all(|contender| contender.name != name.as_str()));
    anyhow::ensure!(unknown.is_none(), "--only: nobody is called {:?}", unknown.map(String::as_str).unwrap_or_default());
    let mut contenders = TABLE.to_vec();
    contenders.retain(|contender| options.only.is_empty() || options.only.iter().any(|name| name == contender.name));
    let mut out = std::io::stdout().lock();
    for contender in &contenders {
        if let Some(install) = contender.missing(&options.path) {
            writeln!(out, "{} is missing: it is not installed here; `{install}` does so", contender.name)?;
        }
    }
    contenders.retain(|contender| contender.missing(&options.path).is_none());
    Ok(contenders)
}

#[derive(Debug)]
struct Race {
    options: Options,
    times: Times,
    contenders: Vec<Contender>,
    upstream: Upstream,
    report: Report,
}

impl Race {
    async fn run(options: Options) -> anyhow::Result<()> {
        let tracker = Tracker::default();
        let begun = Instant::now();
        let contenders = contenders(&options)?;
        // Upstream and load never sleep: what it costs to wake another core is not to be charged to whoever does.
        tracker.spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        let upstream = Upstream::start(&tracker).await?;
        let mut race = Self { times: Times::of(&options)?, contenders, upstream, report: Report::new(DIRECT), options };
        race.whole().await?;
        race.streams().await?;
        let names: Vec<_> = race.contenders.iter().map(|contender| contender.name).collect();
        let mut out = std::io::stdout().lock();
        race.report.write(&mut out, &names, [BARE, NGINX], PILLION)?;
        writeln!(out, "\nmedians of {} rounds; {:.0} s in all", race.options.rounds, begun.elapsed().as_secs_f64())?;
        Ok(())
    }

    /// Who runs in a round, in which order. The way without a proxy is always first: the others are measured against it.
    fn order(&self, round: u32) -> Vec<Contender> {
        let (mut order, proxies): (Vec<_>, Vec<_>) = self.contenders.iter().partition(|contender| contender.name == DIRECT);
        if round.is_multiple_of(2) {
            order.extend(proxies);
        } else {
            order.extend(proxies.into_iter().rev());
        }
        order
    }

    async fn start(&self, contender: Contender) -> anyhow::Result<Running> {
        contender.start(self.upstream.address, &self.options.pillion, &self.options.path).await
    }

    async fn whole(&mut self) -> anyhow::Result<()> {
        for case in whole::CASES {
            let title = case.title();
            for round in 0..self.options.rounds * u32::from(title.contains(&self.options.case)) {
                for contender in self.order(round) {
                    let running = self.start(contender).await?;
                    let measured = case.run(&running, self.times.warm, self.times.whole).await;
                    let measured = measured.with_context(|| format!("{}, {title}", contender.name))?;
                    let (at, [median, late]) = ((contender.name, round), measured.latency);
                    self.report.note(&title, "requests/s", at, measured.rate);
                    self.report.note(&title, "CPU µs/request", at, measured.cpu);
                    self.report.note_added(&title, ("latency p50 µs", "  added p50 µs"), at, median);
                    self.report.note_added(&title, ("latency p99 µs", "  added p99 µs"), at, late);
                }
            }
        }
        Ok(())
    }

    async fn streams(&mut self) -> anyhow::Result<()> {
        let paced = format!("{} streams, an event each {} ms", self.options.streams, upstream::PACE.as_millis());
        for round in 0..self.options.rounds * u32::from(paced.contains(&self.options.case)) {
            for contender in self.order(round) {
                let running = self.start(contender).await?;
                let times = (self.times.ramp, self.times.streams);
                let measured = streams::paced(&running, &self.upstream, self.options.streams, times).await;
                self.note_paced(&paced, (contender.name, round), &measured.with_context(|| format!("{}, {paced}", contender.name))?);
            }
        }
        for (streams, title) in [(1, "one stream at full speed"), (16, "16 streams at full speed")] {
            for round in 0..self.options.rounds * u32::from(title.contains(&self.options.case)) {
                for contender in self.order(round) {
                    let running = self.start(contender).await?;
                    let measured = streams::flood(&running, &self.upstream, streams, self.times.flood).await;
                    let measured = measured.with_context(|| format!("{}, {title}", contender.name))?;
                    self.report.note(title, "events/s", (contender.name, round), measured.rate);
                    self.report.note(title, "CPU µs/event", (contender.name, round), measured.cpu);
                }
            }
        }
        Ok(())
    }

    fn note_paced(&mut self, case: &str, at: (&'static str, u32), measured: &streams::Paced) {
        self.report.note(case, "CPU µs/event", at, measured.cpu);
        self.report.note_added(case, ("delay p50 µs", "  added p50 µs"), at, measured.delay[0]);
        self.report.note_added(case, ("delay p99 µs", "  added p99 µs"), at, measured.delay[1]);
        self.report.note(case, "first event p50 µs", at, measured.first[0]);
        self.report.note(case, "first event p99 µs", at, measured.first[1]);
        self.report.note(case, "events lost", at, usage::float(measured.lost));
        self.report.note(case, "kB for a live stream", at, measured.memory.map(|[_, stream]| stream));
        self.report.note("idle", "resident kB", at, measured.memory.map(|[idle, _]| idle));
    }
}
