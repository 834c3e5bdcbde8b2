use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ANTHROPIC, Client, DEADLINE, Ended, Got, OPENAI, answer_to, model, question};
use crate::demo::model::{Model, ModelOptions, Pace, pattern};

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])
}

/// The text of a streamed completion.
fn words(got: &Got) -> String {
    got.chunks().iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_whole_completion_and_a_streamed_one_say_the_same() {
    let (whole, _) = answer_to("", OPENAI, &question(false)).await;
    let (streamed, _) = answer_to("", OPENAI, &question(true)).await;
    let body = whole.json();
    assert_eq!((whole.status(), body["object"].as_str(), whole.body().1), (200, Some("chat.completion"), true));
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(streamed.header("content-type").unwrap(), "text/event-stream; charset=utf-8");
    assert_eq!(words(&streamed), body["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(streamed.events().last().unwrap().1, "[DONE]");
    assert!(streamed.body().1, "the last chunk is there");
    assert!(whole.header("x-request-id").is_some() && whole.header("openai-processing-ms").is_some());
}

#[tokio::test]
async fn usage_in_a_stream_comes_only_when_asked_for_in_a_chunk_without_choices() {
    let (unasked, _) = answer_to("", OPENAI, &question(true)).await;
    assert!(unasked.chunks().iter().all(|chunk| chunk.get("usage").is_none() && chunk["choices"].as_array().unwrap().len() == 1));
    let mut asking = question(true);
    asking["stream_options"] = json!({"include_usage": true});
    let (asked, _) = answer_to("", OPENAI, &asking).await;
    let chunks = asked.chunks();
    let (last, others) = chunks.split_last().unwrap();
    assert!(others.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert_eq!(last["choices"], json!([]));
    let usage = &last["usage"];
    assert_eq!(usage["total_tokens"].as_u64().unwrap(), usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap());
    assert!(usage["completion_tokens_details"]["reasoning_tokens"].is_u64() && usage["prompt_tokens_details"]["cached_tokens"].is_u64());
    assert_eq!(words(&asked), words(&unasked));
}

#[tokio::test]
async fn a_declared_tool_is_called_with_arguments_that_fit_and_its_result_is_answered() {
    let mut asking = question(false);
    asking["tools"] = tools();
    let (got, _) = answer_to("", OPENAI, &asking).await;
    let message = got.json()["choices"][0]["message"].clone();
    let call = message["tool_calls"][0].clone();
    assert_eq!((got.json()["choices"][0]["finish_reason"].as_str(), call["function"]["name"].as_str()), (Some("tool_calls"), Some("get_weather")));
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert!(arguments["city"].is_string(), "{arguments}");
    let results =
        message["tool_calls"].as_array().unwrap().iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny"}));
    asking["messages"] =
        [json!({"role": "system", "content": "Reply TERMINATE when done."}), json!({"role": "user", "content": "hi"}), message.clone()]
            .into_iter()
            .chain(results)
            .collect();
    let (end, _) = answer_to("", OPENAI, &asking).await;
    let text = end.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert!(text.ends_with("TERMINATE"), "{text}");
}

#[tokio::test]
async fn parallel_tool_calls_come_as_deltas_that_join_to_the_scripted_arguments() {
    let script = "- tools: [{name: a, arguments: {city: Rome, note: a long enough text}}, {name: b, arguments: '{broken', id: call_mine}]";
    let (got, _) = answer_to(script, OPENAI, &question(true)).await;
    let mut calls: BTreeMap<u64, (String, String, String)> = BTreeMap::new();
    let chunks = got.chunks();
    for delta in chunks.iter().flat_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten()) {
        let call = calls.entry(delta["index"].as_u64().unwrap()).or_default();
        call.0.push_str(delta["id"].as_str().unwrap_or_default());
        call.1.push_str(delta["function"]["name"].as_str().unwrap_or_default());
        call.2.push_str(delta["function"]["arguments"].as_str().unwrap_or_default());
    }
    assert_eq!((calls[&0].1.as_str(), calls[&0].2.as_str()), ("a", r#"{"city":"Rome","note":"a long enough text"}"#));
    assert_eq!(calls[&1], ("call_mine".to_owned(), "b".to_owned(), "{broken".to_owned()));
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn an_anthropic_stream_has_its_events_in_order_and_says_what_the_whole_message_says() {
    let (whole, _) = answer_to("", ANTHROPIC, &question(false)).await;
    let (streamed, _) = answer_to("", ANTHROPIC, &question(true)).await;
    let message = whole.json();
    let mut names: Vec<String> = streamed.events().into_iter().map(|(name, _)| name.unwrap()).collect();
    names.dedup();
    let expected = ["message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop", "message_delta", "message_stop"];
    assert_eq!(names, expected);
    let chunks = streamed.chunks();
    let text: String = chunks.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, message["content"][0]["text"].as_str().unwrap());
    let delta = chunks.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!((&delta["usage"]["output_tokens"], &delta["delta"]["stop_reason"]), (&message["usage"]["output_tokens"], &json!("end_turn")));
    assert_eq!(chunks[0]["message"]["usage"]["input_tokens"], message["usage"]["input_tokens"]);
}

#[tokio::test]
async fn an_anthropic_stream_thinks_first_and_calls_tools_in_pieces() {
    let script = "- {thinking: Let me see., text: Looking., tools: [{name: f, arguments: {city: Rome}}]}";
    let (got, _) = answer_to(script, ANTHROPIC, &question(true)).await;
    let chunks = got.chunks();
    let kinds: Vec<&str> = chunks.iter().filter_map(|event| event["content_block"]["type"].as_str()).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use"]);
    let input: String = chunks.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(input, r#"{"city":"Rome"}"#);
    assert!(chunks.iter().any(|event| event["delta"]["type"] == "signature_delta"));
    assert!(chunks.iter().any(|event| event["delta"]["stop_reason"] == "tool_use"));
}

#[tokio::test]
async fn a_selection_prompt_is_answered_with_one_of_its_names() {
    let prompt = "Read the following conversation. Then select the next role from ['planner', 'writer', 'critic'] to play. Only return the role.";
    let asking = json!({"model": "gpt-4o", "tools": tools(), "messages": [{"role": "system", "content": prompt}]});
    let (got, _) = answer_to("", OPENAI, &asking).await;
    let name = got.json()["choices"][0]["message"]["content"].clone();
    assert!(["planner", "writer", "critic"].contains(&name.as_str().unwrap()), "{name}");
}

#[tokio::test]
async fn an_answer_that_must_fit_a_schema_does() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let mut asking = question(false);
    asking["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let (got, _) = answer_to("", OPENAI, &asking).await;
    let answer: Value = serde_json::from_str(got.json()["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert!(answer["n"].is_i64(), "{answer}");
}

#[tokio::test]
async fn an_answer_is_no_longer_than_was_asked_for() {
    let mut asking = question(false);
    asking["max_tokens"] = json!(3);
    let (openai, _) = answer_to("", OPENAI, &asking).await;
    assert_eq!((&openai.json()["choices"][0]["finish_reason"], &openai.json()["usage"]["completion_tokens"]), (&json!("length"), &json!(3)));
    let (anthropic, _) = answer_to("", ANTHROPIC, &asking).await;
    assert_eq!(anthropic.json()["stop_reason"], "max_tokens");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answers_and_another_gives_others() {
    let said = async |seed: u64| {
        let model = Model::start(ModelOptions { seed, ..ModelOptions::default() }).await.unwrap();
        let mut client = Client::to(model.address()).await;
        let mut said = Vec::new();
        for turn in 0..3 {
            let asking = json!({"model": "m", "messages": [{"role": "user", "content": format!("turn {turn}")}]});
            client.post(OPENAI, &asking.to_string()).await;
            said.push(client.got().await.json());
        }
        said
    };
    let first = said(7).await;
    assert_eq!(first, said(7).await);
    assert_ne!(first, said(8).await);
    assert_ne!(first[0]["id"], first[1]["id"]);
}

#[tokio::test]
async fn no_two_answers_have_the_same_id() {
    let model = model("").await;
    let mut client = Client::to(model.address()).await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        client.post(OPENAI, &question(false).to_string()).await;
        ids.insert(client.got().await.json()["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_model_takes_its_time_for_the_first_token_and_for_those_after_it() {
    let pace = Pace { first_token: std::time::Duration::from_millis(40), tokens_per_second: Some(500.0) };
    let model = Model::start(ModelOptions { pace, ..ModelOptions::default() }).await.unwrap();
    let mut client = Client::to(model.address()).await;
    client.post(OPENAI, &question(true).to_string()).await;
    let got = client.got().await;
    let seen = model.wait_for_ends(1, DEADLINE).await.unwrap().remove(0);
    let gaps = u32::try_from(got.chunks().len() - 3).unwrap();
    let least = pace.first_token.mul_f64(0.7) + std::time::Duration::from_millis(1) * gaps;
    assert!(seen.ended.unwrap() - seen.arrived >= least, "{:?} < {least:?}", seen.ended.unwrap() - seen.arrived);
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_in_the_dialects_shape() {
    for (path, body) in
        [(OPENAI, json!({"model": "m"})), (OPENAI, json!({"messages": []})), (OPENAI, json!("text")), (ANTHROPIC, json!({"model": "m"}))]
    {
        let (got, _) = answer_to("", path, &body).await;
        let error = got.json()["error"].clone();
        assert_eq!((got.status(), error["type"].as_str()), (400, Some("invalid_request_error")), "{path} {body}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        if path == OPENAI {
            assert!(error.get("param").is_some() && error.get("code").is_some(), "{error}");
        }
    }
    let (unknown, _) = answer_to("", "/v1/nowhere", &json!({})).await;
    assert_eq!((unknown.status(), unknown.json()["error"]["message"].as_str()), (404, Some("Invalid URL (POST /v1/nowhere)")));
}

#[tokio::test]
async fn plain_paths_carry_bytes_both_ways() {
    let model = model("").await;
    let mut client = Client::to(model.address()).await;
    client
        .send("POST /echo HTTP/1.1\r\nContent-Type: text/x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n3\r\n wo\r\n0\r\nx: y\r\n\r\n")
        .await;
    let echo = client.got().await;
    assert_eq!((echo.body().0.as_slice(), echo.header("content-type").as_deref()), (&b"hello wo"[..], Some("text/x")));
    client.post("/sink", "abc").await;
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(client.got().await.json(), json!({"bytes": 3, "sha256": sha256}));
    for (path, framing) in [("/bytes/100000", "content-length"), ("/bytes/100000?chunked=1", "transfer-encoding")] {
        client.send(&format!("GET {path} HTTP/1.1\r\n\r\n")).await;
        let got = client.got().await;
        assert!(got.header(framing).is_some(), "{}", got.head());
        assert!(got.body() == (pattern(0, 100_000).to_vec(), true), "{path}");
    }
    client.send("HEAD /bytes/100000 HTTP/1.1\r\n\r\n").await;
    let head = client.got().await;
    assert_eq!((head.header("content-length").as_deref(), head.raw_body().len(), head.end), (Some("100000"), 0, Ended::Silent));
}
