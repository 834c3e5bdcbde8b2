//! Anthropic's rules for messages: roles, contents, tool uses with their results, thoughts, marks of the cache.

use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{array, is_blank, is_empty_list};
use crate::demo::model::{ask::fnv, errors::Fault};

/// What the signature of every thought of the simulated model begins with: base64, as the SDKs expect.
const SIGNATURE: &str = "c2ltdWxhdGVk";

/// The most marks for the cache in a request.
const MARKS_MAX: usize = 4;

/// What stands for the signature of a thought: by it the thought is known to be as it was.
pub(in crate::demo::model) fn signature(thought: &str) -> String {
    SIGNATURE.to_owned() + &BASE64_STANDARD.encode(fnv(thought.as_bytes()).to_be_bytes())
}

/// Judges a request.
pub(in crate::demo::model) fn check(body: &Value, messages: &[Value]) -> Result<(), Fault> {
    for (index, message) in messages.iter().enumerate() {
        one(message, index, index + 1 == messages.len())?;
    }
    if messages.first().is_some_and(|first| first["role"] != "user") {
        return Err(refusal("messages: first message must use the \"user\" role"));
    }
    pairs(messages)?;
    if body["thinking"]["type"] == "enabled" {
        thinking(messages)?;
    }
    let marks = [&body["tools"], &body["system"], &body["messages"]].into_iter().map(marks).sum::<usize>();
    if marks > MARKS_MAX {
        return Err(refusal(format!("A maximum of {MARKS_MAX} blocks with cache_control may be provided. Found {marks}.")));
    }
    Ok(())
}

/// A message, as far as it is judged alone.
fn one(message: &Value, index: usize, is_last: bool) -> Result<(), Fault> {
    let role = match message["role"].as_str() {
        Some(role @ ("user" | "assistant")) => role,
        Some("system") => {
            return Err(refusal(
                "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.",
            ));
        }
        Some(_) => return Err(refusal(format!("messages.{index}.role: Input should be 'user' or 'assistant'"))),
        None => return Err(refusal(format!("messages.{index}.role: Field required"))),
    };
    let content = &message["content"];
    if content.is_null() {
        return Err(refusal(format!("messages.{index}.content: Field required")));
    }
    let is_final = is_last && role == "assistant";
    if (content == "" || is_empty_list(content)) && !is_final {
        return Err(refusal(format!("messages.{index}: all messages must have non-empty content except for the optional final assistant message")));
    }
    for (place, block) in array(content).iter().enumerate() {
        judge_block(block, role, (index, place))?;
    }
    let said = content.as_str().or_else(|| array(content).last().and_then(|block| block["text"].as_str())).filter(|text| !text.is_empty());
    if content.as_str().is_some_and(|text| !text.is_empty() && is_blank(text)) {
        return Err(refusal("messages: text content blocks must contain non-whitespace text"));
    }
    if is_final && said.is_some_and(|text| text.ends_with(char::is_whitespace)) {
        return Err(refusal("messages: final assistant content cannot end with trailing whitespace"));
    }
    let ends_thinking = role == "assistant" && array(content).last().is_some_and(is_thought);
    if ends_thinking { Err(refusal(format!("messages.{index}: The final block in an assistant message cannot be `thinking`."))) } else { Ok(()) }
}

/// A block of a message of that role.
fn judge_block(block: &Value, role: &str, (index, place): (usize, usize)) -> Result<(), Fault> {
    match (block["type"].as_str(), role) {
        (None, _) => Err(refusal(format!("messages.{index}.content.{place}.type: Field required"))),
        (Some("text"), _) => match block["text"].as_str() {
            None => Err(refusal(format!("messages.{index}.content.{place}.text.text: Field required"))),
            Some("") => Err(refusal("messages: text content blocks must be non-empty")),
            Some(text) if is_blank(text) => Err(refusal("messages: text content blocks must contain non-whitespace text")),
            Some(_) => Ok(()),
        },
        (Some("tool_use"), "user") => Err(refusal(format!("messages.{index}: `tool_use` blocks can only be in `assistant` messages"))),
        (Some("tool_result"), "assistant") => Err(refusal(format!("messages.{index}: `tool_result` blocks can only be in `user` messages"))),
        (Some("thinking"), "assistant") => match block["signature"].as_str() {
            None => Err(refusal(format!("messages.{index}.content.{place}.thinking.signature: Field required"))),
            Some(sign) if is_forged(sign, block["thinking"].as_str().unwrap_or_default()) => {
                Err(refusal(format!("messages.{index}.content.{place}: Invalid `signature` in `thinking` block")))
            }
            Some(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether a signature of the simulated model is not that of this thought.
fn is_forged(sign: &str, thought: &str) -> bool {
    sign.strip_prefix(SIGNATURE).is_some_and(|rest| !rest.is_empty()) && sign != signature(thought)
}

/// Every tool use has its result at the beginning of the very next message, and nothing else has.
fn pairs(messages: &[Value]) -> Result<(), Fault> {
    let (mut open, mut used): (Vec<&str>, HashSet<&str>) = (Vec::new(), HashSet::new());
    for (index, message) in messages.iter().enumerate() {
        let content = array(&message["content"]);
        let results: Vec<&str> = of_kind(content, "tool_result").filter_map(|block| block["tool_use_id"].as_str()).collect();
        if let Some(stray) = results.iter().find(|id| !open.contains(id)) {
            return Err(refusal(format!(
                "messages.{index}.content: unexpected `tool_use_id` found in `tool_result` blocks: {stray}. \
                 Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        }
        // A result behind something else is not immediately after.
        let first: Vec<&str> =
            content.iter().take_while(|block| block["type"] == "tool_result").filter_map(|block| block["tool_use_id"].as_str()).collect();
        if let Some(missing) = open.iter().find(|id| !first.contains(id)) {
            return Err(refusal(format!(
                "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing}. \
                 Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
                index - 1
            )));
        }
        if let Some(double) = results.iter().find(|id| results.iter().filter(|other| other == id).count() > 1) {
            return Err(refusal(format!(
                "messages.{index}.content: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {double}"
            )));
        }
        open = of_kind(content, "tool_use").filter_map(|block| block["id"].as_str()).collect();
        if open.iter().any(|id| !used.insert(id)) {
            return Err(refusal(format!("messages.{index}: `tool_use` ids must be unique")));
        }
    }
    Ok(())
}

/// While tools are still being called, the thought that led to them must be there: the first of the assistant's messages since somebody else than a tool
/// has spoken begins with it.
fn thinking(messages: &[Value]) -> Result<(), Fault> {
    let is_result = |message: &Value| of_kind(array(&message["content"]), "tool_result").next().is_some();
    if !messages.last().is_some_and(is_result) {
        return Ok(());
    }
    let asked = messages.iter().rposition(|message| message["role"] == "user" && !is_result(message)).map_or(0, |at| at + 1);
    let Some(index) = (asked..messages.len()).find(|at| messages[*at]["role"] == "assistant") else { return Ok(()) };
    match array(&messages[index]["content"]).first() {
        Some(first) if !is_thought(first) => Err(refusal(format!(
            "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{}`. When `thinking` is enabled, a final `assistant` \
             message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include \
             thinking blocks from previous turns. To avoid this requirement, disable `thinking`.",
            first["type"].as_str().unwrap_or_default()
        ))),
        _ => Ok(()),
    }
}

/// The marks for the cache on blocks, and on those within results.
fn marks(value: &Value) -> usize {
    let within = |block: &Value| usize::from(!block["cache_control"].is_null()) + marks(&block["content"]);
    array(value).iter().map(within).sum()
}

fn is_thought(block: &Value) -> bool {
    matches!(block["type"].as_str(), Some("thinking" | "redacted_thinking"))
}

fn of_kind<'a>(content: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    content.iter().filter(move |block| block["type"] == kind)
}

fn refusal(message: impl Into<String>) -> Fault {
    Fault::of(message, None)
}
