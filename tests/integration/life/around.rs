//! `pillion run -- COMMAND`: the program finds the proxy by its variables, and Pillion ends with it as it ended.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{model, run, verb};

/// A script of the shell as the command.
fn shell(script: &str) -> [String; 4] {
    ["--", "bash", "-c", script].map(str::to_owned)
}

/// Waits for a signal, but not for ever: a shell outlives a proxy that is killed.
const WAIT: &str = "for _ in {1..300}; do sleep 0.05; done";

/// Asks for the models at the proxy that the variables name.
const ASK: &str = "a=${ANTHROPIC_BASE_URL#http://}; exec 3<>/dev/tcp/${a%:*}/${a#*:}; \
    printf 'GET /v1/models HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3";

#[tokio::test]
async fn the_program_is_told_where_the_proxy_is_and_its_exit_code_is_ours() {
    let script = "echo $OPENAI_BASE_URL $OPENAI_API_BASE $ANTHROPIC_BASE_URL $GOOGLE_GEMINI_BASE_URL $OLLAMA_HOST $NO_PROXY $KEPT; exit 7";
    let ended = run().arguments(shell(script)).variable("NO_PROXY", "example.com").variable("KEPT", "kept").ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(7), ""));
    let words: Vec<&str> = ended.stdout.split_whitespace().collect();
    let root = words[2];
    assert!(root.starts_with("http://127.0.0.1:"), "{root}");
    let v1 = format!("{root}/v1");
    assert_eq!(words, [&v1, &v1, root, root, root, "example.com,127.0.0.1", "kept"]);
}

#[tokio::test]
async fn what_the_program_asks_goes_through_the_proxy() {
    let model = model("").await;
    let ended = run().upstream(&model).arguments(shell(ASK)).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("HTTP/1.1 200") && ended.stdout.contains("x-pillion-exchange"), "{}", ended.stdout);
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn what_went_wrong_on_the_way_is_said_at_the_end() {
    let model = model("[{\"status\": 400}]").await;
    let ended = run().upstream(&model).arguments(shell(ASK)).ended().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("1 client_error"), "{}", ended.stderr);
}

#[tokio::test]
async fn sigterm_is_passed_on_and_the_program_decides() {
    let mut binary = run().arguments(shell(&format!("trap 'exit 9' TERM; echo waiting >&2; {WAIT}"))).spawned();
    binary.says("waiting").await;
    binary.signal(Signal::TERM);
    assert_eq!(binary.exit(Duration::from_secs(5)).await.0, Some(9));
}

#[tokio::test]
async fn a_program_that_a_signal_killed_gives_the_exit_code_of_shells() {
    assert_eq!(run().arguments(shell("kill -KILL $$")).ended().await.code, Some(137));
}

#[tokio::test]
async fn a_program_that_is_not_there_exits_1_with_one_line() {
    let ended = run().arguments(["--", "/nowhere/program"]).ended().await;
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("/nowhere/program"));
}

#[tokio::test]
async fn two_programs_can_be_run_at_once_on_the_default_ports() {
    let mut other = verb("run").arguments(shell(&format!("echo $ANTHROPIC_BASE_URL >&2; {WAIT}"))).spawned();
    let first = other.says("http://127.0.0.1:").await;
    let ended = verb("run").arguments(shell("echo $ANTHROPIC_BASE_URL")).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_ne!(ended.stdout.trim(), first.trim());
    other.signal(Signal::TERM);
    assert_eq!(other.exit(Duration::from_secs(5)).await.0, Some(143));
}
