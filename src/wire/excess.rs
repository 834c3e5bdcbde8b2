//! What is said of a prompt that cannot be made to fit: the provider's own sentence first, because SDKs and frameworks know the error by it, then what
//! was tried and what to change.

use super::Dialect;

/// The `code` of such an error in OpenAI's shape, by which its SDKs and the frameworks above them know it.
pub const CONTEXT_LENGTH_EXCEEDED: &str = "context_length_exceeded";

/// A prompt that cannot be made to fit, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// The prompt as it came.
    pub prompt: u64,
    /// No less than so many would be left of it.
    pub least: u64,
    /// The model's window.
    pub window: u64,
    /// What of the window is kept for the answer.
    pub answer: u64,
}

impl Excess {
    /// The message of the error, for [`super::ErrorShape`] with [`CONTEXT_LENGTH_EXCEEDED`] as its code and 400 as its status. Begins as the provider's
    /// own does; where no dialect is known, as OpenAI's.
    pub fn message(self, dialect: Option<Dialect>) -> String {
        let Self { least, window, answer, .. } = self;
        let kept = if answer > 0 { format!(", and {answer} are kept for the answer") } else { String::new() };
        let shorter = if answer > 0 { ", ask for a shorter answer" } else { "" };
        format!(
            "{} Pillion trims what is old and long to fit the maximum context length of {window} tokens, but what has to stay (system messages, tools, the \
             first and the last user message and what follows it) takes {least} tokens at the least{kept}. Shorten those, offer fewer tools{shorter}, or \
             use a model with a larger window",
            self.provider(dialect)
        )
    }

    /// The sentence of the dialect's own provider.
    fn provider(self, dialect: Option<Dialect>) -> String {
        let Self { prompt, window, answer, .. } = self;
        let total = prompt.saturating_add(answer);
        match dialect {
            None | Some(Dialect::OpenaiChat) if answer == 0 => {
                format!("This model's maximum context length is {window} tokens. However, your messages resulted in {prompt} tokens.")
            }
            None | Some(Dialect::OpenaiChat) => format!(
                "This model's maximum context length is {window} tokens. However, you requested {total} tokens ({prompt} in the messages, {answer} in the \
                 completion)."
            ),
            Some(Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings) => format!(
                "This model's maximum context length is {window} tokens, however you requested {total} tokens ({prompt} in your prompt; {answer} for the \
                 completion)."
            ),
            Some(Dialect::OpenaiResponses) => format!("Your input exceeds the context window of this model: {prompt} tokens."),
            Some(Dialect::AnthropicMessages) if prompt > window || answer == 0 => format!("prompt is too long: {prompt} tokens > {window} maximum."),
            Some(Dialect::AnthropicMessages) => {
                format!("input length and `max_tokens` exceed context limit: {prompt} + {answer} > {window}, decrease input length or `max_tokens`.")
            }
            Some(Dialect::Gemini) => {
                let allowed = if prompt > window { window } else { window.saturating_sub(answer) };
                format!("The input token count ({prompt}) exceeds the maximum number of tokens allowed ({allowed}).")
            }
            Some(Dialect::Ollama) => format!("the input length exceeds the context length ({prompt} tokens > {window})."),
        }
    }
}

/// The parameter that is at fault, in OpenAI's shape.
pub(super) fn param(dialect: Dialect, code: &str) -> Option<&'static str> {
    (code == CONTEXT_LENGTH_EXCEEDED).then_some(match dialect {
        Dialect::OpenaiResponses | Dialect::OpenaiEmbeddings => "input",
        Dialect::OpenaiCompletions => "prompt",
        _ => "messages",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ErrorShape, Overflow, Reading, error_body};

    const EXCESS: Excess = Excess { prompt: 40_000, least: 34_000, window: 32_768, answer: 4096 };

    /// The error as whoever asked reads it, and its body.
    fn sent(dialect: Dialect, excess: Excess) -> (Option<Overflow>, String) {
        let shape = ErrorShape { status: 400, code: CONTEXT_LENGTH_EXCEEDED, message: &excess.message(Some(dialect)), exchange: "T-S" };
        let (content_type, body) = error_body(Some(dialect), &shape);
        let mut reading = Reading::new(dialect, 400, Some(content_type), None);
        reading.feed(&body);
        reading.end();
        (reading.into_reply().error.unwrap().overflow, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn each_dialect_begins_with_its_providers_sentence_and_then_says_what_to_change() {
        let check = |dialect: Dialect, excess: Excess, begins: &str| {
            let message = excess.message(Some(dialect));
            assert!(message.starts_with(begins), "{message}");
            for part in ["maximum context length", "takes 34000 tokens at the least", "larger window"] {
                assert!(message.contains(part), "{part}: {message}");
            }
        };
        check(
            Dialect::OpenaiChat,
            EXCESS,
            "This model's maximum context length is 32768 tokens. However, you requested 44096 tokens (40000 in the messages, 4096 in the completion).",
        );
        let alone = Excess { answer: 0, ..EXCESS };
        check(Dialect::OpenaiChat, alone, "This model's maximum context length is 32768 tokens. However, your messages resulted in 40000 tokens.");
        check(
            Dialect::OpenaiCompletions,
            EXCESS,
            "This model's maximum context length is 32768 tokens, however you requested 44096 tokens (40000 in your prompt;",
        );
        check(Dialect::OpenaiResponses, EXCESS, "Your input exceeds the context window of this model");
        check(Dialect::AnthropicMessages, EXCESS, "prompt is too long: 40000 tokens > 32768 maximum");
        let below = Excess { prompt: 30_000, ..EXCESS };
        check(Dialect::AnthropicMessages, below, "input length and `max_tokens` exceed context limit: 30000 + 4096 > 32768");
        check(Dialect::Gemini, EXCESS, "The input token count (40000) exceeds the maximum number of tokens allowed (32768).");
        check(Dialect::Gemini, below, "The input token count (30000) exceeds the maximum number of tokens allowed (28672).");
        check(Dialect::Ollama, EXCESS, "the input length exceeds the context length (40000 tokens > 32768).");
        assert!(!alone.message(None).contains("kept for the answer"));
    }

    #[test]
    fn our_own_error_is_read_back_as_what_it_says() {
        let told = |window, prompt, answer| Some(Overflow { window, prompt, answer });
        let (chat, body) = sent(Dialect::OpenaiChat, EXCESS);
        assert_eq!(chat, told(Some(32_768), Some(40_000), Some(4096)));
        assert!(body.contains(r#""type":"invalid_request_error","param":"messages","code":"context_length_exceeded""#), "{body}");
        let (responses, body) = sent(Dialect::OpenaiResponses, EXCESS);
        assert!(responses.is_some() && body.contains(r#""param":"input","code":"context_length_exceeded""#), "{body}");
        assert_eq!(sent(Dialect::OpenaiCompletions, EXCESS).0, told(Some(32_768), Some(40_000), Some(4096)));
        let (anthropic, body) = sent(Dialect::AnthropicMessages, EXCESS);
        assert_eq!(anthropic, told(Some(32_768), Some(40_000), None));
        assert!(body.starts_with(r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long"#), "{body}");
        let (gemini, body) = sent(Dialect::Gemini, EXCESS);
        assert_eq!(gemini, told(Some(32_768), Some(40_000), None));
        assert!(body.contains(r#""code":400"#) && body.contains(r#""status":"INVALID_ARGUMENT""#), "{body}");
        assert!(sent(Dialect::Ollama, EXCESS).0.is_some());
    }
}
