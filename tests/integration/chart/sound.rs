//! What is rendered is what Kubernetes and the Prometheus operator know, and what a scanner for insecure settings has nothing against.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    cases::{CASES, Case, SEEN, case},
    helm::{HELMS, KUBERNETES, Said, chart, each, helm, read, run, template},
};
use crate::support::parts::{python, root};

/// What the scanner has against the chart, and why it is so all the same. The second is where: a part of the resource's name.
const ACCEPTED: [(&str, &str, &str); 8] = [
    ("CKV_K8S_11", "", "a limit on cpu holds back every stream as soon as it is used up; requests and a limit on memory are there"),
    ("CKV_K8S_15", "", "tags are versions, and do not move; image.pullPolicy is there"),
    ("CKV_K8S_35", "", "`${NAME}` of the config reads the environment"),
    ("CKV_K8S_43", "", "no image is published whose digest could be named; image.digest is there"),
    ("CKV_K8S_8", "Pod.agents.demo-pillion-probe", "the pod of `helm test` ends by itself"),
    ("CKV_K8S_9", "Pod.agents.demo-pillion-probe", "the same"),
    ("CKV_K8S_8", "Deployment.agents.demo", "the agents of the example serve nothing that could be asked; Pillion beside them has its probes"),
    ("CKV_K8S_9", "Deployment.agents.demo", "the same"),
];
/// Only a network policy answers it, and that is the cluster's matter where it is not switched on, and the agents' where Pillion is beside them.
const NO_POLICY: &str = "CKV2_K8S_6";

#[test]
fn both_helms_lint_both_charts_and_find_nothing() {
    for which in HELMS {
        for name in ["pillion", "example"] {
            let folder = chart(name);
            let said = helm(which, ["lint".as_ref(), "--strict".as_ref(), "--quiet".as_ref(), folder.as_os_str()], "");
            assert!(
                said.good && !said.stdout.contains("WARNING") && !said.stdout.contains("ERROR"),
                "{which} {name}: {}{}",
                said.stdout,
                said.stderr
            );
        }
    }
}

#[test]
fn every_combination_is_rendered_to_what_kubernetes_and_the_operator_take() {
    let folder = tempfile::tempdir().unwrap();
    let runs: Vec<_> = CASES.iter().flat_map(|case| KUBERNETES.map(|kubernetes| (case, kubernetes))).collect();
    each(&runs, |(Case { name, chart, values }, kubernetes)| {
        let [one, other] = HELMS.map(|which| {
            let said = template(which, kubernetes, chart, values);
            assert!(said.good, "{which}: {name}: {}", said.stderr);
            fs::write(folder.path().join(format!("{name}-{kubernetes}-{which}.yaml")), &said.stdout).unwrap();
            said.stdout
        });
        assert_eq!(comparable(&one), comparable(&other), "{name} for {kubernetes}: the helms do not agree");
    });
    let said = check(folder.path(), &KUBERNETES);
    assert!(said.good, "{}{}", said.stdout, said.stderr);
    let read: usize = said.stdout.trim().strip_prefix("read ").and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    assert!(read > runs.len() * HELMS.len() * 4, "{}", said.stdout);
}

/// The lines that do not depend on chance, in order of the text: the helms print documents in orders of their own.
fn comparable(yaml: &str) -> Vec<&str> {
    let mut lines: Vec<_> =
        yaml.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with("  token: ") && !line.starts_with("---")).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn what_would_be_wrong_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let good = template("helm4", "1.34", "pillion", SEEN).stdout;
    let wrong = [
        ("field", "terminationGracePeriodSeconds:", "terminationGracePeriod:"),
        ("label", "release: prom", "release: prom+"),
        ("operator", "scrapeTimeout:", "scrapeTimeouts:"),
        ("variable", "name: K8S_POD_NAME", "name: OTEL_RESOURCE_ATTRIBUTES"),
        ("key", "kind: Service\n", "kind: Service\nkind: Service\n"),
    ];
    for (name, from, to) in wrong {
        assert!(good.contains(from), "{from}");
        fs::write(folder.path().join(name).with_extension("yaml"), good.replace(from, to)).unwrap();
    }
    let said = check(folder.path(), &["1.34"]);
    assert!(!said.good);
    for (name, ..) in wrong {
        assert!(said.stdout.contains(&format!("{name}.yaml: ")), "{name}: {}", said.stdout);
    }
}

/// Holds the documents of a folder to the schemas of these versions, and those of the operator.
fn check(folder: &Path, versions: &[&str]) -> Said {
    let script = root().join("tests/integration/chart/manifests.py");
    let arguments = [script.as_os_str(), OsStr::new("check"), folder.as_os_str()];
    run(python(), arguments.into_iter().chain(versions.iter().map(OsStr::new)), "")
}

#[test]
fn a_scanner_has_nothing_against_it_but_what_has_its_reason() {
    // It looks into no folder with a dot in front.
    let folder = tempfile::Builder::new().prefix("chart").tempdir().unwrap();
    for name in ["default", "seen", "tls", "upstreams", "sidecar", "example-seen"] {
        let Case { chart, values, .. } = case(name);
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("all.yaml"), template("helm4", "1.34", chart, values).stdout).unwrap();
    }
    let arguments = ["-m", "checkov.main", "--framework", "kubernetes", "--skip-download", "--compact", "--output", "json", "--directory"];
    let said = run(python(), arguments.into_iter().map(PathBuf::from).chain([folder.path().to_owned()]), "");
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stderr));
    assert_eq!(report["summary"]["parsing_errors"], 0);
    assert!(report["summary"]["passed"].as_u64().unwrap() > 200, "{}", report["summary"]);
    let mut used = BTreeSet::new();
    for failed in report["results"]["failed_checks"].as_array().unwrap() {
        let text = |key: &str| failed[key].as_str().unwrap();
        let (check, resource, file) = (text("check_id"), text("resource"), text("file_path"));
        let accepted = ACCEPTED.iter().position(|(id, place, _)| check == *id && (place.is_empty() || resource == *place));
        let has_policy = ["/seen/", "/upstreams/"].iter().any(|place| file.contains(place));
        assert!(accepted.is_some() || check == NO_POLICY && !has_policy, "{check} {}: {resource} of {file}", text("check_name"));
        used.extend(accepted);
    }
    assert_eq!(used.len(), ACCEPTED.len(), "what is accepted and is not there any more: only {used:?} are");
}

#[test]
fn what_is_rendered_is_read_as_it_stands() {
    assert_eq!(read("a: [1, 'x']\n---\nb: on\n")[0]["a"][1], "x");
}
