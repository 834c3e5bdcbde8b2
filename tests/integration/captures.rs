//! What real clients sent and were answered is read as an independent reader reads it: calls, messages, tools and their results, replies, usage
//! and errors; and a reply says the same however its bytes are split.

use std::fmt::Write as _;

use pillion::{
    demo::model::refused,
    wire::{Call, CalledTool, Data, Message, OutputType, Prompt, Reading, Reply, Request, Role, Text, TextMark, ToolCall, ToolResult, Tools},
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::support::captures::{self, Exchanged};

/// Longest text that the expectation shows as it is, in characters.
const SHOWN_MAX: usize = 32;
/// Longest answer that is kept as it is, in bytes.
const SHORT_MAX: u64 = 256;

#[test]
fn every_request_of_a_real_client_says_what_an_independent_reader_reads() {
    let mut differences = Differences::default();
    for (name, capture, expected) in captures::all() {
        for (number, (sent, expected)) in capture.requests.iter().zip(&expected.requests).enumerate() {
            let request = Request::read(sent.dialect(), sent.path(), sent.body.as_bytes(), None);
            differences.compare(format_args!("{name}, request {number}"), &asked(sent.dialect().name(), &request), expected);
        }
    }
    differences.none_of(240);
}

#[test]
fn every_reply_to_a_real_client_says_what_an_independent_reader_reads_however_it_is_split() {
    let mut differences = Differences::default();
    let mut random = fastrand::Rng::with_seed(4);
    for (name, capture, expected) in captures::all() {
        for (number, (exchange, expected)) in capture.exchanges.iter().zip(&expected.exchanges).enumerate() {
            let dialect = capture.requests[exchange.request].dialect();
            let (Some(_), Some(expected)) = (exchange.status, &expected.reply) else {
                assert!(exchange.status.is_none() && expected.reply.is_none(), "{name}, exchange {number}: one has a reply and the other has none");
                continue;
            };
            let body = exchange.reply();
            let read =
                |pieces: &mut dyn Iterator<Item = &[u8]>| answered(exchange, exchange.reading(dialect).unwrap(), pieces, expected["text"].as_str());
            let whole = read(&mut std::iter::once(&body[..]));
            let at = format!("{name}, exchange {number}");
            differences.compare(format_args!("{at}"), &whole, expected);
            differences.compare(format_args!("{at}, byte by byte"), &read(&mut body.chunks(1)), &whole);
            for _ in 0..8 {
                let pieces = pieces(&body, &mut random);
                differences.compare(format_args!("{at}, in pieces"), &read(&mut pieces.into_iter()), &whole);
            }
        }
    }
    differences.none_of(5000);
}

#[test]
fn the_strict_model_refuses_no_request_of_a_real_client() {
    let refusals: Vec<String> = captures::all()
        .iter()
        .flat_map(|(name, capture, _)| capture.requests.iter().map(move |sent| (name, sent)))
        .filter_map(|(name, sent)| Some(format!("{name}: {}", refused(sent.dialect(), sent.body.as_bytes())?)))
        .collect();
    assert!(refusals.is_empty(), "{}", refusals.join("\n"));
}

/// What was compared, and what was not as it should be.
#[derive(Default)]
struct Differences {
    compared: usize,
    found: Vec<String>,
}

impl Differences {
    fn compare(&mut self, at: std::fmt::Arguments<'_>, got: &Value, expected: &Value) {
        self.compared += 1;
        if got != expected {
            self.found.push(format!("{at}\n  got      {got}\n  expected {expected}"));
        }
    }

    /// At least so many things were compared, and none differed.
    fn none_of(self, least: usize) {
        assert!(self.compared >= least, "only {} were compared", self.compared);
        assert!(self.found.is_empty(), "{} of {} differ:\n{}", self.found.len(), self.compared, self.found.join("\n"));
    }
}

fn pieces<'a>(body: &'a [u8], random: &mut fastrand::Rng) -> Vec<&'a [u8]> {
    let most = random.usize(1..=body.len().max(1));
    let (mut pieces, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.usize(0..=most).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// An object of what is there: what is absent, false or empty is left out.
fn known<const N: usize>(facts: [(&str, Value); N]) -> Value {
    let is_there = |value: &Value| !value.is_null() && *value != json!(false) && *value != json!([]);
    facts.into_iter().filter(|(_, value)| is_there(value)).map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
}

// Requests, in the expectation's words.

fn asked(dialect: &str, request: &Request<'_>) -> Value {
    let prompt = request.prompt.clone().unwrap_or_default();
    let Prompt { system, known: before, messages, tools, .. } = prompt;
    assert_eq!(before, 0, "a request that is read for the first time");
    let tools: Vec<_> = tools.into_iter().flat_map(Tools::declared).map(|tool| tool.name).collect();
    known([
        ("dialect", json!(dialect)),
        ("call", called(&request.call)),
        ("system", system.map_or(Value::Null, |system| text(&system.texts))),
        ("messages", messages.iter().map(message).collect()),
        ("tools", json!(tools)),
    ])
}

fn called(call: &Call) -> Value {
    known([
        ("model", json!(call.model)),
        ("stream", json!(call.stream)),
        ("max_tokens", json!(call.max_tokens)),
        ("temperature", json!(call.temperature)),
        ("top_p", json!(call.top_p)),
        ("top_k", json!(call.top_k)),
        ("frequency_penalty", json!(call.frequency_penalty)),
        ("presence_penalty", json!(call.presence_penalty)),
        ("seed", json!(call.seed)),
        ("stop_sequences", json!(call.stop_sequences)),
        ("choices", json!(call.choices)),
        ("output_type", call.output_type.map_or(Value::Null, |kind| json!(output_type(kind)))),
        ("service_tier", json!(call.service_tier)),
        ("include_usage", json!(call.include_usage)),
        ("continues", json!(call.continues)),
        ("prompt_messages", json!(call.prompt_messages)),
        ("prompt_characters", json!(call.prompt_characters)),
        ("tools_declared", json!(call.tools_declared)),
    ])
}

fn output_type(kind: OutputType) -> &'static str {
    match kind {
        OutputType::Text => "text",
        OutputType::Json => "json",
        OutputType::Image => "image",
        OutputType::Speech => "speech",
    }
}

fn message(message: &Message<'_>) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::Other => "other",
    };
    known([
        ("role", json!(role)),
        ("name", json!(message.name)),
        ("text", if message.texts.is_empty() { Value::Null } else { text(&message.texts) }),
        ("calls", message.calls.iter().map(tool_called).collect()),
        ("results", message.results.iter().map(tool_result).collect()),
    ])
}

fn tool_called(call: &CalledTool<'_>) -> Value {
    let arguments = call.arguments.map_or(Value::Null, |arguments| match arguments {
        Data::Quoted(text) => json!(text.decoded(usize::MAX)),
        Data::Plain(json) => serde_json::from_slice(json).unwrap(),
    });
    known([("id", json!(call.id)), ("name", json!(call.name)), ("arguments", arguments)])
}

fn tool_result(result: &ToolResult<'_>) -> Value {
    known([("id", json!(result.id)), ("name", json!(result.name)), ("is_error", json!(result.is_error)), ("text", text(&result.texts))])
}

/// A short text as it is, a long one by its length and hash.
fn text(texts: &[Text<'_>]) -> Value {
    let decoded: Vec<_> = texts.iter().map(|text| text.decoded(usize::MAX)).collect();
    let whole = decoded.concat();
    assert_eq!(pillion::wire::mark(texts.iter().copied()), TextMark::of(&whole), "{whole:?}");
    let length = whole.chars().count();
    if length <= SHOWN_MAX {
        return json!(whole);
    }
    let mut shown = format!("{length} ");
    for byte in &Sha256::digest(&whole)[..6] {
        let _ = write!(shown, "{byte:02x}");
    }
    json!(shown)
}

// Replies, in the expectation's words.

/// What is said of a reply whose bytes come in these pieces. Of a long text only what it is known by is said: it is shown if it is this one.
fn answered(exchange: &Exchanged, mut reading: Reading, pieces: &mut dyn Iterator<Item = &[u8]>, due: Option<&str>) -> Value {
    for piece in pieces {
        reading.feed(piece);
    }
    if exchange.is_ended() {
        reading.end();
    }
    let (progress, skipped) = (reading.progress(), reading.skipped());
    let reply = reading.into_reply();
    assert_eq!(progress.error, reply.error.is_some(), "what is said of an error: {reply:?}");
    let short = reply.short_text.clone().filter(|text| !text.is_empty());
    assert!(short.as_deref().is_none_or(|text| TextMark::of(text) == reply.text), "a text and what it is known by: {reply:?}");
    assert!(reply.text.length > SHORT_MAX || reply.text.is_empty() || short.is_some(), "a short text is kept: {reply:?}");
    let long = || due.filter(|due| TextMark::of(due) == reply.text).map_or_else(|| json!(format!("{:?}", reply.text)), |due| json!(due));
    let told = if reply.text.is_empty() { Value::Null } else { short.map_or_else(long, |text| json!(text)) };
    known([
        ("id", json!(reply.id)),
        ("model", json!(reply.model)),
        ("service_tier", json!(reply.service_tier)),
        ("system_fingerprint", json!(reply.system_fingerprint)),
        ("finish_reasons", json!(reply.finish_reasons)),
        ("usage", usage(&reply)),
        ("tool_calls", reply.tool_calls.iter().map(tool_call).collect()),
        ("text", told),
        ("error", error(&reply)),
        ("finished", json!(progress.finished)),
        ("skipped", json!(skipped.map(pillion::wire::Skipped::name))),
    ])
}

fn usage(reply: &Reply) -> Value {
    let usage = reply.usage;
    let counts = known([
        ("input", json!(usage.input)),
        ("output", json!(usage.output)),
        ("cache_read", json!(usage.cache_read)),
        ("cache_write", json!(usage.cache_write)),
        ("reasoning", json!(usage.reasoning)),
    ]);
    if counts == json!({}) { Value::Null } else { counts }
}

fn tool_call(call: &ToolCall) -> Value {
    let arguments = call.arguments.as_deref().unwrap();
    let arguments = serde_json::from_str::<Value>(arguments).map_or_else(|_| json!({ "text": arguments }), |value| json!({ "json": value }));
    known([("id", json!(call.id)), ("name", json!(call.name)), ("arguments", arguments)])
}

fn error(reply: &Reply) -> Value {
    let Some(error) = &reply.error else { return Value::Null };
    known([("kind", json!(error.kind)), ("code", json!(error.code)), ("status", json!(error.status))])
}
