//! Reads the answers of Ollama's API: a line of a stream and a whole body are the same object. Its tool calls come whole, their arguments as
//! objects; embeddings tell nothing but what they cost.

use super::{
    facts::{Facts, count},
    failure,
    json::Json,
    said::Said,
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
    facts.content |= [response, thinking].into_iter().flatten().any(Json::is_text);
    facts.said.text(response);
    facts.said.reasoning(thinking);
    if let Some(message) = message {
        facts.content |= read_message(&mut facts.said, message);
    }
    if done.is_some_and(Json::is_true) {
        facts.terminated = true;
        facts.choice(0, reason);
    }
    count(&mut facts.usage().input, input);
    count(&mut facts.usage().output, output);
    true
}

/// Reads a message; whether it has content.
fn read_message(said: &mut Said, message: Json<'_>) -> bool {
    let Some([text, thinking, calls, images]) = message.fields(["content", "thinking", "tool_calls", "images"]) else {
        return false;
    };
    said.text(text);
    said.reasoning(thinking);
    if let Some(calls) = calls {
        calls.items(|_, call| read_call(said, call));
    }
    [text, thinking, calls, images].into_iter().flatten().any(|part| part.is_text() || part.is_filled())
}

fn read_call(said: &mut Said, call: Json<'_>) {
    let Some([id, Some(function)]) = call.fields(["id", "function"]) else { return };
    let Some([name, arguments]) = function.fields(["name", "arguments"]) else { return };
    if let Some(telling) = said.next_call(id, name) {
        telling.whole(arguments);
    }
}
