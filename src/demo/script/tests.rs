use std::time::Duration;

use serde_json::json;

use super::{
    Alpn, Arrival, BadChunk, Certificate, Chunked, Code, CutAt, Encode, Goaway, How, LastStream, OverflowWords, Playing, Script, StallAt, Step,
    Times, Tokens, Usage, Wait,
};

fn faults(text: &str) -> String {
    Script::read(text).expect_err("the script is not sound").to_string()
}

fn arrival<'a>(target: &'a str, model: &'a str, body: &'a str) -> Arrival<'a> {
    Arrival { target, headers: &[], model: Some(model), body: body.as_bytes() }
}

fn statuses(playing: &mut Playing, count: usize) -> Vec<Option<u16>> {
    (0..count).map(|_| playing.step(&arrival("/v1/chat/completions", "gpt", "{}")).status).collect()
}

#[test]
fn a_yaml_script_reads_like_the_same_script_in_json() {
    let yaml = "
steps:
  - status: 429
    times: 2
    headers: {Retry-After: 2}
  - stall: {at: first_token, for: 30s, heartbeat: 200ms}
rules:
  - when: {model: sim, every: 3}
    cut: {at: mid, after: 4, how: rst}
";
    let json = r#"{"steps": [{"status": 429, "times": 2, "headers": {"Retry-After": 2}},
                             {"stall": {"at": "first_token", "for": "30s", "heartbeat": "200ms"}}],
                   "rules": [{"when": {"model": "sim", "every": 3}, "cut": {"at": "mid", "after": 4, "how": "rst"}}]}"#;
    let script = Script::read(yaml).unwrap();
    assert_eq!(script, Script::read(json).unwrap());
    assert_eq!(script.steps[0].headers.0, [("Retry-After".to_owned(), "2".to_owned())]);
    let stall = script.steps[1].stall.as_ref().unwrap();
    assert_eq!((stall.at, stall.wait, stall.heartbeat), (StallAt::FirstToken, Wait::For(Duration::from_secs(30)), Some(Duration::from_millis(200))));
    let cut = script.rules[0].step.cut.as_ref().unwrap();
    assert_eq!((cut.at, cut.after, cut.how), (CutAt::Mid, 4, How::Rst));
}

#[test]
fn values_may_be_written_in_every_way_the_page_shows() {
    let script = Script::read(
        r#"[{"times": -1, "chunked": "close", "usage": "none", "bad_chunk": "0x10", "headers": ["Set-Cookie: a=1", "Set-Cookie: b=2"]},
            {"times": "always", "chunked": false, "stall": {"at": "head"}, "bad_chunk": {"line": "zz", "after": 3}, "slow": {"byte_by_byte": true, "first_token": 1.5}}]"#,
    )
    .unwrap();
    let [first, second] = &script.steps[..] else { panic!("two steps") };
    assert_eq!((first.times, first.chunked, &first.usage), (Some(Times::Always), Some(Chunked::Close), &Some(Usage::Absent)));
    assert_eq!(first.bad_chunk, Some(BadChunk { line: "0x10".to_owned(), after: 2 }));
    assert_eq!(first.headers.0.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!((second.chunked, second.stall.as_ref().map(|stall| stall.wait)), (Some(Chunked::No), Some(Wait::Forever)));
    let slow = second.slow.as_ref().unwrap();
    assert_eq!((slow.byte_by_byte, slow.first_token), (Some(Duration::from_millis(1)), Some(Duration::from_millis(1500))));
}

#[test]
fn all_faults_of_a_script_are_told_at_once_with_their_lines() {
    let told = faults(
        "steps:\n  - sttus: 500\n  - stall: {at: hed}\n  - status: 500\n  - times: 0\nruls: []\nrules:\n  - when: {modle: x}\n    status: 500\n",
    );
    for part in [
        "steps[0].sttus (line 2): unknown `sttus`: did you mean `status`?",
        "steps[1].stall (line 3): unknown `hed`: did you mean `head`?",
        "steps[3].times (line 5): `times` is a number from 1 on",
        "ruls (line 6): unknown key: did you mean `rules`?",
        "rules[0].when.modle (line 8): unknown `modle`: did you mean `model`?",
    ] {
        assert!(told.contains(part), "{part}\nnot in\n{told}");
    }
    assert!(!told.contains("steps[2]"), "{told}");
    let both = faults("- status: high\n  txt: Hello.\n  text: Hello.");
    assert!(both.contains("steps[0].status (line 1): ") && both.contains("steps[0].txt (line 2): unknown `txt`: did you mean `text`?"), "{both}");
}

#[test]
fn what_no_one_can_have_meant_is_refused_with_what_would_be_right() {
    for (script, part) in [
        ("- status: 99", "status 99"),
        ("- {garbage: x, status: 200}", "instead of an answer"),
        ("- cut: {at: head, how: clean}", "only a reply cut at `mid`"),
        ("- stall: {at: head, heartbeat: 1s}", "sends none"),
        ("- stall: {at: mid, for: soon}", "is no duration"),
        ("- slow: {tokens_per_second: 0}", "above 0"),
        ("- headers: {a: [1]}", "headers are a map"),
        ("- headers: {\"a\": \"b\\r\\nc\"}", "use `garbage`"),
        ("- when: {model: x}", "belongs to `rules`"),
        ("rules: [{cut: {at: connect}}]", "make it a step"),
        ("- 500", "is not a map"),
        ("just words", "a script is a map"),
        ("{\"steps\": [", "not JSON"),
        ("steps: [}", "not YAML"),
    ] {
        let told = faults(script);
        assert!(told.contains(part), "{script}: {told}");
    }
}

#[test]
fn steps_are_consumed_in_order_and_then_answers_are_good() {
    let mut playing = Playing::new(Script::read("[{\"status\": 500}, {\"status\": 429, \"times\": 2}]").unwrap());
    assert_eq!(statuses(&mut playing, 4), [Some(500), Some(429), Some(429), None]);
    let mut forever = Playing::new(Script::read("- {status: 503, times: always}").unwrap());
    assert_eq!(statuses(&mut forever, 3), [Some(503); 3]);
}

#[test]
fn rules_are_asked_first_and_match_on_path_model_header_and_body() {
    let script = "
steps: [{status: 401}]
rules:
  - {when: {path: /messages}, status: 501}
  - {when: {model: flaky, every: 2}, status: 502}
  - {when: {body: canary}, times: 1, status: 503}
  - {when: {header: 'X-Kind: bad'}, status: 504}
";
    let mut playing = Playing::new(Script::read(script).unwrap());
    let mut ask = |target, model, body, headers: &[(String, String)]| {
        let headers = headers.to_vec();
        playing.step(&Arrival { target, headers: &headers, model: Some(model), body: str::as_bytes(body) }).status
    };
    assert_eq!(ask("/v1/messages", "m", "", &[]), Some(501));
    assert_eq!(ask("/v1/chat", "sim-flaky", "a canary", &[]), Some(503));
    assert_eq!(ask("/v1/chat", "sim-flaky", "a canary", &[]), Some(502));
    assert_eq!(ask("/v1/chat", "m", "", &[("x-kind".to_owned(), "very bad".to_owned())]), Some(504));
    assert_eq!(ask("/v1/chat", "m", "a canary", &[]), Some(401));
    assert_eq!(ask("/v1/chat", "m", "a canary", &[]), None);
}

#[test]
fn a_fault_at_connect_takes_a_connection_and_no_request() {
    let mut playing = Playing::new(Script::read("[{\"cut\": {\"at\": \"connect\", \"how\": \"rst\"}}, {\"status\": 500}]").unwrap());
    assert_eq!(playing.step(&arrival("/v1", "m", "")), Step::default());
    assert!(playing.at_connect().is_some());
    assert!(playing.at_connect().is_none());
    assert_eq!(statuses(&mut playing, 1), [Some(500)]);
}

#[test]
fn an_early_response_is_chosen_by_the_head_and_nothing_else_is_consumed_by_it() {
    let mut playing = Playing::new(Script::read("- status: 500\n- early_response: true\n  status: 413").unwrap());
    assert_eq!(playing.early_step(&arrival("/v1", "m", "")), None);
    assert_eq!(statuses(&mut playing, 1), [Some(500)]);
    assert_eq!(playing.early_step(&arrival("/v1", "m", "")).and_then(|step| step.status), Some(413));
    assert_eq!(statuses(&mut playing, 1), [None]);
}

#[test]
fn trees_keep_their_kinds_on_the_way_from_yaml() {
    let script = Script::read("- body: {a: [1, 2.5, true, null, x], 5: y}\n- tools: [{name: t, arguments: {city: Rome}}]").unwrap();
    assert_eq!(script.steps[0].body, Some(json!({"a": [1, 2.5, true, null, "x"], "5": "y"})));
    assert_eq!(script.steps[1].tools[0].arguments, json!({"city": "Rome"}));
}

#[test]
fn what_holds_for_all_requests_stands_beside_the_steps_and_yields_to_them() {
    let script = Script::read("rate_limit: {requests: 10, per: 2s}\ncontext: 100\nencode: gzip\nsteps: [{context: 5}, {status: 200}]").unwrap();
    let limit = script.standing.rate_limit.unwrap();
    assert_eq!((limit.requests.map(u32::from), limit.tokens, limit.per), (Some(10), None, Duration::from_secs(2)));
    let mut playing = Playing::new(script);
    let contexts: Vec<_> = (0..3).map(|_| playing.step(&arrival("/v1", "m", ""))).map(|step| (step.context, step.encode)).collect();
    assert_eq!(contexts, [5, 100, 100].map(|context| (Some(context), Some(Encode::Gzip))));
    for (script, part) in [
        ("rate_limit: {requsts: 1}", "rate_limit (line 1): unknown `requsts`: did you mean `requests`?"),
        ("rate_limit: {per: 1m}", "neither `requests` nor `tokens`"),
        ("rate_limit: {requests: 1, per: 0s}", "above 0s"),
        ("ratelimit: {requests: 1}", "did you mean `rate_limit`?"),
        ("encode: lzma", "unknown variant `lzma`"),
        ("tokens: o200", "unknown `o200`: did you mean `o200k`?"),
        ("overflow_words: vlm", "unknown `vlm`: did you mean `vllm`?"),
        ("context_status: 200", "the status of an error, from 400 to 599, not 200"),
        ("- {context_event: maybe}", "steps[0].context_event (line 1): invalid type"),
    ] {
        let told = faults(script);
        assert!(told.contains(part), "{script}: {told}");
    }
}

#[test]
fn how_a_prompt_beyond_the_window_is_refused_is_a_steps_or_everyones() {
    let text = "context: 100\ntokens: o200k\noverflow_words: tgi\ncontext_status: 500\ncontext_event: true\n\
                steps: [{tokens: cl100k, overflow_words: llama_cpp, context_status: 400, context_event: false}]";
    let mut playing = Playing::new(Script::read(text).unwrap());
    let mut next = || {
        let step = playing.step(&arrival("/v1", "m", ""));
        (step.tokens, step.overflow_words, step.context_status, step.context_event)
    };
    assert_eq!(next(), (Some(Tokens::Cl100k), Some(OverflowWords::LlamaCpp), Some(400), Some(false)));
    assert_eq!(next(), (Some(Tokens::O200k), Some(OverflowWords::Tgi), Some(500), Some(true)));
}

#[test]
fn the_example_is_a_script_with_every_section() {
    let script = Script::read(super::EXAMPLE).unwrap();
    assert!(script.steps.len() > 8 && script.rules.len() == 3);
    assert!(script.standing.rate_limit.is_some() && script.standing.context.is_some() && script.standing.encode.is_some());
    assert!(script.standing.tokens.is_some() && script.standing.overflow_words.is_some() && script.standing.context_status.is_some());
    let commented: Vec<&str> =
        super::EXAMPLE.lines().filter_map(|line| line.strip_prefix("# ").filter(|line| line.starts_with(['t', 'h']))).collect();
    assert!(commented.len() >= 3);
    for line in commented {
        Script::read(line).unwrap();
    }
}

#[test]
fn faults_of_http2_and_tls_are_read_by_name_and_number() {
    let script = Script::read(
        "tls: {certificate: wrong_name, alpn: [http/1.1, h2]}\nhttp2: {max_concurrent_streams: 2}\nsteps:\n\
         - cut: {at: mid, how: stream, code: refused_stream}\n- goaway: {last: below, code: 11}\n- goaway: graceful\n- stall: {at: handshake}",
    )
    .unwrap();
    assert_eq!((script.standing.tls.certificate, script.standing.tls.alpn), (Certificate::WrongName, Some(vec![Alpn::Http1, Alpn::Http2])));
    assert_eq!(script.steps[0].cut.as_ref().unwrap().code, Code(7));
    assert_eq!(script.steps[1].goaway, Some(Goaway { last: LastStream::Below, code: Code(11) }));
    assert_eq!(script.steps[2].goaway, Some(Goaway { last: LastStream::Graceful, code: Code(0) }));
    assert!(script.steps[3].at_connect());
    for (script, part) in [
        ("- goaway: belo", "unknown `belo`: did you mean `below`?"),
        ("- cut: {at: mid, how: stream, code: OOPS}", "`code` is a number or one of NO_ERROR"),
        ("- cut: {at: handshake, how: stream}", "there is no stream to reset"),
        ("tls: {certificate: stale}", "unknown variant `stale`"),
    ] {
        let told = faults(script);
        assert!(told.contains(part), "{script}: {told}");
    }
}
