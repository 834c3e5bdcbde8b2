//! Who calls: each rule alone, and what happens where they disagree.

use serde_json::{Value, json};

use super::world::{CHAT, Way, World};
use crate::agent::{Arrived, Rule, SELECTION, Source};

fn inferred(rule: Rule) -> Source {
    Source::Inferred(rule)
}

/// What is known of a request's caller when it arrives.
fn live(arrived: &Arrived) -> (Option<&str>, Source) {
    (arrived.agent.as_deref(), arrived.source)
}

fn system(text: &str) -> Value {
    json!({"role": "system", "content": text})
}

fn user(name: &str, text: &str) -> Value {
    json!({"role": "user", "name": name, "content": text})
}

fn own(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

#[test]
fn an_agents_own_word_is_taken() {
    let mut world = World::new();
    let body = json!({"model": "m", "messages": [system("You are the planner."), user("user", "Go.")]}).to_string();
    let asked = world.send(&Way { agent: Some("planner"), ..CHAT }, body.as_bytes());
    assert_eq!(live(&asked), (Some("planner"), Source::Explicit));
    world.answer(&asked, "The plan is to go on.");
    // It goes on without saying its name again.
    let next = world.ask(&json!([system("You are the planner."), user("user", "Go."), own("The plan is to go on."), user("user", "And?")]));
    assert_eq!(live(&next), (Some("planner"), inferred(Rule::OwnHistory)));
    assert_eq!(world.caller(&asked), (Some("planner".to_owned()), Source::Explicit));
}

#[test]
fn an_answer_that_comes_back_under_a_name_names_whoever_gave_it() {
    let mut world = World::new();
    let first = world.ask(&json!([system("Plan."), user("user", "Go.")]));
    assert_eq!(live(&first), (None, Source::Unknown));
    world.answer(&first, "plan");
    let second = world.ask(&json!([system("Write."), user("user", "Go."), user("planner", "plan")]));
    assert_eq!((live(&second), world.caller(&first)), ((None, Source::Unknown), (Some("planner".to_owned()), inferred(Rule::Echo))));
    world.answer(&second, "draft");
    let third = world.ask(&json!([system("Plan."), user("user", "Go."), own("plan"), user("writer", "draft")]));
    assert_eq!(live(&third), (Some("planner"), inferred(Rule::OwnHistory)));
    assert_eq!(world.name(&second).as_deref(), Some("writer"));
}

#[test]
fn what_people_repeat_makes_them_no_agents() {
    let mut world = World::new();
    let first = world.ask(&json!([system("Plan."), user("user", "Go.")]));
    world.answer(&first, "The plan is to go on.");
    world.ask(&json!([system("Write."), user("user", "The plan is to go on.")]));
    assert_eq!(world.name(&first), None);
    world.ask(&json!([system("Write."), user("user_proxy", "The plan is to go on.")]));
    assert_eq!(world.name(&first), None);
}

#[test]
fn nobody_speaks_as_another_in_its_own_request() {
    let mut world = World::new();
    let prompt = system("You are a helpful AI assistant.");
    let first = world.ask(&json!([prompt, user("user", "Go."), user("alice", "I went.")]));
    world.answer(&first, "So did I, and came back.");
    // alice stands in that request: somebody who repeats its answer is not alice.
    world.ask(&json!([prompt, user("user", "Go."), user("alice", "So did I, and came back.")]));
    assert_eq!(world.name(&first), None);
}

#[test]
fn two_agents_with_the_same_prompt_and_the_same_words_are_told_apart() {
    let mut world = World::new();
    let prompt = system("You are a helpful AI assistant.");
    let alice = world.ask(&json!([prompt, user("user", "Go.")]));
    world.answer(&alice, "OK");
    let bob = world.ask(&json!([prompt, user("user", "Go."), user("alice", "OK")]));
    world.answer(&bob, "OK");
    let again = world.ask(&json!([prompt, user("user", "Go."), own("OK"), user("bob", "OK")]));
    assert_eq!(
        [world.name(&alice), world.name(&bob), world.name(&again)],
        [Some("alice".to_owned()), Some("bob".to_owned()), Some("alice".to_owned())]
    );
    assert_eq!(live(&again), (Some("alice"), inferred(Rule::OwnHistory)));
}

#[test]
fn one_answer_under_two_names_is_nobodys() {
    let mut world = World::new();
    let first = world.ask(&json!([system("Plan."), user("user", "Go.")]));
    world.answer(&first, "The plan is to go on.");
    world.ask(&json!([system("Write."), user("user", "Go."), user("planner", "The plan is to go on.")]));
    world.ask(&json!([system("Check."), user("user", "Go."), user("relay", "The plan is to go on.")]));
    assert_eq!(world.caller(&first), (None, Source::Unknown));
    // And stays so.
    world.ask(&json!([system("Count."), user("user", "Go."), user("planner", "The plan is to go on.")]));
    assert_eq!(world.caller(&first), (None, Source::Unknown));
}

#[test]
fn a_hand_over_says_who_speaks_and_who_spoke() {
    let mut world = World::new();
    let alice = world.ask(&json!([system("Alice."), user("user", "Go.")]));
    world.call(&alice, &[("call_1", "transfer_to_bob", "{}")]);
    let text = "Transferred to bob, adopting the role of bob immediately.";
    let bob = world.ask(&json!([system("Bob."), user("user", "Go."), user("alice", text)]));
    assert_eq!(live(&bob), (Some("bob"), inferred(Rule::HandOver)));
    assert_eq!(world.name(&alice).as_deref(), Some("alice"));
    assert_eq!(bob.tools.iter().map(|run| (&*run.name, run.error.clone())).collect::<Vec<_>>(), [("transfer_to_bob", None)]);
}

#[test]
fn a_transfers_result_says_who_speaks_though_the_history_is_anothers() {
    let mut world = World::new();
    let triage = world.ask(&json!([{"role": "user", "content": "my bill"}]));
    world.call(&triage, &[("call_1", "transfer_to_billing_agent", "{}")]);
    let call = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "transfer_to_billing_agent", "arguments": "{}"}}]});
    let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "{\"assistant\": \"Billing Agent\"}"});
    let billing = world.ask(&json!([{"role": "user", "content": "my bill"}, call, result]));
    assert_eq!(live(&billing), (Some("Billing Agent"), inferred(Rule::HandOver)));
    assert_eq!(world.name(&triage), None);
}

#[test]
fn own_turns_under_a_name_are_the_callers_where_users_have_names_too() {
    let mut world = World::new();
    let classic =
        world.ask(&json!([system("Bob."), user("alice", "Hi."), {"role": "assistant", "name": "bob", "content": "Hello."}, user("alice", "So?")]));
    assert_eq!(live(&classic), (Some("bob"), inferred(Rule::OwnTurn)));
    // langgraph: another's turn is an assistant's too, and users have no names.
    let graph =
        world.ask(&json!([system("Write."), {"role": "user", "content": "Write."}, {"role": "assistant", "name": "planner", "content": "A plan."}]));
    assert_eq!(live(&graph), (None, Source::Unknown));
    let two =
        world.ask(&json!([user("u", "Hi."), {"role": "assistant", "name": "a", "content": "1"}, {"role": "assistant", "name": "b", "content": "2"}]));
    assert_eq!(live(&two), (None, Source::Unknown));
}

#[test]
fn a_role_is_a_name_and_disagreement_is_none() {
    let mut world = World::new();
    let crew = "You are Senior Researcher. You know all.\nYour personal goal is: to know more\n";
    let asked = world.ask(&json!([system(crew), {"role": "user", "content": "Current Task: know"}]));
    assert_eq!(live(&asked), (Some("Senior Researcher"), inferred(Rule::Role)));
    let asked = world.ask(&json!([system(crew), user("a", "Hi."), {"role": "assistant", "name": "bob", "content": "Hello."}, user("a", "So?")]));
    assert_eq!(live(&asked), (None, Source::Unknown));
}

const ROLES: &str = "You are in a role play game. The following roles are available:\nplanner: Plans\nwriter: Writes.\nRead the following conversation. Then select the \
    next role from ['planner', 'writer'] to play. Only return the role.\n\nuser: Say hello.\n\n\n";
const CHOOSE: &str = "Read the above conversation. Then select the next role from ['planner', 'writer'] to play. Only return the role.\n";

#[test]
fn a_selection_is_known_and_foretells_who_speaks() {
    let mut world = World::new();
    let selection = world.ask(&json!([system(&format!("{ROLES}{CHOOSE}"))]));
    assert_eq!(live(&selection), (Some(SELECTION), inferred(Rule::Selection)));
    world.answer(&selection, "**planner**");
    let planner = world.ask(&json!([system("Plan."), user("user", "Say hello.")]));
    assert_eq!(live(&planner), (Some("planner"), inferred(Rule::Predicted)));
    world.answer(&planner, "the plan");
    let text = format!("{ROLES}planner: the plan\n\n\n{CHOOSE}");
    let second = world.ask(&json!([system(&text)]));
    world.answer(&second, "planner or writer");
    let third =
        world.ask(&json!([system(&text), own("planner or writer"), user("user", "No valid name was mentioned. Please select from: ['writer'].")]));
    assert_eq!(live(&third), (Some(SELECTION), inferred(Rule::Selection)));
    world.answer(&third, "writer");
    // What stands under its name beats what was foretold.
    assert_eq!(world.caller(&planner), (Some("planner".to_owned()), inferred(Rule::Predicted)));
    let writer = world.ask(&json!([system("Write."), user("user", "Say hello."), user("planner", "the plan")]));
    assert_eq!(live(&writer), (Some("writer"), inferred(Rule::Predicted)));
}

#[test]
fn what_was_foretold_gives_way_to_what_is_said() {
    let mut world = World::new();
    let selection = world.ask(&json!([system(&format!("{ROLES}{CHOOSE}"))]));
    world.answer(&selection, "planner");
    // The planner is a team of its own, and one of that speaks.
    let inner = world.ask(&json!([system("Inner."), user("user", "Say hello.")]));
    assert_eq!(live(&inner).0, Some("planner"));
    world.answer(&inner, "inner words");
    world.ask(&json!([system("Inner two."), user("user", "Say hello."), user("inner", "inner words")]));
    assert_eq!(world.caller(&inner), (Some("inner".to_owned()), inferred(Rule::Echo)));
    assert_eq!(world.agents.counts().revised, 1);
}

#[test]
fn the_orchestrator_is_known_by_its_questions_and_its_workers_are_not_it() {
    let mut world = World::new();
    let name = "MagenticOneOrchestrator";
    let question = "Below I will present you a request. Before we begin addressing the request, please answer the following pre-survey to the best";
    let facts = world.ask(&json!([user(name, question)]));
    assert_eq!(live(&facts), (Some(name), inferred(Rule::OwnTurn)));
    // A worker without a system text.
    let worker = world.ask(&json!([user(name, "\nWe are working to address the following user request:\n\nx"), user(name, "do it")]));
    assert_eq!(live(&worker), (None, Source::Unknown));
    let ledger = world.ask(&json!([own("\nWe are working to address the following user request:\n\nx"), user(name, "anything")]));
    assert_eq!(live(&ledger), (Some(name), inferred(Rule::OwnTurn)));
}

#[test]
fn a_name_in_front_of_a_text_counts_as_one() {
    let mut world = World::new();
    let first = world.ask(&json!([system("Plan."), {"role": "user", "content": "user said:\nGo."}]));
    world.answer(&first, "The plan is to go on.");
    world.ask(&json!([system("Write."), {"role": "user", "content": "user said:\nGo."}, {"role": "user", "content": "planner said:\nThe plan is to go on."}]));
    assert_eq!(world.name(&first).as_deref(), Some("planner"));
}

#[test]
fn a_summary_is_no_agents_turn() {
    let mut world = World::new();
    let first = world.ask(&json!([system("Criticise."), user("user_proxy", "Look at this.")]));
    world.answer(&first, "It is very good indeed.");
    let turn = json!({"role": "assistant", "name": "critic", "content": "It is very good indeed."});
    let summary = world.ask(&json!([user("user_proxy", "Look at this."), turn, system("Summarize the takeaway from the conversation.")]));
    assert_eq!(live(&summary), (None, Source::Unknown));
    assert_eq!(world.name(&first).as_deref(), Some("critic"));
}

#[test]
fn an_answer_that_came_back_otherwise_is_a_fingerprints_matter() {
    let mut world = World::new();
    let body = |messages: &Value| json!({"model": "m", "messages": messages}).to_string();
    let first = world.send(&Way { agent: Some("thinker"), ..CHAT }, body(&json!([system("Think."), user("user", "Go.")])).as_bytes());
    world.answer(&first, "<think>hm</think>\nGone.");
    let next = world.ask(&json!([system("Think."), user("user", "Go."), own("Gone."), user("user", "And?")]));
    assert_eq!(live(&next), (Some("thinker"), inferred(Rule::Fingerprint)));
}

#[test]
fn a_history_that_was_cut_is_known_by_what_is_left_of_it() {
    let mut world = World::new();
    let body = |messages: &Value| json!({"model": "m", "messages": messages}).to_string();
    let first = world.send(&Way { agent: Some("planner"), ..CHAT }, body(&json!([system("Plan."), user("user", "Go.")])).as_bytes());
    world.answer(&first, "The first of many plans.");
    let cut = world.ask(&json!([system("Plan."), own("The first of many plans."), user("user", "Next.")]));
    assert_eq!(live(&cut), (Some("planner"), inferred(Rule::OwnHistory)));
    let other = world.ask(&json!([system("Another."), own("The first of many plans."), user("user", "Next.")]));
    assert_eq!(live(&other), (None, Source::Unknown));
}
