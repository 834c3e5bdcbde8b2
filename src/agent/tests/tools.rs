//! Tools: from the reply that calls them to the request that brings their results.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{CHAT, Way, World, conversation, place, told};
use crate::agent::{ToolError, WAIT_MAX};

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn result(id: &str, text: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": text})
}

#[test]
fn a_run_lasts_from_the_answer_to_its_result() {
    let mut world = World::new();
    let first = world.ask(&json!([{"role": "user", "content": "Weather?"}]));
    world.call(&first, &[("a", "get", "{\"city\":\"Paris\"}"), ("b", "get", "{\"city\":\"Rome\"}")]);
    world.pass(Duration::from_secs(41));
    let calls = json!({"role": "assistant", "content": null, "tool_calls": [call("a", "get", "{}"), call("b", "get", "{}")]});
    let messages = json!([{"role": "user", "content": "Weather?"}, calls, result("a", "sunny"), result("b", "Error: no data for Rome")]);
    let second = world.ask(&messages);
    assert_eq!(second.tools.iter().map(told).collect::<Vec<_>>(), [("get".to_owned(), 42, None), ("get".to_owned(), 42, Some(ToolError::Failed))]);
    assert_eq!((second.tools[0].parent, Some(second.tools[0].trace)), (place(&first).0, first.trace));
    assert_ne!(second.tools[0].span_id, second.tools[1].span_id);
    // Nobody ends twice.
    world.answer(&second, "Sunny there.");
    let mut more = messages.as_array().unwrap().clone();
    more.extend([json!({"role": "assistant", "content": "Sunny there."}), json!({"role": "user", "content": "And?"})]);
    assert_eq!(world.ask(&more.into()).tools, []);
    assert_eq!(world.agents.counts().tools_running, 0);
}

#[test]
fn results_without_ids_are_matched_by_name_and_order() {
    let mut world = World::new();
    let way = Way { path: "/api/chat", retry: None, ..CHAT };
    let send = |world: &mut World, messages: Value| world.send(&way, json!({"model": "m", "messages": messages}).to_string().as_bytes());
    let first = send(&mut world, json!([{"role": "user", "content": "Weather?"}]));
    world.call(&first, &[("", "get", "{}"), ("", "put", "{}")]);
    let calls = json!({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "get", "arguments": {}}}, {"function": {"name": "put", "arguments": {}}}]});
    let brought = [json!({"role": "tool", "content": "Error: no", "tool_name": "put"}), json!({"role": "tool", "content": "sunny"})];
    let second = send(&mut world, json!([{"role": "user", "content": "Weather?"}, calls, brought[0], brought[1]]));
    assert_eq!(conversation(&second), conversation(&first));
    assert_eq!(second.tools.iter().map(|run| (&*run.name, run.error.clone())).collect::<Vec<_>>(), [("put", Some(ToolError::Failed)), ("get", None)]);
}

#[test]
fn a_call_that_nobody_comes_back_to_ends_as_such() {
    let mut world = World::new();
    let first = world.ask(&json!([{"role": "user", "content": "Weather?"}]));
    world.call(&first, &[("a", "get", "{}")]);
    world.pass(WAIT_MAX);
    assert_eq!(
        world.agents.expire(world.now).iter().map(told).collect::<Vec<_>>(),
        [("get".to_owned(), WAIT_MAX.as_secs() + 1, Some(ToolError::NoResult))]
    );
    assert_eq!(world.agents.expire(world.now), []);
}

#[test]
fn a_thread_that_goes_on_without_a_result_leaves_the_call_behind() {
    let mut world = World::new();
    let first = world.ask(&json!([{"role": "user", "content": "Weather?"}]));
    world.call(&first, &[("a", "get", "{}")]);
    let calls = json!({"role": "assistant", "content": null, "tool_calls": [call("a", "get", "{}")]});
    let second = world.ask(&json!([{"role": "user", "content": "Weather?"}, calls, {"role": "user", "content": "Never mind."}]));
    assert_eq!(second.tools.iter().map(|run| run.error.clone()).collect::<Vec<_>>(), [Some(ToolError::NoResult)]);
}

#[test]
fn an_agent_that_is_a_tool_runs_within_it_and_is_named_by_its_result() {
    let mut world = World::new();
    let boss = world.send(&Way { agent: Some("boss"), ..CHAT }, json!({"messages": [{"role": "user", "content": "Go."}]}).to_string().as_bytes());
    world.call(&boss, &[("a", "researcher", "{\"task\":\"find x\"}")]);
    let child = world.send(
        &Way { connection: 2, ..CHAT },
        json!({"messages": [{"role": "system", "content": "You research."}, {"role": "user", "content": "find x"}]}).to_string().as_bytes(),
    );
    assert_eq!((conversation(&child), child.trace), (conversation(&boss), boss.trace));
    let view = &world.agents.conversations(1)[0];
    assert_eq!((&*view.tools[0].name, &*view.children[0].tool, view.children[0].of.as_deref()), ("researcher", "researcher", Some("boss")));
    world.answer(&child, "x is 1");
    let calls = json!({"role": "assistant", "content": null, "tool_calls": [call("a", "researcher", "{\"task\":\"find x\"}")]});
    let second = world.ask(&json!([{"role": "user", "content": "Go."}, calls, result("a", "researcher: x is 1")]));
    assert_eq!((child.parent, second.parent), (Some(second.tools[0].span_id), None));
    assert_eq!((second.tools[0].agent.as_deref(), world.name(&child).as_deref()), (Some("boss"), Some("researcher")));
    // The same tool again: nobody else has that prompt in it.
    world.call(&second, &[("b", "researcher", "{\"task\":\"find y\"}")]);
    let again = world.send(
        &Way { connection: 2, ..CHAT },
        json!({"messages": [{"role": "system", "content": "You research."}, {"role": "user", "content": "find y"}]}).to_string().as_bytes(),
    );
    assert_eq!((again.agent.as_deref(), conversation(&again)), (Some("researcher"), conversation(&boss)));
}

#[test]
fn code_that_was_run_is_a_tool() {
    let mut world = World::new();
    let start = json!({"role": "user", "name": "user_proxy", "content": "Compute."});
    let first = world.ask(&json!([start]));
    world.answer(&first, "```python\nprint(1/0)\n```");
    let code = json!({"role": "assistant", "name": "coder", "content": "```python\nprint(1/0)\n```"});
    let output = "exitcode: 1 (execution failed)\nCode output: \nTraceback (most recent call last):\n  File \"\", line 1, in <module>\nZeroDivisionError: division by zero\n";
    let second = world.ask(&json!([start, code, {"role": "user", "name": "user_proxy", "content": output}]));
    assert_eq!(
        second.tools.iter().map(told).collect::<Vec<_>>(),
        [("code_execution".to_owned(), 1, Some(ToolError::Exception("ZeroDivisionError".into())))]
    );
    world.answer(&second, "Better so.");
    let third = world.ask(&json!([start, code, {"role": "user", "name": "user_proxy", "content": output}, {"role": "assistant", "name": "coder", "content": "Better so."},
        {"role": "user", "name": "user_proxy", "content": "exitcode: 0 (execution succeeded)\nCode output: 1"}]));
    assert_eq!(third.tools.iter().map(|run| run.error.clone()).collect::<Vec<_>>(), [None]);
}
