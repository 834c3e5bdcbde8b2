//! The chart carries the dashboards and the rules that stand in `dashboards/`, and says how to go on.

use std::{fs, path::Path};

use serde_json::Value;

use super::helm::{HELMS, chart, helm, read, rendered, run};
use crate::support::parts::root;

/// What an annotation-less object may hold at most, in bytes.
const LARGEST: usize = 1 << 20;

/// The dashboards' files, by name.
fn dashboards() -> Vec<String> {
    let files = fs::read_dir(root().join("dashboards")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = files.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "json")).collect();
    names.sort_unstable();
    names
}

/// The groups of the rules' file.
fn groups() -> Value {
    read(&fs::read_to_string(root().join("dashboards/alerts/pillion.rules.yaml")).unwrap()).remove(0)["groups"].take()
}

/// All rules of all groups.
fn rules(groups: &Value) -> Vec<Value> {
    groups.as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[test]
fn the_chart_is_for_this_version_of_pillion() {
    let about = read(&fs::read_to_string(chart("pillion").join("Chart.yaml")).unwrap()).remove(0);
    assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(rendered("1.34", "pillion", "").pillion()["image"], format!("pillion:{}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_chart_is_for_the_image_that_the_dockerfile_makes() {
    let file = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let says = |word: &str| file.lines().rev().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("{word}")).trim();
    let rendered = rendered("1.34", "pillion", "");
    let (pillion, context) = (rendered.pillion(), &rendered.pillion()["securityContext"]);
    assert_eq!(says("USER "), format!("{}:{}", context["runAsUser"], context["runAsGroup"]));
    assert_eq!(says("ENTRYPOINT "), r#"["/pillion"]"#, "the container's arguments are Pillion's");
    assert!(pillion["command"].is_null() && pillion["args"][0] == "run");
    let ports: Vec<_> = pillion["ports"].as_array().unwrap().iter().map(|port| port["containerPort"].to_string()).collect();
    assert_eq!(says("EXPOSE "), ports.join(" "));
}

#[test]
fn every_dashboard_is_in_a_configmap_of_its_own_that_is_small_enough() {
    let rendered = rendered("1.34", "pillion", "dashboards: {enabled: true, annotations: {grafana_folder: Agents}}");
    let maps: Vec<_> = rendered.all("ConfigMap").filter(|map| map["metadata"]["labels"]["grafana_dashboard"] == "1").collect();
    assert_eq!(maps.len(), dashboards().len());
    for name in dashboards() {
        let key = format!("pillion-{name}");
        let text =
            maps.iter().find_map(|map| map["data"][&key].as_str()).unwrap_or_else(|| panic!("{name} is linked from helm/pillion/files/dashboards"));
        let source = fs::read_to_string(root().join("dashboards").join(&name)).unwrap();
        assert_eq!(text.trim_end(), source.trim_end(), "{name}");
        assert!(text.len() < LARGEST, "{name}: {}", text.len());
    }
    assert!(maps.iter().all(|map| map["metadata"]["annotations"]["grafana_folder"] == "Agents"));
}

#[test]
fn the_rules_are_those_of_the_file_but_for_what_the_values_change() {
    let of = |values: &str| rendered("1.34", "pillion", values).one("PrometheusRule")["spec"]["groups"].clone();
    assert_eq!(of("alerts: {enabled: true}"), groups());
    let all = rules(&groups());
    let Some(alert) = all.iter().find(|rule| rule["alert"].is_string()) else { return assert!(all.is_empty(), "rules, and no alert") };
    let (name, severity) = (alert["alert"].as_str().unwrap(), alert["labels"]["severity"].as_str().unwrap());
    let changed = rules(&of(&format!("alerts: {{enabled: true, severities: {{{severity}: wake-somebody}}, extraLabels: {{team: red}}}}")));
    for (before, after) in all.iter().zip(&changed) {
        if before["alert"].is_null() {
            assert_eq!(before, after, "a recording rule is left alone");
            continue;
        }
        let wanted = if before["labels"]["severity"] == severity { "wake-somebody" } else { before["labels"]["severity"].as_str().unwrap() };
        assert_eq!((&after["labels"]["severity"], &after["labels"]["team"]), (&wanted.into(), &"red".into()));
        assert_eq!((&before["expr"], &before["annotations"]), (&after["expr"], &after["annotations"]));
    }
    let fewer = rules(&of(&format!("alerts: {{enabled: true, disabled: [{name}]}}")));
    assert!(fewer.len() < all.len() && fewer.iter().all(|rule| rule["alert"] != name));
}

#[test]
fn a_package_holds_what_the_links_lead_to() {
    for which in HELMS {
        for (name, place) in [("pillion", "pillion"), ("example", "example/charts/pillion")] {
            let folder = tempfile::tempdir().unwrap();
            let (source, target) = (chart(name), folder.path());
            let said = helm(which, ["package".as_ref(), source.as_os_str(), "--destination".as_ref(), target.as_os_str()], "");
            assert!(said.good, "{which}: {}", said.stderr);
            let archive = target.join(format!("{name}-{}.tgz", env!("CARGO_PKG_VERSION")));
            assert!(run("tar".into(), ["-xzf".as_ref(), archive.as_os_str(), "-C".as_ref(), target.as_os_str()], "").good);
            let packed = target.join(place).join("files");
            for dashboard in dashboards() {
                let file = packed.join("dashboards").join(&dashboard);
                assert!(!file.is_symlink());
                assert_eq!(fs::read(file).unwrap(), fs::read(root().join("dashboards").join(&dashboard)).unwrap(), "{which}: {dashboard}");
            }
            let rules = fs::read(packed.join("pillion.rules.yaml")).unwrap();
            assert_eq!(rules, fs::read(root().join("dashboards/alerts/pillion.rules.yaml")).unwrap(), "{which}");
            let again = helm(which, ["template".as_ref(), "demo".as_ref(), archive.as_os_str()], "");
            assert!(again.good, "{which}: {}", again.stderr);
        }
    }
}

/// What an installation ends with. Helm 3 asks a cluster even for this.
fn notes(values: &str) -> String {
    let folder = chart("pillion");
    let arguments = ["install", "demo", folder.to_str().unwrap(), "--dry-run=client", "--namespace", "agents", "--values", "-"];
    let said = helm("helm4", arguments, values);
    assert!(said.good, "{}", said.stderr);
    said.stdout.split_once("NOTES:\n").expect("notes").1.to_owned()
}

#[test]
fn an_installation_says_how_to_go_on() {
    let alone = "{service: {port: 80}, tls: {secret: a}, adminToken: {existingSecret: tokens, key: admin.token}, networkPolicy: {enabled: true}, \
                 config: {upstreams: {a: {url: 'https://a.example'}}}}";
    let alone = notes(alone);
    for words in [
        "https://demo-pillion.agents:80/v1",
        "https://demo-pillion.agents:80/@planner/v1",
        "kubectl -n agents logs -f deployment/demo-pillion",
        r"get secret tokens -o jsonpath='{.data.admin\.token}'",
        "port-forward deployment/demo-pillion 4101:4101",
        "http://127.0.0.1:4101/api/agents",
        "helm -n agents test demo --logs",
        "Nothing scrapes the metrics yet",
        "which is published nowhere",
    ] {
        assert!(alone.contains(words), "{words}: {alone}");
    }
    assert!(!alone.contains("Every pod of the cluster") && !notes("").contains("helm -n"), "{alone}");
    let beside = notes(
        "{mode: sidecar, image: {repository: registry.example/pillion}, monitor: {enabled: true}, alerts: {enabled: true}, dashboards: {enabled: true}}",
    );
    assert!(beside.contains("-l pillion-sidecar=demo-pillion -c pillion") && beside.contains("A PodMonitor has Prometheus scrape it."), "{beside}");
    assert!(!beside.contains("published") && !beside.contains("alerts.enabled") && !beside.contains("deployment/"), "{beside}");
}

#[test]
fn a_token_is_made_where_none_is_given_and_is_never_in_the_config() {
    let token = |values: &str| rendered("1.34", "pillion", values).one("Secret")["data"]["token"].as_str().unwrap().to_owned();
    assert_ne!(token(""), token(""));
    assert_eq!(token("adminToken: {value: '0123456789abcdef'}"), "MDEyMzQ1Njc4OWFiY2RlZg==");
    let rendered = rendered("1.34", "pillion", "adminToken: {value: '0123456789abcdef'}");
    assert!(rendered.all("ConfigMap").chain(rendered.all("Deployment")).all(|one| !one.to_string().contains("0123456789abcdef")));
}
