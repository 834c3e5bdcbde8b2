//! The whole way: agents in trouble, the real proxy, a real Prometheus with the rules that are shipped (their `for` and `interval` shortened, and nothing
//! else), a real Alertmanager, and a webhook that is told.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use pillion::demo::model::Model;
use regex::Regex;
use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    alerts, rules, shipped,
    trouble::{many_names, ordinary, sound, trouble, troubled},
};
use crate::support::{
    Agent, Binary, Metrics, Upstream, Wire, all, call, free,
    parts::{Part, alertmanager, prometheus},
    promql::names,
    run, upstream, verb,
};

/// How long all of it may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(300);

/// Connections that stay open, and how often they are used: more often than unused ones are closed.
const VISITORS: usize = 100;
const VISIT: Duration = Duration::from_secs(15);

/// What must be told: the alert, and the labels that say whose trouble it is and why.
const EXPECTED: [(&str, &[(&str, &str)]); 29] = [
    ("PillionAgentFailing", &[("agent", "breaking"), ("severity", "critical"), ("namespace", "shop")]),
    ("PillionAgentFailingSlowly", &[("agent", "breaking")]),
    ("PillionNoFirstToken", &[("agent", "stalled"), ("model", "silent"), ("upstream", "up")]),
    ("PillionTimeouts", &[("agent", "stalled"), ("clock", "first_token")]),
    ("PillionHangUps", &[("agent", "impatient"), ("upstream", "up")]),
    ("PillionRateLimited", &[("agent", "greedy"), ("model", "limited")]),
    ("PillionSdkRetries", &[("agent", "repeater")]),
    ("PillionWrongKeyOrModel", &[("agent", "keyless"), ("model", "denied"), ("error_type", "401")]),
    ("PillionContextNearWindow", &[("agent", "crowded"), ("model", "small")]),
    ("PillionPromptsTooLarge", &[("agent", "lawyer")]),
    ("PillionTrimming", &[("agent", "hoarder"), ("model", "small")]),
    ("PillionToolErrors", &[("agent", "clumsy"), ("tool", "get_weather"), ("error_type", "KeyError")]),
    ("PillionToolWithoutResult", &[("agent", "forgetful"), ("tool", "get_weather")]),
    ("PillionToolArguments", &[("agent", "clumsy"), ("tool", "get_weather")]),
    ("PillionCostHigh", &[("agent", "spender")]),
    ("PillionUpstreamUnreachable", &[("upstream", "gone"), ("severity", "critical")]),
    ("PillionUpstreamErrors", &[("upstream", "five")]),
    ("PillionUpstreamRateLimits", &[("upstream", "limits")]),
    ("PillionRetryBudgetExhausted", &[("upstream", "five")]),
    ("PillionRetryBudgetExhausted", &[("upstream", "limits")]),
    ("PillionStreamCuts", &[("agent", "writer"), ("model", "cutting")]),
    ("PillionRefusing", &[("agent", "unknown"), ("reason", "no_route")]),
    ("PillionSpansDropped", &[("state", "failed"), ("job", "agents")]),
    ("PillionLogLinesDropped", &[("pod", "agents-0")]),
    ("PillionLabelOverflow", &[("label", "agent")]),
    ("PillionOpenFiles", &[("job", "steady")]),
    ("PillionDown", &[("job", "steady"), ("severity", "critical")]),
    ("PillionRestarting", &[("job", "steady")]),
    ("PillionAgentFailing", &[("agent", "lost")]),
];

/// What cannot be told within a test, and why.
const NOT_TOLD: [(&str, &str); 6] = [
    ("PillionCostJump", "needs a week to compare with"),
    ("PillionAbsent", "needs a day of being there"),
    ("PillionPanics", "needs a fault of Pillion"),
    ("PillionAcceptErrors", "needs a process without a descriptor left, which cannot tell of it until it has one"),
    ("PillionMemory", "needs half a gigabyte"),
    ("PillionSlow", "needs a processor that stands still"),
];

/// Those that may be told on a machine that is too busy, and rightly so.
const OF_THE_MACHINE: [&str; 2] = ["PillionSlow", "PillionMemory"];

/// Selections of rules that find nothing here, and why.
const EMPTY: [(&str, &str); 1] = [("up{job=~\"(?i:.*pillion.*)\"}", "its jobs are not called so: it is known by what it says of itself")];

/// A webhook's list of what it was told, one connection after the other.
async fn webhook() -> Upstream {
    upstream(|mut wire: Wire| async move {
        while wire.request().await.is_some() {
            if !wire.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await {
                return;
            }
        }
    })
    .await
}

/// The alerts that it was told of, in that state (`firing`, `resolved`).
fn told(webhook: &Upstream, status: &str) -> Vec<Value> {
    let messages = webhook.heard().into_iter().map(|heard| serde_json::from_slice::<Value>(&heard.body).unwrap());
    messages.flat_map(|message| message["alerts"].as_array().unwrap().clone()).filter(|alert| alert["status"] == status).collect()
}

/// Without those of the machine that this runs on.
fn about_agents(told: Vec<Value>) -> Vec<Value> {
    told.into_iter().filter(|alert| OF_THE_MACHINE.iter().all(|name| alert["labels"]["alertname"] != *name)).collect()
}

fn is(alert: &Value, (name, labels): (&str, &[(&str, &str)])) -> bool {
    alert["labels"]["alertname"] == name && labels.iter().all(|(label, value)| alert["labels"][label] == *value)
}

async fn until_told(webhook: &Upstream, status: &str, expected: &[(&str, &[(&str, &str)])], prometheus: &Part) {
    let until = Instant::now() + PATIENCE;
    loop {
        let told = told(webhook, status);
        let missing: Vec<_> = expected.iter().filter(|expected| !told.iter().any(|alert| is(alert, **expected))).collect();
        if missing.is_empty() {
            return;
        }
        if Instant::now() > until {
            let fires: Vec<String> = prometheus.query("ALERTS").await.iter().map(|alert| alert["metric"].to_string()).collect();
            panic!("{status} is not told: {missing:#?}\nPrometheus knows of:\n{}", fires.join("\n"));
        }
        sleep(LOOK).await;
    }
}

/// The Pillion of the ordinary days, on ports that it keeps when it is started again.
struct Steady {
    binary: Binary,
    model: Model,
    traffic: JoinSet<()>,
}

impl Steady {
    async fn start() -> Self {
        let model = sound().await;
        let binary = carrying((free(), free()), &model).await;
        let mut traffic = JoinSet::new();
        traffic.spawn(ordinary(binary.traffic));
        Self { binary, model, traffic }
    }

    async fn stop(&mut self) {
        self.traffic.shutdown().await;
        self.binary.signal(Signal::TERM);
        self.binary.exit(Duration::from_secs(20)).await;
    }

    async fn start_again(&mut self) {
        self.binary = carrying((self.binary.traffic, self.binary.admin), &self.model).await;
    }

    /// Leaves it few descriptors more than it has open: most of them visitors that stay, so that who comes and goes is a small share.
    async fn cramp(&mut self) {
        let mut visitors = Vec::new();
        for _ in 0..VISITORS {
            visitors.push(Agent::stranger(self.binary.admin).await);
        }
        all(visitors.iter_mut().map(visit)).await;
        self.traffic.spawn(async move {
            loop {
                sleep(VISIT).await;
                all(visitors.iter_mut().map(visit)).await;
            }
        });
        let open = Metrics::scrape(self.binary.admin).await.count("process_open_fds", &[]);
        self.binary.limit_descriptors(open + open / 8);
    }
}

async fn visit(visitor: &mut Agent) {
    assert_eq!(visitor.ask(&call("GET", "/healthz")).await.status, 200);
}

async fn carrying((traffic, admin): (SocketAddr, SocketAddr), model: &Model) -> Binary {
    verb("run").arguments(["--listen", &traffic.to_string(), "--admin", &admin.to_string()]).upstream(model).ready().await
}

/// A Prometheus that scrapes both, with the rules in a hurry.
async fn watch((steady, agents): (SocketAddr, SocketAddr), alertmanager: &Part) -> Part {
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yaml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}
scrape_configs:
  - {{job_name: steady, static_configs: [{{targets: ['{steady}']}}]}}
  - {{job_name: agents, static_configs: [{{targets: ['{agents}'], labels: {{namespace: shop, pod: agents-0}}}}]}}
",
        alertmanager.address
    );
    let rules = shipped("pillion.rules.yaml");
    let hurried = Regex::new(r"(?m)^( +)interval: \w+$").unwrap().replace_all(&rules, "${1}interval: 1s");
    // Not at once: a machine that stands still for a moment fails a scrape, and that is not what is told here.
    let hurried = Regex::new(r"(?m)^( +)for: \w+$").unwrap().replace_all(&hurried, "${1}for: 5s");
    prometheus(&config, &[("rules.yaml", &hurried)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_thing_reaches_who_is_to_know_of_it_and_ordinary_days_do_not() {
    let webhook = webhook().await;
    let route = format!(
        "route: {{receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s}}
receivers: [{{name: hook, webhook_configs: [{{url: '{}/', send_resolved: true}}]}}]\n",
        webhook.url()
    );
    let alertmanager = alertmanager(&route).await;
    let (_model, config) = troubled().await;
    let mut agents = run().config(&config).ready().await;
    let mut steady = Steady::start().await;
    let prometheus = watch((steady.binary.admin, agents.admin), &alertmanager).await;

    // Ordinary days.
    prometheus.query_until_found("agent:pillion_exchanges:increase6h{agent=\"planner\"} > 60", PATIENCE).await;
    prometheus.query_until_found("sum(increase(pillion_retries_total[5m])) > 1", PATIENCE).await;
    let fires = prometheus.query(&format!("ALERTS{{alertstate=\"firing\",alertname!~\"{}\"}}", OF_THE_MACHINE.join("|"))).await;
    assert_eq!((fires, about_agents(told(&webhook, "firing"))), (Vec::new(), Vec::new()));

    // And then.
    let mut troubles = trouble(agents.traffic);
    agents.close_stderr();
    prometheus.query_until_found("count(count by (agent) (pillion_exchanges_total{job=\"agents\"})) >= 15", PATIENCE).await;
    let to = agents.traffic;
    troubles.spawn(async move { many_names(to).await });
    steady.cramp().await;
    let (late, early): (Vec<_>, Vec<_>) = EXPECTED.iter().partition(|(name, _)| ["PillionDown", "PillionRestarting"].contains(name));
    until_told(&webhook, "firing", &early, &prometheus).await;
    every_rule_is_evaluated(&prometheus).await;

    // It goes and comes back, three times.
    for nth in 0..3 {
        steady.stop().await;
        prometheus.query_until_found("up{job=\"steady\"} == 0", PATIENCE).await;
        if nth == 0 {
            until_told(&webhook, "firing", &[late[0]], &prometheus).await;
        }
        steady.start_again().await;
        prometheus.query_until_found("up{job=\"steady\"} == 1", PATIENCE).await;
    }
    until_told(&webhook, "firing", &late, &prometheus).await;
    until_told(&webhook, "resolved", &[late[0]], &prometheus).await;

    let told = about_agents(told(&webhook, "firing"));
    let known: BTreeSet<&str> = told.iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap()).collect();
    let expected: BTreeSet<String> =
        alerts().into_iter().map(|alert| alert.name).filter(|name| !NOT_TOLD.iter().any(|(not, _)| not == name)).collect();
    assert!(known.iter().copied().eq(expected.iter().map(String::as_str)), "{known:?}");
    for alert in &told {
        assert_ne!(alert["labels"]["agent"], "planner", "it has done nothing: {alert}");
        let texts = alert["annotations"].as_object().unwrap();
        assert!(texts.len() == 3 && texts.values().all(|text| !text.as_str().unwrap().contains("{{")), "{alert}");
    }
}

/// Each is sound, what it selects is there, and what records has something to record.
async fn every_rule_is_evaluated(prometheus: &Part) {
    let groups = prometheus.get("/api/v1/rules").await;
    let evaluated: Vec<Value> =
        groups["data"]["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
    assert_eq!(evaluated.len(), rules().len());
    for rule in &evaluated {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    for rule in rules() {
        let found = prometheus.query(&rule.expr).await;
        assert!(rule.is_alert || !found.is_empty(), "{} records nothing", rule.name);
        for selector in names(&rule.expr).selectors {
            let labels: Vec<String> = selector.labels.iter().map(|matcher| format!("{}{}\"{}\"", matcher.label, matcher.op, matcher.value)).collect();
            let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let written = format!("{}{braces}", selector.metric);
            let is_empty = prometheus.query(&written).await.is_empty();
            assert_eq!(is_empty, EMPTY.iter().any(|(empty, _)| *empty == written), "{}: {written}", rule.name);
        }
    }
}
