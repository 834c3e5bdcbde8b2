//! `completions`: what a shell reads to complete verbs and flags. The files beside this one are written from the flags themselves by a test that also
//! holds them to those, so that the binary carries texts and no generator.

use std::io::{self, Write as _};

use clap::ValueEnum;

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

impl Shell {
    fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("completions/pillion.bash"),
            Self::Zsh => include_str!("completions/_pillion"),
            Self::Fish => include_str!("completions/pillion.fish"),
            Self::Elvish => include_str!("completions/pillion.elv"),
            Self::Powershell => include_str!("completions/_pillion.ps1"),
        }
    }
}

/// Prints it.
pub(super) fn print(shell: Shell) -> io::Result<()> {
    match io::stdout().lock().write_all(shell.script().as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
