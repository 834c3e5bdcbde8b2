//! OpenAI's rules for the items of a response's input: calls with their outputs, and reasoning with what it led to.

use std::collections::HashSet;

use serde_json::Value;

use super::chat::missing;
use crate::demo::model::errors::Fault;

/// What stands between an item's prefix and the rest of its id if it needs the reasoning with that rest before it. Ids of the simulated model alone are
/// made so: the real API remembers.
pub(in crate::demo::model) const TIED: &str = "_r";

/// Judges a request. What went before is the server's to know where it is asked to go on, and this one does not.
pub(in crate::demo::model) fn check(body: &Value, items: &[Value]) -> Result<(), Fault> {
    for (index, item) in items.iter().enumerate() {
        one(item, &format!("input[{index}]"))?;
    }
    unique(items)?;
    if body["previous_response_id"].is_null() && body["conversation"].is_null() {
        pairs(items)?;
        reasoning(items)?;
    }
    Ok(())
}

/// An item, as far as it is judged alone.
fn one(item: &Value, at: &str) -> Result<(), Fault> {
    match (kind(item), item["role"].as_str()) {
        ("message", Some("user" | "assistant" | "system" | "developer")) if item["content"].is_null() => Err(missing(&format!("{at}.content"))),
        ("message", Some("user" | "assistant" | "system" | "developer")) => Ok(()),
        ("message", Some(role)) => Err(Fault::coded(
            format!("Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."),
            &format!("{at}.role"),
            "invalid_value",
        )),
        ("message", None) => Err(missing(&format!("{at}.role"))),
        ("reasoning", _) if !item["summary"].is_array() => Err(missing(&format!("{at}.summary"))),
        (kind, _) if (kind == "function_call" || kind.ends_with("_call_output")) && !item["call_id"].is_string() => {
            Err(missing(&format!("{at}.call_id")))
        }
        ("function_call_output", _) if item["output"].is_null() => Err(missing(&format!("{at}.output"))),
        _ => Ok(()),
    }
}

/// No id is there twice.
fn unique(items: &[Value]) -> Result<(), Fault> {
    let mut ids = HashSet::new();
    let referred = |item: &&Value| kind(item) != "item_reference";
    match items.iter().filter(referred).filter_map(|item| item["id"].as_str()).find(|id| !ids.insert(*id)) {
        Some(id) => Err(input(format!("Duplicate item found with id {id}. Remove duplicate items from your input and try again."))),
        None => Ok(()),
    }
}

/// Every call has its output behind it, and every output its call before it.
fn pairs(items: &[Value]) -> Result<(), Fault> {
    let mut open: Vec<(&str, &str)> = Vec::new();
    for item in items {
        let Some(id) = item["call_id"].as_str() else { continue };
        match kind(item).strip_suffix("_output") {
            None if kind(item).ends_with("_call") => open.push((kind(item), id)),
            Some(call) => {
                let Some(place) = open.iter().position(|one| *one == (call, id)) else {
                    return Err(input(format!("No tool call found for {} output with call_id {id}.", call.replace('_', " "))));
                };
                open.remove(place);
            }
            None => {}
        }
    }
    match open.first() {
        Some((call, id)) => Err(input(format!("No tool output found for {} {id}.", call.replace('_', " ")))),
        None => Ok(()),
    }
}

/// Reasoning is followed by what it led to, and what it led to is not without it.
fn reasoning(items: &[Value]) -> Result<(), Fault> {
    for (index, item) in items.iter().enumerate() {
        let id = item["id"].as_str().unwrap_or_default();
        if kind(item) == "reasoning" && !items.get(index + 1).is_some_and(is_made) {
            return Err(input(format!("Item '{id}' of type 'reasoning' was provided without its required following item.")));
        }
        let needed = id.split_once(TIED).filter(|(prefix, _)| matches!(*prefix, "msg" | "fc")).map(|(_, rest)| format!("rs_{rest}"));
        let before = index.checked_sub(1).and_then(|before| items[before]["id"].as_str());
        if let Some(needed) = needed.filter(|needed| before != Some(needed)) {
            let kind = kind(item);
            return Err(input(format!("Item '{id}' of type '{kind}' was provided without its required 'reasoning' item: '{needed}'.")));
        }
    }
    Ok(())
}

/// Whether an item is one that a model makes: no message of another's, and no output of a tool.
fn is_made(item: &Value) -> bool {
    match kind(item) {
        "message" => item["role"] == "assistant",
        kind => !kind.ends_with("_output"),
    }
}

/// The type of an item; a message may do without.
fn kind(item: &Value) -> &str {
    item["type"].as_str().unwrap_or("message")
}

fn input(message: String) -> Fault {
    Fault::of(message, Some("input"))
}
