//! What the providers say when they refuse or fail, in their own shapes and, where clients look at them, their own words.

use serde_json::{Value, json};

use super::answer::{Answer, Event, Request, Speech};
use crate::demo::script::ErrorEvent;

/// What is wrong with a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) param: Option<String>,
}

impl Fault {
    /// The body is no JSON.
    pub(super) fn no_json() -> Self {
        Self::of("We could not parse the JSON body of your request. The body of a request to this path must be JSON.", None)
    }

    /// A fault, at a parameter.
    pub(super) fn of(message: impl Into<String>, param: Option<&str>) -> Self {
        Self { message: message.into(), param: param.map(str::to_owned) }
    }
}

/// The usual error of a status.
pub(super) fn of_status(speech: Speech, status: u16) -> Answer {
    let body = match speech {
        Speech::OpenAi => {
            let (kind, code, message) = openai_words(status);
            openai_body(message, kind, None, code)
        }
        Speech::Anthropic => {
            let (kind, message) = anthropic_words(status);
            anthropic_body(kind, message)
        }
    };
    Answer::json(status, &body)
}

/// What is wrong with a question, as a 400.
pub(super) fn of_fault(speech: Speech, fault: &Fault) -> Answer {
    Answer::json(
        400,
        &match speech {
            Speech::OpenAi => openai_body(&fault.message, "invalid_request_error", fault.param.as_deref(), None),
            Speech::Anthropic => anthropic_body("invalid_request_error", &fault.message),
        },
    )
}

/// There is no such path.
pub(super) fn not_found(request: &Request<'_>) -> Answer {
    let message = format!("Invalid URL ({} {})", request.head.method, request.path());
    Answer::json(404, &openai_body(&message, "invalid_request_error", None, None))
}

/// The path is one for POST.
pub(super) fn wrong_method(request: &Request<'_>) -> Answer {
    let message = format!("Not allowed to {} on {}. (HINT: Perhaps you meant to use a different HTTP method?)", request.head.method, request.path());
    Answer::json(405, &openai_body(&message, "invalid_request_error", None, Some("method_not_supported"))).with("allow", "POST")
}

/// An error in the middle of a stream.
pub(super) fn event(speech: Speech, error: &ErrorEvent) -> Event {
    let message = error.message.as_deref();
    match speech {
        Speech::OpenAi => {
            let kind = error.kind.as_deref().unwrap_or("server_error");
            let words = message.unwrap_or("The server had an error while processing your request. Sorry about that!");
            Event::new(None, &openai_body(words, kind, None, error.code.as_deref()), false)
        }
        Speech::Anthropic => {
            let body = anthropic_body(error.kind.as_deref().unwrap_or("overloaded_error"), message.unwrap_or("Overloaded"));
            Event::new(Some("error"), &body, false)
        }
    }
}

fn openai_body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

fn anthropic_body(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_simulated"})
}

fn openai_words(status: u16) -> (&'static str, Option<&'static str>, &'static str) {
    match status {
        400 => ("invalid_request_error", None, "The request is not valid."),
        401 => ("invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided. You can find your API key in your account."),
        403 => ("invalid_request_error", Some("unsupported_country_region_territory"), "This project does not have access to the model."),
        404 => ("invalid_request_error", Some("model_not_found"), "The model does not exist or you do not have access to it."),
        408 => ("server_error", None, "The request timed out."),
        409 => ("invalid_request_error", None, "The resource was changed by another request."),
        413 => ("invalid_request_error", None, "The request is too large."),
        422 => ("invalid_request_error", None, "The request was well formed but could not be followed."),
        429 => ("requests", Some("rate_limit_exceeded"), "Rate limit reached for requests. Please try again shortly."),
        503 => ("server_error", Some("server_overloaded"), "The engine is currently overloaded, please try again later."),
        status if status < 500 => ("invalid_request_error", None, "The request was refused."),
        _ => ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    }
}

fn anthropic_words(status: u16) -> (&'static str, &'static str) {
    match status {
        401 => ("authentication_error", "invalid x-api-key"),
        403 => ("permission_error", "Your API key does not have permission to use the specified resource."),
        404 => ("not_found_error", "The requested resource could not be found."),
        408 | 504 => ("timeout_error", "The request timed out while processing."),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => ("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
        503 | 529 => ("overloaded_error", "Overloaded"),
        status if status < 500 => ("invalid_request_error", "The request is not valid."),
        _ => ("api_error", "Internal server error"),
    }
}
