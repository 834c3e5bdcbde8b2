//! Beside an agent, Pillion is what `pillion run -- COMMAND` is around one: there first, gone last, and found by the same variables.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    container::started,
    helm::{HELMS, Rendered, chart, helm, read, rendered},
};
use crate::support::{Agent, call, chat, free, model, parts::root, verb, within};

/// The agent's variables, but for its key.
fn variables(rendered: &Rendered) -> BTreeMap<String, String> {
    let of = rendered.pod()["containers"][0]["env"].as_array().unwrap().iter();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    of.map(|one| (text(one, "name"), text(one, "value"))).filter(|(name, _)| name != "OPENAI_API_KEY").collect()
}

#[test]
fn it_starts_before_the_agent_and_ends_after_it() {
    let rendered = rendered("1.29", "example", "");
    let pillion = &rendered.pod()["initContainers"][0];
    assert_eq!((&pillion["name"], &pillion["restartPolicy"]), (&"pillion".into(), &"Always".into()), "a native sidecar");
    assert_eq!(pillion["startupProbe"]["httpGet"]["path"], "/readyz", "the agent starts when this one has succeeded");
    assert!(pillion["lifecycle"].is_null(), "it is told after the agents have ended: there is nothing to wait for");
    let context = &pillion["securityContext"];
    assert!(context["runAsNonRoot"] == true && context["runAsUser"] == 65532 && context["readOnlyRootFilesystem"] == true, "in anybody's pod");
    assert!(rendered.all("Service").next().is_none() && rendered.all("ServiceAccount").next().is_none());
}

#[tokio::test]
async fn agents_find_it_by_the_variables_of_pillion_run() {
    let around = verb("run").arguments(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--", "env"]).ended().await;
    assert_eq!(around.code, Some(0), "{}", around.stderr);
    let set = around.stdout.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| *name != "PATH");
    let set: BTreeMap<_, _> = set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let port = set["ANTHROPIC_BASE_URL"].rsplit_once(':').unwrap().1;
    let values = format!("pillion: {{sidecar: {{agent: '', noProxy: 127.0.0.1}}, ports: {{traffic: {port}, admin: 1}}}}");
    assert_eq!(variables(&rendered("1.34", "example", &values)), set);
}

#[test]
fn an_agent_has_the_name_that_the_values_give_it() {
    let named = variables(&rendered("1.34", "example", ""));
    assert_eq!(named["OPENAI_BASE_URL"], "http://127.0.0.1:4100/@researcher/v1");
    assert_eq!(named["ANTHROPIC_BASE_URL"], "http://127.0.0.1:4100/@researcher");
}

/// A chart with two agents in one pod, each with a name of its own, that has Pillion under another name.
const TWO: [(&str, &str); 2] = [
    (
        "Chart.yaml",
        "{apiVersion: v2, name: two, version: 0.1.0, dependencies: [{name: pillion, alias: beside, condition: beside.enabled, version: '>=0.1.0-0', repository: 'file://pillion'}]}",
    ),
    (
        "templates/agents.yaml",
        r#"apiVersion: v1
kind: Pod
metadata:
  name: agents
  labels: {{- include "pillion.sidecar.labels" .Subcharts.beside | nindent 4 }}
spec:
  initContainers:
    {{- include "pillion.sidecar.container" .Subcharts.beside | nindent 4 }}
  containers:
    - name: planner
      image: a:1
      env: {{- include "pillion.sidecar.env" (dict "pillion" .Subcharts.beside "agent" "planner") | nindent 8 }}
    - name: writer
      image: a:1
      env: {{- include "pillion.sidecar.env" (dict "pillion" .Subcharts.beside "agent" "writer") | nindent 8 }}
  volumes:
    {{- include "pillion.sidecar.volumes" .Subcharts.beside | nindent 4 }}
"#,
    ),
];

/// A chart of these files, with Pillion's where dependencies are.
fn somebodys(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    fs::create_dir(folder.path().join("charts")).unwrap();
    symlink(chart("pillion"), folder.path().join("charts/pillion")).unwrap();
    folder
}

#[test]
fn the_page_on_kubernetes_shows_a_chart_that_works() {
    let page = fs::read_to_string(root().join("docs/kubernetes.md")).unwrap();
    let shown = page.split_once("<!-- kubernetes -->\n```yaml\n").unwrap().1.split_once("```").unwrap().0;
    let deployment = format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: agents}}\n{shown}");
    let about = "{apiVersion: v2, name: agents, version: 0.1.0, dependencies: [{name: pillion, version: '>=0.1.0-0', repository: 'file://pillion'}]}";
    let folder = somebodys(&[("Chart.yaml", about), ("templates/agents.yaml", &deployment)]);
    let said =
        helm("helm4", ["template", "demo", folder.path().to_str().unwrap(), "--values", "-"], "pillion: {mode: sidecar, monitor: {enabled: true}}");
    assert!(said.good, "{}", said.stderr);
    let rendered = Rendered(read(&said.stdout));
    let metadata = &rendered.one("Deployment")["spec"]["template"]["metadata"];
    let selector = rendered.one("PodMonitor")["spec"]["selector"]["matchLabels"].as_object().unwrap();
    assert!(selector.iter().all(|(label, value)| metadata["labels"][label] == *value), "{metadata}");
    assert!(metadata["annotations"]["checksum/config"].is_string(), "{metadata}");
    assert_eq!(rendered.pillion()["restartPolicy"], "Always");
    assert_eq!(variables(&rendered)["OPENAI_BASE_URL"], "http://127.0.0.1:4100/v1");
    assert_eq!(rendered.pod()["volumes"][0]["name"], rendered.pillion()["volumeMounts"][0]["name"]);
}

#[test]
fn agents_of_one_pod_may_have_names_of_their_own_and_the_dependency_another() {
    let folder = somebodys(&TWO);
    for which in HELMS {
        let said = helm(
            which,
            ["template", "demo", folder.path().to_str().unwrap(), "--values", "-"],
            "beside: {enabled: true, mode: sidecar, monitor: {enabled: true}}",
        );
        assert!(said.good, "{which}: {}", said.stderr);
        let rendered = Rendered(read(&said.stdout));
        let pod = rendered.one("Pod");
        let url = |container: usize| &pod["spec"]["containers"][container]["env"][0]["value"];
        assert_eq!((url(0), url(1)), (&"http://127.0.0.1:4100/@planner/v1".into(), &"http://127.0.0.1:4100/@writer/v1".into()));
        assert_eq!(pod["metadata"]["labels"], rendered.one("PodMonitor")["spec"]["selector"]["matchLabels"]);
        assert_eq!(rendered.one("ConfigMap")["metadata"]["name"], pod["spec"]["volumes"][0]["configMap"]["name"]);
    }
}

#[tokio::test]
async fn the_agent_of_the_example_is_seen_by_its_name_and_needs_no_key() {
    let model = model("").await;
    let [traffic, admin] = [(); 2].map(|()| free().port());
    let upstreams = format!("{{openai: {{url: '{}/v1', api_key: '${{OPENAI_API_KEY}}'}}}}", model.url());
    let rendered =
        rendered("1.34", "example", &format!("pillion: {{ports: {{traffic: {traffic}, admin: {admin}}}, config: {{upstreams: {upstreams}}}}}"));
    let pillion = started(&rendered).await;
    let url = variables(&rendered)["OPENAI_BASE_URL"].clone();
    let (_, path) = url.strip_prefix("http://127.0.0.1:").unwrap().split_once('/').unwrap();
    let reply = Agent::stranger(pillion.traffic)
        .await
        .ask(&chat(false).at(&format!("/{path}/chat/completions")).header("Authorization", "Bearer none"))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(model.requests()[0].header("authorization"), Some("Bearer 0123456789abcdef"), "that of the Secret, in place of the agent's");
    let ask = call("GET", "/api/exchanges?agent=researcher&outcome=ok").header("Authorization", "Bearer 0123456789abcdef");
    within("the exchange to be told of", async { while !Agent::stranger(pillion.admin).await.ask(&ask).await.text().contains(r#""researcher""#) {} })
        .await;
}
