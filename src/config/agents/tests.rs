//! Who a rule names, what is wrong with one, and which policies an agent gets.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Asking, is_agent_name, sha256};
use crate::config::{Config, Environment, Flags, Trim, Trimming, read};

fn outcome(yaml: &str) -> Result<Config, String> {
    let environment: Environment = std::iter::empty::<(&str, &str)>().collect();
    let loaded = read(yaml.as_bytes(), Some("f".as_ref()), &Flags::default(), &environment);
    loaded.map(|loaded| loaded.config).map_err(|errors| errors.to_string())
}

fn config(yaml: &str) -> Config {
    outcome(yaml).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Path and query, headers, system texts.
type Request<'a> = (&'a str, &'a [(&'static str, &'a str)], &'a [&'a str]);

fn named(config: &Config, (target, headers, system): Request<'_>) -> Option<String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let system: Vec<Cow<'_, str>> = system.iter().map(|text| Cow::Borrowed(*text)).collect();
    config.agents.name(&Asking { path, query, headers: &map, system: &system }).map(ToString::to_string)
}

#[test]
fn a_rule_names_the_requests_for_which_all_of_it_holds() {
    let config = config(
        "agents:
- {name: both, when: {header: {x-team: 'r*', X-Env: prod}, path: '/a/*'}}
- {name: team, when: {header: {x-team: red}}}
- {name: writer, when: {system: 'You are the writer*'}}
- {name: contains, when: {system: '*reviewer*'}}
- {name: beta, when: {path: '/b/*'}}
- {name: never, timeouts: {idle: 1s}}",
    );
    let table: [(Request<'_>, Option<&str>); 10] = [
        (("/a/v1", &[("x-team", "red"), ("x-env", "prod")], &[]), Some("both")),
        (("/a/v1", &[("x-team", "red")], &[]), Some("team")),
        (("/c/v1", &[("x-team", "red"), ("x-env", "prod")], &[]), Some("team")),
        (("/c", &[("x-team", "blue"), ("x-team", "red")], &[]), Some("team")),
        (("/c", &[("x-team", "redder")], &[]), None),
        (("/c", &[], &["\n You are the writer.\nBe brief."]), Some("writer")),
        (("/c", &[], &["Hello", "The reviewer is you."]), Some("contains")),
        (("/c", &[], &["you are the writer"]), None),
        (("/b/x?y", &[], &[]), Some("beta")),
        (("/", &[], &[]), None),
    ];
    for (request, expected) in table {
        assert_eq!(named(&config, request).as_deref(), expected, "{request:?}");
    }
    assert!(config.agents.need_system());
}

#[test]
fn a_key_is_known_by_the_beginning_of_its_hash_wherever_it_is_sent() {
    let whole = sha256(b"sk-canary");
    let config = config(&format!("agents: [{{name: keyed, when: {{api_key_sha256: '{}'}}}}]", whole[..12].to_uppercase()));
    for (name, value) in
        [("authorization", "Bearer sk-canary"), ("authorization", "bearer sk-canary"), ("x-api-key", "sk-canary"), ("api-key", "sk-canary")]
    {
        assert_eq!(named(&config, ("/", &[(name, value)], &[])).as_deref(), Some("keyed"), "{name}: {value}");
    }
    assert_eq!(named(&config, ("/v1beta?alt=sse&key=sk-canary", &[], &[])).as_deref(), Some("keyed"));
    for (name, value) in [("authorization", "Basic sk-canary"), ("authorization", "Bearer sk-canary2"), ("x-other", "sk-canary"), ("x-api-key", "")] {
        assert_eq!(named(&config, ("/?monkey=sk-canary", &[(name, value)], &[])), None, "{name}: {value}");
    }
    assert!(!config.agents.need_system());
    // As `printf %s abc | sha256sum` says it.
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn an_agent_s_policies_stand_on_top_of_its_route_s_and_the_file_s() {
    let config = config(
        "timeouts: {idle: 1s, total: 1s, connect: 1s}
routes: [{path: '/slow/*', timeouts: {total: 2s, connect: 2s}}, {model: m, timeouts: {total: 10m}}]
agents: [{name: planner, timeouts: {total: 3s}, retries: {attempts: 1}}, {name: planner, when: {path: '/p/*'}}]",
    );
    let of = |path, agent, model| {
        let policy = config.policy(path, agent, model);
        let [idle, total, connect] =
            [policy.timeouts.idle, policy.timeouts.total, policy.timeouts.connect].map(|clock| clock.map_or(0, |clock| clock.as_secs()));
        ([idle, total, connect], policy.retries.attempts)
    };
    assert_eq!(of("/v1", None, None), ([1, 1, 1], 3));
    assert_eq!(of("/v1", Some("planner"), None), ([1, 3, 1], 1));
    assert_eq!(of("/slow/v1", Some("planner"), None), ([1, 3, 2], 1));
    assert_eq!(of("/slow/v1", Some("other"), None), ([1, 2, 2], 3));
    assert_eq!(of("/v1", Some("planner"), Some("m")), ([1, 3, 1], 1));
    assert_eq!(of("/v1", None, Some("m")), ([1, 600, 1], 3));
    assert_eq!(config.policy.timeouts.total, Some(Duration::from_secs(1)));
}

#[test]
fn an_agent_may_set_what_is_the_default_against_a_route() {
    let config = config("routes: [{path: '/*', timeouts: {total: 2s}}]\nagents: [{name: a, timeouts: {total: 10m}}]");
    assert_eq!(config.policy("/v1", Some("a"), None).timeouts.total, Some(Duration::from_mins(10)));
    assert_eq!(config.policy("/v1", Some("b"), None).timeouts.total, Some(Duration::from_secs(2)));
}

#[test]
fn everything_wrong_with_rules_is_told_at_once_with_its_line() {
    let errors = outcome(
        "routes: [{path: '/*', timeouts: {total: 2s}}]
agents:
- {when: {path: '/a'}}
- {name: 'a/b', when: {path: '/a'}}
- {name: a, when: {}}
- {name: b}
- {name: c, when: {header: {authorization: 'x', 'no header': y}, api_key_sha256: abc, sytem: z}}
- {name: d, timeout: {total: 1s}}
- {name: e, timeouts: {totl: 1s}}
- {name: f, timeouts: {total: 1s}}
- {name: f, timeouts: {total: 2s}}",
    )
    .unwrap_err();
    let expected = [
        "f:3: agents[0].name: is missing: which agent is this?",
        "f:4: agents[1].name: wants a name of 1 to 64 letters, digits, spaces, `_`, `.` and `-`; found `a/b`",
        "f:5: agents[2].when: wants at least one of header, path, system, api_key_sha256",
        "f:6: agents[3]: names no request and sets nothing: it wants `when`, or policies of the agent's own",
        "f:7: agents[4].when.api_key_sha256: wants the first 8 to 64 hex digits of the key's SHA-256; found `abc`",
        "f:7: agents[4].when.header.authorization: holds credentials: for an API key use `api_key_sha256`, the beginning of its hash",
        "f:7: agents[4].when.header.no header: wants the name of a header",
        "f:7: agents[4].when.sytem: unknown key; did you mean `system`?",
        "f:8: agents[5].timeout: unknown key; did you mean `timeouts`?",
        "f:9: agents[6].timeouts.totl: unknown key; did you mean `total`?",
        "f:11: agents[8]: `f` has policies of its own already, in agents[7]: keep them in one place",
    ];
    assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn names_are_words_not_paths() {
    for name in ["planner", "Code Reviewer", "agent_1.2-x", "プランナー"] {
        assert!(is_agent_name(name), "{name}");
    }
    for name in ["", " ", "a/b", "a\nb", "{agent}", &"x".repeat(65)] {
        assert!(!is_agent_name(name), "{name}");
    }
}

#[test]
fn trimming_is_by_the_agent_then_the_route_then_the_file_and_windows_are_the_file_s_alone() {
    let config = config(
        "context: {target: 0.5, windows: {m: 100}}
routes: [{path: /v1/*, context: {trim: off}}]
agents: [{name: a, context: {target: 0.9}}]",
    );
    let check = |path: &str, agent: Option<&str>, expected: (Trim, f64)| {
        let Trimming { trim, target } = config.policy(path, agent, None).context;
        assert_eq!((trim, target.to_string()), (expected.0, expected.1.to_string()), "{path} {agent:?}");
    };
    check("/api/chat", None, (Trim::Oversize, 0.5));
    check("/api/chat", Some("a"), (Trim::Oversize, 0.9));
    check("/v1/x", None, (Trim::Off, 0.5));
    check("/v1/x", Some("a"), (Trim::Off, 0.9));
    let expected = "f:1: agents[0].context.windows: unknown key; known here: trim, target";
    assert_eq!(outcome("agents: [{name: a, context: {windows: {m: 1}}}]").err().as_deref(), Some(expected));
}
