//! What agents ask and models answer: chat requests of a given size with code, tool calls and their results; a reply; the events of a stream.

use std::{io::Write as _, net::SocketAddr};

use serde_json::{Value, json};

use crate::http::{ERRAND, Errand};

/// What is overwritten by a number of 16 hexadecimal digits, so that no two bodies are the same.
const PLACE: &[u8] = b"@@@@@@@@@@@@@@@@";
/// As a string.
const PLACE_TEXT: &str = "@@@@@@@@@@@@@@@@";

/// Lines of the code that is pasted.
const CODE: [&str; 8] = [
    "    for chunk in await client.responses(\"planner\", retries=3):\n",
    "        if not chunk.ok:\n            raise ToolError(f\"{chunk.name}: {chunk.reason!r}\")\n",
    "    total += sum(row['amount'] for row in rows if row.get('currency') == \"EUR\")\n",
    "def merge(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:\n",
    "    return {key: left.get(key, 0) + right.get(key, 0) for key in left | right}\n",
    "    # The ledger is closed each night; what comes later counts for the next day.\n",
    "class Invoice(Base):\n    __tablename__ = \"invoices\"\n    id: Mapped[int] = mapped_column(primary_key=True)\n",
    "\tlog.info(\"settled %s of %s\", done, len(jobs), extra={\"step\": step})\n",
];

/// One request as bytes, and where its number stands.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Asking {
    /// A chat request whose body has about `size` bytes.
    pub(crate) fn chat(host: SocketAddr, size: usize, seed: u64, errand: Errand) -> Self {
        let body = chat(size, seed, errand != Errand::Whole);
        let (length, errand) = (body.len(), errand.header());
        let mut bytes = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\nConnection: keep-alive\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nUser-Agent: AsyncOpenAI/Python 2.8.0\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.8.0\r\n\
             X-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.13.1\r\n\
             X-Stainless-Async: async:asyncio\r\nx-stainless-retry-count: 0\r\nx-stainless-read-timeout: 600\r\nAuthorization: Bearer sk-race\r\n\
             {ERRAND}: {errand}\r\nContent-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(&body);
        let mut asking = Self { places: memchr::memmem::find_iter(&bytes, PLACE).collect(), bytes };
        asking.number(seed);
        asking
    }

    /// Makes it one of its own.
    pub(crate) fn number(&mut self, number: u64) {
        for place in &self.places {
            // As long as the place it goes to.
            let _ = write!(&mut self.bytes[*place..], "{number:016x}");
        }
    }

    /// Head and body.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A conversation that goes on: each request is the one before and a turn more, as agents resend their history.
#[derive(Debug, Clone)]
pub(crate) struct Growing {
    first: Asking,
    bytes: Vec<u8>,
    turn: u32,
}

/// What stands behind the messages.
const BEHIND: &[u8] = b"],\"model\":";
/// Where the length of the body is told.
const LENGTH: &[u8] = b"Content-Length: ";

impl Growing {
    /// One whose requests have `from` bytes at first, and never more digits in their length than that.
    pub(crate) fn new(host: SocketAddr, from: usize, seed: u64) -> Self {
        let first = Asking::chat(host, from, seed, Errand::Whole);
        Self { bytes: Vec::new(), first, turn: 0 }
    }

    /// The next request. A conversation that would become too long ends, and one of its own begins.
    pub(crate) fn next(&mut self, number: u64) -> &[u8] {
        if self.bytes.is_empty() || !self.grow() {
            self.first.number(number);
            self.bytes.clone_from(&self.first.bytes);
            self.turn = 0;
        }
        &self.bytes
    }

    fn grow(&mut self) -> bool {
        self.turn += 1;
        let behind = memchr::memmem::rfind(&self.bytes, BEHIND).expect("the model stands behind the messages");
        let turn = work(1_000_000 + self.turn, CODE[0]).iter().fold(String::new(), |turn, message| format!("{turn},{message}"));
        let tail = self.bytes.split_off(behind);
        self.bytes.extend_from_slice(turn.as_bytes());
        self.bytes.extend_from_slice(&tail);
        let head = memchr::memmem::find(&self.bytes, b"\r\n\r\n").expect("a head ends") + 4;
        let length = (self.bytes.len() - head).to_string();
        let at = memchr::memmem::find(&self.bytes, LENGTH).expect("a length is told") + LENGTH.len();
        let fits = self.bytes[at + length.len()] == b'\r';
        if fits {
            self.bytes[at..at + length.len()].copy_from_slice(length.as_bytes());
        }
        fits
    }
}

fn chat(size: usize, seed: u64, stream: bool) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut messages =
        vec![json!({"role": "system", "content": format!("You are the bookkeeper (run {PLACE_TEXT}). Use tools; never guess an amount.")})];
    let mut written = 500;
    for turn in 0.. {
        if written + 300 >= size {
            break;
        }
        let code = code(&mut random, (size - written - 250).min(6000));
        written += code.len() + 450;
        messages.extend(work(turn, &code));
    }
    let pad = code(&mut random, size.saturating_sub(written + 60));
    messages.push(json!({"role": "user", "content": format!("Now settle {PLACE_TEXT}, and say what is left open.\n```python\n{pad}```")}));
    let parameters = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
    let tool = json!({"type": "function", "function": {"name": "read_file", "description": "Reads a file", "parameters": parameters}});
    let mut body = json!({"model": "gpt-4o-mini", "temperature": 0.2, "messages": messages, "tools": [tool]});
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    body.to_string().into_bytes()
}

/// A tool call and its result.
fn work(turn: u32, code: &str) -> [Value; 2] {
    let id = format!("call_{turn:08}");
    let call =
        json!({"id": id, "type": "function", "function": {"name": "read_file", "arguments": format!("{{\"path\":\"src/ledger/{turn}.py\"}}")}});
    [
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        json!({"role": "tool", "tool_call_id": id, "content": format!("# src/ledger/{turn}.py\n{code}")}),
    ]
}

fn code(random: &mut fastrand::Rng, length: usize) -> String {
    let mut code = String::new();
    while code.len() + 60 < length {
        code.push_str(CODE[random.usize(..CODE.len())]);
    }
    code
}

/// A whole reply of about 1 KB with usage, head and all.
pub(crate) fn reply() -> Vec<u8> {
    let text =
        "The invoices of October are settled but for two: no. 4711 (EUR 310.00) waits for its credit note, and no. 4720 was paid twice. ".repeat(5);
    let message = json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
    let usage = json!({"prompt_tokens": 812, "completion_tokens": 144, "total_tokens": 956, "prompt_tokens_details": {"cached_tokens": 512}});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
    let id = "chatcmpl-race";
    let body = json!({"id": id, "object": "chat.completion", "created": 1_760_000_000, "model": "gpt-4o-mini", "choices": [choice], "usage": usage})
        .to_string();
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_race\r\nopenai-processing-ms: 12\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The head of a stream.
pub(crate) const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n\
    x-request-id: req_race\r\ntransfer-encoding: chunked\r\n\r\n";

/// An event with text: when it was sent and which it is are written into it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    bytes: Vec<u8>,
    places: [usize; 2],
}

impl Event {
    /// One that is written anew for each event.
    pub(crate) fn new() -> Self {
        let bytes = chunk(&json!({"index": 0, "delta": {"content": format!(" {PLACE_TEXT} {PLACE_TEXT}")}, "finish_reason": null}), &Value::Null);
        let first = memchr::memmem::find(&bytes, PLACE).expect("the place is in the event");
        Self { places: [first, first + PLACE.len() + 1], bytes }
    }

    /// The bytes of event `number`, sent at `time`.
    pub(crate) fn stamp(&mut self, time: u64, number: u64) -> &[u8] {
        for (place, value) in self.places.iter().zip([time, number]) {
            // As long as the place it goes to.
            let _ = write!(&mut self.bytes[*place..], "{value:016x}");
        }
        &self.bytes
    }
}

/// What [`Event::stamp`] has written, if this is an event with text.
pub(crate) fn read_stamp(event: &[u8]) -> Option<(u64, u64)> {
    const MARK: &[u8] = b"\"content\":\" ";
    let from = memchr::memmem::find(event, MARK)? + MARK.len();
    let number = |at: usize| u64::from_str_radix(std::str::from_utf8(event.get(at..at + PLACE.len())?).ok()?, 16).ok();
    Some((number(from)?, number(from + PLACE.len() + 1)?))
}

/// The first event, with the role alone.
pub(crate) fn first_event() -> Vec<u8> {
    chunk(&json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}), &Value::Null)
}

/// The finish, the usage, the terminator and the end of the body.
pub(crate) fn last_events() -> Vec<u8> {
    let mut bytes = chunk(&json!({"index": 0, "delta": {}, "finish_reason": "stop"}), &Value::Null);
    bytes.extend_from_slice(&chunk(&Value::Null, &json!({"prompt_tokens": 812, "completion_tokens": 80, "total_tokens": 892})));
    bytes.extend_from_slice(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    bytes
}

fn chunk(choice: &Value, usage: &Value) -> Vec<u8> {
    let choices = if choice.is_null() { json!([]) } else { json!([choice]) };
    let id = "chatcmpl-race";
    let body =
        json!({"id": id, "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "gpt-4o-mini", "choices": choices, "usage": usage});
    let event = format!("data: {body}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}
