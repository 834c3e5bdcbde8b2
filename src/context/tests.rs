use super::{Model, Models, Prices};
use crate::{
    config::{ByModel, Config},
    wire::{Call, Usage},
};

fn window(provider: &str, name: &str) -> Option<u64> {
    Models::default().find(Some(provider), name).and_then(|model| model.window)
}

/// Prices of input and output.
fn prices(provider: &str, name: &str) -> Option<(f64, f64)> {
    let Prices { input, output, .. } = Models::default().find(Some(provider), name)?.prices;
    Some((input?, output?))
}

#[test]
fn a_model_is_known_by_every_name_that_is_on_the_wire() {
    for (provider, name, expected) in [
        ("openai", "gpt-4o", (2.5, 10.0)),
        ("openai", "gpt-4o-2024-05-13", (5.0, 15.0)),
        ("openai", "gpt-4o-2031-01-01", (2.5, 10.0)),
        ("openai", "ft:gpt-4o-2024-08-06:acme::abc123", (3.75, 15.0)),
        ("openai", "ft:gpt-4o:acme::abc123", (3.75, 15.0)),
        ("azure.ai.openai", "gpt-4o", (2.5, 10.0)),
        ("azure.ai.openai", "eu/gpt-4o", (2.75, 11.0)),
        ("anthropic", "claude-sonnet-4-5-20250929", (3.0, 15.0)),
        ("anthropic", "claude-sonnet-4-5-20310101", (3.0, 15.0)),
        ("anthropic", "claude-sonnet-4-5-latest", (3.0, 15.0)),
        ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", (3.0, 15.0)),
        ("gcp.gemini", "gemini-2.5-flash", (0.3, 2.5)),
        ("gcp.gemini", "models/gemini-2.5-flash", (0.3, 2.5)),
        ("gcp.gemini", "gemini-2.5-flash-001", (0.3, 2.5)),
        ("mistral_ai", "mistral-large-latest", (0.5, 1.5)),
        ("ollama", "llama3:8b", (0.0, 0.0)),
        ("ollama", "llama3.1:70b-instruct-q4_0", (0.0, 0.0)),
        ("openai", "openai/gpt-4o-2024-08-06", (2.5, 10.0)),
        ("anthropic", "anthropic/claude-sonnet-4-5", (3.0, 15.0)),
        ("azure.ai.openai", "azure/gpt-4o", (2.5, 10.0)),
        ("openrouter", "openai/gpt-4o", (2.5, 10.0)),
        ("openrouter", "anthropic/claude-sonnet-4.5", (3.0, 15.0)),
        ("gateway", "gpt-4o-mini", (0.15, 0.6)),
        ("gateway", "azure/eu/gpt-4o", (2.75, 11.0)),
        ("gateway", "gemini-2.5-pro", (1.25, 10.0)),
        ("gateway", "mistral-large-latest", (0.5, 1.5)),
    ] {
        assert_eq!(prices(provider, name), Some(expected), "{provider} {name}");
    }
}

#[test]
fn a_deployment_has_the_window_of_the_model_that_its_name_ends_with_and_no_price() {
    for (name, window) in [("prod-gpt-4o", 128_000), ("team_a-gpt-4o-mini", 128_000), ("eu-west-gpt-4", 8192)] {
        let model = Models::default().find(Some("azure.ai.openai"), name).unwrap();
        assert_eq!((model.window, model.prices), (Some(window), Prices::default()), "{name}");
    }
}

#[test]
fn what_is_not_known_is_not_guessed() {
    for (provider, name) in [
        ("openai", ""),
        ("openai", "gpt"),
        ("openai", "gpt-4o-but-better"),
        ("openai", "gpt-4o-mini-2"),
        ("openai", "GPT-4o"),
        ("openai", "mistral-large-latest"),
        ("openai", "ft:"),
        ("openai", "ft:my-model:acme::1"),
        ("mistral_ai", "mistral-large-2402"),
        ("azure.ai.openai", "my-deployment"),
        ("azure.ai.openai", "team-ada"),
        ("openai", "prod-gpt-4o"),
        ("mistral_ai", "openai/gpt-4o"),
        ("groq", "gpt-4o"),
        ("vllm", "gpt-4o"),
        ("ollama", "qwen-of-mine:7b"),
        ("together", "openai/gpt-4o"),
        ("gateway", "meta-llama/Llama-3.1-8B-Instruct"),
        ("gateway", "/"),
        ("gateway", "openai/"),
        ("gateway", "openai/openai/gpt-4o"),
        ("gateway", "-2024-08-06"),
        ("gateway", "-latest"),
        ("gateway", "@default"),
    ] {
        assert_eq!(Models::default().find(Some(provider), name), None, "{provider} {name}");
    }
}

#[test]
fn a_fine_tune_of_unknown_price_has_its_bases_window() {
    assert_eq!((window("openai", "ft:gpt-5:acme::1"), prices("openai", "ft:gpt-5:acme::1")), (window("openai", "gpt-5"), None));
    assert!(window("openai", "gpt-5").is_some());
}

fn usage(input: u64, output: Option<u64>, cache_read: u64, cache_write: u64) -> Usage {
    Usage { input: Some(input), output, cache_read: Some(cache_read), cache_write: Some(cache_write), reasoning: None }
}

fn check_cost(models: &Models, [asked, answered]: [Option<&str>; 2], usage: &Usage, expected: Option<f64>) {
    let cost = models.cost(Some("gateway"), asked, answered, usage);
    let same = cost.zip(expected).map_or(cost.is_none() && expected.is_none(), |(one, other)| (one - other).abs() < 1e-12);
    assert!(same, "{asked:?} {answered:?} {usage:?}: {cost:?}, not {expected:?}");
}

#[test]
fn cached_and_cache_written_input_is_priced_apart() {
    let models = Models::default();
    let claude = [Some("claude-sonnet-4-5"), None];
    check_cost(&models, claude, &usage(1_000_000, Some(0), 0, 0), Some(3.0));
    check_cost(&models, claude, &usage(1_000_000, Some(100_000), 500_000, 200_000), Some(0.9 + 1.5 + 0.15 + 0.75));
    // No price for reading the cache: that of input.
    check_cost(&models, [Some("gpt-4o-2024-05-13"), None], &usage(1_000_000, Some(0), 500_000, 0), Some(5.0));
    // More cached than there was: garbage, but never less than nothing.
    check_cost(&models, claude, &usage(10, Some(0), 1_000_000, 0), Some(0.3));
}

#[test]
fn where_a_price_or_a_count_is_unknown_there_is_no_cost() {
    let models = Models::default();
    check_cost(&models, [Some("of-mine"), None], &usage(10, Some(10), 0, 0), None);
    check_cost(&models, [None, None], &usage(10, Some(10), 0, 0), None);
    check_cost(&models, [Some("gpt-4o"), None], &Usage::default(), None);
    check_cost(&models, [Some("gpt-4o"), None], &usage(10, None, 0, 0), None);
    check_cost(&models, [Some("text-embedding-3-small"), None], &usage(1_000_000, None, 0, 0), Some(0.02));
}

#[test]
fn the_model_that_answered_is_priced_before_the_name_that_was_asked_for() {
    let million = usage(1_000_000, Some(0), 0, 0);
    let models = Models::default();
    check_cost(&models, [Some("my-deployment"), Some("gpt-4o-2024-08-06")], &million, Some(2.5));
    check_cost(&models, [Some("gpt-4o"), Some("gpt-4o-2024-05-13")], &million, Some(5.0));
    check_cost(&models, [Some("gpt-4o"), Some("fp_alias")], &million, Some(2.5));
}

fn configured() -> Models {
    let mut config = Config::default();
    let price = |input| Prices { input: Some(input), output: Some(1.0), ..Prices::default() };
    config.telemetry.prices = ByModel::new(vec![("my-*".to_owned(), price(7.0)), ("gpt-4o".to_owned(), price(9.0))]);
    config.context.windows = ByModel::new(vec![("my-*".to_owned(), 4096), ("gpt-4o-mini".to_owned(), 1000)]);
    Models::new(&config)
}

#[test]
fn the_config_comes_before_the_table() {
    let models = configured();
    let million = usage(1_000_000, Some(0), 0, 0);
    check_cost(&models, [Some("my-deployment"), Some("gpt-4o-2024-08-06")], &million, Some(7.0));
    check_cost(&models, [Some("gpt-4o"), Some("gpt-4o-2024-08-06")], &million, Some(9.0));
    check_cost(&models, [Some("gpt-4o-2024-08-06"), None], &million, Some(2.5));
    assert_eq!(models.find(Some("vllm"), "my-model").and_then(|model| model.window), Some(4096));
    let mini = models.find(Some("openai"), "gpt-4o-mini").unwrap();
    assert_eq!((mini.window, mini.output_max, mini.prices.input), (Some(1000), Some(16384), Some(0.15)));
    assert_eq!(models.find(None, "other"), None::<Model>);
}

#[test]
fn only_a_prompt_that_is_all_there_is_estimated() {
    let models = Models::default();
    let call = |weight, continues: Option<&str>| Call {
        model: Some("gpt-4o".to_owned()),
        prompt_weight: weight,
        continues: continues.map(str::to_owned),
        ..Call::default()
    };
    assert_eq!(models.estimate(&call(Some(4000), None), None).map(|estimate| estimate.tokens), Some(888));
    assert_eq!(models.estimate(&call(Some(4000), Some("resp_1")), None), None);
    assert_eq!(models.estimate(&call(Some(0), None), None), None);
    assert_eq!(models.estimate(&call(None, None), None), None);
    assert_eq!(models.estimate(&Call { model: None, ..call(Some(1), None) }, None), None);
    models.learn(&call(Some(4000), Some("resp_1")), 100_000);
    assert_eq!(models.estimate(&call(Some(4000), None), None).map(|estimate| estimate.tokens), Some(888));
    models.learn(&call(Some(4000), None), 2000);
    assert!(models.estimate(&call(Some(4000), None), None).is_some_and(|estimate| estimate.tokens > 1900));
    let known = Some(crate::context::Beginning { weight: 4000, tokens: 1500 });
    assert_eq!(models.estimate(&call(Some(4000), None), known).map(|estimate| estimate.tokens), Some(1500));
    assert_eq!(models.estimate(&call(Some(4000), Some("resp_1")), known), None);
}
