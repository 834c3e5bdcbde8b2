//! OpenAI's responses: the object whole, and the grammar of its events: created, in progress, each item added, filled and done, completed.
//! Usage stands in the last event. Every event is numbered.

use serde_json::{Value, json};

use super::{ARGUMENT_PIECES, CREATED, Speech, merged, split};
use crate::demo::{
    model::{
        answer::{Answer, Event, Request},
        ask::Ask,
        mind::{Call, Ending, Said, seed, think},
        strict::TIED,
        text::{filler, pieces},
    },
    script::Step,
};

/// The answer to a response that is to be created.
pub(in crate::demo::model) fn answer(request: &Request<'_>, ask: &Ask) -> Answer {
    let said = think(request, ask, ("resp_", "call_"));
    let items = items(&said);
    let asked = request.seen.json();
    let response = |status: Status| response(&status, (&said, ask, &asked), request.step);
    let end = status(&said, request.step, &items);
    let reply = if ask.stream {
        let events = Events::default().all(&said, &items, [response(Status::begun()), response(end)], request.step);
        Answer::stream("text/event-stream; charset=utf-8", events)
    } else {
        Answer::json(200, &response(end))
    };
    let reply = reply.with("x-request-id", said.id.replace("resp_", "req_")).with("openai-processing-ms", (said.output_tokens + 120).to_string());
    reply.with("openai-version", "2020-10-01").talking(Speech::Responses, (ask.prompt_tokens, said.output_tokens), seed(request, ask))
}

/// How far a response is.
struct Status {
    word: &'static str,
    /// Why it is not whole.
    incomplete: Value,
    output: Vec<Value>,
}

impl Status {
    fn begun() -> Self {
        Self { word: "in_progress", incomplete: Value::Null, output: Vec::new() }
    }
}

fn status(said: &Said, step: &Step, items: &[Value]) -> Status {
    let reason = match (step.finish_reason.as_deref(), said.ending) {
        (Some("length"), _) | (None, Ending::Length) => Some("max_output_tokens"),
        (Some("none" | "stop" | "completed") | None, _) => None,
        (Some(word), _) => Some(word),
    };
    let incomplete = reason.map_or(Value::Null, |reason| json!({ "reason": reason }));
    Status { word: if reason.is_some() { "incomplete" } else { "completed" }, incomplete, output: items.to_vec() }
}

fn response(status: &Status, (said, ask, asked): (&Said, &Ask, &Value), step: &Step) -> Value {
    let or = |name: &str, default: Value| asked.get(name).filter(|value| !value.is_null()).cloned().unwrap_or(default);
    let usage = if status.word == "in_progress" { None } else { merged(usage(said, ask), step) };
    let reasoning = json!({"effort": asked["reasoning"]["effort"], "summary": asked["reasoning"]["summary"]});
    let text = or("text", json!({"format": {"type": "text"}, "verbosity": "medium"}));
    let mut response = json!({
        "id": said.id, "object": "response", "created_at": CREATED, "status": status.word, "background": false, "error": null,
        "incomplete_details": status.incomplete, "instructions": asked["instructions"], "max_output_tokens": asked["max_output_tokens"],
        "max_tool_calls": null, "model": ask.model, "output": status.output, "parallel_tool_calls": ask.parallel,
        "previous_response_id": asked["previous_response_id"], "reasoning": reasoning, "service_tier": "default", "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)), "text": text, "tool_choice": or("tool_choice", json!("auto")),
        "tools": or("tools", json!([])), "top_logprobs": 0, "top_p": or("top_p", json!(1.0)), "truncation": or("truncation", json!("disabled")),
        "user": asked["user"], "metadata": or("metadata", json!({})),
    });
    response["usage"] = usage.unwrap_or_default();
    response
}

fn usage(said: &Said, ask: &Ask) -> Value {
    json!({
        "input_tokens": ask.prompt_tokens, "input_tokens_details": {"cached_tokens": said.cached_tokens},
        "output_tokens": said.output_tokens, "output_tokens_details": {"reasoning_tokens": said.thinking_tokens},
        "total_tokens": ask.prompt_tokens + said.output_tokens,
    })
}

/// Thoughts, words and calls, each an item with an id made of the answer's. That of what thoughts led to says so: it is not taken back without them.
fn items(said: &Said) -> Vec<Value> {
    let id = |prefix: &str, index: usize| format!("{prefix}{index}{}", said.id.trim_start_matches("resp_"));
    let (words_tie, call_tie) = match (&said.thinking, said.big.is_some() || said.text.is_some()) {
        (Some(_), true) => (TIED, "_"),
        (Some(_), false) => ("_", TIED),
        (None, _) => ("_", "_"),
    };
    let thought = said.thinking.iter().map(|text| {
        let summary = json!([{"type": "summary_text", "text": text}]);
        json!({"type": "reasoning", "id": id("rs_", 0), "summary": summary})
    });
    let text = said.big.as_ref().map(|big| filler(big.bytes)).or_else(|| said.text.clone());
    let words = text.map(|text| {
        let part = json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
        json!({"type": "message", "id": id(&format!("msg{words_tie}"), 0), "status": "completed", "role": "assistant", "content": [part]})
    });
    let call = |(index, call): (usize, &Call)| {
        let Call { id: call_id, name, arguments } = call;
        json!({
            "type": "function_call", "id": id(&format!("fc{}", if index == 0 { call_tie } else { "_" }), index), "status": "completed", "name": name, "call_id": call_id, "arguments": arguments,
        })
    };
    thought.chain(words).chain(said.calls.iter().enumerate().map(call)).collect()
}

/// The events so far; their number is the next one's.
#[derive(Default)]
struct Events(Vec<Event>);

impl Events {
    fn all(mut self, said: &Said, items: &[Value], [begun, ended]: [Value; 2], step: &Step) -> Vec<Event> {
        self.push("response.created", json!({"response": begun}));
        self.push("response.in_progress", json!({"response": begun}));
        for (index, item) in items.iter().enumerate() {
            let mut added = item.clone();
            let emptied = match item["type"].as_str() {
                Some("reasoning") => "summary",
                Some("message") => "content",
                _ => "arguments",
            };
            added[emptied] = if emptied == "arguments" { json!("") } else { json!([]) };
            if added.get("status").is_some() {
                added["status"] = json!("in_progress");
            }
            self.push("response.output_item.added", json!({"output_index": index, "item": added}));
            match emptied {
                "summary" => self.summary(index, item),
                "content" => self.content(index, item, said),
                _ => self.call(index, item),
            }
            self.push("response.output_item.done", json!({"output_index": index, "item": item}));
        }
        if !step.no_done && step.finish_reason.as_deref() != Some("none") {
            let name = if ended["status"] == "incomplete" { "response.incomplete" } else { "response.completed" };
            self.push(name, json!({"response": ended}));
        }
        self.0
    }

    fn summary(&mut self, index: usize, item: &Value) {
        let part = &item["summary"][0];
        let with = |name: &str, value: &Value| json!({"item_id": item["id"], "output_index": index, "summary_index": 0, name: value});
        self.push("response.reasoning_summary_part.added", with("part", &json!({"type": "summary_text", "text": ""})));
        for piece in pieces(part["text"].as_str().unwrap_or_default()) {
            self.push("response.reasoning_summary_text.delta", with("delta", &json!(piece)));
        }
        self.push("response.reasoning_summary_text.done", with("text", &part["text"]));
        self.push("response.reasoning_summary_part.done", with("part", part));
    }

    fn content(&mut self, index: usize, item: &Value, said: &Said) {
        let part = &item["content"][0];
        let with = |name: &str, value: &Value| json!({"item_id": item["id"], "output_index": index, "content_index": 0, name: value});
        let spoken = |name: &str, value: &Value| {
            let mut spoken = with(name, value);
            spoken["logprobs"] = json!([]);
            spoken
        };
        self.push("response.content_part.added", with("part", &json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []})));
        if let Some(big) = &said.big {
            let piece = filler(big.bytes.div_ceil(big.events));
            (0..big.events).for_each(|_| self.push("response.output_text.delta", spoken("delta", &json!(piece))));
        } else {
            for piece in pieces(part["text"].as_str().unwrap_or_default()) {
                self.push("response.output_text.delta", spoken("delta", &json!(piece)));
            }
        }
        self.push("response.output_text.done", spoken("text", &part["text"]));
        self.push("response.content_part.done", with("part", part));
    }

    fn call(&mut self, index: usize, item: &Value) {
        let with = |name: &str, value: &Value| json!({"item_id": item["id"], "output_index": index, name: value});
        for piece in split(item["arguments"].as_str().unwrap_or_default(), ARGUMENT_PIECES) {
            self.push("response.function_call_arguments.delta", with("delta", &json!(piece)));
        }
        let mut done = with("arguments", &item["arguments"]);
        done["name"] = item["name"].clone();
        self.push("response.function_call_arguments.done", done);
    }

    fn push(&mut self, name: &str, mut data: Value) {
        data["type"] = json!(name);
        data["sequence_number"] = json!(self.0.len());
        let content = name.rsplit('.').next() == Some("delta") || (name == "response.output_item.added" && data["item"]["type"] == "function_call");
        self.0.push(Event::new(Some(name), &data, content));
    }
}
