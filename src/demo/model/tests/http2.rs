use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use h2::{
    Reason,
    client::{self, SendRequest},
};
use serde_json::json;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{DEADLINE, OPENAI, model, question};
use crate::demo::model::{End, Hangup, Model, pattern};

/// A connection of HTTP/2 by prior knowledge; its end says how it ended.
struct Peer {
    send: SendRequest<Bytes>,
    connection: JoinSet<Result<(), h2::Error>>,
}

/// What came on a stream.
struct Got {
    status: Option<u16>,
    body: Vec<u8>,
    /// The error that ended it, if one did.
    error: Option<h2::Error>,
}

impl Peer {
    async fn to(model: &Model) -> Self {
        let stream = TcpStream::connect(model.address()).await.unwrap();
        let (send, serving) = client::handshake(stream).await.unwrap();
        let mut connection = JoinSet::new();
        connection.spawn(serving);
        Self { send, connection }
    }

    async fn post(&self, path: &str, body: &str) -> Got {
        let request = http::Request::post(format!("http://model{path}")).header("x-a", "1").body(()).unwrap();
        let mut got = Got { status: None, body: Vec::new(), error: None };
        let mut send = match self.send.clone().ready().await {
            Ok(send) => send,
            Err(error) => return Got { error: Some(error), ..got },
        };
        let (response, mut upload) = send.send_request(request, false).unwrap();
        upload.send_data(Bytes::from(body.to_owned()), true).unwrap();
        let response = match timeout(DEADLINE, response).await.unwrap() {
            Ok(response) => response,
            Err(error) => return Got { error: Some(error), ..got },
        };
        got.status = Some(response.status().as_u16());
        let mut body = response.into_body();
        while let Some(piece) = timeout(DEADLINE, body.data()).await.unwrap() {
            match piece {
                Ok(piece) => {
                    body.flow_control().release_capacity(piece.len()).unwrap();
                    got.body.extend_from_slice(&piece);
                }
                Err(error) => {
                    got.error = Some(error);
                    break;
                }
            }
        }
        got
    }

    async fn ended(mut self) -> Result<(), h2::Error> {
        timeout(DEADLINE, self.connection.join_next()).await.expect("the connection ends").unwrap().unwrap()
    }
}

impl Got {
    fn events(&self) -> usize {
        String::from_utf8_lossy(&self.body).matches("\n\n").count()
    }

    fn reason(&self) -> Option<Reason> {
        self.error.as_ref().and_then(h2::Error::reason)
    }
}

#[tokio::test]
async fn http2_by_prior_knowledge_gets_what_http1_gets_and_is_recorded() {
    let model = model("").await;
    let peer = Peer::to(&model).await;
    let streamed = peer.post(OPENAI, &question(true).to_string()).await;
    assert!(streamed.error.is_none() && streamed.body.ends_with(b"data: [DONE]\n\n"));
    let bytes = peer.post("/bytes/300000", "").await;
    assert!(bytes.body == pattern(0, 300_000));
    let seen = model.wait_for_ends(2, DEADLINE).await.unwrap();
    assert_eq!((seen[0].version, seen[0].header("x-a"), seen[0].header(":authority")), ("HTTP/2.0", Some("1"), Some("model")));
    assert_eq!((seen[0].json(), seen[0].end, seen[1].nth_on_connection, model.connections()), (question(true), End::Completed, 2, 1));
}

#[tokio::test]
async fn a_stream_can_be_reset_with_a_code_and_its_connection_stays() {
    let model = model(
        "- cut: {at: request, how: stream, code: REFUSED_STREAM}\n- cut: {at: head, how: stream, code: ENHANCE_YOUR_CALM}\n\
         - cut: {at: mid, after: 3, how: stream}",
    )
    .await;
    let peer = Peer::to(&model).await;
    let body = question(true).to_string();
    for (reason, events) in [(Reason::REFUSED_STREAM, None), (Reason::ENHANCE_YOUR_CALM, None), (Reason::INTERNAL_ERROR, Some(3))] {
        let got = peer.post(OPENAI, &body).await;
        assert_eq!((got.reason(), got.status.map(|_| got.events())), (Some(reason), events));
    }
    let good = peer.post(OPENAI, &body).await;
    assert_eq!((good.status, good.error.is_none(), model.connections()), (Some(200), true, 1));
    assert_eq!(model.requests().iter().filter(|seen| seen.end == End::Cut).count(), 3);
}

#[tokio::test]
async fn a_cut_connection_ends_all_its_streams_after_what_was_written() {
    let model = model("- cut: {at: mid, after: 3}\n- cut: {at: mid, after: 3, how: clean}").await;
    let peer = Peer::to(&model).await;
    let got = peer.post(OPENAI, &question(true).to_string()).await;
    assert!(got.events() == 3 && got.error.as_ref().is_some_and(|error| error.is_io() || error.reason().is_none()), "{}", got.events());
    let clean = Peer::to(&model).await.post(OPENAI, &question(true).to_string()).await;
    assert_eq!((clean.events(), clean.error.is_none()), (3, true));
}

#[tokio::test]
async fn a_goodbye_below_leaves_the_request_out_and_ends_the_connection() {
    let model = model("- goaway: {last: below, code: ENHANCE_YOUR_CALM}").await;
    let peer = Peer::to(&model).await;
    let got = peer.post(OPENAI, &question(false).to_string()).await;
    let error = got.error.unwrap();
    assert!(error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM), "{error}");
    assert!(peer.ended().await.is_err());
    assert_eq!(model.requests()[0].end, End::Cut);
}

#[tokio::test]
async fn a_graceful_goodbye_and_one_after_this_stream_answer_it() {
    for last in ["graceful", "this"] {
        let model = model(&format!("- goaway: {last}")).await;
        let peer = Peer::to(&model).await;
        let got = peer.post(OPENAI, &question(true).to_string()).await;
        assert!(got.error.is_none() && got.body.ends_with(b"[DONE]\n\n"), "{last}");
        assert!(peer.post(OPENAI, &question(true).to_string()).await.error.is_some(), "{last}: no new stream");
        assert_eq!(model.requests().len(), 1);
    }
}

#[tokio::test]
async fn pings_can_go_unanswered() {
    for (script, answered) in [("", true), ("http2: {ignore_pings: true}", false)] {
        let model = model(script).await;
        let stream = TcpStream::connect(model.address()).await.unwrap();
        let (_send, mut connection) = client::handshake::<_>(stream).await.unwrap();
        let mut pings = connection.ping_pong().unwrap();
        let mut set = JoinSet::new();
        set.spawn(connection);
        let pong = timeout(Duration::from_millis(300), pings.ping(h2::Ping::opaque())).await;
        assert_eq!(pong.is_ok(), answered, "{script}");
    }
}

#[tokio::test]
async fn an_upload_can_be_left_without_room() {
    let model = model("http2: {no_window_updates: true}").await;
    let peer = Peer::to(&model).await;
    let request = http::Request::post("http://model/sink").body(()).unwrap();
    let (_response, mut upload) = peer.send.clone().ready().await.unwrap().send_request(request, false).unwrap();
    let mut taken = 0;
    loop {
        upload.reserve_capacity(100_000);
        match timeout(Duration::from_millis(300), poll_fn(|cx| upload.poll_capacity(cx))).await {
            Ok(Some(Ok(room))) => {
                upload.send_data(Bytes::from(vec![0; room]), false).unwrap();
                taken += room;
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
    }
    assert_eq!(taken, 65_535);
}

#[tokio::test]
async fn no_more_streams_than_ordered_are_open_at_once() {
    let model = model("http2: {max_concurrent_streams: 1}\nrules: [{slow: {first_token: 100ms}}]").await;
    let peer = Peer::to(&model).await;
    peer.post("/sink", "").await;
    let body = question(false).to_string();
    let (one, two) = tokio::join!(peer.post(OPENAI, &body), peer.post(OPENAI, &body));
    assert_eq!((one.status, two.status), (Some(200), Some(200)));
    let seen = model.wait_for_ends(3, DEADLINE).await.unwrap();
    assert!(seen[2].arrived >= seen[1].ended.unwrap());
}

#[tokio::test]
async fn a_connection_that_ends_is_seen_by_its_streams() {
    let model = model("- stall: {at: mid}").await;
    let mut peer = Peer::to(&model).await;
    let asking = question(true).to_string();
    tokio::select! {
        _ = peer.post(OPENAI, &asking) => panic!("the model is silent"),
        seen = model.wait_until(DEADLINE, |seen| seen.iter().any(|seen| seen.status.is_some())) => drop(seen.unwrap()),
    }
    peer.connection.abort_all();
    drop(peer);
    let seen = model.wait_for_ends(1, DEADLINE).await.unwrap();
    assert!(matches!(seen[0].end, End::Gone(..)), "{:?}", seen[0].end);
}

#[tokio::test]
async fn a_stream_that_is_given_up_is_seen_while_the_model_is_silent() {
    let model = model("- stall: {at: head}\n- stall: {at: mid}").await;
    let peer = Peer::to(&model).await;
    for count in [1, 2] {
        let request = http::Request::post(format!("http://model{OPENAI}")).body(()).unwrap();
        let (response, mut upload) = peer.send.clone().ready().await.unwrap().send_request(request, false).unwrap();
        upload.send_data(Bytes::from(json!(question(true)).to_string()), true).unwrap();
        model.wait_until(DEADLINE, |seen| seen.iter().filter(|seen| seen.status.is_some()).count() == count).await.unwrap();
        upload.send_reset(Reason::CANCEL);
        drop(response);
        let seen = model.wait_for_ends(count, Duration::from_millis(500)).await.unwrap();
        assert!(matches!(seen[count - 1].end, End::Gone(Hangup::Rst, _)), "{:?}", seen[count - 1].end);
    }
}
