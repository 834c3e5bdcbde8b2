//! Conversations that grow, as agents write them: in each dialect, with users who ask, calls of tools with their results, and answers. What was written
//! once is sent again as it was, byte for byte, with what has come since behind it.

use std::ops::Range;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fastrand::Rng;
use pillion::wire::Dialect;
use serde_json::{Value, json};
use tiktoken::CoreBpe;

use crate::support::{Call, call};

/// The window that conversations are as long as they are for, in tokens: for another, all that is said in them is longer or shorter.
const WINDOW: u64 = 32_000;
/// What results of tools have, in tokens; and every so many times one is as large as this.
const SIZES: [u64; 10] = [50, 50, 60, 80, 100, 120, 200, 300, 700, 1500];
const LARGE_EVERY: usize = 100;
const LARGE: u64 = 6_000;
/// What frames a message, in tokens.
const FRAME: u64 = 4;

/// How a conversation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// A user asks, tools are called, the assistant answers; again and again.
    Turns,
    /// A user asks once, and tools are called ever after.
    Task,
    /// Users ask with a picture each.
    Pictures,
    /// Many who talk under their names, and an assistant now and then.
    Group,
}

/// What must stay together, for whoever drops the oldest.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// Where it begins in the list.
    pub(super) start: usize,
    pub(super) tokens: u64,
}

/// What is sent in one request: so much of the list, so many units of it.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) end: usize,
    pub(super) units: usize,
}

/// A conversation that is to be had.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) dialect: Dialect,
    pub(super) model: &'static str,
    pub(super) course: Course,
    /// Turns; of a task, rounds.
    pub(super) turns: usize,
}

/// A conversation.
pub(super) struct Talk {
    pub(super) dialect: Dialect,
    /// The body up to what the first says, the list from there on, and the body behind it.
    head: String,
    list: String,
    tail: &'static str,
    target: String,
    pub(super) units: Vec<Unit>,
    /// What is beside the list, in tokens.
    pub(super) beside: u64,
    pub(super) sent: Vec<Sent>,
}

impl Talk {
    /// As large as becomes a window. Each call asks for an answer of a sixteenth of it.
    pub(super) fn new(about: About, window: u64) -> Self {
        let About { dialect, model, course, turns } = about;
        let bpe = tiktoken::get_encoding("o200k_base").unwrap();
        let mut writer = Writer { dialect, window, bpe, random: Rng::with_seed(5), ids: 0, results: 0, tokens: 0 };
        let (head, target) = (writer.head(model), target(dialect, model));
        let mut talk = Self { dialect, head, list: String::new(), tail: "]}", target, units: Vec::new(), beside: 0, sent: Vec::new() };
        if matches!(dialect, Dialect::OpenaiChat | Dialect::Ollama) {
            let text = writer.prose(60);
            talk.head.push_str(&json!({"role": "system", "content": text}).to_string());
        }
        talk.beside = writer.told() + FRAME;
        for turn in 0..turns {
            talk.turn(&mut writer, course, turn);
        }
        talk
    }

    fn turn(&mut self, writer: &mut Writer, course: Course, turn: usize) {
        match course {
            Course::Group => {
                self.add(writer, |writer| vec![writer.speaker(turn)]);
                self.send();
                if turn % 5 == 4 {
                    self.add(writer, Writer::answer);
                }
            }
            Course::Pictures => {
                self.add(writer, |writer| vec![writer.shows()]);
                self.send();
                self.add(writer, Writer::answer);
            }
            Course::Turns | Course::Task => {
                if turn == 0 || course == Course::Turns {
                    self.add(writer, |writer| vec![writer.user()]);
                    self.send();
                }
                self.add(writer, Writer::round);
                self.send();
                if course == Course::Turns {
                    self.add(writer, Writer::answer);
                }
            }
        }
    }

    /// A unit more.
    fn add(&mut self, writer: &mut Writer, items: impl FnOnce(&mut Writer) -> Vec<Value>) {
        let items = items(writer);
        let start = self.list.len();
        for item in &items {
            if !(self.list.is_empty() && self.head.ends_with('[')) {
                self.list.push(',');
            }
            self.list.push_str(&item.to_string());
        }
        let frames = FRAME * u64::try_from(items.len()).unwrap();
        self.units.push(Unit { start, tokens: writer.told() + frames });
    }

    /// All that is there is sent.
    fn send(&mut self) {
        self.sent.push(Sent { end: self.list.len(), units: self.units.len() });
    }

    /// The request.
    pub(super) fn call(&self, sent: &Sent) -> Call {
        let body = [&self.head, &self.list[..sent.end], self.tail].concat();
        call("POST", &self.target).header("anthropic-version", "2023-06-01").header("content-type", "application/json").body(body)
    }

    /// What of a body is prompt: all in front of what closes the list.
    pub(super) fn prompt<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        assert!(body.starts_with(self.head.as_bytes()) && body.ends_with(self.tail.as_bytes()), "only the list is changed");
        &body[..body.len() - self.tail.len()]
    }

    /// The same of what the list has here.
    pub(super) fn listed(&self, range: Range<usize>) -> &[u8] {
        &self.list.as_bytes()[range]
    }

    pub(super) fn head_length(&self) -> usize {
        self.head.len()
    }

    /// The prompt's tokens by the model's reply.
    pub(super) fn tokens(&self, reply: &Value) -> u64 {
        let count = |pointer: &str| reply.pointer(pointer).and_then(Value::as_u64);
        match self.dialect {
            Dialect::OpenaiResponses => count("/usage/input_tokens"),
            Dialect::AnthropicMessages => count("/usage/input_tokens").zip(count("/usage/cache_read_input_tokens")).map(|(new, read)| new + read),
            Dialect::Gemini => count("/usageMetadata/promptTokenCount"),
            Dialect::Ollama => count("/prompt_eval_count"),
            _ => count("/usage/prompt_tokens"),
        }
        .unwrap_or_else(|| panic!("no usage in {reply}"))
    }
}

fn target(dialect: Dialect, model: &str) -> String {
    match dialect {
        Dialect::OpenaiResponses => "/v1/responses".to_owned(),
        Dialect::AnthropicMessages => "/v1/messages".to_owned(),
        Dialect::Gemini => format!("/v1beta/models/{model}:generateContent"),
        Dialect::Ollama => "/api/chat".to_owned(),
        _ => "/v1/chat/completions".to_owned(),
    }
}

/// Writes items, and counts what they say.
struct Writer {
    dialect: Dialect,
    window: u64,
    bpe: &'static CoreBpe,
    random: Rng,
    ids: usize,
    results: usize,
    tokens: u64,
}

impl Writer {
    /// The tokens since it was asked last.
    fn told(&mut self) -> u64 {
        std::mem::take(&mut self.tokens)
    }

    /// Of so many where the window is [`WINDOW`].
    fn scaled(&self, tokens: u64) -> usize {
        usize::try_from((tokens * self.window / WINDOW).max(2)).unwrap()
    }

    fn says(&mut self, text: String) -> String {
        self.tokens += u64::try_from(self.bpe.count(&text)).unwrap();
        text
    }

    /// All that stands before the list, which comes last so that bodies begin as prompts do.
    fn head(&mut self, model: &str) -> String {
        let system = self.prose(120);
        let schema = json!({"type": "object", "properties": {"path": {"type": "string", "description": "Where to look."}, "line": {"type": "integer"}}, "required": ["path"]});
        let tools: Vec<Value> = ["read_file", "search", "run_tests"]
            .into_iter()
            .map(|name| {
                let told = format!("Does what {name} says, and gives back what came of it.");
                match self.dialect {
                    Dialect::OpenaiResponses => json!({"type": "function", "name": name, "description": told, "parameters": schema}),
                    Dialect::AnthropicMessages => json!({"name": name, "description": told, "input_schema": schema}),
                    Dialect::Gemini => json!({"name": name, "description": told, "parameters": schema}),
                    _ => json!({"type": "function", "function": {"name": name, "description": told, "parameters": schema}}),
                }
            })
            .collect();
        self.says(json!(tools).to_string());
        let answer = self.window / 16;
        let settings = match self.dialect {
            Dialect::OpenaiResponses => json!({"model": model, "max_output_tokens": answer, "instructions": system, "tools": tools}),
            Dialect::AnthropicMessages => {
                let system = json!([{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]);
                json!({"model": model, "max_tokens": answer, "thinking": {"type": "enabled", "budget_tokens": answer / 2}, "system": system, "tools": tools})
            }
            Dialect::Gemini => {
                let (system, tools) = (json!({"parts": [{"text": system}]}), json!([{"functionDeclarations": tools}]));
                json!({"systemInstruction": system, "tools": tools, "generationConfig": {"maxOutputTokens": answer}})
            }
            Dialect::Ollama => json!({"model": model, "stream": false, "options": {"num_predict": answer}, "tools": tools}),
            _ => json!({"model": model, "max_tokens": answer, "tools": tools}),
        };
        let list = match self.dialect {
            Dialect::OpenaiResponses => "input",
            Dialect::Gemini => "contents",
            _ => "messages",
        };
        format!("{},\"{list}\":[", settings.to_string().strip_suffix('}').unwrap())
    }

    fn sentence(&mut self) -> String {
        let words = self.random.u64(10..60);
        self.prose(self.scaled(words))
    }

    fn user(&mut self) -> Value {
        let text = self.sentence();
        if self.dialect == Dialect::Gemini { json!({"role": "user", "parts": [{"text": text}]}) } else { json!({"role": "user", "content": text}) }
    }

    /// One of many.
    fn speaker(&mut self, turn: usize) -> Value {
        let words = self.random.u64(40..400);
        let words = self.scaled(words);
        let name = ["Ann", "Bob", "Eve", "Max"][(turn + self.random.usize(..3)) % 4];
        self.says(name.to_owned());
        json!({"role": "user", "name": name, "content": self.prose(words)})
    }

    /// A user's question with a picture of 1,024 by 1,024.
    fn shows(&mut self) -> Value {
        let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x04\0\0\0\x04\0\x08\x06\0\0\0".to_vec();
        picture.extend(std::iter::repeat_with(|| self.random.u8(..)).take(1500));
        let url = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(picture));
        let text = self.sentence();
        self.tokens += 765;
        json!({"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]})
    }

    /// One to three calls, and their results.
    fn round(&mut self) -> Vec<Value> {
        let number = [1, 1, 1, 1, 1, 2, 2, 3][self.random.usize(..8)];
        let calls: Vec<(usize, &str, Value)> = (0..number)
            .map(|_| {
                self.ids += 1;
                let name = ["read_file", "search", "run_tests"][self.random.usize(..3)];
                let arguments = json!({"path": format!("src/{}.rs", self.word()), "line": self.random.usize(1..900)});
                self.says(format!("{name} {arguments}"));
                (self.ids, name, arguments)
            })
            .collect();
        let mut items = self.calls(&calls);
        items.extend(self.results(&calls));
        items
    }

    fn calls(&mut self, calls: &[(usize, &str, Value)]) -> Vec<Value> {
        let first = calls[0].0;
        match self.dialect {
            Dialect::OpenaiResponses => {
                // Only the first is the very next of the reasoning.
                let id = |at: usize| if at == first { format!("fc_r{at}") } else { format!("fc_x{at}") };
                let reasoning = json!({"type": "reasoning", "id": format!("rs_{first}"), "summary": []});
                let call = |(at, name, arguments): &(usize, &str, Value)| json!({"type": "function_call", "id": id(*at), "call_id": format!("call_{at}"), "name": name, "arguments": arguments.to_string()});
                [reasoning].into_iter().chain(calls.iter().map(call)).collect()
            }
            Dialect::AnthropicMessages => {
                let thinking = json!({"type": "thinking", "thinking": self.prose(20), "signature": "EqQBCgIYAhIM"});
                let call =
                    |(at, name, input): &(usize, &str, Value)| json!({"type": "tool_use", "id": format!("toolu_{at}"), "name": name, "input": input});
                let blocks: Vec<Value> = [thinking].into_iter().chain(calls.iter().map(call)).collect();
                vec![json!({"role": "assistant", "content": blocks})]
            }
            Dialect::Gemini => {
                let parts: Vec<Value> = calls.iter().map(|(_, name, args)| json!({"functionCall": {"name": name, "args": args}})).collect();
                vec![json!({"role": "model", "parts": parts})]
            }
            Dialect::Ollama => {
                let calls: Vec<Value> =
                    calls.iter().map(|(_, name, arguments)| json!({"function": {"name": name, "arguments": arguments}})).collect();
                vec![json!({"role": "assistant", "content": "", "tool_calls": calls})]
            }
            _ => {
                let call = |(at, name, arguments): &(usize, &str, Value)| json!({"id": format!("call_{at}"), "type": "function", "function": {"name": name, "arguments": arguments.to_string()}});
                vec![json!({"role": "assistant", "content": null, "tool_calls": calls.iter().map(call).collect::<Vec<_>>()})]
            }
        }
    }

    fn results(&mut self, calls: &[(usize, &str, Value)]) -> Vec<Value> {
        let texts: Vec<(usize, &str, String)> = calls.iter().map(|(at, name, _)| (*at, *name, self.result())).collect();
        let texts = texts.into_iter();
        match self.dialect {
            Dialect::OpenaiResponses => {
                texts.map(|(at, _, text)| json!({"type": "function_call_output", "call_id": format!("call_{at}"), "output": text})).collect()
            }
            Dialect::AnthropicMessages => {
                let blocks: Vec<Value> =
                    texts.map(|(at, _, text)| json!({"type": "tool_result", "tool_use_id": format!("toolu_{at}"), "content": text})).collect();
                vec![json!({"role": "user", "content": blocks})]
            }
            Dialect::Gemini => {
                let parts: Vec<Value> =
                    texts.map(|(_, name, text)| json!({"functionResponse": {"name": name, "response": {"result": text}}})).collect();
                vec![json!({"role": "user", "parts": parts})]
            }
            Dialect::Ollama => texts.map(|(_, name, text)| json!({"role": "tool", "tool_name": name, "content": text})).collect(),
            _ => texts.map(|(at, _, text)| json!({"role": "tool", "tool_call_id": format!("call_{at}"), "content": text})).collect(),
        }
    }

    /// Mostly short, now and then large.
    fn result(&mut self) -> String {
        self.results += 1;
        let is_large = self.results.is_multiple_of(LARGE_EVERY);
        let size = SIZES[self.random.usize(..SIZES.len())];
        let size = if is_large { LARGE } else { self.random.u64(size * 3 / 4..=size) };
        let lines = self.lines(self.scaled(size));
        self.says(lines)
    }

    fn answer(&mut self) -> Vec<Value> {
        let text = self.sentence();
        self.ids += 1;
        let id = self.ids;
        match self.dialect {
            Dialect::OpenaiResponses => {
                let said = json!([{"type": "output_text", "text": text, "annotations": []}]);
                vec![
                    json!({"type": "reasoning", "id": format!("rs_{id}"), "summary": []}),
                    json!({"type": "message", "id": format!("msg_r{id}"), "role": "assistant", "status": "completed", "content": said}),
                ]
            }
            Dialect::AnthropicMessages => vec![json!({"role": "assistant", "content": [{"type": "text", "text": text}]})],
            Dialect::Gemini => vec![json!({"role": "model", "parts": [{"text": text}]})],
            _ => vec![json!({"role": "assistant", "content": text})],
        }
    }

    fn word(&mut self) -> &'static str {
        const WORDS: [&str; 40] = [
            "the", "window", "of", "a", "model", "is", "read", "and", "what", "was", "found", "there", "in", "file", "error", "returned", "by",
            "server", "which", "it", "after", "request", "config", "value", "not", "expected", "when", "tests", "run", "again", "with", "new",
            "cache", "old", "prompt", "agent", "tokens", "until", "step", "answer",
        ];
        WORDS[self.random.usize(..WORDS.len())]
    }

    fn prose(&mut self, words: usize) -> String {
        let words: Vec<&str> = (0..words).map(|_| self.word()).collect();
        let text = words.chunks(14).map(|sentence| sentence.join(" ")).collect::<Vec<_>>().join(".\n") + ".";
        self.says(text)
    }

    /// What programs print, of about so many tokens.
    fn lines(&mut self, tokens: usize) -> String {
        let mut lines = String::new();
        for number in 0..tokens.div_ceil(20) {
            let (one, other, third, at) = (self.word(), self.word(), self.word(), self.random.u32(..100_000));
            let is_so = self.random.bool();
            lines.extend([format!("{number:>4} src/{one}/{other}.rs:{at}: {third}(\"{one} {other}\") -> {is_so}\n")]);
        }
        lines
    }
}
