//! What of a prompt was counted before, as conversations go on.

use serde_json::{Value, json};

use super::world::{CHAT, World, place};
use crate::{
    agent::{Arrived, Beginning, Ending, Stage},
    wire::Usage,
};

const FIRST: &str = "What is the weather like in Berlin, and will it rain. Tell me.";
const ANSWER: &str = "Sunny, with no clouds to be seen, and no rain before the evening of tomorrow.";

fn said(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text})
}

fn weight(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap()
}

/// Asks, and is answered; the provider counts 1,000 tokens, and so many of the answer.
fn asked(world: &mut World, output: Option<u64>) -> Arrived {
    let first = world.ask(&json!([said("user", FIRST)]));
    world.answer(&first, ANSWER);
    world.agents.counted(place(&first), 1000, &Usage { output, reasoning: Some(50), ..Usage::default() });
    first
}

#[test]
fn a_prompt_that_goes_on_was_counted_up_to_its_news() {
    let mut world = World::new();
    assert_eq!(asked(&mut world, Some(67)).beginning, None);
    let next = world.ask(&json!([said("user", FIRST), said("assistant", ANSWER), said("user", "And in Rome?")]));
    assert_eq!(next.beginning, Some(Beginning { weight: weight(FIRST) + weight(ANSWER), tokens: 1000 + 17 }));
    // One that has not been counted tells nothing of the next.
    world.answer(&next, "Rain.");
    let third =
        json!([said("user", FIRST), said("assistant", ANSWER), said("user", "And in Rome?"), said("assistant", "Rain."), said("user", "Oh.")]);
    assert_eq!(world.ask(&third).beginning, None);
}

#[test]
fn an_answer_that_cannot_be_what_was_counted_is_not_taken_as_that() {
    for output in [None, Some(50 + 3), Some(50 + 400)] {
        let mut world = World::new();
        asked(&mut world, output);
        let next = world.ask(&json!([said("user", FIRST), said("assistant", ANSWER), said("user", "And in Rome?")]));
        assert_eq!(next.beginning, Some(Beginning { weight: weight(FIRST), tokens: 1000 }), "{output:?}");
    }
}

#[test]
fn another_beginning_another_model_or_a_failure_was_not_counted() {
    let mut world = World::new();
    asked(&mut world, Some(67));
    let cut = world.ask(&json!([said("user", "It was about weather."), said("assistant", ANSWER), said("user", "And in Rome?")]));
    assert_eq!(cut.beginning, None);
    let messages = json!([said("user", FIRST), said("assistant", ANSWER), said("user", "And in Rome?")]);
    let other = world.send(&CHAT, json!({"model": "n", "messages": messages}).to_string().as_bytes());
    assert_eq!(other.beginning, None);
    let mut world = World::new();
    let first = world.ask(&json!([said("user", FIRST)]));
    world.end(&first, Ending::Cancelled(Stage::Waiting));
    world.agents.counted(place(&first), 1000, &Usage::default());
    assert_eq!(world.ask(&json!([said("user", FIRST), said("assistant", "Sun"), said("user", "And in Rome?")])).beginning, None);
}
