use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Got, answer_to, model, question};
use crate::demo::model::tests::Client;

const RESPONSES: &str = "/v1/responses";
const COMPLETIONS: &str = "/v1/completions";
const OLLAMA: &str = "/api/chat";
const GENERATE: &str = "/v1beta/models/gemini-2.5-flash:generateContent";
const STREAM: &str = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";

const CALLS: &str = "- {thinking: Let me see., text: Looking., tools: [{name: f, arguments: {city: Rome}, id: call_1}]}";

fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
}

fn input(stream: bool) -> Value {
    json!({"model": "gpt-4o", "stream": stream, "input": "hi"})
}

fn lines(got: &Got) -> Vec<Value> {
    String::from_utf8(got.body().0).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn joined<'a>(parts: impl IntoIterator<Item = &'a Value>) -> String {
    parts.into_iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn an_ollama_chat_streams_lines_that_say_what_the_whole_says_with_the_counts_in_the_last() {
    let (whole, _) = answer_to("", OLLAMA, &question(false)).await;
    let mut asking = question(true);
    asking.as_object_mut().unwrap().remove("stream");
    let (streamed, _) = answer_to("", OLLAMA, &asking).await;
    let (whole, lines) = (whole.json(), lines(&streamed));
    assert_eq!(streamed.header("content-type").as_deref(), Some("application/x-ndjson"));
    let (last, others) = lines.split_last().unwrap();
    assert!(others.len() > 2 && others.iter().all(|line| line["done"] == false && line.get("eval_count").is_none()));
    assert_eq!(joined(others.iter().map(|line| &line["message"]["content"])), whole["message"]["content"].as_str().unwrap());
    for key in ["done", "done_reason", "prompt_eval_count", "eval_count", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"]
    {
        assert!(!last[key].is_null() && last[key] == whole[key], "{key}: {last}");
    }
}

#[tokio::test]
async fn ollama_calls_tools_with_arguments_as_a_tree_thinks_and_generates() {
    let (chat, _) = answer_to(CALLS, OLLAMA, &question(false)).await;
    let message = chat.json()["message"].clone();
    assert_eq!((&message["thinking"], &message["content"]), (&json!("Let me see."), &json!("Looking.")));
    assert_eq!(message["tool_calls"], json!([{"function": {"name": "f", "arguments": {"city": "Rome"}}}]));
    let (generated, _) = answer_to("- text: Hello you.", "/api/generate", &json!({"model": "m", "prompt": "hi"})).await;
    assert_eq!(joined(lines(&generated).iter().map(|line| &line["response"])), "Hello you.");
    let (loaded, _) = answer_to("", "/api/generate", &json!({"model": "m"})).await;
    assert_eq!(loaded.json()["done_reason"], "load");
}

#[tokio::test]
async fn gemini_streams_as_events_and_as_one_array_what_it_says_whole() {
    let (whole, _) = answer_to("", GENERATE, &contents()).await;
    let (events, _) = answer_to("", &format!("{STREAM}?alt=sse"), &contents()).await;
    let (array, _) = answer_to("", STREAM, &contents()).await;
    let said = |reply: &Value| reply["candidates"][0]["content"]["parts"][0]["text"].clone();
    let body = String::from_utf8(events.body().0).unwrap();
    let events: Vec<Value> =
        body.split_terminator("\r\n\r\n").map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap()).collect();
    let elements = array.json().as_array().unwrap().clone();
    assert!(array.header("content-type").unwrap().starts_with("application/json") && elements.len() > 2);
    for replies in [&events, &elements] {
        assert_eq!(joined(&replies.iter().map(said).collect::<Vec<_>>()), said(&whole.json()).as_str().unwrap());
        let (last, others) = replies.split_last().unwrap();
        assert!(
            others.iter().all(|reply| reply["candidates"][0].get("finishReason").is_none() && reply["usageMetadata"]["promptTokenCount"].is_u64())
        );
        assert_eq!((&last["candidates"][0]["finishReason"], &last["usageMetadata"]), (&json!("STOP"), &whole.json()["usageMetadata"]));
    }
}

#[tokio::test]
async fn gemini_calls_functions_counts_tokens_and_keeps_thoughts_apart() {
    let (got, _) = answer_to(CALLS, GENERATE, &contents()).await;
    let parts = got.json()["candidates"][0]["content"]["parts"].clone();
    assert_eq!(parts[0], json!({"text": "Let me see.", "thought": true}));
    assert_eq!(parts[2]["functionCall"], json!({"name": "f", "args": {"city": "Rome"}}));
    let usage = &got.json()["usageMetadata"];
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(count("totalTokenCount"), count("promptTokenCount") + count("candidatesTokenCount") + count("thoughtsTokenCount"));
    let (counted, _) = answer_to("", "/v1beta/models/m:countTokens", &contents()).await;
    assert!(counted.json()["totalTokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_response_streams_each_item_from_added_to_done_and_completes_with_what_the_whole_is() {
    let (whole, _) = answer_to(CALLS, RESPONSES, &input(false)).await;
    let (streamed, _) = answer_to(CALLS, RESPONSES, &input(true)).await;
    let events = streamed.chunks();
    let mut names: Vec<String> = streamed.events().into_iter().map(|(name, _)| name.unwrap().replace("response.", "")).collect();
    assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
    names.dedup();
    let expected = "created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.done \
        reasoning_summary_part.done output_item.done output_item.added content_part.added output_text.delta output_text.done content_part.done \
        output_item.done output_item.added function_call_arguments.delta function_call_arguments.done output_item.done completed";
    assert_eq!(names.join(" "), expected.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(events.last().unwrap()["response"], whole.json());
    let arguments = events.iter().filter(|event| event["type"] == "response.function_call_arguments.delta").map(|event| &event["delta"]);
    assert_eq!(joined(arguments), r#"{"city":"Rome"}"#);
    let usage = &whole.json()["usage"];
    assert!(usage["output_tokens_details"]["reasoning_tokens"].as_u64() > Some(0) && usage["input_tokens_details"]["cached_tokens"].is_u64());
}

#[tokio::test]
async fn a_response_that_is_too_long_is_incomplete_and_an_unanswered_call_is_refused() {
    let mut asking = input(true);
    asking["max_output_tokens"] = json!(2);
    let (cut, _) = answer_to("", RESPONSES, &asking).await;
    let last = cut.chunks().pop().unwrap();
    assert_eq!((&last["type"], &last["response"]["incomplete_details"]["reason"]), (&json!("response.incomplete"), &json!("max_output_tokens")));
    let call = json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"});
    let (refused, _) = answer_to("", RESPONSES, &json!({"model": "m", "input": [{"role": "user", "content": "hi"}, call]})).await;
    assert_eq!((refused.status(), &refused.json()["error"]["message"]), (400, &json!("No tool output found for function call call_1.")));
}

#[tokio::test]
async fn completions_say_the_same_whole_and_streamed() {
    let asking =
        |stream: bool| json!({"model": "m", "prompt": "Once", "max_tokens": 200, "stream": stream, "stream_options": {"include_usage": true}});
    let (whole, _) = answer_to("", COMPLETIONS, &asking(false)).await;
    let (streamed, _) = answer_to("", COMPLETIONS, &asking(true)).await;
    let chunks = streamed.chunks();
    assert_eq!(joined(chunks.iter().map(|chunk| &chunk["choices"][0]["text"])), whole.json()["choices"][0]["text"].as_str().unwrap());
    assert_eq!((&whole.json()["object"], &chunks.last().unwrap()["usage"]), (&json!("text_completion"), &whole.json()["usage"]));
}

#[tokio::test]
async fn an_embedding_is_a_unit_vector_of_the_text_in_either_encoding() {
    let asking = |format: &str| json!({"model": "m", "input": ["one", "two", "one"], "dimensions": 4, "encoding_format": format});
    let (floats, _) = answer_to("", "/v1/embeddings", &asking("float")).await;
    let data = floats.json()["data"].clone();
    assert_eq!((&data[0]["embedding"], data[1]["embedding"] == data[0]["embedding"]), (&data[2]["embedding"], false));
    let length: f64 = data[0]["embedding"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-3, "{length}");
    let (text, _) = answer_to("", "/v1/embeddings", &asking("base64")).await;
    let bytes = BASE64_STANDARD.decode(text.json()["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let first = f32::from_le_bytes(bytes[..4].try_into().unwrap());
    assert_eq!((bytes.len(), Some(f64::from(first))), (16, data[0]["embedding"][0].as_f64()));
    let (ollama, _) = answer_to("", "/api/embed", &json!({"model": "m", "input": "one"})).await;
    assert_eq!(ollama.json()["embeddings"][0].as_array().unwrap().len(), 768);
}

#[tokio::test]
async fn every_provider_lists_its_models_in_its_own_shape() {
    let model = model("").await;
    let mut client = Client::to(model.address()).await;
    for (request, pointer, first) in [
        ("GET /v1/models HTTP/1.1\r\n\r\n", "/data/0/id", "gpt-4o"),
        ("GET /v1/models HTTP/1.1\r\nanthropic-version: 2023-06-01\r\n\r\n", "/data/0/id", "claude-sonnet-4-5"),
        ("GET /v1beta/models HTTP/1.1\r\n\r\n", "/models/0/name", "models/gemini-2.5-flash"),
        ("GET /api/tags HTTP/1.1\r\n\r\n", "/models/0/name", "llama3.2:latest"),
        ("GET /v1beta/models/gemini-2.5-pro HTTP/1.1\r\n\r\n", "/name", "models/gemini-2.5-pro"),
        ("GET /v1/models/nobody HTTP/1.1\r\n\r\n", "/error/code", "model_not_found"),
    ] {
        client.send(request).await;
        let got = client.got().await.json();
        assert_eq!(got.pointer(pointer), Some(&json!(first)), "{request}: {got}");
    }
}

#[tokio::test]
async fn an_error_is_in_each_dialects_own_shape_whole_and_in_a_stream() {
    let whole = async |path: &str| answer_to("- status: 503", path, &contents()).await.0.json();
    assert_eq!(whole(GENERATE).await["error"]["status"], "UNAVAILABLE");
    assert!(whole(OLLAMA).await["error"].as_str().unwrap().starts_with("server busy"));
    assert_eq!(whole(RESPONSES).await["error"]["type"], "server_error");
    let script = "- error_event: {after: 2, message: Later}";
    let (array, _) = answer_to(script, STREAM, &contents()).await;
    assert_eq!(array.json()[2]["error"], json!({"code": 503, "message": "Later", "status": "UNAVAILABLE"}));
    let (first, _) = answer_to("- error_event: {}", STREAM, &contents()).await;
    assert_eq!(first.json().as_array().unwrap().len(), 1);
    let (ollama, _) = answer_to(script, OLLAMA, &question(true)).await;
    assert_eq!(lines(&ollama)[2], json!({"error": "Later"}));
    let (response, _) = answer_to(script, RESPONSES, &input(true)).await;
    assert_eq!((&response.events()[2].0, &response.chunks()[2]["type"]), (&Some("error".to_owned()), &json!("error")));
}
