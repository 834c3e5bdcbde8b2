//! Pillion's container, started here as it is rendered: its arguments, its environment, its config.

use std::collections::BTreeMap;

use serde_json::Value;

use super::helm::Rendered;
use crate::support::{Binary, verb};

/// What is read from a Secret.
pub(super) const SECRET: &str = "0123456789abcdef";

/// The container's variables, with something in place of each Secret's.
pub(super) fn variables(rendered: &Rendered) -> BTreeMap<String, String> {
    let given = rendered.pillion()["env"].as_array().unwrap().iter();
    let value = |one: &Value| one["value"].as_str().unwrap_or(SECRET).replace("$(K8S_POD_NAME)", "demo-1");
    let mut variables: BTreeMap<_, _> = given.map(|one| (one["name"].as_str().unwrap().to_owned(), value(one))).collect();
    if rendered.pillion()["envFrom"].is_array() {
        variables.insert("FROM_THE_SECRET".to_owned(), SECRET.to_owned());
    }
    variables
}

/// Starts the real binary.
pub(super) async fn started(rendered: &Rendered) -> Binary {
    let arguments: Vec<&str> = rendered.pillion()["args"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let folder = rendered.pillion()["volumeMounts"][0]["mountPath"].as_str().unwrap();
    assert_eq!(arguments, ["run", "--config", &format!("{folder}/pillion.yaml")]);
    let start = verb("run").config(rendered.config());
    variables(rendered).into_iter().fold(start, |start, (name, value)| start.variable(name.leak(), value)).ready().await
}
