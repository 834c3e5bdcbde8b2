//! From file, environment and flags to one valid [`Config`], or to everything that is wrong with them. Only a file that `--config`
//! or `PILLION_CONFIG` names is read: a `pillion.yaml` that happens to lie in the working directory is not.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Config, Upstream, agents, destinations,
    environment::{self, Environment, put},
    errors::{Errors, Origin, Origins, Problem},
    fields::{Fields, Reading},
    proxies::Proxies,
    reporting, sections,
    tree::{self, Node},
    upstreams::UrlError,
};

/// What the command line says that the config says too.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--listen ADDR`: `server.listen`.
    pub listen: Option<String>,
    /// `--admin ADDR`: `server.admin`.
    pub admin: Option<String>,
    /// `--upstream URL`: where everything goes.
    pub upstream: Option<String>,
}

/// A valid config and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// Where each value came from.
    pub origins: Origins,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// What is allowed and still worth a look, a sentence each: for the log at the start.
    pub warnings: Vec<String>,
}

/// Reads the file that `file` or `PILLION_CONFIG` names, if any, and lays environment and flags over it.
pub fn load(file: Option<&Path>, flags: &Flags, environment: &Environment) -> Result<Loaded, Errors> {
    let file = file.map(Path::to_owned).or_else(|| environment.of(environment::FILE).map(PathBuf::from));
    let Some(file) = file else { return read(b"", None, flags, environment) };
    match content(&file, tree::LARGEST) {
        Ok(content) => read(&content, Some(&file), flags, environment),
        Err(error) => {
            let problem = Problem { origin: Origin::Default, path: String::new(), message: format!("cannot be read: {error}") };
            Err(Errors::new(file.display().to_string(), vec![problem]))
        }
    }
}

/// Like [`load`], with the file's `content` at hand. `file` is its name, and its folder is where the paths of files in it start.
pub fn read(content: &[u8], file: Option<&Path>, flags: &Flags, environment: &Environment) -> Result<Loaded, Errors> {
    let name = file.map(|file| file.display().to_string()).unwrap_or_default();
    let (mut root, problems) = tree::parse(content).map_err(|problem| Errors::new(name.clone(), vec![problem]))?;
    environment.lay_over(&mut root);
    for (flag, value, key) in [("--listen", &flags.listen, "LISTEN"), ("--admin", &flags.admin, "ADMIN")] {
        if let Some(value) = value {
            put(&mut root, &["SERVER", key], value, &Origin::Flag(flag));
        }
    }
    let mut reading = Reading { environment, origins: Origins::default(), problems, warnings: Vec::new() };
    let base = file.and_then(Path::parent).unwrap_or(Path::new(""));
    let config = config(&mut reading, root, flags, base);
    match config {
        Some(config) if reading.problems.is_empty() => {
            Ok(Loaded { config, origins: reading.origins, file: file.map(Path::to_owned), warnings: reading.warnings })
        }
        _ => Err(Errors::new(name, reading.problems)),
    }
}

/// The file, or of one that is larger than it may be one byte more than that: enough to tell.
pub(super) fn content(file: &Path, most: usize) -> io::Result<Vec<u8>> {
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    File::open(file)?.take(most).read_to_end(&mut content)?;
    Ok(content)
}

/// `None` only if a problem was reported.
fn config(reading: &mut Reading<'_>, root: Node, flags: &Flags, base: &Path) -> Option<Config> {
    let proxies = Proxies::of(reading);
    let only_upstream = flags.upstream.as_deref().map(|url| only_upstream(reading, url).map(|upstream| proxies.lead_to(upstream)));
    let resource = reporting::resource(reading);
    let mut fields = Fields::of(reading, String::new(), root);
    let server = fields.section_or_none("server", |fields| sections::server(fields, base));
    let upstreams = destinations::upstreams(&mut fields, base, &proxies);
    let (policy, context) = sections::policy_and_windows(&mut fields);
    let policy = Arc::new(policy);
    let routes = destinations::routes(&mut fields, &upstreams, &policy);
    let mut telemetry = fields.section_or_none("telemetry", |fields| reporting::telemetry(fields, base));
    telemetry.resource = resource;
    fields.later("limits", &[]);
    fields.later("loops", &[]);
    let agents = agents::agents(&mut fields, &routes, &policy);
    fields.finish();
    let upstreams: Option<BTreeMap<_, _>> = upstreams.into_iter().map(|(name, upstream)| Some((name, upstream?))).collect();
    Some(Config { server, upstreams: upstreams?, only_upstream: only_upstream.flatten().map(Arc::new), routes, agents, policy, context, telemetry })
}

fn only_upstream(reading: &mut Reading<'_>, url: &str) -> Option<Upstream> {
    let origin = Origin::Flag("--upstream");
    match Upstream::parse("upstream", url).map_err(UrlError::wanted) {
        Ok(upstream) => {
            reading.origins.set("upstream".to_owned(), origin);
            Some(upstream)
        }
        Err(wanted) => {
            reading.report(&origin, "upstream", format!("wants {wanted}"));
            None
        }
    }
}

#[cfg(test)]
mod tests;
