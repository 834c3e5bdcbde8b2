//! Promise: arguments of tool calls are held to the schema that the request itself declared; what does not fit is counted, and told nowhere.

use serde_json::{Value, json};

use crate::support::{Wire, call, proxy, upstream};

/// A whole answer that calls the tool once for each of these arguments.
fn answer(finish: &str, arguments: &[&str]) -> String {
    let call = |(at, arguments): (usize, &&str)| json!({"id": format!("call_{at}"), "type": "function", "function": {"name": "weather", "arguments": arguments}});
    let calls: Vec<Value> = arguments.iter().enumerate().map(call).collect();
    json!({"id": "c", "object": "chat.completion", "model": "gpt-4o", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": calls}, "finish_reason": finish},
    ]})
    .to_string()
}

/// The same as a stream, a byte of arguments an event.
fn stream(arguments: &str) -> String {
    let event =
        |delta: &Value, finish: Option<&str>| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}));
    let piece = |piece: &str, name: &str| json!({"tool_calls": [{"index": 0, "id": "call_0", "function": {"name": name, "arguments": piece}}]});
    let pieces = arguments.split("").fold(String::new(), |events, one| events + &event(&piece(one, ""), None));
    event(&piece("", "weather"), None) + &pieces + &event(&json!({}), Some("tool_calls")) + "data: [DONE]\n\n"
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_counted_for_their_agent_and_tool() {
    let bodies = [
        ("application/json", answer("tool_calls", &[r#"{"city":"Rome"}"#, r#"{"town":"secret-7"}"#, "secret-7 {"])),
        ("text/event-stream", stream(r#"{"city":"Rome"}"#)),
        ("text/event-stream", stream(r#"{"city":["secret-7"]}"#)),
        ("application/json", answer("length", &[r#"{"city":"secr"#])),
    ];
    let replies =
        bodies.map(|(content_type, body)| format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let upstream = upstream(move |mut wire: Wire| {
        let replies = replies.clone();
        async move {
            while let Some(heard) = wire.request().await {
                let which: usize = heard.header("x-which").unwrap().parse().unwrap();
                wire.write(replies[which].as_bytes()).await;
            }
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": schema}}]);
    for which in 0..4 {
        let question =
            json!({"model": "gpt-4o", "stream": which == 1 || which == 2, "messages": [{"role": "user", "content": "Weather?"}], "tools": tools});
        let ask = call("POST", "/@planner/v1/chat/completions").header("X-Which", &which.to_string()).json(&question);
        assert_eq!(proxy.ask(&ask).await.status, 200);
    }
    proxy.settle_as("ok").await;
    let labels = [("agent", "planner"), ("tool", "weather")];
    let counted = proxy.metrics_until("three mismatches", |metrics| metrics.count("pillion_tool_schema_mismatches_total", &labels) == 3).await;
    assert_eq!(counted.count("pillion_tool_calls_total", &labels), 6);
    assert_eq!(counted.count("pillion_observation_skipped_total", &[]), 0);
    let told = proxy.log() + &counted.show("").join("\n");
    assert!(!told.contains("secret-7"), "{told}");
}
