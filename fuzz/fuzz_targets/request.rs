//! A request's body is read without a fault, its parts lie where they are said to, it says the same when it is read on from any of its messages,
//! and the model is the one that a JSON library finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion::wire::{Dialect, Request};
use pillion_fuzz::dialect;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let [first, body @ ..] = input else { return };
    let dialect = dialect(*first);
    let path = match dialect {
        Dialect::OpenaiChat => "/v1/chat/completions",
        Dialect::OpenaiResponses => "/v1/responses",
        Dialect::OpenaiCompletions => "/v1/completions",
        Dialect::OpenaiEmbeddings => "/v1/embeddings",
        Dialect::AnthropicMessages => "/v1/messages",
        Dialect::Gemini => "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
        Dialect::Ollama => ["/api/chat", "/api/generate"][usize::from(first & 64 != 0)],
    };
    let request = Request::read(dialect, path, body, None);
    if let Ok(Value::Object(fields)) = serde_json::from_slice(body)
        && dialect != Dialect::Gemini
    {
        assert_eq!(request.skipped, None, "this is JSON");
        let model = fields.get("model").and_then(Value::as_str).filter(|model| !model.is_empty() && model.len() < 40);
        if model.is_some() {
            assert_eq!(request.call.model.as_deref(), model);
        }
    }
    let Some(prompt) = &request.prompt else { return };
    assert!(prompt.list.start <= prompt.list.end && prompt.list.end <= body.len());
    let mut at = prompt.list.start;
    for message in &prompt.messages {
        assert!(at <= message.end && message.end <= body.len(), "messages lie in order");
        at = message.end;
        message.mark();
        for text in message.texts.iter().chain(message.results.iter().flat_map(|result| &result.texts)) {
            assert!(text.decoded(20).len() <= 20);
        }
    }
    if let Some(tools) = prompt.tools {
        tools.declared();
    }
    for count in 0..prompt.messages.len().min(8) {
        let Some(resume) = request.resume(count) else { continue };
        let again = Request::read(dialect, path, body, Some(&resume));
        assert_eq!(again.call, request.call, "read on behind message {count}");
        let messages = &again.prompt.as_ref().expect("it has one").messages;
        assert_eq!(messages[..], prompt.messages[count..], "read on behind message {count}");
    }
});
