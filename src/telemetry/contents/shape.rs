//! Contents as the conventions shape them on a span: lists of messages, each of a role and parts, in JSON that is valid whatever was cut. Long texts are
//! cut with a mark; of a long list the first message and the last ones stay, and a message of role `pillion` says how many are missing between them.
//! Of several choices only the first is told; pictures and other encoded data are not.

use opentelemetry::KeyValue;
use serde_json::{Map, Value, json};

use super::{Captured, redact};
use crate::{
    telemetry::{names::attributes::gen_ai, record::Record},
    wire::{CalledTool, Data, Message, Request, Role, Text, ToolCall, ToolResult, Tools},
};

/// Longest attribute, in bytes.
pub(super) const ATTRIBUTE_MAX: usize = 64 << 10;
/// Longest message (or definition of a tool) within one, in bytes.
const MESSAGE_MAX: usize = 32 << 10;
/// What is left for telling that something is missing, in bytes.
const GAP_ROOM: usize = 128;
/// Bytes of each text that stay: the most with which its message is not too long.
const TEXTS_MAX: [usize; 5] = [28 << 10, 8 << 10, 2 << 10, 512, 64];
/// Parts of a message that are told.
const PARTS_MAX: usize = 256;
/// Definitions of tools that are read, in bytes.
const TOOLS_MAX: usize = 1 << 20;
/// So much of a text is looked at beyond what stays, in bytes, so that no credential is cut in two and then not known for one.
const AHEAD: usize = 512;
/// What stands at the end of a text that was cut.
const CUT_MARK: &str = "…[cut]";

/// The attributes that tell the contents of an exchange; those that have none are absent.
pub(in crate::telemetry) fn attributes(record: &Record, captured: &Captured) -> Vec<KeyValue> {
    let Some(dialect) = record.dialect else { return Vec::new() };
    let request = Request::read(dialect, &record.path, &captured.body, None);
    let prompt = request.prompt.as_ref();
    let told = [
        (gen_ai::SYSTEM_INSTRUCTIONS, prompt.and_then(|prompt| prompt.system.as_ref()).and_then(instructions)),
        (gen_ai::INPUT_MESSAGES, prompt.and_then(|prompt| list(&prompt.messages, input))),
        (gen_ai::TOOL_DEFINITIONS, prompt.and_then(|prompt| prompt.tools).and_then(definitions)),
        (gen_ai::OUTPUT_MESSAGES, output(record, captured)),
    ];
    told.into_iter().filter_map(|(name, text)| Some(KeyValue::new(name, text?))).collect()
}

/// A list in JSON, of what fits: the first item, and as many of the last as there is room for.
fn list<T>(items: &[T], one: impl Fn(&T) -> Option<String>) -> Option<String> {
    let (first, rest) = items.split_first()?;
    let first = one(first);
    let mut room = ATTRIBUTE_MAX - GAP_ROOM - first.as_ref().map_or(0, String::len);
    let mut last = Vec::new();
    for item in rest.iter().rev() {
        let Some(told) = one(item).filter(|told| told.len() < room) else { break };
        room -= told.len() + 1;
        last.push(told);
    }
    let missing = items.len() - last.len() - usize::from(first.is_some());
    let gap = (missing > 0).then(|| json!({"role": "pillion", "parts": [{"type": "pillion.missing", "messages": missing}]}).to_string());
    let all: Vec<String> = first.into_iter().chain(gap).chain(last.into_iter().rev()).collect();
    Some(format!("[{}]", all.join(",")))
}

/// A value in JSON that is short enough, made with shorter and shorter texts.
fn fitting(most: usize, make: impl Fn(usize) -> Value) -> Option<String> {
    TEXTS_MAX.iter().map(|text_max| make(*text_max).to_string()).find(|told| told.len() <= most)
}

fn input(message: &Message<'_>) -> Option<String> {
    fitting(MESSAGE_MAX, |text_max| {
        let mut told = json!({"role": role(message.role), "parts": parts(message, text_max)});
        if let Some(name) = &message.name {
            told["name"] = redact::text(name.as_ref().into()).into();
        }
        told
    })
}

fn instructions(system: &Message<'_>) -> Option<String> {
    fitting(ATTRIBUTE_MAX, |text_max| parts(system, text_max).into())
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::Other => "other",
    }
}

fn parts(message: &Message<'_>, text_max: usize) -> Vec<Value> {
    let filled = message.texts.iter().filter(|content| !content.raw().is_empty());
    let texts = filled.map(|content| text(*content, text_max)).map(|content| json!({"type": "text", "content": content}));
    let calls = message.calls.iter().map(|call| called(call, text_max));
    let results = message.results.iter().map(|result| response(result, text_max));
    texts.chain(calls).chain(results).take(PARTS_MAX).collect()
}

fn called(call: &CalledTool<'_>, text_max: usize) -> Value {
    let arguments = call.arguments.map(|arguments| match arguments {
        Data::Quoted(quoted) => quoted.decoded(text_max + AHEAD),
        Data::Plain(raw) => String::from_utf8_lossy(raw),
    });
    tool_call(call.id.as_deref(), &call.name, arguments.map(|arguments| json_or_text(&arguments, text_max)))
}

fn tool_call(id: Option<&str>, name: &str, arguments: Option<Value>) -> Value {
    let mut told = Map::from_iter([("type".to_owned(), "tool_call".into()), ("name".to_owned(), name.into())]);
    told.extend(id.map(|id| ("id".to_owned(), id.into())));
    told.extend(arguments.map(|arguments| ("arguments".to_owned(), arguments)));
    Value::Object(told)
}

fn response(result: &ToolResult<'_>, text_max: usize) -> Value {
    let said: Vec<String> = result.texts.iter().take(PARTS_MAX).map(|said| text(*said, text_max)).collect();
    let mut told = json!({"type": "tool_call_response", "response": shortened(said.concat(), text_max)});
    if let Some(id) = &result.id {
        told["id"] = id.as_ref().into();
    }
    told
}

/// What was answered: nothing, if it was not told or said nothing.
fn output(record: &Record, captured: &Captured) -> Option<String> {
    let said = captured.said.as_ref()?;
    let calls = &record.reply.tool_calls;
    if said.text.is_empty() && said.reasoning.is_empty() && calls.is_empty() {
        return None;
    }
    let message = fitting(ATTRIBUTE_MAX - GAP_ROOM, |text_max| {
        let plain = [("reasoning", &said.reasoning), ("text", &said.text)].into_iter().filter(|(_, content)| !content.is_empty());
        let plain = plain.map(|(kind, content)| json!({"type": kind, "content": whole_text(content, (text_max, said.is_cut))}));
        let parts: Vec<Value> = plain.chain(calls.iter().map(|call| answered_call(call, text_max))).collect();
        let mut told = json!({"role": "assistant", "parts": parts});
        if let Some(reason) = record.reply.finish_reasons.first() {
            told["finish_reason"] = finish_reason(reason).into();
        }
        told
    })?;
    Some(format!("[{message}]"))
}

fn answered_call(call: &ToolCall, text_max: usize) -> Value {
    tool_call(call.id.as_deref(), &call.name, call.arguments.as_deref().map(|arguments| json_or_text(arguments, text_max)))
}

/// In the conventions' words, where they have one.
fn finish_reason(reason: &str) -> &str {
    match reason {
        "stop" | "STOP" | "end_turn" | "stop_sequence" | "completed" => "stop",
        "length" | "max_tokens" | "MAX_TOKENS" | "max_output_tokens" => "length",
        "tool_calls" | "tool_use" | "function_call" => "tool_call",
        "content_filter" | "refusal" | "SAFETY" => "content_filter",
        other => other,
    }
}

/// The tools that a request declares: functions by name, description and parameters, a provider's own by their type.
fn definitions(tools: Tools<'_>) -> Option<String> {
    let raw = tools.raw();
    if raw.len() > TOOLS_MAX {
        return None;
    }
    let Ok(Value::Array(entries)) = serde_json::from_slice::<Value>(raw) else { return None };
    let mut all = Vec::new();
    for entry in &entries {
        match entry.get("functionDeclarations").or_else(|| entry.get("function_declarations")) {
            Some(Value::Array(functions)) => all.extend(functions.iter().map(definition)),
            _ => all.push(definition(entry)),
        }
    }
    let mut told: Vec<String> = Vec::new();
    let mut room = ATTRIBUTE_MAX - GAP_ROOM;
    for mut definition in all.iter().cloned() {
        redact::value(&mut definition);
        if definition.to_string().len() > room.min(MESSAGE_MAX) {
            definition.as_object_mut()?.retain(|key, _| key == "type" || key == "name");
        }
        let text = definition.to_string();
        if text.len() >= room {
            break;
        }
        room -= text.len() + 1;
        told.push(text);
    }
    let missing = all.len() - told.len();
    told.extend((missing > 0).then(|| json!({"type": "pillion.missing", "name": format!("{missing} tools")}).to_string()));
    (!told.is_empty()).then(|| format!("[{}]", told.join(",")))
}

fn definition(entry: &Value) -> Value {
    let kind = entry.get("type").and_then(Value::as_str);
    let function = ["function", "custom"].iter().find_map(|key| entry.get(key)).filter(|inner| inner.is_object()).unwrap_or(entry);
    let Some(name) = function.get("name").filter(|name| name.is_string()) else {
        // Gemini's own have their name for a key.
        let name = kind.map(str::to_owned).or_else(|| entry.as_object()?.keys().next().cloned()).unwrap_or_else(|| "unknown".to_owned());
        return json!({"type": name, "name": name});
    };
    let parameters = ["parameters", "input_schema", "parametersJsonSchema"].iter().find_map(|key| function.get(key));
    let kind = kind.filter(|kind| *kind != "custom" || parameters.is_none()).unwrap_or("function");
    let mut told = json!({"type": kind, "name": name});
    for (key, value) in [("description", function.get("description")), ("parameters", parameters)] {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            told[key] = value.clone();
        }
    }
    told
}

/// JSON as what it is; what is none, or is too long, as a text.
fn json_or_text(raw: &str, text_max: usize) -> Value {
    let parsed = if raw.len() <= text_max { serde_json::from_str::<Value>(raw).ok() } else { None };
    parsed.map_or_else(
        || whole_text(raw, (text_max, false)).into(),
        |mut value| {
            redact::value(&mut value);
            value
        },
    )
}

fn text(content: Text<'_>, text_max: usize) -> String {
    let decoded = content.decoded(text_max + AHEAD);
    // A character of up to four bytes did not fit.
    let is_cut = decoded.len() + 4 > text_max + AHEAD;
    whole_text(&decoded, (text_max, is_cut))
}

/// A text without credentials, cut. `is_cut`: it was cut before.
fn whole_text(content: &str, (text_max, is_cut): (usize, bool)) -> String {
    let end = content.floor_char_boundary(text_max + AHEAD);
    let clean = redact::text(content[..end].into()).into_owned();
    if clean.len() <= text_max && (is_cut || end < content.len()) { clean + CUT_MARK } else { shortened(clean, text_max) }
}

fn shortened(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push_str(CUT_MARK);
    }
    text
}
