use serde_json::{Value, json};

use super::{refused, signature};
use crate::wire::Dialect;

/// What is said against a body in which these messages (items, contents) stand, and these other keys.
fn said(dialect: Dialect, messages: &Value, others: &Value) -> Option<String> {
    let list = match dialect {
        Dialect::OpenaiResponses => "input",
        Dialect::Gemini => "contents",
        _ => "messages",
    };
    let mut body = json!({"model": "m", "max_tokens": 100, list: messages});
    body.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    refused(dialect, body.to_string().as_bytes())
}

fn check(dialect: Dialect, messages: &Value, part: &str) {
    check_with(dialect, messages, &json!({}), part);
}

/// `part` of the words; of none if it is taken.
fn check_with(dialect: Dialect, messages: &Value, others: &Value, part: &str) {
    let said = said(dialect, messages, others);
    if part.is_empty() {
        assert_eq!(said, None, "{messages}");
    } else {
        assert!(said.as_ref().is_some_and(|said| said.contains(part)), "{part}: {said:?} for {messages}");
    }
}

#[test]
fn a_chats_messages_are_judged_one_by_one() {
    let call = |call: Value| json!([{"role": "assistant", "tool_calls": [call]}]);
    for (messages, part) in [
        (json!([]), "Invalid 'messages': empty array."),
        (json!([{"content": "hi"}]), "Missing required parameter: 'messages[0].role'."),
        (json!([{"role": "model", "content": "hi"}]), "Invalid value: 'model'. Supported values are: 'system', 'assistant'"),
        (json!([{"role": "user"}]), "Missing required parameter: 'messages[0].content'."),
        (json!([{"role": "user", "content": null}]), "Invalid value for 'content': expected a string, got null."),
        (json!([{"role": "assistant", "content": null}]), "Invalid value for 'content': expected a string, got null."),
        (json!([{"role": "assistant"}]), "Invalid value for 'content': expected a string, got null."),
        (json!([{"role": "user", "content": []}]), "Invalid 'messages[0].content': empty array."),
        (json!([{"role": "user", "content": {"a": 1}}]), "Invalid type for 'messages[0].content'"),
        (json!([{"role": "user", "content": ""}]), ""),
        (json!([{"role": "assistant", "content": null, "refusal": "No."}]), ""),
        (json!([{"role": "developer", "content": "x"}, {"role": "user", "content": "hi", "name": "alice"}]), ""),
        (json!([{"role": "user", "content": "hi", "name": "alice b"}]), "'messages[0].name': string does not match pattern."),
        (json!([{"role": "assistant", "content": "x", "tool_calls": []}]), "Invalid 'messages[0].tool_calls': empty array."),
        (json!([{"role": "tool", "content": "x"}]), "Missing required parameter: 'messages[0].tool_call_id'."),
        (call(json!({"type": "function", "function": {"name": "f", "arguments": "{}"}})), "'messages[0].tool_calls[0].id'"),
        (call(json!({"id": "c", "function": {"name": "f g", "arguments": "{}"}})), "'messages[0].tool_calls[0].function.name'"),
        (call(json!({"id": "c", "function": {"name": "f".repeat(65), "arguments": "{}"}})), "but got a string with length 65 instead."),
        (call(json!({"id": "c", "function": {"name": "f", "arguments": {}}})), "expected a string, but got an object instead."),
    ] {
        check(Dialect::OpenaiChat, &messages, part);
    }
}

#[test]
fn a_chats_calls_have_their_results_right_behind_them_and_its_choices_have_tools() {
    let user = json!({"role": "user", "content": "hi"});
    let call = |ids: &[&str]| {
        let calls: Vec<Value> = ids.iter().map(|id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})).collect();
        json!({"role": "assistant", "content": null, "tool_calls": calls})
    };
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "x"});
    let (stray, missing) = ("must be a response to a preceeding message with 'tool_calls'", "did not have response messages: b");
    for (messages, part) in [
        (json!([user, call(&["a", "b"]), result("b"), result("a"), user]), ""),
        (json!([user, call(&["a"]), result("a"), call(&["a"]), result("a")]), ""),
        (json!([user, call(&["a", "b"]), result("a"), user]), missing),
        (json!([user, call(&["b"])]), missing),
        (json!([user, call(&["b"]), user, result("b")]), missing),
        (json!([user, result("a")]), stray),
        (json!([user, call(&["a"]), result("a"), result("a")]), stray),
    ] {
        check(Dialect::OpenaiChat, &messages, part);
    }
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    for (others, part) in [
        (json!({"tools": tools, "tool_choice": "auto", "parallel_tool_calls": false}), ""),
        (json!({"tool_choice": null}), ""),
        (json!({"tool_choice": "auto"}), "'tool_choice' is only allowed when 'tools' are specified."),
        (json!({"parallel_tool_calls": true}), "'parallel_tool_calls' is only allowed when 'tools' are specified."),
        (json!({"tools": []}), "Invalid 'tools': empty array."),
        (json!({"tools": [{"type": "function", "function": {"name": "a.b"}}]}), "'tools[0].function.name'"),
    ] {
        check_with(Dialect::OpenaiChat, &json!([user]), &others, part);
    }
}

#[test]
fn a_responses_calls_have_outputs_behind_them_and_outputs_calls_before() {
    let user = json!({"role": "user", "content": "hi"});
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "x"});
    let custom = json!({"type": "custom_tool_call", "call_id": "a", "name": "f", "input": "x"});
    for (items, part) in [
        (json!([user, call("a"), call("b"), output("b"), output("a"), user]), ""),
        (json!([user, call("a"), user, output("a")]), ""),
        (json!([user, call("a"), output("a"), call("a"), output("a")]), ""),
        (json!([user, call("a")]), "No tool output found for function call a."),
        (json!([user, call("a"), output("a"), call("a")]), "No tool output found for function call a."),
        (json!([user, custom]), "No tool output found for custom tool call a."),
        (json!([user, output("a")]), "No tool call found for function call output with call_id a."),
        (json!([user, output("a"), call("a")]), "No tool call found for function call output with call_id a."),
        (json!([user, custom, output("a")]), "No tool call found for function call output with call_id a."),
        (json!([user, {"type": "function_call", "name": "f"}]), "Missing required parameter: 'input[1].call_id'."),
        (json!([user, {"type": "function_call_output", "call_id": "a"}]), "Missing required parameter: 'input[1].output'."),
        (json!([{"role": "tool", "content": "x"}]), "Invalid value: 'tool'."),
        (json!([{"role": "user"}]), "Missing required parameter: 'input[0].content'."),
        (json!([]), "Missing required parameter: 'input'."),
    ] {
        check(Dialect::OpenaiResponses, &items, part);
    }
    check_with(Dialect::OpenaiResponses, &json!([output("a")]), &json!({"previous_response_id": "resp_1"}), "");
}

#[test]
fn a_responses_reasoning_and_what_it_led_to_stay_together() {
    let user = json!({"role": "user", "content": "hi"});
    let thought = |id: &str| json!({"type": "reasoning", "id": id, "summary": []});
    let said = |id: &str| json!({"type": "message", "id": id, "role": "assistant", "content": [{"type": "output_text", "text": "x"}]});
    let call = json!({"type": "function_call", "id": "fc_r0A", "call_id": "a", "name": "f", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "a", "output": "x"});
    let alone = "of type 'reasoning' was provided without its required following item.";
    for (items, part) in [
        (json!([user, thought("rs_0A"), call, output]), ""),
        (json!([user, thought("rs_0A"), said("msg_r0A"), user]), ""),
        (json!([user, thought("rs_1"), thought("rs_2"), said("msg_3")]), ""),
        (json!([user, thought("rs_0A")]), alone),
        (json!([user, thought("rs_0A"), user]), alone),
        (json!([user, thought("rs_0A"), output, call]), "No tool call found"),
        (json!([user, said("msg_0A")]), ""),
        (json!([user, said("msg_r0A")]), "Item 'msg_r0A' of type 'message' was provided without its required 'reasoning' item: 'rs_0A'."),
        (json!([user, call, output]), "Item 'fc_r0A' of type 'function_call' was provided without its required 'reasoning' item: 'rs_0A'."),
        (json!([user, said("msg_1"), said("msg_1")]), "Duplicate item found with id msg_1."),
        (json!([user, {"type": "reasoning", "id": "rs_1"}, said("msg_1")]), "Missing required parameter: 'input[1].summary'."),
    ] {
        check(Dialect::OpenaiResponses, &items, part);
    }
}

#[test]
fn anthropics_messages_are_judged_one_by_one() {
    let user = json!({"role": "user", "content": "hi"});
    let text = |text: &str| json!({"role": "user", "content": [{"type": "text", "text": text}]});
    let assistant = |content: Value| json!({"role": "assistant", "content": content});
    for (messages, part) in [
        (json!([user, assistant(json!("yes")), user]), ""),
        (json!([user, user, assistant(json!("yes"))]), ""),
        (json!([{"role": "system", "content": "x"}]), "Unexpected role \"system\"."),
        (json!([{"role": "tool", "content": "x"}]), "messages.0.role: Input should be 'user' or 'assistant'"),
        (json!([assistant(json!("yes")), user]), "first message must use the \"user\" role"),
        (json!([user, assistant(json!("")), user]), "messages.1: all messages must have non-empty content"),
        (json!([user, assistant(json!([])), user]), "messages.1: all messages must have non-empty content"),
        (json!([user, assistant(json!(""))]), ""),
        (json!([text("")]), "text content blocks must be non-empty"),
        (json!([text(" \n")]), "text content blocks must contain non-whitespace text"),
        (json!([{"role": "user", "content": "  "}]), "text content blocks must contain non-whitespace text"),
        (json!([user, assistant(json!("yes "))]), "final assistant content cannot end with trailing whitespace"),
        (json!([user, assistant(json!("yes ")), user]), ""),
        (json!([{"role": "user", "content": [{"text": "x"}]}]), "messages.0.content.0.type: Field required"),
        (json!([{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}]), "can only be in `assistant` messages"),
        (json!([user, assistant(json!([{"type": "tool_result", "tool_use_id": "a"}]))]), "can only be in `user` messages"),
    ] {
        check(Dialect::AnthropicMessages, &messages, part);
    }
    let marked = |count: usize| json!([{"role": "user", "content": vec![json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}); count]}]);
    check(Dialect::AnthropicMessages, &marked(4), "");
    check(Dialect::AnthropicMessages, &marked(5), "A maximum of 4 blocks with cache_control may be provided. Found 5.");
    let tools = json!({"tools": [{"name": "f", "input_schema": {}, "cache_control": {"type": "ephemeral"}}]});
    check_with(Dialect::AnthropicMessages, &marked(4), &tools, "Found 5.");
}

#[test]
fn anthropics_tool_uses_have_their_results_first_thing_in_the_next_message() {
    let user = json!({"role": "user", "content": "hi"});
    let calls = |ids: &[&str]| {
        let calls: Vec<Value> = ids.iter().map(|id| json!({"type": "tool_use", "id": id, "name": "f", "input": {}})).collect();
        json!({"role": "assistant", "content": calls})
    };
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "x"});
    let text = json!({"type": "text", "text": "and"});
    let results = |blocks: &[&Value]| json!({"role": "user", "content": blocks});
    let without = "`tool_use` ids were found without `tool_result` blocks immediately after: a";
    for (messages, part) in [
        (json!([user, calls(&["a", "b"]), results(&[&result("b"), &result("a"), &text]), calls(&["c"]), results(&[&result("c")])]), ""),
        (json!([user, calls(&["a"])]), ""),
        (json!([user, calls(&["a"]), user]), without),
        (json!([user, calls(&["a", "b"]), results(&[&result("b")])]), without),
        (json!([user, calls(&["a"]), results(&[&text, &result("a")])]), without),
        (json!([user, results(&[&result("a")])]), "unexpected `tool_use_id` found in `tool_result` blocks: a"),
        (json!([user, calls(&["a"]), results(&[&result("a"), &result("b")])]), "unexpected `tool_use_id`"),
        (json!([user, calls(&["a"]), results(&[&result("a"), &result("a")])]), "each tool_use must have a single result."),
        (json!([user, calls(&["a"]), results(&[&result("a")]), calls(&["a"])]), "`tool_use` ids must be unique"),
    ] {
        check(Dialect::AnthropicMessages, &messages, part);
    }
}

#[test]
fn anthropics_thoughts_are_there_and_as_they_were_while_tools_are_called() {
    let user = json!({"role": "user", "content": "hi"});
    let thought = |text: &str, sign: &str| json!({"type": "thinking", "thinking": text, "signature": sign});
    let sign = signature("Hm.");
    let good = thought("Hm.", &sign);
    let called = |before: &[&Value], id: &str| {
        let mut content: Vec<Value> = before.iter().map(|block| (*block).clone()).collect();
        content.push(json!({"type": "tool_use", "id": id, "name": "f", "input": {}}));
        json!({"role": "assistant", "content": content})
    };
    let result = |id: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "x"}]});
    let expected = "Expected `thinking` or `redacted_thinking`, but found `tool_use`.";
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
    for (messages, part) in [
        (json!([user, called(&[&good], "a"), result("a")]), ""),
        (json!([user, called(&[&good], "a"), result("a"), called(&[], "b"), result("b")]), ""),
        (json!([user, called(&[], "a"), result("a"), user]), ""),
        (json!([user, called(&[], "a"), result("a")]), expected),
        (json!([user, called(&[&good], "a"), result("a"), user, called(&[], "b"), result("b")]), expected),
        (json!([user, called(&[&thought("Hm", &sign)], "a"), result("a")]), "messages.1.content.0: Invalid `signature` in `thinking` block"),
        (json!([user, called(&[&thought("Hm.", "RXVtTQ==")], "a"), result("a")]), ""),
        (json!([user, called(&[&json!({"type": "thinking", "thinking": "x"})], "a"), result("a")]), "thinking.signature: Field required"),
        (json!([user, {"role": "assistant", "content": [good]}, user]), "The final block in an assistant message cannot be `thinking`."),
    ] {
        check_with(Dialect::AnthropicMessages, &messages, &thinking, part);
    }
    check(Dialect::AnthropicMessages, &json!([user, called(&[], "a"), result("a")]), "");
}

#[test]
fn geminis_contents_take_turns_and_calls_have_as_many_responses_right_behind_them() {
    let user = json!({"role": "user", "parts": [{"text": "hi"}]});
    let said = json!({"role": "model", "parts": [{"text": "yes"}]});
    let calls = |count: usize| json!({"role": "model", "parts": vec![json!({"functionCall": {"name": "f", "args": {}}}); count]});
    let responses = |count: usize| json!({"role": "user", "parts": vec![json!({"functionResponse": {"name": "f", "response": {}}}); count]});
    let number = "the number of function response parts is equal to the number of function call parts of the function call turn.";
    let after_user = "function call turn comes immediately after a user turn or after a function response turn.";
    for (contents, part) in [
        (json!([user, calls(2), responses(2), calls(1), responses(1), said, user]), ""),
        (json!([{"parts": [{"text": "hi"}]}]), ""),
        (json!([user, calls(2), responses(1)]), number),
        (json!([user, calls(1), user]), number),
        (json!([user, responses(1)]), "function response turn comes immediately after a function call turn."),
        (json!([calls(1), responses(1)]), after_user),
        (json!([user, said, calls(1), responses(1)]), after_user),
        (json!([said, user]), "multiturn requests alternate between user and model."),
        (json!([said]), "single turn requests end with a user role"),
        (json!([{"role": "assistant", "parts": [{"text": "hi"}]}]), "Please use a valid role: user, model."),
        (json!([user, {"role": "model", "parts": []}, user]), "contents[1].parts: contents.parts must not be empty."),
        (json!([{"role": "user"}]), "contents.parts must not be empty."),
        (json!([{"role": "user", "parts": [{}]}]), "required oneof field 'data' must have one initialized field"),
        (json!([user, {"role": "model", "parts": [{"functionCall": {"args": {}}}]}]), "function_call.name: Name cannot be empty."),
        (json!([]), "contents is not specified"),
    ] {
        check(Dialect::Gemini, &contents, part);
    }
}

#[test]
fn ollama_takes_whatever_comes() {
    let stray = json!([{"role": "tool", "content": "x"}, {"role": "assistant", "content": ""}, {"role": "user", "content": ""}]);
    check(Dialect::Ollama, &stray, "");
}

#[test]
fn what_real_clients_send_is_taken() {
    for (dialect, body) in [
        (Dialect::OpenaiChat, include_str!("../../../../tests/fixtures/openai-chat/request.json")),
        (Dialect::OpenaiResponses, include_str!("../../../../tests/fixtures/openai-responses/request.json")),
        (Dialect::AnthropicMessages, include_str!("../../../../tests/fixtures/anthropic-messages/request.json")),
        (Dialect::Gemini, include_str!("../../../../tests/fixtures/gemini/request.json")),
        (Dialect::Ollama, include_str!("../../../../tests/fixtures/ollama/request.json")),
    ] {
        assert_eq!(refused(dialect, body.as_bytes()), None, "{dialect}");
    }
    assert!(refused(Dialect::OpenaiChat, b"{").is_some_and(|said| said.starts_with("We could not parse")));
}
