//! Requests as real clients send them, and the ones that should not be.

use super::{super::OutputType, *};

fn call(dialect: Dialect, body: &str) -> Call {
    read(dialect, "/", body.as_bytes())
}

/// What the prompt weighs has a test of its own.
fn read(dialect: Dialect, path: &str, body: &[u8]) -> Call {
    Call { prompt_weight: None, ..Request::read(dialect, path, body, None).call }
}

fn check(dialect: Dialect, body: &str, expected: &Call) {
    assert_eq!(&call(dialect, body), expected, "{dialect} {body}");
}

/// A call with these counts: characters, messages, tools.
fn counted(model: &str, characters: u64, messages: u64, tools: Option<u64>) -> Call {
    Call {
        model: Some(model.to_owned()),
        prompt_characters: Some(characters),
        prompt_messages: Some(messages),
        tools_declared: tools,
        ..Call::default()
    }
}

#[test]
fn captured_requests_are_read_in_every_dialect() {
    // System, user, the arguments of two calls (names are no texts), two results.
    let body = include_str!("../../../tests/fixtures/openai-chat/request.json");
    check(Dialect::OpenaiChat, body, &counted("gpt-4o-mini", 32 + 5 + 17 + 16 + 5 + 5, 5, Some(1)));
    let body = include_str!("../../../tests/fixtures/openai-responses/request.json");
    check(Dialect::OpenaiResponses, body, &counted("gpt-4o-mini", 8 + 17 + 16 + 5 + 59, 5, Some(1)));
    let body = include_str!("../../../tests/fixtures/anthropic-messages/request.json");
    let expected = Call { max_tokens: Some(256), ..counted("claude-sonnet-4-5", 5 + 12 + 5 + 4 + 5 + 14, 3, Some(1)) };
    check(Dialect::AnthropicMessages, body, &expected);
    let body = include_str!("../../../tests/fixtures/ollama/request.json");
    check(Dialect::Ollama, body, &counted("mock", 16 + 5 + 5 + 5, 4, Some(1)));
    let body = include_str!("../../../tests/fixtures/gemini/request.json");
    let found = read(Dialect::Gemini, "/v1/models/gemini-2.5-flash:generateContent", body.as_bytes());
    assert_eq!(found, counted("gemini-2.5-flash", 5 + 5 + 4 + 5 + 173, 3, Some(1)));
}

#[test]
fn settings_are_read_under_each_dialects_names() {
    let expected = Call { stream: true, max_tokens: Some(9), temperature: Some(0.5), top_p: Some(1.0), ..counted("m", 2, 1, None) };
    let openai = r#"{"model":"m","stream":true,"max_completion_tokens":9,"temperature":0.5,"top_p":1,"messages":[{"role":"user","content":"hi"}]}"#;
    check(Dialect::OpenaiChat, openai, &expected);
    let responses = r#"{"model":"m","stream":true,"max_output_tokens":9,"temperature":5e-1,"top_p":1.0,"input":"hi","prompt":{"id":"template"}}"#;
    check(Dialect::OpenaiResponses, responses, &expected);
    let ollama = r#"{"model":"m","prompt":"hi","options":{"num_predict":9,"temperature":0.5,"top_p":1}}"#;
    check(Dialect::Ollama, ollama, &expected);
    let gemini = r#"{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":9,"temperature":0.5,"topP":1}}"#;
    assert_eq!(read(Dialect::Gemini, "/v1beta/models/m:streamGenerateContent", gemini.as_bytes()), expected);
}

#[test]
fn the_finer_settings_are_read_under_each_dialects_names() {
    let expected = Call {
        model: Some("m".to_owned()),
        top_k: Some(40.0),
        frequency_penalty: Some(0.5),
        presence_penalty: Some(-1.0),
        seed: Some(-7),
        stop_sequences: vec!["END".to_owned(), "a\n".to_owned()],
        choices: Some(2),
        output_type: Some(OutputType::Json),
        ..Call::default()
    };
    let chat = r#"{"model":"m","top_k":40,"frequency_penalty":0.5,"presence_penalty":-1,"seed":-7,"stop":["END","a\n"],"n":2,
        "response_format":{"type":"json_schema","json_schema":{}},"service_tier":"flex","stream_options":{"include_usage":false}}"#;
    check(Dialect::OpenaiChat, chat, &Call { service_tier: Some("flex".to_owned()), include_usage: Some(false), ..expected.clone() });
    let gemini = r#"{"generationConfig":{"topK":40,"frequencyPenalty":0.5,"presencePenalty":-1,"seed":-7,"stopSequences":["END","a\n"],
        "candidateCount":2,"responseMimeType":"application/json"}}"#;
    assert_eq!(read(Dialect::Gemini, "/v1/models/m:generateContent", gemini.as_bytes()), expected);
    let ollama = r#"{"model":"m","stream":false,"format":{"type":"object"},
        "options":{"top_k":40,"frequency_penalty":0.5,"presence_penalty":-1,"seed":-7,"stop":["END","a\n"]}}"#;
    check(Dialect::Ollama, ollama, &Call { choices: None, ..expected.clone() });
    let anthropic =
        r#"{"model":"m","top_k":40,"stop_sequences":["END","a\n"],"service_tier":"auto","output_config":{"format":{"type":"json_schema"}}}"#;
    let expected = Call { frequency_penalty: None, presence_penalty: None, seed: None, choices: None, ..expected };
    check(Dialect::AnthropicMessages, anthropic, &expected);
}

#[test]
fn the_kind_of_answer_is_told_where_it_is_asked_for() {
    let kind = |dialect, body: &str| read(dialect, "/v1/models/m:generateContent", body.as_bytes()).output_type;
    let check = |dialect, body: &str, expected| assert_eq!(kind(dialect, body), expected, "{body}");
    check(Dialect::OpenaiChat, r#"{"response_format":{"type":"text"}}"#, Some(OutputType::Text));
    check(Dialect::OpenaiChat, r#"{"response_format":{"type":"json_object"}}"#, Some(OutputType::Json));
    check(Dialect::OpenaiChat, r#"{"response_format":{"type":"grammar"}}"#, None);
    check(Dialect::OpenaiChat, r#"{"modalities":["text","audio"]}"#, Some(OutputType::Speech));
    check(Dialect::OpenaiResponses, r#"{"text":{"format":{"type":"json_schema"}}}"#, Some(OutputType::Json));
    check(Dialect::OpenaiResponses, r#"{"text":{"verbosity":"low"}}"#, None);
    check(Dialect::Gemini, r#"{"generationConfig":{"responseModalities":["TEXT","IMAGE"]}}"#, Some(OutputType::Image));
    check(Dialect::Gemini, r#"{"generationConfig":{"responseMimeType":"text/plain"}}"#, Some(OutputType::Text));
    check(Dialect::Ollama, r#"{"format":"json"}"#, Some(OutputType::Json));
    check(Dialect::Ollama, r#"{"format":""}"#, None);
    check(Dialect::Ollama, r#"{"format":{}}"#, None);
    check(Dialect::AnthropicMessages, r#"{"format":"json","n":2}"#, None);
}

#[test]
fn what_is_to_be_continued_is_told() {
    let continues = |body: &str| call(Dialect::OpenaiResponses, body).continues;
    assert_eq!(continues(r#"{"previous_response_id":"resp_1"}"#).as_deref(), Some("resp_1"));
    assert_eq!(continues(r#"{"conversation":"conv_1"}"#).as_deref(), Some("conv_1"));
    assert_eq!(continues(r#"{"conversation":{"id":"conv_1"}}"#).as_deref(), Some("conv_1"));
    assert_eq!(continues(r#"{"conversation":{},"previous_response_id":null}"#), None);
}

#[test]
fn stop_sequences_are_bounded() {
    let stops = |body: &str| call(Dialect::OpenaiChat, body).stop_sequences;
    assert_eq!(stops(r#"{"stop":"one"}"#), ["one"]);
    assert_eq!(stops(&format!(r#"{{"stop":[{}7]}}"#, r#""x","#.repeat(40))).len(), 16);
    assert_eq!(stops(&format!(r#"{{"stop":["{}","",null,"y"]}}"#, "x".repeat(300))), ["y"]);
}

#[test]
fn what_could_not_be_read_is_said() {
    let skipped = |body: &[u8]| Request::read(Dialect::OpenaiChat, "/", body, None).skipped;
    assert_eq!((skipped(b""), skipped(b" \n"), skipped(b"{}"), skipped(b"\xef\xbb\xbf{}")), (None, None, None, None));
    assert_eq!((skipped(b"{"), skipped(b"--boundary"), skipped(b"[]")), (Some(Skipped::Parse), Some(Skipped::Parse), Some(Skipped::Parse)));
    assert_eq!(skipped(&vec![b' '; BODY_MAX + 1]), Some(Skipped::Size));
}

/// A resumed reading once counted one message too few where a number stood among those that were known.
#[test]
fn a_list_that_holds_bare_numbers_is_read_whole() {
    let can_resume = |body: &str, count| Request::read(Dialect::OpenaiChat, "/", body.as_bytes(), None).resume(count).is_some();
    assert!(can_resume(r#"{"messages":[{},{}]}"#, 2) && !can_resume(r#"{"messages":[{},{}]}"#, 3) && !can_resume(r#"{"messages":[{}]}"#, 0));
    assert!(!can_resume(r#"{"messages":[{},7,{}]}"#, 2) && !can_resume(r#"{"messages":{}}"#, 1));
}

#[test]
fn the_prompt_may_have_any_shape() {
    let none = |messages: u64| Call { prompt_messages: Some(messages), ..Call::default() };
    let some = |characters: u64, messages: u64| Call { prompt_characters: Some(characters), ..none(messages) };
    check(Dialect::OpenaiEmbeddings, r#"{"input":["a","bc"]}"#, &some(3, 2));
    check(Dialect::OpenaiEmbeddings, r#"{"input":"äöü"}"#, &some(3, 1));
    check(Dialect::OpenaiEmbeddings, r#"{"input":[1,2,3]}"#, &none(1));
    check(Dialect::OpenaiEmbeddings, r#"{"input":[[1,2],[3]]}"#, &none(2));
    check(Dialect::OpenaiCompletions, r#"{"prompt":["a","b"]}"#, &some(2, 2));
    check(Dialect::OpenaiChat, r#"{"messages":[]}"#, &none(0));
    check(Dialect::OpenaiChat, r#"{"messages":[{"role":"user","content":""}]}"#, &some(0, 1));
    check(Dialect::OpenaiChat, r#"{"messages":[{"content":"\u00e4\ud83d\ude00\n"}]}"#, &some(3, 1));
    let parts = r#"{"messages":[{"content":[{"type":"text","text":"abc"},{"type":"image_url","image_url":{"url":"data:xxxx"}}]}]}"#;
    check(Dialect::OpenaiChat, parts, &some(3, 1));
    let anthropic = r#"{"system":[{"type":"text","text":"ab"}],"messages":[{"role":"user","content":[
        {"type":"tool_result","tool_use_id":"x","content":[{"type":"text","text":"cde"},{"type":"image","source":{"data":"zzzz"}}]}]}]}"#;
    check(Dialect::AnthropicMessages, anthropic, &some(5, 1));
}

#[test]
fn a_prompt_weighs_about_as_much_as_prose_of_as_many_tokens() {
    let weight = |text: &str| {
        let body = serde_json::json!({"messages": [{"role": "system", "content": text}, {"role": "user", "content": text}]}).to_string();
        let read = Request::read(Dialect::OpenaiChat, "/", body.as_bytes(), None);
        let known = Request::read(Dialect::OpenaiChat, "/", body.as_bytes(), read.resume(1).as_ref());
        assert_eq!(known.call, read.call);
        read.call.prompt_weight.unwrap() / 2
    };
    assert_eq!(weight("plain words"), 11);
    assert_eq!(weight("2026-11-21"), 10 + 8 * 7 / 2);
    assert_eq!(weight("東京"), 2 + 4 * 3 / 2);
    let vocabulary = tiktoken::get_encoding("o200k_base").unwrap();
    let tables: Vec<&str> = include_str!("../../context/models.csv").lines().skip(100).take(40).collect();
    for (text, percent) in [(include_str!("../request.rs"), 12), (include_str!("../../../tests/fixtures/prose.md"), 12), (&tables.join("\n"), 12)] {
        let (weight, expected) = (weight(text) * 22 / 100, u64::try_from(vocabulary.count(text)).unwrap());
        assert!(weight.abs_diff(expected) * 100 <= expected * percent, "{weight} for {expected}");
    }
}

#[test]
fn of_a_repeated_key_the_last_wins_however_it_is_escaped() {
    check(Dialect::OpenaiChat, r#"{"model":"a","\u006dodel":"b"}"#, &Call { model: Some("b".to_owned()), ..Call::default() });
    check(Dialect::OpenaiChat, r#"{"model":"a","model":null}"#, &Call::default());
    let body = r#"{"messages":[{"content":"abc"}],"messages":[{"content":"abc","content":"d"}],"model":"m"}"#;
    check(Dialect::OpenaiChat, body, &counted("m", 1, 1, None));
}

#[test]
fn a_field_of_the_wrong_type_is_absent_and_hides_no_other() {
    let body = r#"{"model":7,"stream":"yes","max_tokens":-1,"temperature":"hot","top_p":1e999,"messages":{"content":5},"tools":"none"}"#;
    check(Dialect::OpenaiChat, body, &Call { prompt_messages: Some(1), ..Call::default() });
    let body = r#"{"model":"m","max_tokens":1e9,"messages":true,"tools":[]}"#;
    check(Dialect::OpenaiChat, body, &Call { model: Some("m".to_owned()), tools_declared: Some(0), ..Call::default() });
}

#[test]
fn what_is_odd_in_a_prompt_hides_nothing_else() {
    let expected = Call { stream: true, prompt_characters: None, ..counted("m", 0, 1, None) };
    let half = Call { prompt_characters: Some(6), ..expected.clone() };
    check(Dialect::OpenaiChat, r#"{"messages":[{"content":"half \ud83d"}],"model":"m","stream":true}"#, &half);
    check(Dialect::OpenaiChat, r#"{"messages":[{"seed":1e999,"content":[1e999]}],"model":"m","stream":true}"#, &expected);
    let deep = format!(r#"{{"messages":{}{},"model":"m","stream":true}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    check(Dialect::OpenaiChat, &deep, &expected);
    let mut invalid = br#"{"model":"m","stream":true,"messages":[{"content":"a"#.to_vec();
    invalid.extend_from_slice(b"\xff\xfe\"}]}");
    assert_eq!(read(Dialect::OpenaiChat, "/", &invalid), Call { stream: true, ..counted("m", 3, 1, None) });
}

#[test]
fn what_is_no_request_gives_an_empty_call() {
    for body in ["", "null", "7", "[]", "{", r#"{"model":"m""#, r#"{"model":"m"} x"#, "model=m", "\u{1f600}"] {
        check(Dialect::OpenaiChat, body, &Call::default());
        let gemini = read(Dialect::Gemini, "/v1/models/m:streamGenerateContent", body.as_bytes());
        assert_eq!(gemini, Call { model: Some("m".to_owned()), stream: true, ..Call::default() });
    }
    let long = format!(r#"{{"model":"m","x":"{}"}}"#, "x".repeat(BODY_MAX));
    check(Dialect::OpenaiChat, &long, &Call::default());
}

#[test]
fn tools_are_counted_one_by_one() {
    let tools = |body: &str, dialect| call(dialect, body).tools_declared;
    assert_eq!(tools(r#"{"tools":[{"type":"function"},{"type":"web_search"}]}"#, Dialect::OpenaiChat), Some(2));
    assert_eq!(tools(r#"{"functions":[{"name":"f"}]}"#, Dialect::OpenaiChat), Some(1));
    let gemini = r#"{"tools":[{"functionDeclarations":[{},{}],"x":1},{"googleSearch":{}}]}"#;
    assert_eq!(tools(gemini, Dialect::Gemini), Some(3));
}

#[test]
fn ollama_streams_unless_told_otherwise() {
    let stream = |path: &str, body: &str| read(Dialect::Ollama, path, body.as_bytes()).stream;
    assert!(stream("/api/chat", r#"{"model":"m"}"#));
    assert!(!stream("/api/chat", r#"{"model":"m","stream":false}"#));
    assert!(!stream("/api/embed", r#"{"model":"m","input":"x"}"#));
}

#[test]
fn random_bytes_never_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let seed = include_bytes!("../../../tests/fixtures/anthropic-messages/request.json");
    for round in 0..20_000 {
        let mut body = if round % 2 == 0 { seed.to_vec() } else { (0..random.usize(..64)).map(|_| random.u8(..)).collect() };
        for _ in 0..random.usize(..4) {
            let at = random.usize(..=body.len());
            let end = (at + random.usize(..8)).min(body.len());
            body.splice(at..end, (0..random.usize(..4)).map(|_| random.choice(*b"{}[]\":,\\u0dD\xff\x001e-").unwrap()).collect::<Vec<_>>());
        }
        let path = "/v1/models/\u{fe}:generateContent";
        for dialect in [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages, Dialect::Gemini, Dialect::Ollama] {
            let call = read(dialect, path, &body);
            assert!(call.model.is_none_or(|model| model.len() <= 256));
        }
    }
}
