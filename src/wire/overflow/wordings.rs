//! The sentences by which servers say that a prompt is too long, in small letters: `W` is the window, `P` the prompt's tokens, `A` those asked for as
//! answer, `T` both together, `N` any other number; `*` leaves a stretch open. The first that is found counts, so those with more numbers come first.

/// Codes and types that say so without a word.
pub(super) const CODES: &[&str] = &[
    "context_length_exceeded",          // OpenAI and those that speak like it
    "exceed_context_size_error",        // llama.cpp
    "model_context_window_exceeded",    // Z.ai
    "context_window_exceeded",          // gateways
    "ContextWindowExceededError",       // LiteLLM
    "model_max_prompt_tokens_exceeded", // GitHub Copilot
];

/// Codes and types of other errors, whose words can sound alike.
pub(super) const OTHER_CODES: &[&str] = &[
    "string_above_max_length",
    "array_above_max_length",
    "rate_limit_exceeded",
    "rate_limit_error",
    "insufficient_quota",
    "billing_error",
    "overloaded_error",
    "authentication_error",
    "permission_error",
    "request_too_large",
    "RESOURCE_EXHAUSTED",
    "ThrottlingException",
];

/// Words of other errors that sound alike: of rates, quotas and bytes.
pub(super) const OTHERS: &[&str] = &[
    "rate limit",
    "per minute",
    "per min",
    "per day",
    "per second",
    "too many requests",
    "throttl",
    "quota",
    "service unavailable",
    "please wait",
    "completion tokens at most",
    "this model supports at most",
    "expected a string with maximum length",
];

/// All of them.
pub(super) const WORDINGS: &[&str] = &[
    // OpenAI, Azure, DeepSeek, vLLM up to 0.10, llama-cpp-python. With functions beside the messages, the sum tells.
    "maximum context length is W tokens. however, you requested T tokens (N in the messages, A in the completion)",
    "maximum context length is W tokens. however, you requested T tokens (N in the messages, N in the functions, and A in the completion)",
    "maximum context length is W tokens. however, you requested T tokens (N in your prompt; A for the completion)",
    "maximum context length is W tokens, however you requested T tokens (N in your prompt; A for the completion)",
    "maximum context length is W tokens, however you requested T tokens (N in your prompt, A for the completion)",
    "maximum context length is W tokens. however, your messages resulted in P tokens",
    "maximum context length is W tokens. however, you requested P tokens in the",
    "input tokens exceed the configured limit of W tokens. your messages resulted in P tokens",
    // vLLM since 0.11: exact, and where it stopped to count.
    "maximum context length is W tokens and your request has P input tokens (A > ",
    "too large: A. this model's maximum context length is W tokens and your request has P input tokens",
    "maximum context length is W tokens and your request has P input tokens",
    "maximum context length is W tokens. however, your request has P input tokens",
    "maximum context length is W tokens. however, you requested A output tokens and your prompt contains P input tokens",
    "maximum context length is W tokens. however, you requested A output tokens and your prompt contains",
    "requested A output tokens. however, the model's context length is only W tokens",
    "prompt (length P) is longer than the maximum model length of W",
    "prompt length of P is longer than the maximum model length of W",
    "is longer than the maximum model length of W",
    // SGLang, Together.
    "maximum context length of W tokens. you requested a total of T tokens: P tokens from the input messages and A tokens for the completion",
    "(P tokens) is longer than the model's context length (W tokens)",
    "input length (P tokens) exceeds the maximum allowed length (W tokens)",
    // TGI, Together, Hugging Face.
    "inputs tokens + max_new_tokens must be <= W. given: P inputs tokens and A max_new_tokens",
    "inputs tokens + max_new_tokens must be <= W",
    "inputs must have less than W tokens. given: P",
    // llama.cpp, llama-cpp-python.
    "(P tokens) exceeds the available context size (W tokens)",
    "(P tokens) is larger than the max context size (W tokens)",
    "exceeds the available context size",
    "is larger than the max context size",
    "requested tokens (P) exceed context window of W",
    // LM Studio: what it tries to keep is no more than a part of the prompt.
    "greater than the context length (n_keep: N>= n_ctx: W)",
    "greater than the context length",
    "initially needs P tokens*context length of only W",
    "context length of only W",
    "reached context length of W tokens",
    "context size has been exceeded",
    // Ollama.
    "exceeded max context length by N tokens",
    "prompt is longer than the context length",
    "input length exceeds the context length",
    "exceeds maximum context length",
    "exceeds the maximum context length",
    // Anthropic, Fireworks.
    "prompt is too long: P tokens > W maximum",
    "exceed context limit: P + A > W",
    "prompt is too long: P, model maximum context length: W",
    // Gemini, Vertex AI.
    "the input token count (P) exceeds the maximum number of tokens allowed (W)",
    "the input token count (P) exceeds the maximum number of tokens allowed W",
    "the input token count exceeds the maximum number of tokens allowed (W)",
    "the input token count exceeds the maximum number of tokens allowed W",
    "exceeds the maximum number of tokens allowed",
    "the input token count is P but the model only supports up to W",
    "the input token count is P but model only supports up to W",
    // Amazon Bedrock.
    "too many input tokens. max input tokens: W, request input token count: P",
    "too many input tokens",
    "input is too long for requested model",
    // Mistral.
    "prompt contains P tokens, too large for model with W maximum context length",
    "prompt contains P tokens*too large for model with W maximum context length",
    "too large for model with W maximum context length",
    // xAI.
    "maximum prompt length is W but the request contains P tokens",
    // Groq, Cerebras.
    "reduce the length of the messages or completion. current length is P while limit is W",
    // Cohere.
    "total number of tokens (prompt and prediction) cannot exceed W - received",
    "too many tokens: size limit exceeded by N tokens*limit for this model is W tokens",
    // GitHub Copilot and Models.
    "prompt token count of P exceeds the limit of W",
    "request body too large for * model. max size: W tokens",
    // Moonshot, Z.ai, Poolside, MiniMax, DashScope, TensorRT-LLM, Databricks.
    "exceeded model token limit: W",
    "input length P exceeds the maximum allowed input length of W tokens",
    "prompt exceeds max length",
    "context window exceeds limit",
    "range of input length should be [1, W]",
    "prompt length (P) exceeds maximum input length (W)",
    "prompt has P tokens, but the configured context size is W tokens",
    "input exceeded the context window",
    // OpenRouter counts by estimate. OpenAI's Responses tell no number.
    "maximum context length is W tokens",
    "maximum context length of W tokens",
    "exceeds the context window of this model",
    "exceeds the context window",
    "context window exceeded",
    "reduce the length of the messages or completion",
    "reduce the length of the messages",
    "context length exceeded",
    "context_length_exceeded",
    "contextwindowexceedederror",
    "prompt is too long",
    "prompt too long",
];
