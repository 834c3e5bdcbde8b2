//! What becomes of a prompt that does not fit the model's window: refused in the words of its provider or of a compatible server, whole or as the
//! first event of a stream.

use super::{
    answer::{Answer, Event, Request},
    ask::Ask,
    errors::{self, Fault},
    servers,
    speech::{Provider, gemini},
};
use crate::demo::script::OverflowWords;

/// The question as the model reads it, or the answer of a server that does not. Ollama reads the end of a prompt that is too long and says nothing.
pub(super) fn fit(request: &Request<'_>, ask: Ask) -> Result<Ask, Box<Answer>> {
    match (overflow(request, &ask), request.step.context) {
        (Some(refusal), _) => Err(Box::new(told(request, &ask, refusal))),
        (None, Some(window)) if request.provider() == Provider::Ollama => Ok(Ask { prompt_tokens: ask.prompt_tokens.min(window), ..ask }),
        (None, _) => Ok(ask),
    }
}

/// A status and a JSON body.
type Refusal = (u16, serde_json::Value);

/// What is said of a prompt that does not fit the window that the step sets.
fn overflow(request: &Request<'_>, ask: &Ask) -> Option<Refusal> {
    let window = request.step.context?;
    let provider = request.provider();
    match request.step.overflow_words {
        Some(server) if provider == Provider::OpenAi && server != OverflowWords::Openai => {
            servers::overflow(server, window, (ask.prompt_tokens, ask.max_tokens))
        }
        _ => fault(request, ask, window).map(|fault| (400, errors::fault_body(provider, &fault))),
    }
}

/// The same as it is told.
fn told(request: &Request<'_>, ask: &Ask, (status, body): Refusal) -> Answer {
    if !(ask.stream && request.step.context_event == Some(true)) {
        return Answer::json(request.step.context_status.unwrap_or(status), &body);
    }
    let responses = request.path().trim_end_matches('/').ends_with("/responses");
    let event = match request.provider() {
        Provider::OpenAi if responses => {
            let error = &body["error"];
            let flat = serde_json::json!({"type": "error", "code": error["code"], "message": error["message"], "param": error["param"], "sequence_number": 0});
            Event::new(Some("error"), &flat, false)
        }
        Provider::OpenAi => Event::new(None, &nested(body), false),
        Provider::Anthropic => Event::new(Some("error"), &body, false),
        Provider::Google if request.query("alt") == Some("sse") => gemini::event(&body, false),
        Provider::Google => {
            return Answer::stream("application/json; charset=UTF-8", vec![gemini::element(&body, true, false), gemini::end_of_array()]);
        }
        Provider::Ollama => return Answer::stream("application/x-ndjson", vec![Event { bytes: format!("{body}\n").into(), content: false }]),
    };
    Answer::stream("text/event-stream; charset=utf-8", vec![event])
}

/// In a stream an error stands under its name, also of those servers whose whole answers it is.
fn nested(body: serde_json::Value) -> serde_json::Value {
    if body["error"].is_null() { serde_json::json!({ "error": body }) } else { body }
}

/// What the providers say.
fn fault(request: &Request<'_>, ask: &Ask, window: usize) -> Option<Fault> {
    let (prompt, answer) = (ask.prompt_tokens, ask.max_tokens);
    let path = request.path().trim_end_matches('/');
    let too_long = prompt > window;
    match request.provider() {
        Provider::OpenAi if path.ends_with("/responses") => too_long
            .then(|| exceeded("Your input exceeds the context window of this model. Please adjust your input and try again.".to_owned(), "input")),
        Provider::OpenAi if !path.ends_with("/chat/completions") => {
            let answer = answer.unwrap_or(0);
            let words = format!(
                "This model's maximum context length is {window} tokens, however you requested {} tokens ({prompt} in your prompt; {answer} for the completion). Please reduce your prompt; or completion length.",
                prompt + answer
            );
            (prompt + answer > window).then(|| exceeded(words, "prompt"))
        }
        Provider::OpenAi => match answer {
            Some(answer) if prompt + answer > window => {
                let words = format!(
                    "This model's maximum context length is {window} tokens. However, you requested {} tokens ({prompt} in the messages, {answer} in the completion). Please reduce the length of the messages or completion.",
                    prompt + answer
                );
                Some(exceeded(words, "messages"))
            }
            _ => {
                let words = format!(
                    "This model's maximum context length is {window} tokens. However, your messages resulted in {prompt} tokens. Please reduce the length of the messages."
                );
                too_long.then(|| exceeded(words, "messages"))
            }
        },
        Provider::Anthropic => match answer {
            _ if path.ends_with("/count_tokens") => None,
            _ if too_long => Some(Fault::of(format!("prompt is too long: {prompt} tokens > {window} maximum"), None)),
            Some(answer) if prompt + answer > window => {
                let words = "decrease input length or `max_tokens` and try again";
                Some(Fault::of(format!("input length and `max_tokens` exceed context limit: {prompt} + {answer} > {window}, {words}"), None))
            }
            _ => None,
        },
        Provider::Google if path.ends_with("countTokens") => None,
        Provider::Google => {
            let words = format!("The input token count ({prompt}) exceeds the maximum number of tokens allowed ({window}).");
            too_long.then(|| Fault::of(words, None))
        }
        Provider::Ollama => None,
    }
}

fn exceeded(message: String, param: &str) -> Fault {
    Fault::coded(message, param, "context_length_exceeded")
}
