//! Ollama's shapes: chat and generate, whole and as lines of JSON, and the little that its clients ask for besides.
//! The counts and durations stand in the last line.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{CREATED_AT, Speech, arguments, merged};
use crate::demo::{
    model::{
        answer::{Answer, Event, Request},
        ask::Ask,
        mind::{Ending, Said, seed, think},
        text::{filler, pieces},
    },
    script::Step,
};

/// What reading a token of the prompt takes, in nanoseconds.
const PROMPT_TOKEN: usize = 500_000;
/// What a token of the answer takes, in nanoseconds.
const TOKEN: usize = 10_000_000;
/// What loading the model takes, in nanoseconds.
const LOAD: usize = 20_000_000;

/// The two ways to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::demo::model) enum Kind {
    Chat,
    Generate,
}

/// The answer to a chat or a prompt.
pub(in crate::demo::model) fn answer(request: &Request<'_>, ask: &Ask, kind: Kind) -> Answer {
    if ask.messages == 0 && !request.step.early_response {
        return loaded(ask, kind);
    }
    let said = think(request, ask, ("", "call_"));
    let lines = lines(&said);
    let last = last(&said, ask, request.step);
    let reply = if ask.stream {
        let line = |value: &Value, content: bool| Event { bytes: Bytes::from(format!("{value}\n")), content };
        let mut events: Vec<Event> = lines.iter().map(|part| line(&piece(ask, kind, part), true)).collect();
        if !request.step.no_done {
            let mut end = piece(ask, kind, &json!({"content": ""}));
            extend(&mut end, last);
            events.push(line(&end, false));
        }
        Answer::stream("application/x-ndjson", events)
    } else {
        let mut whole = piece(ask, kind, &message(&said));
        extend(&mut whole, last);
        Answer::json(200, &whole)
    };
    reply.talking(Speech::Ollama, (ask.prompt_tokens, said.output_tokens), seed(request, ask))
}

/// What a model says that was asked nothing: that it is there.
fn loaded(ask: &Ask, kind: Kind) -> Answer {
    let mut body = piece(ask, kind, &json!({"content": ""}));
    extend(&mut body, json!({"done": true, "done_reason": "load"}));
    Answer::json(200, &body)
}

fn message(said: &Said) -> Value {
    let text = said.big.as_ref().map(|big| filler(big.bytes)).or_else(|| said.text.clone());
    let mut message = json!({"content": text.unwrap_or_default()});
    if let Some(thinking) = &said.thinking {
        message["thinking"] = json!(thinking);
    }
    if !said.calls.is_empty() {
        message["tool_calls"] = calls(said);
    }
    message
}

fn calls(said: &Said) -> Value {
    said.calls.iter().map(|call| json!({"function": {"name": call.name, "arguments": arguments(&call.arguments)}})).collect()
}

/// What comes line by line: thoughts, words, and all tool calls in one.
fn lines(said: &Said) -> Vec<Value> {
    let thoughts = said.thinking.iter().flat_map(|text| pieces(text)).map(|text| json!({"content": "", "thinking": text}));
    let words = said.text.iter().flat_map(|text| pieces(text)).map(|text| json!({"content": text}));
    let mut lines: Vec<Value> = thoughts.chain(words).collect();
    if let Some(big) = &said.big {
        lines.extend(std::iter::repeat_n(json!({"content": filler(big.bytes.div_ceil(big.events))}), big.events));
    }
    if !said.calls.is_empty() {
        lines.push(json!({"content": "", "tool_calls": calls(said)}));
    }
    lines
}

/// A message, whole or a piece of one, as either way of asking has it.
fn piece(ask: &Ask, kind: Kind, message: &Value) -> Value {
    let mut piece = json!({"model": ask.model, "created_at": CREATED_AT, "done": false});
    let mut message = message.clone();
    match kind {
        Kind::Chat => {
            message["role"] = json!("assistant");
            piece["message"] = message;
        }
        Kind::Generate => {
            piece["response"] = message["content"].take();
            for extra in ["thinking", "tool_calls"] {
                if let Some(value) = message.get_mut(extra) {
                    piece[extra] = value.take();
                }
            }
        }
    }
    piece
}

/// What the last line says besides.
fn last(said: &Said, ask: &Ask, step: &Step) -> Value {
    let reason = match (step.finish_reason.as_deref(), said.ending) {
        (Some("none"), _) => None,
        (Some(word), _) => Some(word),
        (None, Ending::Length) => Some("length"),
        (None, Ending::Done | Ending::Calls) => Some("stop"),
    };
    let mut last = json!({"done": true});
    if let Some(reason) = reason {
        last["done_reason"] = json!(reason);
    }
    let (reading, writing) = (ask.prompt_tokens * PROMPT_TOKEN, said.output_tokens * TOKEN);
    let usage = json!({
        "total_duration": LOAD + reading + writing, "load_duration": LOAD, "prompt_eval_count": ask.prompt_tokens,
        "prompt_eval_duration": reading, "eval_count": said.output_tokens, "eval_duration": writing,
    });
    if let Some(usage) = merged(usage, step) {
        extend(&mut last, usage);
    }
    last
}

fn extend(value: &mut Value, more: Value) {
    if let (Some(map), Value::Object(more)) = (value.as_object_mut(), more) {
        map.extend(more);
    }
}
