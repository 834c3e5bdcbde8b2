//! The values of a script that are a word of a list or can be written in more than one way: durations, `forever`, `always`, header lists.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value};

use super::{BadChunk, Code, Goaway, LastStream};

/// What `after` is where it is not said: far enough for a role and a first token.
pub(super) const fn two() -> usize {
    2
}

/// How long a silence lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wait {
    /// So long.
    For(Duration),
    /// Until the other side gives up.
    #[default]
    Forever,
}

/// How many requests something is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// So many.
    Count(u64),
    /// All that come.
    Always,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunked {
    /// In chunks.
    Yes,
    /// By a `content-length`.
    No,
    /// By the end of the connection, as HTTP/1.0 did.
    Close,
}

/// How a prompt's tokens are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// Four characters of all that was sent are one.
    Characters,
    /// By `o200k_base`.
    O200k,
    /// By `cl100k_base`.
    Cl100k,
}

/// Servers that have words of their own for a prompt that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverflowWords {
    /// OpenAI.
    Openai,
    /// vLLM.
    Vllm,
    /// `SGLang`.
    Sglang,
    /// llama.cpp's server.
    LlamaCpp,
    /// LM Studio.
    LmStudio,
    /// Mistral.
    Mistral,
    /// Text Generation Inference.
    Tgi,
    /// xAI.
    Xai,
}

/// What becomes of the usage.
#[derive(Debug, Clone, PartialEq)]
pub enum Usage {
    /// Merged with these.
    Merge(Map<String, Value>),
    /// Left out.
    Absent,
}

/// A lot of text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Big {
    /// Its length in bytes.
    pub bytes: usize,
    /// In how many events, if it is streamed.
    #[serde(default = "one")]
    pub events: usize,
}

const fn one() -> usize {
    1
}

/// Headers as they are to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const WANTED: &str = "headers are a map of name to value, or a list of \"Name: value\"";
        let headers: Option<Vec<_>> = match Value::deserialize(from)? {
            Value::Object(map) => map.into_iter().map(|(name, value)| Some((name, scalar(&value)?))).collect(),
            Value::Array(lines) => lines.iter().map(|line| header_line(line.as_str()?)).collect(),
            _ => None,
        };
        let headers = headers.ok_or_else(|| D::Error::custom(WANTED))?;
        if let Some((name, _)) =
            headers.iter().find(|(name, value)| name.is_empty() || name.contains(['\r', '\n', ':']) || value.contains(['\r', '\n']))
        {
            return Err(D::Error::custom(format!("the header `{name}` cannot be sent: use `garbage` for a head that is not well formed")));
        }
        Ok(Self(headers))
    }
}

fn header_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::String(word) if word == "forever" => Ok(Self::Forever),
            other => read_duration(&other).map(Self::For),
        }
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::String(word) if word == "always" => Ok(Self::Always),
            Value::Number(number) if number.as_i64() == Some(-1) => Ok(Self::Always),
            Value::Number(number) if number.as_u64().is_some_and(|count| count > 0) => Ok(Self::Count(number.as_u64().unwrap_or(1))),
            other => Err(D::Error::custom(format!("`times` is a number from 1 on, or `always`, not {other}"))),
        }
    }
}

impl<'de> Deserialize<'de> for Chunked {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::Bool(true) => Ok(Self::Yes),
            Value::Bool(false) => Ok(Self::No),
            Value::String(word) if word == "close" => Ok(Self::Close),
            other => Err(D::Error::custom(format!("`chunked` is true, false or close, not {other}"))),
        }
    }
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::Object(map) => Ok(Self::Merge(map)),
            Value::Null | Value::Bool(false) => Ok(Self::Absent),
            Value::String(word) if word == "none" => Ok(Self::Absent),
            other => Err(D::Error::custom(format!("`usage` is a map of counts, or `none`, not {other}"))),
        }
    }
}

impl<'de> Deserialize<'de> for BadChunk {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Map {
            line: String,
            #[serde(default = "two")]
            after: usize,
        }
        match Value::deserialize(from)? {
            Value::String(line) => Ok(Self { line, after: two() }),
            Value::Bool(true) => Ok(Self { line: "zz".to_owned(), after: two() }),
            map @ Value::Object(_) => serde_json::from_value(map).map(|Map { line, after }| Self { line, after }).map_err(D::Error::custom),
            other => Err(D::Error::custom(format!("`bad_chunk` is a line, or a map of `line` and `after`, not {other}"))),
        }
    }
}

/// What a stream is reset with where it is not said.
pub(super) const fn internal_error() -> Code {
    Code(2)
}

/// The codes of HTTP/2 in the order of their numbers (RFC 9113 section 7).
const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        let named = value.as_str().and_then(|name| (0..).zip(CODES).find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(code, _)| code));
        let code = named.or_else(|| value.as_u64().and_then(|code| u32::try_from(code).ok()));
        code.map(Self).ok_or_else(|| D::Error::custom(format!("`code` is a number or one of {}, not {value}", CODES.join(", "))))
    }
}

impl<'de> Deserialize<'de> for Goaway {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Map {
            last: LastStream,
            #[serde(default)]
            code: Option<Code>,
        }
        let value = Value::deserialize(from)?;
        let map = if value.is_string() { serde_json::json!({ "last": value }) } else { value };
        let Map { last, code } = serde_json::from_value(map).map_err(D::Error::custom)?;
        Ok(Self { last, code: code.unwrap_or(Code(0)) })
    }
}

/// A duration: `300ms`, `1m 30s`, or a number of seconds.
pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    read_duration(&Value::deserialize(from)?).map(Some)
}

/// A duration, or `true` for one millisecond.
pub(super) fn byte_pause<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    match Value::deserialize(from)? {
        Value::Bool(true) => Ok(Some(Duration::from_millis(1))),
        Value::Bool(false) => Ok(None),
        other => read_duration(&other).map(Some),
    }
}

/// A status of errors.
pub(super) fn error_status<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    let value = Value::deserialize(from)?;
    let status = value.as_u64().and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status));
    status.map(Some).ok_or_else(|| D::Error::custom(format!("`context_status` is the status of an error, from 400 to 599, not {value}")))
}

/// What `per` is where it is not said.
pub(super) const fn minute() -> Duration {
    Duration::from_mins(1)
}

/// A duration that is not zero.
pub(super) fn period<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    match read_duration(&Value::deserialize(from)?)? {
        Duration::ZERO => Err(D::Error::custom("`per` is a duration above 0s")),
        period => Ok(period),
    }
}

fn read_duration<E: Error>(value: &Value) -> Result<Duration, E> {
    let read = match value {
        Value::String(text) => humantime::parse_duration(text).ok(),
        Value::Number(seconds) => seconds.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        _ => None,
    };
    read.ok_or_else(|| E::custom(format!("{value} is no duration: write `300ms`, `30s` or `5m`")))
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(duration) => write!(f, "{}", humantime::format_duration(*duration)),
            Self::Forever => f.write_str("forever"),
        }
    }
}
