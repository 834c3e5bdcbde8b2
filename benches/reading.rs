//! What it costs to read a request: whole, where nothing of it is known, and its tail, where the conversation goes on.
//! `cargo bench --bench reading [-- FILTER]`. Bodies are those of agents: messages, calls of tools, pasted code, declared tools.

use std::{hint::black_box, io::Write as _, time::Duration};

use pillion::{
    agent::{Heads, Trail},
    wire::{Dialect, Request, Resume},
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long a case is run for.
const CASE: Duration = Duration::from_millis(700);
/// Runs that are timed together.
const BATCH: u32 = 8;

const PATH: &str = "/v1/chat/completions";

/// Lines of the code that is pasted.
const CODE: [&str; 7] = [
    "    for chunk in await client.responses(\"planner\", retries=3):\n",
    "        if not chunk.ok:\n            raise ToolError(f\"{chunk.name}: {chunk.reason!r}\")\n",
    "    total += sum(row['amount'] for row in rows if row.get('currency') == \"EUR\")\n",
    "def merge(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:\n",
    "    # The ledger is closed each night; what comes later counts for the next day.\n",
    "class Invoice(Base):\n    __tablename__ = \"invoices\"\n    id: Mapped[int] = mapped_column(primary_key=True)\n",
    "\tlog.info(\"settled %s of %s\", done, len(jobs), extra={\"step\": step})\n",
];

fn main() -> anyhow::Result<()> {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<28}{:>10}{:>12}{:>12}{:>14}{:>12}", "body", "bytes", "trail µs", "whole µs", "goes on µs", "same µs")?;
    for (dialect, name) in [(Dialect::OpenaiChat, "openai-chat"), (Dialect::AnthropicMessages, "anthropic-messages")] {
        for size in [1 << 10, 10 << 10, 100 << 10, 1 << 20] {
            let title = format!("{name} {} KB", size >> 10);
            if !title.contains(&filter) {
                continue;
            }
            let conversation = Conversation::new(dialect, size);
            let costs = conversation.costs();
            writeln!(out, "{title:<28}{:>10}{:>12.2}{:>12.2}{:>14.2}{:>12.2}", conversation.next.len(), costs[0], costs[1], costs[2], costs[3])?;
        }
    }
    Ok(())
}

/// A request, and the next one of the same conversation.
struct Conversation {
    dialect: Dialect,
    first: Vec<u8>,
    next: Vec<u8>,
}

impl Conversation {
    fn new(dialect: Dialect, size: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(u64::try_from(size).unwrap_or(0));
        let mut messages = vec![said(dialect, "user", "Settle the ledger of March, and say what is left open.")];
        let tools = if size < 5000 { 1 } else { size.min(100 << 10) / 10 / 420 };
        let mut turn = 0;
        loop {
            let body = body(dialect, &messages, tools);
            let more = turn_of(dialect, turn, &mut random, size.saturating_sub(body.len()).clamp(60, 4000));
            turn += 1;
            messages.extend(more);
            let next = self::body(dialect, &messages, tools);
            if next.len() + 400 >= size {
                return Self { dialect, first: body, next };
            }
        }
    }

    /// In µs: to hash it, to read it whole, to recognise it and read what is new, to recognise it as the same.
    fn costs(&self) -> [f64; 4] {
        let Self { dialect, first, next } = self;
        let mut heads = Heads::default();
        let keep = |heads: &mut Heads<()>, body: &[u8]| {
            let request = Request::read(*dialect, PATH, body, None);
            let all = request.prompt.as_ref().map_or(0, |prompt| prompt.messages.len());
            request.resume(all).and_then(|resume| heads.keep((&Trail::of(*dialect, body), body), resume, (), Instant::now()))
        };
        let now = Instant::now();
        let trail = time(|| Trail::of(*dialect, black_box(next)));
        let whole = time(|| Request::read(*dialect, PATH, black_box(next), None));
        let read = |heads: &mut Heads<()>, known: usize| {
            let trail = Trail::of(*dialect, next);
            let resume = heads.recall(&trail, next, now).map(|recalled| recalled.resume);
            assert!(resume.is_some_and(|Resume { messages, .. }| messages == known), "the conversation is not recognised");
        };
        let mut resumed = |body: &[u8]| {
            let known = Request::read(*dialect, PATH, body, None).prompt.map_or(0, |prompt| prompt.messages.len());
            keep(&mut heads, body);
            read(&mut heads, known);
            time(|| {
                let body = black_box(next);
                let trail = Trail::of(*dialect, body);
                let recalled = heads.recall(&trail, body, now);
                Request::read(*dialect, PATH, body, recalled.as_ref().map(|recalled| &recalled.resume))
            })
        };
        [trail, whole, resumed(first), resumed(next)]
    }
}

/// The best mean of many short rounds, in µs: a machine that does other things as well is quiet for a moment in some of them.
fn time<T>(mut each: impl FnMut() -> T) -> f64 {
    let begun = Instant::now();
    let mut best = f64::INFINITY;
    while begun.elapsed() < CASE {
        let round = Instant::now();
        for _ in 0..BATCH {
            drop(black_box(each()));
        }
        best = best.min(round.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH));
    }
    best
}

fn said(dialect: Dialect, role: &str, text: &str) -> Value {
    match dialect {
        Dialect::AnthropicMessages => json!({"role": role, "content": [{"type": "text", "text": text}]}),
        _ => json!({"role": role, "content": text}),
    }
}

/// One turn of work: a tool is called, and brings its result.
fn turn_of(dialect: Dialect, turn: usize, random: &mut fastrand::Rng, size: usize) -> Vec<Value> {
    let mut code = String::new();
    while code.len() < size {
        code += random.choice(CODE).unwrap_or("");
    }
    let id = format!("call_{turn:024}");
    let arguments = json!({"path": format!("src/ledger/part_{turn}.py"), "pattern": "def \"settle\"", "lines": [turn, turn + 80]});
    match dialect {
        Dialect::AnthropicMessages => vec![
            json!({"role": "assistant", "content": [
                {"type": "text", "text": "Let me look at the next part."},
                {"type": "tool_use", "id": id, "name": "read_file", "input": arguments}]}),
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": code}]}]}),
        ],
        _ => vec![
            json!({"role": "assistant", "content": "Let me look at the next part.", "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "read_file", "arguments": arguments.to_string()}}]}),
            json!({"role": "tool", "tool_call_id": id, "content": code}),
        ],
    }
}

fn body(dialect: Dialect, messages: &[Value], tools: usize) -> Vec<u8> {
    let schema = json!({"type": "object", "properties": {
        "path": {"type": "string", "description": "Where the file lies, from the root of the repository"},
        "pattern": {"type": "string", "description": "What to look for"},
        "lines": {"type": "array", "items": {"type": "integer"}, "description": "First and last line"}}, "required": ["path"]});
    let system = "You are the bookkeeper. Use tools; never guess an amount.";
    let is_anthropic = dialect == Dialect::AnthropicMessages;
    let tools: Vec<Value> = (0..tools)
        .map(|number| {
            let (name, description) = (format!("tool_{number}"), "Reads a part of a file.");
            if is_anthropic {
                return json!({"name": name, "description": description, "input_schema": schema});
            }
            json!({"type": "function", "function": {"name": name, "description": description, "parameters": schema}})
        })
        .collect();
    let tools = json!(tools);
    if is_anthropic {
        let messages = json!(messages);
        let text = format!(r#"{{"max_tokens":4096,"messages":{messages},"model":"claude-sonnet-4-5","system":"{system}","tools":{tools}}}"#);
        return text.into_bytes();
    }
    let mut all = vec![json!({"role": "system", "content": system})];
    all.extend_from_slice(messages);
    let messages = json!(all);
    format!(r#"{{"messages":{messages},"model":"gpt-4o-mini","stream":true,"temperature":0.2,"tools":{tools}}}"#).into_bytes()
}
