//! What a prompt was and what it cost: prices and windows of the config and of the bundled table, tokens that the provider counted or that were
//! estimated, and what is left of its limits.

use serde_json::{Value, json};

use crate::support::{Metrics, Proxy, Wire, chat, proxy, upstream, verb, within};

/// Answers with usage: a token for every three characters of the body's only message, and 10 for the frame around it.
async fn counting(mut wire: Wire) {
    while let Some(heard) = wire.request().await {
        let body: Value = serde_json::from_slice(&heard.body).unwrap();
        let characters = body["messages"][0]["content"].as_str().map_or(0, |text| text.chars().count());
        let usage = json!({"prompt_tokens": characters / 3 + 10, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 10}});
        let message = json!({"role": "assistant", "content": "Yes."});
        let answer =
            json!({"id": "c", "model": body["model"], "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage});
        let answer = answer.to_string();
        let limits = "x-ratelimit-remaining-requests: 59\r\nx-ratelimit-reset-requests: 1s\r\nx-ratelimit-remaining-tokens: 1000\r\n";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{limits}Content-Length: {}\r\n\r\n", answer.len());
        if !wire.write(head + &answer).await {
            return;
        }
    }
}

/// Asks with so many characters.
async fn ask(proxy: &Proxy, model: &str, characters: usize) {
    let question = json!({"model": model, "messages": [{"role": "user", "content": "x".repeat(characters)}]});
    let reply = proxy.ask(&chat(false).at("/@planner/v1/chat/completions").body(question.to_string())).await;
    assert_eq!(reply.status, 200);
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
}

#[tokio::test]
async fn cost_and_window_come_from_the_config_and_else_from_the_table() {
    let upstream = upstream(counting).await;
    let config = "telemetry: {prices: {'mine-*': {input: 2, output: 20, cache_read: 1}}}\ncontext: {windows: {'mine-*': 1000}}";
    let proxy = proxy().to(upstream.url()).config(config).run();
    // 300 characters: 110 tokens, of which 10 are cached.
    for model in ["mine-1", "gpt-4o", "of-nobody"] {
        ask(&proxy, model, 300).await;
    }
    let metrics = proxy.settle().await;
    let of = |name: &str, model: &str| metrics.value(name, &[("agent", "planner"), ("model", model)]);
    near(of("pillion_cost_usd_total", "mine-1"), (100.0 * 2.0 + 10.0 + 100.0 * 20.0) / 1e6);
    near(of("pillion_cost_usd_total", "gpt-4o"), (100.0 * 2.5 + 10.0 * 1.25 + 100.0 * 10.0) / 1e6);
    near(of("pillion_prompt_tokens_sum", "gpt-4o"), 110.0);
    near(of("pillion_prompt_window_ratio_sum", "mine-1"), 0.11);
    near(of("pillion_prompt_window_ratio_sum", "gpt-4o"), 110.0 / 128_000.0);
    assert!(metrics.show("pillion_cost_usd_total").iter().all(|line| !line.contains("of-nobody")), "{:?}", metrics.show("pillion_cost"));
    assert!(metrics.show("pillion_prompt_window_ratio").iter().all(|line| !line.contains("of-nobody")));
    within("the log's line", async {
        while !proxy.log().contains(" in 110 (10 cached) out 100 $0.002210 ") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_estimate_is_within_a_few_percent_after_twenty_replies() {
    let upstream = upstream(counting).await;
    let proxy = proxy().to(upstream.url()).run();
    for turn in 0..20 {
        ask(&proxy, "unheard-of", 500 + 400 * turn).await;
    }
    let error = |metrics: &Metrics| metrics.value("pillion_token_estimate_error_ratio_sum", &[("model", "unheard-of")]);
    let before = error(&proxy.settle().await);
    for turn in 0..10 {
        ask(&proxy, "unheard-of", 700 + 900 * turn).await;
    }
    let after = proxy.settle().await;
    assert_eq!(after.count("pillion_token_estimate_error_ratio_count", &[("model", "unheard-of")]), 30);
    let mean = (error(&after) - before) / 10.0;
    assert!(before > 0.05 && mean < 0.02, "at first {before} in all, then {mean} each");
}

#[tokio::test]
async fn a_conversation_that_goes_on_is_estimated_from_its_last_count() {
    let upstream = upstream(counting).await;
    let proxy = proxy().to(upstream.url()).run();
    for turn in 0..10 {
        ask(&proxy, "unheard-of", 500 + 400 * turn).await;
    }
    // Nothing like what the model's replies have taught: 11 tokens.
    let mut messages = vec![json!({"role": "system", "content": "Yes"}), json!({"role": "user", "content": "x".repeat(9000)})];
    let mut errors = Vec::new();
    for _ in 0..3 {
        let before = proxy.settle().await.value("pillion_token_estimate_error_ratio_sum", &[("model", "unheard-of")]);
        let body = json!({"model": "unheard-of", "messages": messages});
        assert_eq!(proxy.ask(&chat(false).body(body.to_string())).await.status, 200);
        errors.push(proxy.settle().await.value("pillion_token_estimate_error_ratio_sum", &[("model", "unheard-of")]) - before);
        messages.extend([json!({"role": "assistant", "content": "Yes."}), json!({"role": "user", "content": "Go on."})]);
    }
    assert!(errors[0] > 50.0 && errors[1..].iter().all(|error| *error < 0.5), "{errors:?}");
}

#[tokio::test]
async fn what_is_left_of_the_providers_limits_is_shown() {
    let upstream = upstream(counting).await;
    let proxy = proxy().to(upstream.url()).run();
    ask(&proxy, "gpt-4o", 30).await;
    let metrics = proxy.settle().await;
    let left = |kind: &str| metrics.value("pillion_rate_limit_remaining", &[("model", "gpt-4o"), ("kind", kind)]);
    near(left("requests"), 59.0);
    near(left("tokens"), 1000.0);
    near(metrics.value("pillion_rate_limit_reset_seconds", &[("kind", "requests")]), 1.0);
    assert!(metrics.show("pillion_rate_limit_reset_seconds").iter().all(|line| !line.contains("tokens")));
}

#[tokio::test]
async fn check_says_how_old_the_table_is() {
    let ended = verb("check").ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.ends_with("# prices and windows of other models: as of 2026-11\n"), "{}", ended.stdout);
}
