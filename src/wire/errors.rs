//! Errors of our own, in each dialect's own shape, whole and as the last event of a stream. The words are those by which each API's SDKs
//! choose the exception they raise.

use bytes::Bytes;
use serde::Serialize;

use super::{Dialect, excess};

/// What an error of ours says, before it is put in a dialect's shape.
#[derive(Debug, Clone)]
pub struct ErrorShape<'a> {
    /// The HTTP status.
    pub status: u16,
    /// Our reason, e.g. `timeout_first_token`, or [`super::CONTEXT_LENGTH_EXCEEDED`]: OpenAI's `code`.
    pub code: &'a str,
    /// One or two sentences for the person who reads the traceback.
    pub message: &'a str,
    /// The exchange, as in `x-pillion-exchange`: Anthropic's `request_id`.
    pub exchange: &'a str,
}

/// The body and content type of an answer of ours; problem JSON (RFC 9457) where no dialect is known.
pub fn error_body(dialect: Option<Dialect>, error: &ErrorShape<'_>) -> (&'static str, Bytes) {
    match dialect {
        Some(dialect) => ("application/json", json(&Body::new(dialect, error)).into()),
        None => ("application/problem+json", json(&Problem::new(error)).into()),
    }
}

/// The event that tells a broken stream's reader so, in the dialect's own framing. `None` where the dialect has no such event
/// (embeddings). Only to be sent at an event boundary, see [`super::Reading::at_boundary`].
pub fn error_event(dialect: Dialect, error: &ErrorShape<'_>) -> Option<Bytes> {
    let (before, after) = match dialect {
        // OpenAI's SDKs look for an `error` within the data. Anthropic's drop data without an event name.
        Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::Gemini => ("data: ", "\n\n"),
        Dialect::OpenaiResponses | Dialect::AnthropicMessages => ("event: error\ndata: ", "\n\n"),
        Dialect::Ollama => ("", "\n"),
        Dialect::OpenaiEmbeddings => return None,
    };
    let mut event = before.as_bytes().to_vec();
    event.append(&mut json(&Body::new(dialect, error)));
    event.extend_from_slice(after.as_bytes());
    Some(event.into())
}

/// An error as each API writes it.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Openai { error: OpenaiError<'a> },
    Anthropic { r#type: &'static str, error: AnthropicError<'a>, request_id: &'a str },
    Gemini { error: GeminiError<'a> },
    Ollama { error: &'a str },
}

#[derive(Serialize)]
struct OpenaiError<'a> {
    message: &'a str,
    r#type: &'static str,
    /// Always there, mostly `null`: SDKs expect the key.
    param: Option<&'a str>,
    code: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct GeminiError<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
}

impl<'a> Body<'a> {
    fn new(dialect: Dialect, error: &ErrorShape<'a>) -> Self {
        let ErrorShape { status, code, message, exchange } = *error;
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses | Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings => {
                Self::Openai { error: OpenaiError { message, r#type: openai_type(status), param: excess::param(dialect, code), code } }
            }
            Dialect::AnthropicMessages => {
                Self::Anthropic { r#type: "error", error: AnthropicError { r#type: anthropic_type(status), message }, request_id: exchange }
            }
            Dialect::Gemini => Self::Gemini { error: GeminiError { code: status, message, status: gemini_status(status) } },
            Dialect::Ollama => Self::Ollama { error: message },
        }
    }
}

/// RFC 9457, with two members of our own.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    exchange: &'a str,
}

impl<'a> Problem<'a> {
    fn new(error: &ErrorShape<'a>) -> Self {
        let ErrorShape { status, code, message, exchange } = *error;
        Self { r#type: "about:blank", title: title(status), status, detail: message, code, exchange }
    }
}

fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        504 => "timeout",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// The names of google.rpc.Code.
fn gemini_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

/// The reason phrase of a status, as RFC 9457 asks for beside `about:blank`.
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        508 => "Loop Detected",
        501.. => "Server Error",
        _ => "Client Error",
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and numbers always serialize")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: ErrorShape<'_> = ErrorShape { status: 504, code: "timeout_first_token", message: "no \"token\" in 5 m", exchange: "T-S" };

    #[test]
    fn a_body_has_the_shape_of_the_callers_dialect() {
        let check = |dialect: Option<Dialect>, kind: &str, expected: &str| {
            let (content_type, body) = error_body(dialect, &ERROR);
            assert_eq!((content_type, std::str::from_utf8(&body).unwrap()), (kind, expected), "{dialect:?}");
        };
        let openai = r#"{"error":{"message":"no \"token\" in 5 m","type":"timeout","param":null,"code":"timeout_first_token"}}"#;
        for dialect in [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::OpenaiCompletions, Dialect::OpenaiEmbeddings] {
            check(Some(dialect), "application/json", openai);
        }
        let anthropic = r#"{"type":"error","error":{"type":"timeout_error","message":"no \"token\" in 5 m"},"request_id":"T-S"}"#;
        check(Some(Dialect::AnthropicMessages), "application/json", anthropic);
        let gemini = r#"{"error":{"code":504,"message":"no \"token\" in 5 m","status":"DEADLINE_EXCEEDED"}}"#;
        check(Some(Dialect::Gemini), "application/json", gemini);
        check(Some(Dialect::Ollama), "application/json", r#"{"error":"no \"token\" in 5 m"}"#);
        let problem = concat!(
            r#"{"type":"about:blank","title":"Gateway Timeout","status":504,"detail":"no \"token\" in 5 m","#,
            r#""code":"timeout_first_token","exchange":"T-S"}"#
        );
        check(None, "application/problem+json", problem);
    }

    #[test]
    fn the_status_chooses_the_word_of_each_dialect() {
        let check = |status: u16, openai: &str, anthropic: &str, gemini: &str| {
            assert_eq!((openai_type(status), anthropic_type(status), gemini_status(status)), (openai, anthropic, gemini), "{status}");
        };
        check(400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT");
        check(403, "permission_error", "permission_error", "PERMISSION_DENIED");
        check(404, "invalid_request_error", "not_found_error", "NOT_FOUND");
        check(413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT");
        check(429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED");
        check(500, "server_error", "api_error", "INTERNAL");
        check(502, "server_error", "api_error", "UNAVAILABLE");
        check(503, "server_error", "overloaded_error", "UNAVAILABLE");
        check(504, "timeout", "timeout_error", "DEADLINE_EXCEEDED");
        check(508, "server_error", "api_error", "INTERNAL");
    }

    #[test]
    fn an_error_event_is_read_back_as_an_error_and_leaves_the_stream_at_a_boundary() {
        let check = |dialect: Dialect, content_type: &str| {
            let event = error_event(dialect, &ERROR).unwrap();
            let mut reading = super::super::Reading::new(dialect, 200, Some(content_type), None);
            let progress = reading.feed(&event);
            assert!(progress.error && progress.events == 1 && !progress.finished, "{dialect}: {progress:?}");
            assert!(reading.at_boundary(), "{dialect}");
            reading.into_reply().error.unwrap().status
        };
        assert_eq!(check(Dialect::OpenaiChat, "text/event-stream"), Some(504));
        assert_eq!(check(Dialect::OpenaiCompletions, "text/event-stream"), Some(504));
        assert_eq!(check(Dialect::OpenaiResponses, "text/event-stream"), Some(504));
        assert_eq!(check(Dialect::AnthropicMessages, "text/event-stream"), Some(504));
        assert_eq!(check(Dialect::Gemini, "text/event-stream"), Some(504));
        assert_eq!(check(Dialect::Ollama, "application/x-ndjson"), None);
        assert_eq!(error_event(Dialect::OpenaiEmbeddings, &ERROR), None);
    }
}
