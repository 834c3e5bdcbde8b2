//! `top` reads the admin port of a running Pillion, keeps within its window, gives the terminal back whatever ends it, and says what it cannot see.

use std::{process::Stdio, time::Duration};

use pillion::demo::model::Model;
use serde_json::Value;
use tokio::process::Command;

use super::path;
use crate::support::{Agent, Binary, chat, free, model, run, verb, within};

/// A Pillion that has carried one good exchange and one bad.
async fn carried() -> (Model, Binary) {
    let model = model("[{}, {\"status\": 400}]").await;
    let binary = run().upstream(&model).variable("PILLION_TELEMETRY__LOG__LEVEL", "info").ready().await;
    for agent in ["planner", "writer"] {
        Agent::stranger(binary.traffic).await.ask(&chat(false).at(&format!("/@{agent}/v1/chat/completions"))).await;
    }
    (model, binary)
}

#[tokio::test]
async fn one_look_shows_agents_and_why_they_failed() {
    let (_model, binary) = carried().await;
    for admin in [binary.admin.to_string(), format!("http://{}/", binary.admin)] {
        let looked = verb("top").arguments(["--once", "--admin", &admin]).ended().await;
        assert_eq!((looked.code, looked.stderr.as_str()), (Some(0), ""));
        let page = looked.stdout;
        assert!(page.contains("2 exchanges · 0 in flight · 1 failed · 0 hung up"), "{page}");
        let row = |name: &str| page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {page}")).to_owned();
        assert!(row("writer").contains("explicit") && row("writer").ends_with("1 × 400"), "{page}");
        assert!(row("planner").split_whitespace().skip(1).take(3).eq(["1", "1", "0"]), "{page}");
        assert!(page.lines().any(|line| line.contains("writer") && line.contains("400: the provider refuses the request")), "{page}");
        assert!(!page.contains('\x1b'), "no terminal, no sequences: {page}");
    }
}

#[tokio::test]
async fn a_port_that_cannot_be_looked_at_is_said_with_what_would_help() {
    let model = model("[]").await;
    let binary = run().upstream(&model).variable("PILLION_SERVER__ADMIN_TOKEN", "right").ready().await;
    let gone = free().to_string();
    let (admin, foreign) = (binary.admin.to_string(), model.url());
    for (arguments, code, words) in [
        (vec!["--admin", &admin], 1, "wants its token: --token, or PILLION_SERVER__ADMIN_TOKEN"),
        (vec!["--admin", &admin, "--token", "wrong"], 1, "refuses the token"),
        (vec!["--admin", &admin, "--token", "right"], 0, ""),
        (vec!["--admin", &gone], 1, "cannot be reached: "),
        (vec!["--admin", &foreign], 1, "is no admin port of Pillion: there is no /api/agents"),
        (vec!["--admin", "ftp://x"], 2, "--admin wants an address such as 127.0.0.1:4101"),
    ] {
        let looked = verb("top").arguments(arguments.clone()).ended().await;
        assert_eq!((looked.code, looked.stderr.contains(words)), (Some(code), true), "{arguments:?}: {}", looked.stderr);
        assert!(!looked.stderr.contains("wrong"), "{}", looked.stderr);
    }
    let by_environment = verb("top").variable("PILLION_SERVER__ADMIN", &admin).variable("PILLION_SERVER__ADMIN_TOKEN", "right").ended().await;
    assert_eq!(by_environment.code, Some(0), "{}", by_environment.stderr);
}

/// Runs `top` on a terminal of its own, shrinks that, and ends it: what `terminal.py` tells of it.
async fn on_a_terminal(binary: &Binary, ending: &str, variables: &[(&str, &str)]) -> Value {
    let mut command = Command::new("python3");
    command.arg(path("tests/integration/packages/terminal.py")).args([ending, "planner"]);
    command.arg(env!("CARGO_BIN_EXE_pillion")).args(["top", "--interval", "100ms", "--admin", &binary.admin.to_string()]);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TERM", "xterm").envs(variables.iter().copied());
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = within("top on a terminal", output).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn it_keeps_within_its_window_and_gives_the_terminal_back() {
    let (_model, binary) = carried().await;
    for ending in ["q", "\u{3}", "TERM"] {
        let told = on_a_terminal(&binary, ending, &[]).await;
        assert_eq!((&told["code"], &told["restored"]), (&0.into(), &true.into()), "{ending:?}: {told:#}");
        let text = |field: &str| told[field].as_str().unwrap().to_owned();
        assert!(text("all").starts_with("\x1b[?1049h") && text("all").trim_end().ends_with("\x1b[?1049l"), "{ending:?}: {:?}", text("all"));
        assert!(text("all").contains("\x1b[31mwriter"), "one that fails is red: {:?}", text("all"));
        for (picture, (rows, columns)) in [("wide", (24, 100)), ("narrow", (8, 40))] {
            let lines: Vec<String> = told[picture].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
            assert!(lines.len() <= rows && lines.iter().all(|line| line.chars().count() <= columns), "{picture}: {lines:#?}");
            assert!(lines.iter().any(|line| line.starts_with("planner")), "{picture}: {lines:#?}");
        }
    }
}

#[tokio::test]
async fn no_color_is_heeded() {
    let (_model, binary) = carried().await;
    let told = on_a_terminal(&binary, "q", &[("NO_COLOR", "1")]).await;
    assert!(!told["all"].as_str().unwrap().contains("\x1b[31m"), "{told:#}");
}

#[tokio::test]
async fn it_outlives_the_pillion_that_it_looks_at() {
    let (_model, mut binary) = carried().await;
    let told = on_a_terminal(&binary, &format!("gone {}", binary.id()), &[]).await;
    let all = told["all"].as_str().unwrap();
    assert!(all.contains("the admin port cannot be reached: ") && told["code"] == 0, "{told:#}");
    let last: Vec<&str> = all.split("\x1b[H").last().unwrap().split("\r\n").collect();
    assert!(
        last[2].contains("trying again for ") && last[2].contains("below is what was seen ") && last.iter().any(|line| line.contains("planner")),
        "{last:#?}"
    );
    assert_eq!(binary.exit(Duration::from_secs(10)).await.0, Some(0));
}
