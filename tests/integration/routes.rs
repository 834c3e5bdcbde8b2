//! Promise: the path chooses among what the config names, and nothing else can; `/@AGENT` names who asks and goes no further.

use crate::support::{Upstream, Wire, agent, call, chat, model, proxy, upstream};

/// Answers everything well.
async fn willing() -> Upstream {
    upstream(|mut wire: Wire| async move {
        while wire.request().await.is_some() {
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
        }
    })
    .await
}

#[tokio::test]
async fn an_upstreams_own_path_goes_in_front_and_v1_is_not_doubled() {
    let table = [
        ("", "/v1/chat/completions", "/v1/chat/completions"),
        ("/", "/v1/models?x=1", "/v1/models?x=1"),
        ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/", "/v1/models", "/v1/models"),
        ("/v1", "/v1", "/v1"),
        ("/v1", "/v1?a=b", "/v1?a=b"),
        ("/v1", "/v10/models", "/v1/v10/models"),
        ("/v1", "/chat/completions", "/v1/chat/completions"),
        ("/api/v1", "/v1/chat/completions", "/api/v1/chat/completions"),
        ("/openai/deployments/gpt", "/chat/completions?api-version=2024", "/openai/deployments/gpt/chat/completions?api-version=2024"),
        ("/base", "/v1/x%2Fy//z", "/base/v1/x%2Fy//z"),
        ("/base", "/", "/base/"),
    ];
    let upstream = willing().await;
    for (nth, (base, asked, expected)) in table.into_iter().enumerate() {
        let proxy = proxy().to(format!("{}{base}", upstream.url())).run();
        assert_eq!(proxy.ask(&call("GET", asked)).await.status, 200);
        assert_eq!(upstream.heard()[nth].target(), expected, "{base} and {asked}");
        proxy.settle_as("ok").await;
    }
}

#[tokio::test]
async fn a_named_upstream_gets_what_is_below_its_name() {
    let (own, other) = (willing().await, willing().await);
    let yaml = format!("upstreams: {{own: {{url: '{}/v1'}}, openai: {{url: '{}'}}}}", own.url(), other.url());
    let proxy = proxy().config(yaml).run();
    let mut agent = agent(&proxy).await;
    for target in ["/own/v1/chat/completions", "/own/chat/completions?x=y", "/@planner/own/v1/models", "/v1/models", "/openai/v1/models"] {
        assert_eq!(agent.ask(&call("GET", target)).await.status, 200, "{target}");
    }
    let targets = |upstream: &Upstream| upstream.heard().iter().map(|heard| heard.target().to_owned()).collect::<Vec<_>>();
    assert_eq!(targets(&own), ["/v1/chat/completions", "/v1/chat/completions?x=y", "/v1/models"]);
    assert_eq!(targets(&other), ["/v1/models", "/v1/models"]);
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn the_agents_segment_is_removed_and_counted_whatever_it_says() {
    let table = [
        ("/@planner/v1/models", "planner"),
        ("/%40planner/v1/models", "planner"),
        ("/@The%20Planner_2.0-x/v1/models", "The Planner_2.0-x"),
        ("/@bad%2Fname/v1/models", "unknown"),
        ("/@%ff/v1/models", "unknown"),
        ("/@/v1/models", "unknown"),
        ("/v1/models", "unknown"),
    ];
    for (target, name) in table {
        let upstream = willing().await;
        let proxy = proxy().to(upstream.url()).run();
        assert_eq!(proxy.ask(&call("GET", target)).await.status, 200, "{target}");
        assert_eq!(upstream.only().target(), "/v1/models", "{target}");
        let metrics = proxy.settle_as("ok").await;
        assert_eq!(metrics.count("pillion_exchanges_total", &[("agent", name)]), 1, "{target}: {:?}", metrics.show("pillion_exchanges_total"));
    }
}

#[tokio::test]
async fn the_path_beats_the_header_that_names_the_agent() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    proxy.ask(&chat(false).header("X-Pillion-Agent", "coder")).await;
    proxy.ask(&chat(false).at("/@planner/v1/chat/completions").header("X-Pillion-Agent", "coder")).await;
    let metrics = proxy.settle_as("ok").await;
    for name in ["coder", "planner"] {
        assert_eq!(metrics.count("pillion_exchanges_total", &[("agent", name)]), 1, "{name}");
    }
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_a_404_that_says_which_would() {
    let proxy = proxy().run();
    let reply = proxy.ask(&call("GET", "/favicon.ico")).await;
    assert_eq!((reply.status, reply.refusal(), reply.header("content-type")), (404, Some("no_route"), Some("application/problem+json")));
    let body = reply.json();
    assert_eq!((&body["code"], &body["status"]), (&"no_route".into(), &404.into()));
    assert!(body["detail"].as_str().unwrap().contains("/favicon.ico"));
    let metrics = proxy.settle_as("refused").await;
    assert_eq!(metrics.count("pillion_refusals_total", &[("reason", "no_route")]), 1);
}

#[tokio::test]
async fn no_header_host_or_absolute_target_names_another_upstream() {
    let (own, evil) = (willing().await, willing().await);
    let proxy = proxy().to(own.url()).run();
    let mut agent = agent(&proxy).await;
    let elsewhere = evil.url();
    let authority = elsewhere.trim_start_matches("http://");
    for call in [
        call("GET", "/x").header("X-Forwarded-Host", authority).header("Forwarded", &format!("host={authority}")),
        call("GET", &format!("//{authority}/x")),
        call("GET", &format!("/x?url={elsewhere}")),
    ] {
        assert_eq!(agent.ask(&call).await.status, 200);
    }
    drop(agent);
    for call in [call("GET", &format!("{elsewhere}/x")), call("CONNECT", authority)] {
        proxy.ask(&call).await;
    }
    assert!(evil.heard().is_empty());
    proxy.settle().await;
}

#[tokio::test]
async fn a_request_that_comes_back_is_refused_as_a_loop() {
    let upstream = willing().await;
    let proxy = proxy().to(upstream.url()).run();
    proxy.ask(&chat(false)).await;
    let via = upstream.only().header("via").unwrap().to_owned();
    let reply = proxy.ask(&chat(false).header("Via", &format!("1.1 other, {via}, 1.1 another"))).await;
    assert_eq!((reply.status, reply.refusal(), &reply.json()["error"]["code"]), (508, Some("proxy_loop"), &"proxy_loop".into()));
    assert_eq!(upstream.heard().len(), 1);
    assert_eq!(proxy.ask(&chat(false).header("Via", "1.1 other")).await.status, 200, "what others write there is carried");
    assert_eq!(upstream.heard()[1].headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("via")).count(), 2);
    proxy.settle().await;
}
