//! The verbs and their flags; nothing else knows of clap.

mod around;
mod completions;
mod dashboards;
mod demo;
mod probe;
mod run;
mod summary;
mod top;
mod window;

use std::{ffi::OsString, io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueHint,
    builder::{StringValueParser, TypedValueParser as _},
};

use crate::{
    config::{Environment, Flags, Selection},
    context,
    secret::Secret,
};

/// Exit code of a usage or config error.
pub const USAGE: u8 = 2;

/// An observability sidecar proxy for LLM traffic: point your agents' `base_url` at it and change nothing else.
#[derive(Debug, Parser)]
#[command(name = "pillion", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the proxy, or the proxy around a program: `pillion run -- python agents.py`
    Run(Run),
    /// Simulated agents against a simulated model through the real proxy: no key, no network
    Demo(Demo),
    /// Check the configuration and print what is in effect, with the origin of each value
    Check(Check),
    /// The simulated model alone, with faults to order
    Simulate(Simulate),
    /// Write the Grafana dashboards and the Prometheus rules of this version
    Dashboards(Dashboards),
    /// What a running Pillion's agents do, in this terminal and as it goes
    Top(Top),
    /// Print what a shell reads to complete verbs and flags
    Completions {
        /// The shell
        shell: completions::Shell,
    },
}

#[derive(Debug, Args)]
struct Shared {
    /// The configuration file (YAML). None is needed [env: `PILLION_CONFIG`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Where agents connect [default: 127.0.0.1:4100]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where health and metrics are [default: 127.0.0.1:4101]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Send everything to this URL
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    shared: Shared,
    /// A program to start with its base URLs pointing here; Pillion ends with it and with its exit code
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    shared: Shared,
    /// Also try each upstream, hop by hop: DNS, TCP, TLS, HTTP, list of models, credentials
    #[arg(long)]
    probe: bool,
    /// Show what is in effect for this agent
    #[arg(long)]
    agent: Option<String>,
    /// … and this model
    #[arg(long)]
    model: Option<String>,
    /// … and this path
    #[arg(long)]
    path: Option<String>,
}

#[derive(Debug, Args)]
struct Demo {
    /// End after this long; else with Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Same seed, same story
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the simulated agents connect, and others may [default: a free port of the loopback]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where health and metrics are [default: a free port of the loopback]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
}

#[derive(Debug, Args)]
struct Top {
    /// The admin port to look at: an address or a URL [env: `PILLION_SERVER__ADMIN`] [default: 127.0.0.1:4101]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Its token; in the environment others on this machine cannot read it [env: `PILLION_SERVER__ADMIN_TOKEN`]
    #[arg(long, value_name = "TOKEN", value_parser = StringValueParser::new().map(Secret::new))]
    token: Option<Secret>,
    /// How often to look
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "2s")]
    interval: Duration,
    /// Look once, print it and end; so it is where the output is no terminal, too
    #[arg(long)]
    once: bool,
}

#[derive(Debug, Args)]
struct Simulate {
    /// Where it listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4110")]
    listen: SocketAddr,
    /// A script of answers and faults (YAML or JSON); `--example` prints one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    script: Option<PathBuf>,
    /// Same seed, same answers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Time to the first token
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "0ms")]
    latency: Duration,
    /// Pace of a stream; 0 is as fast as can be
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    tokens_per_second: f64,
    /// Serve TLS (and plain HTTP still) with a certificate for localhost of a CA made up now, which is written to this file
    #[arg(long, value_name = "CA_FILE", value_hint = ValueHint::FilePath, num_args = 0..=1, default_missing_value = "simulate-ca.pem")]
    tls: Option<PathBuf>,
    /// Serve TLS with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// … and its key (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Print a script with comments that shows every kind of answer and fault, and end
    #[arg(long)]
    example: bool,
}

#[derive(Debug, Args)]
struct Dashboards {
    /// The folder they go to: `DIR/*.json` and `DIR/alerts/pillion.rules.yaml`; files of an earlier version are written over
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: PathBuf,
}

impl Shared {
    fn flags(&self) -> Flags {
        Flags { listen: self.listen.clone(), admin: self.admin.clone(), upstream: self.upstream.clone() }
    }
}

impl Cli {
    /// Does what the verb says, and says how it ended.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let environment = Environment::of_process();
        match self.verb {
            Verb::Run(verb) => {
                let loaded = match run::load(verb.shared.config.as_deref(), &verb.shared.flags(), &environment) {
                    Ok(loaded) => loaded,
                    Err(code) => return Ok(code),
                };
                let runtime = runtime()?;
                if verb.command.is_empty() {
                    runtime.block_on(run::serve(loaded))
                } else {
                    runtime.block_on(around::serve(loaded, &environment, &verb.command))
                }
            }
            Verb::Check(verb) => {
                let loaded = match run::load(verb.shared.config.as_deref(), &verb.shared.flags(), &environment) {
                    Ok(loaded) => loaded,
                    Err(code) => return Ok(code),
                };
                if verb.probe {
                    let good = runtime()?.block_on(probe::probe(&loaded, &mut std::io::stdout()))?;
                    return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
                }
                let selection = Selection { agent: verb.agent, model: verb.model, path: verb.path };
                let mut out = std::io::stdout().lock();
                let printed = loaded
                    .print(&mut out, &selection)
                    .and_then(|()| window::print(&mut out, &loaded.config, &selection))
                    .and_then(|()| writeln!(out, "# prices and windows of other models: as of {}", context::DATE));
                match printed {
                    // Whoever reads has seen enough: `pillion check | head`.
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
                    printed => Ok(printed.map(|()| ExitCode::SUCCESS)?),
                }
            }
            Verb::Demo(verb) => runtime()?.block_on(demo::run(verb, &environment)),
            Verb::Simulate(verb) => runtime()?.block_on(demo::simulate(verb)),
            Verb::Dashboards(verb) => dashboards::write(&verb.out, &mut std::io::stdout()).map(|()| ExitCode::SUCCESS),
            Verb::Top(verb) => runtime()?.block_on(top::run(verb, &environment)),
            Verb::Completions { shell } => Ok(completions::print(shell).map(|()| ExitCode::SUCCESS)?),
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
