//! `simulate`: the simulated model alone. `demo`: simulated agents, the real proxy and the simulated model, in one process and on free ports.

use std::{
    io::{IsTerminal as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{sync::mpsc, time::sleep};

use super::run::{self, Signals};
use crate::{
    config::{self, Environment, Flags, Loaded, LogLevel},
    demo::{
        self, ServeTls, SimulateOptions,
        agents::{self, FAULTS},
        model::{Model, ModelOptions, Pace},
        script::{EXAMPLE, Script},
        summary::{Printer, follow},
    },
    telemetry::{Telemetry, names::Outcome},
};

/// Clocks short enough that a stalled model shows within a demo's first seconds.
const CONFIG: &str = "timeouts:\n  first_token: 4s\n  idle: 4s\n";
/// Pace of the simulated model, so that a stream can be seen to flow.
const PACE: Pace = Pace { first_token: Duration::from_millis(250), tokens_per_second: Some(60.0) };
/// What the demo takes from the environment: the admin port's token, which an address beyond loopback needs, and where spans go.
const VARIABLES: [&str; 4] = [super::top::TOKEN_VARIABLE, "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS"];
/// Events that wait to be printed; agents wait for a slow terminal.
const EVENTS: usize = 256;

/// The simulated model alone, until a signal.
pub(super) async fn simulate(verb: super::Simulate) -> anyhow::Result<ExitCode> {
    let super::Simulate { listen, script, seed, latency, tokens_per_second, tls, tls_cert, tls_key, example } = verb;
    if example {
        std::io::stdout().write_all(EXAMPLE.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let tls = match (tls, tls_cert.zip(tls_key)) {
        (_, Some((chain, key))) => ServeTls::Given { chain, key },
        (Some(ca), None) => ServeTls::MadeUp { ca },
        (None, None) => ServeTls::Off,
    };
    let options = SimulateOptions { listen, script, seed, latency, tokens_per_second, tls };
    let mut signals = Signals::new()?;
    let stopped = async move {
        signals.stop().await;
    };
    demo::simulate(options, &mut std::io::stdout(), stopped).await?;
    Ok(ExitCode::SUCCESS)
}

/// The whole thing, until a signal or for as long as it was told to.
pub(super) async fn run(verb: super::Demo, environment: &Environment) -> anyhow::Result<ExitCode> {
    let super::Demo { duration, seed, listen, admin } = verb;
    let mut signals = Signals::new()?;
    let script = Script::read(FAULTS).context("the demo's own script is wrong")?;
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let model = Model::start(ModelOptions { listen: any_port, seed, script, pace: PACE, ..ModelOptions::default() }).await?;
    let loaded = match configured(&model, [listen, admin], environment) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let server = run::start(loaded.config, &[])?;
    let mut out = std::io::stdout();
    writeln!(out, "Simulated agents talk to a simulated model ({}) through Pillion.", model.url())?;
    writeln!(out, "  agents connect to  {}\n  metrics            {}/metrics", server.url(), server.admin().url(false))?;
    writeln!(out, "  live view          pillion top --admin {}\n", server.admin())?;

    let (events, story) = mpsc::channel(EVENTS);
    let printer = Printer::new(std::io::stdout(), std::io::stdout().is_terminal());
    let told_to_end = async {
        let over = async {
            match duration {
                Some(duration) => sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => {}
            _ = signals.stop() => {}
        }
    };
    let traffic = server.traffic().tcp().context("the demo listens on TCP")?;
    let ((), summary) = tokio::join!(agents::run(traffic, seed, events, told_to_end), follow(story, printer));
    summary?;
    let telemetry = server.telemetry();
    let code = run::stop(server, &mut signals).await;
    model.stop().await;
    writeln!(out, "\nPillion counted{}", counted(&telemetry))?;
    Ok(code)
}

/// The default config, in front of the simulated model alone, and quiet: the agents' own story is what is printed. Of the environment it takes what it
/// needs to be looked at.
fn configured(model: &Model, addresses: [Option<String>; 2], environment: &Environment) -> Result<Loaded, ExitCode> {
    let [listen, admin] = addresses.map(|address| address.or_else(|| Some("127.0.0.1:0".to_owned())));
    let flags = Flags { listen, admin, upstream: Some(model.url()) };
    let environment: Environment = VARIABLES.into_iter().filter_map(|name| Some((name, environment.of(name)?))).collect();
    let mut loaded = run::checked(config::read(CONFIG.as_bytes(), None, &flags, &environment))?;
    loaded.config.telemetry.log_level = LogLevel::Off;
    Ok(loaded)
}

fn counted(telemetry: &Telemetry) -> String {
    let ended = |outcome: Outcome| (telemetry.ended(outcome) > 0).then(|| format!(" {} {}", telemetry.ended(outcome), outcome.as_str()));
    Outcome::ALL.into_iter().filter_map(ended).collect::<Vec<_>>().join(",")
}
