//! The fault script: what the simulated model does with the requests that reach it, in YAML or JSON.
//!
//! It is given to `pillion simulate --script FILE`, to [`super::model::Model::script`], or by `POST /__simulate/script` while the
//! model runs. Without a script every request is answered well. A script is an ordered list of `steps`, each consumed by one
//! request, and of `rules`, which stay and are asked first. A list alone is a list of steps.
//!
//! ```yaml
//! steps:
//!   - status: 500                          # the first request: the dialect's own error shape
//!   - status: 429                          # the next two
//!     times: 2
//!     headers: {retry-after-ms: 200}
//!   - stall: {at: first_token, for: 30s}   # then a head and a role, and no token
//!   - text: Hello.                         # then an answer in these words
//! rules:
//!   - when: {model: sim-flaky, every: 3}   # every third request for that model, for as long as it runs
//!     cut: {at: mid, after: 4, how: rst}
//! ```
//!
//! # What holds for all requests
//!
//! Beside `steps` and `rules` stand
//!
//! | key | means |
//! |---|---|
//! | `rate_limit: {requests: 10, tokens: 10000, per: 1m}` | what there is in that time (1m), filling evenly: real headers on every answer, and past it a 429 in the provider's own words |
//! | `tls: {certificate: expired, alpn: [http/1.1]}` | of a model that serves TLS: `expired`, `wrong_name`, `self_signed` or `sound` (the default); what is offered (`h2`, `http/1.1`: both) |
//! | `http2: {max_concurrent_streams: 1, ignore_pings: true, no_window_updates: true}` | how connections of HTTP/2 are served: by ALPN, or by prior knowledge on the same port |
//! | `context`, `tokens`, `overflow_words`, `context_status`, `context_event`, `encode` | as in a step, for every step that does not say otherwise |
//!
//! # Which request
//!
//! | key | means |
//! |---|---|
//! | `times: N` | how many requests the step (1) or rule (`always`) is for; `-1` is `always` |
//! | `when: {path, model, header, body, every}` | rules only, and all of it must hold: substrings of the target, the model and the body; `header: x-a` or `header: "x-a: part"`; of the requests that match, every Nth |
//!
//! The first rule that matches wins; if none does the next step is consumed; if none is left the answer is a good one.
//! A fault `at: connect` strikes before there is a request to match, so it is a step's, and takes the next connection.
//!
//! # What is answered
//!
//! | key | means |
//! |---|---|
//! | `status: 429`, `reason: Slow down` | the status, and its phrase; from 400 on an error in the dialect's own shape |
//! | `headers: {Retry-After: 2}` or `["Set-Cookie: a=1", "Set-Cookie: b=2"]` | headers to add, or to replace a usual one; names keep their case, the list also keeps order and repeats |
//! | `body: text` or a tree | the body instead of the dialect's: a string as it is, anything else as JSON |
//! | `text`, `thinking` | what the model says and thinks |
//! | `tools: [{name: get_weather, arguments: {city: Rome}, id: call_1}]` | the tools it calls; a string in `arguments` is sent as it is, well formed or not |
//! | `usage: {prompt_tokens: 7}` | merged into the usage; `usage: none` leaves it out |
//! | `finish_reason: length` | instead of the usual one; `none` leaves it out |
//! | `no_done: true` | a stream without `[DONE]` or `message_stop` |
//! | `context: 8192` | the model's window in tokens: a longer prompt is refused in the provider's own words (Ollama, which never refuses, reads the end of it) |
//! | `tokens: o200k`, `cl100k`, `characters` | how prompts are counted, for the window and in the usage: by a public tokenizer, or four characters a token (the default) |
//! | `overflow_words: vllm`, `sglang`, `llama_cpp`, `lm_studio`, `mistral`, `tgi`, `xai`, `openai` | in whose words and shape a prompt beyond `context` is refused in OpenAI's dialect, and by whose rule |
//! | `context_status: 500` | with which status, instead of theirs |
//! | `context_event: true` | to a request for a stream, as its first event and not with a status |
//! | `big: {bytes: 10000000, events: 100}` | that much text, in that many events if it is streamed |
//!
//! # How it is sent
//!
//! | key | means |
//! |---|---|
//! | `encode: gzip`, `br`, `zstd`, `accepted` | encoded so whatever the request says, or with gzip if it accepts that; a stream is flushed after every event |
//! | `slow: {first_token: 2s, tokens_per_second: 5, byte_by_byte: 1ms}` | another pace; every byte of the reply in a write of its own |
//! | `chunked: true`, `false`, `close` | in chunks; with a `content-length`; as HTTP/1.0 would, up to the end of the connection |
//! | `close_after: true` | the connection is closed after the answer, which did not say so: a pooled connection goes stale |
//! | `early_response: true` | answers when it has the head of the request, and does not wait for its body |
//! | `before: "HTTP/1.1 103 Early Hints\r\n\r\n"` | bytes in front of the status line |
//!
//! # What goes wrong
//!
//! | key | means |
//! |---|---|
//! | `stall: {at, for, after, heartbeat}` | falls silent `for: 30s` or `forever` (the default) and then goes on. `at: connect` accepts and never reads; `handshake` waits for the first bytes and never answers; `head` reads and sends nothing; `first_token` sends all that comes before the first content; `mid` sends `after` events (2; of a whole reply half the body). `heartbeat: 200ms` sends SSE comments meanwhile |
//! | `cut: {at, after, bytes, how}` | `at: connect` takes no request, `handshake` ends when the first bytes have come, `request` sends no byte of an answer, `head` half a head, `mid` ends after `after` events (2) or so many `bytes` of the body. `how: fin` (the default), `rst`, at `mid` `clean`: the framing says that this was all, or `stream` with a `code: INTERNAL_ERROR`: the stream of HTTP/2 alone is reset |
//! | `goaway: graceful`, `this`, `below`, or `{last: below, code: ENHANCE_YOUR_CALM}` | HTTP/2's goodbye when the request has come: after all that are open, after this one, or before it, which is then not answered |
//! | `error_event: {type, message, code, after}` | an error in the stream after that many events (0), in the dialect's own shape, and then its end |
//! | `garbage: "\x16\x03\x01"` | these bytes and then the end, instead of an answer; any reply can be written here by hand |
//! | `bad_chunk: "0x10"` or `{line: zz, after: 3}` | a line that is no chunk size after that many events (2), and then the end |
//!
//! One step may say several of these: a `status` that is `slow`, a `stall` that ends in a `cut`. At `mid` a whole reply has one
//! place only, its middle. `error_event` is for streams, and leaves whole replies as they are.
//!
//! `garbage`, `before`, `reason`, `chunked` and `bad_chunk` are HTTP/1.1's; in HTTP/2 `garbage` is the end of the connection.
//!
//! In `garbage`, `before`, `reason` and header values a character up to U+00FF is sent as that one byte.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

mod play;
mod read;
mod values;
mod yaml;

pub(in crate::demo) use play::{Arrival, Playing};
pub use read::ScriptError;
pub use values::{Big, Chunked, Headers, OverflowWords, Times, Tokens, Usage, Wait};

/// What the model does with the requests to come; the module's page describes the format.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    /// Consumed in order, by the requests that no rule takes.
    pub steps: Vec<Step>,
    /// Asked first, in order; they stay.
    pub rules: Vec<Rule>,
    /// What holds for all requests.
    pub standing: Standing,
}

/// What holds for all requests, under whatever their steps say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Standing {
    /// How many requests and tokens there are.
    pub rate_limit: Option<RateLimit>,
    /// The window of every model, in tokens.
    pub context: Option<usize>,
    /// How prompts are counted.
    pub tokens: Option<Tokens>,
    /// In whose words a prompt beyond the window is refused.
    pub overflow_words: Option<OverflowWords>,
    /// With which status.
    #[serde(deserialize_with = "values::error_status")]
    pub context_status: Option<u16>,
    /// As the first event of a stream.
    pub context_event: Option<bool>,
    /// How bodies are encoded.
    pub encode: Option<Encode>,
    /// How TLS is served, by a model that serves it.
    pub tls: ServedTls,
    /// How HTTP/2 is served.
    pub http2: Http2,
}

/// How TLS is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServedTls {
    /// With which certificate.
    pub certificate: Certificate,
    /// The protocols that are offered, the best first; both if not said.
    pub alpn: Option<Vec<Alpn>>,
}

/// What is right or wrong with a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// Nothing is wrong.
    #[default]
    Sound,
    /// It ended years ago.
    Expired,
    /// It is somebody else's.
    WrongName,
    /// Nobody signed it.
    SelfSigned,
}

/// A protocol that TLS can agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Alpn {
    /// HTTP/2.
    #[serde(rename = "h2")]
    Http2,
    /// HTTP/1.1.
    #[serde(rename = "http/1.1")]
    Http1,
}

/// How HTTP/2 is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http2 {
    /// The most streams at once on a connection.
    pub max_concurrent_streams: Option<NonZeroU32>,
    /// Pings are not answered.
    pub ignore_pings: bool,
    /// What was uploaded is never made room for: 64 KiB and no more.
    pub no_window_updates: bool,
}

/// A goodbye of HTTP/2, sent when the request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goaway {
    /// Which streams are still answered.
    pub last: LastStream,
    /// Why.
    pub code: Code,
}

/// The last stream that a goodbye lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastStream {
    /// All that are there: first a warning, then the end once they are answered.
    Graceful,
    /// That of this request.
    This,
    /// The one below: this request was not looked at.
    Below,
}

/// An error code of HTTP/2 (RFC 9113 section 7), by its name or number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u32);

/// A limit that counts: full at first, and filling evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests in that time.
    #[serde(default)]
    pub requests: Option<NonZeroU32>,
    /// Tokens of prompts and answers in that time.
    #[serde(default)]
    pub tokens: Option<NonZeroU32>,
    /// The time.
    #[serde(default = "values::minute", deserialize_with = "values::period")]
    pub per: Duration,
}

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encode {
    /// With gzip, whatever the request says.
    Gzip,
    /// With brotli, likewise.
    Br,
    /// With zstd, likewise.
    Zstd,
    /// With gzip if the request accepts it.
    Accepted,
}

/// A script that shows every kind of key, with comments: what `pillion simulate --example` prints.
pub const EXAMPLE: &str = include_str!("example.yaml");

impl Script {
    /// Reads a script; JSON if it begins with a brace or bracket, else YAML. All faults of the script are told at once.
    pub fn read(text: &str) -> Result<Self, ScriptError> {
        read::script(text)
    }

    /// A script of one step after the other, for tests.
    pub fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), ..Self::default() }
    }
}

/// A step for every request that it matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The requests it is for.
    pub when: When,
    /// What happens to them.
    pub step: Step,
}

/// What must hold of a request for a rule to take it. What is not said always holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// A part of the target.
    pub path: Option<String>,
    /// A part of the name of the model asked for.
    pub model: Option<String>,
    /// A header's name, or `name: part of its value`.
    pub header: Option<String>,
    /// A part of the body.
    pub body: Option<String>,
    /// Of the requests for which all else holds, every Nth.
    pub every: Option<NonZeroU64>,
}

/// What happens to one request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// How many requests it is for.
    pub times: Option<Times>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The status line's phrase.
    pub reason: Option<String>,
    /// Headers to add or replace.
    pub headers: Headers,
    /// The body instead of the dialect's own.
    pub body: Option<Value>,
    /// What the model says.
    pub text: Option<String>,
    /// What the model thinks first.
    pub thinking: Option<String>,
    /// The tools that it calls.
    pub tools: Vec<ScriptedCall>,
    /// Merged into the usage, or leaves it out.
    pub usage: Option<Usage>,
    /// The finish reason; `none` leaves it out.
    pub finish_reason: Option<String>,
    /// No terminator at the end of a stream.
    pub no_done: bool,
    /// The window of the model, in tokens.
    pub context: Option<usize>,
    /// How prompts are counted; four characters a token if not said.
    pub tokens: Option<Tokens>,
    /// In whose words a prompt beyond the window is refused; the provider's if not said.
    pub overflow_words: Option<OverflowWords>,
    /// With which status; theirs if not said.
    #[serde(deserialize_with = "values::error_status")]
    pub context_status: Option<u16>,
    /// As the first event of a stream, where one was asked for.
    pub context_event: Option<bool>,
    /// How the body is encoded.
    pub encode: Option<Encode>,
    /// How much text.
    pub big: Option<Big>,
    /// Another pace.
    pub slow: Option<Slow>,
    /// Another framing.
    pub chunked: Option<Chunked>,
    /// A close that was not announced.
    pub close_after: bool,
    /// No waiting for the request's body.
    pub early_response: bool,
    /// Bytes in front of the status line.
    pub before: Option<String>,
    /// Silence.
    pub stall: Option<Stall>,
    /// An early end.
    pub cut: Option<Cut>,
    /// A goodbye of HTTP/2.
    pub goaway: Option<Goaway>,
    /// An error in the stream.
    pub error_event: Option<ErrorEvent>,
    /// Bytes instead of an answer.
    pub garbage: Option<String>,
    /// A line that is no chunk size.
    pub bad_chunk: Option<BadChunk>,
}

impl Step {
    /// What strikes before there is a request, if anything does.
    pub fn at_connect(&self) -> bool {
        self.stall.as_ref().is_some_and(|stall| matches!(stall.at, StallAt::Connect | StallAt::Handshake))
            || self.cut.as_ref().is_some_and(|cut| matches!(cut.at, CutAt::Connect | CutAt::Handshake))
    }
}

/// A tool that the model is told to call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedCall {
    /// The tool.
    pub name: String,
    /// Its arguments; a string is sent as it is.
    #[serde(default)]
    pub arguments: Value,
    /// The call's id, else one is made up.
    #[serde(default)]
    pub id: Option<String>,
}

/// Another pace than the model's own.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slow {
    /// The wait before the first token.
    #[serde(deserialize_with = "values::duration")]
    pub first_token: Option<Duration>,
    /// Tokens a second from then on.
    pub tokens_per_second: Option<f64>,
    /// Every byte of the reply in a write of its own, this far apart; `true` is 1 ms.
    #[serde(deserialize_with = "values::byte_pause")]
    pub byte_by_byte: Option<Duration>,
}

/// Silence, and where.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// Where.
    pub at: StallAt,
    /// How long.
    #[serde(default, rename = "for")]
    pub wait: Wait,
    /// After how many events, at `mid`.
    #[serde(default = "values::two")]
    pub after: usize,
    /// SSE comments this far apart meanwhile.
    #[serde(default, deserialize_with = "values::duration")]
    pub heartbeat: Option<Duration>,
}

/// Where a stall can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StallAt {
    /// Accepted and never read.
    Connect,
    /// The same once the first bytes have come: of a TLS handshake.
    Handshake,
    /// Read and not answered.
    Head,
    /// All that comes before the first content is sent.
    FirstToken,
    /// After some events, or half of a whole reply.
    Mid,
}

/// An early end, where and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Where.
    pub at: CutAt,
    /// After how many events, at `mid`.
    #[serde(default = "values::two")]
    pub after: usize,
    /// After how many bytes of the body instead, at `mid`.
    #[serde(default)]
    pub bytes: Option<usize>,
    /// How.
    #[serde(default)]
    pub how: How,
    /// What a stream of HTTP/2 is reset with.
    #[serde(default = "values::internal_error")]
    pub code: Code,
}

/// Where a reply can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutAt {
    /// Accepted and ended at once.
    Connect,
    /// The same once the first bytes have come: of a TLS handshake.
    Handshake,
    /// The request is read and not answered.
    Request,
    /// In the middle of the head.
    Head,
    /// In the body.
    Mid,
}

/// How a connection ends early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The connection is closed.
    #[default]
    Fin,
    /// The connection is reset.
    Rst,
    /// The framing says that this was all.
    Clean,
    /// The stream of HTTP/2 is reset and its connection stays; a reset in HTTP/1.1.
    Stream,
}

/// An error in a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorEvent {
    /// The error's type; the dialect's word for "overloaded" if not said.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What it says.
    pub message: Option<String>,
    /// OpenAI's code.
    pub code: Option<String>,
    /// After how many events.
    pub after: usize,
}

/// A line that is no chunk size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadChunk {
    /// The line, without its end.
    pub line: String,
    /// After how many events.
    pub after: usize,
}

#[cfg(test)]
mod tests;
