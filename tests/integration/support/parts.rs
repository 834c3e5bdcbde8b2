//! Real parts, started by the test that needs them on a free port and killed when dropped: Prometheus and Alertmanager, and the programs
//! that read what is shipped. `tests/setup` has installed them; a test whose part is not there has failed.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::{Agent, call, free};

/// How long a part may take to start on a busy machine.
const STARTING: Duration = Duration::from_mins(1);
/// How often it is asked whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// A program that `tests/setup` has installed: `promtool`, `helm4` …
pub(crate) fn program(name: &str) -> PathBuf {
    installed(&Path::new("clients/parts/bin").join(name))
}

/// A folder or a file below `target`, or where `target` is kept, that `tests/setup` has made.
pub(crate) fn installed(place: &Path) -> PathBuf {
    let found = Path::new(env!("CARGO_BIN_EXE_pillion")).ancestors().map(|folder| folder.join(place)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{} is not installed: run tests/run, or tests/setup once", place.display()))
}

/// The Python with what reads manifests and dashboards.
pub(crate) fn python() -> PathBuf {
    installed(Path::new("clients/manifests/bin/python"))
}

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A part that runs.
#[derive(Debug)]
pub(crate) struct Part {
    _child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _files: TempDir,
}

/// Starts a real Prometheus with this config (its `evaluation_interval`, `scrape_configs`, `alerting` …) and, beside it, these files by name. Scraped
/// exemplars are kept.
pub(crate) async fn prometheus(config: &str, files: &[(&str, &str)]) -> Part {
    let flags = |address: SocketAddr, folder: &Path| {
        vec![
            format!("--config.file={}", folder.join("config.yaml").display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address={address}"),
            "--enable-feature=exemplar-storage".to_owned(),
        ]
    };
    Part::start("prometheus", &[("config.yaml", config)], files, flags).await
}

/// Starts a real Alertmanager, alone, with this config.
pub(crate) async fn alertmanager(config: &str) -> Part {
    let flags = |address: SocketAddr, folder: &Path| {
        vec![
            format!("--config.file={}", folder.join("config.yaml").display()),
            format!("--storage.path={}", folder.join("data").display()),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(),
        ]
    };
    Part::start("prometheus-alertmanager", &[("config.yaml", config)], &[], flags).await
}

impl Part {
    async fn start(name: &str, config: &[(&str, &str)], files: &[(&str, &str)], flags: impl Fn(SocketAddr, &Path) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in config.iter().chain(files) {
            fs::write(folder.path().join(name), text).unwrap();
        }
        // Neither tells the port that it was given, so that one is chosen here; it may be somebody else's by then, and so another is tried.
        for _ in 0..5 {
            let address = free();
            let log = fs::File::create(folder.path().join("log")).unwrap();
            let mut command = Command::new(program(name));
            command.env_clear().kill_on_drop(true).current_dir(folder.path()).args(flags(address, folder.path()));
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
            if is_ready(&mut child, address).await {
                return Self { _child: child, address, _files: folder };
            }
        }
        panic!("{name} does not start: {}", fs::read_to_string(folder.path().join("log")).unwrap());
    }

    /// Its answer to a GET: JSON, which must say `success` where it says a status.
    pub(crate) async fn get(&self, target: &str) -> Value {
        let reply = Agent::stranger(self.address).await.ask(&call("GET", target)).await;
        let answer = serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{target}: {error}: {}", reply.text()));
        assert_eq!(reply.status, 200, "{target}: {answer}");
        answer
    }

    /// What a Prometheus says of this expression now: the list of `{metric, value}`.
    pub(crate) async fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/v1/query?query={}", utf8_percent_encode(expression, NON_ALPHANUMERIC))).await;
        match &answer["data"]["result"] {
            Value::Array(found) if answer["data"]["resultType"] == "vector" => found.clone(),
            scalar => vec![scalar.clone()],
        }
    }

    /// Asks again and again until the expression has a result, which it must have within `patience`.
    pub(crate) async fn query_until_found(&self, expression: &str, patience: Duration) -> Vec<Value> {
        let until = Instant::now() + patience;
        loop {
            let found = self.query(expression).await;
            if !found.is_empty() {
                return found;
            }
            assert!(Instant::now() < until, "nothing in {patience:?} for {expression}");
            sleep(LOOK * 4).await;
        }
    }
}

/// Whether it listens before it ends.
async fn is_ready(child: &mut Child, address: SocketAddr) -> bool {
    let until = Instant::now() + STARTING;
    while child.try_wait().unwrap().is_none() && Instant::now() < until {
        if TcpStream::connect(address).await.is_ok() {
            let reply = Agent::stranger(address).await.ask(&call("GET", "/-/ready")).await;
            if reply.status == 200 {
                return true;
            }
        }
        sleep(LOOK).await;
    }
    false
}

#[tokio::test]
async fn a_real_prometheus_and_alertmanager_start_and_answer() {
    let prometheus = prometheus("scrape_configs: []\n", &[]).await;
    assert_eq!(prometheus.query("1 + 1").await[0][1], "2");
    let alertmanager = alertmanager("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").await;
    assert!(alertmanager.get("/api/v2/alerts").await.as_array().unwrap().is_empty());
}
