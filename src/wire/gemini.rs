//! Reads the answers of Gemini's API: an event of a stream and a whole body are the same object. Its output tokens leave out thoughts;
//! here they are added, so that `output` means the same in every dialect.

use super::{
    facts::{Facts, count},
    failure,
    json::Json,
};

/// Reads one object. `false` if it is no JSON object.
pub(super) fn read(facts: &mut Facts, value: Json<'_>) -> bool {
    let names = ["candidates", "usageMetadata", "modelVersion", "responseId", "error", "promptFeedback"];
    let Some([candidates, tokens, model, id, error, feedback]) = value.fields(names) else {
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
    true
}

fn candidate(facts: &mut Facts, position: usize, candidate: Json<'_>) {
    let Some([index, reason, content]) = candidate.fields(["index", "finishReason", "content"]) else {
        return;
    };
    let index = index.and_then(Json::number).or_else(|| u64::try_from(position).ok()).unwrap_or_default();
    facts.choice(index, reason);
    if facts.content {
        return;
    }
    if let Some(parts) = content.and_then(|content| content.fields(["parts"])).and_then(|[parts]| parts) {
        parts.items(|_, part| facts.content |= has_content(part));
    }
}

fn has_content(part: Json<'_>) -> bool {
    let names = ["text", "functionCall", "inlineData", "executableCode", "codeExecutionResult"];
    part.fields(names).is_some_and(|kinds| kinds.into_iter().flatten().any(|kind| kind.is_text() || kind.is_filled()))
}

fn usage(facts: &mut Facts, tokens: Json<'_>) {
    let names = ["promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount"];
    let Some([prompt, tool_use, candidates, thoughts, cached]) = tokens.fields(names) else {
        return;
    };
    let [tool_use, candidates_count, thoughts_count] = [tool_use, candidates, thoughts].map(|count| count.and_then(Json::tokens));
    let usage = facts.usage();
    if let Some(prompt) = prompt.and_then(Json::tokens) {
        usage.input = Some(prompt + tool_use.unwrap_or(0));
    }
    if candidates_count.or(thoughts_count).is_some() {
        usage.output = Some(candidates_count.unwrap_or(0) + thoughts_count.unwrap_or(0));
    }
    count(&mut usage.cache_read, cached);
    count(&mut usage.reasoning, thoughts);
}
