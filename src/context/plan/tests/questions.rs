//! A prompt that is all in one system message: what AutoGen asks a model that is to choose the next speaker, with the whole conversation in it.

use serde_json::{Value, json};

use super::{Budget, Verdict, count, plan, read, total};
use crate::wire::{Dialect, apply};

const MOST: u64 = 400;

fn choose(lines: usize) -> String {
    let said: Vec<_> = (0..lines).map(|line| format!("planner: this is line {line} of what was said.\n")).collect();
    let said = said.concat();
    format!("Select the next role from ['planner', 'writer'].\n\n{said}\nRead the above. Only return the role.")
}

/// What becomes of these messages.
fn planned(messages: &Value) -> Result<Value, Verdict> {
    let body = json!({"model": "m", "messages": messages}).to_string().into_bytes();
    let (outline, weights) = read(Dialect::OpenaiChat, "/v1/chat/completions", &body);
    assert!(total(&weights) > MOST);
    match plan(&body, &outline, &weights, Budget { most: MOST, step: 100 }, &mut count) {
        Verdict::Trim(plan) => Ok(serde_json::from_slice::<Value>(&apply(&body, &plan.edits)).unwrap()["messages"].take()),
        other => Err(other),
    }
}

fn is_shortened_in_the_middle(after: &Value) {
    let text = after["content"].as_str().unwrap();
    assert!(text.starts_with("Select the next role from ['planner', 'writer'].") && text.ends_with("Only return the role."), "{text}");
    assert!(text.contains("tokens left out") && text.len() < 4 * 400, "{text}");
}

#[test]
fn a_system_message_that_is_all_there_is_loses_its_middle() {
    let after = planned(&json!([{"role": "system", "content": choose(60)}])).unwrap();
    is_shortened_in_the_middle(&after[0]);
    // Asked again, because the answer was no good.
    let again =
        json!([{"role": "system", "content": choose(60)}, {"role": "assistant", "content": "nobody"}, {"role": "user", "content": "No valid name."}]);
    let after = planned(&again).unwrap();
    is_shortened_in_the_middle(&after[0]);
    assert_eq!(after.as_array().unwrap().last(), again.as_array().unwrap().last());
    // Of several it is the last.
    let rules = json!({"role": "system", "content": "You are terse. ".repeat(20)});
    let after = planned(&json!([rules, {"role": "system", "content": choose(60)}])).unwrap();
    assert_eq!(after[0], rules);
    is_shortened_in_the_middle(&after[1]);
}

#[test]
fn a_system_message_that_says_how_to_answer_a_user_stays_whole_or_the_prompt_is_refused() {
    let system = json!({"role": "system", "content": choose(60)});
    let user = json!({"role": "user", "content": "Who is next?"});
    for messages in [json!([system, user]), json!([user, system]), json!([system, user, {"role": "assistant", "content": "x"}, system])] {
        assert!(matches!(planned(&messages), Err(Verdict::TooLarge(_))), "{messages}");
    }
}

#[test]
fn nor_is_it_touched_while_anything_else_can_be() {
    let system = json!({"role": "system", "content": choose(10)});
    let mut messages = vec![system.clone(), json!({"role": "assistant", "content": "Hello."})];
    let role = |n: usize| if n.is_multiple_of(2) { "user" } else { "assistant" };
    messages.extend((0..40).map(|n| json!({"role": role(n), "content": format!("{n} {}", "so it is said ".repeat(6))})));
    messages.push(json!({"role": "user", "content": "And now?"}));
    let after = planned(&Value::Array(messages)).unwrap();
    assert_eq!(after[0], system);
    assert!(after.as_array().unwrap().len() < 20);
}
