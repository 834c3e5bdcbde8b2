//! Reads the answers of Ollama's API: a line of a stream and a whole body are the same object.

use super::{
    facts::{Facts, count},
    failure,
    json::Json,
};

/// Reads one object. `false` if it is no JSON object.
pub(super) fn read(facts: &mut Facts, value: Json<'_>) -> bool {
    let names = ["model", "message", "response", "thinking", "done", "done_reason", "prompt_eval_count", "eval_count", "error"];
    let Some([model, message, response, thinking, done, reason, input, output, error]) = value.fields(names) else {
        return false;
    };
    facts.model(model);
    if let Some(error) = error.filter(|error| failure::is_error(*error)) {
        facts.fail(Some(error));
    }
    if !facts.content {
        facts.content = [response, thinking].into_iter().flatten().any(Json::is_text) || message.is_some_and(has_content);
    }
    if done.is_some_and(Json::is_true) {
        facts.terminated = true;
        facts.choice(0, reason);
    }
    count(&mut facts.usage().input, input);
    count(&mut facts.usage().output, output);
    true
}

fn has_content(message: Json<'_>) -> bool {
    let parts = message.fields(["content", "thinking", "tool_calls", "images"]);
    parts.is_some_and(|parts| parts.into_iter().flatten().any(|part| part.is_text() || part.is_filled()))
}
