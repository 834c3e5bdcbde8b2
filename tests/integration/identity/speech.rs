//! Streams of three dialects, with words of every width of UTF-8, and requests for them.

use fastrand::Rng;
use serde_json::{Value, json};

use super::draw::pick;

/// A whole stream.
#[derive(Debug)]
pub(super) struct Speech {
    pub path: &'static str,
    pub kind: &'static str,
    pub bytes: Vec<u8>,
    /// Cut anywhere up to here, it has not said that it is finished.
    pub unfinished: usize,
}

pub(super) fn draw(rng: &mut Rng) -> Speech {
    match rng.u8(..3) {
        0 => chat(rng),
        1 => messages(rng),
        _ => lines(rng),
    }
}

/// What an agent may ask.
pub(super) fn question(rng: &mut Rng) -> Vec<u8> {
    let text = words(rng).repeat(rng.usize(..2_000));
    json!({"model": "m-1", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": text}]}).to_string().into_bytes()
}

fn words(rng: &mut Rng) -> String {
    let words = ["hello ", "é", "你好", "🦀", "\n\n", "data: ", "\"", "[DONE]", "a"];
    (0..rng.usize(1..6)).map(|_| pick(rng, &words)).collect()
}

fn chat(rng: &mut Rng) -> Speech {
    let mut events = Events::new(rng);
    let chunk = |delta: Value, finish: Value| json!({"id": "c", "model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    events.say(rng, "", &chunk(json!({"role": "assistant", "content": ""}), Value::Null));
    for _ in 0..rng.usize(1..60) {
        let delta = json!({"content": words(rng)});
        events.say(rng, "", &chunk(delta, Value::Null));
    }
    events.say(rng, "", &chunk(json!({}), json!("stop")));
    let unfinished = events.last_brace();
    if rng.bool() {
        events.say(rng, "", &json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}));
    }
    events.bytes.extend_from_slice(format!("data: [DONE]{0}{0}", events.line_end).as_bytes());
    Speech { path: "/v1/chat/completions", kind: "text/event-stream", bytes: events.bytes, unfinished }
}

fn messages(rng: &mut Rng) -> Speech {
    let mut events = Events::new(rng);
    let message = json!({"id": "m", "role": "assistant", "model": "m-1", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}});
    events.say(rng, "message_start", &json!({"type": "message_start", "message": message}));
    events.say(rng, "content_block_start", &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}));
    for _ in 0..rng.usize(1..60) {
        let delta = json!({"type": "text_delta", "text": words(rng)});
        events.say(rng, "content_block_delta", &json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    }
    events.say(rng, "content_block_stop", &json!({"type": "content_block_stop", "index": 0}));
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}});
    events.say(rng, "message_delta", &end);
    let unfinished = events.last_brace();
    events.say(rng, "message_stop", &json!({"type": "message_stop"}));
    Speech { path: "/v1/messages", kind: "text/event-stream; charset=utf-8", bytes: events.bytes, unfinished }
}

fn lines(rng: &mut Rng) -> Speech {
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(1..60) {
        bytes.extend(json!({"model": "m-1", "message": {"role": "assistant", "content": words(rng)}, "done": false}).to_string().bytes());
        bytes.push(b'\n');
    }
    bytes.extend(json!({"model": "m-1", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop"}).to_string().bytes());
    let unfinished = bytes.len() - 1;
    bytes.push(b'\n');
    Speech { path: "/api/chat", kind: "application/x-ndjson", bytes, unfinished }
}

/// SSE with one kind of line end, and now and then a comment.
struct Events {
    bytes: Vec<u8>,
    line_end: &'static str,
}

impl Events {
    fn new(rng: &mut Rng) -> Self {
        Self { bytes: Vec::new(), line_end: pick(rng, &["\n", "\n", "\r\n"]) }
    }

    fn say(&mut self, rng: &mut Rng, name: &str, data: &Value) {
        let end = self.line_end;
        if rng.u8(..) < 20 {
            self.bytes.extend_from_slice(format!(": ping{end}{end}").as_bytes());
        }
        if !name.is_empty() {
            self.bytes.extend_from_slice(format!("event: {name}{end}").as_bytes());
        }
        self.bytes.extend_from_slice(format!("data: {data}{end}{end}").as_bytes());
    }

    fn last_brace(&self) -> usize {
        self.bytes.iter().rposition(|byte| *byte == b'}').unwrap()
    }
}
