//! Reads the answers of OpenAI's APIs and of the many servers that speak them: Chat Completions, Completions and Embeddings here as one family
//! (their objects share all that matters), Responses apart. One value is an event of a stream or a whole body.

use super::{
    facts::{Facts, count},
    failure,
    json::Json,
    skim::{NotJson, Skim},
};

/// What ends a stream of events.
pub(super) const TERMINATOR: &[u8] = b"[DONE]";

/// Reads a chunk, a completion or a list of embeddings. `false` if it is no JSON object.
pub(super) fn read(facts: &mut Facts, value: Json<'_>) -> bool {
    let names = ["id", "model", "choices", "usage", "error", "object", "x_groq"];
    let Some([id, model, choices, tokens, error, object, groq]) = value.fields(names) else {
        return false;
    };
    if let Some(error) = error.filter(|error| failure::is_error(*error)) {
        facts.fail(Some(error));
    } else if object.and_then(Json::word) == Some("error") {
        // vLLM and Mistral: the error's fields lie bare.
        facts.fail(Some(value));
    }
    facts.id(id);
    facts.model(model);
    if let Some(choices) = choices {
        // What is no list of choices says nothing.
        let _ = read_choices(facts, &mut choices.skim());
    }
    let groq = groq.and_then(|groq| groq.fields(["usage"])).and_then(|[usage]| usage);
    if let Some(tokens) = tokens.or(groq) {
        usage(facts, tokens);
    }
    true
}

/// Reads the choices. They lie in what was read before, and so are valid.
fn read_choices(facts: &mut Facts, choices: &mut Skim<'_>) -> Result<(), NotJson> {
    let mut position = 0;
    choices.array(|skim| {
        choice(facts, position, skim)?;
        position += 1;
        Ok(())
    })
}

fn choice(facts: &mut Facts, position: u64, skim: &mut Skim<'_>) -> Result<(), NotJson> {
    if skim.peek()? != b'{' {
        return skim.skip();
    }
    let (mut index, mut reason, mut content) = (None, None, false);
    skim.object(|skim, key| {
        match key {
            b"index" => index = Json::next(skim)?.and_then(Json::number),
            b"finish_reason" => reason = Json::next(skim)?,
            b"delta" | b"message" => content |= has_content(skim)?,
            b"text" => content |= Json::next(skim)?.is_some_and(Json::is_text),
            _ => skim.skip()?,
        }
        Ok(())
    })?;
    facts.choice(index.unwrap_or(position), reason);
    facts.content |= content;
    Ok(())
}

/// Whether a delta (or a message) holds more than a role.
fn has_content(skim: &mut Skim<'_>) -> Result<bool, NotJson> {
    if skim.peek()? != b'{' {
        return skim.skip().map(|()| false);
    }
    let mut content = false;
    skim.object(|skim, key| {
        match key {
            b"content" | b"reasoning_content" | b"reasoning" | b"refusal" | b"tool_calls" | b"function_call" | b"reasoning_details" | b"audio" => {
                content |= Json::next(skim)?.is_some_and(|part| part.is_text() || part.is_filled());
            }
            _ => skim.skip()?,
        }
        Ok(())
    })?;
    Ok(content)
}

/// Takes over the tokens of a `usage` object in the words of either API.
fn usage(facts: &mut Facts, tokens: Json<'_>) {
    let names = [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "input_tokens",
        "output_tokens",
        "input_tokens_details",
        "output_tokens_details",
        "prompt_cache_hit_tokens",
    ];
    let Some([prompt, completion, total, prompt_details, completion_details, input, output, input_details, output_details, cache_hit]) =
        tokens.fields(names)
    else {
        return;
    };
    let details = prompt_details.or(input_details).and_then(|details| details.fields(["cached_tokens", "cache_write_tokens"]));
    let [cached, written] = details.unwrap_or_default();
    let details = completion_details.or(output_details).and_then(|details| details.fields(["reasoning_tokens"]));
    let [reasoning] = details.unwrap_or_default();
    let usage = facts.usage();
    count(&mut usage.input, prompt.or(input));
    count(&mut usage.output, completion.or(output));
    count(&mut usage.cache_read, cached.or(cache_hit));
    count(&mut usage.cache_write, written);
    count(&mut usage.reasoning, reasoning);
    // xAI counts reasoning beside the completion; only the total shows it.
    let parts = [prompt, completion, reasoning].map(|part| part.and_then(Json::tokens));
    if let ([Some(prompt), Some(completion), Some(reasoning)], Some(total)) = (parts, total.and_then(Json::tokens))
        && prompt + completion + reasoning == total
    {
        usage.output = Some(completion + reasoning);
    }
}

/// Reads an event or a whole answer of the Responses API. `name` is the event's name, for events that carry no type of their own.
pub(super) fn read_response(facts: &mut Facts, name: &[u8], value: Json<'_>) -> bool {
    let names = ["type", "response", "item", "error", "object"];
    let Some([kind, response, item, error, object]) = value.fields(names) else {
        return false;
    };
    let kind = kind.and_then(Json::word).or_else(|| std::str::from_utf8(name).ok()).unwrap_or("");
    match kind {
        "error" => facts.fail(Some(error.unwrap_or(value))),
        "response.created" | "response.in_progress" | "response.queued" => {
            if facts.reply.id.is_none()
                && let Some(response) = response
            {
                response_object(facts, response);
            }
        }
        "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
            facts.terminated = true;
            if let Some(response) = response {
                response_object(facts, response);
            }
            if kind == "response.failed" {
                facts.fail(None);
            }
        }
        "response.output_item.added" => facts.content |= item.is_some_and(is_call),
        _ if kind.starts_with("response.") => facts.content |= kind.rsplit('.').next() == Some("delta"),
        _ if object.and_then(Json::word) == Some("response") => response_object(facts, value),
        _ => {
            if let Some(error) = error.filter(|error| failure::is_error(*error)) {
                facts.fail(Some(error));
            }
        }
    }
    true
}

/// Whether an item of the output is a call: of a function, a custom tool, a server's own tool.
fn is_call(item: Json<'_>) -> bool {
    let kind = item.fields(["type"]).and_then(|[kind]| kind);
    kind.and_then(Json::word).is_some_and(|kind| kind.ends_with("_call"))
}

fn response_object(facts: &mut Facts, response: Json<'_>) {
    let names = ["id", "model", "status", "incomplete_details", "usage", "error", "output"];
    let Some([id, model, status, incomplete, tokens, error, output]) = response.fields(names) else {
        return;
    };
    facts.content |= output.is_some_and(Json::is_filled);
    facts.id(id);
    facts.model(model);
    if let Some(status) = status.filter(|status| matches!(status.word(), Some("completed" | "incomplete" | "failed" | "cancelled"))) {
        let reason = incomplete.and_then(|details| details.fields(["reason"])).and_then(|[reason]| reason);
        facts.choice(0, Some(reason.unwrap_or(status)));
    }
    if let Some(tokens) = tokens {
        usage(facts, tokens);
    }
    if let Some(error) = error.filter(|error| failure::is_error(*error)) {
        facts.fail(Some(error));
    }
}
