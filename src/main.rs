//! The `pillion` command: parses flags, runs the verb, maps the outcome to an exit code.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use pillion::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            // A terminal that is gone cannot be told so.
            let _ = writeln!(std::io::stderr().lock(), "pillion: {error:#}");
            ExitCode::FAILURE
        }
    }
}
