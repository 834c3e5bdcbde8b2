//! Promise: what is asked and answered reaches the spans only where the config says so, and never anything else; credentials not even then.

use serde_json::json;

use crate::support::{Agent, Call, Proxy, Upstream, Wire, call, model, proxy, upstream, within};

/// In the prompt, the system text, the tools, the answer.
const CANARIES: [&str; 4] = ["canary-asked", "canary-system", "canary_tool", "canary-answered"];
/// In a header, and in the prompt.
const KEYS: [&str; 2] = ["sk-canary-0123456789abcdef", "sk-proj-canary9876543210"];

/// Takes whatever spans come.
async fn receiver() -> Upstream {
    upstream(
        |mut wire: Wire| async move { while wire.request().await.is_some() && wire.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await {} },
    )
    .await
}

fn asking(stream: bool) -> Call {
    let body = json!({
        "model": "gpt-4o", "stream": stream,
        "messages": [{"role": "system", "content": CANARIES[1]}, {"role": "user", "content": format!("{} with {}", CANARIES[0], KEYS[1])}],
        "tools": [{"type": "function", "function": {"name": CANARIES[2], "parameters": {"type": "object"}}}],
    });
    call("POST", "/v1/chat/completions").header("Authorization", &format!("Bearer {}", KEYS[0])).json(&body)
}

/// Asks twice, and gives what was exported of it, and what everything else says.
async fn played(config: &str) -> (String, String) {
    let (model, receiver) = (model("rules: [{text: canary-answered}]").await, receiver().await);
    let config = format!("telemetry: {{otlp: {{endpoint: '{}'}}, log: {{level: trace, format: json}}{config}}}", receiver.url());
    let proxy = proxy().to(model.url()).config(config).run();
    for stream in [true, false] {
        let reply = proxy.ask(&asking(stream)).await;
        assert!(reply.status == 200 && reply.text().contains("canary"), "{}", reply.text());
    }
    proxy.settle_as("ok").await;
    let spans = || receiver.heard().iter().map(|heard| String::from_utf8_lossy(&heard.body).into_owned()).collect::<String>();
    within("both spans", async {
        while spans().matches("gen_ai.response.id").count() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    (spans(), elsewhere(&proxy).await)
}

/// The log, and every page of the admin port.
async fn elsewhere(proxy: &Proxy) -> String {
    let mut said = proxy.log();
    for page in ["/", "/metrics", "/api/agents", "/api/exchanges", "/api/conversations"] {
        said.push_str(&Agent::stranger(proxy.admin()).await.ask(&call("GET", page)).await.text());
    }
    assert!(said.contains("gpt-4o"), "{said}");
    said
}

#[tokio::test]
async fn contents_reach_the_spans_where_the_config_says_so_and_nothing_else() {
    let (spans, elsewhere) = played(", capture_content: true").await;
    for canary in CANARIES {
        assert_eq!(spans.matches(canary).count(), 2, "{canary}: {spans}");
        assert!(!elsewhere.contains(canary), "{canary}: {elsewhere}");
    }
    for name in ["gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"] {
        assert_eq!(spans.matches(name).count(), 2, "{name}: {spans}");
    }
    assert!(spans.contains(r#"[{"finish_reason":"stop","parts":[{"content":"canary-answered","type":"text"}],"role":"assistant"}]"#), "{spans}");
    for key in KEYS {
        assert!(!spans.contains(key) && !elsewhere.contains(key), "{key}: {spans}{elsewhere}");
    }
}

#[tokio::test]
async fn nothing_is_told_of_contents_unless_the_config_says_so() {
    let (spans, elsewhere) = played("").await;
    for canary in CANARIES.iter().chain(&KEYS) {
        assert!(!spans.contains(canary) && !elsewhere.contains(canary), "{canary}: {spans}{elsewhere}");
    }
}
