//! What the providers say when they refuse or fail, in their own shapes and, where clients look at them, their own words.

use serde_json::{Value, json};

use super::{
    answer::{Answer, Event, Request},
    speech::{Provider, Speech, gemini},
};
use crate::demo::script::ErrorEvent;

/// What is wrong with a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

impl Fault {
    /// The body is no JSON.
    pub(super) fn no_json() -> Self {
        Self::of("We could not parse the JSON body of your request. The body of a request to this path must be JSON.", None)
    }

    /// A fault, at a parameter.
    pub(super) fn of(message: impl Into<String>, param: Option<&str>) -> Self {
        Self { message: message.into(), param: param.map(str::to_owned), code: None }
    }

    /// One that has a code.
    pub(super) fn coded(message: impl Into<String>, param: &str, code: &'static str) -> Self {
        Self { code: Some(code), ..Self::of(message, Some(param)) }
    }
}

/// A limit was reached, in these words and of this type.
pub(super) fn of_limit(provider: Provider, kind: &str, message: &str) -> Answer {
    match provider {
        Provider::OpenAi => Answer::json(429, &openai_body(message, kind, None, Some("rate_limit_exceeded"))),
        Provider::Anthropic => Answer::json(429, &anthropic_body("rate_limit_error", message)),
        Provider::Google => Answer::json(429, &google_body(429, message)),
        Provider::Ollama => Answer::json(503, &json!({"error": message})),
    }
}

/// The usual error of a status.
pub(super) fn of_status(provider: Provider, status: u16) -> Answer {
    let body = match provider {
        Provider::OpenAi => {
            let (kind, code, message) = openai_words(status);
            openai_body(message, kind, None, code)
        }
        Provider::Anthropic => {
            let (kind, message) = anthropic_words(status);
            anthropic_body(kind, message)
        }
        Provider::Google => google_body(status, google_words(status)),
        Provider::Ollama => json!({"error": ollama_words(status)}),
    };
    Answer::json(status, &body)
}

/// What is wrong with a question, as a 400.
pub(super) fn of_fault(provider: Provider, fault: &Fault) -> Answer {
    Answer::json(400, &fault_body(provider, fault))
}

/// The same without its status.
pub(super) fn fault_body(provider: Provider, fault: &Fault) -> Value {
    match provider {
        Provider::OpenAi => openai_body(&fault.message, "invalid_request_error", fault.param.as_deref(), fault.code),
        Provider::Anthropic => anthropic_body("invalid_request_error", &fault.message),
        Provider::Google => google_body(400, &fault.message),
        Provider::Ollama => json!({"error": fault.message}),
    }
}

/// There is no such path.
pub(super) fn not_found(request: &Request<'_>) -> Answer {
    if request.provider() == Provider::Ollama {
        return Answer::whole(404, "text/plain", "404 page not found".into());
    }
    let message = format!("Invalid URL ({} {})", request.head.method, request.path());
    Answer::json(404, &openai_body(&message, "invalid_request_error", None, None))
}

/// The path is one for POST.
pub(super) fn wrong_method(request: &Request<'_>) -> Answer {
    if request.provider() == Provider::Ollama {
        return Answer::whole(405, "text/plain", "405 method not allowed".into()).with("allow", "POST");
    }
    let message = format!("Not allowed to {} on {}. (HINT: Perhaps you meant to use a different HTTP method?)", request.head.method, request.path());
    Answer::json(405, &openai_body(&message, "invalid_request_error", None, Some("method_not_supported"))).with("allow", "POST")
}

/// An error in the middle of a stream; `first` is whether it is all of it.
pub(super) fn event(speech: Speech, error: &ErrorEvent, first: bool) -> Event {
    let message = error.message.as_deref();
    let kind = |usual| error.kind.as_deref().unwrap_or(usual);
    let openai = message.unwrap_or("The server had an error while processing your request. Sorry about that!");
    match speech {
        Speech::Chunks => Event::new(None, &openai_body(openai, kind("server_error"), None, error.code.as_deref()), false),
        Speech::Responses => {
            let code = error.code.as_deref().unwrap_or(kind("server_error"));
            Event::new(
                Some("error"),
                &json!({"type": "error", "code": code, "message": openai, "param": null, "sequence_number": error.after}),
                false,
            )
        }
        Speech::Anthropic => {
            let body = anthropic_body(kind("overloaded_error"), message.unwrap_or("Overloaded"));
            Event::new(Some("error"), &body, false)
        }
        Speech::Gemini | Speech::GeminiArray => {
            let code = error.code.as_deref().and_then(|code| code.parse().ok()).unwrap_or(503);
            let mut body = google_body(code, message.unwrap_or(google_words(503)));
            body["error"]["status"] = json!(kind(google_status(code)));
            if speech == Speech::Gemini { gemini::event(&body, false) } else { gemini::element(&body, first, false) }
        }
        Speech::Ollama => {
            let body = json!({"error": message.unwrap_or("an error was encountered while running the model: unexpected EOF")});
            Event { bytes: format!("{body}\n").into(), content: false }
        }
    }
}

fn openai_body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

fn anthropic_body(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_simulated"})
}

fn google_body(status: u16, message: &str) -> Value {
    json!({"error": {"code": status, "message": message, "status": google_status(status)}})
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

fn google_status(status: u16) -> &'static str {
    match status {
        400 | 413 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        504 | 408 => "DEADLINE_EXCEEDED",
        _ => "UNKNOWN",
    }
}

fn google_words(status: u16) -> &'static str {
    match status {
        401 => {
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
        }
        403 => {
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API."
        }
        404 => {
            "The model is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods."
        }
        429 => "Resource has been exhausted (e.g. check quota).",
        503 => "The model is overloaded. Please try again later.",
        504 | 408 => "Deadline expired before operation could complete.",
        status if status < 500 => "Request contains an invalid argument.",
        _ => "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
    }
}

fn ollama_words(status: u16) -> &'static str {
    match status {
        401 => "unauthorized",
        404 => "model 'simulated' not found",
        429 => "too many concurrent requests",
        503 => "server busy, please try again.  maximum pending requests exceeded",
        status if status < 500 => "invalid request",
        _ => "llama runner process has terminated: signal: killed",
    }
}
