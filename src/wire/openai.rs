//! Reads the answers of OpenAI's APIs and of the many servers that speak them: Chat Completions, Completions and Embeddings here as one family
//! (their objects share all that matters), Responses apart. One value is an event of a stream or a whole body.

use super::{
    facts::{Facts, count},
    failure,
    json::Json,
    said::Said,
    skim::{NotJson, Skim},
};

/// What ends a stream of events.
pub(super) const TERMINATOR: &[u8] = b"[DONE]";

/// The slot of the one call that there was before `tool_calls`.
const FUNCTION_CALL: u64 = u64::MAX;

/// Reads a chunk, a completion or a list of embeddings. `false` if it is no JSON object.
pub(super) fn read(facts: &mut Facts, value: Json<'_>) -> bool {
    let names = ["id", "model", "choices", "usage", "error", "object", "service_tier", "system_fingerprint", "x_groq"];
    let Some([id, model, choices, tokens, error, object, tier, fingerprint, groq]) = value.fields(names) else {
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
    facts.service_tier(tier);
    facts.system_fingerprint(fingerprint);
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
    let [mut index, mut reason, mut message, mut text, mut tokens] = [None; 5];
    skim.object(|skim, key| {
        match key {
            b"index" => index = Json::next(skim)?,
            b"finish_reason" => reason = Json::next(skim)?,
            b"delta" | b"message" => message = Json::next(skim)?,
            b"text" => text = Json::next(skim)?,
            b"usage" => tokens = Json::next(skim)?,
            _ => skim.skip()?,
        }
        Ok(())
    })?;
    let index = index.and_then(Json::number).unwrap_or(position);
    facts.choice(index, reason);
    facts.content |= text.is_some_and(Json::is_text);
    if index == 0 {
        facts.said.text(text);
    }
    if let Some(message) = message {
        facts.content |= read_message(&mut facts.said, message, index == 0);
    }
    // Moonshot tells the usage within the choice that ends.
    if let Some(tokens) = tokens {
        usage(facts, tokens);
    }
    Ok(())
}

/// Reads a message or what is added to it. Whether it holds more than a role.
fn read_message(said: &mut Said, message: Json<'_>, is_first: bool) -> bool {
    let names = ["content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call", "reasoning_details", "audio"];
    let Some(parts) = message.fields(names) else { return false };
    let [content, reasoning_content, reasoning, _, calls, function_call, _, _] = parts;
    if is_first {
        read_content(said, content);
        said.reasoning(reasoning_content.or(reasoning));
        if let Some(calls) = calls {
            calls.items(|position, call| read_call(said, position, call));
        }
        if let Some([name, arguments]) = function_call.and_then(|call| call.fields(["name", "arguments"]))
            && let Some(telling) = said.call(FUNCTION_CALL, None, name)
        {
            telling.go_on(arguments);
        }
    }
    parts.into_iter().flatten().any(|part| part.is_text() || part.is_filled())
}

/// A text, or (Mistral) a list of parts, thinking among them.
fn read_content(said: &mut Said, content: Option<Json<'_>>) {
    let Some(content) = content else { return };
    if !content.is_array() {
        return said.text(Some(content));
    }
    content.items(|_, part| {
        let Some([text, thinking]) = part.fields(["text", "thinking"]) else { return };
        said.text(text);
        match thinking {
            Some(list) if list.is_array() => {
                list.items(|_, part| said.reasoning(part.fields(["text"]).and_then(|[text]| text)));
            }
            thinking => said.reasoning(thinking),
        }
    });
}

fn read_call(said: &mut Said, position: usize, call: Json<'_>) {
    let Some([index, id, function, custom]) = call.fields(["index", "id", "function", "custom"]) else { return };
    let Some(slot) = index.and_then(Json::number).or_else(|| u64::try_from(position).ok()) else { return };
    if let Some([name, input]) = custom.and_then(|custom| custom.fields(["name", "input"])) {
        if let Some(telling) = said.call(slot, id, name) {
            telling.free_text(input);
        }
        return;
    }
    let [name, arguments] = function.and_then(|function| function.fields(["name", "arguments"])).unwrap_or_default();
    if let Some(telling) = said.call(slot, id, name) {
        telling.go_on(arguments);
    }
}

/// Takes over the tokens of a `usage` object in the words of either API.
pub(super) fn usage(facts: &mut Facts, tokens: Json<'_>) {
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
        "cached_tokens",
        "reasoning_tokens",
    ];
    let Some([prompt, completion, total, prompt_details, completion_details, input, output, input_details, output_details, cache_hit, hit, thought]) =
        tokens.fields(names)
    else {
        return;
    };
    let details = prompt_details.or(input_details).and_then(|details| details.fields(["cached_tokens", "cache_write_tokens"]));
    let [cached, written] = details.unwrap_or_default();
    let details = completion_details.or(output_details).and_then(|details| details.fields(["reasoning_tokens"]));
    let [reasoning] = details.unwrap_or_default();
    // Perplexity tells it beside the others.
    let reasoning = reasoning.or(thought);
    let usage = facts.usage();
    count(&mut usage.input, prompt.or(input));
    count(&mut usage.output, completion.or(output));
    count(&mut usage.cache_read, cached.or(cache_hit).or(hit)); // DeepSeek's word, Moonshot's
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
