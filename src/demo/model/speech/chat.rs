//! OpenAI's shapes: a chat completion, whole and as chunks. Usage in a stream comes as OpenAI sends it: only when asked for, in one
//! more chunk with no choices, and then as `null` in all the others.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{ARGUMENT_PIECES, CREATED, Speech, merged, split};
use crate::demo::{
    model::{
        answer::{Answer, Event, Request},
        ask::Ask,
        mind::{Ending, Said, seed, think},
        text::{filler, pieces},
    },
    script::Step,
};

/// The answer to a chat completion.
pub(in crate::demo::model) fn answer(request: &Request<'_>, ask: &Ask) -> Answer {
    let said = think(request, ask, ("chatcmpl-", "call_"));
    let reply = if ask.stream {
        Answer::stream("text/event-stream; charset=utf-8", events(&said, ask, request.step))
    } else {
        Answer::json(200, &whole(&said, ask, request.step))
    };
    let request_id = said.id.replace("chatcmpl-", "req_");
    let reply = reply
        .with("x-request-id", request_id)
        .with("openai-processing-ms", (said.output_tokens + 120).to_string())
        .with("openai-version", "2020-10-01");
    reply.talking(Speech::Chunks, (ask.prompt_tokens, said.output_tokens), seed(request, ask))
}

fn whole(said: &Said, ask: &Ask, step: &Step) -> Value {
    let text = said.big.as_ref().map(|big| filler(big.bytes)).or_else(|| said.text.clone());
    let mut message = json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
    if let Some(thinking) = &said.thinking {
        message["reasoning_content"] = json!(thinking);
    }
    if !said.calls.is_empty() {
        let calls =
            said.calls.iter().map(|call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}));
        message["tool_calls"] = calls.collect();
    }
    let finish = finish(said, step);
    let choices: Vec<Value> =
        (0..ask.choices).map(|index| json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish})).collect();
    let mut body = json!({
        "id": said.id, "object": "chat.completion", "created": CREATED, "model": ask.model, "choices": choices,
        "service_tier": "default", "system_fingerprint": "fp_simulated",
    });
    if let Some(usage) = usage(said, ask, step) {
        body["usage"] = usage;
    }
    body
}

fn events(said: &Said, ask: &Ask, step: &Step) -> Vec<Event> {
    let chunk = |choices: Value, usage: Option<Value>, content: bool| {
        let mut chunk = json!({
            "id": said.id, "object": "chat.completion.chunk", "created": CREATED, "model": ask.model, "choices": choices,
            "service_tier": "default", "system_fingerprint": "fp_simulated",
        });
        if ask.include_usage {
            chunk["usage"] = usage.unwrap_or_default();
        }
        Event::new(None, &chunk, content)
    };
    let choice = |index: u64, delta: &Value, finish: &Value| json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let mut events = Vec::new();
    for index in 0..ask.choices {
        let opening = json!({"role": "assistant", "content": if said.calls.is_empty() { json!("") } else { Value::Null }, "refusal": null});
        events.push(chunk(choice(index, &opening, &Value::Null), None, false));
        events.extend(deltas(said).iter().map(|delta| chunk(choice(index, delta, &Value::Null), None, true)));
        if let Some(big) = &said.big {
            let delta = json!({"content": filler(big.bytes.div_ceil(big.events))});
            let event = chunk(choice(index, &delta, &Value::Null), None, true);
            events.extend(std::iter::repeat_n(event, big.events));
        }
        let finish = finish(said, step);
        if !finish.is_null() {
            events.push(chunk(choice(index, &json!({}), &finish), None, false));
        }
    }
    if let Some(usage) = usage(said, ask, step).filter(|_| ask.include_usage) {
        events.push(chunk(json!([]), Some(usage), false));
    }
    if !step.no_done {
        events.push(Event { bytes: Bytes::from_static(b"data: [DONE]\n\n"), content: false });
    }
    events
}

/// Thoughts, words and tool calls, in the pieces that they come in.
fn deltas(said: &Said) -> Vec<Value> {
    let thoughts = said.thinking.iter().flat_map(|text| pieces(text)).map(|piece| json!({"reasoning_content": piece}));
    let words = said.text.iter().flat_map(|text| pieces(text)).map(|piece| json!({"content": piece}));
    let mut deltas: Vec<Value> = thoughts.chain(words).collect();
    for (index, call) in said.calls.iter().enumerate() {
        let opening = json!({"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}});
        deltas.push(json!({"tool_calls": [opening]}));
        let pieces = split(&call.arguments, ARGUMENT_PIECES);
        deltas.extend(pieces.into_iter().map(|piece| json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})));
    }
    deltas
}

fn finish(said: &Said, step: &Step) -> Value {
    match step.finish_reason.as_deref() {
        Some("none") => Value::Null,
        Some(word) => json!(word),
        None => json!(match said.ending {
            Ending::Done => "stop",
            Ending::Calls => "tool_calls",
            Ending::Length => "length",
        }),
    }
}

fn usage(said: &Said, ask: &Ask, step: &Step) -> Option<Value> {
    let choices = usize::try_from(ask.choices).unwrap_or(1);
    let output = said.output_tokens * choices;
    let usage = json!({
        "prompt_tokens": ask.prompt_tokens, "completion_tokens": output, "total_tokens": ask.prompt_tokens + output,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": said.thinking_tokens, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    });
    merged(usage, step)
}
