//! What the providers refuse, read from a body with a reader that has nothing to do with ours.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use crate::wire::Dialect;

/// A conversation's items.
pub(super) fn items(dialect: Dialect, body: &[u8]) -> Vec<Value> {
    let body: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)));
    let list = match dialect {
        Dialect::OpenaiResponses => "input",
        Dialect::Gemini => "contents",
        _ => "messages",
    };
    body[list].as_array().unwrap().clone()
}

/// What is wrong with it, each fault by what it is about.
pub(super) fn faults(dialect: Dialect, body: &[u8]) -> BTreeSet<String> {
    let items = items(dialect, body);
    let mut faults = match dialect {
        Dialect::OpenaiResponses => responses(&items),
        Dialect::AnthropicMessages => anthropic(&items),
        Dialect::Gemini => gemini(&items),
        _ => chat(&items),
    };
    if !takes_turns(dialect, &items) {
        faults.insert("roles do not alternate".to_owned());
    }
    faults
}

fn role(item: &Value) -> &str {
    item["role"].as_str().unwrap_or_default()
}

fn list<'a>(item: &'a Value, key: &str) -> &'a [Value] {
    item[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn ids<'a>(parts: impl IntoIterator<Item = &'a Value>, key: &str) -> Vec<String> {
    parts.into_iter().filter_map(|part| part[key].as_str().map(str::to_owned)).collect()
}

/// `OpenAI` and Ollama: the results directly behind the calls, and all of them.
fn chat(items: &[Value]) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let mut at = 0;
    while at < items.len() {
        let item = &items[at];
        at += 1;
        let calls = list(item, "tool_calls");
        let start = at;
        while items.get(at).is_some_and(|next| role(next) == "tool") {
            at += 1;
        }
        let results = &items[start..at];
        let (mut asked, mut given) = (ids(calls, "id"), ids(results, "tool_call_id"));
        asked.sort();
        given.sort();
        if calls.len() != results.len() || asked != given {
            faults.insert(format!("calls and results differ: {item}"));
        }
    }
    faults
}

/// Each output has its call before it, each call its output behind it, each reasoning item what it leads to.
fn responses(items: &[Value]) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let mut open: Vec<&str> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let id = item["call_id"].as_str().unwrap_or_default();
        match item["type"].as_str().unwrap_or_default() {
            "function_call" => open.push(id),
            "function_call_output" => match open.iter().rposition(|call| *call == id) {
                Some(call) => drop(open.remove(call)),
                None => drop(faults.insert(format!("no call for {item}"))),
            },
            "reasoning" => {
                let next = items.get(at + 1).is_some_and(|next| next["type"] == "function_call" || role(next) == "assistant");
                if !next {
                    faults.insert(format!("nothing follows {item}"));
                }
            }
            _ => {}
        }
    }
    faults.extend(open.into_iter().map(|id| format!("no output for {id}")));
    faults
}

/// First a user; results in the very next message, and all of them; where the answer that goes on began with thinking, it still does.
fn anthropic(items: &[Value]) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    if role(&items[0]) != "user" {
        faults.insert("does not begin with a user".to_owned());
    }
    let parts = |item: &Value, kind: &str| list(item, "content").iter().filter(|part| part["type"] == kind).cloned().collect::<Vec<_>>();
    for (at, item) in items.iter().enumerate() {
        let asked: HashSet<_> = ids(&parts(item, "tool_use"), "id").into_iter().collect();
        let next = items.get(at + 1).map(|next| ids(&parts(next, "tool_result"), "tool_use_id")).unwrap_or_default();
        if asked != next.into_iter().collect() {
            faults.insert(format!("calls and results differ: {item}"));
        }
        if at == 0 && !parts(item, "tool_result").is_empty() {
            faults.insert(format!("no call for {item}"));
        }
    }
    let is_said = |item: &Value| role(item) == "user" && parts(item, "tool_result").is_empty();
    let answer = items.iter().rposition(is_said).and_then(|last| items.get(last + 1));
    if answer.is_some_and(|answer| list(answer, "content")[0]["type"] != "thinking") {
        faults.insert("the answer does not begin with thinking".to_owned());
    }
    faults
}

/// First a user; a call behind a user or a response; responses directly behind their calls, as many as those.
fn gemini(items: &[Value]) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    if role(&items[0]) != "user" {
        faults.insert("does not begin with a user".to_owned());
    }
    let number = |item: &Value, key: &str| list(item, "parts").iter().filter(|part| part.get(key).is_some()).count();
    for (at, item) in items.iter().enumerate() {
        let (calls, responses) = (number(item, "functionCall"), items.get(at + 1).map_or(0, |next| number(next, "functionResponse")));
        if calls != responses {
            faults.insert(format!("calls and responses differ: {item}"));
        }
        if calls > 0 && at.checked_sub(1).is_none_or(|before| role(&items[before]) != "user") {
            faults.insert(format!("a call behind no user: {item}"));
        }
    }
    faults
}

/// Whether roles alternate: of Anthropic and Gemini as they are, else without what calls and what tools say, as templates have it.
fn takes_turns(dialect: Dialect, items: &[Value]) -> bool {
    let is_plain = matches!(dialect, Dialect::AnthropicMessages | Dialect::Gemini);
    let is_turn = |item: &&Value| is_plain || (matches!(role(item), "user" | "assistant") && list(item, "tool_calls").is_empty());
    let roles: Vec<_> = items.iter().filter(is_turn).map(role).collect();
    roles.windows(2).all(|pair| pair[0] != pair[1])
}

/// Whether an item is another one, of which some texts are shortened to head and tail.
pub(super) fn is_shortened(original: &Value, item: &Value) -> bool {
    match (original, item) {
        (Value::String(one), Value::String(other)) => one == other || is_head_and_tail(one, other),
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_shortened(one, other)),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| is_shortened(one, other)))
        }
        _ => original == item,
    }
}

fn is_head_and_tail(original: &str, text: &str) -> bool {
    let Some((head, rest)) = text.split_once("[\u{2026} ") else { return false };
    let Some((number, tail)) = rest.split_once(" tokens left out \u{2026}]") else { return false };
    let is_number = number.replace(',', "").parse::<u64>().is_ok_and(|number| number > 0);
    let fits = |head: &str, tail: &str| original.starts_with(head) && original.ends_with(tail) && text.len() < original.len();
    let heads = [head, head.strip_suffix('\n').unwrap_or(head)];
    let tails = [tail, tail.strip_prefix('\n').unwrap_or(tail)];
    is_number && heads.iter().any(|head| tails.iter().any(|tail| fits(head, tail)))
}
