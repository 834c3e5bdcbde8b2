//! `dashboards`: writes the dashboards and the rules that belong to this version, for whoever has the binary and not its sources.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::dashboards::{self, RULES};

/// Writes all of it below `folder`, which is made if it is not there, over whatever is there; says what was written.
pub(super) fn write(folder: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let mut files: Vec<(PathBuf, String)> =
        dashboards::all().iter().map(|dashboard| (folder.join(dashboard.file).with_extension("json"), dashboard.json())).collect();
    files.push((folder.join("alerts").join("pillion.rules.yaml"), RULES.to_owned()));
    for (path, text) in files {
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        match writeln!(out, "{}", path.display()) {
            // Whoever reads has seen enough: the files are written all the same.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            told => told?,
        }
    }
    Ok(())
}
