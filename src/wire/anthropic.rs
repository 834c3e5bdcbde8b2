//! Reads the answers of Anthropic's Messages API: the events of a stream, a whole message, an error. Its input tokens leave out cached ones;
//! here they are added, so that `input` means the same in every dialect.

use super::{
    facts::{Facts, count},
    failure,
    json::Json,
};

/// Reads one event or a whole body. `name` is the event's name, for events that carry no type of their own. `false` if it is no JSON object.
pub(super) fn read(facts: &mut Facts, name: &[u8], value: Json<'_>) -> bool {
    let names = ["type", "message", "content_block", "delta", "usage", "error"];
    let Some([kind, message, block, delta, tokens, error]) = value.fields(names) else {
        return false;
    };
    match kind.and_then(Json::word).or_else(|| std::str::from_utf8(name).ok()).unwrap_or("") {
        "message_start" => {
            if let Some(message) = message {
                whole(facts, message);
            }
        }
        "content_block_start" => facts.content |= block.is_some_and(opens_with_content),
        "content_block_delta" => facts.content |= delta.is_some_and(has_content),
        "message_delta" => {
            let reason = delta.and_then(|delta| delta.fields(["stop_reason"])).and_then(|[reason]| reason);
            facts.choice(0, reason);
            if let Some(tokens) = tokens {
                usage(facts, tokens);
            }
        }
        "message_stop" => facts.terminated = true,
        "message" => whole(facts, value),
        "error" => facts.fail(Some(error.unwrap_or(value))),
        _ => {
            // A body in another's shape, as gateways answer.
            if let Some(error) = error.filter(|error| failure::is_error(*error)) {
                facts.fail(Some(error));
            }
        }
    }
    true
}

fn whole(facts: &mut Facts, message: Json<'_>) {
    let Some([id, model, reason, tokens, content]) = message.fields(["id", "model", "stop_reason", "usage", "content"]) else {
        return;
    };
    facts.id(id);
    facts.model(model);
    facts.choice(0, reason);
    facts.content |= content.is_some_and(Json::is_filled);
    if let Some(tokens) = tokens {
        usage(facts, tokens);
    }
}

/// Whether a block is content from its start: a tool call, or thinking that comes whole and redacted.
fn opens_with_content(block: Json<'_>) -> bool {
    let Some([kind, text, thinking]) = block.fields(["type", "text", "thinking"]) else {
        return false;
    };
    let is_whole = kind.and_then(Json::word).is_some_and(|kind| !matches!(kind, "text" | "thinking"));
    is_whole || [text, thinking].into_iter().flatten().any(Json::is_text)
}

fn has_content(delta: Json<'_>) -> bool {
    delta.fields(["text", "thinking", "partial_json"]).is_some_and(|parts| parts.into_iter().flatten().any(Json::is_text))
}

fn usage(facts: &mut Facts, tokens: Json<'_>) {
    let names = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    let Some([input, output, cache_read, cache_write]) = tokens.fields(names) else {
        return;
    };
    count(&mut facts.uncached_input, input);
    let uncached = facts.uncached_input;
    let usage = facts.usage();
    count(&mut usage.output, output);
    count(&mut usage.cache_read, cache_read);
    count(&mut usage.cache_write, cache_write);
    usage.input = uncached.map(|uncached| uncached + usage.cache_read.unwrap_or(0) + usage.cache_write.unwrap_or(0));
}
