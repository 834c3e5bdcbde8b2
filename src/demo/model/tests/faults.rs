use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{ANTHROPIC, Client, DEADLINE, Ended, OPENAI, answer_to, model, question};
use crate::demo::model::{End, Hangup};

#[tokio::test]
async fn a_status_comes_with_its_headers_as_spelt_and_the_dialects_error() {
    let script = "- {status: 429, headers: [\"Retry-After-MS: 20\", \"X-a: 1\", \"x-A: 2\"], reason: Slow down}";
    let (openai, _) = answer_to(script, OPENAI, &question(true)).await;
    assert!(openai.text().starts_with("HTTP/1.1 429 Slow down\r\n"), "{}", openai.head());
    assert!(openai.head().contains("\r\nRetry-After-MS: 20\r\nX-a: 1\r\nx-A: 2"), "{}", openai.head());
    let error = &openai.json()["error"];
    assert_eq!((error["code"].as_str(), error["param"].is_null()), (Some("rate_limit_exceeded"), true));
    let (anthropic, _) = answer_to("- status: 529", ANTHROPIC, &question(false)).await;
    assert_eq!((anthropic.status(), anthropic.json()["type"].as_str()), (529, Some("error")));
    assert_eq!(anthropic.json()["error"]["type"], "overloaded_error");
    let (own, _) = answer_to("- {status: 503, body: <html>}", OPENAI, &question(false)).await;
    assert_eq!((own.status(), own.body().0.as_slice()), (503, &b"<html>"[..]));
}

#[tokio::test]
async fn a_connection_can_be_ended_before_anything_is_read() {
    for (how, expected) in [("rst", Ended::Rst), ("fin", Ended::Fin)] {
        let model = model(&format!("- cut: {{at: connect, how: {how}}}")).await;
        let mut client = Client::to(model.address()).await;
        assert_eq!(client.got().await.end, expected);
        assert!(model.requests().is_empty());
        let mut next = Client::to(model.address()).await;
        next.post(OPENAI, &question(false).to_string()).await;
        assert_eq!(next.got().await.status(), 200);
    }
}

#[tokio::test]
async fn a_connection_can_be_accepted_and_never_read() {
    let model = model("- stall: {at: connect, for: 50ms}").await;
    let mut client = Client::to(model.address()).await;
    client.post(OPENAI, &question(false).to_string()).await;
    let got = client.got().await;
    assert!(got.bytes.is_empty() && got.end != Ended::Silent, "{:?}", got.end);
    assert!(model.requests().is_empty());
}

#[tokio::test]
async fn a_request_can_go_without_an_answer() {
    for (how, expected) in [("rst", Ended::Rst), ("fin", Ended::Fin)] {
        let (got, seen) = answer_to(&format!("- cut: {{at: request, how: {how}}}"), OPENAI, &question(false)).await;
        assert_eq!((got.bytes.len(), got.end, seen[0].end), (0, expected, End::Cut));
        assert_eq!(seen[0].json(), question(false));
    }
}

#[tokio::test]
async fn a_head_can_break_off_in_its_middle() {
    let (got, _) = answer_to("- cut: {at: head}", OPENAI, &question(true)).await;
    assert!(got.text().starts_with("HTTP/1.1 200 OK\r\n") && !got.text().contains("\r\n\r\n"), "{}", got.text());
    assert_eq!(got.end, Ended::Fin);
}

#[tokio::test]
async fn a_stream_can_break_off_after_so_many_events_in_each_way() {
    for (how, expected, complete) in [("rst", Ended::Rst, false), ("fin", Ended::Fin, false), ("clean", Ended::Silent, true)] {
        let (got, seen) = answer_to(&format!("- cut: {{at: mid, after: 3, how: {how}}}"), OPENAI, &question(true)).await;
        assert_eq!((got.events().len(), got.body().1, seen[0].end), (3, complete, End::Cut), "{how}");
        assert_eq!(got.end, expected, "{how}");
    }
}

#[tokio::test]
async fn a_body_can_break_off_at_any_byte() {
    let (streamed, _) = answer_to("- cut: {at: mid, bytes: 400}", OPENAI, &question(true)).await;
    assert_eq!((streamed.body().0.len(), streamed.body().1, streamed.end), (400, false, Ended::Fin));
    let (whole, _) = answer_to("- cut: {at: mid, bytes: 10}", OPENAI, &question(false)).await;
    assert_eq!((whole.body().0.len(), whole.body().1), (10, false));
    let (half, _) = answer_to("- cut: {at: mid}", OPENAI, &question(false)).await;
    let length: usize = half.header("content-length").unwrap().parse().unwrap();
    assert_eq!(half.body().0.len(), length / 2);
    let (pattern, _) = answer_to("- cut: {at: mid, bytes: 70000, how: rst}", "/bytes/100000", &json!({})).await;
    assert_eq!((pattern.body().0.len(), pattern.end), (70_000, Ended::Rst));
}

#[tokio::test]
async fn a_cut_after_all_events_leaves_out_the_last_chunk_alone() {
    let (got, _) = answer_to("- cut: {at: mid, after: 9999}", OPENAI, &question(true)).await;
    assert_eq!((got.events().last().unwrap().1.as_str(), got.body().1, got.end), ("[DONE]", false, Ended::Fin));
}

#[tokio::test]
async fn a_stall_falls_silent_where_it_is_told_to() {
    for (at, events) in [("head", None), ("first_token", Some(1)), ("mid", Some(2))] {
        let (got, _) = answer_to(&format!("- stall: {{at: {at}}}"), OPENAI, &question(true)).await;
        assert_eq!(got.end, Ended::Silent);
        match events {
            None => assert!(got.bytes.is_empty(), "{at}"),
            Some(events) => assert_eq!(got.events().len(), events, "{at}"),
        }
    }
    let (anthropic, _) = answer_to("- stall: {at: first_token}", ANTHROPIC, &question(true)).await;
    assert!(anthropic.chunks().iter().all(|event| event["type"] != "content_block_delta") && !anthropic.chunks().is_empty());
    let (whole, _) = answer_to("- stall: {at: mid}", OPENAI, &question(false)).await;
    let length: usize = whole.header("content-length").unwrap().parse().unwrap();
    assert_eq!((whole.body().0.len(), whole.end), (length / 2, Ended::Silent));
}

#[tokio::test]
async fn after_a_stall_the_answer_goes_on_and_comments_bridge_it() {
    let script = "- stall: {at: first_token, for: 100ms, heartbeat: 20ms}";
    let started = Instant::now();
    let (got, seen) = answer_to(script, OPENAI, &question(true)).await;
    assert!(started.elapsed() >= Duration::from_millis(100));
    let body = String::from_utf8(got.body().0).unwrap();
    assert!(body.matches(": keep-alive\n\n").count() >= 2, "{body}");
    assert_eq!((got.events().last().unwrap().1.as_str(), got.body().1, seen[0].end), ("[DONE]", true, End::Completed));
}

#[tokio::test]
async fn an_error_event_ends_a_stream_in_the_dialects_shape() {
    let (first, _) = answer_to("- error_event: {type: overloaded, code: busy, message: Later}", OPENAI, &question(true)).await;
    let expected = json!({"error": {"message": "Later", "type": "overloaded", "param": null, "code": "busy"}});
    assert_eq!((first.chunks(), first.body().1), (vec![expected], true));
    let (later, _) = answer_to("- error_event: {after: 4}", ANTHROPIC, &question(true)).await;
    let events = later.events();
    assert_eq!((events.len(), events[4].0.as_deref()), (5, Some("error")));
    assert_eq!(later.chunks()[4]["error"]["type"], "overloaded_error");
}

#[tokio::test]
async fn garbage_is_sent_byte_for_byte_instead_of_an_answer() {
    let (got, _) = answer_to("- garbage: \"\\x16\\x03\\xffno http\\r\\n\"", OPENAI, &question(false)).await;
    assert_eq!((got.bytes.as_slice(), got.end), (&b"\x16\x03\xffno http\r\n"[..], Ended::Fin));
}

#[tokio::test]
async fn a_bad_chunk_comes_after_good_ones() {
    let (got, _) = answer_to("- bad_chunk: {line: \"0x10\", after: 1}", OPENAI, &question(true)).await;
    let raw = String::from_utf8_lossy(got.raw_body()).into_owned();
    assert!(raw.contains("\r\n0x10\r\ndata: "), "{raw}");
    assert_eq!((got.events().len(), got.end), (1, Ended::Fin));
}

#[tokio::test]
async fn bytes_can_stand_before_the_status_line() {
    let (got, _) = answer_to("- before: \"HTTP/1.1 103 Early Hints\\r\\n\\r\\n\"", OPENAI, &question(false)).await;
    assert!(got.text().starts_with("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"), "{}", got.text());
}

#[tokio::test]
async fn the_end_of_a_body_can_be_told_in_each_way() {
    let (length, _) = answer_to("- chunked: false", OPENAI, &question(true)).await;
    assert_eq!((length.header("content-length").is_some(), length.body().1), (true, true));
    let (chunks, _) = answer_to("- chunked: true", OPENAI, &question(false)).await;
    assert_eq!((chunks.header("transfer-encoding").as_deref(), chunks.body().1), (Some("chunked"), true));
    let (close, _) = answer_to("- chunked: close", OPENAI, &question(true)).await;
    assert!(close.text().starts_with("HTTP/1.0 200 OK\r\n"), "{}", close.head());
    assert_eq!((close.end, close.events().last().unwrap().1.as_str()), (Ended::Fin, "[DONE]"));
}

#[tokio::test]
async fn a_close_that_was_not_announced_follows_a_good_answer() {
    let (got, seen) = answer_to("- close_after: true", OPENAI, &question(false)).await;
    assert_eq!((got.status(), got.body().1, got.header("connection"), got.end), (200, true, None, Ended::Fin));
    assert_eq!(seen[0].end, End::Completed);
}

#[tokio::test]
async fn an_answer_can_come_before_the_body() {
    let model = model("- {early_response: true, status: 413}").await;
    let mut client = Client::to(model.address()).await;
    client.send(&format!("POST {OPENAI} HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nthe beginning")).await;
    let got = client.got().await;
    assert_eq!((got.status(), got.body().1, got.end), (413, true, Ended::Fin));
    assert!(!model.requests()[0].body_complete);
}

#[tokio::test]
async fn usage_reasons_and_terminators_can_be_left_out_or_changed() {
    let mut asking = question(true);
    asking["stream_options"] = json!({"include_usage": true});
    let (none, _) = answer_to("- {usage: none, finish_reason: none, no_done: true}", OPENAI, &asking).await;
    assert!(none.chunks().iter().all(|chunk| chunk["usage"].is_null() && chunk["choices"][0]["finish_reason"].is_null()));
    assert!(none.body().1 && none.events().iter().all(|(_, data)| data != "[DONE]"));
    let (changed, _) = answer_to("- {usage: {prompt_tokens: 7}, finish_reason: content_filter, text: Hi.}", OPENAI, &question(false)).await;
    let body = changed.json();
    assert_eq!((&body["usage"]["prompt_tokens"], &body["choices"][0]["finish_reason"]), (&json!(7), &json!("content_filter")));
    assert_eq!(body["choices"][0]["message"]["content"], "Hi.");
}

#[tokio::test]
async fn a_big_answer_is_as_big_as_it_was_ordered() {
    let (streamed, _) = answer_to("- big: {bytes: 100000, events: 50}", OPENAI, &question(true)).await;
    let text: String = streamed.chunks().iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect();
    assert_eq!((text.len(), streamed.chunks().len()), (100_000, 52));
    let (whole, _) = answer_to("- big: {bytes: 100000}", ANTHROPIC, &question(false)).await;
    assert_eq!(whole.json()["content"][0]["text"].as_str().unwrap().len(), 100_000);
}

#[tokio::test]
async fn every_byte_can_come_alone() {
    let (got, seen) = answer_to("- {slow: {byte_by_byte: true}, text: Hi.}", OPENAI, &question(false)).await;
    assert_eq!((got.json()["choices"][0]["message"]["content"].as_str(), got.body().1), (Some("Hi."), true));
    let lasted = seen[0].ended.unwrap() - seen[0].arrived;
    assert!(lasted >= Duration::from_millis(1) * u32::try_from(got.bytes.len()).unwrap(), "{lasted:?}");
}

#[tokio::test]
async fn a_hang_up_is_seen_at_once_while_the_model_is_silent() {
    let model = model("- stall: {at: head}\n- stall: {at: mid}").await;
    for (count, reset) in [(1, false), (2, true)] {
        let mut client = Client::to(model.address()).await;
        client.post(OPENAI, &question(true).to_string()).await;
        model.wait_for(count, DEADLINE).await.unwrap();
        if reset {
            client.stream.set_zero_linger().unwrap();
        }
        drop(client);
        let seen = model.wait_for_ends(count, Duration::from_millis(500)).await.unwrap();
        let hangup = if reset { Hangup::Rst } else { Hangup::Fin };
        assert!(matches!(seen[count - 1].end, End::Gone(how, _) if how == hangup), "{:?}", seen[count - 1].end);
    }
}
