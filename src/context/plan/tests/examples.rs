//! What comes out, to be read. A message is written as who speaks and the numbers that the text counts through, each of which is a token: `user 100..150`;
//! `call a` calls a tool, `result a 100..150` is what it gave back.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Budget, Case, Verdict, read};
use crate::wire::Dialect;

const PATH: &str = "/v1/chat/completions";

fn message(line: &str) -> Value {
    let words: Vec<_> = line.split(' ').collect();
    let text = || {
        let (from, to) = words.last().unwrap().split_once("..").unwrap();
        let (from, to): (u32, u32) = (from.parse().unwrap(), to.parse().unwrap());
        (from..to).fold(String::new(), |text, number| text + &number.to_string() + " ")
    };
    match words[0] {
        "call" => {
            let calls: Vec<_> =
                words[1..].iter().map(|id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})).collect();
            json!({"role": "assistant", "tool_calls": calls})
        }
        "result" => json!({"role": "tool", "tool_call_id": words[1], "content": text()}),
        role => json!({"role": role, "content": text()}),
    }
}

/// As it is written in the examples.
fn line(item: &Value) -> String {
    if let Some(calls) = item["tool_calls"].as_array() {
        return calls.iter().fold("call".to_owned(), |line, call| line + " " + call["id"].as_str().unwrap());
    }
    let mut line = match item["tool_call_id"].as_str() {
        Some(id) => format!("result {id}"),
        None => item["role"].as_str().unwrap().to_owned(),
    };
    let text = item["content"].as_str().unwrap();
    for part in text.split_inclusive('\n') {
        if part.starts_with('[') {
            write!(line, " {}", part.trim_end()).unwrap();
        } else {
            let numbers: Vec<u32> = part.split_whitespace().map(|number| number.parse().unwrap()).collect();
            write!(line, " {}..{}", numbers[0], numbers.last().unwrap() + 1).unwrap();
        }
    }
    line
}

fn trimmed(budget: Budget, lines: &[&str]) -> Result<Vec<String>, u64> {
    let items: Vec<String> = lines.iter().map(|line| message(line).to_string()).collect();
    let body = format!(r#"{{"model":"m","messages":[{}]}}"#, items.join(",")).into_bytes();
    let (outline, weights) = read(Dialect::OpenaiChat, PATH, &body);
    let case = Case { dialect: Dialect::OpenaiChat, path: PATH, body, outline, weights, budget };
    match case.plan() {
        Verdict::Fits => Ok(lines.iter().map(|&line| line.to_owned()).collect()),
        Verdict::TooLarge(least) => Err(least),
        Verdict::Trim(plan) => {
            let body: Value = serde_json::from_slice(&case.check(&plan)).unwrap();
            Ok(body["messages"].as_array().unwrap().iter().map(line).collect())
        }
    }
}

fn check(lines: &[&str], expected: &[&str]) {
    assert_eq!(trimmed(Budget { most: 1000, step: 400 }, lines).unwrap(), expected);
}

#[test]
fn what_fits_is_left_alone() {
    let lines = ["system 100..150", "user 100..900", "assistant 100..150"];
    check(&lines, &lines);
}

#[test]
fn old_results_and_pasted_blocks_shrink_first() {
    check(
        &[
            "user 100..150",
            "call a",
            "result a 100..600",
            "assistant 100..120",
            "user 100..350",
            "assistant 100..110",
            "user 100..200",
            "assistant 100..190",
        ],
        &[
            "user 100..150",
            "call a",
            "result a 100..136 [… 429 tokens left out …] 565..600",
            "assistant 100..120",
            "user 100..350",
            "assistant 100..110",
            "user 100..200",
            "assistant 100..190",
        ],
    );
}

#[test]
fn then_the_oldest_go_and_roles_alternate_on() {
    check(
        &[
            "system 100..120",
            "user 100..150",
            "assistant 100..250",
            "user 100..110",
            "call a b",
            "result a 100..110",
            "result b 100..110",
            "assistant 100..300",
            "user 100..120",
            "assistant 100..600",
            "user 100..110",
            "assistant 100..160",
        ],
        &["system 100..120", "user 100..150", "assistant 100..300", "user 100..120", "assistant 100..600", "user 100..110", "assistant 100..160"],
    );
}

#[test]
fn where_users_speak_one_behind_the_other_no_more_goes_than_has_to() {
    check(
        &[
            "user 100..150",
            "user 100..150",
            "user 100..160",
            "assistant 100..600",
            "user 100..150",
            "system 100..110",
            "user 100..150",
            "assistant 100..600",
        ],
        &["user 100..150", "user 100..150", "system 100..110", "user 100..150", "assistant 100..600"],
    );
}

#[test]
fn a_text_that_has_to_stay_shrinks_no_further_than_is_needed() {
    check(
        &["system 100..150", "user 100..150", "assistant 100..120", "user 100..999"],
        &["system 100..150", "user 100..150", "assistant 100..120", "user 100..312 [… 476 tokens left out …] 788..999"],
    );
}

#[test]
fn of_a_task_that_goes_on_the_largest_results_shrink_first() {
    check(
        &["user 100..150", "call a", "result a 100..500", "call b", "result b 100..250", "call c", "result c 100..560"],
        &[
            "user 100..150",
            "call a",
            "result a 100..172 [… 257 tokens left out …] 429..500",
            "call b",
            "result b 100..250",
            "call c",
            "result c 100..215 [… 231 tokens left out …] 446..560",
        ],
    );
}

#[test]
fn of_a_task_that_goes_on_in_small_steps_the_oldest_go() {
    let steps = (0..14).flat_map(|step| [format!("call {step}"), format!("result {step} 100..160")]);
    let lines: Vec<String> = ["user 100..150".to_owned()].into_iter().chain(steps).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    check(&lines, &[&lines[..1], &lines[13..]].concat());
}

#[test]
fn what_cannot_fit_is_too_large() {
    let lines = ["system 100..900", "user 100..150", "assistant 100..120", "user 100..110", "assistant 100..130"];
    let fit = |most| trimmed(Budget { most, step: most / 2 }, &lines);
    assert_eq!(fit(932), Err(933));
    assert_eq!(fit(933), Ok(lines.map(str::to_owned).to_vec()));
}
