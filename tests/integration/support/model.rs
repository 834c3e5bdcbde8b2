//! The simulated model, with a script.

use pillion::demo::{
    model::{Model, ModelOptions},
    script::Script,
};

/// Starts a model that plays `script` (YAML, `""` for none).
pub(crate) async fn model(script: &str) -> Model {
    let script = if script.is_empty() { Script::default() } else { Script::read(script).unwrap() };
    Model::start(ModelOptions { script, ..ModelOptions::default() }).await.unwrap()
}
