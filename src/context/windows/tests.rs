use std::time::Duration;

use tokio::time::Instant;

use super::{Origin, REMEMBERED, Window};
use crate::{
    config::{ByModel, Config},
    context::{Asked, Models},
    wire::{Call, Dialect, Overflow},
};

fn call(model: &str, max_tokens: Option<u64>) -> Call {
    Call { model: Some(model.to_owned()), max_tokens, ..Call::default() }
}

fn asked<'a>(provider: &'a str, call: &'a Call) -> Asked<'a> {
    let (dialect, path) = match provider {
        "anthropic" => (Dialect::AnthropicMessages, "/v1/messages"),
        "gcp.gemini" => (Dialect::Gemini, "/v1beta/models/m:generateContent"),
        "ollama" => (Dialect::Ollama, "/api/chat"),
        _ => (Dialect::OpenaiChat, "/v1/chat/completions"),
    };
    Asked { dialect, path, provider: Some(provider), upstream: "there", call }
}

fn window(models: &Models, provider: &str, model: &str, max_tokens: Option<u64>) -> Option<(u64, u64, Origin)> {
    let call = call(model, max_tokens);
    models.window(asked(provider, &call), Instant::now()).map(|Window { tokens, answer, origin }| (tokens, answer, origin))
}

fn said(window: u64) -> Overflow {
    Overflow { window: Some(window), ..Overflow::default() }
}

#[test]
fn the_table_knows_a_window_by_every_name_that_is_on_the_wire() {
    let models = Models::default();
    for (provider, model, expected) in [
        ("openrouter", "openai/gpt-4o-2024-08-06", (128_000, 16_384)),
        ("openai", "ft:gpt-4o-mini-2024-07-18:org::id", (128_000, 16_384)),
        ("azure.ai.openai", "gpt-4o", (128_000, 16_384)),
        ("azure.ai.openai", "gpt-4", (8192, 2048)),
        ("openai", "gpt-4", (8192, 2048)),
        ("openai", "gpt-5", (272_000, 0)),
        ("azure.ai.openai", "gpt-5.1-chat", (111_616, 0)),
        ("gcp.gemini", "models/gemini-2.5-flash", (1_048_576, 0)),
        ("anthropic", "claude-sonnet-4-5-20250929", (200_000, 50_000)),
    ] {
        let found = window(&models, provider, model, None);
        assert_eq!(found, Some((expected.0, expected.1, Origin::Table)), "{provider} {model}");
    }
    assert_eq!(window(&models, "openai", "not-known", None), None);
}

#[test]
fn a_model_that_answers_under_a_known_name_has_its_window_whatever_it_is_asked_by() {
    let models = Models::default();
    let (deployment, known) = (call("deployment-of-ours", None), call("gpt-4", None));
    models.answered(asked("azure.ai.openai", &deployment), "nobody-knows");
    assert_eq!(window(&models, "azure.ai.openai", "deployment-of-ours", None), None);
    models.answered(asked("azure.ai.openai", &deployment), "gpt-4o-2024-08-06");
    assert_eq!(window(&models, "azure.ai.openai", "deployment-of-ours", None), Some((128_000, 16_384, Origin::Table)));
    // A name that is known itself stays what it is, and so does another one.
    models.answered(asked("azure.ai.openai", &known), "gpt-4o-2024-08-06");
    assert_eq!(window(&models, "azure.ai.openai", "gpt-4", None), Some((8192, 2048, Origin::Table)));
    assert_eq!(window(&models, "azure.ai.openai", "another", None), None);
    // What runs here has no window that a table could know.
    models.answered(asked("vllm", &deployment), "gpt-4o");
    assert_eq!(window(&models, "vllm", "elsewhere", None), None);
}

#[test]
fn room_is_kept_for_the_answer_that_is_asked_for() {
    let models = Models::default();
    for (provider, model, max_tokens, expected) in [
        ("openai", "gpt-4o", 1000, 1000),
        ("openai", "gpt-4o", 100_000, 16_384),
        ("openai", "gpt-4", 8000, 4096),
        ("openai", "gpt-5", 100_000, 0),
        ("openai", "gpt-5", 130_000, 2000),
        ("gcp.gemini", "gemini-2.5-flash", 1000, 0),
    ] {
        assert_eq!(window(&models, provider, model, Some(max_tokens)).map(|found| found.1), Some(expected), "{model} {max_tokens}");
    }
    let mut config = Config::default();
    config.context.windows = ByModel::new(vec![("mine".to_owned(), 8192)]);
    let models = Models::new(&config);
    for (max_tokens, expected) in [(None, 2048), (Some(6000), 6000), (Some(8000), 2048), (Some(100_000), 2048)] {
        assert_eq!(window(&models, "vllm", "mine", max_tokens).map(|found| found.1), Some(expected), "{max_tokens:?}");
    }
}

#[test]
fn the_smaller_of_config_and_what_was_learnt_comes_before_the_table() {
    let mut config = Config::default();
    config.context.windows = ByModel::new(vec![("mine-*".to_owned(), 8192), ("openai/gpt-4o*".to_owned(), 64_000)]);
    let models = Models::new(&config);
    let now = Instant::now();
    let tell = |model: &str, tokens| models.overflowed(asked("openai", &call(model, None)), said(tokens), now);
    assert_eq!(window(&models, "vllm", "mine-7b", None), Some((8192, 2048, Origin::Config)));
    assert_eq!(window(&models, "openrouter", "openai/gpt-4o-mini", None), Some((64_000, 16_000, Origin::Config)));
    tell("mine-7b", 4096);
    tell("mine-8b", 16_384);
    tell("gpt-4o", 32_000);
    assert_eq!(window(&models, "vllm", "mine-7b", None), Some((4096, 1024, Origin::Learnt)));
    assert_eq!(window(&models, "vllm", "mine-8b", None), Some((8192, 2048, Origin::Config)));
    assert_eq!(window(&models, "openai", "gpt-4o", None), Some((32_000, 8000, Origin::Learnt)));
    let elsewhere = call("mine-7b", None);
    let elsewhere = Asked { upstream: "elsewhere", ..asked("vllm", &elsewhere) };
    assert_eq!(models.window(elsewhere, now).map(|window| window.tokens), Some(8192));
}

#[test]
fn a_requests_own_window_is_what_its_server_goes_by() {
    let mut config = Config::default();
    config.context.windows = ByModel::new(vec![("small".to_owned(), 4096)]);
    let models = Models::new(&config);
    let (now, own) = (Instant::now(), call("llama3:8b", None));
    models.overflowed(asked("ollama", &own), said(2048), now);
    let of = |call: &Call, own| models.window_of(asked("ollama", call), own, now).map(|(window, _)| (window.tokens, window.origin));
    assert_eq!(of(&own, Some(16_384)), Some((16_384, Origin::Request)));
    assert_eq!(of(&own, Some(0)), Some((2048, Origin::Learnt)));
    assert_eq!(of(&call("small", None), Some(16_384)), Some((4096, Origin::Config)));
    assert_eq!(of(&call("small", None), Some(1024)), Some((1024, Origin::Request)));
}

#[test]
fn what_was_learnt_is_forgotten_and_given_up_when_it_is_seen_to_be_wrong() {
    let models = Models::default();
    let (now, call) = (Instant::now(), call("mine", None));
    let asked = asked("vllm", &call);
    let tokens = |at| models.window(asked, at).map(|window| window.tokens);
    models.overflowed(asked, said(4096), now);
    assert_eq!(tokens(now + REMEMBERED - Duration::from_secs(1)), Some(4096));
    assert_eq!(tokens(now + REMEMBERED), None);
    let key = models.learnt.key("there", "mine");
    models.learnt.tell(key, 3000, false, now);
    assert_eq!(tokens(now), Some(4096), "a guess displaced what was said");
    models.was_read(key, 4096);
    assert_eq!(tokens(now), Some(4096));
    models.was_read(key, 5000);
    assert_eq!(tokens(now), None);
    models.learnt.tell(key, 3000, false, now);
    assert_eq!(tokens(now), Some(3000));
    models.overflowed(asked, Overflow::default(), now);
    assert_eq!(tokens(now), Some(3000));
}

#[test]
fn only_a_body_that_may_be_too_long_is_looked_at() {
    let models = Models::default();
    let now = Instant::now();
    for (provider, model, length, expected) in [
        ("openai", "gpt-4o", 111_616, false),
        ("openai", "gpt-4o", 111_617, true),
        ("openai", "unknown", 1 << 30, false),
        ("ollama", "unknown", 2048, false),
        ("ollama", "unknown", 2049, true),
        ("ollama", "llama3:8b", 2049, true),
    ] {
        let call = call(model, None);
        let asked = asked(provider, &call);
        assert_eq!(asked.may_overflow(models.window(asked, now), length), expected, "{provider} {model} {length}");
    }
    let embedded = call("text-embedding-3-small", None);
    let asked = Asked { dialect: Dialect::OpenaiEmbeddings, ..asked("openai", &embedded) };
    assert!(!asked.may_overflow(models.window(asked, now), 1 << 30));
}
