//! OpenAI's rules for chat completions.

use serde_json::Value;

use super::{array, is_empty_list};
use crate::demo::model::errors::Fault;

/// The roles there are, as the API lists them.
const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];

/// Longest name of a function, in characters.
const NAME_MAX: usize = 64;

/// Judges a request.
pub(in crate::demo::model) fn check(body: &Value, messages: &[Value]) -> Result<(), Fault> {
    for (index, message) in messages.iter().enumerate() {
        one(message, &format!("messages[{index}]"))?;
    }
    tools(body)?;
    pairs(messages)
}

/// A message, as far as it is judged alone.
fn one(message: &Value, at: &str) -> Result<(), Fault> {
    let Some(role) = message["role"].as_str() else { return Err(missing(&format!("{at}.role"))) };
    if !ROLES.contains(&role) {
        let words = format!("Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.");
        return Err(Fault::coded(words, &format!("{at}.role"), "invalid_value"));
    }
    let may_be_silent =
        role == "function" || (role == "assistant" && ["tool_calls", "function_call", "refusal", "audio"].iter().any(|key| !message[*key].is_null()));
    match &message["content"] {
        Value::Null if may_be_silent => {}
        Value::Null if message.get("content").is_none() && role != "assistant" => return Err(missing(&format!("{at}.content"))),
        Value::Null => {
            return Err(Fault::of("Invalid value for 'content': expected a string, got null.", Some(&format!("{}.content", at.replace('[', ".[")))));
        }
        content if is_empty_list(content) => return Err(empty(&format!("{at}.content"))),
        Value::String(_) | Value::Array(_) => {}
        _ => return Err(wrong_type(&format!("{at}.content"), "one of a string or array of objects", &message["content"])),
    }
    if role == "tool" && !message["tool_call_id"].is_string() {
        return Err(missing(&format!("{at}.tool_call_id")));
    }
    if role == "assistant" {
        calls(message, at)?;
    }
    match message["name"].as_str() {
        Some(name) if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || r"<|\/>".contains(letter)) => {
            Err(unmatched(&format!("{at}.name"), r"^[^\s<|\\/>]+$"))
        }
        _ => Ok(()),
    }
}

/// The calls of an assistant's message.
fn calls(message: &Value, at: &str) -> Result<(), Fault> {
    if is_empty_list(&message["tool_calls"]) {
        return Err(empty(&format!("{at}.tool_calls")));
    }
    for (index, call) in array(&message["tool_calls"]).iter().enumerate() {
        let at = format!("{at}.tool_calls[{index}]");
        if !call["id"].is_string() {
            return Err(missing(&format!("{at}.id")));
        }
        if let Some(name) = call["function"]["name"].as_str() {
            function_name(name, &format!("{at}.function.name"))?;
        }
        let arguments = &call["function"]["arguments"];
        if !arguments.is_null() && !arguments.is_string() {
            return Err(wrong_type(&format!("{at}.function.arguments"), "a string", arguments));
        }
    }
    Ok(())
}

/// What is declared, and what may be said only beside it.
fn tools(body: &Value) -> Result<(), Fault> {
    if is_empty_list(&body["tools"]) {
        return Err(empty("tools"));
    }
    for (index, tool) in array(&body["tools"]).iter().enumerate() {
        if let Some(name) = tool["function"]["name"].as_str() {
            function_name(name, &format!("tools[{index}].function.name"))?;
        }
    }
    let alone = |key: &&str| body["tools"].is_null() && !body[*key].is_null();
    match ["tool_choice", "parallel_tool_calls"].iter().find(|key| alone(key)) {
        Some(key) => Err(Fault::of(format!("Invalid value for '{key}': '{key}' is only allowed when 'tools' are specified."), Some(key))),
        None => Ok(()),
    }
}

/// Every tool call is answered by the messages that follow it, and nothing else is.
fn pairs(messages: &[Value]) -> Result<(), Fault> {
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let param = format!("messages.[{index}].role");
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(place) = open.iter().position(|open| *open == id) else {
                return Err(Fault::of(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                    Some(&param),
                ));
            };
            open.remove(place);
            continue;
        }
        if !open.is_empty() {
            return Err(unanswered(&open, &param));
        }
        open = array(&message["tool_calls"]).iter().filter_map(|call| call["id"].as_str()).collect();
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(&open, &format!("messages.[{}].role", messages.len()))) }
}

fn unanswered(open: &[&str], param: &str) -> Fault {
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Fault::of(message, Some(param))
}

fn function_name(name: &str, at: &str) -> Result<(), Fault> {
    let length = name.chars().count();
    if length > NAME_MAX {
        let words = format!(
            "Invalid '{at}': string too long. Expected a string with maximum length {NAME_MAX}, but got a string with length {length} instead."
        );
        return Err(Fault::coded(words, at, "string_above_max_length"));
    }
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_plain { Ok(()) } else { Err(unmatched(at, "^[a-zA-Z0-9_-]+$")) }
}

/// A parameter that has to be there is not.
pub(super) fn missing(at: &str) -> Fault {
    Fault::coded(format!("Missing required parameter: '{at}'."), at, "missing_required_parameter")
}

/// A list has nothing in it.
pub(super) fn empty(at: &str) -> Fault {
    let words = format!("Invalid '{at}': empty array. Expected an array with minimum length 1, but got an empty array instead.");
    Fault::coded(words, at, "empty_array")
}

fn unmatched(at: &str, pattern: &str) -> Fault {
    let words = format!("Invalid '{at}': string does not match pattern. Expected a string that matches the pattern '{pattern}'.");
    Fault::coded(words, at, "invalid_value")
}

fn wrong_type(at: &str, wanted: &str, got: &Value) -> Fault {
    let got = match got {
        Value::Object(_) => "an object",
        Value::Array(_) => "an array",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Null => "null",
    };
    Fault::coded(format!("Invalid type for '{at}': expected {wanted}, but got {got} instead."), at, "invalid_type")
}
