//! Whatever comes, memory is bounded.

use std::time::Duration;

use serde_json::json;

use super::world::{CHAT, Way, World};
use crate::agent::{Ending, HangUps, Stage};

/// Everything that may be remembered at the most, all bounds together.
const ENTRIES_MAX: usize = 270_000;

#[test]
fn a_hundred_thousand_names_and_tools_leave_memory_bounded() {
    let mut world = World::new();
    let mut most = 0;
    for number in 0..25_000 {
        let (agent, given) = (format!("agent {number}"), format!("conversation {number}"));
        let way = Way { agent: Some(&agent), conversation: (number % 2 == 0).then_some(&*given), connection: number, ..CHAT };
        let user = |part: u32| format!(r#"{{"role":"user","name":"u{number}-{part}","content":"hello {number} of {part}"}}"#);
        let users = [1, 2, 3, 4].map(user).join(",");
        let body = format!(r#"{{"model":"m{number}","messages":[{{"role":"system","content":"s{number}"}},{users}]}}"#);
        let arrived = world.send(&way, body.as_bytes());
        if number % 2 == 0 {
            let calls = [1, 2, 3, 4, 5, 6, 7, 8]
                .map(|part| (format!("c{number}-{part}"), format!("tool {number} {part}"), format!(r#"{{"q":"{number} {part}"}}"#)));
            world.call(&arrived, &calls.each_ref().map(|(id, name, arguments)| (&**id, &**name, &**arguments)));
        } else {
            world.answer(&arrived, &format!("the answer to {number}"));
        }
        if number % 1000 == 0 {
            most = most.max(world.agents.counts().entries);
        }
    }
    assert!(most < ENTRIES_MAX, "{most}");
    let counts = world.agents.counts();
    assert!(counts.agents <= 10_000 && counts.conversations <= 10_000 && counts.tools_running <= 20_000, "{counts:?}");
    assert_eq!((world.agents.agents(50).len(), world.agents.conversations(50).len()), (50, 50));
    world.pass(Duration::from_hours(25));
    world.agents.expire(world.now);
    assert_eq!(world.agents.counts().entries, 0);
}

#[test]
fn one_conversation_with_all_in_it_is_bounded_too() {
    let mut world = World::new();
    for number in 0..500 {
        let way = Way { conversation: Some("one"), connection: number, ..CHAT };
        let names: Vec<_> =
            (0..100).map(|name| json!({"role": "user", "name": format!("n{number}-{name}"), "content": format!("t{number}-{name}")})).collect();
        let arrived = world.send(&way, json!({"messages": names}).to_string().as_bytes());
        world.answer(&arrived, "the same answer to all of it");
    }
    let view = world.agents.conversations(10);
    assert_eq!((view.len(), view[0].turns, view[0].given.as_deref()), (1, 500, Some("one")));
    assert!(view[0].threads <= 64);
}

#[test]
fn an_agents_own_limits_are_remembered() {
    let mut world = World::new();
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Go."}]}).to_string();
    let way = |retry| Way { agent: Some("planner"), retry: Some(retry), ..CHAT };
    let first = world.send(&way(0), body.as_bytes());
    world.end(&first, Ending::Cancelled(Stage::Waiting));
    let second = world.send(&way(1), body.as_bytes());
    world.end(&second, Ending::Cancelled(Stage::Streaming));
    let third = world.send(&way(2), body.as_bytes());
    world.end(&third, Ending::Failed);
    let view = &world.agents.agents(10)[0];
    assert_eq!((view.name.as_deref(), view.exchanges, view.sdk_retries, view.failed), (Some("planner"), 3, 2, 1));
    assert_eq!((view.hang_ups, view.waited), (HangUps { queue: 0, waiting: 1, streaming: 1 }, Some(Duration::from_secs(1))));
    assert_eq!((view.without_timeout, view.models.len(), &*view.models[0]), (3, 1, "m"));
}
