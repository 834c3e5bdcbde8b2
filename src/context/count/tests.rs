use serde_json::{Value, json};

use super::{Counter, Counting, Family, Frame, Tokenizer, Tokens};
use crate::wire::{Dialect, Outline};

fn weigh(counter: &Counter, dialect: Dialect, model: &str, body: &Value) -> Tokens {
    let path = if dialect == Dialect::AnthropicMessages { "/v1/messages" } else { "/v1/chat/completions" };
    let (body, family) = (body.to_string(), Family::of(model));
    let outline = Outline::read(dialect, path, body.as_bytes()).unwrap();
    let weighed = counter.weigh(Frame::of(dialect, family), body.as_bytes(), &outline, &mut Counting::new(family.tokenizer));
    assert_eq!(weighed.items.len(), outline.items.len());
    for (item, pieces) in weighed.items.iter().zip(&weighed.pieces) {
        assert!(item.count > pieces.iter().map(|piece| piece.count).sum());
    }
    weighed.total()
}

fn chat(model: &str, body: &Value) -> Tokens {
    weigh(&Counter::default(), Dialect::OpenaiChat, model, body)
}

#[test]
fn messages_count_as_their_maker_says() {
    // The example of the cookbook's "How to count tokens with tiktoken", and the counts that it gives for it.
    let said = |name: &str, content: &str| json!({"role": "system", "name": name, "content": content});
    let body = json!({"messages": [
        {"role": "system", "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
        said("example_user", "New synergies will help drive top-line growth."),
        said("example_assistant", "Things working well together will increase revenue."),
        said("example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
        said("example_assistant", "Let's talk later when we're less busy about how to do better."),
        {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."}]});
    for (model, expected) in [("gpt-4", 129), ("gpt-3.5-turbo", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)] {
        let tokens = chat(model, &body);
        assert_eq!((tokens.count, tokens.is_exact), (expected, true), "{model}");
    }
}

#[test]
fn tools_count_as_their_maker_says_or_a_little_more() {
    let parameters = json!({"type": "object", "properties": {
        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
        "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]}}, "required": ["location"]});
    let function = json!({"name": "get_current_weather", "description": "Get the current weather in a given location", "parameters": parameters});
    let body = json!({"tools": [{"type": "function", "function": function}], "messages": [
        {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
        {"role": "user", "content": "What's the weather like in San Francisco?"}]});
    for (model, expected) in [("gpt-4", 105), ("gpt-4o", 101)] {
        let tokens = chat(model, &body);
        assert!((expected..expected + 20).contains(&tokens.count), "{model}: {} for {expected}", tokens.count);
        assert!(!tokens.is_exact);
    }
}

#[test]
fn claudes_prompts_are_near_what_its_maker_says() {
    let count = |body: &Value| weigh(&Counter::default(), Dialect::AnthropicMessages, "claude-opus-4-6", body).count * 12 / 10;
    // The examples of "Token counting": 14 and 403 tokens.
    let plain = json!({"system": "You are a scientist", "messages": [{"role": "user", "content": "Hello, Claude"}]});
    let schema = json!({"type": "object", "required": ["location"], "properties": {
        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}}});
    let tools = json!([{"name": "get_weather", "description": "Get the current weather in a given location", "input_schema": schema}]);
    let with_tools = json!({"tools": tools, "messages": [{"role": "user", "content": "What's the weather like in San Francisco?"}]});
    let counts = [count(&plain), count(&with_tools)];
    assert!((12..=20).contains(&counts[0]) && (395..=500).contains(&counts[1]), "{counts:?}");
}

#[test]
fn what_was_counted_before_is_not_counted_again() {
    let counter = Counter::default();
    let text = "The ledger of March does not add up; the clerk was away. ".repeat(20);
    let body = json!({"messages": [{"role": "user", "content": text}, {"role": "user", "content": "short"}]});
    let first = weigh(&counter, Dialect::OpenaiChat, "gpt-4o", &body);
    assert!(first.is_exact);
    // One that may count nothing any more.
    let spent = |tokenizer| {
        let mut spent = Counting::new(tokenizer);
        let mut random = fastrand::Rng::with_seed(1);
        let noise: String = (0..2 << 20).map(|_| random.alphanumeric()).collect();
        assert!(!spent.text(noise.as_bytes(), true).is_exact);
        spent
    };
    let weigh = |counter: &Counter, model: &str| {
        let (body, family) = (body.to_string(), Family::of(model));
        let outline = Outline::read(Dialect::OpenaiChat, "/v1/chat/completions", body.as_bytes()).unwrap();
        let weighed = counter.weigh(Frame::of(Dialect::OpenaiChat, family), body.as_bytes(), &outline, &mut spent(family.tokenizer));
        (weighed.items[0], weighed.items[1].is_exact)
    };
    let (long, short_is_exact) = weigh(&counter, "gpt-4o");
    assert!(long.is_exact && !short_is_exact);
    // Another tokenizer counts for itself, and so does another process.
    assert!(!weigh(&counter, "gpt-4").0.is_exact);
    assert!(!weigh(&Counter::default(), "gpt-4o").0.is_exact);
}

#[test]
fn images_and_files_are_not_counted_by_their_bytes() {
    let data = format!("data:image/png;base64,{}", "A".repeat(400_000));
    let body = json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": data}}, {"type": "text", "text": "What is it?"}]}]});
    let tokens = chat("gpt-4o", &body);
    assert!(tokens.count < 1000 && !tokens.is_exact, "{tokens:?}");
}

#[test]
fn a_models_tokenizer_is_found_by_every_name_that_is_on_the_wire() {
    for (name, expected) in [
        ("gpt-4o", Some(Tokenizer::O200k)),
        ("openai/gpt-4o-2024-08-06", Some(Tokenizer::O200k)),
        ("azure/eu/gpt-4o", Some(Tokenizer::O200k)),
        ("ft:gpt-4o-mini-2024-07-18:org::id", Some(Tokenizer::O200k)),
        ("gpt-4.1-nano", Some(Tokenizer::O200k)),
        ("gpt-5.6-luna", Some(Tokenizer::O200k)),
        ("chatgpt-4o-latest", Some(Tokenizer::O200k)),
        ("o1", Some(Tokenizer::O200k)),
        ("o3-mini", Some(Tokenizer::O200k)),
        ("o4-mini-deep-research", Some(Tokenizer::O200k)),
        ("codex-mini-latest", Some(Tokenizer::O200k)),
        ("openai/gpt-oss-120b", Some(Tokenizer::O200k)),
        ("gpt-oss:20b", Some(Tokenizer::O200k)),
        ("gpt-4", Some(Tokenizer::Cl100k)),
        ("gpt-4-turbo-2024-04-09", Some(Tokenizer::Cl100k)),
        ("ft:gpt-3.5-turbo-0125:acme::1", Some(Tokenizer::Cl100k)),
        ("gpt-35-turbo-16k", Some(Tokenizer::Cl100k)),
        ("text-embedding-3-small", Some(Tokenizer::Cl100k)),
        ("claude-sonnet-4-5", None),
        ("o1st", None),
        ("openai/", None),
        ("gemini-2.5-pro", None),
        ("llama3:8b", None),
    ] {
        let family = Family::of(name);
        assert_eq!(family.is_own.then_some(family.tokenizer), expected, "{name}");
    }
}
