//! Who says what, in every dialect's shape.

use std::borrow::Cow;

use super::{
    super::{Data, Request, Skipped, Text},
    *,
};

/// A message as one line: `Role name [text|text] {call id f(arguments)} <result id f: texts>`; what is absent is left out.
fn line(message: &Message<'_>) -> String {
    let texts = |texts: &[Text<'_>]| texts.iter().map(|text| text.decoded(1000).into_owned()).collect::<Vec<_>>().join("|");
    let or_none = |word: &Option<Cow<'_, str>>| word.as_deref().unwrap_or("-").to_owned();
    let mut line = vec![format!("{:?}", message.role)];
    line.extend(message.name.iter().map(ToString::to_string));
    line.extend((!message.texts.is_empty()).then(|| format!("[{}]", texts(&message.texts))));
    line.extend(message.calls.iter().map(|call| {
        let arguments = match call.arguments {
            Some(Data::Quoted(text)) => text.decoded(1000).into_owned(),
            Some(Data::Plain(raw)) => format!("={}", String::from_utf8_lossy(raw)),
            None => "-".to_owned(),
        };
        format!("{{{} {}({arguments})}}", or_none(&call.id), call.name)
    }));
    line.extend(message.results.iter().map(|result| {
        let flag = if result.is_error == Some(true) { "!" } else { "" };
        format!("<{} {}: {}{flag}>", or_none(&result.id), or_none(&result.name), texts(&result.texts))
    }));
    line.join(" ")
}

fn check(dialect: Dialect, body: &str, expected: &[&str]) {
    let request = Request::read(dialect, "/v1/models/m:generateContent", body.as_bytes(), None);
    let prompt = request.prompt.unwrap_or_else(|| panic!("no prompt in {body}"));
    let lines: Vec<String> = prompt.system.iter().chain(&prompt.messages).map(line).collect();
    assert_eq!(lines, expected, "{body}");
    for message in &prompt.messages {
        let end = body.as_bytes()[message.end - 1];
        assert!(matches!(end, b'}' | b'"' | b']' | b'l'), "a message ends at {}", &body[..message.end]);
    }
    let list = &body[prompt.list.clone()];
    assert!(list.is_empty() || body[..prompt.list.start].ends_with('[') && body[prompt.list.end..].starts_with(']'), "{list}");
}

#[test]
fn openai_chat() {
    check(
        Dialect::OpenaiChat,
        r#"{"messages":[
            {"role":"developer","content":"sys"},
            {"content":[{"type":"text","text":"a\n"},{"type":"image_url","image_url":{"url":"data:"}},{"text":"b","type":"text"}],"role":"user","name":"bob"},
            {"role":"assistant","name":"planner","content":null,"tool_calls":[
                {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},
                {"id":"c2","type":"custom","custom":{"input":"free","name":"g"}},{"id":"c3"}]},
            {"role":"tool","tool_call_id":"c1","content":"ok","name":"f"},
            {"role":"tool","content":[{"type":"text","text":"p"},{"type":"text","text":"q"}],"tool_call_id":"c2"},
            {"role":"assistant","content":"calls","function_call":{"name":"old","arguments":"{}"},"reasoning_content":"hm"},
            {"role":"function","name":"old","content":"done"},
            {"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},
            {"role":"critic","content":"x"},
            "bare", null]}"#,
        &[
            "System [sys]",
            "User bob [a\n|b]",
            "Assistant planner {c1 f({\"x\":1})} {c2 g(free)}",
            "Tool f <c1 f: ok>",
            "Tool <c2 -: p|q>",
            "Assistant [calls] {- old({})}",
            "Tool old <- old: done>",
            "Assistant [no]",
            "Other [x]",
            "User [bare]",
            "User",
        ],
    );
}

#[test]
fn openai_responses() {
    check(
        Dialect::OpenaiResponses,
        r#"{"instructions":"be","input":[
            {"role":"user","content":"a"},
            {"type":"message","role":"assistant","content":[{"type":"output_text","text":"b","annotations":[]}]},
            {"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"why"}],"content":[{"type":"reasoning_text","text":"t"}]},
            {"arguments":"{}","call_id":"c1","name":"f","type":"function_call","id":"fc_1"},
            {"output":"ok","call_id":"c1","type":"function_call_output"},
            {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"x"},{"type":"input_image"}]},
            {"type":"custom_tool_call","call_id":"c3","name":"g","input":"free"},
            {"type":"custom_tool_call_output","call_id":"c3","output":"res"},
            {"type":"local_shell_call","call_id":"c4","action":{"type":"exec","command":["ls"]}},
            {"type":"web_search_call","id":"w","action":{"query":"q"}},
            {"type":"code_interpreter_call","code":"1+1"},
            {"type":"item_reference","id":"i"}]}"#,
        &[
            "System [be]",
            "User [a]",
            "Assistant [b]",
            "Assistant",
            "Assistant {c1 f({})}",
            "Tool <c1 -: ok>",
            "Tool <c2 -: x>",
            "Assistant {c3 g(free)}",
            "Tool <c3 -: res>",
            r#"Assistant {c4 local_shell(={"type":"exec","command":["ls"]})}"#,
            "Assistant",
            "Assistant",
            "Other",
        ],
    );
    check(Dialect::OpenaiResponses, r#"{"input":"hello"}"#, &["User [hello]"]);
}

#[test]
fn anthropic_messages() {
    check(
        Dialect::AnthropicMessages,
        r#"{"messages":[
            {"role":"user","content":"a"},
            {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"x"},
                {"type":"text","text":"b"},{"type":"tool_use","id":"t1","name":"f","input":{"x":["y"]}},
                {"input":{},"name":"g","id":"t2","type":"tool_use","cache_control":{"type":"ephemeral"}},
                {"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"q"}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"ok"},
                {"content":[{"type":"text","text":"p"},{"type":"image","source":{"data":"z"}},{"type":"text","text":"q"}],"is_error":true,"tool_use_id":"t2","type":"tool_result"},
                {"type":"text","text":"go on"}]}],
          "system":[{"type":"text","text":"one","cache_control":{"type":"ephemeral"}},{"type":"text","text":"two"}]}"#,
        &["System [one|two]", "User [a]", r#"Assistant [b] {t1 f(={"x":["y"]})} {t2 g(={})}"#, "User [go on] <t1 -: ok> <t2 -: p|q!>"],
    );
}

#[test]
fn gemini() {
    check(
        Dialect::Gemini,
        r#"{"systemInstruction":{"parts":[{"text":"sys"}]},"contents":[
            {"parts":[{"text":"a"},{"inlineData":{"data":"z"}}]},
            {"role":"model","parts":[{"text":"hm","thought":true},{"text":"b"},{"functionCall":{"name":"f","args":{"x":"y"}}},{"functionCall":{"id":"i","name":"g"}}]},
            {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"ok","more":{"deep":"er"}}}},
                {"functionResponse":{"response":{"error":"boom"},"id":"i","name":"g"}}]},
            {"role":"function","parts":[{"functionResponse":{"name":"f","response":{"error":null,"output":"x"}}}]},
            {"role":"model","parts":[{"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"outcome":"OK","output":"1"}}]}]}"#,
        &["System [sys]", "User [a]", r#"Assistant [b] {- f(={"x":"y"})} {i g(-)}"#, "User <- f: ok|er> <i g: boom!>", "Tool <- f: x>", "Assistant"],
    );
    check(Dialect::Gemini, r#"{"contents":"bare","system_instruction":"s"}"#, &["System [s]", "User [bare]"]);
    check(Dialect::Gemini, r#"{"contents":{"role":"user","parts":{"text":"one"}}}"#, &["User [one]"]);
    check(Dialect::Gemini, r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"e"}]}}]}"#, &["User [e]"]);
}

#[test]
fn ollama_and_the_older_ones() {
    check(
        Dialect::Ollama,
        r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a","images":["zz"]},
            {"role":"assistant","content":"","thinking":"hm","tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]},
            {"role":"tool","content":"ok","tool_name":"f"},{"role":"tool","content":"bare"}]}"#,
        &["System [s]", "User [a]", r#"Assistant [] {- f(={"x":1})}"#, "Tool <- f: ok>", "Tool <- -: bare>"],
    );
    check(Dialect::Ollama, r#"{"model":"m","system":"s","prompt":"p"}"#, &["System [s]", "User [p]"]);
    check(Dialect::OpenaiCompletions, r#"{"prompt":["a","b"]}"#, &["User [a]", "User [b]"]);
    check(Dialect::OpenaiEmbeddings, r#"{"input":"a"}"#, &["User [a]"]);
    check(Dialect::OpenaiEmbeddings, r#"{"input":[1,2]}"#, &[]);
}

#[test]
fn of_a_repeated_key_only_the_last_is_kept_and_counted() {
    let twice = |message: &str, expected: &str, characters: u64| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"zz"}},{message}]}}"#);
        let request = Request::read(Dialect::AnthropicMessages, "/", body.as_bytes(), None);
        assert_eq!(line(&request.prompt.unwrap().messages[1]), expected, "{message}");
        assert_eq!(request.call.prompt_characters, Some(characters + 2), "{message}");
    };
    twice(r#"{"content":["a","b"],"text":"c","content":"dd"}"#, "Other [c|dd]", 3);
    twice(r#"{"text":"c","content":["a",{"text":"x","text":"yy"}],"text":"e"}"#, "Other [a|yy|e]", 4);
    twice(
        r#"{"content":[{"type":"tool_result","content":"a"}],"role":"user","content":[{"type":"tool_result","content":"bb"}]}"#,
        "User <- -: bb>",
        2,
    );
    twice(
        r#"{"tool_calls":[{"function":{"name":"f","arguments":"aaa"}}],"tool_calls":[{"function":{"name":"g","arguments":"b"}}]}"#,
        "Other {- g(b)}",
        1,
    );
    twice(r#"{"tool_calls":[{"name":"f","arguments":"aaa","arguments":{"x":"b"}}]}"#, r#"Other {- f(={"x":"b"})}"#, 1);
    twice(r#"{"parts":[{"functionResponse":{"name":"f","response":"aaa","response":{"r":"b"}}}]}"#, "Other <- f: b>", 1);
    twice(r#"{"type":"tool_use","name":"f","input":{"a":"aaa"},"input":{"a":"b"}}"#, r#"Other f {- f(={"a":"b"})}"#, 1);
}

const KEYS: &str = "role type name tool_name id call_id tool_call_id tool_use_id is_error thought content text parts output refusal code reasoning \
    thinking summary executableCode arguments input args action tool_calls function_call functionCall functionResponse response function custom \
    error other content";
const WORDS: &str = r#""a" "bc" "é\n" "user" "tool" "assistant" "tool_use" "tool_result" "function_call" "function_call_output" "reasoning"
    "web_search_call" 7 true null """#;

fn pick(random: &mut fastrand::Rng, from: &'static str) -> &'static str {
    random.choice(from.split_whitespace().collect::<Vec<_>>()).unwrap()
}

/// A value in which keys repeat, and the same with only the last of each.
fn value(random: &mut fastrand::Rng, depth: usize) -> (String, String) {
    let count = random.usize(..5);
    match random.u8(..10) {
        0..=3 if depth < 6 => {
            let mut field = || {
                let (key, (all, last)) = (pick(random, KEYS), value(random, depth + 1));
                // What a tool is given and what it gives is kept as it stands, and counted so.
                let is_data = matches!(key, "arguments" | "input" | "args" | "action" | "response");
                (key, (if is_data { last.clone() } else { all }, last))
            };
            let fields: Vec<_> = (0..count).map(|_| field()).collect();
            let all: Vec<String> = fields.iter().map(|(key, (value, _))| format!("\"{key}\":{value}")).collect();
            let is_last = |(at, (key, _)): &(usize, &(&str, _))| !fields[at + 1..].iter().any(|(later, _)| later == key);
            let last: Vec<String> = fields.iter().enumerate().filter(is_last).map(|(_, (key, (_, once)))| format!("\"{key}\":{once}")).collect();
            (format!("{{{}}}", all.join(",")), format!("{{{}}}", last.join(",")))
        }
        4..=5 if depth < 6 => {
            let (all, last): (Vec<_>, Vec<_>) = (0..count).map(|_| value(random, depth + 1)).unzip();
            (format!("[{}]", all.join(",")), format!("[{}]", last.join(",")))
        }
        _ => {
            let word = pick(random, WORDS);
            (word.to_owned(), word.to_owned())
        }
    }
}

#[test]
fn repeated_keys_say_what_the_last_of_each_says_wherever_they_stand() {
    let mut random = fastrand::Rng::with_seed(23);
    let (mut differed, mut results, mut calls) = (0, 0, 0);
    for _ in 0..8_000 {
        let dialect = random.choice([Dialect::OpenaiChat, Dialect::AnthropicMessages, Dialect::Ollama]).unwrap();
        let (all, last): (Vec<_>, Vec<_>) = (0..3).map(|_| value(&mut random, 0)).unzip();
        let bodies = [all, last].map(|messages| format!(r#"{{"messages":["",{}]}}"#, messages.join(",")));
        let said = bodies.each_ref().map(|body| {
            let request = Request::read(dialect, "/", body.as_bytes(), None);
            let messages = request.prompt.unwrap().messages;
            results += messages.iter().map(|message| message.results.len()).sum::<usize>();
            calls += messages.iter().map(|message| message.calls.len()).sum::<usize>();
            let counted: Vec<_> = messages.iter().map(|message| message.characters).collect();
            (messages.iter().map(line).collect::<Vec<_>>(), counted, request.call.prompt_characters)
        });
        assert_eq!(said[0], said[1], "{bodies:?}");
        differed += usize::from(bodies[0] != bodies[1]);
    }
    assert!(differed > 2000 && results > 500 && calls > 30, "{differed} had keys that repeat, {results} results, {calls} calls");
}

#[test]
fn names_are_bounded_and_unescaped() {
    let body = format!(r#"{{"messages":[{{"name":"a\u0062"}},{{"name":"{}"}},{{"name":""}},{{"name":"\x"}},{{"name":7}}]}}"#, "x".repeat(257));
    check(Dialect::OpenaiChat, &body, &["Other ab", "Other", "Other", "Other", "Other"]);
}

#[test]
fn more_than_is_kept_is_counted_all_the_same() {
    let check = |element: &str, count: usize, messages: u64, characters: Option<u64>| {
        let body = format!(r#"{{"model":"m","messages":[{}{element}]}}"#, format!("{element},").repeat(count - 1));
        let request = Request::read(Dialect::OpenaiChat, "/", body.as_bytes(), None);
        assert_eq!((request.call.prompt_messages, request.call.prompt_characters), (Some(messages), characters));
        assert_eq!((request.skipped, request.prompt, request.frame), (Some(Skipped::Size), None, None));
    };
    check("{}", MESSAGES_MAX + 1, 10_001, None);
    let many = format!(r#"{{"content":[{}"a"]}}"#, r#""a","#.repeat(25_000));
    check(&many, 2, 2, Some(50_002));
    let calls = format!(r#"{{"tool_calls":[{}{{}}]}}"#, r#"{"name":"f"},"#.repeat(50_001));
    check(&calls, 1, 1, None);
}

#[test]
fn what_lies_too_deep_is_passed_over() {
    let deep = |open: &str, close: &str| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":{}"x"{}}}],"model":"m"}}"#, open.repeat(200_000), close.repeat(200_000));
        let request = Request::read(Dialect::OpenaiChat, "/", body.as_bytes(), None);
        assert_eq!((request.call.model.as_deref(), request.call.prompt_characters, request.skipped), (Some("m"), None, None));
        assert_eq!(request.prompt.map(|prompt| prompt.messages.len()), Some(1));
    };
    deep("[", "]");
    for key in ["content", "function_call", "tool_calls", "function", "input", "functionResponse", "response"] {
        deep(&format!("{{\"{key}\":"), "}");
        deep(&format!("[{{\"{key}\":"), "}]");
    }
}
