use super::{super::Prompt, Learners, MODELS_MAX};

fn prompt(characters: f64, tools: f64) -> Prompt {
    Prompt { characters, tools }
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
        let estimate = learners.estimate("m", prompt);
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

#[test]
fn before_any_reply_an_estimate_is_of_the_right_size() {
    let learners = Learners::default();
    assert_eq!(learners.estimate("gpt-4o", prompt(4000.0, 0.0)), 1008);
    assert_eq!(learners.estimate("claude-sonnet-4-5", prompt(4000.0, 2.0)), 1288);
    assert_eq!(learners.estimate("gpt-4o", prompt(1.0, 0.0)), 8);
}

#[test]
fn an_image_does_not_spoil_what_was_learnt() {
    let learners = Learners::default();
    for (prompt, tokens) in traffic(0.25, 60.0, 3).take(40) {
        learners.learn("m", prompt, tokens);
    }
    let before = learners.estimate("m", prompt(10_000.0, 0.0));
    // Every tenth prompt has pictures of 5,000 tokens.
    for (place, (prompt, tokens)) in traffic(0.25, 60.0, 4).take(40).enumerate() {
        learners.learn("m", prompt, if place % 10 == 9 { tokens + 5000 } else { tokens });
    }
    let after = learners.estimate("m", prompt(10_000.0, 0.0));
    assert!(before.abs_diff(after) < 125, "{before} → {after}");
}

#[test]
fn a_change_of_language_is_followed() {
    let learners = Learners::default();
    for (prompt, tokens) in traffic(0.25, 60.0, 5).take(200).chain(traffic(0.7, 60.0, 6).take(40)) {
        learners.learn("m", prompt, tokens);
    }
    let tokens = learners.estimate("m", prompt(10_000.0, 0.0));
    assert!((6500..7600).contains(&tokens), "{tokens}");
}

#[test]
fn absurd_counts_do_not_break_it() {
    let learners = Learners::default();
    for tokens in [0, 1, u64::MAX, 3, u64::MAX, 1 << 40] {
        for characters in [1.0, 1e9, 4_294_967_295.0] {
            learners.learn("m", prompt(characters, 1e6), tokens);
            let estimate = learners.estimate("m", prompt(5000.0, 1.0));
            assert!(estimate >= 1, "{estimate}");
        }
    }
    for (prompt, tokens) in traffic(0.25, 60.0, 8).take(60) {
        learners.learn("m", prompt, tokens);
    }
    let estimate = learners.estimate("m", prompt(10_000.0, 0.0));
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
    assert!(learners.estimate("kept", prompt(1000.0, 0.0)) > 850);
    assert_eq!(learners.estimate("m0", prompt(1000.0, 0.0)), 258);
}
