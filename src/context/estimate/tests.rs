use super::{Learners, MODELS_MAX};
use crate::context::{
    Beginning, Prompt,
    corpus::{Corpus, Mix, of_errors, weight},
    number,
};

fn prompt(characters: f64, tools: f64) -> Prompt {
    Prompt { weight: characters, tools }
}

/// What a model's vocabulary makes of prompts: so many tokens a character, a message's frame, and so many a tool; with a scatter of a few percent.
fn traffic(ratio: f64, tool: f64, seed: u64) -> impl Iterator<Item = (Prompt, u64)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut characters = 400.0;
    std::iter::repeat_with(move || {
        // A conversation that grows and begins anew, by agents with no, two or five tools.
        characters = if characters > 30_000.0 { 400.0 } else { characters + 200.0 + 1500.0 * random.f64() };
        let tools = [0.0, 2.0, 5.0][random.usize(..3)];
        let scatter = 1.0 + 0.04 * (random.f64() - 0.5);
        let tokens = (characters * ratio * scatter + 12.0 + tools * tool).round();
        (prompt(characters, tools), super::whole(tokens))
    })
}

/// The mean of the relative errors of estimates made after so many replies, each before its own reply.
fn error_after(lessons: usize, ratio: f64, tool: f64) -> f64 {
    let learners = Learners::default();
    let mut errors = Vec::new();
    for (place, (prompt, tokens)) in traffic(ratio, tool, 7).take(lessons + 100).enumerate() {
        let estimate = learners.estimate("m", prompt, None);
        if place >= lessons {
            errors.push((crate::context::number(estimate) - crate::context::number(tokens)).abs() / crate::context::number(tokens));
        }
        learners.learn("m", prompt, tokens);
    }
    errors.iter().sum::<f64>() / crate::context::number(u64::try_from(errors.len()).unwrap())
}

#[test]
fn after_twenty_replies_an_estimate_is_within_a_few_percent() {
    for (ratio, tool) in [(0.22, 40.0), (0.25, 60.0), (0.31, 150.0), (0.6, 80.0), (1.1, 60.0), (0.25, 300.0)] {
        let error = error_after(20, ratio, tool);
        assert!(error < 0.03, "{ratio} {tool}: {error}");
    }
}

/// The 95th percentile and the mean of the errors after 20 replies, in thousandths: each prompt is new.
fn errors_of(mix: Mix, vocabulary: &str, bytes: std::ops::Range<usize>) -> (u64, u64) {
    let (learners, truth, mut corpus) = (Learners::default(), tiktoken::get_encoding(vocabulary).unwrap(), Corpus::new(2));
    let error = |_| {
        let messages = corpus.messages(mix, bytes.clone());
        let prompt = prompt(number(weight(&messages)), 0.0);
        let tokens = messages.iter().map(|text| u64::try_from(truth.count(text)).unwrap() + 4).sum::<u64>() + 12;
        let estimate = learners.estimate("m", prompt, None);
        learners.learn("m", prompt, tokens);
        estimate.abs_diff(tokens) * 1000 / tokens
    };
    of_errors((0..120).map(error).skip(20).collect())
}

#[test]
fn what_characters_weigh_tells_code_from_prose_and_tables() {
    for vocabulary in ["o200k_base", "cl100k_base", "llama3"] {
        for (mix, at_most) in [(Mix::Prose, 30), (Mix::Code, 60), (Mix::Json, 30), (Mix::Tables, 60), (Mix::Any, 100)] {
            let (most, mean) = errors_of(mix, vocabulary, 4_000..30_000);
            assert!(most <= at_most && mean <= at_most / 2, "{vocabulary} {mix:?}: {most} ‰ at the 95th percentile, {mean} ‰ in the mean");
        }
    }
}

#[test]
fn a_conversation_that_goes_on_is_estimated_within_three_percent() {
    for (vocabulary, mix) in [("o200k_base", Mix::Prose), ("o200k_base", Mix::Any), ("llama3", Mix::Prose), ("llama3", Mix::Code)] {
        let (learners, truth, mut corpus) = (Learners::default(), tiktoken::get_encoding(vocabulary).unwrap(), Corpus::new(5));
        let count = |texts: &[String]| texts.iter().map(|text| u64::try_from(truth.count(text)).unwrap() + 4).sum::<u64>();
        let mut errors = Vec::new();
        for _ in 0..8 {
            let mut texts = vec![corpus.message(Mix::Prose, 0, 3000), corpus.message(Mix::Prose, 0, 500)];
            let mut known = None;
            for _ in 0..20 {
                let (heavy, tokens) = (number(weight(&texts)), count(&texts) + 12);
                errors.push(learners.estimate("m", prompt(heavy, 0.0), known).abs_diff(tokens) * 1000 / tokens);
                learners.learn("m", prompt(heavy, 0.0), tokens);
                // An answer, whose tokens are known, and what comes back to it.
                let (answered, asked) = (corpus.random.usize(80..1500), corpus.random.usize(80..2500));
                texts.push(corpus.message(Mix::Prose, 0, answered));
                let answer = count(&texts[texts.len() - 1..]) - 4;
                known = Some(Beginning { weight: weight(&texts), tokens: tokens + answer });
                texts.push(corpus.message(mix, 1, asked));
            }
        }
        let (most, mean) = of_errors(errors.split_off(20));
        assert!(most <= 30 && mean <= 10, "{vocabulary} {mix:?}: {most} ‰ at the 95th percentile, {mean} ‰ in the mean");
    }
}

#[test]
fn before_any_reply_an_estimate_is_of_the_right_size() {
    let learners = Learners::default();
    assert_eq!(learners.estimate("gpt-4o", prompt(4000.0, 0.0), None), 888);
    assert_eq!(learners.estimate("claude-sonnet-4-5", prompt(4000.0, 2.0), None), 1168);
    assert_eq!(learners.estimate("claude-opus-4-8", prompt(4000.0, 2.0), None), 1448);
    assert_eq!(learners.estimate("gpt-4o", prompt(1.0, 0.0), None), 8);
}

#[test]
fn an_image_does_not_spoil_what_was_learnt() {
    let learners = Learners::default();
    for (prompt, tokens) in traffic(0.25, 60.0, 3).take(40) {
        learners.learn("m", prompt, tokens);
    }
    let before = learners.estimate("m", prompt(10_000.0, 0.0), None);
    // Every tenth prompt has pictures of 5,000 tokens.
    for (place, (prompt, tokens)) in traffic(0.25, 60.0, 4).take(40).enumerate() {
        learners.learn("m", prompt, if place % 10 == 9 { tokens + 5000 } else { tokens });
    }
    let after = learners.estimate("m", prompt(10_000.0, 0.0), None);
    assert!(before.abs_diff(after) < 125, "{before} → {after}");
}

#[test]
fn a_change_of_language_is_followed() {
    let learners = Learners::default();
    for (prompt, tokens) in traffic(0.25, 60.0, 5).take(200).chain(traffic(0.7, 60.0, 6).take(40)) {
        learners.learn("m", prompt, tokens);
    }
    let tokens = learners.estimate("m", prompt(10_000.0, 0.0), None);
    assert!((6500..7600).contains(&tokens), "{tokens}");
}

#[test]
fn absurd_counts_do_not_break_it() {
    let learners = Learners::default();
    for tokens in [0, 1, u64::MAX, 3, u64::MAX, 1 << 40] {
        for characters in [1.0, 1e9, 4_294_967_295.0] {
            learners.learn("m", prompt(characters, 1e6), tokens);
            let estimate = learners.estimate("m", prompt(5000.0, 1.0), None);
            assert!(estimate >= 1, "{estimate}");
        }
    }
    for (prompt, tokens) in traffic(0.25, 60.0, 8).take(60) {
        learners.learn("m", prompt, tokens);
    }
    let estimate = learners.estimate("m", prompt(10_000.0, 0.0), None);
    assert!((2300..2700).contains(&estimate), "{estimate}");
}

#[test]
fn what_was_used_last_is_remembered() {
    let learners = Learners::default();
    let count = u32::try_from(MODELS_MAX).unwrap();
    for model in 0..count * 4 {
        learners.learn(&format!("m{model}"), prompt(1000.0, 0.0), 900);
        learners.learn("kept", prompt(1000.0, 0.0), 900);
    }
    assert_eq!(learners.models.lock().unwrap().by_name.len(), MODELS_MAX);
    assert!(learners.estimate("kept", prompt(1000.0, 0.0), None) > 850);
    assert_eq!(learners.estimate("m0", prompt(1000.0, 0.0), None), 228);
}
