//! Promise: rules of the config name the agents of programs that are not to be touched, an agent's own word beats them, and an agent can have policies
//! of its own.

use crate::support::{call, chat, messages, model, proxy, within};

const RULES: &str = "
agents:
- {name: red team, when: {header: {x-team: 'r*'}, path: '/v1/*'}}
- {name: other, when: {path: '/other/*'}}
- {name: red team, retries: {attempts: 1}}
";

#[tokio::test]
async fn rules_name_who_does_not_say_it_and_the_agents_own_word_beats_them() {
    let model = model("").await;
    let proxy = proxy().config(RULES).to(model.url()).run();
    let table = [
        (chat(false).header("x-team", "red"), "red team"),
        (chat(false).header("x-team", "red").header("x-pillion-agent", "planner"), "planner"),
        (chat(false).header("x-team", "red").at("/@writer/v1/chat/completions"), "writer"),
        (chat(false).header("x-team", "blue"), "unknown"),
        (call("GET", "/other/v1/models"), "other"),
        (call("GET", "/@a%2Fb/other/v1/models"), "other"),
    ];
    for (call, _) in &table {
        proxy.ask(call).await;
    }
    let metrics = proxy.settle().await;
    for name in ["red team", "planner", "writer", "unknown", "other"] {
        let expected = table.iter().filter(|(_, agent)| *agent == name).count();
        assert_eq!(metrics.count("pillion_exchanges_total", &[("agent", name)]), u64::try_from(expected).unwrap(), "{name}");
    }
    within("the log's line", async {
        while !proxy.log().contains("red team") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_names_its_agent_and_is_nowhere_to_be_read() {
    let hash = crate::support::sha256("sk-canary-71");
    let model = model("").await;
    let proxy = proxy().config(format!("agents: [{{name: keyed, when: {{api_key_sha256: '{}'}}}}]", &hash[..16])).to(model.url()).run();
    let question = chat(true);
    proxy.ask(&question).await;
    proxy.ask(&call("GET", "/v1/models").header("Authorization", "Bearer sk-canary-71")).await;
    let metrics = proxy.settle().await;
    assert_eq!(metrics.count("pillion_exchanges_total", &[("agent", "keyed")]), 1);
    assert_eq!(metrics.count("pillion_exchanges_total", &[("agent", "unknown")]), 1);
    assert!(!proxy.log().contains("canary"));
}

#[tokio::test]
async fn an_agents_own_policies_hold_for_it_however_it_is_known() {
    let model = model("[{\"status\": 500}, {\"status\": 500}, {\"status\": 500}]").await;
    let proxy = proxy().config(RULES).to(model.url()).run();
    for call in [chat(false).header("x-team", "red"), chat(false).at("/@red%20team/v1/chat/completions")] {
        let reply = proxy.ask(&call).await;
        assert_eq!((reply.status, reply.header("x-pillion-attempts")), (500, Some("1")));
    }
    let reply = proxy.ask(&chat(false)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("2")));
    proxy.settle().await;
}

#[tokio::test]
async fn a_system_prompt_names_its_agent_in_every_turn() {
    let model = model("").await;
    let yaml = "agents: [{name: critic, when: {system: '*find every flaw*'}}, {name: other, when: {path: '/other/*'}}]";
    let proxy = proxy().config(yaml).to(model.url()).run();
    let mut history = vec![
        serde_json::json!({"role": "system", "content": "\nYou are strict:\nfind every flaw\n"}),
        serde_json::json!({"role": "user", "content": "Read this, please."}),
    ];
    for turn in 0..3 {
        let question = serde_json::json!({"model": "gpt-4o", "messages": history});
        let reply: serde_json::Value = serde_json::from_str(&proxy.ask(&chat(false).json(&question)).await.text()).unwrap();
        history.push(reply["choices"][0]["message"].clone());
        history.push(serde_json::json!({"role": "user", "content": format!("And now this, number {turn}.")}));
    }
    let anthropic = serde_json::json!({
        "model": "claude-sonnet-4-5", "max_tokens": 64,
        "system": [{"type": "text", "text": "Read, and find every flaw."}], "messages": [{"role": "user", "content": "Hello."}],
    });
    proxy.ask(&messages(false).json(&anthropic)).await;
    proxy.ask(&chat(false)).await;
    let metrics = proxy.settle_as("ok").await;
    assert_eq!(metrics.count("pillion_exchanges_total", &[("agent", "critic")]), 4);
    assert_eq!(metrics.count("pillion_exchanges_total", &[("agent", "unknown")]), 1);
}
