use super::{Overflow, matched, read, wordings::WORDINGS};
use crate::wire::{Dialect, Reading, ReplyError};

/// What is told of window, prompt and answer.
type Numbers = (Option<u64>, Option<u64>, Option<u64>);

fn numbers(words: &str) -> Option<Numbers> {
    read(None, None, words).map(|Overflow { window, prompt, answer }| (window, prompt, answer))
}

fn check(table: &[(&str, Numbers)]) {
    for (words, expected) in table {
        assert_eq!(numbers(words), Some(*expected), "{words}");
        let wrapped = format!("litellm.BadRequestError: Exception - {{\\\"message\\\":\\\"{words}\\\"}}\\n(request id: 2025)");
        assert_eq!(numbers(&wrapped), Some(*expected), "{wrapped}");
    }
}

#[test]
fn the_words_of_openai_and_those_who_took_them_over_are_read() {
    check(&[
        // OpenAI, as quoted in threads of crewAI, llama_index, ChatGPT clients, pi
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 8217 tokens. Please reduce the length of the messages.",
            (Some(8192), Some(8217), None),
        ),
        (
            "This model's maximum context length is 16385 tokens. However, your messages resulted in 16501 tokens (16400 in the messages, 101 in the functions). Please reduce the length of the messages or functions.",
            (Some(16385), Some(16501), None),
        ),
        // OpenAI, Azure, DeepSeek
        (
            "This model's maximum context length is 131072 tokens. However, you requested 156384 tokens (152384 in the messages, 4000 in the completion). Please reduce the length of the messages or completion.",
            (Some(131_072), Some(152_384), Some(4000)),
        ),
        (
            "This model’s maximum context length is 4097 tokens. However, you requested 5360 tokens (4022 in the messages, 338 in the functions, and 1000 in the completion). Please reduce the length of the messages, functions, or completion.",
            (Some(4097), Some(4360), Some(1000)),
        ),
        // OpenAI's completions, llama-cpp-python
        (
            "This model's maximum context length is 4097 tokens, however you requested 4116 tokens (3860 in your prompt; 256 for  the completion). Please reduce your prompt; or completion length.",
            (Some(4097), Some(3860), Some(256)),
        ),
        ("Requested tokens (5017) exceed context window of 4096", (Some(4096), Some(5017), None)),
        // OpenAI: gpt-5
        (
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 302415 tokens. Please reduce the length of the messages.",
            (Some(272_000), Some(302_415), None),
        ),
        // OpenAI's Responses
        ("Your input exceeds the context window of this model. Please adjust your input and try again.", (None, None, None)),
        // Groq, Cerebras
        ("Please reduce the length of the messages or completion.", (None, None, None)),
        ("Please reduce the length of the messages or completion. Current length is 9123 while limit is 8192", (Some(8192), Some(9123), None)),
        // OpenRouter, which estimates
        (
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 537812 tokens (500000 of text input, 37812 in the output). Please reduce the length of either one, or use the middle-out transform to compress your prompt automatically.",
            (Some(131_072), None, None),
        ),
    ]);
}

#[test]
fn the_words_of_vllm_are_read() {
    check(&[
        // vLLM to 0.10, 0.11, 0.16, 0.18, its engine
        (
            "This model's maximum context length is 100000 tokens. However, you requested 100500 tokens in the messages, Please reduce the length of the messages.",
            (Some(100_000), Some(100_500), None),
        ),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 100000 tokens and your request has 83000 input tokens (32000 > 100000 - 83000).",
            (Some(100_000), Some(83_000), Some(32_000)),
        ),
        (
            "This model's maximum context length is 100000 tokens. However, your request has 100500 input tokens. Please reduce the length of the input messages.",
            (Some(100_000), Some(100_500), None),
        ),
        (
            "This model's maximum context length is 100000 tokens. However, you requested 32000 output tokens and your prompt contains 83000 input tokens, for a total of 115000 tokens (83000 + 32000 = 115000 > 100000).",
            (Some(100_000), Some(83_000), Some(32_000)),
        ),
        (
            "This model's maximum context length is 262144 tokens. However, you requested 0 output tokens and your prompt contains at least 262145 input tokens, for a total of at least 262145 tokens. Please reduce the length of the input prompt or the number of requested output tokens. (parameter=input_tokens, value=262145)",
            (Some(262_144), None, Some(0)),
        ),
        (
            "You passed 1015 input tokens and requested 10 output tokens. However, the model's context length is only 1024 tokens, resulting in a maximum input length of 1014 tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=1015)",
            (Some(1024), None, Some(10)),
        ),
        (
            "The decoder prompt (length 40000) is longer than the maximum model length of 32768. Make sure that `max_model_len` is no smaller than the number of text tokens.",
            (Some(32768), Some(40000), None),
        ),
        (
            "The decoder prompt (length 36864) plus the number of requested output tokens (at least 1) is longer than the maximum model length of 36864.",
            (Some(36864), None, None),
        ),
    ]);
}

#[test]
fn the_words_of_other_servers_of_open_models_are_read() {
    check(&[
        // SGLang
        (
            "Requested token count exceeds the model's maximum context length of 131072 tokens. You requested a total of 524300.0 tokens: 12012 tokens from the input messages and 512288 tokens for the completion.",
            (Some(131_072), Some(12_012), Some(512_288)),
        ),
        (
            "Input length (100500 tokens) exceeds the maximum allowed length (99999 tokens). Use a shorter input or enable --allow-auto-truncate.",
            (Some(99_999), Some(100_500), None),
        ),
        // SGLang, Together
        ("The input (265330 tokens) is longer than the model's context length (262144 tokens).", (Some(262_144), Some(265_330), None)),
        // TGI
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 100000. Given: 99500 `inputs` tokens and 1024 `max_new_tokens`",
            (Some(100_000), Some(99_500), Some(1024)),
        ),
        ("Input validation error: `inputs` must have less than 99999 tokens. Given: 100500", (Some(99_999), Some(100_500), None)),
        // llama.cpp
        ("request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it", (Some(8192), Some(9412), None)),
        ("input (100500 tokens) is larger than the max context size (100000 tokens). skipping", (Some(100_000), Some(100_500), None)),
        ("the request exceeds the available context size. try increasing the context size or enable context shift", (None, None, None)),
        // LM Studio
        (
            "Trying to keep the first 10136 tokens when context the overflows. However, the model is loaded with context length of only 7866 tokens, which is not enough. Try to load the model with a larger context length, or provide a shorter input",
            (Some(7866), None, None),
        ),
        (
            "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: 4096). Try to load the model with a larger context length, or provide a shorter input.",
            (Some(4096), None, None),
        ),
        (
            "The prompt initially needs 9000 tokens. However, the model is loaded with context length of only 4096 tokens",
            (Some(4096), Some(9000), None),
        ),
        // Ollama
        ("prompt too long; exceeded max context length by 4096 tokens", (None, None, None)),
        ("the input length exceeds the context length", (None, None, None)),
        // Fireworks, TensorRT-LLM
        ("The prompt is too long: 140000, model maximum context length: 131071", (Some(131_071), Some(140_000), None)),
        ("Prompt length (8300) exceeds maximum input length (8192). Set truncate_tokens", (Some(8192), Some(8300), None)),
    ]);
}

#[test]
fn the_words_of_other_providers_are_read() {
    check(&[
        // Anthropic
        ("prompt is too long: 213462 tokens > 200000 maximum", (Some(200_000), Some(213_462), None)),
        (
            "input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000, decrease input length or `max_tokens` and try again",
            (Some(200_000), Some(198_000), Some(8192)),
        ),
        // Gemini, Vertex AI
        ("The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).", (Some(1_048_575), Some(1_196_265), None)),
        ("The input token count exceeds the maximum number of tokens allowed 1048576.", (Some(1_048_576), None, None)),
        (
            "Unable to submit request because the input token count is 36000 but model only supports up to 32768. Reduce the input token count and try again.",
            (Some(32_768), Some(36_000), None),
        ),
        // Amazon Bedrock
        ("The model returned the following errors: Input is too long for requested model.", (None, None, None)),
        ("Too many input tokens. Max input tokens: 8192, request input token count: 11034", (Some(8192), Some(11_034), None)),
        // Mistral
        ("Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum context length", (Some(32768), Some(65673), None)),
        ("Prompt contains 300000 tokens, too large for model with 131072 maximum context length", (Some(131_072), Some(300_000), None)),
        // xAI
        ("This model's maximum prompt length is 131072 but the request contains 537812 tokens.", (Some(131_072), Some(537_812), None)),
        // Cohere
        ("too many tokens: total number of tokens (prompt and prediction) cannot exceed 2048 - received 6354.", (Some(2048), None, None)),
        (
            "too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs. The limit for this model is 128000 tokens.",
            (Some(128_000), None, None),
        ),
        // GitHub Copilot and Models
        ("prompt token count of 93854 exceeds the limit of 90000", (Some(90_000), Some(93_854), None)),
        ("Request body too large for gpt-4o model. Max size: 8000 tokens.", (Some(8000), None, None)),
        // Moonshot, Z.ai, MiniMax, DashScope, ds4
        ("Invalid request: Your request exceeded model token limit: 262144 (requested: 300000)", (Some(262_144), None, None)),
        ("Input length 877338 exceeds the maximum allowed input length of 639968 tokens", (Some(639_968), Some(877_338), None)),
        ("invalid params, context window exceeds limit (2013)", (None, None, None)),
        ("Range of input length should be [1, 129024]", (Some(129_024), None, None)),
        ("Prompt has 300,000 tokens, but the configured context size is 131,072 tokens", (Some(131_072), Some(300_000), None)),
    ]);
}

#[test]
fn what_is_no_overflow_is_none() {
    for words in [
        // OpenAI, Groq: rates
        "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 41041. The input or output tokens must be reduced in order to run successfully.",
        "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 4000. Please try again in 6s.",
        "Request too large for model `llama-3.1-8b` on tokens per minute (TPM): Limit 6000, Requested 8014, please reduce your message size and try again.",
        // Anthropic, Amazon, Google: rates and quotas
        "This request would exceed your organization's rate limit of 40,000 input tokens per minute.",
        "Throttling error: Too many tokens, please wait before trying again.",
        "Too many tokens, please wait before trying again.",
        "You exceeded your current quota, please check your plan and billing details.",
        "Resource has been exhausted (e.g. check quota).",
        // OpenAI, Anthropic, vLLM: the answer alone
        "max_tokens is too large: 200000. This model supports at most 16384 completion tokens, whereas you provided 200000.",
        "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for claude-sonnet-4-5",
        "max_tokens=200000 cannot be greater than max_model_len=100000. Please request fewer output tokens.",
        "max_tokens must be at least 1, got 0.",
        // OpenAI, Anthropic, nginx: characters and bytes
        "Invalid 'messages[0].content': string too long. Expected a string with maximum length 1048576, but got a string with length 1048600 instead.",
        "Request exceeds the maximum size",
        "413 Request Entity Too Large",
        // llama.cpp: a batch of embeddings
        "input is too large to process. increase the physical batch size",
        "the model refused",
        "",
    ] {
        assert_eq!(numbers(words), None, "{words}");
    }
}

#[test]
fn a_code_says_it_without_words_and_another_code_takes_words_back() {
    let sentence = "prompt is too long: 30 tokens > 20 maximum";
    assert_eq!(read(None, Some("context_length_exceeded"), "Zu lang."), Some(Overflow::default()));
    assert_eq!(read(Some("exceed_context_size_error"), None, ""), Some(Overflow::default()));
    for other in ["rate_limit_exceeded", "string_above_max_length", "insufficient_quota"] {
        assert_eq!(read(Some("invalid_request_error"), Some(other), sentence), None, "{other}");
    }
    assert_eq!(read(Some("request_too_large"), None, sentence), None);
    assert_eq!(read(Some("invalid_request_error"), Some("quite_new"), "The request is not valid."), None);
}

#[test]
fn numbers_that_contradict_themselves_or_are_none_are_left_out() {
    assert_eq!(numbers("prompt is too long: 5 tokens > 200000 maximum"), Some((None, None, None)));
    assert_eq!(numbers("prompt is too long: 99999999999999999999 tokens > 200000 maximum"), Some((None, None, None)));
    assert_eq!(numbers("maximum context length is 0 tokens"), Some((None, None, None)));
    assert_eq!(numbers("maximum context length is 1,5 tokens. prompt is too long"), Some((None, None, None)));
}

#[test]
fn words_beyond_the_bound_are_not_read() {
    let sentence = "prompt is too long: 30 tokens > 20 maximum";
    assert_eq!(numbers(&format!("{} {sentence}", "é".repeat(1000))), Some((Some(20), Some(30), None)));
    assert_eq!(numbers(&format!("{} {sentence}", "é".repeat(5000))), None);
}

#[test]
fn every_wording_begins_with_words_and_is_found_before_those_that_say_less() {
    for (at, wording) in WORDINGS.iter().enumerate() {
        assert!(wording.starts_with(|first: char| first == '(' || first.is_ascii_lowercase()), "{wording}");
        let written = wording.replace('*', " and so ").replace(['W', 'P', 'A', 'T', 'N'], "7");
        let first = WORDINGS.iter().position(|other| matched(&written, other).is_some());
        assert_eq!(first, Some(at), "{wording} is hidden by {:?}", first.map(|at| WORDINGS[at]));
    }
}

/// The error that an answer tells.
fn told(dialect: Dialect, status: u16, content_type: &str, body: &str) -> ReplyError {
    let mut reading = Reading::new(dialect, status, Some(content_type), None);
    reading.feed(body.as_bytes());
    reading.end();
    reading.into_reply().error.unwrap_or_else(|| panic!("no error in {body}"))
}

/// What all of them tell.
const OVERFLOW: Overflow = Overflow { window: Some(20), prompt: Some(30), answer: None };

#[test]
fn an_answer_of_every_dialect_tells_it_whatever_the_shape_of_its_error() {
    let check = |dialect: Dialect, status: u16, body: &str, expected: Option<Overflow>| {
        let error = told(dialect, status, "application/json", body);
        assert_eq!((error.overflow, error.status), (expected, Some(status)), "{body}");
    };
    let openai = r#"{"error":{"message":"This model's maximum context length is 20 tokens. However, your messages resulted in 30 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    for dialect in [Dialect::OpenaiChat, Dialect::OpenaiCompletions, Dialect::OpenaiEmbeddings, Dialect::OpenaiResponses] {
        check(dialect, 400, openai, Some(OVERFLOW));
    }
    let anthropic =
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 30 tokens > 20 maximum"},"request_id":"req_1"}"#;
    check(Dialect::AnthropicMessages, 400, anthropic, Some(OVERFLOW));
    let gemini = r#"{"error":{"code":400,"message":"The input token count (30) exceeds the maximum number of tokens allowed (20).","status":"INVALID_ARGUMENT"}}"#;
    check(Dialect::Gemini, 400, gemini, Some(OVERFLOW));
    check(Dialect::Gemini, 400, &format!("[{gemini}]"), Some(OVERFLOW));
    let chat = |status: u16, body: &str, expected: Option<Overflow>| check(Dialect::OpenaiChat, status, body, expected);
    // llama.cpp, with numbers of its own
    let numbers = r#"{"error":{"code":400,"type":"exceed_context_size_error","message":"the request exceeds the available context size, try increasing it","n_prompt_tokens":30,"n_ctx":20}}"#;
    chat(400, numbers, Some(OVERFLOW));
    // vLLM and Mistral lie bare, xAI and LM Studio say a text, FastAPI a detail, Amazon a Message
    chat(
        400,
        r#"{"object":"error","message":"This model's maximum context length is 20 tokens. However, your request has 30 input tokens.","type":"BadRequestError","code":400}"#,
        Some(OVERFLOW),
    );
    chat(
        400,
        r#"{"object":"error","message":{"detail":[{"msg":"Prompt contains 30 tokens, too large for model with 20 maximum context length"}]}}"#,
        Some(OVERFLOW),
    );
    chat(
        400,
        r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 20 but the request contains 30 tokens."}"#,
        Some(OVERFLOW),
    );
    chat(500, r#"{"detail":"Requested tokens (30) exceed context window of 20"}"#, Some(OVERFLOW));
    chat(400, r#"{"Message":"Too many input tokens. Max input tokens: 20, request input token count: 30"}"#, Some(OVERFLOW));
    // OpenRouter and Cloudflare quote what was said to them
    chat(
        400,
        r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"message\":\"prompt is too long: 30 tokens > 20 maximum\"}"}}}"#,
        Some(OVERFLOW),
    );
    chat(
        400,
        r#"{"errors":[{"message":"AiError: {\"message\":\"The input (30 tokens) is longer than the model's context length (20 tokens).\"}","code":8007}],"success":false}"#,
        Some(OVERFLOW),
    );
    chat(
        429,
        r#"{"error":{"message":"Rate limit reached on tokens per min (TPM): Limit 20, Used 10, Requested 30.","type":"tokens","code":"rate_limit_exceeded"}}"#,
        None,
    );
    chat(400, r#"{"choices":[],"x":"prompt is too long: 30 tokens > 20 maximum"}"#, None);
}

#[test]
fn a_stream_of_every_dialect_tells_it_in_an_event() {
    let check = |dialect: Dialect, content_type: &str, event: &str| {
        let error = told(dialect, 200, content_type, event);
        assert_eq!((error.overflow, error.status), (Some(OVERFLOW), Some(400)), "{event}");
    };
    let sse = "text/event-stream";
    let words = "prompt is too long: 30 tokens > 20 maximum";
    check(Dialect::OpenaiChat, sse, &format!("data: {{\"error\":{{\"message\":\"{words}\",\"type\":\"BadRequestError\",\"code\":400}}}}\n\n"));
    check(Dialect::OpenaiChat, sse, &format!("event: error\ndata: {{\"error\":\"{words}\"}}\n\n"));
    check(Dialect::OpenaiCompletions, sse, &format!("data: {{\"error\":{{\"message\":\"{words}\"}}}}\n\n"));
    check(
        Dialect::OpenaiResponses,
        sse,
        &format!("event: error\ndata: {{\"type\":\"error\",\"code\":\"context_length_exceeded\",\"message\":\"{words}\"}}\n\n"),
    );
    let failed =
        format!(r#"{{"type":"response.failed","response":{{"status":"failed","error":{{"code":"context_length_exceeded","message":"{words}"}}}}}}"#);
    check(Dialect::OpenaiResponses, sse, &format!("event: response.failed\ndata: {failed}\n\n"));
    let anthropic = format!(r#"{{"type":"error","error":{{"type":"invalid_request_error","message":"{words}"}}}}"#);
    check(Dialect::AnthropicMessages, sse, &format!("event: error\ndata: {anthropic}\n\n"));
    check(Dialect::Gemini, sse, &format!("data: {{\"error\":{{\"code\":400,\"message\":\"{words}\",\"status\":\"INVALID_ARGUMENT\"}}}}\r\n\r\n"));
    check(Dialect::Ollama, "application/x-ndjson", &format!("{{\"error\":\"{words}\"}}\n"));
}
