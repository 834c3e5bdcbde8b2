//! What observing a streamed reply costs: nanoseconds for each event, fed one by one as they come from a model, and for whole bodies of some size.
//! `cargo bench --bench replies`. The best of some rounds is told: what disturbs a round can only make it slower.
#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]

use std::{hint::black_box, time::Duration};

use pillion::wire::{Dialect, Reading};
use tokio::time::Instant;

/// Events of a stream.
const EVENTS: usize = 2000;
/// Times that each is measured.
const ROUNDS: u32 = 40;

fn main() {
    println!("{:<20} {:<8} {:>8} {:>10}", "dialect", "events", "bytes", "ns each");
    for (dialect, kind, content_type, events) in streams() {
        let bytes = events.iter().map(String::len).sum::<usize>() / events.len();
        let best = best(|| {
            let mut reading = Reading::new(dialect, 200, Some(content_type), None);
            for event in &events {
                black_box(reading.feed(event.as_bytes()));
            }
            black_box(reading.into_reply());
        });
        println!("{dialect:<20} {kind:<8} {bytes:>8} {:>10}", best.as_nanos() / u128::try_from(events.len()).unwrap_or(1));
    }
    println!("\n{:<20} {:<8} {:>8} {:>10}", "dialect", "whole", "bytes", "ns");
    for (dialect, body) in bodies() {
        let best = best(|| {
            let mut reading = Reading::new(dialect, 200, Some("application/json"), None);
            reading.feed(body.as_bytes());
            reading.end();
            black_box(reading.into_reply());
        });
        println!("{dialect:<20} {:<8} {:>8} {:>10}", "", body.len(), best.as_nanos());
    }
}

fn best(mut work: impl FnMut()) -> Duration {
    let round = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    (0..ROUNDS).map(|_| round(&mut work)).min().unwrap_or_default()
}

/// Events that differ in what stands for `$`: the piece of text (or of arguments).
fn stream(event: &str, pieces: &[&str]) -> Vec<String> {
    pieces.iter().cycle().take(EVENTS).map(|piece| event.replace('$', piece)).collect()
}

fn streams() -> Vec<(Dialect, &'static str, &'static str, Vec<String>)> {
    const SSE: &str = "text/event-stream";
    const WORDS: &[&str] = &[" the", " capital", "\\n", " of", " \\\"Italy\\\""];
    let chat = |delta: &str| {
        let head = r#"data: {"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz","object":"chat.completion.chunk","created":1750000000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":"#;
        format!("{head}{delta},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n")
    };
    let text = chat(r#"{"content":"$"}"#);
    let tool = chat(r#"{"tool_calls":[{"index":0,"function":{"arguments":"$"}}]}"#);
    let call = chat(r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}"#);
    let mut tools = stream(&tool, &["\\\"x\\\"", ": 1, "]);
    tools[0] = call;
    let responses = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":7,\"item_id\":\"msg_0123456789\",\"output_index\":0,\"content_index\":0,\"logprobs\":[],\"delta\":\"$\"}\n\n";
    let anthropic =
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"$\"}}\n\n";
    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"$\"}],\"role\":\"model\"},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":12,\"candidatesTokenCount\":7,\"totalTokenCount\":19},\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"abcdefgh\"}\r\n\r\n";
    let ollama = "{\"model\":\"llama3.2\",\"created_at\":\"2025-06-15T00:00:00.000000Z\",\"message\":{\"role\":\"assistant\",\"content\":\"$\"},\"done\":false}\n";
    vec![
        (Dialect::OpenaiChat, "text", SSE, stream(&text, WORDS)),
        (Dialect::OpenaiChat, "tool", SSE, tools),
        (Dialect::OpenaiResponses, "text", SSE, stream(responses, WORDS)),
        (Dialect::AnthropicMessages, "text", SSE, stream(anthropic, WORDS)),
        (Dialect::Gemini, "text", SSE, stream(gemini, WORDS)),
        (Dialect::Ollama, "text", "application/x-ndjson", stream(ollama, WORDS)),
    ]
}

fn bodies() -> Vec<(Dialect, String)> {
    let code = "fn main() {\\n    println!(\\\"Hello, \\u00e9\\\");\\n}\\n";
    let chat = r#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"$","tool_calls":[{"id":"call_1","type":"function","function":{"name":"write","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":8,"total_tokens":17}}"#;
    let anthropic = r#"{"id":"c","type":"message","model":"m","content":[{"type":"text","text":"$"},{"type":"tool_use","id":"t","name":"write","input":{"text":"$"}}],"stop_reason":"tool_use"}"#;
    let body = |times: usize| {
        let text = code.repeat(times);
        [(Dialect::OpenaiChat, chat.replace('$', &text)), (Dialect::AnthropicMessages, anthropic.replace('$', &text))]
    };
    [10, 200].into_iter().flat_map(body).collect()
}
