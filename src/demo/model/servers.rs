//! What servers that speak OpenAI's dialect say of a prompt that does not fit, in their own words and shapes.

use serde_json::{Value, json};

use crate::demo::script::OverflowWords;

/// Status and body, if prompt and answer do not fit the window by the server's own rule.
pub(super) fn overflow(server: OverflowWords, window: usize, (prompt, answer): (usize, Option<usize>)) -> Option<(u16, Value)> {
    let answer = answer.unwrap_or(0);
    let (too_long, too_much) = (prompt > window, prompt + answer > window);
    let bare = |message: String, kind: &str, code: Value| json!({"object": "error", "message": message, "type": kind, "param": null, "code": code});
    let told = match server {
        OverflowWords::Vllm if answer > 0 && too_much && !too_long => {
            let message = format!(
                "'max_tokens' or 'max_completion_tokens' is too large: {answer}. This model's maximum context length is {window} tokens and your request has {prompt} input tokens ({answer} > {window} - {prompt})."
            );
            (400, bare(message, "BadRequestError", json!(400)))
        }
        OverflowWords::Vllm if too_long => {
            let message = format!(
                "This model's maximum context length is {window} tokens. However, your request has {prompt} input tokens. Please reduce the length of the input messages."
            );
            (400, bare(message, "BadRequestError", json!(400)))
        }
        OverflowWords::Sglang if too_much => {
            let message = format!(
                "Requested token count exceeds the model's maximum context length of {window} tokens. You requested a total of {} tokens: {prompt} tokens from the input messages and {answer} tokens for the completion. Please reduce the number of tokens in the input messages or the completion to fit within the limit.",
                prompt + answer
            );
            (400, bare(message, "BadRequestError", json!(400)))
        }
        OverflowWords::LlamaCpp if too_long => {
            let message = format!("request ({prompt} tokens) exceeds the available context size ({window} tokens), try increasing it");
            let error = json!({"code": 400, "message": message, "type": "exceed_context_size_error", "n_prompt_tokens": prompt, "n_ctx": window});
            (400, json!({ "error": error }))
        }
        OverflowWords::LmStudio if too_long => {
            let message = format!(
                "Trying to keep the first {prompt} tokens when context the overflows. However, the model is loaded with context length of only {window} tokens, which is not enough. Try to load the model with a larger context length, or provide a shorter input"
            );
            (400, json!({ "error": message }))
        }
        OverflowWords::Mistral if too_long => {
            let message = format!("Prompt contains {prompt} tokens, too large for model with {window} maximum context length");
            (400, bare(message, "invalid_request_prompt", json!("3051")))
        }
        OverflowWords::Tgi if too_much => {
            let message = format!(
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= {window}. Given: {prompt} `inputs` tokens and {answer} `max_new_tokens`"
            );
            (422, json!({"error": message, "error_type": "validation"}))
        }
        OverflowWords::Xai if too_long => {
            let message = format!("This model's maximum prompt length is {window} but the request contains {prompt} tokens.");
            (400, json!({"code": "Client specified an invalid argument", "error": message}))
        }
        _ => return None,
    };
    Some(told)
}
