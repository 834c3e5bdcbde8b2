//! What a collector gets of real teams of agents, in programs that know nothing of Pillion: one trace a run, every call under the name of the
//! agent that made it, every tool under the call that asked for it, tokens that were counted, and the conventions' names and types throughout.

#![expect(clippy::panic, reason = "a test that finds something else than it looks for has failed")]

use std::{collections::BTreeMap, ffi::OsString};

use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::Span as Sent};

use crate::{
    collector::{Collector, Protocol},
    conventions,
    environment::{around, program},
    installed::Client,
    stage::{Ended, model_with, run, said},
};

/// A span, as far as it is looked at here.
#[derive(Debug)]
struct Span {
    sent: Sent,
    attributes: BTreeMap<String, Value>,
}

impl Span {
    fn of(sent: Sent) -> Self {
        let value = |value: opentelemetry_proto::tonic::common::v1::AnyValue| value.value.expect("an attribute has a value");
        let attributes =
            sent.attributes.iter().map(|pair| (pair.key.clone(), value(pair.value.clone().expect("an attribute has a value")))).collect();
        Self { sent, attributes }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name)? {
            Value::StringValue(text) => Some(text),
            other => panic!("{name} is no text: {other:?}"),
        }
    }

    fn int(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name)? {
            Value::IntValue(number) => Some(*number),
            other => panic!("{name} is no number: {other:?}"),
        }
    }

    /// Of a tool that was run.
    fn is_tool(&self) -> bool {
        self.text("gen_ai.operation.name") == Some("execute_tool")
    }
}

/// Runs a team with Pillion around it, in front of a model that plays this script; what it said, and its spans in order.
async fn traced(client: Client, words: &[&str], script: &str, protocol: Protocol) -> (Ended, Vec<Span>) {
    traced_with(&[], program(client, words), script, protocol).await
}

/// The same with more variables of Pillion's.
async fn traced_with(more: &[(&'static str, String)], program: Vec<OsString>, script: &str, protocol: Protocol) -> (Ended, Vec<Span>) {
    let (model, collector) = (model_with(script).await, Collector::start(protocol).await);
    let ended = around(program, &model, &[&collector.variables(), more].concat()).await;
    assert_eq!(ended.code, Some(0), "{}", said(&ended));
    let mut spans = Vec::new();
    for resource in collector.requests().into_iter().flat_map(|request| request.resource_spans) {
        for scope in resource.scope_spans {
            let ours = scope.scope.as_ref().is_some_and(|scope| scope.name == "pillion");
            assert!(!ours || scope.schema_url == "https://opentelemetry.io/schemas/1.41.1", "{}", scope.schema_url);
            spans.extend(scope.spans.into_iter().map(Span::of));
        }
    }
    // What Pillion tells of itself (its start, its end) is no exchange.
    spans.retain(|span| span.attributes.contains_key("gen_ai.operation.name"));
    spans.sort_by_key(|span| span.sent.start_time_unix_nano);
    for span in &spans {
        conventions::kept_by(&span.sent, &span.attributes);
    }
    (ended, spans)
}

/// Who called, and whether that can be known while it happens. What cannot must not be said wrongly either.
type Caller = (&'static str, bool);

/// Every call was made by these agents in this order, and all of it is one trace.
fn are_told_of(spans: &[Span], callers: &[Caller]) {
    let calls: Vec<_> = spans.iter().filter(|span| !span.is_tool()).collect();
    let names: Vec<_> = calls.iter().map(|span| span.text("gen_ai.agent.name")).collect();
    assert_eq!(calls.len(), callers.len(), "{names:?}");
    for ((name, span), (caller, is_known)) in names.iter().zip(&calls).zip(callers) {
        assert!(*name == Some(*caller) || (name.is_none() && !is_known), "{names:?} are {callers:?}");
        let source = span.text("pillion.agent.source").unwrap_or_default();
        assert_eq!(source != "unknown", name.is_some(), "{source}: {span:?}");
    }
    let traces: Vec<_> = spans.iter().map(|span| (&span.sent.name, span.text("gen_ai.agent.name"), &span.sent.trace_id)).collect();
    assert!(traces.iter().all(|(.., trace)| *trace == traces[0].2), "one trace a run: {traces:?}");
}

/// The tools that were run: name, the id of its call, the agent if it is known, what went wrong; each is a child of the call that asked for it.
fn ran(spans: &[Span], tools: &[(&str, &str, &str, Option<&str>)]) {
    let runs: Vec<_> = spans.iter().filter(|span| span.is_tool()).collect();
    let told: Vec<_> = runs
        .iter()
        .map(|span| {
            let text = |name| span.text(name).unwrap_or_default();
            (text("gen_ai.tool.name"), text("gen_ai.tool.call.id"), text("gen_ai.agent.name"), span.text("error.type"))
        })
        .collect();
    assert_eq!(told, tools);
    // Of the agent it may be known later than of the call that it was.
    let of_another = |run: &Span, parent: &Span| parent.text("gen_ai.agent.name").is_some_and(|agent| run.text("gen_ai.agent.name") != Some(agent));
    for run in runs {
        let parent = spans.iter().find(|span| span.sent.span_id == run.sent.parent_span_id).unwrap_or_else(|| panic!("{run:?} has its parent here"));
        assert!(!parent.is_tool() && !of_another(run, parent), "{run:?} in {parent:?}");
        assert!(parent.sent.end_time_unix_nano <= run.sent.start_time_unix_nano, "a tool runs when the answer that calls it has ended: {run:?}");
        let brings = |span: &Span| {
            let (from, to) = (run.sent.start_time_unix_nano, run.sent.end_time_unix_nano);
            !span.is_tool() && span.sent.start_time_unix_nano >= from && span.sent.end_time_unix_nano >= to
        };
        assert!(spans.iter().any(brings), "a request brings its result: {run:?}");
    }
}

/// The manager of a group when it asks the model who speaks next: nobody by name, and so it is called what it does.
const SELECTION: &str = "speaker selection";

const SELECTOR: &str = r"
    - {text: researcher}
    - tools:
        - {name: get_weather, arguments: {city: Paris}, id: call_1}
        - {name: get_weather, arguments: {city: Rome}, id: call_2}
        - {name: no_such_tool, arguments: {}, id: call_3}
    - {text: It is sunny in Paris.}
    - {text: nobody}
    - {text: planner}
    - {text: The plan.}
    - {text: writer}
    - {text: A draft.}
";

async fn selector(protocol: Protocol) {
    let (ended, spans) = traced(Client::Current, &["teams.py", "selector"], SELECTOR, protocol).await;
    assert!(ended.stdout.contains("writer: A draft."), "{}", said(&ended));
    let (chooses, researcher) = ((SELECTION, false), ("researcher", true));
    are_told_of(&spans, &[chooses, researcher, researcher, chooses, chooses, ("planner", true), chooses, ("writer", true)]);
    let run = |name, id, error| (name, id, "researcher", error);
    ran(&spans, &[run("get_weather", "call_1", None), run("get_weather", "call_2", None), run("no_such_tool", "call_3", Some("unknown_tool"))]);
}

#[tokio::test]
async fn a_selector_group_chat_is_told_of_over_http() {
    selector(Protocol::Http).await;
}

#[tokio::test]
async fn a_selector_group_chat_is_told_of_over_grpc() {
    selector(Protocol::Grpc).await;
}

/// Its members and whoever chooses between them: each is still told by its name, all of it is one trace, and what each prompt has lost is told.
#[tokio::test]
async fn a_team_that_outgrows_its_models_window_is_told_of() {
    let words = "What the planner has said of the tide holds, and what the writer has made of it does not. ".repeat(4);
    let script =
        format!("context: 1500\ntokens: o200k\nrules:\n  - when: {{body: select the next role}}\nsteps:\n  - {{text: '{words}', times: -1}}\n");
    let program = program(Client::Current, &["teams.py", "long"]);
    let alone = {
        let model = model_with(&script).await;
        run(&program, &[("OPENAI_BASE_URL", format!("{}/v1", model.url))]).await
    };
    assert!(alone.code == Some(1) && alone.stderr.contains("maximum context length is 1500 tokens"), "{}", said(&alone));
    let window = [("PILLION_CONTEXT__WINDOWS__*", "1500".to_owned())];
    let (ended, spans) = traced_with(&window, program, &script, Protocol::Http).await;
    let crew = |name: &&str| ["planner", "researcher", "writer"].contains(name);
    let spoke: Vec<_> = ended.stdout.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).filter(crew).collect();
    let named: Vec<_> = spans.iter().filter_map(|span| span.text("gen_ai.agent.name")).filter(crew).collect();
    assert_eq!((named, spoke.len()), (spoke.clone(), 30), "{}", said(&ended));
    assert!(spans.iter().all(|span| span.sent.trace_id == spans[0].sent.trace_id), "one trace a run");
    let trimmed: Vec<_> = spans.iter().filter(|span| span.int("pillion.trim.tokens").is_some()).collect();
    assert!(trimmed.len() > spans.len() / 3 && trimmed.len() < spans.len(), "{} of {}", trimmed.len(), spans.len());
    for span in &trimmed {
        let (lost, left) = (span.int("pillion.trim.tokens"), span.int("gen_ai.usage.input_tokens"));
        assert!(lost > Some(100) && left > Some(0) && left <= Some(1500), "{lost:?} {left:?}");
        assert_eq!((span.int("pillion.prompt.window"), span.int("http.response.status_code")), (Some(1500), Some(200)));
        let strategy = span.text("pillion.trim.strategy").unwrap_or_default();
        let messages = span.int("pillion.trim.messages").unwrap_or_default();
        let told: Vec<_> = span.sent.events.iter().filter(|event| event.name == "pillion.trim").collect();
        assert_eq!((told.len(), messages > 0), (1, strategy != "shorten"), "{strategy} {messages} {told:?}");
    }
    for name in ["planner", "researcher", "writer"] {
        assert!(trimmed.iter().any(|span| span.text("gen_ai.agent.name") == Some(name)), "{name}");
    }
}

#[tokio::test]
async fn a_swarm_is_told_of() {
    let script = r"
        - tools: [{name: get_weather, arguments: {city: Paris}, id: call_1}, {name: transfer_to_bob, arguments: {}, id: call_2}]
        - tools: [{name: transfer_to_alice, arguments: {}, id: call_3}]
        - {text: Done. TERMINATE}
    ";
    let (ended, spans) = traced(Client::Current, &["teams.py", "swarm"], script, Protocol::Grpc).await;
    assert!(ended.stdout.contains("alice: Done. TERMINATE"), "{}", said(&ended));
    are_told_of(&spans, &[("alice", false), ("bob", true), ("alice", true)]);
    let handed_over = [("transfer_to_bob", "call_2", "alice", None), ("transfer_to_alice", "call_3", "bob", None)];
    ran(&spans, &[&[("get_weather", "call_1", "alice", None)][..], &handed_over].concat());
}

#[tokio::test]
async fn magentic_one_is_told_of() {
    let ledger = |done: bool| {
        let entries = [("is_request_satisfied", done.to_string()), ("is_progress_being_made", "true".to_owned()), ("is_in_loop", "false".to_owned())];
        let told = [("instruction_or_question", r#""Write it.""#.to_owned()), ("next_speaker", r#""coder""#.to_owned())];
        let fields: Vec<_> =
            entries.iter().chain(&told).map(|(name, answer)| format!(r#""{name}": {{"reason": "So.", "answer": {answer}}}"#)).collect();
        format!("- {{text: '{{{}}}'}}", fields.join(", "))
    };
    let script =
        ["- {text: The facts.}", "- {text: The plan.}", &ledger(false), "- {text: Written.}", &ledger(true), "- {text: The tides.}"].join("\n");
    let (ended, spans) = traced(Client::Current, &["teams.py", "magentic"], &script, Protocol::Http).await;
    assert!(ended.stdout.contains("The tides."), "{}", said(&ended));
    let orchestrator = ("MagenticOneOrchestrator", false);
    are_told_of(&spans, &[orchestrator, orchestrator, orchestrator, ("coder", false), orchestrator, orchestrator]);
}

#[tokio::test]
async fn a_classic_group_chat_is_told_of() {
    let script = r"
        - {text: planner}
        - tools: [{name: get_weather, arguments: {city: Rome}, id: call_1}]
        - {text: writer}
        - {text: A draft.}
        - {text: planner}
        - {text: The plan.}
    ";
    let (ended, spans) = traced(Client::AutogenClassic, &["group_chat.py"], script, Protocol::Grpc).await;
    assert!(ended.stdout.contains("planner: The plan."), "{}", said(&ended));
    let chooses = (SELECTION, false);
    are_told_of(&spans, &[chooses, ("planner", true), chooses, ("writer", true), chooses, ("planner", true)]);
    ran(&spans, &[("get_weather", "call_1", "planner", Some("error"))]);
}

/// The program has asked for no usage and gets none; it is counted all the same, as the provider counted it.
#[tokio::test]
async fn a_streamed_run_has_true_token_counts_although_nobody_asked_for_them() {
    let script = r"
        - {text: The plan., usage: {prompt_tokens: 1001, completion_tokens: 11}}
        - {tools: [{name: get_weather, arguments: {city: Paris}, id: call_1}], usage: {prompt_tokens: 1002, completion_tokens: 12}}
        - {text: It is sunny., usage: {prompt_tokens: 1003, completion_tokens: 13}}
        - {text: A draft., usage: {prompt_tokens: 1004, completion_tokens: 14}}
    ";
    let alone = {
        let model = model_with(script).await;
        run(&program(Client::Current, &["teams.py", "streamed"]), &[("OPENAI_BASE_URL", format!("{}/v1", model.url))]).await
    };
    let (ended, spans) = traced(Client::Current, &["teams.py", "streamed"], script, Protocol::Http).await;
    assert!(ended.stdout.contains("writer: A draft. [0, 0]"), "{}", said(&ended));
    assert_eq!(ended.stdout, alone.stdout, "what it says is what it says alone");
    let counts: Vec<_> = spans
        .iter()
        .filter(|span| !span.is_tool())
        .map(|span| (span.int("gen_ai.usage.input_tokens"), span.int("gen_ai.usage.output_tokens")))
        .collect();
    assert_eq!(counts, (1..=4).map(|turn| (Some(1000 + turn), Some(10 + turn))).collect::<Vec<_>>());
    are_told_of(&spans, &[("planner", false), ("researcher", false), ("researcher", false), ("writer", false)]);
    ran(&spans, &[("get_weather", "call_1", "", None)]);
}
