use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Asked, Counted, Fit, Ours, TooLarge, Trimmed};
use crate::{
    config::{ByModel, Config},
    context::{Models, windows::Origin},
    wire::{Call, Dialect, Overflow},
};

const TARGET: f64 = 0.75;
const TEXT: &str = include_str!("../estimate.rs");

/// `gpt-4o` with a window of so many tokens.
fn models(window: u64) -> Models {
    let mut config = Config::default();
    config.context.windows = ByModel::new(vec![("gpt-4o".to_owned(), window), ("mine".to_owned(), window)]);
    Models::new(&config)
}

fn call(model: &str) -> Call {
    Call { model: Some(model.to_owned()), max_tokens: Some(500), ..Call::default() }
}

fn asked(dialect: Dialect, call: &Call) -> Asked<'_> {
    let (path, provider) = match dialect {
        Dialect::AnthropicMessages => ("/v1/messages", "anthropic"),
        Dialect::Ollama => ("/api/chat", "ollama"),
        _ => ("/v1/chat/completions", "openai"),
    };
    Asked { dialect, path, provider: Some(provider), upstream: "there", call }
}

fn fit(models: &Models, dialect: Dialect, model: &str, body: &Value) -> Fit {
    models.fit(asked(dialect, &call(model)), &Bytes::from(body.to_string()), TARGET, None, Instant::now())
}

fn trimmed(fit: Fit) -> Trimmed {
    match fit {
        Fit::Trimmed(trimmed) => *trimmed,
        other => panic!("{other:?}"),
    }
}

/// Some lines of code.
fn code(random: &mut fastrand::Rng, lines: usize) -> String {
    let all: Vec<&str> = TEXT.lines().collect();
    let from = random.usize(..all.len() - 40);
    all[from..].iter().take(lines).flat_map(|line| [line, "\n"]).collect()
}

/// A task that is worked on with tools, turn by turn; parallel calls among them, and another question now and then.
fn conversation(dialect: Dialect, turns: usize, seed: u64) -> Value {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut messages = vec![json!({"role": "user", "content": "Find out why the ledger does not add up."})];
    for turn in 0..turns {
        let ids: Vec<String> = (0..=random.usize(..2)).map(|part| format!("call_{turn}_{part}")).collect();
        let results: Vec<String> = ids.iter().map(|_| code(&mut random, turn % 7 * 5 + 1)).collect();
        let arguments = json!({"path": format!("part_{turn}.rs")});
        if dialect == Dialect::AnthropicMessages {
            let calls = ids.iter().map(|id| json!({"type": "tool_use", "id": id, "name": "read", "input": arguments}));
            let results = ids.iter().zip(&results).map(|(id, text)| json!({"type": "tool_result", "tool_use_id": id, "content": text}));
            messages.push(json!({"role": "assistant", "content": calls.collect::<Vec<_>>()}));
            messages.push(json!({"role": "user", "content": results.collect::<Vec<_>>()}));
        } else {
            let called = |id: &String| json!({"id": id, "type": "function", "function": {"name": "read", "arguments": arguments.to_string()}});
            messages.push(json!({"role": "assistant", "content": null, "tool_calls": ids.iter().map(called).collect::<Vec<_>>()}));
            messages.extend(ids.iter().zip(&results).map(|(id, text)| json!({"role": "tool", "tool_call_id": id, "content": text})));
        }
        if turn % 5 == 4 {
            messages.push(json!({"role": "assistant", "content": "That part is in order."}));
            messages.push(json!({"role": "user", "content": format!("Go on with part {turn}.")}));
        }
    }
    json!({"model": "gpt-4o", "messages": messages})
}

/// What a chat of `OpenAI`'s counts, by its own tokenizer and independently of what is tested.
fn exact(body: &[u8]) -> u64 {
    let core = tiktoken::get_encoding("o200k_base").unwrap();
    let body: Value = serde_json::from_slice(body).unwrap();
    let count = |text: &Value| text.as_str().map_or(0, |text| core.count(text));
    let calls = |message: &Value| message["tool_calls"].as_array().cloned().unwrap_or_default();
    let called = |call: &Value| 5 + count(&call["function"]["name"]) + count(&call["function"]["arguments"]);
    let message = |message: &Value| 4 + count(&message["content"]) + calls(message).iter().map(called).sum::<usize>();
    let all: usize = body["messages"].as_array().unwrap().iter().map(message).sum();
    u64::try_from(all + 3).unwrap()
}

#[test]
fn what_is_trimmed_fits_by_the_models_own_tokenizer() {
    let models = models(4000);
    let mut trims = 0;
    for seed in 0..60 {
        let body = conversation(Dialect::OpenaiChat, 3 + usize::try_from(seed).unwrap() % 40, seed);
        let before = exact(body.to_string().as_bytes());
        match fit(&models, Dialect::OpenaiChat, "gpt-4o", &body) {
            Fit::Untouched(counted) => {
                assert!(before <= 3500 && counted.is_none_or(|counted| counted.tokens == before), "{seed}: {before} {counted:?}");
            }
            Fit::Trimmed(trimmed) => {
                trims += 1;
                let left = exact(&trimmed.body);
                assert!(before > 3500 && left <= 3500, "{seed}: {left}");
                assert!(left.abs_diff(trimmed.left.tokens) * 100 <= left * 2, "{seed}: {left} for {:?}", trimmed.left);
                assert!((before - left).abs_diff(trimmed.tokens) * 100 <= before * 2, "{seed}");
                let list = &trimmed.body[trimmed.list.clone()];
                let list: Vec<Value> = serde_json::from_slice(&[b"[", list, b"]"].concat()).unwrap();
                assert_eq!(Some(&list), serde_json::from_slice::<Value>(&trimmed.body).unwrap()["messages"].as_array());
                // What fits is left alone.
                let again = models.fit(asked(Dialect::OpenaiChat, &call("gpt-4o")), &trimmed.body, TARGET, None, Instant::now());
                assert!(matches!(again, Fit::Untouched(_)), "{seed}: {again:?}");
            }
            Fit::TooLarge(large) => panic!("{seed}: {large:?}"),
        }
    }
    assert!(trims > 30, "{trims}");
}

#[test]
fn turns_until_the_next_step_begin_alike() {
    for dialect in [Dialect::OpenaiChat, Dialect::AnthropicMessages] {
        let models = models(8000);
        let model = if dialect == Dialect::AnthropicMessages { "mine" } else { "gpt-4o" };
        let (mut moves, mut last) = (0, Bytes::new());
        for turn in 1..120 {
            let body = conversation(dialect, turn, 7);
            let Fit::Trimmed(trimmed) = fit(&models, dialect, model, &body) else { continue };
            let common = last.iter().zip(&trimmed.body).take_while(|(one, other)| one == other).count();
            moves += u32::from(common + 100 < last.len());
            last = trimmed.body;
        }
        // 40,000 tokens of growth, in steps of 2,000.
        assert!((5..=30).contains(&moves), "{dialect:?}: {moves}");
    }
}

#[test]
fn what_cannot_be_trimmed_goes_as_it_came() {
    let models = models(100);
    let text = "word ".repeat(1000);
    let embedded = json!({"model": "gpt-4o", "input": text});
    assert_eq!(fit(&models, Dialect::OpenaiEmbeddings, "gpt-4o", &embedded), Fit::Untouched(None));
    assert_eq!(fit(&models, Dialect::OpenaiChat, "gpt-4o", &json!([1])), Fit::Untouched(None));
    let continued = json!({"model": "gpt-4o", "previous_response_id": "resp_1", "input": [{"role": "user", "content": text}]});
    let call = call("gpt-4o");
    let asked = Asked { dialect: Dialect::OpenaiResponses, path: "/v1/responses", ..asked(Dialect::OpenaiChat, &call) };
    assert_eq!(models.fit(asked, &Bytes::from(continued.to_string()), TARGET, None, Instant::now()), Fit::Untouched(None));
    // Nobody knows its window.
    assert_eq!(fit(&models, Dialect::OpenaiChat, "other", &conversation(Dialect::OpenaiChat, 20, 1)), Fit::Untouched(None));
}

#[test]
fn only_what_is_certain_is_refused() {
    let tools: Vec<Value> = (0..200)
        .map(|tool| json!({"name": format!("tool_{tool}"), "description": code(&mut fastrand::Rng::with_seed(tool), 3), "input_schema": {}}))
        .collect();
    let body = json!({"model": "mine", "max_tokens": 10, "tools": tools, "messages": [{"role": "user", "content": "Hello"}]});
    let models = models(1000);
    let large = fit(&models, Dialect::AnthropicMessages, "mine", &body);
    assert!(matches!(large, Fit::TooLarge(TooLarge { window: 1000, answer: 500, tokens, least }) if least > 5000 && tokens >= least), "{large:?}");
    // A window that somebody has guessed.
    let guessed = Models::default();
    let key = guessed.learnt.key("there", "other");
    guessed.learnt.tell(key, 1000, false, Instant::now());
    let sent = fit(&guessed, Dialect::AnthropicMessages, "other", &body);
    assert!(matches!(sent, Fit::Untouched(Some(Counted { is_exact: false, .. }))), "{sent:?}");
}

#[test]
fn after_an_error_that_tells_numbers_the_prompt_is_trimmed_by_them() {
    let models = Models::default();
    let body = conversation(Dialect::OpenaiChat, 20, 3);
    let raw = Bytes::from(body.to_string());
    let call = Call { max_tokens: None, ..call("llama") };
    let asked = asked(Dialect::OpenaiChat, &call);
    let now = Instant::now();
    assert!(!asked.may_overflow(models.window(asked, now), raw.len()));
    let truth = exact(&raw) * 13 / 10;
    let said = Overflow { window: Some(4096), prompt: Some(truth), answer: None };
    let trimmed = trimmed(models.fit(asked, &raw, TARGET, Some(said), now));
    assert!(exact(&trimmed.body) * 13 / 10 <= 3072 + 60, "{}", exact(&trimmed.body));
    assert!(trimmed.left.tokens <= 3072 && trimmed.tokens + trimmed.left.tokens >= truth, "{trimmed:?}");
    assert_eq!(models.window(asked, now).map(|window| (window.tokens, window.origin)), Some((4096, Origin::Learnt)));
    // The next turn is trimmed before it is sent.
    assert!(asked.may_overflow(models.window(asked, now), raw.len()));
    assert!(matches!(models.fit(asked, &raw, TARGET, None, now), Fit::Trimmed(_)));
}

#[test]
fn after_an_error_without_numbers_it_is_trimmed_all_the_same() {
    let body = Bytes::from(conversation(Dialect::OpenaiChat, 20, 3).to_string());
    let (now, call) = (Instant::now(), call("llama"));
    // Of a window that nobody knows, and of one in which the prompt should have fitted.
    for models in [Models::default(), {
        let mut config = Config::default();
        config.context.windows = ByModel::new(vec![("llama".to_owned(), 100_000)]);
        Models::new(&config)
    }] {
        let asked = asked(Dialect::OpenaiChat, &call);
        let trimmed = trimmed(models.fit(asked, &body, TARGET, Some(Overflow::default()), now));
        assert!(trimmed.body.len() < body.len() * 4 / 5, "{} of {}", trimmed.body.len(), body.len());
    }
}

/// The Responses API names no number. A conversation that went on outgrew what one more attempt could save, because its window was still taken to be the
/// table's.
#[test]
fn after_an_error_without_numbers_the_next_turn_is_trimmed_before_it_is_sent() {
    let (now, call, models) = (Instant::now(), Call { max_tokens: None, ..call("gpt-4o") }, Models::default());
    let asked = asked(Dialect::OpenaiChat, &call);
    let body = |turns| Bytes::from(conversation(Dialect::OpenaiChat, turns, 3).to_string());
    let first = trimmed(models.fit(asked, &body(20), TARGET, Some(Overflow::default()), now));
    let all = first.tokens + first.left.tokens;
    assert_eq!(models.window(asked, now).map(|window| (window.tokens, window.origin)), Some((all - 1, Origin::Learnt)));
    for turns in [21, 30, 60] {
        let trimmed = trimmed(models.fit(asked, &body(turns), TARGET, None, now));
        assert!(trimmed.left.tokens <= all * 3 / 4 && trimmed.left.is_exact, "{turns}: {trimmed:?}");
    }
    // A short prompt is not too long, whatever an error says; nor is a window learnt where the prompt is known to have been too long.
    let models = Models::default();
    models.fit(asked, &Bytes::from(r#"{"messages":[{"role":"user","content":"Hello."}]}"#), TARGET, Some(Overflow::default()), now);
    assert_eq!(models.window(asked, now).map(|window| window.origin), Some(Origin::Table));
    let models = self::models(4000);
    models.fit(asked, &body(20), TARGET, Some(Overflow::default()), now);
    assert_eq!(models.window(asked, now).map(|window| window.origin), Some(Origin::Config));
}

#[test]
fn ollama_is_seen_to_cut_what_is_too_long() {
    let models = Models::default();
    let (now, call) = (Instant::now(), Call { max_tokens: None, ..call("of-mine:7b") });
    let asked = asked(Dialect::Ollama, &call);
    let counted = |tokens| Counted { tokens, is_exact: false, by_ours: Ours { tokens, figures: 0 } };
    for tokens in [500, 900, 1500, 2300] {
        assert!(models.taught(asked, counted(tokens), tokens * 21 / 20, now));
        assert_eq!(models.window(asked, now), None, "{tokens}");
    }
    assert!(!models.taught(asked, counted(6000), 3900, now));
    assert_eq!(models.window(asked, now).map(|window| window.tokens), Some(4096));
    // Nothing was learnt of how it counts: 3,900 were not 6,000.
    let body = json!({"messages": [{"role": "user", "content": "word ".repeat(2000)}, {"role": "user", "content": "and?"}]});
    let fitted = models.fit(asked, &Bytes::from(body.to_string()), TARGET, None, now);
    assert!(matches!(fitted, Fit::Untouched(Some(counted)) if (2030..2300).contains(&counted.tokens)), "{fitted:?}");
}

#[test]
fn every_reply_teaches_how_its_model_counts() {
    let models = models(1_000_000);
    let (now, call) = (Instant::now(), call("mine"));
    let asked = asked(Dialect::OpenaiChat, &call);
    let body = Bytes::from("x".repeat(10) + &conversation(Dialect::OpenaiChat, 400, 1).to_string()).slice(10..);
    let counted = || match models.fit(Asked { provider: Some("ollama"), ..asked }, &body, TARGET, None, now) {
        Fit::Untouched(Some(counted)) => counted,
        other => panic!("{other:?}"),
    };
    let first = counted();
    assert!(!first.is_exact && first.tokens > first.by_ours.tokens);
    let truth = first.by_ours.tokens * 7 / 5;
    for _ in 0..5 {
        models.taught(asked, counted(), truth, now);
    }
    assert!(counted().tokens.abs_diff(truth) * 100 < truth * 2, "{:?} for {truth}", counted());
}

#[test]
fn what_is_left_of_a_prompt_is_counted_as_if_it_had_come_so() {
    for (dialect, model) in [(Dialect::OpenaiChat, "gpt-4o"), (Dialect::AnthropicMessages, "mine")] {
        let mut body = conversation(dialect, 60, 4);
        // Figures at one end alone, so that no share of the whole is right for what is left.
        let list = body["messages"].as_array_mut().unwrap();
        let said = |text: String| json!({"role": "user", "content": text});
        list.insert(1, json!({"role": "assistant", "content": "Go on."}));
        list.insert(2, said((0..4_000).map(|number: u32| (number * 7_919).to_string() + " ").collect()));
        list.insert(3, json!({"role": "assistant", "content": "Yes."}));
        list.insert(4, said("And this?".to_owned()));
        let models = models(8_000);
        let trimmed = trimmed(fit(&models, dialect, model, &body));
        assert!(trimmed.messages > 0 && trimmed.left.by_ours.figures > 0);
        let again = models.fit(asked(dialect, &call(model)), &trimmed.body, TARGET, None, Instant::now());
        let Fit::Untouched(Some(counted)) = again else { panic!("{again:?}") };
        assert_eq!(counted.by_ours, trimmed.left.by_ours, "{model}");
    }
}

#[test]
fn what_was_made_to_fit_by_a_token_is_not_touched_again() {
    // Many short messages, each of which is rounded by itself, in windows that end everywhere among them.
    let said =
        |number: usize| json!({"role": if number.is_multiple_of(2) { "user" } else { "assistant" }, "content": "so ".repeat(number * 7 % 5 + 1)});
    let body = json!({"model": "mine", "messages": (0..301).map(said).collect::<Vec<_>>()});
    for window in 1_500..1_700 {
        let models = models(window);
        let first = models.fit(asked(Dialect::OpenaiChat, &call("mine")), &Bytes::from(body.to_string()), 0.999, None, Instant::now());
        let trimmed = trimmed(first);
        let again = models.fit(asked(Dialect::OpenaiChat, &call("mine")), &trimmed.body, 0.999, None, Instant::now());
        assert!(trimmed.left.tokens <= window - 500 && matches!(again, Fit::Untouched(_)), "{window}: {again:?}");
    }
}
