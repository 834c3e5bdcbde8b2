//! What `pillion check` shows.

use super::Selection;
use crate::config::{Environment, Flags, Loaded, read};

const FILE: &str = "\
upstreams:
  openai: {api_key: \"${KEY}\"}
  my.llm: {url: 'http://[::1]:8000/v1', dialect: openai-chat, api_key: canary}
server: {admin_token: canary, hosts: [a.example], body_limit: 1MiB}
routes:
- {path: '/v1/*', model: \"gpt-4*\", upstream: my.llm, timeouts: {total: 1m 30s}}
- agent: '$${x} ü'
telemetry: {otlp: {endpoint: http://c:4318, headers: {X-Key: canary}}, sample: 0.5}
timeouts: {idle: off}
agents:
- {name: a b, when: {header: {X-Team: 'red*'}, path: '/v1/*', system: 'You are*', api_key_sha256: AB12cd34}, timeouts: {total: 7s}}
- {name: c, when: {path: '*'}}
";

fn loaded(text: &str, variables: &[(&str, &str)]) -> Loaded {
    let environment: Environment = variables.iter().copied().collect();
    read(text.as_bytes(), None, &Flags::default(), &environment).unwrap_or_else(|errors| panic!("{errors}"))
}

fn printed(loaded: &Loaded, selection: &Selection) -> String {
    let mut out = Vec::new();
    loaded.print(&mut out, selection).expect("a vector takes everything");
    String::from_utf8(out).expect("text")
}

#[test]
fn every_value_is_shown_with_its_origin_and_no_secret() {
    let variables = [("KEY", "canary"), ("PILLION_TIMEOUTS__TOTAL", "30s"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500")];
    let text = printed(&loaded(FILE, &variables), &Selection::default());
    assert!(!text.contains("canary"), "{text}");
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "listen: 127.0.0.1:4100 # default",
        "admin_token: \"***\" # file:4",
        "hosts: [a.example] # file:4",
        "body_limit: 1MiB # file:4",
        "head_limit: 64KiB # default",
        "url: https://api.openai.com/v1 # built in; provider openai",
        "api_key: \"***\" # file:2",
        "url: \"http://[::1]:8000/v1\" # file:3; provider my.llm",
        "dialect: openai-chat # file:3",
        "- # file:6",
        "path: \"/v1/*\" # file:6",
        "upstream: my.llm # file:6",
        "total: 1m 30s # file:6",
        "agent: \"$${x} ü\" # file:7",
        "total: 30s # env:PILLION_TIMEOUTS__TOTAL",
        "idle: off # file:9",
        "connect: 5s # default",
        "burst: 10 # default",
        "endpoint: http://c:4318/v1/traces # file:8",
        "x-key: \"***\" # file:8",
        "timeout: 1s 500ms # env:OTEL_EXPORTER_OTLP_TIMEOUT",
        "sample: 0.5 # file:8",
        "name: \"a b\" # file:11",
        "x-team: \"red*\" # file:11",
        "system: \"You are*\" # file:11",
        "api_key_sha256: \"ab12cd34\" # file:11",
        "total: 7s # file:11",
        "- # file:12",
        "# resource: service.name=pillion (default)",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{text}");
    }
}

#[test]
fn what_is_printed_reads_back_to_the_same_config() {
    let all = "
server: {listen: '[::1]:1', admin: 127.0.0.1:2, hosts: [a, b], drain_delay: 1s, grace: 2s, body_limit: 3, head_limit: 9KiB, max_connections: 4}
carry: {include_usage: false, hold_head: false, error_events: false, via: false, should_retry: false, exchange_headers: false}
timeouts: {connect: 1s, first_byte: 2s, first_token: 3s, idle: 4s, total: 5s, stream_total: 6s, upload: 7s, reader: 8s}
retries: {attempts: 2, backoff: {initial: 1ms, max: 2ms}, retry_after_max: 3s, budget: {ratio: 1.5, per_second: 2.5, burst: 3.5}, body_max: 5, on_timeout: true}
telemetry: {otlp: {endpoint: 'http://c/x', timeout: 1s}, sample: 0.1, log: {level: off, format: json}, max_agents: 1, max_series: 101, propagate: true, attempt_spans: always, capture_content: true, prices: {'gpt-?': {input: 0.5, output: 2, cache_read: 0, cache_write: 1e-3}, b: {}}}
context: {trim: off, target: 0.4, windows: {'a*': 5, '$x: \"y\"': 6}}
upstreams: {a: {url: 'https://a:1/b', dialect: gemini}}
routes: [{path: '/*', model: 'm ?', agent: 'null', upstream: a, carry: {via: true}, context: {trim: oversize}, retries: {attempts: 9}}, {}]
agents: [{name: 'a b', when: {header: {x.y: '*', b: '?'}, path: '/*', system: \"x: 'y'*\", api_key_sha256: '12345678'}}, {name: c, timeouts: {idle: off}, carry: {via: true}, context: {target: 0.5}}]
";
    for text in [all, ""] {
        let first = loaded(text, &[]);
        let shown = printed(&first, &Selection::default());
        let again = loaded(&shown, &[]);
        assert_eq!(format!("{:?}", first.config), format!("{:?}", again.config), "{shown}");
    }
}

#[test]
fn no_key_of_the_config_is_left_out() {
    // Whatever the default is, each key can be found in what is printed: the sections of the contract that this version has.
    let text = printed(&loaded("", &[]), &Selection::default());
    for key in [
        "listen admin hosts drain_delay grace body_limit head_limit max_connections",
        "include_usage hold_head error_events via should_retry exchange_headers",
    ]
    .into_iter()
    .chain([
        "connect first_byte first_token idle total stream_total upload reader",
        "attempts initial max retry_after_max ratio per_second burst body_max on_timeout",
    ])
    .chain(["otlp sample level format max_agents max_series propagate attempt_spans capture_content prices trim target windows"])
    .flat_map(str::split_whitespace)
    {
        assert!(text.lines().any(|line| line.trim_start().starts_with(&format!("{key}: "))), "{key}\n{text}");
    }
    assert_eq!(text.matches("# built in").count(), 12);
}

#[test]
fn a_selection_shows_the_route_and_what_it_makes_of_the_policies() {
    let select = |path: &str, model: &str| Selection { agent: Some("a b".to_owned()), model: Some(model.to_owned()), path: Some(path.to_owned()) };
    let loaded = loaded(FILE, &[("KEY", "k")]);
    let text = printed(&loaded, &select("/v1/chat/completions", "gpt-4o"));
    assert!(text.contains("\n# path /v1/chat/completions, agent \"a b\", model gpt-4o: routes[0] (file:6) matches\n"), "{text}");
    assert!(text.contains("\n# it goes to my.llm (http://[::1]:8000/v1)\n"), "{text}");
    let line = |key: &str| text.lines().find(|line| line.trim_start().starts_with(key)).expect(key).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!((line("total:"), line("idle:")), ("total: 7s # file:11".to_owned(), "idle: off # file:9".to_owned()));
    assert!(text.contains("\n# agents[0] (file:11) has policies of its own for this agent\n") && !text.contains("routes:"), "{text}");
    let other = Selection { agent: Some("c".to_owned()), ..select("/v1/chat/completions", "o3") };
    let text = printed(&loaded, &other);
    assert!(text.contains("model o3: no route matches\n") && text.contains("  total: 10m "), "{text}");
}
