//! `run -- COMMAND`: the proxy around a program, which finds it through the variables that SDKs read.

use std::{
    ffi::OsString,
    io::IsTerminal as _,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
};

use anyhow::{Context as _, bail};
use tokio::{
    process::{Child, Command},
    signal::unix::SignalKind,
    time::Instant,
};

use super::{
    run::{self, Signals},
    summary,
};
use crate::{
    config::{Environment, Loaded, LogFormat, LogLevel},
    server::{Server, StartError},
};

/// Starts the program, ends with it, and says what its agents did.
pub(super) async fn serve(mut loaded: Loaded, environment: &Environment, command: &[OsString]) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    if loaded.origins.is_default("telemetry.log.level") {
        // The terminal is the program's: only what goes wrong is said there.
        loaded.config.telemetry.log_level = LogLevel::Warn;
    }
    if loaded.origins.is_default("telemetry.log.format") {
        loaded.config.telemetry.log_format = LogFormat::Brief;
    }
    let mut signals = Signals::new()?;
    if loaded.config.server.listen.tcp().is_none() {
        bail!("no client takes a Unix socket for a base URL: `run -- COMMAND` wants an address and port in server.listen");
    }
    let server = start(&loaded)?;
    let since = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables(&server, environment))
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let status = wait(&mut child, &mut signals).await?;
    let telemetry = server.telemetry();
    run::stop(server, &mut signals).await;
    // A terminal that is gone cannot be told.
    let _ = summary::print(std::io::stderr().lock(), telemetry.recent().agents(), since.elapsed(), colours(environment));
    Ok(code(status))
}

/// Whether what is said at the end may be coloured: on a terminal that can, unless `NO_COLOR` says otherwise (<https://no-color.org>).
fn colours(environment: &Environment) -> bool {
    std::io::stderr().is_terminal() && environment.of("NO_COLOR").is_none() && environment.of("TERM") != Some("dumb")
}

/// On the ports of the config; where those are the default ones and taken, on any.
fn start(loaded: &Loaded) -> anyhow::Result<Server> {
    match run::start(loaded.config.clone(), &loaded.warnings) {
        Err(error) if is_taken(&error) && loaded.origins.is_default("server.listen") && loaded.origins.is_default("server.admin") => {
            let mut config = loaded.config.clone();
            let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            (config.server.listen, config.server.admin) = (any_port.into(), any_port.into());
            run::start(config, &[])
        }
        started => started,
    }
}

fn is_taken(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<StartError>(), Some(StartError::Bind { source, .. }) if source.kind() == std::io::ErrorKind::AddrInUse)
}

/// What points SDKs here. Requests to it must not go through a proxy of the environment.
fn variables(server: &Server, environment: &Environment) -> Vec<(&'static str, String)> {
    let root = server.url();
    let mut variables = vec![
        ("OPENAI_BASE_URL", format!("{root}/v1")),
        ("OPENAI_API_BASE", format!("{root}/v1")),
        ("ANTHROPIC_BASE_URL", root.clone()),
        ("GOOGLE_GEMINI_BASE_URL", root.clone()),
        ("OLLAMA_HOST", root),
    ];
    for name in ["NO_PROXY", "no_proxy"] {
        let others = environment.of(name).filter(|others| !others.is_empty()).map(|others| format!("{others},")).unwrap_or_default();
        let host = server.traffic().tcp().map(|address| address.ip().to_string()).unwrap_or_default();
        variables.push((name, format!("{others}{host}")));
    }
    variables
}

/// Until the program ends. A SIGTERM to us is passed on; a SIGINT of the terminal has reached it already.
async fn wait(child: &mut Child, signals: &mut Signals) -> anyhow::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            signal = signals.stop() => {
                if signal == SignalKind::terminate() && let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
                    // Fails only where it has just ended.
                    let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
                }
            }
        }
    }
}

/// Its own code; 128 and the signal's number where one killed it, as shells say it.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
