//! Gemini's rules for contents: roles, parts, and function calls with as many responses right behind them.

use serde_json::Value;

use super::{array, is_empty_list};
use crate::demo::model::{ask::either, errors::Fault};

/// Judges a request.
pub(in crate::demo::model) fn check(contents: &[Value]) -> Result<(), Fault> {
    for (index, content) in contents.iter().enumerate() {
        one(content, index)?;
    }
    turns(contents)
}

/// A content, as far as it is judged alone.
fn one(content: &Value, index: usize) -> Result<(), Fault> {
    if !matches!(content["role"].as_str(), None | Some("" | "user" | "model" | "function")) {
        return Err(refusal("Please use a valid role: user, model."));
    }
    let parts = &content["parts"];
    if parts.is_null() || is_empty_list(parts) {
        return Err(refusal(format!("* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.")));
    }
    for (place, part) in array(parts).iter().enumerate() {
        let at = format!("* GenerateContentRequest.contents[{index}].parts[{place}]");
        if part.as_object().is_some_and(serde_json::Map::is_empty) {
            return Err(refusal(format!("{at}.data: required oneof field 'data' must have one initialized field")));
        }
        for (kind, name) in [("functionCall", "function_call"), ("functionResponse", "function_response")] {
            let called = either(part, kind);
            if !called.is_null() && called["name"].as_str().is_none_or(str::is_empty) {
                return Err(refusal(format!("{at}.{name}.name: Name cannot be empty.")));
            }
        }
    }
    Ok(())
}

/// A conversation begins with the user. Calls come right after a user's turn or the responses to other calls, and as many responses right after them.
fn turns(contents: &[Value]) -> Result<(), Fault> {
    let mut open = 0;
    for (index, content) in contents.iter().enumerate() {
        let (calls, responses) = (count(content, "functionCall"), count(content, "functionResponse"));
        if responses > 0 && open == 0 {
            return Err(refusal("Please ensure that function response turn comes immediately after a function call turn."));
        }
        if open != responses {
            return Err(refusal(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
            ));
        }
        let is_models = content["role"] == "model";
        if calls > 0 && index.checked_sub(1).is_none_or(|before| contents[before]["role"] == "model") {
            return Err(refusal("Please ensure that function call turn comes immediately after a user turn or after a function response turn."));
        }
        if is_models && contents.len() == 1 {
            return Err(refusal("Please ensure that single turn requests end with a user role or the role field is empty."));
        }
        if is_models && index == 0 {
            return Err(refusal("Please ensure that multiturn requests alternate between user and model."));
        }
        open = calls;
    }
    Ok(())
}

/// The parts of a kind.
fn count(content: &Value, kind: &str) -> usize {
    array(&content["parts"]).iter().filter(|part| !either(part, kind).is_null()).count()
}

fn refusal(message: impl Into<String>) -> Fault {
    Fault::of(message, None)
}
