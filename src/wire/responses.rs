//! Reads the answers of OpenAI's Responses API: its typed events, and the response whole, which is also what its last event holds. That one
//! outweighs what was put together from the events before it.

use super::{
    facts::Facts,
    failure,
    json::Json,
    openai,
    said::{Said, Telling},
};

/// Reads an event or a whole answer. `name` is the event's name, for events that carry no type of their own. `false` if it is no JSON object.
pub(super) fn read(facts: &mut Facts, name: &[u8], value: Json<'_>) -> bool {
    let names = ["type", "response", "item", "error", "object", "delta", "output_index"];
    let Some([kind, response, item, error, object, delta, index]) = value.fields(names) else {
        return false;
    };
    let kind = kind.and_then(Json::word).or_else(|| std::str::from_utf8(name).ok()).unwrap_or("");
    let index = || index.and_then(Json::number).unwrap_or(0);
    match kind {
        "error" => facts.fail(Some(error.unwrap_or(value))),
        "response.created" | "response.in_progress" | "response.queued" => {
            if facts.reply.id.is_none()
                && let Some(response) = response
            {
                whole(facts, response);
            }
        }
        "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
            facts.terminated = true;
            if let Some(response) = response {
                whole(facts, response);
            }
            if kind == "response.failed" {
                facts.fail(None);
            }
        }
        "response.output_item.added" | "response.output_item.done" => {
            if let Some(item) = item {
                facts.content |= read_item(&mut facts.said, index(), item, kind == "response.output_item.added");
            }
        }
        _ if kind.starts_with("response.") => {
            facts.content |= kind.rsplit('.').next() == Some("delta");
            read_piece(&mut facts.said, kind, index(), (delta, value));
        }
        _ if object.and_then(Json::word) == Some("response") => whole(facts, value),
        _ => {
            if let Some(error) = error.filter(|error| failure::is_error(*error)) {
                facts.fail(Some(error));
            }
        }
    }
    true
}

/// Reads what is added to an item.
fn read_piece(said: &mut Said, kind: &str, index: u64, (delta, event): (Option<Json<'_>>, Json<'_>)) {
    let all = |name| event.fields([name]).and_then(|[all]| all);
    match kind {
        "response.output_text.delta" => said.text(delta),
        "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => said.reasoning(delta),
        "response.function_call_arguments.delta" => tell(said.open_call(index), |telling| telling.go_on(delta)),
        "response.function_call_arguments.done" => tell(said.open_call(index), |telling| telling.whole(all("arguments"))),
        "response.custom_tool_call_input.delta" => tell(said.open_call(index), |telling| telling.free_text(delta)),
        "response.custom_tool_call_input.done" => tell(said.open_call(index), |telling| telling.whole_free_text(all("input"))),
        _ => {}
    }
}

fn tell<'s>(telling: Option<Telling<'s>>, arguments: impl FnOnce(Telling<'s>)) {
    if let Some(telling) = telling {
        arguments(telling);
    }
}

/// Reads a call's item; other kinds are told by events of their own. Whether it is content from its start: a call, of whatever tool.
fn read_item(said: &mut Said, index: u64, item: Json<'_>, begins: bool) -> bool {
    let names = ["type", "call_id", "name", "arguments", "input", "action", "operation"];
    let Some([Some(kind), id, name, arguments, input, action, operation]) = item.fields(names) else {
        return false;
    };
    let Some(tool) = kind.word().and_then(|kind| kind.strip_suffix("_call")) else { return false };
    // What has no id to be answered under is run by the provider.
    if let Some(id) = id {
        // Tools that the API itself knows have no other name.
        let known = format!("\"{tool}\"");
        let name = name.unwrap_or(Json::new(known.as_bytes()));
        tell(said.call(index, Some(id), Some(name)), |telling| match (arguments.or(action).or(operation), input) {
            (Some(arguments), _) => telling.whole(Some(arguments)),
            (None, Some(input)) => telling.whole_free_text(Some(input)),
            (None, None) => {}
        });
    }
    begins
}

/// Reads a response.
fn whole(facts: &mut Facts, response: Json<'_>) {
    let names = ["id", "model", "status", "incomplete_details", "usage", "error", "output", "service_tier"];
    let Some([id, model, status, incomplete, tokens, error, output, tier]) = response.fields(names) else {
        return;
    };
    facts.id(id);
    facts.model(model);
    facts.service_tier(tier);
    if let Some(output) = output.filter(|output| output.is_array() && output.is_filled()) {
        facts.content = true;
        facts.said.restart();
        output.items(|position, item| read_output(&mut facts.said, u64::try_from(position).unwrap_or(u64::MAX), item));
    }
    if let Some(status) = status.filter(|status| matches!(status.word(), Some("completed" | "incomplete" | "failed" | "cancelled"))) {
        let reason = incomplete.and_then(|details| details.fields(["reason"])).and_then(|[reason]| reason);
        facts.choice(0, Some(reason.unwrap_or(status)));
    }
    if let Some(tokens) = tokens {
        openai::usage(facts, tokens);
    }
    if let Some(error) = error.filter(|error| failure::is_error(*error)) {
        facts.fail(Some(error));
    }
}

/// Reads one whole item of the output.
fn read_output(said: &mut Said, index: u64, item: Json<'_>) {
    let Some([kind, content, summary]) = item.fields(["type", "content", "summary"]) else { return };
    match kind.and_then(Json::word) {
        Some("message") => texts(content, "output_text", |text| said.text(text)),
        Some("reasoning") => {
            texts(summary, "summary_text", |text| said.reasoning(text));
            texts(content, "reasoning_text", |text| said.reasoning(text));
        }
        _ => {
            read_item(said, index, item, false);
        }
    }
}

/// Hands over the texts of the parts of this kind.
fn texts<'a>(parts: Option<Json<'a>>, kind: &str, mut each: impl FnMut(Option<Json<'a>>)) {
    if let Some(parts) = parts {
        parts.items(|_, part| {
            if let Some([Some(word), text]) = part.fields(["type", "text"])
                && word.word() == Some(kind)
            {
                each(text);
            }
        });
    }
}
