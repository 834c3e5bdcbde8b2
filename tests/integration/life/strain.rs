//! What is around it fails: descriptors, the log's reader, the collector. Traffic goes on.

use std::time::Duration;

use rustix::process::Signal;
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};

use crate::support::{Agent, Binary, Metrics, agent, call, chat, free, model, proxy, run, within};

/// Many requests on one connection, a hundred at a time, each answered.
async fn ask_many(agent: &mut Agent, count: usize) {
    for batch in 0..count.div_ceil(100) {
        let size = (count - batch * 100).min(100);
        agent.write(call("GET", "/bytes/1").bytes().repeat(size)).await;
        for _ in 0..size {
            agent.asks();
            assert_eq!(agent.reply().await.status, 200);
        }
    }
}

/// What the binary's metrics say.
async fn metric(binary: &Binary, name: &str, labels: &[(&str, &str)]) -> f64 {
    Metrics::scrape(binary.admin).await.value(name, labels)
}

#[tokio::test]
async fn descriptors_that_run_out_cost_no_processor_and_come_back_within_a_second() {
    let model = model("").await;
    let mut binary = run().upstream(&model).ready().await;
    assert_eq!(Agent::stranger(binary.traffic).await.ask(&chat(false)).await.status, 200);
    binary.limit_descriptors(64);
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(Agent::stranger(binary.traffic).await);
    }
    binary.says("cannot accept").await;
    let mut waiting = Agent::stranger(binary.traffic).await;
    waiting.send(&chat(false)).await;
    let used = binary.processor_time();
    assert!(timeout(Duration::from_secs(2), waiting.head()).await.is_err(), "there is a descriptor left");
    let spent = binary.processor_time().saturating_sub(used);
    assert!(spent < Duration::from_millis(100), "{spent:?} of processor in 2 s");
    drop(held);
    let freed = Instant::now();
    assert_eq!(waiting.head().await.status, 200);
    assert!(freed.elapsed() < Duration::from_millis(1250), "{:?}", freed.elapsed());
    assert!(metric(&binary, "pillion_accept_errors_total", &[]).await >= 1.0);
}

/// More than the log's queue and a pipe hold.
const MANY: usize = 6000;

/// Traffic, while nobody reads what is logged any more.
async fn goes_on_unheard(mut binary: Binary) {
    let mut agent = Agent::stranger(binary.traffic).await;
    ask_many(&mut agent, MANY).await;
    assert_eq!(metric(&binary, "pillion_exchanges_total", &[("outcome", "ok")]).await.to_string(), MANY.to_string());
    let dropped = within("lines to be dropped", async {
        loop {
            if metric(&binary, "pillion_log_lines_dropped_total", &[]).await > 0.0 {
                return;
            }
        }
    });
    dropped.await;
    binary.signal(Signal::TERM);
    let (code, took) = binary.exit(Duration::from_secs(5)).await;
    assert_eq!(code, Some(0), "{took:?}");
}

#[tokio::test]
async fn a_log_whose_reader_is_gone_stops_no_traffic() {
    let model = model("").await;
    let mut binary = run().upstream(&model).ready().await;
    binary.close_stderr();
    goes_on_unheard(binary).await;
}

#[tokio::test]
async fn a_log_whose_reader_is_stuck_stops_no_traffic() {
    let model = model("").await;
    let binary = run().upstream(&model).ready().await;
    binary.stop_reading();
    goes_on_unheard(binary).await;
}

/// Traffic with a collector at this address; all its spans are accounted for, and none arrived.
async fn loses_spans_alone(endpoint: &str) {
    let model = model("").await;
    let config = format!("telemetry: {{otlp: {{endpoint: \"{endpoint}\", timeout: 300ms}}}}");
    let proxy = proxy().to(model.url()).config(config).run();
    let mut agent = agent(&proxy).await;
    ask_many(&mut agent, 200).await;
    proxy.settle_as("ok").await;
    let state = |metrics: &Metrics, state: &str| metrics.value("pillion_spans_total", &[("state", state)]);
    let lost = |metrics: &Metrics| state(metrics, "failed") + state(metrics, "dropped");
    let metrics = proxy.metrics_until("all spans are counted as lost", |metrics| lost(metrics) > 199.5).await;
    assert_eq!([lost(&metrics), state(&metrics, "exported")].map(|count| count.to_string()), ["200", "0"]);
}

#[tokio::test]
async fn a_collector_that_refuses_changes_nothing_but_the_count_of_lost_spans() {
    loses_spans_alone(&format!("http://{}", free())).await;
}

#[tokio::test]
async fn a_collector_that_never_answers_changes_nothing_but_the_count_of_lost_spans() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    loses_spans_alone(&format!("http://{}", silent.local_addr().unwrap())).await;
}

#[tokio::test]
async fn a_collector_that_never_answers_does_not_hold_up_the_end() {
    let (model, silent) = (model("").await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let config = format!("telemetry: {{otlp: {{endpoint: \"http://{}\"}}}}", silent.local_addr().unwrap());
    let mut binary = run().upstream(&model).config(&config).ready().await;
    ask_many(&mut Agent::stranger(binary.traffic).await, 10).await;
    binary.signal(Signal::TERM);
    let (code, took) = binary.exit(Duration::from_secs(5)).await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(3), "{took:?}");
}
