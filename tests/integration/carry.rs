//! Promise: requests and replies arrive as they were sent.

use crate::support::{End, chat, model, proxy};

#[tokio::test]
async fn a_whole_reply_arrives_as_the_model_sent_it() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let reply = proxy.ask(&chat(false)).await;
    assert_eq!((reply.status, reply.end), (200, End::Whole));
    assert!(reply.json()["choices"][0]["message"]["content"].is_string());
}

#[tokio::test]
async fn a_stream_arrives_with_its_end() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let reply = proxy.ask(&chat(true)).await;
    assert_eq!((reply.status, reply.end), (200, End::Whole));
    assert_eq!(reply.events().last().map(|event| event.data.clone()), Some("[DONE]".to_owned()));
}
