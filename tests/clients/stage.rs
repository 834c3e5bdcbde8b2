//! What stands around a scenario: simulated models, Pillion, the program of a pinned client. Every process is the real one, on a port
//! of its own, in an environment of its own, and ends with its test.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test whose surroundings do not stand has failed")]

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Lines},
    process::{Child, Command},
    sync::RwLock,
    task::JoinSet,
    time::timeout,
};

use crate::installed::Client;

/// The binary under test.
pub(crate) const PILLION: &str = env!("CARGO_BIN_EXE_pillion");
/// Where the scenarios are.
pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// What anything may take before the test has failed: far more than it does, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_mins(2);

/// Held for writing by scenarios in which two clocks race: what else is played on this machine would only slow one of them.
/// (Under nextest, where each test is a process, its configuration sees to that.)
static QUIET: RwLock<()> = RwLock::const_new(());

/// A scenario, and what it is played on.
#[derive(Debug, Clone)]
pub(crate) struct Play {
    pub(crate) client: Client,
    pub(crate) file: &'static str,
    pub(crate) name: &'static str,
    /// Of the model that is asked directly, and of the one behind Pillion.
    pub(crate) seeds: [u64; 2],
    /// Whether there is a Pillion.
    pub(crate) carried: bool,
}

impl Play {
    /// A scenario on two models that are alike.
    pub(crate) fn of(client: Client, file: &'static str, name: &'static str) -> Self {
        Self { client, file, name, seeds: [1, 1], carried: true }
    }

    /// It must hold.
    pub(crate) async fn holds(self) {
        let (program, log) = self.play().await;
        assert_eq!(program.code, Some(0), "{}\n--- Pillion said ---\n{log}", said(&program));
    }

    /// It must not, and says why.
    pub(crate) async fn fails(self) -> String {
        let (program, _) = self.play().await;
        assert_eq!(program.code, Some(1), "{}", said(&program));
        program.stderr
    }

    async fn play(self) -> (Ended, String) {
        let races = self.name.contains("stall");
        let _alone = if races { Some(QUIET.write().await) } else { None };
        let _among_others = if races { None } else { Some(QUIET.read().await) };
        let [direct, behind] = self.seeds.map(|seed| model(seed, &[]));
        let (direct, behind) = (direct.await, behind.await);
        let pillion = if self.carried { Some(self.pillion(&behind.url).await) } else { None };
        let through = pillion.as_ref().map_or(&behind.url, |pillion| &pillion.url);
        let script = format!("{}.{}", self.file, self.client.extension());
        let arguments = [&script, self.name, "--direct", &direct.url, "--through", through, "--behind", &behind.url].map(OsString::from);
        let metrics = pillion.as_ref().and_then(|pillion| pillion.metrics.as_deref()).map(|metrics| ["--metrics", metrics].map(OsString::from));
        let command: Vec<_> = [self.client.interpreter()].into_iter().chain(arguments).chain(metrics.into_iter().flatten()).collect();
        let program = run(&command, &self.client.variables()).await;
        let mut log = String::new();
        for server in pillion.into_iter().chain([direct, behind]) {
            log.push_str(&server.stop().await);
        }
        (program, log)
    }

    /// With its defaults, but where a scenario is about another value or makes more failures than an upstream's budget of retries has room for.
    async fn pillion(&self, upstream: &str) -> Server {
        let variables: &[(&str, String)] = match self.name {
            "errors_by_status" | "errors_by_status_streamed" => &[("PILLION_RETRIES__BUDGET__BURST", "1000".to_owned())],
            "a_stall_in_mid_stream_is_told_by_pillions_idle_clock" => &[("PILLION_TIMEOUTS__IDLE", "1s".to_owned())],
            "a_stall_is_told_by_pillions_own_clock" => &[("PILLION_TIMEOUTS__FIRST_TOKEN", "1s".to_owned())],
            name if self.file.starts_with("long_") && !name.contains("_learnt") => &[("PILLION_CONTEXT__WINDOWS__*", "3000".to_owned())],
            _ => &[],
        };
        let arguments = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", upstream];
        Server::start(&arguments, variables, "agents connect to ").await
    }
}

/// A server that has said where it listens.
#[derive(Debug)]
pub(crate) struct Server {
    /// `http://ADDRESS`.
    pub(crate) url: String,
    /// Where its metrics are, if it has said so.
    pub(crate) metrics: Option<String>,
    child: Child,
    /// What it says from then on.
    log: JoinSet<String>,
}

/// A simulated model that plays a script, which it has read when it says where it listens.
pub(crate) async fn model_with(script: &str) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script.yaml");
    std::fs::write(&path, script).unwrap();
    model(1, &["--script", path.to_str().unwrap()]).await
}

async fn model(seed: u64, more: &[&str]) -> Server {
    let seed = seed.to_string();
    let arguments = [&["simulate", "--listen", "127.0.0.1:0", "--seed", &seed], more].concat();
    Server::start(&arguments, &[], "listening on ").await
}

impl Server {
    /// Starts Pillion with these arguments, and waits until it says where it listens.
    pub(crate) async fn start(arguments: &[&str], variables: &[(&str, String)], announcement: &str) -> Self {
        let mut child = command(PILLION.as_ref(), variables).args(arguments).spawn().unwrap();
        let mut output = lines(child.stdout.take().unwrap());
        let mut errors = lines(child.stderr.take().unwrap());
        let mut said = String::new();
        let announced = async {
            loop {
                let line = tokio::select! {
                    Ok(Some(line)) = output.next_line() => line,
                    Ok(Some(line)) = errors.next_line() => line,
                    else => return None,
                };
                said.push_str(&line);
                said.push('\n');
                if let Some((_, rest)) = line.split_once(announcement) {
                    let metrics = line.split_once("metrics are at ").map(|(_, metrics)| metrics.trim_end().to_owned());
                    return Some((rest.split([',', ' ']).next().unwrap_or_default().to_owned(), metrics));
                }
            }
        };
        let announced = timeout(PATIENCE, announced).await.ok().flatten();
        let Some((url, metrics)) = announced else { panic!("{arguments:?} did not say where it listens:\n{said}") };
        let mut log = JoinSet::new();
        log.spawn(rest(output));
        log.spawn(rest(errors));
        Self { url, metrics, child, log }
    }

    /// Asks it to end, which it must do well; what it has said.
    pub(crate) async fn stop(mut self) -> String {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it still runs");
        kill_process(id, Signal::TERM).unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends when it is asked to").unwrap();
        let log = self.log.join_all().await.concat();
        assert!(status.success(), "{status}\n{log}");
        log
    }
}

fn lines<R: AsyncRead + Unpin>(reader: R) -> Lines<BufReader<R>> {
    BufReader::new(reader).lines()
}

async fn rest<R: AsyncRead + Unpin>(lines: Lines<BufReader<R>>) -> String {
    let mut text = Vec::new();
    // What cannot be read any more is not in the log.
    let _ = lines.into_inner().read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code, unless a signal killed it.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What went wrong.
    pub(crate) stderr: String,
}

/// All that it said, for a failure's message.
pub(crate) fn said(ended: &Ended) -> String {
    format!("exit code {:?}\n--- stdout ---\n{}\n--- stderr ---\n{}", ended.code, ended.stdout, ended.stderr)
}

/// Runs a program to its end.
pub(crate) async fn run(words: &[OsString], variables: &[(&str, String)]) -> Ended {
    let (program, arguments) = words.split_first().unwrap();
    let running = command(program, variables).args(arguments).output();
    let Ok(output) = timeout(PATIENCE, running).await else { panic!("{words:?} has not ended within {PATIENCE:?}") };
    let output = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// In the scenarios' folder, with nothing of the environment that tests were started in: no proxy, no key, no address.
fn command(program: &OsStr, variables: &[(&str, String)]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(PathBuf::from(FOLDER)).env_clear();
    command.envs([("PYTHONDONTWRITEBYTECODE", "1"), ("PYTHONHASHSEED", "0"), ("PYTHONUTF8", "1"), ("PYTHONWARNINGS", "ignore")]);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
