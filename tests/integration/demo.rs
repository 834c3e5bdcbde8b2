//! Promise: what `demo` shows is so. The agent whose conversation only grows outgrows its model, and hears nothing of it; no agent is taken for
//! another's company.

use std::collections::HashMap;

use pillion::demo::{
    agents::{self, AgentEvent, FAULTS, What},
    model::{Model, ModelOptions},
    script::Script,
    summary::Summary,
};
use tokio::sync::{mpsc, oneshot};

use crate::support::{proxy, within};

#[tokio::test]
async fn an_agent_that_forgets_nothing_outgrows_its_model_and_hears_nothing_of_it() {
    let model = Model::start(ModelOptions { script: Script::read(FAULTS).unwrap(), ..ModelOptions::default() }).await.unwrap();
    let proxy = proxy().to(model.url()).run();
    let (events, mut story) = mpsc::channel::<AgentEvent>(256);
    let (stop, stopped) = oneshot::channel::<()>();
    let listening = async {
        let (mut summary, mut stop) = (Summary::default(), Some(stop));
        while let Some(event) = story.recv().await {
            if matches!(event.what, What::Asked { .. }) {
                proxy.asks();
            }
            summary.add(&event);
            if summary.of("hoarder").is_some_and(|tally| tally.trims >= 3) {
                stop.take();
            }
            if let What::Trimmed(tokens) = event.what {
                assert!(event.agent == "hoarder" && tokens > 500, "{event:?}");
            }
        }
        summary
    };
    let running = agents::run(proxy.traffic(), 1, events, async { drop(stopped.await) });
    let ((), summary) = within("three trimmed prompts", async { tokio::join!(running, listening) }).await;
    let hoarder = summary.of("hoarder").unwrap();
    assert_eq!((hoarder.ok, hoarder.retries), (hoarder.calls, 0), "{hoarder:?}");
    let seen = model.requests().into_iter().filter(|seen| seen.json()["model"] == "gpt-4-0613");
    assert!(seen.map(|seen| seen.status).all(|status| status == Some(200)));
    let metrics = proxy.settle().await;
    assert_eq!(metrics.count("pillion_trims_total", &[]), metrics.count("pillion_trims_total", &[("agent", "hoarder"), ("model", "gpt-4-0613")]));
    assert!(metrics.count("pillion_trims_total", &[]) >= 3);
    // The agents have nothing to do with each other, so nobody is asked what another is: that would make one team of them.
    let mut asked = HashMap::new();
    for seen in model.requests() {
        let body = seen.json();
        for message in body["messages"].as_array().unwrap().iter().filter(|message| message["role"] == "user" && message["content"].is_string()) {
            let of = asked.entry(message["content"].to_string()).or_insert_with(|| body["model"].clone());
            assert_eq!(*of, body["model"], "{message}");
        }
    }
    assert!(asked.len() >= 5, "{asked:?}");
}
