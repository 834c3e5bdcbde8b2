use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, DEADLINE, Ended, OPENAI, model, question};
use crate::demo::{
    model::{End, Hangup, Model, ModelOptions},
    script::Script,
};

#[tokio::test]
async fn a_request_is_recorded_as_it_was_sent() {
    let model = model("").await;
    let mut client = Client::to(model.address()).await;
    client.send("POST /v1/files?a=%20 HTTP/1.1\r\nHost: m\r\nX-B: 2\r\nx-a:  1 \r\nX-B: 3\r\nContent-Length: 2\r\n\r\nhi").await;
    client.got().await;
    client.send("GET /v1/models HTTP/1.1\r\n\r\n").await;
    client.got().await;
    let seen = model.wait_for(2, DEADLINE).await.unwrap();
    let first = &seen[0];
    assert_eq!((first.method.as_str(), first.target.as_str(), first.version), ("POST", "/v1/files?a=%20", "HTTP/1.1"));
    let headers: Vec<_> = first.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, [("Host", "m"), ("X-B", "2"), ("x-a", "1"), ("X-B", "3"), ("Content-Length", "2")]);
    assert_eq!((&first.body[..], first.body_length, first.body_complete, first.end), (&b"hi"[..], 2, true, End::Completed));
    assert_eq!((first.connection, first.nth_on_connection, seen[1].connection, seen[1].nth_on_connection), (1, 1, 1, 2));
}

#[tokio::test]
async fn a_body_beyond_the_cap_is_measured_and_not_kept() {
    let model = Model::start(ModelOptions { body_cap: 4, ..ModelOptions::default() }).await.unwrap();
    let mut client = Client::to(model.address()).await;
    client.post("/sink", "abcdef").await;
    assert_eq!(client.got().await.json()["bytes"], 6);
    let seen = model.requests().remove(0);
    assert_eq!((&seen.body[..], seen.body_length), (&b"abcd"[..], 6));
    client.post("/echo", "abcdef").await;
    assert_eq!(client.got().await.status(), 413);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_no_complete_request() {
    let model = model("").await;
    let mut client = Client::to(model.address()).await;
    client.send("POST /sink HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf").await;
    drop(client);
    let seen = model.wait_for_ends(1, DEADLINE).await.unwrap().remove(0);
    assert!(matches!(seen.end, End::Gone(Hangup::Fin, _)), "{:?}", seen.end);
    assert_eq!((seen.body_length, seen.body_complete, seen.status), (4, false, None));
}

#[tokio::test]
async fn what_is_no_single_request_is_refused_counted_and_not_recorded() {
    let model = model("").await;
    for request in [
        "POST /sink HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "no http\r\n\r\n",
        "GET / HTTP/1.1\r\nname with space: 1\r\n\r\n",
    ] {
        let mut client = Client::to(model.address()).await;
        client.send(request).await;
        let got = client.got().await;
        assert_eq!((got.status(), got.end), (400, Ended::Fin), "{request}");
    }
    assert_eq!((model.malformed(), model.requests().len()), (3, 0));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let model = model("").await;
    let mut client = Client::to(model.address()).await;
    let bodies: Vec<String> = (0..20).map(|n| format!("body {n}")).collect();
    let requests: Vec<_> = bodies.iter().map(|body| format!("POST /echo HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())).collect();
    client.send(&requests.concat()).await;
    let got = client.got().await.text();
    let places: Vec<_> = bodies.iter().map(|body| got.find(&format!("\r\n\r\n{body}")).expect("it is answered")).collect();
    assert!(places.is_sorted());
}

#[tokio::test]
async fn whoever_waits_with_the_body_is_told_to_go_on() {
    let model = model("").await;
    let mut client = Client::to(model.address()).await;
    client.send("POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.got().await.text(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hi").await;
    assert_eq!(client.got().await.body().0, b"hi");
}

#[tokio::test]
async fn waiting_for_what_does_not_come_says_what_did() {
    let model = model("").await;
    let error = model.wait_for(1, Duration::from_millis(20)).await.unwrap_err();
    assert_eq!((error.seen, error.to_string().contains("not seen within 20ms")), (0, true));
}

#[tokio::test]
async fn a_script_can_be_set_while_it_runs() {
    let model = model("- {status: 500, times: always}").await;
    let mut client = Client::to(model.address()).await;
    for (change, status) in [(None, 500), (Some(Script::read("- status: 503").unwrap()), 503), (Some(Script::default()), 200)] {
        if let Some(script) = change {
            model.script(script);
        }
        client.post(OPENAI, &question(false).to_string()).await;
        assert_eq!(client.got().await.status(), status);
    }
    model.reset();
    assert!(model.requests().is_empty());
}

/// Calls the control port.
async fn control(model: &Model, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut client = Client::to(model.address()).await;
    client.send(&format!("{method} /__simulate/{path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
    let got = client.got().await;
    (got.status(), got.json())
}

#[tokio::test]
async fn other_programs_set_scripts_and_read_what_was_seen_over_http() {
    let model = model("").await;
    assert_eq!(control(&model, "POST", "script", "- status: 500\n").await, (200, json!({"steps": 1, "rules": 0})));
    let mut client = Client::to(model.address()).await;
    client.post(OPENAI, &question(false).to_string()).await;
    assert_eq!(client.got().await.status(), 500);
    let (_, seen) = control(&model, "GET", "requests", "").await;
    assert_eq!((seen.as_array().unwrap().len(), &seen[0]["status"], &seen[0]["end"]), (1, &json!(500), &json!("completed")));
    assert_eq!((&seen[0]["headers"][0], &seen[0]["body"]), (&json!(["Host", "model"]), &json!(question(false).to_string())));
    let (status, told) = control(&model, "POST", "script", "- sttus: 500").await;
    assert_eq!((status, told["faults"][0].as_str().unwrap().contains("did you mean")), (400, true));
    control(&model, "POST", "reset", "").await;
    assert_eq!(control(&model, "GET", "requests", "").await.1, json!([]));
    assert_eq!(control(&model, "GET", "nothing", "").await.0, 404);
}

#[tokio::test]
async fn a_fault_at_connect_that_stays_does_not_lock_out_whoever_ordered_it() {
    let model = model("").await;
    control(&model, "POST", "script", "- {cut: {at: connect, how: rst}, times: always}").await;
    for _ in 0..2 {
        let mut client = Client::to(model.address()).await;
        assert_eq!(client.got().await.end, Ended::Rst);
        assert_eq!(control(&model, "GET", "health", "").await.0, 200);
    }
    control(&model, "POST", "script", "").await;
    let mut client = Client::to(model.address()).await;
    client.post(OPENAI, &question(false).to_string()).await;
    assert_eq!(client.got().await.status(), 200);
}

#[tokio::test]
async fn a_model_that_stops_ends_what_it_was_saying() {
    let model = model("- stall: {at: mid}").await;
    let mut client = Client::to(model.address()).await;
    client.post(OPENAI, &question(true).to_string()).await;
    model.wait_for(1, DEADLINE).await.unwrap();
    model.stop().await;
    assert_ne!(client.got().await.end, Ended::Silent);
}
