//! What a person sees of a config that is right, wrong, or both layers deep.

use std::{net::SocketAddr, time::Duration};

use super::*;
use crate::{
    config::{AttemptSpans, Carry, LogFormat, LogLevel, Prices, Retries, Timeouts, Trim, Trimming},
    wire::Dialect,
};

const NO_VARIABLES: [(&str, &str); 0] = [];

fn outcome<const N: usize>(text: &str, flags: &Flags, variables: [(&str, &str); N]) -> Result<Loaded, String> {
    let environment = variables.into_iter().collect();
    read(text.as_bytes(), Some(Path::new("pillion.yaml")), flags, &environment).map_err(|errors| errors.to_string())
}

fn loaded<const N: usize>(text: &str, variables: [(&str, &str); N]) -> Loaded {
    outcome(text, &Flags::default(), variables).unwrap_or_else(|errors| panic!("{errors}"))
}

fn refused<const N: usize>(text: &str, variables: [(&str, &str); N]) -> String {
    outcome(text, &Flags::default(), variables).err().unwrap_or_else(|| panic!("accepted: {text}"))
}

#[test]
fn nothing_configured_is_the_default() {
    for text in ["", "\n# only a comment\n", "---\n", "{}", "server:\ntimeouts: {}\nroutes: []\nupstreams:\n"] {
        let Loaded { config, warnings, .. } = loaded(text, NO_VARIABLES);
        assert_eq!((config.server, (*config.policy).clone(), config.telemetry), Default::default(), "{text:?}");
        assert_eq!((config.upstreams.len(), config.routes.len(), warnings.len()), (12, 0, 0));
    }
}

const WHOLE: &str = r#"
server:
  listen: 127.0.0.1:5100
  admin: 0.0.0.0:5101
  admin_token: ${TOKEN}
  hosts: [Pillion.local, pillion]
  drain_delay: 5s
  grace: 1m
  body_limit: 64MiB
  head_limit: 128KiB
  max_connections: 500
upstreams:
  openai: {api_key: "${OPENAI_API_KEY}"}
  local:
    url: http://10.0.0.7:8000/v1
    dialect: openai-chat
    http2: off
routes:
  - {model: "gpt-4*", agent: planner, upstream: local, timeouts: {total: 1m, idle: off}, retries: {attempts: 1}}
  - path: /v1/embeddings
    carry: {via: false}
carry: {hold_head: false, error_events: true, include_usage: false}
timeouts: {connect: 1s, first_byte: 2s, first_token: 3s, idle: 4s, total: 5s, stream_total: 6s, upload: 7s, reader: off, heartbeat: off}
retries:
  attempts: 5
  backoff: {initial: 1ms, max: 2s}
  retry_after_max: 3s
  budget: {ratio: 0.5, per_second: 2, burst: 20}
  body_max: 1MB
  on_timeout: true
telemetry:
  otlp: {endpoint: "http://127.0.0.1:4318/", protocol: http/protobuf, headers: {X-Key: "${TOKEN}"}, timeout: 3s}
  sample: 0.25
  log: {level: debug, format: json}
  max_agents: 7
  max_series: 700
  propagate: true
  attempt_spans: always
  capture_content: true
  semconv: "1.41"
  prices: {"gpt-4o*": {input: 2, output: 8.5}, tiny: {input: 0}}
context: {trim: off, target: 0.5, windows: {"gpt-4o*": 1000, tiny: 8192}}
"#;

const KEYS: [(&str, &str); 2] = [("TOKEN", "t0ken"), ("OPENAI_API_KEY", "sk-1\n")];

#[test]
fn every_key_reaches_its_place() {
    let config = loaded(WHOLE, KEYS).config;
    let expected = Timeouts {
        connect: Some(Duration::from_secs(1)),
        first_byte: Some(Duration::from_secs(2)),
        first_token: Some(Duration::from_secs(3)),
        idle: Some(Duration::from_secs(4)),
        total: Some(Duration::from_secs(5)),
        stream_total: Some(Duration::from_secs(6)),
        upload: Some(Duration::from_secs(7)),
        reader: None,
    };
    assert_eq!(config.policy.timeouts, expected);
    let prices = config.telemetry.prices.of("gpt-4o-mini").copied();
    assert_eq!(prices, Some(Prices { input: Some(2.0), output: Some(8.5), ..Prices::default() }));
    assert_eq!((config.context.windows.of("tiny"), config.context.windows.of("small")), (Some(&8192), None));
    assert_eq!(config.policy.context, Trimming { trim: Trim::Off, target: 0.5 });
    let expected = Retries {
        attempts: 5,
        backoff_initial: Duration::from_millis(1),
        backoff_max: Duration::from_secs(2),
        retry_after_max: Duration::from_secs(3),
        budget_ratio: 0.5,
        budget_per_second: 2.0,
        budget_burst: 20.0,
        body_max: 1_000_000,
        on_timeout: true,
    };
    assert_eq!(config.policy.retries, expected);
    assert_eq!(config.policy.carry, Carry { hold_head: false, include_usage: false, ..Carry::default() });
    let server = config.server;
    assert_eq!((server.listen, server.admin), (SocketAddr::from(([127, 0, 0, 1], 5100)).into(), SocketAddr::from(([0, 0, 0, 0], 5101)).into()));
    assert!(server.admin_token.is_some_and(|token| token.matches("t0ken")));
    assert_eq!(server.hosts, ["pillion.local", "pillion"]);
    assert_eq!((server.drain_delay, server.grace), (Duration::from_secs(5), Duration::from_mins(1)));
    assert_eq!((server.body_limit, server.head_limit, server.max_connections), (Some(64 << 20), 128 << 10, 500));
}

#[test]
fn telemetry_and_upstreams_reach_their_place() {
    let config = loaded(WHOLE, KEYS).config;
    let telemetry = config.telemetry;
    let otlp = telemetry.otlp.expect("set");
    assert_eq!((otlp.endpoint.as_str(), otlp.timeout), ("http://127.0.0.1:4318/v1/traces", Duration::from_secs(3)));
    assert_eq!(otlp.headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect::<Vec<_>>(), [("x-key", "t0ken")]);
    assert_eq!((telemetry.log_level, telemetry.log_format), (LogLevel::Debug, LogFormat::Json));
    assert_eq!((telemetry.max_agents, telemetry.max_series, telemetry.propagate), (7, 700, true));
    assert_eq!((telemetry.attempt_spans, telemetry.sample.to_string().as_str()), (AttemptSpans::Always, "0.25"));
    let local = &config.upstreams["local"];
    assert_eq!((local.url().as_str(), local.dialect, &*local.provider), ("http://10.0.0.7:8000/v1", Some(Dialect::OpenaiChat), "local"));
    let openai = &config.upstreams["openai"];
    assert_eq!(openai.url(), "https://api.openai.com/v1");
    assert_eq!(openai.api_key.as_ref().map(crate::secret::Secret::reveal), Some("sk-1"));
}

#[test]
fn the_first_route_that_matches_wins_and_stands_on_the_files_policies() {
    let config = loaded(WHOLE, KEYS).config;
    let find =
        |path, agent, model| config.routes.iter().position(|route| config.route(path, agent, model).is_some_and(|found| std::ptr::eq(found, route)));
    assert_eq!(find("/v1/chat/completions", Some("planner"), Some("gpt-4o")), Some(0));
    assert_eq!(find("/v1/chat/completions", Some("planner"), Some("o3")), None);
    assert_eq!(find("/v1/chat/completions", Some("planner"), None), None);
    assert_eq!(find("/v1/embeddings", None, Some("gpt-4o")), Some(1));
    assert_eq!(find("/v1/embeddings", Some("planner"), Some("gpt-4o")), Some(0));
    assert!(config.needs_model_for_routes());
    let [first, second] = config.routes.as_slice() else { panic!("two routes") };
    assert_eq!(first.upstream.as_ref().map(|upstream| upstream.name.to_string()), Some("local".to_owned()));
    assert_eq!((first.policy.timeouts.total, first.policy.timeouts.idle), (Some(Duration::from_mins(1)), None));
    assert_eq!(first.policy.timeouts.connect, Some(Duration::from_secs(1)));
    assert_eq!((first.policy.retries.attempts, first.policy.retries.body_max), (1, 1_000_000));
    assert_eq!(second.policy.carry, Carry { hold_head: false, include_usage: false, via: false, ..Carry::default() });
    assert!(!loaded("routes: [{agent: a}]", NO_VARIABLES).config.needs_model_for_routes());
}

const WRONG: &str = "\
sever: {listen: 127.0.0.1:1}
server:
  listen: 4100
  admin: 0.0.0.0:4101
  hosts: pillion
  head_limit: 1KiB
  tls: {cert: a, key: b}
timeouts:
  totl: 5s
  idle: 30
  idle: 1m
  connect: [5s]
  heartbeat: 10s
  banana: 1
retries:
  attempts: 0
  backoff: {initial: 10s, max: 1s}
  budget: 5
upstreams:
  mine: {api_key: '${NONE}'}
  v1: {url: http://a}
  other-one: {url: ftp://a, dialect: openai, http2: auto}
routes:
  - {upstream: minne}
  - upstream: mine
    fallbacks: [openai]
    timeouts: {total: soon}
  - 5
context: {trim: always, target: 0.99, windows: {a: 0}}
limits: {queue: 1}
telemetry:
  sample: 2
  otlp: {protocol: http/json, headers: {\"a b\": x}}
  log: {level: loud}
  prices: {gpt: 2, b: {input: cheap, outptu: 1}}
";

const WHAT_IS_WRONG: &str = "\
pillion.yaml:1: sever: unknown key; did you mean `server`?
pillion.yaml:3: server.listen: wants an address and port such as `127.0.0.1:4100` or `[::1]:4100`; `0.0.0.0:4100` is every interface; or `unix:` and the path of a socket; found `4100`
pillion.yaml:4: server.admin: an admin port beyond loopback (0.0.0.0:4101) wants `server.admin_token`
pillion.yaml:5: server.hosts: wants a list
pillion.yaml:6: server.head_limit: wants a size such as `64KiB`, `16MiB` or `4096`, from `8KiB` to `1MiB`; found `1KiB`
pillion.yaml:7: server.tls.cert: cannot read a: No such file or directory (os error 2)
pillion.yaml:9: timeouts.totl: unknown key; did you mean `total`?
pillion.yaml:10: timeouts.idle: wants a duration such as `30s`, `5m` or `500ms`, from `1ms` to `7d`, or `off`; found `30`
pillion.yaml:11: timeouts.idle: given twice; first on line 10
pillion.yaml:12: timeouts.connect: wants one value, not a list
pillion.yaml:13: timeouts.heartbeat: is not supported by this version yet
pillion.yaml:14: timeouts.banana: unknown key; known here: connect, first_byte, first_token, idle, total, stream_total, upload, reader, heartbeat
pillion.yaml:16: retries.attempts: wants a whole number from 1 to 20; found `0`
pillion.yaml:17: retries.backoff.initial: `initial` is longer than `max`
pillion.yaml:18: retries.budget: this section wants keys, each with a value
pillion.yaml:20: upstreams.mine.api_key: the environment has no `NONE`
pillion.yaml:20: upstreams.mine.url: is missing: where is this upstream?
pillion.yaml:21: upstreams.v1: an upstream cannot be called `v1`: it would hide a path or a label of that name
pillion.yaml:22: upstreams.other-one.dialect: wants one of `openai-chat`, `openai-responses`, `openai-completions`, `openai-embeddings`, `anthropic-messages`, `gemini`, `ollama`; found `openai`
pillion.yaml:22: upstreams.other-one.url: wants a URL that begins with `http://`, `https://` or `unix://`
pillion.yaml:24: routes[0].upstream: wants the name of an upstream, built in or configured (did you mean `mine`?); found `minne`
pillion.yaml:26: routes[1].fallbacks: is not supported by this version yet
pillion.yaml:27: routes[1].timeouts.total: wants a duration such as `30s`, `5m` or `500ms`, from `1ms` to `7d`, or `off`; found `soon`
pillion.yaml:28: routes[2]: this section wants keys, each with a value
pillion.yaml:29: context.target: wants a number from 0.3 to 0.95; found `0.99`
pillion.yaml:29: context.trim: wants one of `oversize`, `off`; found `always`
pillion.yaml:29: context.windows.a: wants a whole number from 1 to 1000000000; found `0`
pillion.yaml:30: limits: is not supported by this version yet
pillion.yaml:32: telemetry.sample: wants a number from 0 to 1; found `2`
pillion.yaml:33: telemetry.otlp.endpoint: is missing: where are spans to go?
pillion.yaml:33: telemetry.otlp.headers.a b: wants the name of a header: letters, digits and `-`
pillion.yaml:33: telemetry.otlp.protocol: wants one of `http/protobuf`, `grpc`; found `http/json`
pillion.yaml:34: telemetry.log.level: wants one of `trace`, `debug`, `info`, `warn`, `error`, `off`; found `loud`
pillion.yaml:35: telemetry.prices.b.input: wants a price in USD per million tokens, such as `2.5`; found `cheap`
pillion.yaml:35: telemetry.prices.b.outptu: unknown key; did you mean `output`?
pillion.yaml:35: telemetry.prices.gpt: this section wants keys, each with a value";

#[test]
fn all_errors_are_told_at_once_each_with_its_line() {
    assert_eq!(refused(WRONG, NO_VARIABLES), WHAT_IS_WRONG);
}

#[test]
fn a_variable_that_wants_quotes_is_told_so() {
    let expected = "pillion.yaml:2: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'; within `{}` and `[]` a `${VAR}` wants quotes";
    assert_eq!(refused("upstreams:\n  openai: {api_key: ${KEY}}\n", [("KEY", "canary")]), expected);
}

#[test]
fn flags_beat_the_environment_beats_the_file_beats_the_default() {
    let text = "server: {listen: 127.0.0.1:1, admin: 127.0.0.1:2, grace: 1s}\ntimeouts: {total: 1m, idle: 1m}\n";
    let flags = Flags { listen: Some("127.0.0.1:9".to_owned()), ..Flags::default() };
    let variables = [
        ("PILLION_SERVER__LISTEN", "127.0.0.1:5"),
        ("PILLION_SERVER__ADMIN", "127.0.0.1:6"),
        ("PILLION_TIMEOUTS__TOTAL", "30s"),
        ("PILLION_UPSTREAMS__MY_LLM__URL", "http://127.0.0.1:8000/v1"),
        ("PILLION_SERVER__HOSTS", "a.example, b"),
        ("PILLION_SERVER__DRAIN_DELAY", ""),
        ("PILLION_PORT", "tcp://10.0.0.1:4100"),
    ];
    let Loaded { config, origins, .. } = outcome(text, &flags, variables).expect("valid");
    assert_eq!((config.server.listen.to_string(), config.server.admin.to_string()), ("127.0.0.1:9".to_owned(), "127.0.0.1:6".to_owned()));
    assert_eq!((config.policy.timeouts.total, config.policy.timeouts.idle), (Some(Duration::from_secs(30)), Some(Duration::from_mins(1))));
    assert_eq!(config.server.hosts, ["a.example", "b"]);
    assert!(config.upstreams.contains_key("my_llm"));
    for (path, expected) in [
        ("server.listen", "flag:--listen"),
        ("server.admin", "env:PILLION_SERVER__ADMIN"),
        ("server.grace", "file:1"),
        ("server.drain_delay", "default"),
        ("timeouts.total", "env:PILLION_TIMEOUTS__TOTAL"),
        ("timeouts.idle", "file:2"),
        ("timeouts.connect", "default"),
        ("upstreams.my_llm.url", "env:PILLION_UPSTREAMS__MY_LLM__URL"),
    ] {
        assert_eq!(origins.of(path).to_string(), expected, "{path}");
    }
}

#[test]
fn a_variable_finds_the_upstream_that_the_file_spells_its_own_way() {
    let loaded = loaded("upstreams: {my-LLM: {url: http://a}}", [("PILLION_UPSTREAMS__MY_LLM__API_KEY", "k")]);
    assert!(loaded.config.upstreams["my-LLM"].api_key.is_some());
}

#[test]
fn wrong_variables_and_flags_are_told_by_their_names_and_without_their_values() {
    let flags = Flags { admin: Some("here".to_owned()), upstream: Some("http://u:canary@a".to_owned()), ..Flags::default() };
    let variables = [
        ("PILLION_TIMEOUTS__TOTL", "1s"),
        ("PILLION_TIMEOUT__TOTAL", "1s"),
        ("PILLION_TIMEOUTS_TOTAL", "1s"),
        ("PILLION_TIMEOUTS", "1s"),
        ("PILLION_TIMEOUTS__IDLE", "canary"),
        ("PILLION_BANANA", "canary"),
        ("PILLION_ROUTES__0__AGENT", "a"),
        ("PILLION_LIMITS__QUEUE", "1"),
        ("PILLION_TELEMETRY__OTLP__HEADERS__X_KEY", "canary"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "canary"),
    ];
    let expected = "\
OTEL_EXPORTER_OTLP_ENDPOINT: wants a URL that begins with `http://` or `https://`
PILLION_BANANA: unknown key `banana`
PILLION_LIMITS__QUEUE: is not supported by this version yet
PILLION_ROUTES__0__AGENT: wants a list
PILLION_TELEMETRY__OTLP__HEADERS__X_KEY: the name of a variable cannot say that of a header: set all of them as `name=value,name=value`
PILLION_TIMEOUTS_TOTAL: unknown key; did you mean `PILLION_TIMEOUTS__TOTAL`?
PILLION_TIMEOUTS__IDLE: wants a duration such as `30s`, `5m` or `500ms`, from `1ms` to `7d`, or `off`
PILLION_TIMEOUTS__TOTL: unknown key; did you mean `PILLION_TIMEOUTS__TOTAL`?
PILLION_TIMEOUT__TOTAL: unknown key; did you mean `PILLION_TIMEOUTS__TOTAL`?
--admin: wants an address and port such as `127.0.0.1:4100` or `[::1]:4100`; `0.0.0.0:4100` is every interface; or `unix:` and the path of a socket; found `here`
--upstream: wants a URL without user or password; credentials go under `api_key`";
    let without_section = variables.into_iter().filter(|(name, _)| *name != "PILLION_TIMEOUTS").collect();
    let errors = read(b"", None, &flags, &without_section).expect_err("wrong").to_string();
    assert_eq!(errors, expected);
    assert_eq!(refused("", [("PILLION_TIMEOUTS", "1s")]), "PILLION_TIMEOUTS: this section wants keys, each with a value");
}

#[test]
fn ports_that_clash_are_refused_where_the_later_one_was_set() {
    let clash = "`listen` (127.0.0.1:4101) and `admin` (127.0.0.1:4101) cannot share a port";
    assert_eq!(refused("\nserver: {listen: 127.0.0.1:4101}", NO_VARIABLES), format!("pillion.yaml:2: server.listen: {clash}"));
    let flags = Flags { listen: Some("localhost:4101".to_owned()), ..Flags::default() };
    assert_eq!(outcome("", &flags, NO_VARIABLES).expect_err("clash"), format!("--listen: {clash}"));
    assert!(refused("server: {listen: 0.0.0.0:7, admin: 127.0.0.1:7}", NO_VARIABLES).starts_with("pillion.yaml:1: server.listen: "));
    loaded("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0}", NO_VARIABLES);
    loaded("server: {listen: 127.0.0.1:7, admin: '[::1]:7'}", NO_VARIABLES);
}

#[test]
fn what_is_allowed_and_still_worth_a_look_is_said() {
    let loaded = loaded("server: {listen: 0.0.0.0:4100}\nroutes:\n- {agent: '*'}\n- {model: x}\n", NO_VARIABLES);
    let expected = [
        "server.listen is 0.0.0.0:4100 (file:1): reachable from beyond this machine",
        "routes[1] (file:4) is never reached: routes[0] matches everything",
    ];
    assert_eq!(loaded.warnings, expected);
}

#[test]
fn roots_of_an_upstream_are_looked_at_before_they_are_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(folder.path().join("ca.pem"), pem).expect("written");
    std::fs::write(folder.path().join("key.pem"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").expect("written");
    let file = folder.path().join("pillion.yaml");
    let outcome = |upstream: &str| {
        std::fs::write(&file, format!("upstreams: {{mine: {{{upstream}}}}}")).expect("written");
        load(Some(&file), &Flags::default(), &Environment::default()).map_err(|errors| errors.to_string().replace(&*file.to_string_lossy(), "FILE"))
    };
    let config = outcome("url: https://a, ca: ca.pem").expect("valid").config;
    assert_eq!(config.upstreams["mine"].ca, Some(folder.path().join("ca.pem")));
    for (upstream, expected) in [
        ("url: https://a, ca: none.pem", "FILE:1: upstreams.mine.ca: cannot be read: No such file or directory (os error 2)"),
        ("url: https://a, ca: key.pem", "FILE:1: upstreams.mine.ca: wants a file with certificates in PEM"),
        ("url: http://a, ca: ca.pem", "FILE:1: upstreams.mine.ca: is of no use: the `url` is not `https://`"),
    ] {
        assert_eq!(outcome(upstream).expect_err("refused"), expected);
    }
}

#[test]
fn only_a_file_that_is_named_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.yaml");
    std::fs::write(&file, "timeouts: {total: 7s}").expect("written");
    let total = |named: Option<&Path>, variables: &[(&str, &str)]| {
        load(named, &Flags::default(), &variables.iter().copied().collect()).map(|loaded| loaded.config.policy.timeouts.total)
    };
    let path = file.to_string_lossy();
    assert_eq!(total(None, &[]), Ok(Some(Duration::from_mins(10))));
    assert_eq!(total(None, &[("PILLION_CONFIG", &path)]), Ok(Some(Duration::from_secs(7))));
    assert_eq!(total(Some(&file), &[("PILLION_CONFIG", "/nowhere")]), Ok(Some(Duration::from_secs(7))));
    let missing = total(Some(Path::new("/nowhere/x.yaml")), &[]).expect_err("missing");
    assert_eq!(missing.to_string(), "/nowhere/x.yaml: cannot be read: No such file or directory (os error 2)");
    std::fs::write(&file, vec![b'#'; tree::LARGEST + 10]).expect("written");
    assert_eq!(total(Some(&file), &[]).expect_err("too large").to_string(), format!("{path}: is larger than 1 MiB"));
}

#[test]
fn upstream_of_the_command_line_takes_everything() {
    let flags = Flags { upstream: Some("http://127.0.0.1:9/base/".to_owned()), ..Flags::default() };
    let config = outcome("", &flags, NO_VARIABLES).expect("valid").config;
    let upstream = config.only_upstream.expect("set");
    assert_eq!((&*upstream.name, upstream.url().as_str()), ("upstream", "http://127.0.0.1:9/base"));
}

#[test]
fn no_error_repeats_what_could_be_a_secret() {
    let text = "\
server: {admin_token: 'canary with spaces'}
upstreams:
  a: {url: https://u:canary@host}
  b: {url: 'https://host/?key=canary', api_key: 'canary canary'}
  c: {url: canary}
  d: {url: '${KEY}', dialect: '${KEY}', api_key: '${KEY}${NONE}'}
timeouts: {total: '${KEY}'}
telemetry: {otlp: {endpoint: canary, headers: {a: \"canary\\n\", '': canary}}}
routes: [{upstream: '${KEY}'}]
";
    let errors = refused(text, [("KEY", "canary"), ("PILLION_SERVER__LISTEN", "canary"), ("OTEL_EXPORTER_OTLP_HEADERS", "canary")]);
    assert_eq!(errors.lines().count(), 13, "{errors}");
    assert!(!errors.contains("canary"), "{errors}");
}

#[test]
fn no_text_makes_it_panic() {
    // Every prefix of a whole config, and every one with a byte of it changed: half-written files are seen in the wild.
    let environment = KEYS.into_iter().collect();
    let bytes = WHOLE.as_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 0x15;
        for text in [&bytes[..at], &changed] {
            if let Err(errors) = read(text, None, &Flags::default(), &environment) {
                assert!(errors.count() > 0 && !errors.to_string().is_empty());
            }
        }
    }
}
