//! What the README shows is true.

use pillion::config::{self, Environment, Flags};

const README: &str = include_str!("../../README.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_config_of_the_readme_is_valid_and_holds_the_defaults() {
    let yaml = blocks("yaml");
    let shown = config::read(yaml[0].as_bytes(), None, &Flags::default(), &std::iter::empty::<(&str, &str)>().collect::<Environment>())
        .unwrap_or_else(|errors| panic!("{errors}"))
        .config;
    let default = config::Config::default();
    assert_eq!(*shown.policy, *default.policy);
    assert_eq!(shown.server, default.server);
    assert_eq!(shown.telemetry, default.telemetry);
    assert_eq!(shown.context, default.context);
}

#[test]
fn what_the_readme_s_config_leaves_commented_is_valid_too() {
    let uncommented: String = blocks("yaml")[0]
        .lines()
        .map(|line| {
            let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
            match rest.strip_prefix("# ") {
                // Files of certificates would have to exist.
                Some(key) if key.contains(':') && !key.starts_with("ca:") && !key.starts_with("tls:") => format!("{indent}{key}\n"),
                _ => format!("{line}\n"),
            }
        })
        .collect();
    let environment: Environment = [("ADMIN_TOKEN", "t"), ("GATEWAY_KEY", "k"), ("OTLP_KEY", "k")].into_iter().collect();
    let config = config::read(uncommented.as_bytes(), None, &Flags::default(), &environment).unwrap_or_else(|errors| panic!("{errors}")).config;
    assert!(config.server.admin_token.is_some() && config.telemetry.otlp.is_some() && config.policy.timeouts.stream_total.is_some());
}
