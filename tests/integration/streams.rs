//! Promise: a stream flows as it comes, and a broken one never looks complete.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{End, Upstream, Wire, agent, chat, chunk, messages, model, proxy, sse_head, upstream};

/// A first content, with a character of two and one of four bytes.
const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\u{fc}\u{df}e \u{1f980}\"}}]}\n\n";
/// A finish reason.
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

/// How a scripted stream ends.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Fin,
    Rst,
    /// With the last chunk: clean, as far as HTTP goes.
    Clean,
}

/// Sends a head and these bytes, and ends so.
async fn sending(head: &'static str, bytes: Vec<u8>, cut: Cut) -> Upstream {
    upstream(move |mut wire: Wire| {
        let bytes = bytes.clone();
        async move {
            wire.request().await;
            wire.write([head.as_bytes(), &bytes].concat()).await;
            match cut {
                Cut::Fin => wire.fin().await,
                Cut::Rst => wire.rst(),
                Cut::Clean => {
                    wire.write("0\r\n\r\n").await;
                    wire.until_gone().await;
                }
            }
        }
    })
    .await
}

/// Whether the last event is the error event that tells OpenAI's SDKs of a cut.
fn tells_of_a_cut(reply: &crate::support::Reply) -> bool {
    reply.last_event()["error"]["code"] == "stream_cut"
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    let (ask, asked) = tokio::sync::mpsc::channel::<()>(1);
    let asked = std::sync::Arc::new(tokio::sync::Mutex::new(asked));
    let upstream = upstream(move |mut wire: Wire| {
        let asked = std::sync::Arc::clone(&asked);
        async move {
            wire.request().await;
            wire.write(sse_head()).await;
            for _ in 0..20 {
                wire.write(chunk(CONTENT)).await;
                asked.lock().await.recv().await;
            }
            wire.write([chunk(FINISH), chunk("data: [DONE]\n\n"), chunk("")].concat()).await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    agent.send(&chat(true)).await;
    let mut reply = agent.head().await;
    for _ in 0..20 {
        assert_eq!(agent.take(chunk(CONTENT).len()).await, chunk(CONTENT));
        ask.send(()).await.unwrap();
    }
    agent.rest(&mut reply).await;
    assert_eq!(reply.end, End::Whole);
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_stream_that_ends_before_its_last_chunk_ends_in_an_error_event_and_an_abort() {
    for cut in [Cut::Fin, Cut::Rst] {
        let upstream = sending(sse_head(), chunk(CONTENT), cut).await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&chat(true)).await;
        assert!(!reply.looks_complete(), "{cut:?}: {:?}", reply.end);
        assert!(reply.text().starts_with(CONTENT), "{cut:?}: what came before is all there");
        let error = &reply.last_event()["error"];
        assert_eq!((&error["code"], &error["type"], &error["param"]), (&json!("stream_cut"), &json!("timeout"), &json!(null)));
        proxy.settle_as("cut").await;
    }
}

#[tokio::test]
async fn a_broken_anthropic_stream_is_told_in_its_own_shape() {
    let model = model("rules: [{when: {path: messages}, cut: {at: mid, after: 4, how: rst}}]").await;
    let proxy = proxy().to(model.url()).run();
    let reply = proxy.ask(&messages(true)).await;
    assert!(!reply.looks_complete());
    let last = reply.events().last().cloned().unwrap();
    assert_eq!(last.name, "error");
    let data = reply.last_event();
    assert_eq!((&data["type"], data["error"]["type"].is_string()), (&json!("error"), true));
    assert_eq!(data["request_id"], *reply.header("x-pillion-exchange").unwrap());
    proxy.settle_as("cut").await;
}

#[tokio::test]
async fn a_cut_within_an_event_a_character_or_a_chunk_gives_what_came_and_no_end() {
    let event = chunk(CONTENT);
    let next = chunk(FINISH);
    let middle_of_character = CONTENT.find('\u{1f980}').unwrap() + 2;
    let within = [
        ("an event", [event.clone(), chunk("data: {\"choi")].concat(), format!("{CONTENT}data: {{\"choi").into_bytes()),
        ("a character", [event.clone(), chunk(&CONTENT.as_bytes()[..middle_of_character])].concat(), {
            [CONTENT.as_bytes(), &CONTENT.as_bytes()[..middle_of_character]].concat()
        }),
        ("a chunk's line", [event.clone(), next[..1].to_vec()].concat(), CONTENT.as_bytes().to_vec()),
        ("a chunk", [event.clone(), next[..next.len() - 9].to_vec()].concat(), [CONTENT, &FINISH[..FINISH.len() - 7]].concat().into_bytes()),
    ];
    for (what, sent, expected) in within {
        for cut in [Cut::Fin, Cut::Rst] {
            let upstream = sending(sse_head(), sent.clone(), cut).await;
            let proxy = proxy().to(upstream.url()).run();
            let reply = proxy.ask(&chat(true)).await;
            assert!(!reply.looks_complete(), "{what} {cut:?}");
            let whole = matches!(cut, Cut::Fin) || reply.body.starts_with(&expected);
            assert!(whole && expected.starts_with(&reply.body[..reply.body.len().min(expected.len())]), "{what} {cut:?}: {}", reply.text());
            proxy.settle_as("cut").await;
        }
    }
}

#[tokio::test]
async fn no_error_event_is_put_into_the_middle_of_an_event() {
    let upstream = sending(sse_head(), [chunk(CONTENT), chunk("data: {\"choi")].concat(), Cut::Fin).await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&chat(true)).await;
    assert_eq!(reply.text(), format!("{CONTENT}data: {{\"choi"));
    assert!(!reply.looks_complete());
    proxy.settle_as("cut").await;
}

#[tokio::test]
async fn a_body_shorter_than_its_length_never_looks_complete() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    for call in [chat(false), messages(false), crate::support::call("GET", "/file")] {
        for cut in [Cut::Fin, Cut::Rst] {
            let upstream = sending(head, vec![b'x'; 60], cut).await;
            let proxy = proxy().to(upstream.url()).run();
            let reply = proxy.ask(&call).await;
            assert_eq!((reply.status, reply.header("content-length")), (200, Some("100")), "{cut:?}");
            assert!(!reply.looks_complete() && reply.body.len() <= 60, "{cut:?}");
            proxy.settle_as("cut").await;
        }
    }
}

#[tokio::test]
async fn a_stream_of_a_stated_length_that_is_not_complete_never_looks_so() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n", CONTENT.len() * 2);
    let head: &'static str = Box::leak(head.into_boxed_str());
    // All of it and no finish reason; and so little less that an error event would make up the length.
    for sent in [CONTENT.len() * 2, CONTENT.len()] {
        let upstream = sending(head, CONTENT.repeat(2).as_bytes()[..sent].to_vec(), Cut::Fin).await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&chat(true)).await;
        assert!(!reply.looks_complete(), "{sent}: {:?} {}", reply.end, reply.text());
        proxy.settle_as("cut").await;
    }
}

#[tokio::test]
async fn chunk_lines_that_are_none_cut_the_stream_after_what_came() {
    let long = format!("5;{}", "x".repeat(1 << 20));
    for line in ["zz", "0x10", "-5", "10000000000000000", "", " ", long.as_str()] {
        let bytes = [chunk(CONTENT), format!("{line}\r\n").into_bytes(), CONTENT.as_bytes().to_vec()].concat();
        let upstream = sending(sse_head(), bytes, Cut::Fin).await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&chat(true)).await;
        let line = line.get(..20.min(line.len())).unwrap_or_default();
        assert!(!reply.looks_complete(), "{line:?}");
        assert!(reply.text().starts_with(CONTENT) && tells_of_a_cut(&reply), "{line:?}: {}", reply.text());
        proxy.settle_as("cut").await;
    }
}

#[tokio::test]
async fn a_clean_end_after_the_finish_reason_is_complete_without_a_terminator() {
    let bytes = [chunk(CONTENT), chunk(FINISH)].concat();
    let upstream = sending(sse_head(), bytes, Cut::Clean).await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&chat(true)).await;
    assert_eq!((reply.end, reply.text()), (End::Whole, [CONTENT, FINISH].concat()));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_clean_end_with_neither_finish_reason_nor_terminator_is_a_cut() {
    let upstream = sending(sse_head(), chunk(CONTENT), Cut::Clean).await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&chat(true)).await;
    assert!(!reply.looks_complete() && tells_of_a_cut(&reply), "{:?} {}", reply.end, reply.text());
    proxy.settle_as("cut").await;

    let model = model("steps: [{cut: {at: mid, after: 4, how: clean}}]").await;
    let proxy = crate::support::proxy().to(model.url()).run();
    let reply = proxy.ask(&messages(true)).await;
    assert!(!reply.looks_complete() && reply.events().last().is_some_and(|event| event.name == "error"));
    proxy.settle_as("cut").await;
}

#[tokio::test]
async fn without_error_events_a_broken_stream_is_aborted_as_it_is() {
    let upstream = sending(sse_head(), chunk(CONTENT), Cut::Fin).await;
    let proxy = proxy().to(upstream.url()).config("carry: {error_events: false}").run();
    let reply = proxy.ask(&chat(true)).await;
    assert!(!reply.looks_complete());
    assert_eq!(reply.text(), CONTENT);
    proxy.settle_as("cut").await;
}

#[tokio::test]
async fn a_stream_broken_under_an_agent_of_http_1_0_is_reset() {
    let upstream = sending(sse_head(), chunk(CONTENT), Cut::Fin).await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    agent.asks();
    let call = String::from_utf8(chat(true).bytes()).unwrap();
    agent.write(call.replacen("HTTP/1.1", "HTTP/1.0", 1)).await;
    let reply = agent.reply().await;
    assert_eq!((reply.status, reply.end), (200, End::Rst), "a FIN would mean complete");
    proxy.settle_as("cut").await;
}

#[tokio::test]
async fn an_idle_stream_is_ended_by_name_within_its_limit() {
    let model = model("steps: [{stall: {at: mid, after: 3}}]").await;
    let proxy = proxy().to(model.url()).config("timeouts: {idle: 300ms}").run();
    let reply = proxy.ask(&chat(true)).await;
    let waited = *reply.arrivals.last().unwrap() - reply.arrivals[0];
    assert!(!reply.looks_complete());
    assert_eq!(reply.last_event()["error"]["code"], "timeout_idle", "{}", reply.text());
    assert!(reply.text().contains("timeouts.idle"), "the clock is named");
    assert!(waited >= Duration::from_millis(250), "{waited:?}");
    let metrics = proxy.settle_as("cut").await;
    assert_eq!(metrics.count("pillion_timeouts_total", &[("clock", "idle")]), 1);
}

#[tokio::test]
async fn a_stream_with_a_hundred_pauses_within_the_limit_outlives_every_other_clock() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write(sse_head()).await;
        for _ in 0..100 {
            wire.write(chunk(CONTENT)).await;
            sleep(Duration::from_millis(60)).await;
        }
        wire.write([chunk(FINISH), chunk("")].concat()).await;
    })
    .await;
    let clocks = "timeouts: {idle: 1s, total: 2s, first_byte: 1s, first_token: 1s, upload: 1s, reader: 1s}";
    let proxy = proxy().to(upstream.url()).config(clocks).run();
    let began = Instant::now();
    let reply = proxy.ask(&chat(true)).await;
    assert!(began.elapsed() > Duration::from_secs(2), "longer than `total`");
    assert_eq!((reply.end, reply.text()), (End::Whole, CONTENT.repeat(100) + FINISH));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn an_error_event_after_the_first_token_is_passed_on() {
    let model = model("steps: [{error_event: {message: too busy, after: 3}}]").await;
    let proxy = proxy().to(model.url()).run();
    let reply = proxy.ask(&chat(true)).await;
    assert_eq!(reply.last_event()["error"]["message"], "too busy", "{}", reply.text());
    assert_eq!(model.requests().len(), 1, "never tried again once a byte has reached the agent");
    proxy.settle_as("upstream_error").await;
}

/// A stream of some events, as bytes in chunks, and the data in it.
fn some_stream(random: &mut fastrand::Rng) -> (Vec<u8>, Vec<u8>) {
    let events = random.usize(1..12);
    let mut data: Vec<u8> = (0..events).flat_map(|n| CONTENT.replace("Gr", &format!("{n}")).into_bytes()).collect();
    data.extend_from_slice([FINISH, "data: [DONE]\n\n"].concat().as_bytes());
    let mut wire = Vec::new();
    let mut rest = data.as_slice();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.usize(1..=rest.len().min(200)));
        wire.extend(chunk(piece));
        rest = after;
    }
    (wire, data)
}

/// Serves each connection's requests from what `next` gives: the bytes after the head, and whether that is all of them.
async fn streaming(seed: u64, cut: bool) -> Upstream {
    let random = std::sync::Arc::new(std::sync::Mutex::new(fastrand::Rng::with_seed(seed)));
    upstream(move |mut wire: Wire| {
        let random = std::sync::Arc::clone(&random);
        async move {
            while wire.request().await.is_some() {
                let (bytes, pieces, rst) = {
                    let mut random = random.lock().unwrap();
                    let (mut bytes, _) = some_stream(&mut random);
                    if cut {
                        bytes.truncate(random.usize(..bytes.len()));
                    } else {
                        bytes.extend_from_slice(b"0\r\n\r\n");
                    }
                    (bytes, random.usize(1..40), random.bool())
                };
                wire.write(sse_head()).await;
                for piece in bytes.chunks(bytes.len().div_ceil(pieces).max(1)) {
                    wire.write(piece).await;
                    tokio::task::yield_now().await;
                }
                if cut {
                    return if rst { wire.rst() } else { wire.fin().await };
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn hundreds_of_streams_cut_anywhere_never_look_complete() {
    let upstream = streaming(11, true).await;
    let proxy = proxy().to(upstream.url()).config("retries: {attempts: 1}").run();
    for nth in 0..300 {
        let reply = proxy.ask(&chat(true)).await;
        assert!(reply.status == 502 || !reply.looks_complete(), "stream {nth}: {:?} {}", reply.end, reply.text());
        let seen_whole = reply.status == 200 && reply.text().contains("[DONE]") && reply.looks_complete();
        assert!(!seen_whole, "stream {nth}");
    }
    let metrics = proxy.settle().await;
    assert_eq!(metrics.count("pillion_exchanges_total", &[("outcome", "ok")]), 0);
}

#[tokio::test]
async fn hundreds_of_streams_in_random_pieces_arrive_byte_for_byte() {
    let upstream = streaming(12, false).await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    let mut random = fastrand::Rng::with_seed(12);
    for nth in 0..300 {
        let (_, expected) = some_stream(&mut random);
        let _ = (random.usize(1..40), random.bool());
        let reply = agent.ask(&chat(true)).await;
        assert!(reply.end == End::Whole && reply.body == expected, "stream {nth}: {:?} {}", reply.end, reply.text());
    }
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_compressed_stream_is_carried_as_it_comes() {
    let pieces: Vec<Vec<u8>> = (0..50).map(|n| fastrand::Rng::with_seed(n).choose_multiple(0..=255, 40)).collect();
    let sent = pieces.clone();
    let upstream = upstream(move |mut wire: Wire| {
        let sent = sent.clone();
        async move {
            wire.request().await;
            wire.write(sse_head().replace("\r\n\r\n", "\r\nContent-Encoding: br\r\n\r\n")).await;
            for piece in sent {
                wire.write(chunk(piece)).await;
            }
            wire.write(chunk("")).await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&chat(true)).await;
    assert_eq!((reply.end, reply.body, reply.chunks.len() <= 50), (End::Whole, pieces.concat(), true));
    let metrics = proxy.settle_as("ok").await;
    assert_eq!(metrics.count("pillion_observation_skipped_total", &[("reason", "decode")]), 1);
}

/// An upstream that sends a head and these bytes and then nothing; what the agent has of it by then.
async fn begun(bytes: Vec<u8>, config: &str) -> u16 {
    let upstream = upstream(move |mut wire: Wire| {
        let bytes = bytes.clone();
        async move {
            wire.request().await;
            wire.write([sse_head().as_bytes(), &bytes].concat()).await;
            wire.until_gone().await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).config(config).run();
    let mut agent = agent(&proxy).await;
    agent.send(&chat(true)).await;
    let status = agent.head().await.status;
    agent.hang_up();
    proxy.settle().await;
    status
}

#[tokio::test]
async fn the_head_of_a_stream_is_held_until_its_first_content_and_64_kib_at_most() {
    let clocks = "timeouts: {first_token: 300ms}";
    let role = chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n");
    let comment = chunk(format!(": {}\n\n", "x".repeat(1000)));
    assert_eq!(begun(Vec::new(), clocks).await, 504, "a head alone");
    assert_eq!(begun(role.clone(), clocks).await, 504, "a role is no content");
    assert_eq!(begun(comment.repeat(30), clocks).await, 504, "nor are comments");
    assert_eq!(begun(comment.repeat(70), clocks).await, 200, "more than is held");
    assert_eq!(begun([role, chunk(CONTENT)].concat(), clocks).await, 200, "content");
    assert_eq!(begun(Vec::new(), "{timeouts: {first_token: 300ms}, carry: {hold_head: false}}").await, 200, "nothing is held");
}
