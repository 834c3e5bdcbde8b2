//! OpenAI's older completions: a text to go on from, whole and as chunks. Tools are not known here.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{CREATED, Speech, merged};
use crate::demo::{
    model::{
        answer::{Answer, Event, Request},
        ask::Ask,
        mind::{Ending, Said, seed, think},
        text::{filler, pieces},
    },
    script::Step,
};

/// The answer to a prompt.
pub(in crate::demo::model) fn answer(request: &Request<'_>, ask: &Ask) -> Answer {
    let said = think(request, ask, ("cmpl-", "call_"));
    let step = request.step;
    let reply = if ask.stream {
        Answer::stream("text/event-stream; charset=utf-8", events(&said, ask, step))
    } else {
        let text = said.big.as_ref().map(|big| filler(big.bytes)).or_else(|| said.text.clone()).unwrap_or_default();
        let choices: Vec<Value> = (0..ask.choices).map(|index| choice(index, &text, &finish(&said, step))).collect();
        let mut body = object(&said, ask, &Value::from(choices));
        if let Some(usage) = usage(&said, ask, step) {
            body["usage"] = usage;
        }
        Answer::json(200, &body)
    };
    let reply = reply.with("x-request-id", said.id.replace("cmpl-", "req_")).with("openai-version", "2020-10-01");
    reply.talking(Speech::Chunks, (ask.prompt_tokens, said.output_tokens), seed(request, ask))
}

fn object(said: &Said, ask: &Ask, choices: &Value) -> Value {
    json!({"id": said.id, "object": "text_completion", "created": CREATED, "model": ask.model, "choices": choices})
}

fn choice(index: u64, text: &str, finish: &Value) -> Value {
    json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish})
}

fn events(said: &Said, ask: &Ask, step: &Step) -> Vec<Event> {
    let chunk = |choices: Value, usage: Option<Value>, content: bool| {
        let mut chunk = object(said, ask, &choices);
        if ask.include_usage {
            chunk["usage"] = usage.unwrap_or_default();
        }
        Event::new(None, &chunk, content)
    };
    let mut events = Vec::new();
    for index in 0..ask.choices {
        let words = said.text.iter().flat_map(|text| pieces(text)).map(str::to_owned);
        let big = said.big.iter().flat_map(|big| std::iter::repeat_n(filler(big.bytes.div_ceil(big.events)), big.events));
        events.extend(words.chain(big).map(|text| chunk(json!([choice(index, &text, &Value::Null)]), None, true)));
        let finish = finish(said, step);
        if !finish.is_null() {
            events.push(chunk(json!([choice(index, "", &finish)]), None, false));
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

fn finish(said: &Said, step: &Step) -> Value {
    match (step.finish_reason.as_deref(), said.ending) {
        (Some("none"), _) => Value::Null,
        (Some(word), _) => json!(word),
        (None, Ending::Length) => json!("length"),
        (None, Ending::Done | Ending::Calls) => json!("stop"),
    }
}

fn usage(said: &Said, ask: &Ask, step: &Step) -> Option<Value> {
    let output = said.output_tokens * usize::try_from(ask.choices).unwrap_or(1);
    merged(json!({"prompt_tokens": ask.prompt_tokens, "completion_tokens": output, "total_tokens": ask.prompt_tokens + output}), step)
}
