//! Reads errors that providers tell, as an object or a text. Their messages are looked through for numbers and never kept: they can quote the prompt.

use std::borrow::Cow;

use super::{ReplyError, json::Json, overflow, overflow::Overflow, skim::unescaped_lossy};

/// Longest kind or code that is kept, in characters.
const WORD_MAX: usize = 64;

/// What an error object (or text) says. Of a text, and of an object's sentences, only the numbers of a prompt that was too long.
pub(super) fn read(error: Json<'_>) -> ReplyError {
    let [kind, status, code] = error.fields(["type", "status", "code"]).unwrap_or_default();
    // An event's own `"type": "error"` is no kind of error.
    let kind = kind.and_then(word).filter(|kind| kind != "error").or_else(|| status.and_then(word));
    let number = code.or(status).and_then(http_status);
    let code = code.and_then(word).filter(|code| code.parse::<u64>().is_err());
    let overflow = overflow(error, kind.as_deref(), code.as_deref());
    let status = number.or_else(|| code.as_deref().and_then(status_of)).or_else(|| kind.as_deref().and_then(status_of));
    // Whoever says so in a sentence alone would have answered 400.
    let status = status.or_else(|| overflow.map(|_| 400));
    ReplyError { kind, code, status, overflow }
}

/// What it says of a prompt that was too long, wherever its sentences stand: in `message` (most), `Message` (Amazon), `detail` (`FastAPI`), an `error` or
/// `errors` of its own (gateways), or `metadata` (`OpenRouter`, which quotes the provider). llama.cpp has numbers beside its words.
fn overflow(error: Json<'_>, kind: Option<&str>, code: Option<&str>) -> Option<Overflow> {
    let names = ["message", "Message", "detail", "error", "errors", "metadata", "n_prompt_tokens", "n_ctx"];
    let Some([message, upper, detail, inner, errors, metadata, prompt, window]) = error.fields(names) else {
        return overflow::read(kind, code, &sentence(error));
    };
    let words = [message, upper, detail, inner, errors, metadata].into_iter().flatten().map(sentence).collect::<Vec<_>>().join(" ");
    let told = overflow::read(kind, code, &words)?;
    let number = |value: Option<Json<'_>>| value.and_then(Json::tokens).filter(|tokens| *tokens > 0);
    Some(Overflow { window: number(window).or(told.window), prompt: number(prompt).or(told.prompt), answer: told.answer })
}

/// The beginning of a text, or of whatever stands in its place.
fn sentence(value: Json<'_>) -> Cow<'_, str> {
    let raw = value.quoted().unwrap_or(value.raw());
    unescaped_lossy(&raw[..raw.len().min(overflow::WORDS_MAX)])
}

/// Whether a value that stands where an error would is one: a text, or an object that says something.
pub(super) fn is_error(value: Json<'_>) -> bool {
    value.is_text() || value.is_filled()
}

/// A word of a provider's vocabulary, cut to its bound; `None` for what is no such word and so might be a sentence.
fn word(value: Json<'_>) -> Option<String> {
    let word = value.word().filter(|word| !word.is_empty())?;
    let is_plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    is_plain.then(|| word.chars().take(WORD_MAX).collect())
}

/// A number, or a text of digits, that is an HTTP status of an error.
fn http_status(value: Json<'_>) -> Option<u16> {
    let number = value.number().or_else(|| value.word()?.parse().ok())?;
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

/// The HTTP status that a kind or code stands for. `None` for one that is not known here: whether to try again is then for
/// the caller to decide. Sources: the error pages of the OpenAI, Anthropic and Gemini APIs (google.rpc.Code for the last), and what
/// compatible servers send.
fn status_of(word: &str) -> Option<u16> {
    let plain: String = word.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    Some(match plain.trim_end_matches("error") {
        "invalidrequest"
        | "badrequest"
        | "contextlengthexceeded"
        | "exceedcontextsize"
        | "modelcontextwindowexceeded"
        | "contextwindowexceeded"
        | "invalidargument"
        | "failedprecondition"
        | "outofrange"
        | "invalidprompt"
        | "contentfilter"
        | "contentpolicyviolation"
        | "stringabovemaxlength" => 400,
        "authentication" | "invalidapikey" | "unauthenticated" | "unauthorized" => 401,
        "billing" => 402,
        "permission" | "permissiondenied" | "forbidden" => 403,
        "notfound" | "modelnotfound" => 404,
        "aborted" | "conflict" | "alreadyexists" => 409,
        "requesttoolarge" => 413,
        "unprocessableentity" => 422,
        "ratelimit" | "ratelimitexceeded" | "toomanyrequests" | "resourceexhausted" | "insufficientquota" | "requests" | "tokens" => 429,
        "cancelled" => 499,
        "api" | "server" | "internal" | "internalserver" | "unknown" | "dataloss" => 500,
        "unimplemented" => 501,
        "unavailable" | "serviceunavailable" | "engineoverloaded" | "serveroverloaded" | "slowdown" => 503,
        "timeout" | "requesttimeout" | "gatewaytimeout" | "deadlineexceeded" => 504,
        "overloaded" => 529,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_by_its_number_its_code_and_its_kind() {
        let check = |text: &str, kind: Option<&str>, code: Option<&str>, status: Option<u16>| {
            let expected = ReplyError { kind: kind.map(str::to_owned), code: code.map(str::to_owned), status, overflow: None };
            assert_eq!(read(Json::new(text.as_bytes())), expected, "{text}");
        };
        check(r#"{"type":"overloaded_error","message":"Overloaded"}"#, Some("overloaded_error"), None, Some(529));
        check(r#"{"type":"tokens","code":"rate_limit_exceeded"}"#, Some("tokens"), Some("rate_limit_exceeded"), Some(429));
        check(r#"{"type":"insufficient_quota","code":"insufficient_quota"}"#, Some("insufficient_quota"), Some("insufficient_quota"), Some(429));
        check(r#"{"type":"invalid_request_error","code":"invalid_api_key"}"#, Some("invalid_request_error"), Some("invalid_api_key"), Some(401));
        check(r#"{"type":"invalid_request_error","code":null}"#, Some("invalid_request_error"), None, Some(400));
        check(r#"{"type":"BadRequestError","code":400}"#, Some("BadRequestError"), None, Some(400));
        check(r#"{"code":503,"message":"x","status":"UNAVAILABLE"}"#, Some("UNAVAILABLE"), None, Some(503));
        check(r#"{"status":"RESOURCE_EXHAUSTED"}"#, Some("RESOURCE_EXHAUSTED"), None, Some(429));
        check(r#"{"code":"502"}"#, None, None, Some(502));
        check(r#"{"type":"error","code":"server_error"}"#, None, Some("server_error"), Some(500));
        check(r#"{"type":"timeout_error"}"#, Some("timeout_error"), None, Some(504));
        check(r#"{"type":"quite_new"}"#, Some("quite_new"), None, None);
        check(r#"{"code":200}"#, None, None, None);
        check(r#"{"code":99999999999999999999}"#, None, None, None);
        check(r#""model not loaded""#, None, None, None);
    }

    #[test]
    fn sentences_and_escapes_are_no_words() {
        assert_eq!(read(Json::new(br#"{"type":"you said: secret","code":"a\nb"}"#)), ReplyError::default());
        let long = read(Json::new(format!(r#"{{"type":"{}"}}"#, "x".repeat(1000)).as_bytes()));
        assert_eq!(long.kind.map(|kind| kind.len()), Some(64));
    }
}
