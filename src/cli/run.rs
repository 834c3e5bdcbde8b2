//! `run`: the proxy alone, until a signal; and what all verbs share: config, telemetry and server brought up, or one clear line why not.

use std::{io::Write as _, path::Path, process::ExitCode};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    config::{self, Config, Environment, Flags},
    server::Server,
    telemetry::Telemetry,
};

/// What ends a program from outside.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Kept so that it does not kill us: it is the sign to read the config again, which needs a restart for now.
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hangup: signal(SignalKind::hangup())? })
    }

    /// Waits for SIGTERM or SIGINT, and says which.
    pub(super) async fn stop(&mut self) -> SignalKind {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return SignalKind::terminate(),
                _ = self.interrupt.recv() => return SignalKind::interrupt(),
                _ = self.hangup.recv() => tracing::warn!("SIGHUP: this version reads its config at the start alone; restart it to change something"),
            }
        }
    }
}

/// Reads the config; what is wrong with it is printed whole.
pub(super) fn load(file: Option<&Path>, flags: &Flags, environment: &Environment) -> Result<config::Loaded, ExitCode> {
    checked(config::load(file, flags, environment))
}

/// The config, or, printed, what is wrong with it.
pub(super) fn checked(read: Result<config::Loaded, config::Errors>) -> Result<config::Loaded, ExitCode> {
    read.map_err(|errors| {
        say(&errors.to_string());
        ExitCode::from(super::USAGE)
    })
}

/// One line (or more) for the person at the terminal.
pub(super) fn say(text: &str) {
    // A terminal that is gone cannot be told so.
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}

/// Brings up telemetry and the proxy.
pub(super) fn start(config: Config, warnings: &[String]) -> anyhow::Result<Server> {
    let telemetry = Telemetry::start(&config.telemetry, Box::new(std::io::stderr()))?;
    // Fails only where one is set already: by a first try on other ports.
    let _ = tracing::subscriber::set_global_default(telemetry.subscriber());
    let _start = tracing::info_span!("start").entered();
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let server = Server::start(config, telemetry)?;
    tracing::info!("agents connect to {}, metrics are at {}/metrics", server.url(), server.admin().url(false));
    Ok(server)
}

/// The proxy alone, until SIGTERM or SIGINT; a second one ends it at once.
pub(super) async fn serve(loaded: config::Loaded) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let server = start(loaded.config, &loaded.warnings)?;
    signals.stop().await;
    tracing::info!("stopping: finishing what is in flight");
    Ok(stop(server, &mut signals).await)
}

/// Stops gracefully, unless a further signal says to stop now.
pub(super) async fn stop(server: Server, signals: &mut Signals) -> ExitCode {
    tokio::select! {
        () = server.stop() => ExitCode::SUCCESS,
        _ = signals.stop() => {
            say("pillion: stopped at once; exchanges in flight were cut");
            ExitCode::FAILURE
        }
    }
}
