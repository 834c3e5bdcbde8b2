//! The same answer told whole and in events, split anywhere, says the same; what it keeps is bounded.

use serde_json::{Value, json};

use crate::wire::{Contents, Data, Dialect, Message, Reading, Reply, TextMark, ToolCall};

const DIALECTS: [Dialect; 5] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages, Dialect::Gemini, Dialect::Ollama];

/// What a model says.
#[derive(Debug, Default)]
struct Answer {
    text: String,
    reasoning: String,
    /// Name and arguments.
    calls: Vec<(String, Value)>,
}

impl Answer {
    fn random(random: &mut fastrand::Rng) -> Self {
        let words = ["Rome ", " is", "\n", "  ", "é", "😀", "\"quoted\"", "\\", "{\"a\": 1}", "\u{0}", "long words and more of them, one by one "];
        let mut text = |most: usize| (0..random.usize(..most)).map(|_| *random.choice(words.iter()).unwrap()).collect::<String>();
        let (said, thought) = (text(40), text(8));
        let arguments =
            [json!({}), json!({"city": text(5)}), json!({"a": [1, 2.5, null, {"b": text(3)}], "c d": " \" "}), json!({"x": "y".repeat(900)})];
        let mut random = fastrand::Rng::with_seed(random.u64(..));
        let calls = (0..random.usize(..4)).map(|at| (format!("tool_{at}"), random.choice(arguments.iter()).unwrap().clone())).collect();
        Self { text: said, reasoning: thought, calls }
    }

    fn id(dialect: Dialect, at: usize) -> Option<String> {
        (!matches!(dialect, Dialect::Gemini | Dialect::Ollama)).then(|| format!("call_{at}"))
    }

    /// What is to be read of it.
    fn expected(&self, dialect: Dialect) -> Reply {
        let call = |(at, (name, arguments)): (usize, &(String, Value))| ToolCall {
            id: Self::id(dialect, at),
            name: name.clone(),
            mark: TextMark::of(&arguments.to_string()),
            arguments: Some(arguments.to_string()),
        };
        Reply {
            text: TextMark::of(&self.text),
            short_text: Some(self.text.clone()).filter(|text| !text.is_empty() && text.len() <= 256),
            tool_calls: self.calls.iter().enumerate().map(call).collect(),
            ..Reply::default()
        }
    }

    fn whole(&self, dialect: Dialect) -> Value {
        let each = |call: &dyn Fn(usize, &str, &Value) -> Value| -> Vec<Value> {
            self.calls.iter().enumerate().map(|(at, (name, arguments))| call(at, name, arguments)).collect()
        };
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings => {
                let calls = each(
                    &|at, name, arguments| json!({"id": Self::id(dialect, at), "type": "function", "function": {"name": name, "arguments": arguments.to_string()}}),
                );
                json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": self.text, "reasoning_content": self.reasoning, "tool_calls": calls}}]})
            }
            Dialect::OpenaiResponses => {
                let mut output = vec![
                    json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": self.reasoning}]}),
                    json!({"type": "message", "content": [{"type": "output_text", "text": self.text}]}),
                ];
                output.extend(each(&|at, name, arguments| {
                    json!({"type": "function_call", "call_id": Self::id(dialect, at), "id": "fc", "name": name, "arguments": arguments.to_string()})
                }));
                json!({"object": "response", "output": output})
            }
            Dialect::AnthropicMessages => {
                let mut content = vec![json!({"type": "thinking", "thinking": self.reasoning}), json!({"type": "text", "text": self.text})];
                content
                    .extend(each(&|at, name, arguments| json!({"type": "tool_use", "id": Self::id(dialect, at), "name": name, "input": arguments})));
                json!({"type": "message", "content": content})
            }
            Dialect::Gemini => {
                let mut parts = vec![json!({"text": self.reasoning, "thought": true}), json!({"text": self.text})];
                parts.extend(each(&|_, name, arguments| json!({"functionCall": {"name": name, "args": arguments}})));
                json!({"candidates": [{"content": {"parts": parts}}]})
            }
            Dialect::Ollama => {
                let calls = each(&|_, name, arguments| json!({"function": {"name": name, "arguments": arguments}}));
                json!({"message": {"content": self.text, "thinking": self.reasoning, "tool_calls": calls}})
            }
        }
    }

    fn events(&self, dialect: Dialect, random: &mut fastrand::Rng) -> Vec<Value> {
        let mut events = Vec::new();
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings => self.chat_events(random, &mut events),
            Dialect::OpenaiResponses => self.response_events(random, &mut events),
            Dialect::AnthropicMessages => self.anthropic_events(random, &mut events),
            Dialect::Gemini => {
                let part = |part: Value| json!({"candidates": [{"content": {"parts": [part]}}]});
                events.extend(pieces(&self.reasoning, random).map(|piece| part(json!({"text": piece, "thought": true}))));
                events.extend(pieces(&self.text, random).map(|piece| part(json!({"text": piece}))));
                events.extend(self.calls.iter().map(|(name, arguments)| part(json!({"functionCall": {"name": name, "args": arguments}}))));
            }
            Dialect::Ollama => {
                events.extend(pieces(&self.reasoning, random).map(|piece| json!({"message": {"content": "", "thinking": piece}, "done": false})));
                events.extend(pieces(&self.text, random).map(|piece| json!({"message": {"content": piece}, "done": false})));
                let call = |(name, arguments): &(String, Value)| json!({"message": {"content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}});
                events.extend(self.calls.iter().map(call));
            }
        }
        events
    }

    fn chat_events(&self, random: &mut fastrand::Rng, events: &mut Vec<Value>) {
        let chunk = |delta: Value| json!({"choices": [{"index": 0, "delta": delta}]});
        events.push(chunk(json!({"role": "assistant", "content": ""})));
        events.extend(pieces(&self.reasoning, random).map(|piece| chunk(json!({"reasoning_content": piece}))));
        events.extend(pieces(&self.text, random).map(|piece| chunk(json!({"content": piece}))));
        // Calls in turns: pieces of one stand between those of another.
        let mut rest = Vec::new();
        for (at, (name, arguments)) in self.calls.iter().enumerate() {
            let id = Self::id(Dialect::OpenaiChat, at);
            events.push(chunk(json!({"tool_calls": [{"index": at, "id": id, "function": {"name": name, "arguments": ""}}]})));
            rest.push(pieces(&arguments.to_string(), random).map(str::to_owned).collect::<Vec<_>>().into_iter());
        }
        while rest.iter().any(|pieces| pieces.len() > 0) {
            let at = random.usize(..rest.len());
            events.extend(rest[at].next().map(|piece| chunk(json!({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}))));
        }
    }

    fn response_events(&self, random: &mut fastrand::Rng, events: &mut Vec<Value>) {
        events.extend(pieces(&self.reasoning, random).map(|piece| json!({"type": "response.reasoning_summary_text.delta", "delta": piece})));
        events.extend(pieces(&self.text, random).map(|piece| json!({"type": "response.output_text.delta", "output_index": 0, "delta": piece})));
        for (at, (name, arguments)) in self.calls.iter().enumerate() {
            let item = |arguments: &str| json!({"type": "function_call", "call_id": Self::id(Dialect::OpenaiResponses, at), "id": "fc", "name": name, "arguments": arguments});
            events.push(json!({"type": "response.output_item.added", "output_index": at + 1, "item": item("")}));
            let delta = |piece| json!({"type": "response.function_call_arguments.delta", "output_index": at + 1, "delta": piece});
            events.extend(pieces(&arguments.to_string(), random).map(delta));
            if random.bool() {
                events.push(json!({"type": "response.output_item.done", "output_index": at + 1, "item": item(&arguments.to_string())}));
            }
        }
        if random.bool() {
            events.push(json!({"type": "response.completed", "response": self.whole(Dialect::OpenaiResponses)}));
        }
    }

    fn anthropic_events(&self, random: &mut fastrand::Rng, events: &mut Vec<Value>) {
        let start = |index: usize, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
        let delta = |index: usize, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        events.push(start(0, json!({"type": "thinking", "thinking": ""})));
        events.extend(pieces(&self.reasoning, random).map(|piece| delta(0, json!({"thinking": piece}))));
        events.push(start(1, json!({"type": "text", "text": ""})));
        events.extend(pieces(&self.text, random).map(|piece| delta(1, json!({"text": piece}))));
        for (at, (name, arguments)) in self.calls.iter().enumerate() {
            let id = Self::id(Dialect::AnthropicMessages, at);
            events.push(start(at + 2, json!({"type": "tool_use", "id": id, "name": name, "input": {}})));
            events.push(delta(at + 2, json!({"partial_json": ""})));
            if arguments != &json!({}) {
                events.extend(pieces(&arguments.to_string(), random).map(|piece| delta(at + 2, json!({"partial_json": piece}))));
            }
        }
    }
}

/// A text in pieces of a few characters.
fn pieces<'t>(text: &'t str, random: &mut fastrand::Rng) -> impl Iterator<Item = &'t str> {
    let most = random.usize(1..30);
    let mut random = fastrand::Rng::with_seed(random.u64(..));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(random.usize(1..=most).min(rest.len())));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

fn read(dialect: Dialect, content_type: &str, pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> (Reply, Option<Contents>) {
    let mut reading = Reading::new(dialect, 200, Some(content_type), None);
    reading.gather(1 << 20);
    for piece in pieces {
        reading.feed(piece.as_ref());
    }
    reading.end();
    assert_eq!(reading.skipped(), None);
    reading.into_contents()
}

fn stream(dialect: Dialect, events: &[Value]) -> (String, &'static str) {
    match dialect {
        Dialect::Ollama => (events.iter().fold(String::new(), |body, event| body + &format!("{event}\n")), "application/x-ndjson"),
        _ => (events.iter().fold(String::new(), |body, event| body + &format!("data: {event}\n\n")), "text/event-stream"),
    }
}

#[test]
fn an_answer_says_the_same_whole_and_in_events_however_split() {
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..100 {
        let answer = Answer::random(&mut random);
        for dialect in DIALECTS {
            let expected = answer.expected(dialect);
            let contents = Contents { text: answer.text.clone(), reasoning: answer.reasoning.clone(), is_cut: false };
            let check = |said: (Reply, Option<Contents>), how: &str| {
                assert_eq!(said, (expected.clone(), Some(contents.clone())), "{dialect}, {how}, round {round}");
            };
            let whole = answer.whole(dialect).to_string();
            check(read(dialect, "application/json", std::iter::once(&whole)), "whole");
            let (body, content_type) = stream(dialect, &answer.events(dialect, &mut random));
            check(read(dialect, content_type, std::iter::once(&body)), "events");
            check(read(dialect, content_type, body.as_bytes().chunks(1)), "events byte by byte");
            check(read(dialect, content_type, body.as_bytes().chunks(random.usize(2..400))), "events in pieces");
        }
    }
}

/// The calls that an answer tells.
fn calls(dialect: Dialect, events: &[Value]) -> Vec<(Option<String>, String, Option<String>)> {
    let (body, content_type) = stream(dialect, events);
    let reply = read(dialect, content_type, std::iter::once(body)).0;
    reply.tool_calls.into_iter().map(|call| (call.id, call.name, call.arguments)).collect()
}

fn call(id: &str, name: &str, arguments: &str) -> (Option<String>, String, Option<String>) {
    ((!id.is_empty()).then(|| id.to_owned()), name.to_owned(), Some(arguments.to_owned()))
}

#[test]
fn calls_are_told_apart_however_servers_number_them() {
    let chunk = |calls: Value| json!({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]});
    let one = |id: &str, name: &str, arguments: &str| json!({"id": id, "function": {"name": name, "arguments": arguments}});
    // All of them are number 0, or have no number.
    let expected = [call("a", "f", "{}"), call("b", "g", "[1]")];
    assert_eq!(calls(Dialect::OpenaiChat, &[chunk(json!([one("a", "f", "{}")])), chunk(json!([one("b", "g", "[1]")]))]), expected);
    assert_eq!(calls(Dialect::OpenaiChat, &[chunk(json!([one("a", "f", "{}"), one("b", "g", "[1]")]))]), expected);
    // Id and name are told with every piece, or as empty texts.
    let expected = [call("a", "f", "{\"x\":1}")];
    assert_eq!(calls(Dialect::OpenaiChat, &[chunk(json!([one("a", "f", "{\"x\"")])), chunk(json!([one("a", "f", ":1}")]))]), expected);
    assert_eq!(calls(Dialect::OpenaiChat, &[chunk(json!([one("a", "f", "{\"x\"")])), chunk(json!([one("", "", ":1}")]))]), expected);
    // Arguments are an object though they should be a text.
    let object = json!([{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]);
    assert_eq!(calls(Dialect::OpenaiChat, &[chunk(object)]), expected);
    // A call without a name is none.
    assert_eq!(calls(Dialect::OpenaiChat, &[chunk(json!([{"index": 0, "function": {"arguments": "{}"}}]))]), []);
}

#[test]
fn only_the_first_choice_is_listened_to() {
    let choice = |index: u64, text: &str| json!({"choices": [{"delta": {"content": text, "tool_calls": [{"index": 0, "id": text, "function": {"name": text}}]}, "index": index}]});
    let (body, content_type) = stream(Dialect::OpenaiChat, &[choice(1, "other"), choice(0, "first"), choice(1, "other")]);
    let reply = read(Dialect::OpenaiChat, content_type, std::iter::once(body)).0;
    assert_eq!((reply.short_text.as_deref(), reply.tool_calls.len(), &*reply.tool_calls[0].name), (Some("first"), 1, "first"));
}

#[test]
fn calls_of_every_kind_are_told_and_those_of_the_provider_are_not() {
    let legacy = |call: Value| json!({"choices": [{"delta": {"function_call": call}}]});
    let events = [legacy(json!({"name": "f", "arguments": ""})), legacy(json!({"arguments": "{\"a\""})), legacy(json!({"arguments": ":1}"}))];
    assert_eq!(calls(Dialect::OpenaiChat, &events), [call("", "f", "{\"a\":1}")]);
    let custom = |call: Value| json!({"choices": [{"delta": {"tool_calls": [call]}}]});
    let events = [
        custom(json!({"index": 0, "id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls \""}})),
        custom(json!({"index": 0, "custom": {"input": "x\"\n"}})),
    ];
    assert_eq!(calls(Dialect::OpenaiChat, &events), [call("a", "sh", r#""ls \"x\"\n""#)]);
    let output = json!({"object": "response", "output": [
        {"type": "custom_tool_call", "call_id": "a", "name": "sh", "input": "ls\n"},
        {"type": "local_shell_call", "call_id": "b", "action": {"command": ["ls"]}},
        {"type": "web_search_call", "id": "ws_1", "action": {"query": "x"}},
        {"type": "mcp_call", "id": "mcp_1", "name": "remote", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "x"},
    ]});
    assert_eq!(calls(Dialect::OpenaiResponses, &[output]), [call("a", "sh", r#""ls\n""#), call("b", "local_shell", r#"{"command":["ls"]}"#)]);
    let item = |kind: &str, input: &str| json!({"type": format!("response.output_item.{kind}"), "output_index": 0, "item": {"type": "custom_tool_call", "call_id": "a", "name": "sh", "input": input}});
    let delta = |piece: &str| json!({"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": piece});
    let events = [item("added", ""), delta("ls"), delta("\n"), item("done", "ls\n")];
    assert_eq!(calls(Dialect::OpenaiResponses, &events), [call("a", "sh", r#""ls\n""#)]);
    let block = |kind: &str| json!({"type": "message", "content": [{"type": kind, "id": "a", "name": "f", "input": {"x": 1}}]});
    assert_eq!(calls(Dialect::AnthropicMessages, &[block("tool_use")]), [call("a", "f", r#"{"x":1}"#)]);
    assert_eq!(calls(Dialect::AnthropicMessages, &[block("server_tool_use")]), []);
    let part = |part: Value| json!({"candidates": [{"content": {"parts": [part]}}]});
    assert_eq!(calls(Dialect::Gemini, &[part(json!({"functionCall": {"id": "a", "name": "f"}}))]), [call("a", "f", "{}")]);
    let partial = part(json!({"functionCall": {"name": "f", "partialArgs": [{"jsonPath": "$.x"}], "willContinue": true}}));
    assert_eq!(calls(Dialect::Gemini, &[partial, part(json!({"functionCall": {"willContinue": false}}))]), [(None, "f".to_owned(), None)]);
    assert_eq!(calls(Dialect::Gemini, &[part(json!({"executableCode": {"code": "x"}}))]), []);
}

#[test]
fn pieces_told_after_the_whole_of_a_call_are_its_pieces() {
    // Anthropic's blocks may start with their input; what follows takes its place.
    let start = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}});
    let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{\"x\":2}"}});
    assert_eq!(calls(Dialect::AnthropicMessages, std::slice::from_ref(&start)), [call("a", "f", r#"{"x":1}"#)]);
    assert_eq!(calls(Dialect::AnthropicMessages, &[start, delta]), [call("a", "f", r#"{"x":2}"#)]);
}

#[test]
fn what_is_kept_of_an_answer_is_bounded() {
    let arguments = |length: usize| json!({"x": "y".repeat(length)}).to_string();
    let chunk = |id: usize, arguments: &str| json!({"choices": [{"delta": {"tool_calls": [{"id": format!("{id}"), "index": id, "function": {"name": "f", "arguments": arguments}}]}}]});
    let kept = |events: &[Value]| calls(Dialect::OpenaiChat, events).iter().map(|call| call.2.as_ref().map(String::len)).collect::<Vec<_>>();
    let most = 64 << 10;
    assert_eq!(kept(&[chunk(0, &arguments(most - 8)), chunk(1, &arguments(most - 7))]), [Some(most), None]);
    let four: Vec<_> = (0..5).map(|at| chunk(at, &arguments(most - 8))).collect();
    assert_eq!(kept(&four), [Some(most), Some(most), Some(most), Some(most), None]);
    let many: Vec<_> = (0..1000).map(|at| chunk(at, "{}")).collect();
    assert_eq!(kept(&many).len(), 128);
    // What is not kept is known all the same.
    let (body, content_type) = stream(Dialect::OpenaiChat, &[chunk(0, &arguments(1 << 19))]);
    let reply = read(Dialect::OpenaiChat, content_type, std::iter::once(body)).0;
    assert_eq!(reply.tool_calls[0].mark, TextMark::of(&arguments(1 << 19)));
    let text = |text: String| json!({"choices": [{"delta": {"content": text}}]});
    let short = |events: &[Value]| {
        let (body, content_type) = stream(Dialect::OpenaiChat, events);
        read(Dialect::OpenaiChat, content_type, std::iter::once(body)).0.short_text.map(|text| text.len())
    };
    assert_eq!(short(&[text("a".repeat(255)), text("b".to_owned())]), Some(256));
    assert_eq!(short(&[text("a".repeat(255)), text("é".to_owned()), text("b".to_owned())]), None);
}

#[test]
fn contents_are_kept_only_when_asked_for_and_up_to_their_bound() {
    let gathered = |max: Option<usize>| {
        let mut reading = Reading::new(Dialect::OpenaiChat, 200, Some("text/event-stream"), None);
        if let Some(max) = max {
            reading.gather(max);
        }
        for piece in ["Grüße", " und", " mehr"] {
            reading.feed(format!("data: {}\n\n", json!({"choices": [{"delta": {"reasoning": "ja", "content": piece}}]})).as_bytes());
        }
        reading.into_contents().1
    };
    let contents = |text: &str, reasoning: &str, is_cut| Some(Contents { text: text.to_owned(), reasoning: reasoning.to_owned(), is_cut });
    assert_eq!(gathered(None), None);
    assert_eq!(gathered(Some(100)), contents("Grüße und mehr", "jajaja", false));
    assert_eq!(gathered(Some(5)), contents("Grü", "", true), "half a character is none");
    assert_eq!(gathered(Some(0)), contents("", "", true));
}

#[test]
fn arguments_are_known_again_when_they_come_back_in_another_form() {
    let (body, content_type) = stream(
        Dialect::OpenaiChat,
        &[
            json!({"choices": [{"delta": {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{\"city\": \"New  York\",\n \"n\": [1, 2]}"}}]}}]}),
        ],
    );
    let mark = read(Dialect::OpenaiChat, content_type, std::iter::once(body)).0.tool_calls[0].mark;
    assert_eq!(Data::Plain(br#"{"city":"New  York","n":[1,2]}"#).mark(), mark);
    assert_eq!(Data::Plain(b" { \"city\" : \"New  York\", \"n\": [ 1,2 ] }").mark(), mark);
    assert_ne!(Data::Plain(br#"{"city":"New York","n":[1,2]}"#).mark(), mark);
    assert_eq!(Data::Plain(br#"{"a":"\" "}"#).mark(), TextMark::of(r#"{"a":"\" "}"#));
}

#[test]
fn a_text_is_known_again_in_the_next_request() {
    let answer = Answer { text: " Grüße \"an\"\n😀 ".to_owned(), ..Answer::default() };
    let (reply, _) = read(Dialect::OpenaiChat, "application/json", std::iter::once(answer.whole(Dialect::OpenaiChat).to_string()));
    let escaped = json!(answer.text).to_string();
    let message = Message { texts: vec![crate::wire::Text(&escaped.as_bytes()[1..escaped.len() - 1])], ..Message::default() };
    assert_eq!(message.mark(), reply.text);
}
