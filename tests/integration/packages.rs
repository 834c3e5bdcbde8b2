//! Promise: the ways to run it that are shipped beside the source (completions, manual, image, compose file, unit, terminal view) fit what the source is.

mod demo;
mod shipped;
mod top;
mod written;

use std::{fs, path::PathBuf};

use crate::support::parts;

/// A file of the repository.
fn path(name: &str) -> PathBuf {
    parts::root().join(name)
}

/// What stands in it.
fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
