//! Reads the answers of Anthropic's Messages API: the events of a stream, a whole message, an error. Its input tokens leave out cached ones;
//! here they are added, so that `input` means the same in every dialect.

use super::{
    facts::{Facts, count},
    failure,
    json::Json,
    said::Said,
};

/// Reads one event or a whole body. `name` is the event's name, for events that carry no type of their own. `false` if it is no JSON object.
pub(super) fn read(facts: &mut Facts, name: &[u8], value: Json<'_>) -> bool {
    let names = ["type", "index", "message", "content_block", "delta", "usage", "error", "input_tokens"];
    let Some([kind, index, message, block, delta, tokens, error, counted]) = value.fields(names) else {
        return false;
    };
    let index = || index.and_then(Json::number).unwrap_or(0);
    match kind.and_then(Json::word).or_else(|| std::str::from_utf8(name).ok()).unwrap_or("") {
        "message_start" => {
            if let Some(message) = message {
                whole(facts, message);
            }
        }
        "content_block_start" => facts.content |= block.is_some_and(|block| read_block(&mut facts.said, index(), block)),
        "content_block_delta" => facts.content |= delta.is_some_and(|delta| read_delta(&mut facts.said, index(), delta)),
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
            // What `count_tokens` answers has nothing else.
            count(&mut facts.reply.counted, counted);
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
    if let Some(content) = content {
        facts.content |= content.is_filled();
        content.items(|position, block| {
            read_block(&mut facts.said, u64::try_from(position).unwrap_or(u64::MAX), block);
        });
    }
    if let Some(tokens) = tokens {
        usage(facts, tokens);
    }
}

/// Reads a block, whole or as it starts. Whether it is content from its start: a tool call, or thinking that comes whole and redacted.
fn read_block(said: &mut Said, index: u64, block: Json<'_>) -> bool {
    let Some([kind, text, thinking, id, name, input]) = block.fields(["type", "text", "thinking", "id", "name", "input"]) else {
        return false;
    };
    said.text(text);
    said.reasoning(thinking);
    let kind = kind.and_then(Json::word);
    // Tools of other kinds are run by the provider.
    if kind == Some("tool_use")
        && let Some(telling) = said.call(index, id, name)
    {
        telling.begin_with(Some(input.unwrap_or(Json::new(b"{}"))));
    }
    let is_whole = kind.is_some_and(|kind| !matches!(kind, "text" | "thinking"));
    is_whole || [text, thinking].into_iter().flatten().any(Json::is_text)
}

/// Reads what is added to a block; whether it is content.
fn read_delta(said: &mut Said, index: u64, delta: Json<'_>) -> bool {
    let Some([text, thinking, json]) = delta.fields(["text", "thinking", "partial_json"]) else {
        return false;
    };
    said.text(text);
    said.reasoning(thinking);
    if json.is_some()
        && let Some(telling) = said.open_call(index)
    {
        telling.go_on(json);
    }
    [text, thinking, json].into_iter().flatten().any(Json::is_text)
}

fn usage(facts: &mut Facts, tokens: Json<'_>) {
    let names = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    let Some([input, output, cache_read, cache_write]) = tokens.fields(names) else {
        return;
    };
    let Facts { reply, parts, .. } = facts;
    let usage = &mut reply.usage;
    count(&mut parts.uncached, input);
    count(&mut usage.output, output);
    count(&mut usage.cache_read, cache_read);
    count(&mut usage.cache_write, cache_write);
    usage.input = parts.uncached.map(|uncached| uncached + usage.cache_read.unwrap_or(0) + usage.cache_write.unwrap_or(0));
}
