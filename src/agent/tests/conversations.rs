//! Which requests belong together: one run of a program is one conversation, and two are two.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{CHAT, Way, World, conversation};
use crate::agent::{Ending, Stage};

fn body(messages: &Value) -> Vec<u8> {
    json!({"model": "m", "messages": messages}).to_string().into_bytes()
}

fn on(connection: u64) -> Way<'static> {
    Way { connection, ..CHAT }
}

#[test]
fn what_goes_on_is_the_same_conversation_a_turn_later() {
    let mut world = World::new();
    let first = world.ask(&json!([{"role": "user", "content": "Go."}]));
    world.answer(&first, "Gone.");
    let second =
        world.ask(&json!([{"role": "user", "content": "Go."}, {"role": "assistant", "content": "Gone."}, {"role": "user", "content": "And?"}]));
    let turn = |arrived: &crate::agent::Arrived| arrived.conversation.as_ref().unwrap().turn;
    assert_eq!((conversation(&first), turn(&first)), (conversation(&second), 1));
    assert_eq!((turn(&second), first.trace), (2, second.trace));
    assert!(first.trace.is_some_and(|trace| trace != 0));
}

#[test]
fn two_runs_with_the_same_beginning_are_two_and_each_goes_on_by_its_own_answer() {
    let mut world = World::new();
    let start = json!([{"role": "system", "content": "S"}, {"role": "user", "content": "Go."}]);
    let runs: Vec<_> = (0..4).map(|_| world.ask(&start)).collect();
    for (index, run) in runs.iter().enumerate() {
        world.answer(run, &format!("Gone the way of {index}."));
    }
    let mut ids: Vec<_> = runs.iter().map(conversation).collect();
    for (index, run) in runs.iter().enumerate().rev() {
        let mut messages = start.as_array().unwrap().clone();
        messages.push(json!({"role": "assistant", "content": format!("Gone the way of {index}.")}));
        messages.push(json!({"role": "user", "content": "And?"}));
        let next = world.ask(&messages.into());
        assert_eq!(conversation(&next), conversation(run), "{index}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn runs_that_are_the_same_in_every_word_go_on_by_their_connections_or_apart() {
    let mut world = World::new();
    let start = json!([{"role": "user", "content": "Go."}]);
    let next =
        json!([{"role": "user", "content": "Go."}, {"role": "assistant", "content": "Gone, as everybody."}, {"role": "user", "content": "And?"}]);
    let (one, two) = (world.send(&on(1), &body(&start)), world.send(&on(2), &body(&start)));
    world.answer(&one, "Gone, as everybody.");
    world.answer(&two, "Gone, as everybody.");
    let apart = world.send(&on(3), &body(&next));
    assert!(conversation(&apart) != conversation(&one) && conversation(&apart) != conversation(&two));
    let second = world.send(&on(2), &body(&next));
    assert_eq!(conversation(&second), conversation(&two));
    let first = world.send(&on(1), &body(&next));
    assert_eq!(conversation(&first), conversation(&one));
}

#[test]
fn an_answer_that_is_carried_joins_whatever_the_connection_and_the_prompt() {
    let mut world = World::new();
    let first = world.send(&on(1), &body(&json!([{"role": "system", "content": "A"}, {"role": "user", "content": "Go."}])));
    world.answer(&first, "A long and telling answer.");
    let carried = world.send(&on(2), &body(&json!([{"role": "system", "content": "B"}, {"role": "user", "content": "A long and telling answer."}])));
    assert_eq!((conversation(&carried), carried.trace), (conversation(&first), first.trace));
    let other = world.send(&on(2), &body(&json!([{"role": "system", "content": "B"}, {"role": "user", "content": "Another question."}])));
    assert_ne!(conversation(&other), conversation(&first));
}

#[test]
fn a_short_answer_says_nothing_by_itself() {
    let mut world = World::new();
    let first = world.send(&on(1), &body(&json!([{"role": "user", "content": "Shall I?"}])));
    world.answer(&first, "yes");
    let other = world.send(&on(2), &body(&json!([{"role": "system", "content": "B"}, {"role": "user", "content": "yes"}])));
    assert_ne!(conversation(&other), conversation(&first));
}

#[test]
fn the_same_opening_joins_other_agents_and_only_for_a_while() {
    let mut world = World::new();
    let ask = |system: &str| body(&json!([{"role": "system", "content": system}, {"role": "user", "content": "Look at both sides."}]));
    let first = world.send(&on(1), &ask("pro"));
    let second = world.send(&on(2), &ask("contra"));
    assert_eq!(conversation(&first), conversation(&second));
    // A second run: the same prompts once more.
    let third = world.send(&on(1), &ask("pro"));
    let fourth = world.send(&on(2), &ask("contra"));
    assert_ne!(conversation(&third), conversation(&first));
    assert_eq!(conversation(&third), conversation(&fourth));
    world.pass(Duration::from_mins(11));
    let late = world.send(&on(3), &ask("judge"));
    assert!(![&first, &third].map(conversation).contains(&conversation(&late)));
}

#[test]
fn the_agents_own_word_for_its_conversation_is_taken() {
    let mut world = World::new();
    let way = |given| Way { conversation: given, ..CHAT };
    let one = world.send(&way(Some("x")), &body(&json!([{"role": "user", "content": "One."}])));
    let two = world.send(&way(Some("x")), &body(&json!([{"role": "user", "content": "Two."}])));
    let other = world.send(&way(Some("y")), &body(&json!([{"role": "user", "content": "One."}])));
    assert_eq!((conversation(&one), one.conversation.as_ref().unwrap().given.as_deref()), (conversation(&two), Some("x")));
    assert_ne!(conversation(&one), conversation(&other));
    world.answer(&one, "First answer of all.");
    let next =
        json!([{"role": "user", "content": "One."}, {"role": "assistant", "content": "First answer of all."}, {"role": "user", "content": "More."}]);
    let unsaid = world.send(&way(None), &body(&next));
    assert_eq!(unsaid.conversation.unwrap().given.as_deref(), Some("x"));
}

#[test]
fn an_sdks_repetition_is_the_same_turn() {
    let mut world = World::new();
    let start = body(&json!([{"role": "user", "content": "Go."}]));
    let first = world.send(&CHAT, &start);
    world.end(&first, Ending::Failed);
    let second = world.send(&Way { retry: Some(1), connection: 7, ..CHAT }, &start);
    assert!(second.repeats && !first.repeats);
    assert_eq!(second.conversation, first.conversation);
    world.end(&second, Ending::Cancelled(Stage::Waiting));
    let third = world.send(&Way { retry: Some(2), connection: 8, ..CHAT }, &start);
    assert_eq!((third.repeats, &third.conversation), (true, &first.conversation));
    world.answer(&third, "Gone.");
    // The same again by the program itself is another run.
    let again = world.send(&Way { retry: Some(0), ..CHAT }, &start);
    assert_ne!(conversation(&again), conversation(&first));
}

#[test]
fn what_failed_is_tried_elsewhere_in_the_same_conversation() {
    let mut world = World::new();
    let with = |model: &str| json!({"messages": [{"role": "user", "content": "Go."}], "model": model}).to_string();
    let first = world.send(&on(1), with("m1").as_bytes());
    world.end(&first, Ending::Failed);
    let second = world.send(&on(2), with("m2").as_bytes());
    assert_eq!(conversation(&second), conversation(&first));
    world.answer(&second, "Gone.");
    let third = world.send(&on(1), with("m1").as_bytes());
    assert_ne!(conversation(&third), conversation(&first));
}

#[test]
fn a_response_that_continues_another_is_of_its_conversation() {
    let mut world = World::new();
    let way = Way { path: "/v1/responses", ..CHAT };
    let first = world.send(&way, br#"{"model":"m","input":"One."}"#);
    world.reply(&first, &crate::wire::Reply { id: Some("resp_1".to_owned()), ..Default::default() });
    let second = world.send(&way, br#"{"model":"m","input":"Two.","previous_response_id":"resp_1"}"#);
    assert_eq!(conversation(&second), conversation(&first));
}

#[test]
fn the_agents_own_trace_is_its_conversations() {
    let mut world = World::new();
    let first = world.send(&Way { trace: Some(77), ..CHAT }, &body(&json!([{"role": "user", "content": "Go."}])));
    world.answer(&first, "Gone.");
    let second =
        world.ask(&json!([{"role": "user", "content": "Go."}, {"role": "assistant", "content": "Gone."}, {"role": "user", "content": "And?"}]));
    assert_eq!((first.trace, second.trace), (Some(77), Some(77)));
}

#[test]
fn what_is_not_heard_of_for_an_hour_is_forgotten() {
    let mut world = World::new();
    let first = world.ask(&json!([{"role": "user", "content": "Go."}]));
    world.answer(&first, "Gone.");
    world.pass(Duration::from_mins(59));
    world.agents.expire(world.now);
    assert_eq!(world.agents.counts().conversations, 1);
    world.pass(Duration::from_mins(2));
    world.agents.expire(world.now);
    let counts = world.agents.counts();
    // The agents themselves stay for a day.
    assert_eq!((counts.conversations, counts.entries), (0, 0));
}
