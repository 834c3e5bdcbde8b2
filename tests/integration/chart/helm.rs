//! The real helm, offline, and what it renders, read.

use std::{
    ffi::OsStr,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;

use crate::support::parts::{program, python, root};

/// Both that are in use.
pub(super) const HELMS: [&str; 2] = ["helm3", "helm4"];
/// The oldest Kubernetes that the chart is for, and a new one.
pub(super) const KUBERNETES: [&str; 2] = ["1.29", "1.34"];

/// How a command ended.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) good: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// The folder of one of the charts.
pub(super) fn chart(name: &str) -> PathBuf {
    root().join("helm").join(name)
}

/// Runs a program with this on its standard input, and nothing of our environment but the `PATH`.
pub(super) fn run<A: AsRef<OsStr>>(program: PathBuf, arguments: impl IntoIterator<Item = A>, input: &str) -> Said {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", home.path()).current_dir(home.path()).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever does not read it has ended, and says why.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    // The links of files/ are told of each time.
    let stderr = text(output.stderr).split_inclusive('\n').filter(|line| !line.contains("found symbolic link")).collect();
    Said { good: output.status.success(), stdout: text(output.stdout), stderr }
}

/// `helm …` with these values on its standard input.
pub(super) fn helm<A: AsRef<OsStr>>(which: &str, arguments: impl IntoIterator<Item = A>, values: &str) -> Said {
    run(program(which), arguments, values)
}

/// `helm template` of a chart with these values.
pub(super) fn template(which: &str, kubernetes: &str, name: &str, values: &str) -> Said {
    let folder = chart(name);
    let version = format!("{kubernetes}.0");
    let arguments = ["template", "demo", folder.to_str().unwrap(), "--namespace", "agents", "--kube-version", &version, "--values", "-"];
    helm(which, arguments, values)
}

/// The documents that a chart is rendered to.
#[derive(Debug)]
pub(super) struct Rendered(pub(super) Vec<Value>);

/// Renders a chart that must render, by helm 4.
pub(super) fn rendered(kubernetes: &str, name: &str, values: &str) -> Rendered {
    let said = template("helm4", kubernetes, name, values);
    assert!(said.good, "{values}\n{}", said.stderr);
    Rendered(read(&said.stdout))
}

/// YAML as JSON.
pub(super) fn read(yaml: &str) -> Vec<Value> {
    let script = root().join("tests/integration/chart/manifests.py");
    let said = run(python(), [script.as_os_str(), OsStr::new("json")], yaml);
    assert!(said.good, "{}\n{yaml}", said.stderr);
    serde_json::from_str(&said.stdout).unwrap()
}

/// What stands between the texts of several.
const BOUNDARY: &str = "end-of-one";

/// The same for several at once, which is much faster.
pub(super) fn read_all(all: &[String]) -> Vec<Rendered> {
    let text: String = all.iter().map(|yaml| [yaml, "\n---\n", BOUNDARY, "\n---\n"].concat()).collect();
    let documents = read(&text);
    let mut rendered: Vec<_> = documents.split(|document| document == BOUNDARY).map(|one| Rendered(one.to_vec())).collect();
    assert!(rendered.pop().is_some_and(|rest| rest.0.is_empty()) && rendered.len() == all.len());
    rendered
}

impl Rendered {
    /// The documents of this kind.
    pub(super) fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |document| document["kind"] == kind)
    }

    /// The one of this kind.
    pub(super) fn one(&self, kind: &str) -> &Value {
        let found: Vec<_> = self.all(kind).collect();
        let [one] = found[..] else { panic!("{} of {kind}", found.len()) };
        one
    }

    /// `pillion.yaml`.
    pub(super) fn config(&self) -> &str {
        self.all("ConfigMap").find_map(|map| map["data"]["pillion.yaml"].as_str()).expect("a config")
    }

    /// The Deployment's pod.
    pub(super) fn pod(&self) -> &Value {
        &self.one("Deployment")["spec"]["template"]["spec"]
    }

    /// Pillion's container, alone or beside an agent.
    pub(super) fn pillion(&self) -> &Value {
        let containers = ["containers", "initContainers"].into_iter().filter_map(|list| self.pod()[list].as_array()).flatten();
        containers.into_iter().find(|container| container["name"] == "pillion").expect("Pillion's container")
    }
}

/// What is made of each, in their order, by as many threads as helps.
pub(super) fn each<T: Sync, R: Send>(all: &[T], make: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(at) else { return };
                    let result = make(one);
                    results.lock().unwrap().push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}
