//! How it starts: on a good config, or with all that is wrong said at once and an exit code that tells which kind of wrong.

use std::{net::TcpListener, time::Duration};

use crate::support::{run, verb};

/// A config with one secret of each kind.
const SECRETS: &str = "
server: {admin_token: canary-admin-1}
upstreams:
  mine: {url: \"https://api.example.com/v1\", api_key: canary-key-2}
  hers: {url: \"https://api.example.org/v1\", api_key: \"${HER_KEY}\"}
telemetry: {otlp: {endpoint: \"http://127.0.0.1:4318\", headers: {x-auth: canary-otlp-4}}}
";

#[tokio::test]
async fn a_bad_config_exits_2_with_all_that_is_wrong_where_and_what_was_meant() {
    let config = "timeouts:\n  totl: 5s\n  connect: fast\nretries: {attempts: -1}\nupstreams:\n  mine: {url: \"ftp://x\"}\n";
    let ended = run().config(config).variable("PILLION_TIMEOUTS__IDLE", "soon").ended().await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.took < Duration::from_secs(1), "{:?}", ended.took);
    for part in [
        ":2: timeouts.totl",
        "did you mean `total`",
        ":3: timeouts.connect",
        ":4: retries.attempts",
        ":6: upstreams.mine.url",
        "PILLION_TIMEOUTS__IDLE",
    ] {
        assert!(ended.stderr.contains(part), "{part:?} is not in\n{}", ended.stderr);
    }
    assert_eq!(ended.stderr.lines().count(), 5, "{}", ended.stderr);
}

#[tokio::test]
async fn a_wrong_flag_variable_or_file_exits_2() {
    for start in [run().arguments(["--nonsense"]), run().variable("PILLION_NONSENSE", "1"), run().arguments(["--config", "/nowhere/pillion.yaml"])] {
        let ended = start.ended().await;
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.to_lowercase().contains("no"), "it says which: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_taken_port_exits_1_with_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (listen, admin, key) in [(address.as_str(), "127.0.0.1:0", "server.listen"), ("127.0.0.1:0", &address, "server.admin")] {
        let ended = verb("run").arguments(["--listen", listen, "--admin", admin]).ended().await;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.took < Duration::from_secs(1), "{:?}", ended.took);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!([&address, key, "in use"].iter().all(|part| ended.stderr.contains(*part)), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn no_config_is_needed() {
    let binary = run().ready().await;
    assert!(binary.traffic.ip().is_loopback() && binary.admin.ip().is_loopback());
    assert!(binary.said().iter().all(|line| !line.contains("WARN") && !line.contains("ERROR")), "{:#?}", binary.said());
}

#[tokio::test]
async fn check_prints_what_is_in_effect_with_its_origin_and_no_secret() {
    let start = verb("check").config(SECRETS).arguments(["--listen", "127.0.0.1:4999"]).variable("HER_KEY", "canary-key-3");
    let ended = start.variable("PILLION_TIMEOUTS__TOTAL", "77s").ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let line = |part: &str| ended.stdout.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part:?} is not in\n{}", ended.stdout));
    assert!(line("127.0.0.1:4999").contains("--listen") && line("PILLION_TIMEOUTS__TOTAL").contains("1m 17s"), "{}", ended.stdout);
    assert!(line("admin_token").contains("***") && line("first_token").contains("5m"));
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("canary"), "{}", ended.stdout);
}

#[tokio::test]
async fn check_of_a_bad_config_says_so_in_its_exit_code_and_tells_no_secret() {
    let ended = verb("check").config(&format!("{SECRETS}\nretries: {{atempts: 2}}\n")).variable("HER_KEY", "canary\u{7}key-3").ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("did you mean `attempts`"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
}

#[tokio::test]
async fn version_and_help_exit_0() {
    for (flag, part) in [("--version", env!("CARGO_PKG_VERSION")), ("--help", "run")] {
        let ended = verb(flag).ended().await;
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout.contains(part), "{}", ended.stdout);
    }
}
