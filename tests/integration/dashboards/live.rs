//! Every query of every panel, asked of a real Prometheus that scrapes the real `pillion demo`, and beside it a Pillion to whose agent everything
//! happens ([`super::ranger`]): as Grafana would ask it for everything, for one choice of everything, and for the demo alone.

use std::{
    collections::BTreeMap,
    process::Stdio,
    time::{Duration, SystemTime},
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pillion::dashboards;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{ranger::ranger, tree};
use crate::support::{
    parts::{Part, prometheus},
    within,
};

/// How long all of it may take to be there: the demo tells its whole story within half a minute.
const PATIENCE: Duration = Duration::from_secs(150);
/// How often it is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// A process that tells of itself what every process does, and is no Pillion as far as anybody can see.
const STRANGER: &str = "stranger-0";

/// A panel's query, as it is shipped.
#[derive(Debug, Clone)]
struct Asked {
    /// Where it stands.
    at: String,
    expr: String,
    is_instant: bool,
    has_exemplars: bool,
}

/// What is chosen at the top of a dashboard.
struct Choice {
    name: &'static str,
    values: [(&'static str, &'static str); 5],
    /// Panels that have nothing to show, and why that is so.
    empty: &'static [(&'static str, &'static str)],
}

const EVERYTHING: Choice =
    Choice { name: "everything", values: [("namespace", ".*"), ("pod", ".*"), ("upstream", ".*"), ("agent", ".*"), ("model", ".*")], empty: &[] };
/// One of each, as a person would choose it who looks for what is wrong with one agent.
const ONE_OF_EACH: Choice = Choice {
    name: "one of each",
    values: [("namespace", "agents"), ("pod", "ranger-0"), ("upstream", "upstream"), ("agent", "ranger"), ("model", ".*")],
    empty: &[],
};
/// The demo is scraped without the labels of Kubernetes.
const DEMO: Choice = Choice {
    name: "the demo",
    values: [("namespace", ""), ("pod", ""), ("upstream", ".*"), ("agent", ".*"), ("model", ".*")],
    empty: &[
        ("Budget exhausted", "its upstream fails now and then and is never down"),
        ("Retry budget exhausted", "likewise"),
        ("All upstreams chosen [D]", "likewise"),
        ("Spans lost", "it exports no spans"),
        ("Spans by what became of them", "likewise"),
        ("Spans that wait", "likewise"),
        ("Answers without usage", "its model always tells"),
        ("Not read", "all of its bodies can be"),
        ("SDK retries", "its agents are told by Pillion not to, and obey"),
    ],
};

/// All queries of all dashboards.
fn asked() -> Vec<Asked> {
    let mut asked = Vec::new();
    for dashboard in dashboards::all() {
        let tree = tree(&dashboard);
        for panel in tree["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                asked.push(Asked {
                    at: format!("{} [{}] of {}", panel["title"].as_str().unwrap(), target["refId"].as_str().unwrap(), dashboard.title),
                    expr: target["expr"].as_str().unwrap().to_owned(),
                    is_instant: target["instant"] == true,
                    has_exemplars: target["exemplar"] == true,
                });
            }
        }
    }
    asked
}

impl Choice {
    /// With the variables' values in their places, as Grafana puts them there.
    fn fill(&self, expr: &str) -> String {
        let expr = expr.replace("$__rate_interval", "15s").replace("$__range", "60s");
        let filled = self.values.iter().fold(expr, |expr, (name, value)| expr.replace(&format!("\"${name}\""), &format!("\"{value}\"")));
        assert!(!filled.replace("\"$1\"", "").contains('$'), "{filled}");
        filled
    }

    fn is_empty(&self, asked: &Asked) -> bool {
        self.empty.iter().any(|(panel, _)| asked.at.starts_with(panel))
    }
}

/// The demo, as it is started from a terminal.
struct Demo {
    metrics: String,
    _child: Child,
    _reader: JoinSet<()>,
}

async fn demo() -> Demo {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command.env_clear().kill_on_drop(true).arg("demo").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let line = within("where its metrics are", async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it says where its metrics are");
            if line.trim_start().starts_with("metrics ") {
                return line;
            }
        }
    });
    let metrics = line.await.split("http://").nth(1).unwrap().trim_end_matches("/metrics").to_owned();
    let mut reader = JoinSet::new();
    // It would wait for a terminal that nobody reads.
    reader.spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
    Demo { metrics, _child: child, _reader: reader }
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// What it finds: of the last minute for a graph, now for a table.
async fn series(prometheus: &Part, expr: &str, is_instant: bool) -> Vec<Value> {
    let (expr, now) = (utf8_percent_encode(expr, NON_ALPHANUMERIC), now());
    let target = if is_instant {
        format!("/api/v1/query?query={expr}")
    } else {
        format!("/api/v1/query_range?query={expr}&start={}&end={now}&step=5", now - 60.0)
    };
    let answer = prometheus.get(&target).await;
    answer["data"]["result"].as_array().unwrap().clone()
}

/// Whether there is a number.
async fn has_data(prometheus: &Part, expr: &str, is_instant: bool) -> bool {
    let samples = |series: &Value| series["values"].as_array().cloned().unwrap_or_else(|| vec![series["value"].clone()]);
    series(prometheus, expr, is_instant).await.iter().flat_map(samples).any(|sample| sample[1].as_str().is_some_and(|number| number != "NaN"))
}

/// Asks until each has had data once; those that have not in time.
async fn wait_for(prometheus: &Part, choice: &Choice, until: Instant) -> Vec<String> {
    let mut missing: Vec<Asked> = asked().into_iter().filter(|asked| !choice.is_empty(asked)).collect();
    loop {
        let mut still = Vec::new();
        for asked in missing {
            if !has_data(prometheus, &choice.fill(&asked.expr), asked.is_instant).await {
                still.push(asked);
            }
        }
        missing = still;
        if missing.is_empty() || Instant::now() > until {
            return missing.into_iter().map(|asked| format!("{}, {}: {}", choice.name, asked.at, choice.fill(&asked.expr))).collect();
        }
        sleep(LOOK).await;
    }
}

/// The values that a variable offers when everything is chosen before it.
async fn offered(prometheus: &Part) -> BTreeMap<String, Vec<String>> {
    let mut offered = BTreeMap::new();
    for variable in tree(&dashboards::all()[0])["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let (series, label) = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
        let series = utf8_percent_encode(&EVERYTHING.fill(series), NON_ALPHANUMERIC).to_string();
        let answer = prometheus.get(&format!("/api/v1/label/{label}/values?match[]={series}")).await;
        let values = answer["data"].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect();
        offered.insert(label.to_owned(), values);
    }
    offered
}

/// The panels whose dots are missing.
async fn without_exemplars(prometheus: &Part) -> Vec<String> {
    let mut missing = Vec::new();
    for asked in asked().into_iter().filter(|asked| asked.has_exemplars) {
        let expr = utf8_percent_encode(&EVERYTHING.fill(&asked.expr), NON_ALPHANUMERIC).to_string();
        let target = format!("/api/v1/query_exemplars?query={expr}&start={}&end={}", now() - 60.0, now());
        let found = prometheus.get(&target).await;
        let is_traced = |series: &Value| series["exemplars"][0]["labels"]["trace_id"].as_str().is_some_and(|id| id.len() == 32);
        if !found["data"].as_array().unwrap().iter().any(is_traced) {
            missing.push(asked.at);
        }
    }
    missing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_of_every_panel_has_data_of_the_real_proxy() {
    let (demo, ranger) = (demo().await, ranger().await);
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - {{job_name: demo, static_configs: [{{targets: ['{}']}}]}}
  - {{job_name: ranger, static_configs: [{{targets: ['{}'], labels: {{namespace: agents, pod: ranger-0}}}}]}}
  - job_name: stranger
    static_configs: [{{targets: ['{}'], labels: {{pod: {STRANGER}}}}}]
    metric_relabel_configs: [{{source_labels: [__name__], regex: 'process_.*', action: keep}}]
",
        demo.metrics, ranger.binary.admin, ranger.binary.admin
    );
    let prometheus = prometheus(&config, &[]).await;
    prometheus.query_until_found("count(up == 1) == 3", PATIENCE).await;
    let until = Instant::now() + PATIENCE;
    let (everything, one, demo) =
        tokio::join!(wait_for(&prometheus, &EVERYTHING, until), wait_for(&prometheus, &ONE_OF_EACH, until), wait_for(&prometheus, &DEMO, until));
    let missing = [everything, one, demo].concat();
    assert!(missing.is_empty(), "{} queries have no data:\n{}", missing.len(), missing.join("\n"));

    // What is listed as empty is so; if it is not any more, the list is to be shortened.
    for asked in asked().into_iter().filter(|asked| DEMO.is_empty(asked)) {
        assert!(!has_data(&prometheus, &DEMO.fill(&asked.expr), asked.is_instant).await, "{} has data", asked.at);
    }
    let offered = offered(&prometheus).await;
    for (label, value) in
        [("namespace", "agents"), ("pod", "ranger-0"), ("upstream", "upstream"), ("agent", "ranger"), ("agent", "stalled"), ("model", "gpt-4o")]
    {
        assert!(offered[label].iter().any(|offered| offered == value), "{label}: {offered:?}");
    }
    for asked in asked() {
        let found = series(&prometheus, &EVERYTHING.fill(&asked.expr), asked.is_instant).await;
        assert!(found.iter().all(|series| series["metric"]["pod"] != STRANGER), "{} shows what is no Pillion", asked.at);
    }
    assert_eq!(without_exemplars(&prometheus).await, Vec::<String>::new());
}
