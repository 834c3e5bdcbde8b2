//! Promise: `/api/*` on the admin port says what happened lately, as JSON of a bounded size, to whom the rest of the port answers, and nothing of what
//! was said.

use serde_json::Value;

use crate::support::{Agent, Call, Proxy, Reply, call, chat, messages, model, proxy};

async fn ask(proxy: &Proxy, call: &Call) -> Reply {
    Agent::stranger(proxy.admin()).await.ask(call).await
}

/// The page, which must be there.
async fn page(proxy: &Proxy, target: &str) -> Value {
    let reply = ask(proxy, &call("GET", target)).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{target}: {}", reply.text());
    serde_json::from_str(&reply.text()).unwrap_or_else(|error| panic!("{target}: {error}"))
}

fn texts<'a>(page: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    page[list].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap_or("-")).collect()
}

#[tokio::test]
async fn exchanges_are_told_newest_first_and_can_be_chosen() {
    let model = model("[{}, {\"status\": 400}, {}]").await;
    let proxy = proxy().to(model.url()).run();
    let first = proxy.ask(&chat(true).at("/@planner/v1/chat/completions")).await;
    let second = proxy.ask(&chat(false).at("/@writer/v1/chat/completions")).await;
    let third = proxy.ask(&messages(false).header("x-pillion-agent", "writer")).await;
    proxy.settle().await;
    let ids = [&third, &second, &first].map(|reply| reply.header("x-pillion-exchange").unwrap().to_owned());
    let all = page(&proxy, "/api/exchanges").await;
    assert_eq!(
        (texts(&all, "exchanges", "id"), all["seen"].as_u64(), all["truncated"].as_bool()),
        (ids.iter().map(String::as_str).collect(), Some(3), Some(false))
    );
    assert_eq!(all["exchanges"][0]["tokens"]["input"].as_u64().map(|tokens| tokens > 0), Some(true), "{all:#}");
    for (query, expected) in [
        ("agent=planner", vec![2]),
        ("agent=writer", vec![0, 1]),
        ("agent=writer&outcome=client_error", vec![1]),
        ("outcome=ok&limit=1", vec![0]),
        ("model=gpt-4o", vec![1, 2]),
        ("model=gpt-4o&agent=planner&outcome=ok&conversation=", vec![2]),
        ("agent=nobody", vec![]),
    ] {
        let chosen = page(&proxy, &format!("/api/exchanges?{query}")).await;
        let expected: Vec<&str> = expected.into_iter().map(|nth: usize| ids[nth].as_str()).collect();
        assert_eq!(texts(&chosen, "exchanges", "id"), expected, "{query}");
        assert_eq!(chosen["truncated"].as_bool(), Some(query.contains("limit")), "{query}");
    }
}

#[tokio::test]
async fn agents_are_told_with_what_they_did() {
    let model = model("[{}, {\"status\": 400}]").await;
    let proxy = proxy().to(model.url()).run();
    for _ in 0..2 {
        proxy.ask(&chat(false).at("/@planner/v1/chat/completions")).await;
    }
    proxy.ask(&chat(false)).await;
    proxy.settle().await;
    let all = page(&proxy, "/api/agents").await;
    let mut names = texts(&all, "agents", "name");
    names.sort_unstable();
    assert_eq!(names, ["planner", "unknown"]);
    let planner = &page(&proxy, "/api/agents?agent=planner").await["agents"][0];
    assert_eq!(
        (&planner["exchanges"]["total"], &planner["exchanges"]["ok"], &planner["exchanges"]["client_error"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!((&planner["last_error"]["error_type"], &planner["sources"]["explicit"]), (&"400".into(), &2.into()));
    assert!(planner["latency"]["p95_seconds"].as_f64().unwrap() > 0.0 && planner["tokens"]["output"].as_u64().unwrap() > 0, "{planner:#}");
    assert!(page(&proxy, "/api/conversations").await["conversations"].is_array());
}

#[tokio::test]
async fn nothing_that_was_said_is_told() {
    let model = model("[{\"text\": \"canary answer\"}]").await;
    let proxy = proxy().to(model.url()).run();
    let question =
        serde_json::json!({"model": "gpt-4o", "messages": [{"role": "system", "content": "canary system"}, {"role": "user", "content": "canary"}]});
    let asked = call("POST", "/v1/chat/completions?secret=canary").header("Authorization", "Bearer sk-canary").json(&question);
    assert!(proxy.ask(&asked).await.text().contains("canary answer"));
    proxy.settle_as("ok").await;
    for path in ["/api/exchanges", "/api/agents", "/api/conversations"] {
        let told = page(&proxy, path).await.to_string();
        assert!(!told.contains("canary"), "{path}: {told}");
    }
}

#[tokio::test]
async fn errors_are_json_and_say_what_would_be_right() {
    let proxy = proxy().run();
    for (method, target, status, part) in [
        ("GET", "/api", 404, "/api/exchanges"),
        ("GET", "/api/", 404, "/api/agents"),
        ("GET", "/api/exchange", 404, "/api/conversations"),
        ("GET", "/api/exchanges?agnet=x", 400, "agnet"),
        ("GET", "/api/exchanges?outcome=good", 400, "rate_limited"),
        ("GET", "/api/agents?limit=none", 400, "whole number"),
        ("POST", "/api/agents", 405, "only GET"),
    ] {
        let reply = ask(&proxy, &call(method, target)).await;
        let told: Value = serde_json::from_str(&reply.text()).unwrap_or_else(|error| panic!("{target}: {error}"));
        assert_eq!(
            (reply.status, reply.header("content-type"), told["error"]["status"].as_u64()),
            (status, Some("application/json"), Some(u64::from(status))),
            "{target}"
        );
        assert!(told["error"]["message"].as_str().unwrap().contains(part), "{target}: {told}");
    }
    let stranger = ask(&proxy, &call("GET", "/api/agents").named("evil.example")).await;
    assert_eq!((stranger.status, stranger.header("content-type")), (421, Some("application/json")));
    let head = ask(&proxy, &call("HEAD", "/api/agents")).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
}

#[tokio::test]
async fn a_page_is_bounded_and_says_that_it_was_cut() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let mut agent = crate::support::agent(&proxy).await;
    for n in 0..600 {
        let target = format!("/v1/{n}/{}", "é".repeat(300).replace('é', "%C3%A9"));
        agent.ask(&call("GET", &target)).await;
    }
    proxy.settle().await;
    let reply = ask(&proxy, &call("GET", "/api/exchanges?limit=100000")).await;
    let told: Value = serde_json::from_str(&reply.text()).unwrap();
    assert_eq!((told["exchanges"].as_array().unwrap().len(), told["seen"].as_u64()), (512, Some(600)));
    assert!(reply.text().len() <= 1_000_000);
    let few = page(&proxy, "/api/exchanges?limit=5").await;
    assert_eq!((few["exchanges"].as_array().unwrap().len(), few["truncated"].as_bool()), (5, Some(true)));
}

#[tokio::test]
async fn a_tool_that_runs_is_told_until_its_result_comes() {
    let model = model("[{\"tools\": [{\"name\": \"search\", \"arguments\": {\"q\": \"x\"}}]}, {\"text\": \"Done.\"}]").await;
    let proxy = proxy().to(model.url()).run();
    let mut history = vec![serde_json::json!({"role": "user", "content": "Look it up, please."})];
    let ask_with = |history: &[Value]| {
        let tool = serde_json::json!({"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}});
        let question = serde_json::json!({"model": "gpt-4o", "messages": history, "tools": [tool]});
        call("POST", "/@planner/v1/chat/completions").json(&question)
    };
    let reply: Value = serde_json::from_str(&proxy.ask(&ask_with(&history)).await.text()).unwrap();
    let said = &reply["choices"][0]["message"];
    proxy.settle_as("ok").await;
    let told = &page(&proxy, "/api/conversations").await["conversations"][0];
    assert_eq!((&told["turns"], &told["remembered"], &told["agents"]["planner"]), (&1.into(), &true.into(), &1.into()), "{told:#}");
    assert_eq!((&told["running_tools"][0]["tool"], &told["running_tools"][0]["agent"]), (&"search".into(), &"planner".into()), "{told:#}");
    assert!(told["running_tools"][0]["running_seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{told:#}");

    history.push(said.clone());
    history.push(serde_json::json!({"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "found"}));
    proxy.ask(&ask_with(&history)).await;
    proxy.settle_as("ok").await;
    let id = told["id"].as_str().unwrap();
    let told = &page(&proxy, &format!("/api/conversations?agent=planner&conversation={id}")).await["conversations"][0];
    assert_eq!((&told["turns"], &told["tool_results"], told["running_tools"].as_array().unwrap().len()), (&2.into(), &1.into(), 0), "{told:#}");
    let rows = page(&proxy, &format!("/api/exchanges?conversation={id}")).await;
    assert_eq!(
        (rows["exchanges"][0]["tool_results"][0]["tool"].as_str(), rows["exchanges"][1]["tool_calls"][0].as_str()),
        (Some("search"), Some("search"))
    );
    let agents = page(&proxy, "/api/agents").await;
    assert_eq!((&agents["agents"][0]["tools"]["search"]["runs"], &agents["agents"][0]["known_by"]), (&1.into(), &"explicit".into()), "{agents:#}");
}

#[tokio::test]
async fn a_name_that_a_later_request_reveals_is_told_with_the_earlier_exchange() {
    let model = model("[{\"text\": \"It will rain in Oslo tomorrow, take a coat.\"}, {\"text\": \"Noted, a coat it is then.\"}]").await;
    let proxy = proxy().to(model.url()).run();
    let ask_with = |messages: Value| call("POST", "/v1/chat/completions").json(&serde_json::json!({"model": "gpt-4o", "messages": messages}));
    let task = serde_json::json!({"role": "user", "name": "user", "content": "How will the weather be in Oslo?"});
    let first = ask_with(serde_json::json!([{"role": "system", "content": "You know the weather."}, task]));
    let id = proxy.ask(&first).await.header("x-pillion-exchange").unwrap().to_owned();
    proxy.settle_as("ok").await;
    assert_eq!(page(&proxy, "/api/exchanges").await["exchanges"][0]["agent"].as_str(), Some("unknown"));
    let echo = serde_json::json!({"role": "user", "name": "meteorologist", "content": "It will rain in Oslo tomorrow, take a coat."});
    proxy.ask(&ask_with(serde_json::json!([{"role": "system", "content": "You pack."}, task, echo]))).await;
    proxy.settle_as("ok").await;
    let told = page(&proxy, "/api/exchanges?agent=meteorologist").await;
    let row = &told["exchanges"][0];
    assert_eq!((row["id"].as_str(), row["agent"].as_str()), (Some(id.as_str()), Some("unknown")), "{told:#}");
    assert_eq!((row["revised_agent"].as_str(), row["revised_source"].as_str()), (Some("meteorologist"), Some("inferred(echo)")), "{told:#}");
    let agents = page(&proxy, "/api/agents?agent=meteorologist").await;
    assert_eq!((&agents["agents"][0]["revised_exchanges"], &agents["attribution"]["named_later"]), (&1.into(), &1.into()), "{agents:#}");
}
