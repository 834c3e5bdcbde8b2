//! Answers as real servers (and captures of them) send them, each fed whole, byte by byte and in random pieces: all must agree.

use super::*;
use crate::wire::{ReplyError, TextMark, ToolCall, Usage};

const SSE: Option<&str> = Some("text/event-stream; charset=utf-8");
const JSON: Option<&str> = Some("application/json");
const NDJSON: Option<&str> = Some("application/x-ndjson");

/// All that a reader says of an answer.
#[derive(Debug, Default, PartialEq)]
struct Said {
    reply: Reply,
    progress: Progress,
    at_boundary: bool,
    skipped: Option<Skipped>,
    is_opaque: bool,
    is_stream: bool,
}

fn said(mut reading: Reading, pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> Said {
    for piece in pieces {
        let progress = reading.feed(piece.as_ref());
        assert_eq!(progress, reading.progress());
    }
    let at_boundary = reading.at_boundary();
    let progress = reading.end();
    assert_eq!(reading.end(), progress, "a second end says the same");
    let (skipped, is_opaque, is_stream) = (reading.skipped(), reading.is_opaque(), reading.is_stream());
    Said { reply: reading.into_reply(), progress, at_boundary, skipped, is_opaque, is_stream }
}

/// What is said of an answer, however it is split.
fn read(dialect: Dialect, status: u16, content_type: Option<&str>, body: &[u8]) -> Said {
    let new = || Reading::new(dialect, status, content_type, None);
    let whole = said(new(), std::iter::once(body));
    if body.len() < 100_000 {
        assert_eq!(said(new(), body.chunks(1)), whole, "byte by byte");
    }
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..20 {
        let most = random.usize(1..=body.len().max(1));
        let mut rest = body;
        let pieces = std::iter::from_fn(|| {
            let (piece, after) = rest.split_at_checked(random.usize(0..=most)).unwrap_or((rest, &[]));
            let is_over = rest.is_empty();
            rest = after;
            (!is_over).then_some(piece)
        });
        assert_eq!(said(new(), pieces), whole, "in pieces of up to {most}");
    }
    whole
}

fn reply(id: &str, model: &str, reasons: &[&str], usage: Usage) -> Reply {
    let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let finish_reasons = reasons.iter().map(|reason| (*reason).to_owned()).collect();
    Reply { id: name(id), model: name(model), finish_reasons, usage, ..Reply::default() }
}

fn saying(text: &str, reply: Reply) -> Reply {
    Reply { text: TextMark::of(text), short_text: Some(text.to_owned()), ..reply }
}

/// What the captured answers say.
fn hello(reply: Reply) -> Reply {
    saying("Hello from the mock model.", reply)
}

fn fingerprinted(reply: Reply) -> Reply {
    Reply { system_fingerprint: Some("fp_mock".to_owned()), ..reply }
}

fn tiered(reply: Reply) -> Reply {
    Reply { service_tier: Some("default".to_owned()), ..reply }
}

/// What the captured answers call: the weather of cities, by these ids.
fn weather(calls: &[(&str, &str)], spaces: &str, reply: Reply) -> Reply {
    let call = |(id, city): &(&str, &str)| ToolCall {
        id: (!id.is_empty()).then(|| (*id).to_owned()),
        name: "get_weather".to_owned(),
        mark: TextMark::of(&format!("{{\"city\":\"{city}\"}}")),
        arguments: Some(format!("{{\"city\":{spaces}\"{city}\"}}")),
    };
    Reply { tool_calls: calls.iter().map(call).collect(), ..reply }
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), ..Usage::default() }
}

/// A stream that came to its end: so many events, with content, finished, read to the last byte.
fn stream(events: u64, reply: Reply) -> Said {
    Said { reply, progress: Progress { events, content: true, finished: true, error: false }, at_boundary: true, is_stream: true, ..Said::default() }
}

/// A whole body that was read.
fn whole(content: bool, reply: Reply) -> Said {
    Said { reply, progress: Progress { content, finished: true, ..Progress::default() }, ..Said::default() }
}

#[test]
fn captured_streams_are_read_in_every_dialect() {
    let check = |dialect, content_type, body: &[u8], expected: Said| assert_eq!(read(dialect, 200, content_type, body), expected, "{dialect}");
    let text = include_bytes!("../../../tests/fixtures/openai-chat/text.sse");
    check(
        Dialect::OpenaiChat,
        SSE,
        text,
        stream(8, fingerprinted(hello(reply("chatcmpl-mock00000001", "gpt-4o-mini", &["stop"], Usage::default())))),
    );
    let tools = include_bytes!("../../../tests/fixtures/openai-chat/tools.sse");
    let usage = Usage { cache_read: Some(0), reasoning: Some(0), ..tokens(30, 61) };
    let calls = [("call_mock00000002", "Paris"), ("call_mock00000003", "Rome")];
    let expected = weather(&calls, " ", reply("chatcmpl-mock00000001", "gpt-4o-mini", &["tool_calls"], usage));
    check(Dialect::OpenaiChat, SSE, tools, stream(10, fingerprinted(expected)));
    let text = include_bytes!("../../../tests/fixtures/openai-responses/text.sse");
    let usage = Usage { cache_read: Some(0), cache_write: Some(0), reasoning: Some(0), ..tokens(1, 50) };
    check(Dialect::OpenaiResponses, SSE, text, stream(13, hello(reply("resp_mock00000006", "gpt-4o-mini", &["completed"], usage))));
    let usage = |output| Usage { cache_read: Some(0), cache_write: Some(0), ..tokens(9, output) };
    let tools = include_bytes!("../../../tests/fixtures/anthropic-messages/tools.sse");
    let calls = [("toolu_mock00000002", "Paris"), ("toolu_mock00000003", "Rome")];
    let expected = weather(&calls, " ", reply("msg_mock00000001", "claude-sonnet-4-5", &["tool_use"], usage(50)));
    check(Dialect::AnthropicMessages, SSE, tools, stream(14, expected));
    let comments = include_bytes!("../../../tests/fixtures/anthropic-messages/comments.sse");
    check(Dialect::AnthropicMessages, SSE, comments, stream(11, hello(reply("msg_mock00000001", "claude-sonnet-4-5", &["end_turn"], usage(14)))));
    let text = include_bytes!("../../../tests/fixtures/gemini/text.sse");
    check(Dialect::Gemini, SSE, text, stream(5, hello(reply("mockresp", "gemini-2.5-flash", &["STOP"], tokens(12, 7)))));
    let text = include_bytes!("../../../tests/fixtures/ollama/text.ndjson");
    check(Dialect::Ollama, NDJSON, text, stream(6, hello(reply("", "mock", &["stop"], tokens(22, 7)))));
}

#[test]
fn captured_whole_answers_are_read_in_every_dialect() {
    let check = |dialect, body: &[u8], content, reply| assert_eq!(read(dialect, 200, JSON, body), whole(content, reply), "{dialect}");
    let body = include_bytes!("../../../tests/fixtures/openai-chat/whole.json");
    let usage = Usage { cache_read: Some(0), reasoning: Some(0), ..tokens(30, 7) };
    check(Dialect::OpenaiChat, body, true, tiered(fingerprinted(hello(reply("chatcmpl-mock00000001", "gpt-4o-mini", &["stop"], usage)))));
    let body = include_bytes!("../../../tests/fixtures/openai-responses/whole.json");
    let usage = Usage { cache_read: Some(0), cache_write: Some(0), reasoning: Some(0), ..tokens(2, 42) };
    let expected = weather(&[("call_mock00000003", "Paris")], " ", reply("resp_mock00000001", "gpt-4o-mini", &["completed"], usage));
    check(Dialect::OpenaiResponses, body, true, expected);
    let body = include_bytes!("../../../tests/fixtures/openai-embeddings/whole.json");
    let usage = Usage { input: Some(2), ..Usage::default() };
    check(Dialect::OpenaiEmbeddings, body, false, reply("", "text-embedding-3-small", &[], usage));
    let body = include_bytes!("../../../tests/fixtures/anthropic-messages/whole.json");
    let usage = Usage { cache_read: Some(0), cache_write: Some(0), ..tokens(9, 60) };
    let calls = [("toolu_mock00000002", "Paris"), ("toolu_mock00000003", "Rome")];
    let expected = weather(&calls, "", reply("msg_mock00000001", "claude-sonnet-4-5", &["tool_use"], usage));
    check(Dialect::AnthropicMessages, body, true, saying("Let me look.", expected));
    let body = include_bytes!("../../../tests/fixtures/gemini/whole.json");
    let expected = weather(&[("", "Paris"), ("", "Rome")], "", reply("mockresp", "gemini-2.5-flash", &["STOP"], tokens(12, 34)));
    check(Dialect::Gemini, body, true, expected);
    let body = include_bytes!("../../../tests/fixtures/ollama/whole.json");
    check(Dialect::Ollama, body, true, hello(reply("", "mock", &["stop"], tokens(22, 7))));
}

#[test]
fn the_first_token_is_the_first_delta_with_substance() {
    // The number of the event that brings content; 0 for none.
    let check = |dialect, body: &str, expected: u64| {
        let mut reading = Reading::new(dialect, 200, SSE, None);
        let first = body.bytes().find_map(|byte| Some(reading.feed(&[byte])).filter(|progress| progress.content));
        assert_eq!(first.map_or(0, |progress| progress.events), expected, "{dialect} {body}");
    };
    let chat = |delta: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
    let role = chat(r#"{"role":"assistant","content":"","tool_calls":[],"refusal":null}"#);
    for substance in [r#"{"content":"a"}"#, r#"{"reasoning_content":"a"}"#, r#"{"reasoning":"a"}"#, r#"{"refusal":"a"}"#, r#"{"tool_calls":[{}]}"#] {
        check(Dialect::OpenaiChat, &format!(": hi\n\n{role}{}", chat(substance)), 2);
    }
    check(Dialect::OpenaiChat, &chat(r#"{"content":null}"#), 0);
    check(Dialect::OpenaiChat, "data: {\"choices\":[],\"prompt_filter_results\":[{}]}\n\n", 0);
    check(Dialect::OpenaiChat, &chat("{\"content\":\"\\ud800\"}"), 1);
    check(Dialect::OpenaiCompletions, "data: {\"choices\":[{\"text\":\"\"}]}\n\ndata: {\"choices\":[{\"text\":\"a\"}]}\n\n", 2);
    let files = [
        (Dialect::OpenaiChat, include_str!("../../../tests/fixtures/openai-chat/tools.sse"), 2),
        (Dialect::OpenaiResponses, include_str!("../../../tests/fixtures/openai-responses/text.sse"), 5),
        (Dialect::AnthropicMessages, include_str!("../../../tests/fixtures/anthropic-messages/tools.sse"), 2),
        (Dialect::AnthropicMessages, include_str!("../../../tests/fixtures/anthropic-messages/comments.sse"), 4),
        (Dialect::Gemini, include_str!("../../../tests/fixtures/gemini/text.sse"), 1),
    ];
    for (dialect, body, expected) in files {
        check(dialect, body, expected);
    }
    let call = "data: {\"type\":\"response.output_item.added\",\"item\":{\"type\":\"function_call\"}}\n\n";
    check(Dialect::OpenaiResponses, call, 1);
    check(Dialect::OpenaiResponses, "event: response.refusal.delta\ndata: {}\n\n", 1);
    let thinking = "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"a\"}}\n\n";
    check(Dialect::AnthropicMessages, thinking, 1);
    check(Dialect::AnthropicMessages, "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\"}}\n\n", 0);
}

#[test]
fn an_answer_is_finished_when_every_choice_or_the_terminator_says_so() {
    let check = |dialect, content_type, body: &str, expected: bool| {
        assert_eq!(read(dialect, 200, content_type, body.as_bytes()).progress.finished, expected, "{dialect} {body}");
    };
    let end = |index: u32| format!("data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":\"stop\"}}]}}\n\n");
    let go_on = |index: u32| format!("data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":null}}]}}\n\n");
    check(Dialect::OpenaiChat, SSE, "", false);
    check(Dialect::OpenaiChat, SSE, &go_on(0), false);
    check(Dialect::OpenaiChat, SSE, &format!("{}{}", go_on(0), end(0)), true);
    check(Dialect::OpenaiChat, SSE, &format!("{}{}{}", go_on(0), go_on(1), end(1)), false);
    check(Dialect::OpenaiChat, SSE, &format!("{}{}{}{}", go_on(0), go_on(1), end(1), end(0)), true);
    check(Dialect::OpenaiChat, SSE, &format!("{}data: [DONE]\n\n", go_on(0)), true);
    check(Dialect::OpenaiChat, SSE, &format!("{}data: [DONE]", go_on(0)), true);
    check(Dialect::OpenaiChat, SSE, end(0).trim_end(), true);
    check(Dialect::OpenaiChat, SSE, &end(0)[..end(0).len() - 5], false);
    check(Dialect::OpenaiChat, SSE, "data: {\"choices\":[{\"finish_reason\":\"\"}]}\n\n", false);
    check(Dialect::OpenaiResponses, SSE, "data: {\"type\":\"response.output_text.done\"}\n\n", false);
    check(Dialect::OpenaiResponses, SSE, "event: response.incomplete\ndata: {}\n\n", true);
    check(Dialect::AnthropicMessages, SSE, "event: message_stop\ndata: {}\n\n", true);
    check(Dialect::AnthropicMessages, SSE, "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n", true);
    check(Dialect::AnthropicMessages, SSE, "data: {\"type\":\"content_block_stop\"}\n\ndata: [DONE]\n\n", false);
    check(Dialect::Gemini, SSE, "data: {\"candidates\":[{\"content\":{}}]}\n\n", false);
    check(Dialect::Gemini, SSE, "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n", true);
    check(Dialect::Ollama, NDJSON, include_str!("../../../tests/fixtures/ollama/cut.ndjson"), false);
    check(Dialect::Ollama, NDJSON, "{\"done\":true}", true);
    check(Dialect::Ollama, NDJSON, "{\"done\":true", false);
    check(Dialect::OpenaiChat, JSON, "{\"choices\":[", false);
}

#[test]
fn finish_reasons_stand_in_order_of_choices() {
    let body =
        "data: {\"choices\":[{\"index\":1,\"finish_reason\":\"length\"}]}\n\ndata: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(read(Dialect::OpenaiChat, 200, SSE, body.as_bytes()).reply.finish_reasons, ["stop", "length"]);
    let body = r#"{"choices":[{"finish_reason":"a"},{"finish_reason":"b"}]}"#;
    assert_eq!(read(Dialect::OpenaiChat, 200, JSON, body.as_bytes()).reply.finish_reasons, ["a", "b"]);
    let many: Vec<_> = (0..10_000).map(|index| format!("{{\"index\":{index},\"finish_reason\":\"x\"}}")).collect();
    let body = format!("{{\"choices\":[{}]}}", many.join(","));
    assert_eq!(said(Reading::new(Dialect::OpenaiChat, 200, JSON, None), std::iter::once(body)).reply.finish_reasons.len(), 128);
}

#[test]
fn of_counts_the_last_valid_one_wins() {
    let check = |dialect, events: &[&str], expected: Usage| {
        let body = format!("data: {}\n\n", events.join("\n\ndata: "));
        assert_eq!(read(dialect, 200, SSE, body.as_bytes()).reply.usage, expected, "{dialect} {events:?}");
    };
    let chat = |usage: &str| format!("{{\"usage\":{usage}}}");
    let good = chat(r#"{"prompt_tokens":5,"completion_tokens":7}"#);
    for bad in ["null", "-1", "\"9\"", "1e308", "1e999", "1.5", "99999999999999999999", "18446744073709551615", "[]", "{}", "true"] {
        let bad = chat(&format!("{{\"prompt_tokens\":{bad},\"completion_tokens\":{bad},\"prompt_tokens_details\":{bad}}}"));
        check(Dialect::OpenaiChat, &[&good, &bad], tokens(5, 7));
        check(Dialect::OpenaiChat, &[&bad], Usage::default());
    }
    check(Dialect::OpenaiChat, &[&good, &chat("7"), &chat(r#"{"completion_tokens":8}"#)], tokens(5, 8));
    let groq = r#"{"usage":null,"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":2}}}"#;
    check(Dialect::OpenaiChat, &[groq], tokens(1, 2));
    let xai = chat(r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":10,"completion_tokens_details":{"reasoning_tokens":7}}"#);
    check(Dialect::OpenaiChat, &[&xai], Usage { reasoning: Some(7), ..tokens(1, 9) });
    let details = r#"{"prompt_tokens":9,"completion_tokens":8,"total_tokens":17,
        "prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}"#;
    let expected = Usage { cache_read: Some(4), reasoning: Some(3), ..tokens(9, 8) };
    check(Dialect::OpenaiChat, &[&chat(&details.replace('\n', ""))], expected);
    let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"cache_read_input_tokens":10,"cache_creation_input_tokens":20,"output_tokens":1}}}"#;
    let delta = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":6,"input_tokens":null}}"#;
    check(Dialect::AnthropicMessages, &[start, delta], Usage { cache_read: Some(10), cache_write: Some(20), ..tokens(33, 6) });
    let deepseek = chat(r#"{"prompt_tokens":9,"completion_tokens":1,"prompt_cache_hit_tokens":6,"prompt_cache_miss_tokens":3}"#);
    check(Dialect::OpenaiChat, &[&deepseek], Usage { cache_read: Some(6), ..tokens(9, 1) });
    let moonshot = r#"{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":1,"cached_tokens":6}}]}"#;
    check(Dialect::OpenaiChat, &[moonshot], Usage { cache_read: Some(6), ..tokens(9, 1) });
    let perplexity = chat(r#"{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,"citation_tokens":7,"reasoning_tokens":4}"#);
    check(Dialect::OpenaiChat, &[&perplexity], Usage { reasoning: Some(4), ..tokens(9, 5) });
    let completed = r#"{"type":"response.completed","response":{"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":2},
        "output_tokens":5,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":14}}}"#;
    check(Dialect::OpenaiResponses, &[&completed.replace('\n', "")], Usage { cache_read: Some(2), reasoning: Some(4), ..tokens(9, 5) });
    let early = r#"{"usageMetadata":{"promptTokenCount":5,"thoughtsTokenCount":4}}"#;
    let late = r#"{"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":3}}"#;
    check(Dialect::Gemini, &[early, late], Usage { reasoning: Some(4), ..tokens(5, 7) });
    let gemini = r#"{"usageMetadata":{"promptTokenCount":5,"toolUsePromptTokenCount":2,"candidatesTokenCount":3,"thoughtsTokenCount":4,"cachedContentTokenCount":1}}"#;
    check(Dialect::Gemini, &[gemini], Usage { cache_read: Some(1), reasoning: Some(4), ..tokens(7, 7) });
}

#[test]
fn tokens_that_are_only_counted_are_not_spent() {
    let check = |dialect, body: &str, expected: Option<u64>| {
        let said = read(dialect, 200, JSON, body.as_bytes());
        assert_eq!((said.reply.counted, said.reply.usage), (expected, Usage::default()), "{dialect} {body}");
    };
    check(Dialect::AnthropicMessages, r#"{"input_tokens":2095}"#, Some(2095));
    check(Dialect::Gemini, r#"{"totalTokens":31,"totalBillableCharacters":96}"#, Some(31));
    check(Dialect::AnthropicMessages, r#"{"input_tokens":"many"}"#, None);
    check(Dialect::OpenaiChat, r#"{"input_tokens":2095}"#, None);
}

#[test]
fn what_served_an_answer_is_told_as_it_was_in_the_end() {
    let created = r#"{"type":"response.created","response":{"id":"r","service_tier":"auto"}}"#;
    let completed = r#"{"type":"response.completed","response":{"id":"r","service_tier":"flex"}}"#;
    let body = format!("data: {created}\n\ndata: {completed}\n\n");
    assert_eq!(read(Dialect::OpenaiResponses, 200, SSE, body.as_bytes()).reply.service_tier.as_deref(), Some("flex"));
}

#[test]
fn errors_are_found_in_streams_and_in_place_of_answers() {
    let check = |dialect, content_type, body: &str, kind: Option<&str>, status: Option<u16>| {
        let said = read(dialect, 200, content_type, body.as_bytes());
        assert!(said.progress.error, "{dialect} {body}");
        let error = said.reply.error.unwrap();
        assert_eq!((error.kind.as_deref(), error.status), (kind, status), "{dialect} {body}");
    };
    let error = r#"{"error":{"message":"m","type":"server_error","param":null,"code":null}}"#;
    check(Dialect::OpenaiChat, SSE, &format!("data: {error}\n\n"), Some("server_error"), Some(500));
    check(Dialect::OpenaiChat, SSE, &format!("event: error\ndata: {error}\n\n"), Some("server_error"), Some(500));
    check(Dialect::OpenaiChat, SSE, "event: error\ndata: {\"type\":\"overloaded_error\"}\n\n", Some("overloaded_error"), Some(529));
    check(Dialect::OpenaiChat, SSE, "event: error\ndata: out of memory\n\n", None, None);
    check(Dialect::OpenaiChat, SSE, error, Some("server_error"), Some(500));
    check(Dialect::OpenaiChat, JSON, error, Some("server_error"), Some(500));
    check(Dialect::OpenaiChat, JSON, r#"{"object":"error","type":"BadRequestError","code":400}"#, Some("BadRequestError"), Some(400));
    check(Dialect::OpenaiChat, JSON, r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]"#, Some("RESOURCE_EXHAUSTED"), Some(429));
    check(Dialect::OpenaiResponses, SSE, "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\"}\n\n", None, Some(500));
    let failed = r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}}"#;
    check(Dialect::OpenaiResponses, SSE, &format!("data: {failed}\n\n"), None, Some(429));
    let overloaded = include_str!("../../../tests/fixtures/anthropic-messages/error.sse");
    check(Dialect::AnthropicMessages, SSE, overloaded, Some("overloaded_error"), Some(529));
    let unavailable = include_str!("../../../tests/fixtures/gemini/error.sse");
    check(Dialect::Gemini, SSE, unavailable, Some("UNAVAILABLE"), Some(503));
    check(Dialect::Ollama, NDJSON, "{\"error\":\"model runner has stopped\"}\n", None, None);
}

#[test]
fn an_error_status_makes_any_object_an_error() {
    let check = |body: &str, expected: &ReplyError| {
        let said = read(Dialect::OpenaiChat, 400, JSON, body.as_bytes());
        assert!(said.progress.error && said.progress.finished);
        assert_eq!(said.reply.error.as_ref(), Some(expected), "{body}");
    };
    check(r#"{"detail":"Not Found"}"#, &ReplyError { status: Some(400), ..ReplyError::default() });
    let flat = ReplyError { kind: Some("BadRequestError".to_owned()), code: None, status: Some(400), overflow: None };
    check(r#"{"message":"m","type":"BadRequestError","code":400}"#, &flat);
    let quota =
        ReplyError { kind: Some("insufficient_quota".to_owned()), code: Some("insufficient_quota".to_owned()), status: Some(400), overflow: None };
    check(r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#, &quota);
}

#[test]
fn no_part_of_a_usual_answer_is_an_error() {
    for body in [r#"{"error":null}"#, r#"{"error":{}}"#, r#"{"error":""}"#, r#"{"error":false}"#, r#"{"choices":[{"delta":{"error":"x"}}]}"#] {
        for dialect in [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages, Dialect::Gemini, Dialect::Ollama] {
            assert!(!read(dialect, 200, JSON, body.as_bytes()).progress.error, "{dialect} {body}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let check = |content_type, body: &[u8], expected: Option<Skipped>, stream: bool| {
        let said = read(Dialect::OpenaiChat, 200, content_type, body);
        assert_eq!(
            (said.skipped, said.is_opaque, said.is_stream),
            (expected, true, stream),
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(80)])
        );
    };
    check(SSE, b"data: hello\n\n", Some(Skipped::Parse), true);
    check(SSE, b"data: 7\n\n", Some(Skipped::Parse), true);
    check(JSON, b"{\"id\":", Some(Skipped::Parse), false);
    check(JSON, b"{} {}", Some(Skipped::Parse), false);
    check(JSON, b"<html>", Some(Skipped::Parse), false);
    check(Some("text/html"), b"<html>", None, false);
    check(None, b"oops", None, false);
    check(SSE, format!("data: {{\"x\":\"{}\"}}\n\n", "x".repeat(1 << 20)).as_bytes(), Some(Skipped::EventSize), true);
    check(JSON, format!("{{\"x\":\"{}\"}}", "x".repeat(BODY_MAX)).as_bytes(), Some(Skipped::Size), false);
}

#[test]
fn an_event_that_is_too_long_does_not_hide_the_next_one() {
    let long = "x".repeat(2 << 20);
    let body = format!("data: {{\"x\":\"{long}\"}}\n\ndata: {{\"choices\":[{{\"finish_reason\":\"stop\"}}]}}\n\n");
    let said = read(Dialect::OpenaiChat, 200, SSE, body.as_bytes());
    assert_eq!(said.progress, Progress { events: 2, content: false, finished: true, error: false });
    assert!(said.at_boundary && said.is_opaque);
}

#[test]
fn a_deep_event_is_no_danger() {
    let (open, close) = ("[".repeat(400_000), "]".repeat(400_000));
    let body = format!("data: {{\"choices\":{open}{close}}}\n\ndata: {open}\n\ndata: [DONE]\n\n");
    let said = read(Dialect::OpenaiChat, 200, SSE, body.as_bytes());
    assert_eq!((said.progress.events, said.progress.finished, said.skipped), (3, true, Some(Skipped::Parse)));
}

#[test]
fn an_answer_in_a_coding_that_is_not_read_is_opaque_from_the_start() {
    for encoding in ["compress", "gzip, br", "identity, gzip"] {
        let mut reading = Reading::new(Dialect::OpenaiChat, 200, SSE, Some(encoding));
        assert!(reading.is_opaque() && !reading.at_boundary() && !reading.is_stream());
        reading.feed(b"data: [DONE]\n\n");
        assert_eq!(reading.end(), Progress::default());
        assert_eq!(reading.skipped(), Some(Skipped::Encoding));
        assert!(!reading.at_boundary());
    }
    for encoding in ["identity", "", "Identity"] {
        let mut reading = Reading::new(Dialect::OpenaiChat, 200, SSE, Some(encoding));
        assert!(reading.feed(b"data: [DONE]\n\n").finished && !reading.is_opaque());
    }
}

#[test]
fn a_body_is_read_by_what_it_is_and_not_by_what_it_is_called() {
    let body = include_bytes!("../../../tests/fixtures/openai-chat/whole.json");
    let expected = read(Dialect::OpenaiChat, 200, JSON, body);
    for content_type in [SSE, None, Some("text/plain"), Some("")] {
        assert_eq!(read(Dialect::OpenaiChat, 200, content_type, body), expected, "{content_type:?}");
    }
    let blanks = [b"\xef\xbb\xbf \r\n", &body[..]].concat();
    assert_eq!(read(Dialect::OpenaiChat, 200, SSE, &blanks), expected);
    let stream = include_bytes!("../../../tests/fixtures/openai-chat/tools.sse");
    let expected = read(Dialect::OpenaiChat, 200, SSE, stream);
    assert_eq!(read(Dialect::OpenaiChat, 200, SSE, &[b"\xef\xbb\xbf\n\n", &stream[..]].concat()), expected);
    let carriage = String::from_utf8_lossy(stream).replace('\n', "\r");
    assert_eq!(read(Dialect::OpenaiChat, 200, SSE, carriage.as_bytes()), expected);
}

#[test]
fn an_array_of_geminis_is_read_as_its_events_would_be() {
    let events = include_str!("../../../tests/fixtures/gemini/text.sse");
    let values: Vec<_> = events.split("\r\n\r\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    let said = read(Dialect::Gemini, 200, JSON, format!("[{}]", values.join(",\r\n")).as_bytes());
    assert_eq!(said, whole(true, hello(reply("mockresp", "gemini-2.5-flash", &["STOP"], tokens(12, 7)))));
}

#[test]
fn an_event_may_be_put_only_where_one_has_just_ended() {
    let check = |content_type, body: &str, expected: bool| {
        assert_eq!(read(Dialect::Ollama, 200, content_type, body.as_bytes()).at_boundary, expected, "{body:?}");
    };
    check(SSE, "", true);
    check(SSE, "\n", true);
    check(SSE, "data: {}\n\n", true);
    check(SSE, "data: {}\r\n\r", true);
    check(SSE, "data: {}\n", false);
    check(SSE, "data: {}\n\n:", false);
    check(NDJSON, "{}\n", true);
    check(NDJSON, "{}", false);
    check(JSON, "", true);
    check(JSON, "{}\n\n", false);
}

#[test]
fn random_bytes_never_panic_and_all_splits_agree() {
    let mut random = fastrand::Rng::with_seed(3);
    let seeds: [(Dialect, Option<&str>, &[u8]); 5] = [
        (Dialect::OpenaiChat, SSE, include_bytes!("../../../tests/fixtures/openai-chat/tools.sse")),
        (Dialect::OpenaiResponses, SSE, include_bytes!("../../../tests/fixtures/openai-responses/text.sse")),
        (Dialect::AnthropicMessages, SSE, include_bytes!("../../../tests/fixtures/anthropic-messages/tools.sse")),
        (Dialect::Gemini, SSE, include_bytes!("../../../tests/fixtures/gemini/text.sse")),
        (Dialect::Ollama, NDJSON, include_bytes!("../../../tests/fixtures/ollama/text.ndjson")),
    ];
    for round in 0..300 {
        let (dialect, content_type, seed) = seeds[round % seeds.len()];
        let mut body = seed.to_vec();
        for _ in 0..random.usize(1..20) {
            let at = random.usize(..body.len());
            let end = (at + random.usize(..6)).min(body.len());
            let noise: Vec<u8> = (0..random.usize(..4)).map(|_| random.choice(*b"{}[]\":,\\\r\n\r\n d\xef\xbb\xbf-").unwrap()).collect();
            body.splice(at..end, noise);
        }
        read(dialect, 200, content_type, &body);
        let noise: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
        read(dialect, random.u16(..), content_type, &noise);
    }
}
