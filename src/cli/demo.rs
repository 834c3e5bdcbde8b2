//! `demo` and `simulate`.

use std::{process::ExitCode, time::Duration};

use super::run::Signals;
use crate::demo::{self, SimulateOptions};

/// The simulated model alone, until a signal.
pub(super) async fn simulate(verb: super::Simulate) -> anyhow::Result<ExitCode> {
    let super::Simulate { listen, script, seed, latency, tokens_per_second } = verb;
    let options = SimulateOptions { listen, script, seed, latency, tokens_per_second };
    let mut signals = Signals::new()?;
    demo::simulate(options, &mut std::io::stdout(), async move {
        signals.stop().await;
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

/// The whole thing.
pub(super) async fn run(_duration: Option<Duration>, _seed: u64) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
