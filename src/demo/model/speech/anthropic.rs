//! Anthropic's shapes: a message, whole and as events, and the count of its tokens. Input tokens are told at the start of a
//! stream, output tokens at its end, and a `ping` comes after the first block has begun.

use serde_json::{Value, json};

use super::{ARGUMENT_PIECES, Speech, arguments, merged, split};
use crate::demo::{
    model::{
        answer::{Answer, Event, Request},
        ask::Ask,
        mind::{Ending, Said, seed, think},
        strict::signature,
        text::{filler, pieces},
    },
    script::Step,
};

/// The answer to a message.
pub(in crate::demo::model) fn answer(request: &Request<'_>, ask: &Ask) -> Answer {
    let said = think(request, ask, ("msg_", "toolu_"));
    let blocks = blocks(&said);
    let message = message(&said, ask, &blocks, request.step);
    let reply = if ask.stream {
        Answer::stream("text/event-stream; charset=utf-8", events(&said, &message, &blocks, request.step))
    } else {
        Answer::json(200, &message)
    };
    let reply = reply.with("request-id", said.id.replace("msg_", "req_"));
    reply.talking(Speech::Anthropic, (ask.prompt_tokens, said.output_tokens), seed(request, ask))
}

/// How many tokens a message would have.
pub(in crate::demo::model) fn count(ask: &Ask) -> Answer {
    Answer::json(200, &json!({"input_tokens": ask.prompt_tokens}))
}

fn message(said: &Said, ask: &Ask, blocks: &[Value], step: &Step) -> Value {
    let usage = json!({
        "input_tokens": ask.prompt_tokens - said.cached_tokens, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": said.cached_tokens, "output_tokens": said.output_tokens, "service_tier": "standard",
    });
    let mut message = json!({
        "id": said.id, "type": "message", "role": "assistant", "model": ask.model, "content": blocks,
        "stop_reason": stop_reason(said, step), "stop_sequence": null,
    });
    if let Some(usage) = merged(usage, step) {
        message["usage"] = usage;
    }
    message
}

fn blocks(said: &Said) -> Vec<Value> {
    let thinking = said.thinking.iter().map(|text| json!({"type": "thinking", "thinking": text, "signature": signature(text)}));
    let text = said.big.as_ref().map(|big| filler(big.bytes)).or_else(|| said.text.clone());
    let text = text.into_iter().map(|text| json!({"type": "text", "text": text}));
    let calls = said.calls.iter().map(|call| json!({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments(&call.arguments)}));
    thinking.chain(text).chain(calls).collect()
}

fn stop_reason(said: &Said, step: &Step) -> Value {
    match step.finish_reason.as_deref() {
        Some("none") => Value::Null,
        Some(word) => json!(word),
        None => json!(match said.ending {
            Ending::Done => "end_turn",
            Ending::Calls => "tool_use",
            Ending::Length => "max_tokens",
        }),
    }
}

fn events(said: &Said, message: &Value, blocks: &[Value], step: &Step) -> Vec<Event> {
    let named = |name: &str, mut data: Value, content: bool| {
        data["type"] = json!(name);
        Event::new(Some(name), &data, content)
    };
    let mut opening = message.clone();
    opening["content"] = json!([]);
    opening["stop_reason"] = Value::Null;
    let told = opening.get_mut("usage").map(|usage| std::mem::replace(&mut usage["output_tokens"], json!(1)));
    let mut events = vec![named("message_start", json!({"message": opening}), false)];
    for (index, block) in blocks.iter().enumerate() {
        events.push(named("content_block_start", json!({"index": index, "content_block": begun(block)}), block["type"] == "tool_use"));
        if index == 0 {
            events.push(named("ping", json!({}), false));
        }
        let delta = |delta: &Value| named("content_block_delta", json!({"index": index, "delta": delta}), true);
        match (&said.big, block["type"].as_str()) {
            (Some(big), Some("text")) => {
                let event = delta(&json!({"type": "text_delta", "text": filler(big.bytes.div_ceil(big.events))}));
                events.extend(std::iter::repeat_n(event, big.events));
            }
            _ => events.extend(deltas(block, said).iter().map(delta)),
        }
        events.push(named("content_block_stop", json!({ "index": index }), false));
    }
    if message["stop_reason"] != Value::Null {
        let mut last = json!({"delta": {"stop_reason": message["stop_reason"], "stop_sequence": null}});
        if let Some(tokens) = told {
            last["usage"] = json!({"output_tokens": tokens});
        }
        events.push(named("message_delta", last, false));
    }
    if !step.no_done {
        events.push(named("message_stop", json!({}), false));
    }
    events
}

/// A block as it begins: with nothing in it.
fn begun(block: &Value) -> Value {
    let mut begun = block.clone();
    match block["type"].as_str() {
        Some("thinking") => {
            begun["thinking"] = json!("");
            begun["signature"] = json!("");
        }
        Some("tool_use") => begun["input"] = json!({}),
        _ => begun["text"] = json!(""),
    }
    begun
}

/// The pieces that a block comes in.
fn deltas(block: &Value, said: &Said) -> Vec<Value> {
    let text = |key: &str| block[key].as_str().unwrap_or_default();
    match block["type"].as_str() {
        Some("thinking") => {
            let thoughts = pieces(text("thinking")).into_iter().map(|piece| json!({"type": "thinking_delta", "thinking": piece}));
            thoughts.chain([json!({"type": "signature_delta", "signature": signature(text("thinking"))})]).collect()
        }
        Some("tool_use") => {
            let call = said.calls.iter().find(|call| call.id == text("id"));
            let input = call.map(|call| call.arguments.as_str()).unwrap_or_default();
            let pieces = std::iter::once(String::new()).chain(split(input, ARGUMENT_PIECES));
            pieces.map(|piece| json!({"type": "input_json_delta", "partial_json": piece})).collect()
        }
        _ => pieces(text("text")).into_iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect(),
    }
}
