//! What each dialect's conversations are read as, and which are not read at all.

use super::*;

const GEMINI: &str = "/v1beta/models/m:generateContent";

fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Gemini => GEMINI,
        Dialect::Ollama => "/api/chat",
        _ => "/v1/any",
    }
}

fn read(dialect: Dialect, body: &str) -> Option<Outline> {
    Outline::read(dialect, path(dialect), body.as_bytes())
}

fn shown(body: &str, piece: &Piece) -> String {
    let text = &body[piece.at.clone()];
    let quote = if piece.is_quoted { "" } else { "=" };
    let around = (body.as_bytes().get(piece.at.start.wrapping_sub(1)), body.as_bytes().get(piece.at.end));
    assert!(!piece.is_quoted || around == (Some(&b'"'), Some(&b'"')), "{text} stands between quotes");
    format!("{:?}{quote}:{text}", piece.kind)
}

/// Outline as lines: of each item who speaks, `+` if something is said, `>` if it leads, its calls and results by the order in which their ids first
/// stand in it, and its pieces; last what stands beside.
fn lines(body: &str, outline: &Outline) -> Vec<String> {
    let mut ids = Vec::new();
    let mut number = |link: &Link| {
        let Some(id) = link else { return "-".to_owned() };
        let at = ids.iter().position(|other| other == id).unwrap_or_else(|| {
            ids.push(*id);
            ids.len() - 1
        });
        (at + 1).to_string()
    };
    let mut lines = Vec::new();
    for item in &outline.items {
        let mut line = format!("{:?}{}{}", item.role, if item.speaks { "+" } else { "" }, if item.leads { ">" } else { "" });
        line.extend(item.calls.iter().map(|call| format!(" call {}", number(call))));
        line.extend(item.results.iter().map(|result| format!(" result {}", number(result))));
        line.extend(item.pieces.iter().map(|piece| format!(" {}", shown(body, piece))));
        lines.push(line);
    }
    lines.extend(outline.beside.iter().map(|piece| format!("beside {}", shown(body, piece))));
    lines
}

fn check(dialect: Dialect, body: &str, expected: &[&str]) {
    let outline = read(dialect, body).unwrap_or_else(|| panic!("not read: {body}"));
    assert_eq!(lines(body, &outline), expected);
    assert!(!outline.is_continued && outline.window.is_none());
    if outline.list.start > 0 {
        assert!(body[..outline.list.start].ends_with('[') && body[outline.list.end..].starts_with(']'));
    }
    for item in &outline.items {
        serde_json::from_str::<serde_json::Value>(&body[item.at.clone()]).unwrap();
    }
}

#[test]
fn openai_chat() {
    check(
        Dialect::OpenaiChat,
        r#"{"model":"m","messages":[
            {"role":"developer","content":"sys"},
            {"content":[{"type":"text","text":"a\n"},{"type":"image_url","image_url":{"detail":"low","url":"data:i"}},{"text":"b","type":"text"},
                {"type":"input_audio","input_audio":{"data":"ww","format":"wav"}},
                {"type":"file","file":{"filename":"x.pdf","file_data":"data:p"}},{"type":"video_url","video_url":{"url":"v"}}],"role":"user","name":"bob"},
            {"role":"assistant","name":"planner","content":null,"refusal":null,"tool_calls":[
                {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"},"extra_content":{"google":{"thought_signature":"s"}}},
                {"id":"c2","type":"custom","custom":{"input":"free","name":"g"}},{"function":{"name":"h","arguments":{"y":2}}}]},
            {"role":"tool","tool_call_id":"c\u0032","content":"ok","name":"f"},
            {"role":"tool","content":[{"type":"text","text":"p"},{"type":"image_url","image_url":"u"},{"type":"text","text":""}],"tool_call_id":"c1"},
            {"role":"assistant","content":"calls","function_call":{"name":"old","arguments":"{}"},"reasoning_content":"hm",
                "reasoning_details":[{"type":"reasoning.text","text":"why","signature":"sg"},{"type":"reasoning.encrypted","data":"en"}]},
            {"role":"function","name":"old","content":"done"},
            {"role":"assistant","content":[{"type":"refusal","refusal":"no"}],"audio":{"id":"au"},"tool_calls":null,"function_call":null},
            {"role":"critic","content":"x","unknown":{"content":"not read"}},
            {"role":"assistant","content":""},
            "bare"],
            "tools":[{"type":"function"}],"functions":[],"response_format":{"type":"json_object"},"tool_choice":"auto"}"#,
        &[
            "System+ Text:sys",
            r"User+ Text:a\n Image:data:i Text:b File:ww Name:x.pdf File:data:p File:v Name:bob",
            r#"Assistant call 1 call 2 call - Name:planner Call:f Call:{\"x\":1} Sealed=:{"google":{"thought_signature":"s"}} Call:free Call:g Call:h Call=:{"y":2}"#,
            "Tool result 2 Result:ok Name:f",
            "Tool result 1 Result:p Image:u",
            "Assistant+ call - Text:calls Call:old Call:{} Reasoning:hm Reasoning:why Sealed:sg Sealed:en",
            "Tool result - Name:old Result:done",
            "Assistant+ Text:no File:au",
            "Other+ Text:x",
            "Assistant",
            "User+ Text:bare",
            r#"beside Declared=:[{"type":"function"}]"#,
            r#"beside Declared=:{"type":"json_object"}"#,
        ],
    );
}

#[test]
fn openai_responses() {
    check(
        Dialect::OpenaiResponses,
        r#"{"previous_response_id":null,"instructions":"be","input":[
            {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:i","detail":"auto"},
                {"type":"input_image","file_id":"file-1"},{"type":"input_file","file_id":"file-2","filename":"f.pdf"}]},
            {"type":"message","role":"assistant","content":[{"type":"output_text","text":"b","annotations":[{"title":"t"}],"logprobs":[]}]},
            {"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"why"}],"content":[{"type":"reasoning_text","text":"t"}],"encrypted_content":"gA"},
            {"arguments":"{}","call_id":"c1","name":"f","type":"function_call","id":"fc_1"},
            {"output":"ok","call_id":"c1","type":"function_call_output"},
            {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"x"},{"type":"input_image","image_url":"u"}]},
            {"type":"custom_tool_call","call_id":"c2","name":"g","input":"free"},
            {"type":"custom_tool_call_output","call_id":"c2","output":"res"},
            {"type":"local_shell_call","id":"lsh","call_id":"c4","action":{"type":"exec","command":["ls"]}},
            {"type":"local_shell_call_output","id":"c4","output":"files"},
            {"type":"shell_call","call_id":"c5","action":{"commands":["ls"]}},
            {"type":"shell_call_output","call_id":"c5","output":[{"stdout":"so","stderr":"se","outcome":{"type":"exit","exit_code":0}}]},
            {"type":"computer_call","call_id":"c6","id":"cc","action":{"type":"click"},"pending_safety_checks":[]},
            {"type":"computer_call_output","call_id":"c6","output":{"type":"computer_screenshot","image_url":"data:s"}},
            {"type":"apply_patch_call","call_id":"c7","operation":{"type":"delete_file","path":"p"}},
            {"type":"apply_patch_call_output","call_id":"c7","status":"failed","output":"nope"},
            {"role":"user","content":""}]}"#,
        &[
            "User+ Text:a Image:data:i Image:file-1 File:file-2 Name:f.pdf",
            "Assistant+ Text:b",
            "Assistant> Reasoning:why Reasoning:t Sealed:gA",
            "Assistant call 1 Call:{} Call:f",
            "Tool result 1 Result:ok",
            "Tool result 2 Result:x Image:u",
            "Assistant call 2 Call:g Call:free",
            "Tool result 2 Result:res",
            r#"Assistant call 3 Call=:{"type":"exec","command":["ls"]}"#,
            "Tool result 3 Result:files",
            r#"Assistant call 4 Call=:{"commands":["ls"]}"#,
            "Tool result 4 Result:so Result:se",
            r#"Assistant call 5 Call=:{"type":"click"}"#,
            "Tool result 5 Image:data:s",
            r#"Assistant call 6 Call=:{"type":"delete_file","path":"p"}"#,
            "Tool result 6 Result:nope",
            "User",
            "beside Text:be",
        ],
    );
    let body = r#"{"input":"hello"}"#;
    check(Dialect::OpenaiResponses, body, &["User+ Text:hello"]);
    let outline = read(Dialect::OpenaiResponses, body).unwrap();
    assert_eq!((outline.list, &body[outline.items[0].at.clone()]), (0..0, r#""hello""#));
}

#[test]
fn what_the_responses_api_runs_by_itself() {
    check(
        Dialect::OpenaiResponses,
        r#"{"input":[
            {"type":"web_search_call","id":"w","action":{"query":"q"}},
            {"type":"file_search_call","id":"fs","queries":["q1","q2"],"results":[{"text":"found","filename":"n","score":0.5}]},
            {"type":"code_interpreter_call","code":"1+1","outputs":[{"type":"logs","logs":"2"}]},
            {"type":"image_generation_call","id":"ig","result":"iVBO"},
            {"type":"mcp_list_tools","server_label":"s","tools":[{"name":"x"}]},
            {"type":"mcp_approval_request","id":"ar","name":"x","arguments":"{}","server_label":"s"},
            {"type":"mcp_approval_response","approval_request_id":"ar","approve":true,"reason":"fine"},
            {"type":"mcp_call","id":"mc","name":"x","arguments":"{}","output":"long","error":null},
            {"type":"compaction","encrypted_content":"zz"},
            {"type":"from_the_future","thing":[1]}],
            "text":{"format":{"type":"text"},"verbosity":"low"},"prompt":{"id":"p","variables":{"v":"w"}}}"#,
        &[
            r#"Assistant Call=:{"query":"q"}"#,
            "Assistant Call:q1 Call:q2 Call:found Call:n",
            "Assistant Call:1+1 Call:2",
            "Assistant Image:iVBO",
            r#"Other Name:s Declared=:[{"name":"x"}]"#,
            "Other call 1 Call:x Call:{} Call:s",
            "Other result 1 Result:fine",
            "Assistant Call:x Call:{} Call:long",
            "Other Sealed:zz",
            r#"Other Call=:{"type":"from_the_future","thing":[1]}"#,
            r#"beside Declared=:{"type":"text"}"#,
            r#"beside Declared=:{"id":"p","variables":{"v":"w"}}"#,
        ],
    );
}

#[test]
fn anthropic_messages() {
    check(
        Dialect::AnthropicMessages,
        r#"{"messages":[
            {"role":"user","content":"a"},
            {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"x"},
                {"type":"text","text":"b","citations":[{"cited_text":"c"}]},{"type":"tool_use","id":"t1","name":"f","input":{"x":["y"]}},
                {"input":{},"name":"g","id":"t2","type":"tool_use","cache_control":{"type":"ephemeral"}},
                {"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"q"}},
                {"type":"web_search_tool_result","tool_use_id":"s1","content":[{"type":"web_search_result","url":"u","title":"t","encrypted_content":"e"}]},
                {"type":"mcp_tool_use","id":"m1","name":"n","server_name":"srv","input":{}},
                {"type":"mcp_tool_result","tool_use_id":"m1","is_error":false,"content":[{"type":"text","text":"r"}]}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"ok"},
                {"content":[{"type":"text","text":"p","cache_control":{"type":"ephemeral"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"z"}},
                {"type":"document","source":{"type":"text","media_type":"text/plain","data":"doc"},"title":"dt"}],"is_error":true,"tool_use_id":"t2","type":"tool_result"}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1"},{"type":"text","text":"go on"},
                {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"T","context":"ctx"},
                {"type":"document","source":{"type":"content","content":[{"type":"text","text":"in"},{"type":"image","source":{"type":"url","url":"iu"}}]}},
                {"type":"search_result","source":"https://s","title":"st","content":[{"type":"text","text":"sr"}]},
                {"type":"container_upload","file_id":"f1"}]}],
          "system":[{"type":"text","text":"one","cache_control":{"type":"ephemeral"}},{"type":"text","text":"two"}],
          "output_config":{"format":{"type":"json_schema","schema":{}},"effort":"low"},"tools":[]}"#,
        &[
            "User+ Text:a",
            r#"Assistant+ call 1 call 2 Reasoning:hm Sealed:s Sealed:x Text:b Call:f Call=:{"x":["y"]} Call=:{} Call:g Call:web_search Call=:{"query":"q"} Call:u Call:t Sealed:e Call:n Call:srv Call=:{} Call:r"#,
            "User result 1 result 2 Result:ok Result:p Image:z Result:doc Name:dt",
            "User+ result 1 Text:go on File:JVBE Name:T Text:ctx Text:in Image:iu Name:https://s Name:st Text:sr File:f1",
            "beside Text:one",
            "beside Text:two",
            r#"beside Declared=:{"type":"json_schema","schema":{}}"#,
        ],
    );
}

#[test]
fn gemini() {
    let long = "x".repeat(300);
    let body = r#"{"systemInstruction":{"parts":[{"text":"sys"}]},"contents":[
            {"parts":[{"text":"a"},{"inlineData":{"mimeType":"image/png","data":"z"}},{"inline_data":{"mime_type":"audio/wav","data":"w"}},
                {"fileData":{"fileUri":"gs://v","mimeType":"video/mp4"},"videoMetadata":{"fps":1}}]},
            {"role":"model","parts":[{"text":"hm","thought":true,"thoughtSignature":"sig"},{"text":"b"},
                {"functionCall":{"name":"f","args":{"x":"y"}},"thoughtSignature":"s2"},{"functionCall":{"id":"i","name":"g"}}]},
            {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"LONG","more":[true,{"deep":"LONG"}]}}},
                {"functionResponse":{"response":{"error":"boom"},"id":"i","name":"g","parts":[{"inlineData":{"mimeType":"image/png","data":"p"}}]}}]},
            {"role":"function","parts":[{"functionResponse":{"name":"f","response":"bare"}}]},
            {"role":"model","parts":[{"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"outcome":"OK","output":"1"}}]}],
            "generationConfig":{"responseSchema":{"type":"OBJECT"},"temperature":1},"tools":[{"functionDeclarations":[]}]}"#
        .replace("LONG", &long);
    let expected = [
        "User+ Text:a Image:z File:w File:gs://v",
        r#"Assistant+ call - call 1 Reasoning:hm Sealed:sig Text:b Call:f Call=:{"x":"y"} Sealed:s2 Call:g"#,
        r#"User result - result 1 Name:f Call=:{"result":" Result:LONG Call=:","more":[true,{"deep":" Result:LONG Call=:"}]} Call=:{"error":"boom"} Name:g Image:p"#,
        "Tool result - Name:f Result:bare",
        r#"Assistant Call=:{"language":"PYTHON","code":"1"} Call=:{"outcome":"OK","output":"1"}"#,
        "beside Text:sys",
        r#"beside Declared=:{"type":"OBJECT"}"#,
        r#"beside Declared=:[{"functionDeclarations":[]}]"#,
    ]
    .map(|line| line.replace("LONG", &long));
    check(Dialect::Gemini, &body, &expected.each_ref().map(String::as_str));
    check(Dialect::Gemini, r#"{"contents":"bare","system_instruction":"s"}"#, &["User+ Text:bare", "beside Text:s"]);
    check(Dialect::Gemini, r#"{"contents":{"role":"user","parts":{"text":"one"}}}"#, &["User+ Text:one"]);
}

#[test]
fn ollama() {
    let body = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a","images":["zz","yy"]},
            {"role":"assistant","content":"","thinking":"hm","tool_calls":[{"id":"c1","function":{"index":0,"name":"f","arguments":{"x":1}}}]},
            {"role":"tool","content":"ok","tool_name":"f","tool_call_id":"c1"}],"format":{"type":"object"},"options":{"num_ctx":8192,"seed":1}}"#;
    let outline = read(Dialect::Ollama, body).unwrap();
    assert_eq!(
        lines(body, &outline),
        [
            "System+ Text:s",
            "User+ Text:a Image:zz Image:yy",
            r#"Assistant call - Reasoning:hm Call:f Call=:{"x":1}"#,
            "Tool result - Result:ok Name:f",
            r#"beside Declared=:{"type":"object"}"#,
        ]
    );
    assert_eq!(outline.window, Some(8192));
    assert_eq!(read(Dialect::Ollama, r#"{"messages":[],"options":{"num_ctx":"much"}}"#).unwrap().window, None);
    assert_eq!(read(Dialect::Ollama, r#"{"messages":[],"options":null}"#).unwrap().window, None);
}

#[test]
fn what_the_provider_holds_is_told() {
    let check = |dialect, body: &str, expected| assert_eq!(read(dialect, body).unwrap().is_continued, expected, "{body}");
    check(Dialect::OpenaiResponses, r#"{"input":"a","previous_response_id":"resp_1"}"#, true);
    check(Dialect::OpenaiResponses, r#"{"input":"a","previous_response_id":null,"conversation":null}"#, false);
    check(Dialect::OpenaiResponses, r#"{"input":"a","conversation":{"id":"conv"}}"#, true);
    check(Dialect::OpenaiResponses, r#"{"input":[{"type":"item_reference","id":"i"},{"role":"user","content":"a"}]}"#, true);
    check(Dialect::Gemini, r#"{"contents":[],"cachedContent":"cachedContents/1"}"#, true);
    check(Dialect::OpenaiChat, r#"{"messages":[],"previous_response_id":"resp_1"}"#, false);
}

#[test]
fn only_conversations_are_read() {
    let check = |dialect, path: &str, body: &str| assert_eq!(Outline::read(dialect, path, body.as_bytes()), None, "{path} {body}");
    let messages = r#"{"messages":[]}"#;
    check(Dialect::AnthropicMessages, "/v1/messages/count_tokens", messages);
    check(Dialect::Ollama, "/api/generate", r#"{"prompt":"a"}"#);
    check(Dialect::Gemini, "/v1/models/m:countTokens", r#"{"contents":[]}"#);
    check(Dialect::OpenaiCompletions, "/v1/completions", r#"{"prompt":"a"}"#);
    check(Dialect::OpenaiEmbeddings, "/v1/embeddings", r#"{"input":"a"}"#);
    check(Dialect::OpenaiResponses, "/v1/responses", r#"{"prompt":{"id":"p"}}"#);
    for prompt in ["null", "1", "{}", "\"a\"", "[1]", "[null]", "[[]]"] {
        check(Dialect::OpenaiChat, "/v1/chat/completions", &format!(r#"{{"messages":{prompt}}}"#));
    }
    assert!(Outline::read(Dialect::AnthropicMessages, "/v1/messages", messages.as_bytes()).is_some());
}

#[test]
fn what_is_no_json_is_not_read() {
    let invalid = [
        "",
        "[]",
        "{",
        r#"{"messages":[]"#,
        r#"{"messages":[]}x"#,
        r#"{"messages":[],}"#,
        r#"{"messages":[{"content":"\x"}]}"#,
        "{\"messages\":[{\"content\":\"a\nb\"}]}",
        r#"{"messages":[],"n":01}"#,
        r#"{"messages":[{"content":1.}]}"#,
        "\u{feff}{\"messages\":[]}",
    ];
    for body in invalid {
        assert_eq!(read(Dialect::OpenaiChat, body), None, "{body}");
    }
    assert_eq!(Outline::read(Dialect::OpenaiChat, "/", b"{\"messages\":[\"\xff\"]}"), None);
}

#[test]
fn a_key_that_is_there_twice_is_nobodys() {
    use Dialect::{AnthropicMessages, Gemini, Ollama, OpenaiChat, OpenaiResponses};
    let check = |dialect, body: &str, is_read: bool| assert_eq!(read(dialect, body).is_some(), is_read, "{body}");
    let message = |dialect, inner: &str, is_read| check(dialect, &format!(r#"{{"messages":[{{{inner}}}]}}"#), is_read);
    check(OpenaiChat, r#"{"messages":[],"messages":[]}"#, false);
    check(OpenaiChat, r#"{"messages":[],"mess\u0061ges":[]}"#, false);
    check(OpenaiChat, r#"{"messages":[],"max_tokens":1,"max_tokens":2}"#, false);
    check(OpenaiChat, r#"{"messages":[],"temperature":1,"temperature":2}"#, true);
    check(OpenaiResponses, r#"{"input":"a","instructions":"b","instructions":"c"}"#, false);
    check(OpenaiResponses, r#"{"input":"a","text":{"format":{},"format":{}}}"#, false);
    check(Gemini, r#"{"contents":[],"systemInstruction":"a","system_instruction":"b"}"#, false);
    check(Gemini, r#"{"contents":[{"parts":[{"functionCall":{"name":"f","name":"g"}}]}]}"#, false);
    check(Gemini, r#"{"contents":[{"parts":[{"functionResponse":{"response":1,"response":2}}]}]}"#, false);
    check(Gemini, r#"{"contents":[{"parts":[{"inlineData":{"data":"1","data":"2"}}]}]}"#, false);
    message(OpenaiChat, r#""role":"user","role":"system""#, false);
    message(OpenaiChat, r#""role":"user","content":"a","c\u006fntent":"b""#, false);
    message(OpenaiChat, r#""content":[{"type":"text","type":"image_url","text":"a"}]"#, false);
    message(OpenaiChat, r#""tool_calls":[{"id":"a","id":"b"}]"#, false);
    message(OpenaiChat, r#""tool_calls":[{"function":{"arguments":"a","arguments":"b"}}]"#, false);
    message(OpenaiChat, r#""content":[{"type":"image_url","image_url":{"url":"a","url":"b"}}]"#, false);
    message(OpenaiChat, r#""content":"a","other":1,"other":2"#, true);
    message(AnthropicMessages, r#""content":[{"type":"tool_use","input":{"a":1,"a":2}}]"#, true);
    message(AnthropicMessages, r#""content":[{"type":"image","source":{"type":"base64","type":"text","data":"a"}}]"#, false);
    // Its server takes keys in any case.
    message(Ollama, r#""role":"user","content":"a","Content":"b""#, false);
    check(Ollama, r#"{"messages":[],"Messages":[]}"#, false);
    check(OpenaiChat, r#"{"messages":[],"Messages":[]}"#, true);
}

#[test]
fn what_is_too_much_or_too_deep_is_not_read() {
    let check = |inner: &str, is_read: bool| {
        let body = format!(r#"{{"messages":[{inner}]}}"#);
        assert_eq!(read(Dialect::OpenaiChat, &body).is_some(), is_read, "{} bytes: {}", body.len(), &inner[..inner.len().min(40)]);
    };
    let list = |element: &str, count: usize| vec![element; count].join(",");
    check(&list("{}", 10_000), true);
    check(&list("{}", 10_001), false);
    check(&format!(r#"{{"content":[{}]}}"#, list("\"a\"", 65_536)), true);
    check(&format!(r#"{{"content":[{}]}}"#, list("\"a\"", 65_537)), false);
    for key in ["content", "function", "tool_calls", "functionResponse", "image_url", "source", "thinking"] {
        let deep =
            |open: &str, close: &str, depth: usize| format!("{{\"role\":\"user\",\"{key}\":{}\"x\"{}}}", open.repeat(depth), close.repeat(depth));
        // Whether it is read depends on the key; that it ends does not.
        for (open, close) in [("[", "]"), (&*format!("{{\"{key}\":"), "}"), (&*format!("[{{\"{key}\":"), "}]")] {
            let body = format!(r#"{{"messages":[{}]}}"#, deep(open, close, 20_000));
            let outline = read(Dialect::OpenaiChat, &body);
            assert!(outline.is_none_or(|outline| outline.items[0].pieces.is_empty()), "{key} {open}");
        }
    }
    check(&format!(r#"{{"content":{}"x"{}}}"#, "[".repeat(200), "]".repeat(200)), false);
    // What counts as it stands may be as deep as it likes, and so may what does not count.
    check(&format!(r#"{{"tool_calls":[{{"function":{{"arguments":{}1{}}}}}]}}"#, "[".repeat(100_000), "]".repeat(100_000)), true);
    check(&format!(r#"{{"other":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)), true);
}

#[test]
fn a_shortened_text_keeps_the_marks_of_its_block() {
    let body = r#"{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[
        {"cache_control":{"type":"ephemeral"},"type":"text","text":"a long \"text\" of a tool","x":1}]}]}]}"#;
    let outline = read(Dialect::AnthropicMessages, body).unwrap();
    let [piece] = &outline.items[0].pieces[..] else { panic!("one piece") };
    let edit = crate::wire::Edit { at: piece.at.start + 6..piece.at.end - 5, with: b" [...]".to_vec() };
    let changed = String::from_utf8(crate::wire::apply(body.as_bytes(), &[edit])).unwrap();
    assert_eq!(changed, body.replace(" \\\"text\\\" of a", " [...]"));
    let again = read(Dialect::AnthropicMessages, &changed).unwrap();
    assert_eq!((again.items[0].pieces.len(), &again.items[0].results), (1, &outline.items[0].results));
}

#[test]
fn ids_are_the_same_in_every_process() {
    let outline =
        read(Dialect::OpenaiChat, r#"{"messages":[{"role":"tool","tool_call_id":"call_1","content":"a"},{"role":"tool","tool_call_id":""}]}"#);
    let results: Vec<_> = outline.unwrap().items.into_iter().flat_map(|item| item.results).collect();
    assert_eq!(results, [Some(xxhash_rust::xxh3::xxh3_64(b"call_1")), None]);
}
