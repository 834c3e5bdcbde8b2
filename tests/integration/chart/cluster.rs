//! With a cluster to look things up in: an API server that knows what helm asks for, and holds what an earlier installation has made.

use serde_json::{Value, json};

use super::helm::{HELMS, Rendered, chart, helm, read};
use crate::support::{Upstream, Wire, upstream};

/// The token of the earlier installation, as Secrets hold it: `kept`.
const KEPT: &str = "a2VwdA==";

/// The resources of a group that the chart makes.
fn resources(group: &str, kinds: &[(&str, &str)]) -> Value {
    let one = |(name, kind): &(&str, &str)| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get"]});
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": kinds.iter().map(one).collect::<Vec<_>>()})
}

/// What the API server answers; `None` is a 404.
fn answer(path: &str, has_secret: bool) -> Option<Value> {
    let version = |group: &str| json!({"groupVersion": format!("{group}/v1"), "version": "v1"});
    let group = |group: &str| json!({"name": group, "versions": [version(group)], "preferredVersion": version(group)});
    Some(match path {
        "/version" => json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0"}),
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group("apps"), group("policy")]}),
        "/api/v1" => {
            let kinds =
                [("secrets", "Secret"), ("configmaps", "ConfigMap"), ("services", "Service"), ("serviceaccounts", "ServiceAccount"), ("pods", "Pod")];
            resources("v1", &kinds)
        }
        "/apis/apps/v1" => resources("apps/v1", &[("deployments", "Deployment")]),
        "/apis/policy/v1" => resources("policy/v1", &[("poddisruptionbudgets", "PodDisruptionBudget")]),
        "/api/v1/namespaces/agents/secrets" => json!({"kind": "SecretList", "apiVersion": "v1", "items": []}),
        "/api/v1/namespaces/agents/secrets/demo-pillion-admin" if has_secret => {
            let annotations = json!({"meta.helm.sh/release-name": "demo", "meta.helm.sh/release-namespace": "agents"});
            let labels = json!({"app.kubernetes.io/managed-by": "Helm"});
            let metadata = json!({"name": "demo-pillion-admin", "namespace": "agents", "labels": labels, "annotations": annotations});
            json!({"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "data": {"token": KEPT}})
        }
        _ => return None,
    })
}

/// Starts the API server.
async fn cluster(has_secret: bool) -> Upstream {
    upstream(move |mut wire: Wire| async move {
        while let Some(heard) = wire.request().await {
            let path = heard.target().split('?').next().unwrap();
            let (status, body) = match answer(path, has_secret) {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})),
            };
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            wire.write((head + &body).as_bytes()).await;
        }
    })
    .await
}

/// `helm VERB demo … --dry-run=server` of the chart against this cluster.
fn dry_run(which: &str, verb: &str, cluster: &Upstream, values: &str) -> String {
    let folder = chart("pillion");
    let arguments = [verb, "demo", folder.to_str().unwrap(), "--dry-run=server", "--disable-openapi-validation", "--namespace", "agents"];
    let url = cluster.url();
    let said = helm(which, arguments.into_iter().chain(["--kube-apiserver", &url, "--values", "-"]), values);
    assert!(said.good, "{which}: {}", said.stderr);
    said.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_made_is_kept_by_an_upgrade() {
    let cluster = cluster(true).await;
    for which in HELMS {
        let rendered = Rendered(read(&dry_run(which, "template", &cluster, "")));
        assert_eq!(rendered.one("Secret")["data"]["token"], KEPT, "{which}");
        let rendered = Rendered(read(&dry_run(which, "template", &cluster, "adminToken: {value: '0123456789abcdef'}")));
        assert_ne!(rendered.one("Secret")["data"]["token"], KEPT, "{which}: one that is given is taken");
        let rendered = Rendered(read(&dry_run(which, "template", &cluster, "adminToken: {key: other}")));
        assert!(rendered.one("Secret")["data"]["other"].as_str().unwrap().len() > 40, "{which}: one that is not there is made");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_by_either_helm_ends_with_how_to_go_on() {
    let cluster = cluster(false).await;
    for which in HELMS {
        let said = dry_run(which, "install", &cluster, "");
        let (_, notes) = said.split_once("NOTES:\n").unwrap_or_else(|| panic!("{which}: {said}"));
        assert!(notes.starts_with("Pillion ") && notes.contains("http://demo-pillion.agents:4100/v1"), "{which}: {notes}");
    }
}
