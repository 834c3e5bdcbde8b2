//! Reads the answers of Gemini's API: an event of a stream and a whole body are the same object. Its output tokens leave out thoughts;
//! here they are added, so that `output` means the same in every dialect.

use super::{
    facts::{Facts, count},
    failure,
    json::Json,
    said::Said,
};

/// Reads one object. `false` if it is no JSON object.
pub(super) fn read(facts: &mut Facts, value: Json<'_>) -> bool {
    let names = ["candidates", "usageMetadata", "modelVersion", "responseId", "error", "promptFeedback", "totalTokens"];
    let Some([candidates, tokens, model, id, error, feedback, total]) = value.fields(names) else {
        return false;
    };
    facts.id(id);
    facts.model(model);
    if let Some(error) = error.filter(|error| failure::is_error(*error)) {
        facts.fail(Some(error));
    }
    if let Some(candidates) = candidates {
        candidates.items(|position, item| candidate(facts, position, item));
    }
    // A prompt that was blocked has no candidates: the reason ends the answer.
    if let Some(reason) = feedback.and_then(|feedback| feedback.fields(["blockReason"])).and_then(|[reason]| reason) {
        facts.choice(0, Some(reason));
    }
    if let Some(tokens) = tokens {
        usage(facts, tokens);
    }
    count(&mut facts.reply.counted, total);
    true
}

fn candidate(facts: &mut Facts, position: usize, candidate: Json<'_>) {
    let Some([index, reason, content]) = candidate.fields(["index", "finishReason", "content"]) else {
        return;
    };
    let index = index.and_then(Json::number).or_else(|| u64::try_from(position).ok()).unwrap_or_default();
    facts.choice(index, reason);
    // Once there is content, other choices have nothing new to tell.
    if index > 0 && facts.content {
        return;
    }
    if let Some(parts) = content.and_then(|content| content.fields(["parts"])).and_then(|[parts]| parts) {
        parts.items(|_, part| facts.content |= read_part(&mut facts.said, part, index == 0));
    }
}

/// Reads a part; whether it is content.
fn read_part(said: &mut Said, part: Json<'_>, is_first: bool) -> bool {
    let names = ["text", "functionCall", "inlineData", "executableCode", "codeExecutionResult", "thought"];
    let Some([text, call, data, code, result, thought]) = part.fields(names) else {
        return false;
    };
    if is_first {
        if thought.is_some_and(Json::is_true) {
            said.reasoning(text);
        } else {
            said.text(text);
        }
        if let Some(call) = call {
            read_call(said, call);
        }
    }
    [text, call, data, code, result].into_iter().flatten().any(|kind| kind.is_text() || kind.is_filled())
}

fn read_call(said: &mut Said, call: Json<'_>) {
    let names = ["id", "name", "args", "partialArgs", "willContinue"];
    let Some([id, Some(name), arguments, partial, goes_on]) = call.fields(names) else {
        return;
    };
    let Some(telling) = said.next_call(id, Some(name)) else { return };
    if partial.is_some() || goes_on.is_some_and(Json::is_true) {
        // Told path by path, which is not put together here.
        telling.unreadable();
    } else {
        telling.whole(Some(arguments.unwrap_or(Json::new(b"{}"))));
    }
}

fn usage(facts: &mut Facts, tokens: Json<'_>) {
    let names = ["promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount"];
    let Some([prompt, tool_use, candidates, thoughts, cached]) = tokens.fields(names) else {
        return;
    };
    let Facts { reply, parts, .. } = facts;
    count(&mut parts.prompt, prompt);
    count(&mut parts.tool_use, tool_use);
    count(&mut parts.candidates, candidates);
    count(&mut reply.usage.cache_read, cached);
    count(&mut reply.usage.reasoning, thoughts);
    reply.usage.input = parts.prompt.map(|prompt| prompt + parts.tool_use.unwrap_or(0));
    let output = [parts.candidates, reply.usage.reasoning];
    reply.usage.output = output.iter().any(Option::is_some).then(|| output.into_iter().flatten().sum());
}
