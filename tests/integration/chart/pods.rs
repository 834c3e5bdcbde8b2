//! What is rendered fits together: Pillion starts with its config and its environment, listens where the probes and the Service look for it, and has
//! the time to end that its config takes.

use std::{collections::BTreeMap, fs, time::Duration};

use pillion::config::{self, Config, Environment, Flags};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    cases::{CASES, Case, case},
    container::{SECRET, started, variables},
    helm::{KUBERNETES, Rendered, each, read_all, rendered, template},
};
use crate::support::{Agent, call, free, model, verb, within};

/// After the grace period: the last tasks, and the flush.
const FLUSH: u64 = 3;
/// Where the chart mounts the certificate.
const TLS: &str = "/etc/pillion-tls";

/// The config as Pillion reads it in the pod; the certificate lies elsewhere here.
fn read(case: &str, rendered: &Rendered) -> Config {
    let files = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["pillion".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(files.path().join("tls.crt"), certificate.pem()).unwrap();
    fs::write(files.path().join("tls.key"), key.serialize_pem()).unwrap();
    let yaml = rendered.config().replace(TLS, files.path().to_str().unwrap());
    let environment: Environment = variables(rendered).into_iter().collect();
    let loaded = config::read(yaml.as_bytes(), None, &Flags::default(), &environment).unwrap_or_else(|errors| panic!("{case}: {errors}\n{yaml}"));
    loaded.config
}

/// One case as it is rendered, and its config as Pillion reads it.
struct Pod {
    case: Case,
    kubernetes: &'static str,
    rendered: Rendered,
    server: config::Server,
}

#[test]
fn each_pod_is_one_that_pillion_starts_in_can_be_reached_in_and_has_the_time_to_end() {
    let with_a_pod = CASES.into_iter().filter(|case| case.name != "sidecar");
    let all: Vec<_> = with_a_pod.flat_map(|case| KUBERNETES.map(|kubernetes| (case, kubernetes))).collect();
    let texts = each(&all, |&(Case { name, chart, values }, kubernetes)| {
        let said = template("helm4", kubernetes, chart, values);
        assert!(said.good, "{name}: {}", said.stderr);
        said.stdout
    });
    for ((case, kubernetes), rendered) in all.into_iter().zip(read_all(&texts)) {
        let server = read(case.name, &rendered).server;
        let pod = Pod { case, kubernetes, rendered, server };
        it_listens_where_the_pod_says(&pod);
        it_has_the_time_to_end_that_its_config_takes(&pod);
        selectors_find_it(&pod);
        its_volumes_and_its_token_are_there(&pod);
    }
}

fn it_listens_where_the_pod_says(Pod { case: Case { name, chart, .. }, rendered, server, .. }: &Pod) {
    let (traffic, admin) = (server.listen.tcp().unwrap(), server.admin.tcp().unwrap());
    let port = |port: &Value| (port["name"].as_str().unwrap().to_owned(), port["containerPort"].as_u64().unwrap());
    let ports: BTreeMap<_, _> = rendered.pillion()["ports"].as_array().unwrap().iter().map(port).collect();
    assert!(server.admin.is_beyond_loopback() && server.admin_token.is_some(), "{name}: the kubelet has to reach it");
    let admin_port = if *chart == "pillion" { "admin" } else { "pillion-admin" };
    assert_eq!(ports[admin_port], u64::from(admin.port()), "{name}");
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"].into_iter().skip((*name == "nothing").into()) {
        assert_eq!(rendered.pillion()[probe]["httpGet"]["port"], admin_port, "{name}");
    }
    if *chart == "pillion" {
        assert!(!traffic.ip().is_loopback());
        assert_eq!(ports["traffic"], u64::from(traffic.port()), "{name}");
    } else {
        assert!(traffic.ip().is_loopback() && ports.len() == 1, "{name}: nobody beyond the pod can reach a sidecar");
    }
}

fn it_has_the_time_to_end_that_its_config_takes(Pod { case: Case { name, chart, .. }, kubernetes, rendered, server }: &Pod) {
    let slept = rendered.pillion()["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or(0);
    let delay = slept + server.drain_delay.as_secs();
    let whole = rendered.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(whole >= delay + server.grace.as_secs() + FLUSH, "{name} {kubernetes}: {delay} + {:?} of {whole}", server.grace);
    let wanted = match *name {
        "slow-drain" => 20,
        "no-delay" => 0,
        _ if *chart == "example" => 0,
        _ => 5,
    };
    // Waited for once: by the kubelet where it can, by Pillion where it cannot.
    let expected = if *kubernetes == "1.29" { (0, wanted) } else { (wanted, 0) };
    assert_eq!((slept, server.drain_delay.as_secs()), expected, "{name} {kubernetes}");
}

fn selectors_find_it(Pod { case: Case { name, .. }, rendered, .. }: &Pod) {
    let matches = |selector: &Value, labels: &Value| selector.as_object().unwrap().iter().all(|(label, value)| labels.get(label) == Some(value));
    let labels = &rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"];
    for kind in ["Deployment", "PodDisruptionBudget", "PodMonitor"] {
        assert!(rendered.all(kind).all(|one| matches(&one["spec"]["selector"]["matchLabels"], labels)), "{name}: {kind}");
    }
    assert!(rendered.all("NetworkPolicy").all(|one| matches(&one["spec"]["podSelector"]["matchLabels"], labels)), "{name}");
    for service in rendered.all("Service") {
        assert!(matches(&service["spec"]["selector"], labels), "{name}");
        let mut monitors = rendered.all("ServiceMonitor");
        assert!(monitors.all(|one| matches(&one["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"])), "{name}");
    }
}

fn its_volumes_and_its_token_are_there(Pod { case: Case { name, .. }, rendered, .. }: &Pod) {
    let volumes: Vec<_> = rendered.pod()["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
    for mount in rendered.pillion()["volumeMounts"].as_array().unwrap() {
        assert!(volumes.contains(&&mount["name"]), "{name}: {mount}");
    }
    let token = &rendered.pillion()["env"][0]["valueFrom"]["secretKeyRef"];
    if let Some(secret) = rendered.all("Secret").next() {
        assert_eq!(token["name"], secret["metadata"]["name"], "{name}");
        assert!(secret["data"][token["key"].as_str().unwrap()].is_string(), "{name}");
    } else {
        assert_eq!(token["name"], "tokens", "{name}");
    }
    let endpoints = rendered.0.iter().flat_map(|one| [&one["spec"]["endpoints"][0], &one["spec"]["podMetricsEndpoints"][0]]);
    for endpoint in endpoints.filter(|one| one.is_object()) {
        assert_eq!(endpoint["authorization"]["credentials"], json!({"name": token["name"], "key": token["key"]}), "{name}");
    }
}

#[test]
fn what_yaml_takes_for_false_is_off_again() {
    let Case { name, chart, values } = case("off");
    let rendered = rendered("1.34", chart, values);
    let config = read(name, &rendered);
    assert_eq!((config.policy.timeouts.idle, config.policy.timeouts.total, config.routes[0].policy.timeouts.first_token), (None, None, None));
    assert_eq!(config.policy.context.trim, config::Trim::Off);
    assert_eq!(config.telemetry.log_level, config::LogLevel::Off);
    assert!(config.telemetry.otlp.is_none() && config.server.body_limit.is_none());
    assert!(!config.policy.retries.on_timeout && config.policy.carry.hold_head);
}

#[test]
fn what_the_config_sends_to_is_let_out_and_nothing_else() {
    let Case { chart, values, .. } = case("upstreams");
    let rendered = rendered("1.34", chart, values);
    let egress = rendered.one("NetworkPolicy")["spec"]["egress"].as_array().unwrap();
    let ports: Vec<Vec<u64>> =
        egress.iter().map(|rule| rule["ports"].as_array().unwrap().iter().map(|port| port["port"].as_u64().unwrap()).collect()).collect();
    assert_eq!(ports, [vec![53, 53], vec![443], vec![80, 8000, 4318], vec![3128]], "DNS, 443, what the config names, what the values add");
    assert!(egress[1]["to"].to_string().contains("169.254.0.0/16"));
}

#[test]
fn a_change_of_the_config_starts_new_pods_and_one_of_labels_does_not_change_the_selector() {
    let checksum = |values: &str| {
        rendered("1.34", "pillion", values).one("Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"].clone()
    };
    assert_ne!(checksum(""), checksum("config: {timeouts: {total: 1m}}"));
    assert_eq!(checksum(""), checksum("{replicas: 5, adminToken: {value: '0123456789abcdef'}}"));
    let selector = |values: &str| rendered("1.34", "pillion", values).one("Deployment")["spec"]["selector"].clone();
    assert_eq!(selector(""), selector("{commonLabels: {a: b}, podLabels: {c: d}}"));
}

#[tokio::test]
async fn the_container_as_it_is_rendered_starts_answers_its_probes_and_ends_in_time() {
    let [traffic, admin] = [(); 2].map(|()| free().port());
    let rendered = rendered("1.34", "pillion", &format!("ports: {{traffic: {traffic}, admin: {admin}}}"));
    let mut pillion = started(&rendered).await;
    assert_eq!((pillion.traffic.port(), pillion.admin.port()), (traffic, admin));
    let ask = async |path: &str, token: &str| {
        let address = ([127, 0, 0, 1], admin).into();
        let target = call("GET", path).header("Authorization", &format!("Bearer {token}"));
        within("an answer", async { Agent::stranger(address).await.ask(&target).await }).await.status
    };
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(ask(rendered.pillion()[probe]["httpGet"]["path"].as_str().unwrap(), "").await, 200, "{probe}");
    }
    assert_eq!((ask("/metrics", "").await, ask("/metrics", SECRET).await), (401, 200));
    pillion.signal(Signal::TERM);
    let (code, _) = pillion.exit(Duration::from_secs(20)).await;
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn helm_test_tries_the_upstreams_of_the_config_with_their_credentials() {
    let model = model("").await;
    let upstream = format!("{{url: '{}/v1', api_key: '${{KEY}}'}}", model.url());
    let rendered =
        rendered("1.34", "pillion", &format!("{{credentials: {{KEY: {{secret: a, key: b}}}}, config: {{upstreams: {{mine: {upstream}}}}}}}"));
    let probe = &rendered.one("Pod")["spec"]["containers"][0];
    assert_eq!(probe["args"], json!(["check", "--config", "/etc/pillion/pillion.yaml", "--probe"]));
    assert_eq!((&probe["env"], &probe["volumeMounts"]), (&rendered.pillion()["env"], &rendered.pillion()["volumeMounts"]));
    let start = verb("check").config(rendered.config()).arguments(["--probe"]);
    let ended = variables(&rendered).into_iter().fold(start, |start, (name, value)| start.variable(name.leak(), value)).ended().await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.starts_with("ok   mine "), "{}", ended.stdout);
    assert_eq!(model.requests()[0].header("authorization"), Some("Bearer 0123456789abcdef"));
}
