//! Promise: token counts of streams are asked for on the agent's behalf, and the agent sees, byte for byte, what it would have seen without.

use serde_json::{Value, json};

use crate::support::{Agent, Call, End, Proxy, Reply, Upstream, Wire, agent, call, chat, chunk, model, proxy, sse_head, streams, upstream, within};

/// As a server says it that was asked for token counts.
const ASKED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\u{fc}\u{df}e, \\\"usage\\\": null\"}}],\"usage\":null}\n\n\
    data: {\"usage\": null, \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}}\n\ndata: [DONE]\n\n";
/// The same of one that was not.
const PLAIN: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\u{fc}\u{df}e, \\\"usage\\\": null\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
/// What refuses the option as old servers do.
const REFUSING: &str = "rules: [{when: {body: stream_options}, status: 400, body: {error: {message: 'Unrecognized request argument supplied: stream_options', type: invalid_request_error, param: null, code: null}}}]";

/// A text completion.
fn completion() -> Call {
    call("POST", "/v1/completions").json(&json!({"model": "gpt-3.5-turbo-instruct", "prompt": "Once", "stream": true, "max_tokens": 40}))
}

/// A streamed chat with more in it.
fn asking(more: &Value) -> Call {
    let mut body = json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "Say hello."}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call("POST", "/v1/chat/completions").json(&body)
}

/// Answers each request on each connection with what `reply` makes of its number, from 0 on.
async fn answering(reply: impl Fn(usize) -> Vec<u8> + Clone + Send + 'static) -> Upstream {
    upstream(move |mut wire: Wire| {
        let reply = reply.clone();
        async move {
            for nth in 0.. {
                if wire.request().await.is_none() || !wire.write(reply(nth)).await {
                    break;
                }
            }
        }
    })
    .await
}

fn in_chunks(pieces: &[&[u8]]) -> Vec<u8> {
    let chunks = pieces.iter().filter(|piece| !piece.is_empty()).flat_map(chunk).collect::<Vec<u8>>();
    [sse_head().as_bytes(), &chunks, b"0\r\n\r\n"].concat()
}

/// Input and output tokens that were counted.
async fn tokens(proxy: &Proxy) -> (u64, u64) {
    let metrics = proxy.settle_as("ok").await;
    let of = |kind| metrics.count("pillion_tokens_total", &[("type", kind)]);
    (of("input"), of("output"))
}

fn modified(metrics: &crate::support::Metrics) -> u64 {
    metrics.count("pillion_passthrough_modified_total", &[("reason", "include_usage")])
}

/// A stream without the ids of its answer, which are drawn anew for each request.
fn without_ids(reply: &Reply) -> String {
    let text = reply.text();
    let id = text.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    text.replace(id, "")
}

async fn directly(model: &pillion::demo::model::Model, call: &Call) -> Reply {
    Agent::stranger(model.address()).await.ask(call).await
}

#[tokio::test]
async fn the_agent_gets_what_it_would_have_got_and_the_tokens_are_known() {
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"usage": {"type": "string"}}}}});
    let calls = [
        chat(true),
        completion(),
        asking(&json!({"n": 3})),
        asking(&json!({"stream_options": null})),
        asking(&json!({"stream_options": {}})),
        asking(&json!({"stream_options": {"include_usage": false}})),
        asking(&json!({"stream_options": {"include_obfuscation": false}, "tools": [tool], "tool_choice": "required"})),
    ];
    for call in calls {
        let (model, behind) = (model("").await, model("").await);
        let proxy = proxy().to(behind.url()).run();
        let (direct, through) = (directly(&model, &call).await, proxy.ask(&call).await);
        assert!(!direct.text().contains("\"usage\""), "{}", direct.text());
        assert_eq!((through.status, through.end, through.text()), (200, End::Whole, direct.text()), "{call:?}");
        let seen = &behind.requests()[0];
        assert_eq!((&seen.json()["stream_options"]["include_usage"], seen.header("accept-encoding")), (&json!(true), Some("identity")), "{call:?}");
        // As many as the model says when it is asked.
        let mut body = model.requests()[0].json();
        body["stream_options"] = json!({"include_usage": true});
        let told = directly(&model, &crate::support::call("POST", &seen.target).json(&body)).await;
        let usage = told.events().iter().rev().find_map(|event| serde_json::from_str::<Value>(&event.data).ok()).unwrap()["usage"].clone();
        let metrics = proxy.settle_as("ok").await;
        let counted = |kind| json!(metrics.count("pillion_tokens_total", &[("type", kind)]));
        assert_eq!([counted("input"), counted("output")], [usage["prompt_tokens"].clone(), usage["completion_tokens"].clone()], "{call:?}");
        assert_eq!((modified(&metrics), metrics.count("pillion_usage_missing_total", &[])), (1, 0));
    }
}

#[tokio::test]
async fn what_was_sent_goes_up_byte_for_byte_around_the_option() {
    let upstream = answering(|_| in_chunks(&[ASKED.as_bytes()])).await;
    let proxy = proxy().to(upstream.url()).run();
    let body = "{ \"stream\" : true,\n \"model\":\"m\\u00e9\",  \"messages\" : [ ] , \"x\": 1.50 }";
    let call = call("POST", "/v1/chat/completions").header("Accept-Encoding", "gzip, br").header("X-Last", "1").body(body);
    assert_eq!(proxy.ask(&call).await.text(), PLAIN);
    assert_eq!(proxy.ask(&call.chunked(7)).await.text(), PLAIN);
    for heard in upstream.heard() {
        let text = String::from_utf8(heard.body.clone()).unwrap();
        assert_eq!(text, body.replacen('{', "{\"stream_options\":{\"include_usage\":true},", 1));
        assert_eq!(heard.header("content-length"), Some(text.len().to_string().as_str()));
        let named = |name: &str| heard.headers.iter().filter(|(have, _)| have == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
        assert_eq!((named("Accept-Encoding"), named("X-Last")), (vec!["identity"], vec!["1"]));
    }
    assert_eq!(tokens(&proxy).await, (22, 14));
}

#[tokio::test]
async fn however_the_stream_is_split_it_is_the_same() {
    for pieces in [2, 3] {
        let upstream = answering(move |nth| {
            let (one, rest) = ASKED.as_bytes().split_at(nth % (ASKED.len() + 1));
            let (two, three) = rest.split_at(if pieces == 3 { rest.len() / 2 } else { rest.len() });
            in_chunks(&[one, two, three])
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let mut agent = agent(&proxy).await;
        for split in 0..=ASKED.len() {
            let reply = agent.ask(&chat(true)).await;
            assert_eq!((reply.text(), reply.end), (PLAIN.to_owned(), End::Whole), "split at {split}");
        }
        let asked = u64::try_from(ASKED.len() + 1).unwrap();
        assert_eq!(tokens(&proxy).await, (11 * asked, 7 * asked));
    }
}

#[tokio::test]
async fn each_byte_in_a_write_of_its_own_makes_the_same_stream() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write(sse_head()).await;
        for byte in ASKED.as_bytes() {
            wire.write(chunk([*byte])).await;
        }
        wire.write("0\r\n\r\n").await;
        wire.until_gone().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).config("telemetry: {log: {format: json}}").run();
    assert_eq!(proxy.ask(&chat(true)).await.text(), PLAIN);
    assert_eq!(tokens(&proxy).await, (11, 7));
    // What was given to the agent is counted, not what came.
    let given = format!("\"reply_bytes\":{},", PLAIN.len());
    within("the log's line", async {
        while !proxy.log().contains(&given) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_asks_itself_or_a_config_that_does_not_leaves_all_as_it_is() {
    for (config, more) in [("", json!({"stream_options": {"include_usage": true}})), ("carry: {include_usage: false}", json!({}))] {
        let upstream = answering(|_| in_chunks(&[ASKED.as_bytes()])).await;
        let proxy = proxy().to(upstream.url()).config(config).run();
        let call = asking(&more).header("Accept-Encoding", "gzip");
        assert_eq!(proxy.ask(&call).await.text(), ASKED);
        let heard = upstream.only();
        assert!(call.bytes().ends_with(&heard.body));
        assert_eq!(heard.header("accept-encoding"), Some("gzip"));
        assert_eq!(modified(&proxy.settle_as("ok").await), 0);
    }
}

#[tokio::test]
async fn requests_that_are_no_streams_of_openai_s_are_left_as_they_are() {
    let upstream = answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec()).await;
    let proxy = proxy().to(upstream.url()).run();
    for ask in [
        chat(false),
        call("POST", "/v1/responses").json(&json!({"model": "m", "stream": true, "input": "hi"})),
        crate::support::messages(true),
        call("POST", "/v1/chat/completions").body("{\"stream\":true"),
        call("POST", "/v1/chat/completions").header("Content-Encoding", "gzip").body("{\"stream\":true}"),
        asking(&json!({"stream_options": {"continuous_usage_stats": true}})),
    ] {
        proxy.ask(&ask).await;
        assert!(ask.bytes().ends_with(&upstream.heard().pop().unwrap().body), "{ask:?}");
    }
    assert_eq!(modified(&proxy.settle_as("ok").await), 0);
}

#[tokio::test]
async fn a_body_that_is_not_held_is_left_as_it_is() {
    let upstream = answering(|_| in_chunks(&[ASKED.as_bytes()])).await;
    let proxy = proxy().to(upstream.url()).config("retries: {body_max: 20}").run();
    assert_eq!(proxy.ask(&chat(true)).await.text(), ASKED);
    assert!(chat(true).bytes().ends_with(&upstream.only().body));
    assert_eq!(modified(&proxy.settle_as("ok").await), 0);
}

#[tokio::test]
async fn an_upstream_that_refuses_the_option_is_asked_again_without_it_and_not_again_with_it() {
    let (model, behind) = (model("").await, model(REFUSING).await);
    let proxy = proxy().to(behind.url()).config("retries: {attempts: 1, budget: {ratio: 0, per_second: 0, burst: 0}}").run();
    let direct = directly(&model, &chat(true)).await;
    for attempts in ["2", "1", "1"] {
        let reply = proxy.ask(&chat(true)).await;
        assert_eq!((reply.status, without_ids(&reply), reply.header("x-pillion-attempts")), (200, without_ids(&direct), Some(attempts)));
    }
    // What is not the option's dialect is another matter.
    assert_eq!(proxy.ask(&completion()).await.header("x-pillion-attempts"), Some("2"));
    let seen = behind.requests();
    let asked: Vec<_> = seen.iter().map(|seen| !seen.json()["stream_options"].is_null()).collect();
    assert_eq!(asked, [true, false, false, false, true, false]);
    assert!(chat(true).bytes().ends_with(&seen[1].body), "the agent's own");
    let metrics = proxy.settle_as("ok").await;
    assert_eq!((modified(&metrics), metrics.count("pillion_usage_missing_total", &[])), (2, 4));
    assert_eq!(metrics.count("pillion_retries_total", &[("reason", "include_usage")]), 2);
    assert_eq!(metrics.count("pillion_retry_budget_exhausted_total", &[]), 0);
}

#[tokio::test]
async fn an_upstream_that_refuses_either_way_is_heard_and_asked_again_the_next_time() {
    let behind = model("rules: [{status: 422, body: {detail: 'include_usage: bad prompt'}}]").await;
    let proxy = proxy().to(behind.url()).run();
    for _ in 0..2 {
        let reply = proxy.ask(&chat(true)).await;
        assert_eq!((reply.status, reply.json()), (422, json!({"detail": "include_usage: bad prompt"})));
    }
    let asked: Vec<_> = behind.requests().iter().map(|seen| !seen.json()["stream_options"].is_null()).collect();
    assert_eq!(asked, [true, false, true, false]);
    proxy.settle_as("client_error").await;
}

#[tokio::test]
async fn a_400_for_another_reason_passes_as_it_came() {
    let behind = model("rules: [{status: 400}]").await;
    let proxy = proxy().to(behind.url()).run();
    let reply = proxy.ask(&chat(true)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts"), reply.header("x-should-retry")), (400, Some("1"), None));
    assert_eq!(reply.text(), directly(&behind, &chat(true)).await.text());
    proxy.settle_as("client_error").await;
}

#[tokio::test]
async fn a_repetition_asks_again() {
    let (model, behind) = (model("").await, model("steps: [{status: 500}, {error_event: {after: 1}}]").await);
    let proxy = proxy().to(behind.url()).config("retries: {backoff: {initial: 1ms}}").run();
    let reply = proxy.ask(&chat(true)).await;
    assert_eq!(without_ids(&reply), without_ids(&directly(&model, &chat(true)).await));
    assert!(behind.requests().iter().all(|seen| seen.json()["stream_options"]["include_usage"] == json!(true)));
    assert!(tokens(&proxy).await.0 > 0);
}

#[tokio::test]
async fn a_stream_that_is_compressed_all_the_same_is_not_altered() {
    let (model, behind) = (model("encode: gzip").await, model("encode: gzip").await);
    let proxy = proxy().to(behind.url()).run();
    let reply = proxy.ask(&chat(true)).await;
    let asked = directly(&model, &asking(&json!({"stream_options": {"include_usage": true}}))).await;
    assert_eq!((reply.header("content-encoding"), reply.body.len(), reply.body == asked.body), (Some("gzip"), asked.body.len(), true));
    assert!(tokens(&proxy).await.0 > 0);
}

#[tokio::test]
async fn over_http2_on_both_sides_it_is_the_same() {
    let (model, behind) = (model("").await, model("").await);
    let proxy = proxy().config(format!("upstreams: {{up: {{url: '{}', http2: prior}}}}", behind.url())).run();
    let reply = streams(&proxy).await.ask(&chat(true).at("/up/v1/chat/completions")).await;
    assert_eq!((reply.end, reply.text()), (End::Whole, directly(&model, &chat(true)).await.text()));
    let seen = &behind.requests()[0];
    assert_eq!((seen.version, seen.json()["stream_options"]["include_usage"].clone()), ("HTTP/2.0", json!(true)));
    assert!(seen.header("content-length").is_none_or(|length| length == seen.body_length.to_string()));
    assert!(tokens(&proxy).await.0 > 0);
}

#[tokio::test]
async fn servers_that_do_it_their_own_way_are_understood_as_far_as_is_known() {
    let finish = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]";
    let usage = "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}";
    let extra = format!("data: {{\"choices\":[],{usage}}}\n\n");
    for (sent, given) in [
        // Ollama and others: nothing in the chunks before.
        (format!("{finish}}}\n\n{extra}data: [DONE]\n\n"), format!("{finish}}}\n\ndata: [DONE]\n\n")),
        // Without an end of its own.
        (format!("{finish},\"usage\":null}}\n\n{extra}"), format!("{finish}}}\n\n")),
        // With the last chunk, as Mistral and DeepSeek have it unasked.
        (format!("{finish},{usage}}}\n\ndata: [DONE]\n\n"), format!("{finish},{usage}}}\n\ndata: [DONE]\n\n")),
        // In every chunk.
        (format!("{finish},{usage}}}\n\n{extra}data: [DONE]\n\n"), format!("{finish},{usage}}}\n\ndata: [DONE]\n\n")),
    ] {
        let reply = sent.clone();
        let upstream = answering(move |_| in_chunks(&[reply.as_bytes()])).await;
        let proxy = proxy().to(upstream.url()).run();
        assert_eq!(proxy.ask(&chat(true)).await.text(), given, "{sent}");
        assert_eq!(tokens(&proxy).await, (11, 7), "{sent}");
    }
}

#[tokio::test]
async fn a_stream_of_stated_length_goes_on_without_it() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\nX-Last: 1\r\n\r\n", ASKED.len());
    let upstream = answering(move |_| [head.as_bytes(), ASKED.as_bytes()].concat()).await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    for _ in 0..3 {
        let reply = agent.ask(&chat(true)).await;
        assert_eq!(
            (reply.text(), reply.end, reply.header("content-length"), reply.header("x-last")),
            (PLAIN.to_owned(), End::Whole, None, Some("1"))
        );
    }
    assert_eq!(tokens(&proxy).await, (33, 21));
}

#[tokio::test]
async fn a_whole_answer_to_a_streamed_request_keeps_its_length() {
    let body = "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    let upstream = answering(move |_| [head.as_bytes(), body.as_bytes()].concat()).await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&chat(true)).await;
    assert_eq!((reply.text(), reply.header("content-length")), (body.to_owned(), Some(body.len().to_string().as_str())));
    assert_eq!(tokens(&proxy).await, (11, 7));
}

#[tokio::test]
async fn what_came_of_an_event_before_a_cut_goes_on_and_no_end_behind_it() {
    let first = ASKED.find("\n\n").unwrap() + 2;
    for cut in [first, first + 1, first + 30] {
        let upstream = upstream(move |mut wire: Wire| async move {
            wire.request().await;
            wire.write([sse_head().as_bytes(), &chunk(&ASKED.as_bytes()[..cut])].concat()).await;
            wire.fin().await;
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&chat(true)).await;
        assert!(!reply.looks_complete(), "{cut}");
        let plain = &PLAIN[..PLAIN.find("\n\n").unwrap() + 2];
        if cut == first {
            assert!(reply.text().starts_with(plain) && reply.last_event()["error"]["code"] == "stream_cut", "{}", reply.text());
        } else {
            assert_eq!(reply.text(), format!("{plain}{}", &ASKED[first..cut]));
        }
        proxy.settle_as("cut").await;
    }
}

#[tokio::test]
async fn fields_behind_the_body_come_after_all_of_it() {
    let extra = ASKED.find("data: [DONE]").unwrap();
    for until in [extra, ASKED.len(), ASKED.len() - 2] {
        let upstream = answering(move |_| {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
            [head.as_bytes(), &chunk(&ASKED.as_bytes()[..until]), b"0\r\nX-Sum: 1\r\n\r\n"].concat()
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let agent = streams(&proxy).await;
        let mut asked = agent.send(&chat(true).header("TE", "trailers")).await;
        let mut reply = asked.head().await;
        asked.rest(&mut reply).await;
        assert_eq!((reply.text(), reply.end), (PLAIN[..PLAIN.len() - (ASKED.len() - until)].to_owned(), End::Whole));
        assert_eq!(asked.trailers.unwrap()["x-sum"], "1");
        assert_eq!(tokens(&proxy).await, (11, 7));
    }
}

#[tokio::test]
async fn each_event_still_arrives_before_the_next_is_sent() {
    let (ask, asked) = tokio::sync::mpsc::channel::<()>(1);
    let asked = std::sync::Arc::new(tokio::sync::Mutex::new(asked));
    let event = |end: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"x\"}}}}]{end}}}\n\n");
    let (with_null, plain) = (event(",\"usage\":null"), event(""));
    let upstream = upstream(move |mut wire: Wire| {
        let (asked, event) = (std::sync::Arc::clone(&asked), with_null.clone());
        async move {
            wire.request().await;
            wire.write(sse_head()).await;
            for _ in 0..20 {
                wire.write(chunk(&event)).await;
                asked.lock().await.recv().await;
            }
            wire.write([chunk(ASKED), chunk("")].concat()).await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    agent.send(&chat(true)).await;
    let mut reply = agent.head().await;
    for _ in 0..20 {
        assert_eq!(agent.take(chunk(&plain).len()).await, chunk(&plain));
        ask.send(()).await.unwrap();
    }
    agent.rest(&mut reply).await;
    assert_eq!(reply.end, End::Whole);
    proxy.settle_as("ok").await;
}
