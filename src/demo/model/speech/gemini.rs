//! Gemini's shapes: a reply of candidates, whole, one an event, or as the elements of one JSON array; and the count of tokens.
//! Every reply of a stream tells the usage so far, the last one all of it. Thoughts are not among the candidates' tokens.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Speech, arguments, merged};
use crate::demo::{
    model::{
        answer::{Answer, Event, Request},
        ask::Ask,
        mind::{Ending, Said, seed, think},
        text::{filler, pieces},
    },
    script::Step,
};

/// What stands for the signature of a thought: base64, as the SDKs expect, of no meaning.
const SIGNATURE: &str = "c2ltdWxhdGVk";

/// The answer to contents; `sse` is whether a stream is one of events.
pub(in crate::demo::model) fn answer(request: &Request<'_>, ask: &Ask, sse: bool) -> Answer {
    let said = think(request, ask, ("", "call_"));
    let step = request.step;
    let speech = if sse { Speech::Gemini } else { Speech::GeminiArray };
    let reply = if ask.stream {
        let replies = replies(&said, ask, step);
        if sse {
            Answer::stream("text/event-stream", replies.iter().map(|(reply, content)| event(reply, *content)).collect())
        } else {
            Answer::stream("application/json; charset=UTF-8", elements(&replies, step))
        }
    } else {
        Answer::json(200, &reply((&parts(&said), finish(&said, step)), (&said, ask), usage(&said, ask, step)))
    };
    reply.with("server-timing", "gfet4t7; dur=120").talking(speech, (ask.prompt_tokens, said.output_tokens), seed(request, ask))
}

/// How many tokens contents would have.
pub(in crate::demo::model) fn count(ask: &Ask) -> Answer {
    let details = json!([{"modality": "TEXT", "tokenCount": ask.prompt_tokens}]);
    Answer::json(200, &json!({"totalTokens": ask.prompt_tokens, "promptTokensDetails": details}))
}

/// A reply as an event, with the line ends that Google sends.
pub(in crate::demo::model) fn event(reply: &Value, content: bool) -> Event {
    Event { bytes: Bytes::from(format!("data: {reply}\r\n\r\n")), content }
}

/// A reply as an element of the array, with what stands before it.
pub(in crate::demo::model) fn element(reply: &Value, first: bool, content: bool) -> Event {
    Event { bytes: Bytes::from(format!("{}{reply}", if first { "[" } else { ",\r\n" })), content }
}

/// The end of the array.
pub(in crate::demo::model) fn end_of_array() -> Event {
    Event { bytes: Bytes::from_static(b"]\n"), content: false }
}

fn elements(replies: &[(Value, bool)], step: &Step) -> Vec<Event> {
    let elements = replies.iter().enumerate().map(|(index, (reply, content))| element(reply, index == 0, *content));
    elements.chain((!step.no_done).then(end_of_array)).collect()
}

fn replies(said: &Said, ask: &Ask, step: &Step) -> Vec<(Value, bool)> {
    let mut pieces = streamed(said);
    if pieces.is_empty() {
        pieces.push(json!({"text": ""}));
    }
    let last = pieces.len() - 1;
    let so_far = || merged(json!({"promptTokenCount": ask.prompt_tokens, "totalTokenCount": ask.prompt_tokens}), step);
    let reply = |(index, part): (usize, Value)| {
        let (finish, usage) = if index == last { (finish(said, step), usage(said, ask, step)) } else { (None, so_far()) };
        (reply((&[part], finish), (said, ask), usage), true)
    };
    pieces.into_iter().enumerate().map(reply).collect()
}

fn reply((parts, finish): (&[Value], Option<String>), (said, ask): (&Said, &Ask), usage: Option<Value>) -> Value {
    let candidate = |index: u64| {
        let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": index});
        if let Some(finish) = &finish {
            candidate["finishReason"] = json!(finish);
        }
        candidate
    };
    let candidates: Vec<Value> = (0..ask.choices).map(candidate).collect();
    let mut reply = json!({"candidates": candidates, "modelVersion": ask.model, "responseId": said.id});
    if let Some(usage) = usage {
        reply["usageMetadata"] = usage;
    }
    reply
}

fn parts(said: &Said) -> Vec<Value> {
    let thought = said.thinking.iter().map(|text| json!({"text": text, "thought": true}));
    let text = said.big.as_ref().map(|big| filler(big.bytes)).or_else(|| said.text.clone());
    thought.chain(text.map(|text| json!({"text": text}))).chain(calls(said)).collect()
}

fn streamed(said: &Said) -> Vec<Value> {
    let thoughts = said.thinking.iter().flat_map(|text| pieces(text)).map(|text| json!({"text": text, "thought": true}));
    let words = said.text.iter().flat_map(|text| pieces(text)).map(|text| json!({"text": text}));
    let big = said.big.iter().flat_map(|big| std::iter::repeat_n(json!({"text": filler(big.bytes.div_ceil(big.events))}), big.events));
    thoughts.chain(words).chain(big).chain(calls(said)).collect()
}

fn calls(said: &Said) -> impl Iterator<Item = Value> {
    said.calls.iter().enumerate().map(|(index, call)| {
        let mut part = json!({"functionCall": {"name": call.name, "args": arguments(&call.arguments)}});
        // The signature comes with the first of parallel calls.
        if index == 0 && said.thinking.is_some() {
            part["thoughtSignature"] = json!(SIGNATURE);
        }
        part
    })
}

fn finish(said: &Said, step: &Step) -> Option<String> {
    match (step.finish_reason.as_deref(), said.ending) {
        (Some("none"), _) => None,
        (Some(word), _) => Some(word.to_owned()),
        (None, Ending::Length) => Some("MAX_TOKENS".to_owned()),
        (None, Ending::Done | Ending::Calls) => Some("STOP".to_owned()),
    }
}

fn usage(said: &Said, ask: &Ask, step: &Step) -> Option<Value> {
    let output = (said.output_tokens - said.thinking_tokens) * usize::try_from(ask.choices).unwrap_or(1);
    let mut usage = json!({
        "promptTokenCount": ask.prompt_tokens, "candidatesTokenCount": output, "totalTokenCount": ask.prompt_tokens + output + said.thinking_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": ask.prompt_tokens}],
    });
    for (name, count) in [("cachedContentTokenCount", said.cached_tokens), ("thoughtsTokenCount", said.thinking_tokens)] {
        if count > 0 {
            usage[name] = json!(count);
        }
    }
    merged(usage, step)
}
