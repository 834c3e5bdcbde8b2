//! Where requests go, by path.

use http::Request;

use super::*;
use crate::config::{self, Environment, Flags};

fn config(yaml: &str, upstream: Option<&str>) -> Config {
    let flags = Flags { upstream: upstream.map(str::to_owned), ..Flags::default() };
    let environment: Environment = std::iter::empty::<(String, String)>().collect();
    config::read(yaml.as_bytes(), None, &flags, &environment).unwrap_or_else(|errors| panic!("{errors}")).config
}

fn head(target: &str, headers: &[(&str, &str)]) -> request::Parts {
    let request = headers.iter().fold(Request::post(target), |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap().into_parts().0
}

/// `expected`: the upstream and the target there; `None` is `no_route`.
fn check(config: &Config, target: &str, headers: &[(&str, &str)], expected: Option<(&str, &str)>) {
    let found = locate(config, &head(target, headers));
    let found = found.map(|target| (target.upstream.name.to_string(), target.forward(&target.upstream).to_string()));
    match (found, expected) {
        (Ok((name, forward)), Some(expected)) => assert_eq!((name.as_str(), forward.as_str()), expected, "{target}"),
        (Err(refusal), None) => assert_eq!(refusal.reason, Reason::NoRoute, "{target}"),
        (found, _) => panic!("{target}: {found:?}, not {expected:?}"),
    }
}

#[test]
fn the_path_s_dialect_has_a_default_upstream() {
    let config = Config::default();
    for (target, expected) in [
        ("/v1/chat/completions", ("openai", "/v1/chat/completions")),
        ("/v1/models?limit=2", ("openai", "/v1/models?limit=2")),
        ("/v1/messages", ("anthropic", "/v1/messages")),
        ("/v1/messages/count_tokens?beta=true", ("anthropic", "/v1/messages/count_tokens?beta=true")),
        ("/v1beta/models/gemini-2.5-pro:generateContent", ("gemini", "/v1beta/models/gemini-2.5-pro:generateContent")),
        ("/v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse", ("gemini", "/v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse")),
        ("/api/chat", ("ollama", "/api/chat")),
    ] {
        check(&config, target, &[], Some(expected));
    }
    check(&config, "/v1/models", &[("anthropic-version", "2023-06-01")], Some(("anthropic", "/v1/models")));
    check(&config, "/v1/models", &[("x-goog-api-key", "k")], Some(("gemini", "/v1/models")));
    for target in ["/", "/v2/chat/completions", "/v1x/models", "/chat/completions", "/apix", "/v1messages", "//evil.example/v1/models"] {
        check(&config, target, &[], None);
    }
}

#[test]
fn a_name_in_front_chooses_and_is_taken_away() {
    let config = config(
        "upstreams:\n  azure:\n    url: https://me.openai.azure.com/openai\n  gateway:\n    url: http://gateway.internal:8080/llm/v1/\n",
        None,
    );
    for (target, expected) in [
        ("/groq/v1/chat/completions", ("groq", "/openai/v1/chat/completions")),
        ("/openai/v1/responses", ("openai", "/v1/responses")),
        ("/anthropic/v1/messages", ("anthropic", "/v1/messages")),
        ("/vllm/v1/completions", ("vllm", "/v1/completions")),
        ("/gemini/v1beta/openai/chat/completions", ("gemini", "/v1beta/openai/chat/completions")),
        ("/gateway/v1/chat/completions", ("gateway", "/llm/v1/chat/completions")),
        ("/gateway/v1", ("gateway", "/llm/v1")),
        ("/gateway/v1?x=1", ("gateway", "/llm/v1?x=1")),
        ("/gateway/v10/x", ("gateway", "/llm/v1/v10/x")),
        ("/gateway?x=1", ("gateway", "/llm/v1?x=1")),
        ("/azure/deployments/d/chat/completions?api-version=1", ("azure", "/openai/deployments/d/chat/completions?api-version=1")),
    ] {
        check(&config, target, &[], Some(expected));
    }
    check(&config, "/openai/deployments/d/chat/completions", &[], None);
}

#[test]
fn one_upstream_for_everything_takes_the_path_as_it_is() {
    let config = config("", Some("http://127.0.0.1:9/v1"));
    for (target, forward) in [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/v1/models", "/v1/openai/v1/models"),
        ("/@planner/v1/messages", "/v1/messages"),
        ("/@planner", "/v1/"),
        ("/anything?q=%2F..", "/v1/anything?q=%2F.."),
    ] {
        check(&config, target, &[], Some(("upstream", forward)));
    }
}

#[test]
fn no_spelling_of_a_path_reaches_a_host_that_the_config_does_not_name() {
    let config = config("", Some("http://127.0.0.1:9/base"));
    for target in
        ["//evil.example/v1/x", "/@evil.example/v1/x", "/x@evil.example", "/..%2f..%2fetc", "/%00", "/\\evil.example", "http://evil.example/v1/x"]
    {
        let located = locate(&config, &head(target, &[])).unwrap();
        assert_eq!(located.upstream.host, "127.0.0.1", "{target}");
        assert!(located.forward(&located.upstream).as_str().starts_with("/base/"), "{target}");
    }
}

#[test]
fn an_agent_is_named_by_path_before_header_before_baggage() {
    let config = Config::default();
    let agent = |target: &str, headers: &[(&str, &str)]| locate(&config, &head(target, headers)).unwrap().agent.map(|name| name.to_string());
    let (header, baggage) = (("x-pillion-agent", "writer"), ("baggage", "gen_ai.agent.name=critic"));
    assert_eq!(agent("/@planner/v1/models", &[header, baggage]).as_deref(), Some("planner"));
    assert_eq!(agent("/%40planner/openai/v1/models", &[]).as_deref(), Some("planner"));
    assert_eq!(agent("/v1/models", &[header, baggage]).as_deref(), Some("writer"));
    assert_eq!(agent("/v1/models", &[baggage]).as_deref(), Some("critic"));
    assert_eq!(agent("/@Billing%20Agent_2.b-c/v1/models", &[]).as_deref(), Some("Billing Agent_2.b-c"));
    assert_eq!(agent("/v1/models", &[]), None);
    for invalid in ["/@/v1/models", "/@a%2Fb/v1/models", "/@a%0Ab/v1/models", "/@%FF/v1/models", "/@a:b/v1/models"] {
        assert_eq!(agent(invalid, &[header]), None, "{invalid}");
    }
    assert_eq!(agent(&format!("/@{}/v1/models", "a".repeat(65)), &[]), None);
}

#[test]
fn a_target_over_16_kib_is_refused() {
    let refusal = locate(&Config::default(), &head(&format!("/v1/{}", "a".repeat(17 << 10)), &[])).unwrap_err();
    assert_eq!(refusal.reason, Reason::UriTooLong);
}
