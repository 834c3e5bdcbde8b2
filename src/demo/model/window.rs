//! What the providers say of a prompt that does not fit the model's window.

use super::{answer::Request, ask::Ask, errors::Fault, speech::Provider};

/// The question as the model reads it, or why it does not. Ollama reads the end of a prompt that is too long and says nothing.
pub(super) fn fit(request: &Request<'_>, ask: Ask) -> Result<Ask, Fault> {
    match (overflow(request, &ask), request.step.context) {
        (Some(fault), _) => Err(fault),
        (None, Some(window)) if request.provider() == Provider::Ollama => Ok(Ask { prompt_tokens: ask.prompt_tokens.min(window), ..ask }),
        (None, _) => Ok(ask),
    }
}

/// The fault of a prompt that does not fit the window that the step sets.
fn overflow(request: &Request<'_>, ask: &Ask) -> Option<Fault> {
    let window = request.step.context?;
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
    Fault { code: Some("context_length_exceeded"), ..Fault::of(message, Some(param)) }
}
