//! The real binary as an operator starts it: a config file, an environment of its own, free ports; its stderr read, signals by id, killed
//! when dropped. What is waited for has a deadline; nothing sleeps.

use std::{ffi::OsString, fs, net::SocketAddr, process::Stdio, time::Duration};

use pillion::demo::model::Model;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

/// How long anything may take that takes no time.
const SOON: Duration = Duration::from_secs(10);

/// A `pillion` that is about to be started.
#[derive(Debug, Default)]
pub(crate) struct Start {
    verb: &'static str,
    config: Option<String>,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
}

/// `pillion run` on free ports.
pub(crate) fn run() -> Start {
    Start { verb: "run", ..Start::default() }.arguments(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
}

/// Any verb, with no arguments yet.
pub(crate) fn verb(verb: &'static str) -> Start {
    Start { verb, ..Start::default() }
}

/// How it ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Start {
    /// Reads this config file.
    pub(crate) fn config(mut self, yaml: &str) -> Self {
        self.config = Some(yaml.to_owned());
        self
    }

    /// Sends everything to this model.
    pub(crate) fn upstream(self, model: &Model) -> Self {
        self.arguments(["--upstream".to_owned(), model.url()])
    }

    /// More arguments.
    pub(crate) fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// A variable of its environment, which holds nothing else but the `PATH`.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Starts it and reads its addresses from what it says.
    pub(crate) async fn ready(self) -> Binary {
        let mut binary = self.spawned();
        let line = binary.says("agents connect to ").await;
        let mut addresses = line.split("://").skip(1).map(|rest| {
            let end = rest.find([',', '/', ' ']).unwrap_or(rest.len());
            rest[..end].parse::<SocketAddr>().unwrap_or_else(|error| panic!("{error} in {line:?}"))
        });
        (binary.traffic, binary.admin) = (addresses.next().expect("where agents connect"), addresses.next().expect("where the metrics are"));
        binary
    }

    /// Starts it and waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let since = Instant::now();
        let (mut command, _files) = self.command();
        let output = timeout(SOON, command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()).await.expect("it ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr), took: since.elapsed() }
    }

    /// Starts it, and knows no more of it than that.
    pub(crate) fn spawned(mut self) -> Binary {
        let (mut command, files) = self.command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it has just been started");
        let (said, heard) = watch::channel(Vec::new());
        let (reads, reading) = watch::channel(true);
        let mut reader = JoinSet::new();
        reader.spawn(listen(child.stderr.take().expect("a pipe"), said, reading));
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Binary { child, id, heard, traffic: nowhere, admin: nowhere, reader, reads, _files: files }
    }

    fn command(&mut self) -> (Command, TempDir) {
        let files = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").kill_on_drop(true).stdin(Stdio::null()).arg(self.verb);
        if let Some(config) = &self.config {
            let path = files.path().join("pillion.yaml");
            fs::write(&path, config).unwrap();
            command.arg("--config").arg(path);
        }
        command.args(&self.arguments).envs(self.environment.drain(..)).current_dir(files.path());
        (command, files)
    }
}

/// A running `pillion`.
#[derive(Debug)]
pub(crate) struct Binary {
    child: Child,
    id: Pid,
    heard: watch::Receiver<Vec<String>>,
    /// Where agents connect.
    pub(crate) traffic: SocketAddr,
    /// Where health and metrics are.
    pub(crate) admin: SocketAddr,
    reader: JoinSet<()>,
    reads: watch::Sender<bool>,
    _files: TempDir,
}

impl Binary {
    /// What it has said on stderr, line by line.
    pub(crate) fn said(&self) -> Vec<String> {
        self.heard.borrow().clone()
    }

    /// The first line with these words, waited for.
    pub(crate) async fn says(&mut self, words: &str) -> String {
        let line = |lines: &Vec<String>| lines.iter().find(|line| line.contains(words)).cloned();
        let found = timeout(SOON, self.heard.wait_for(|lines| line(lines).is_some())).await;
        let found = found.unwrap_or_else(|_| panic!("not said in time: {words:?}"));
        let lines = found.unwrap_or_else(|_| panic!("stderr ended without {words:?}"));
        line(&lines).expect("just seen")
    }

    /// Closes the pipe that its stderr is: what it writes from now on fails.
    pub(crate) fn close_stderr(&mut self) {
        self.reader.abort_all();
    }

    /// Reads its stderr no more, and leaves it open: what it writes fills the pipe, and then waits.
    pub(crate) fn stop_reading(&self) {
        self.reads.send(false).expect("the reader listens until it is dropped");
    }

    /// Its process.
    pub(crate) fn id(&self) -> i32 {
        self.id.as_raw_nonzero().get()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id, signal).expect("it runs");
    }

    /// Waits until it has ended: its exit code, and how long that took from now.
    pub(crate) async fn exit(&mut self, within: Duration) -> (Option<i32>, Duration) {
        let since = Instant::now();
        let status = timeout(within, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("it still runs after {within:?}; it said {:#?}", self.said())).unwrap();
        (status.code(), since.elapsed())
    }

    /// How many descriptors it may have open from now on.
    pub(crate) fn limit_descriptors(&self, most: u64) {
        let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
        prlimit(Some(self.id), Resource::Nofile, Rlimit { current: Some(most), maximum: hard }).unwrap();
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id.as_raw_nonzero())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// The processor time that it has used.
    pub(crate) fn processor_time(&self) -> Duration {
        /// Linux tells in hundredths of a second on every architecture that matters.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id.as_raw_nonzero())).unwrap();
        let after_name = stat.rsplit_once(')').expect("a name in parentheses").1;
        let ticks = |field: usize| after_name.split_whitespace().nth(field).unwrap().parse::<u32>().unwrap();
        TICK * (ticks(11) + ticks(12))
    }
}

async fn listen(stderr: ChildStderr, said: watch::Sender<Vec<String>>, mut reading: watch::Receiver<bool>) {
    let mut lines = BufReader::new(stderr).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) => said.send_modify(|all| all.push(line)),
                _ => return,
            },
            stopped = async { reading.wait_for(|reading| !reading).await.is_ok() } => {
                if stopped {
                    std::future::pending::<()>().await;
                }
                return;
            }
        }
    }
}
