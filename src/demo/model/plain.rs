//! The paths that are no model's: what tests of carrying need.

use bytes::Bytes;
use serde_json::json;

use super::{
    answer::{Answer, Body, Request},
    speech::CREATED,
};

/// The answer of a plain path: `/echo`, `/bytes/N[?chunked=1]`, `/sink`, `/files`.
pub(super) fn answer(request: &Request<'_>, path: &str) -> Option<Answer> {
    let (parent, last) = path.rsplit_once('/')?;
    match (parent.rsplit('/').next().unwrap_or_default(), last) {
        (_, "echo") => Some(echo(request)),
        (_, "sink") => Some(sink(request)),
        (_, "files") if request.head.method == "POST" => Some(file(request)),
        ("bytes", count) => {
            let chunked = request.query("chunked").is_some_and(|value| value == "1");
            Some(Answer {
                body: Body::Pattern { length: count.parse().ok()?, chunked },
                ..Answer::whole(200, "application/octet-stream", Bytes::new())
            })
        }
        _ => None,
    }
}

/// The bytes from `offset` on of what `/bytes/N` sends. The byte at `i` is bits 24 to 31 of `i * 2654435761`, so that a gap,
/// a repeat or an exchange of any two pieces shows.
pub fn pattern(offset: u64, length: usize) -> Bytes {
    (offset..).take(length).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[4]).collect()
}

fn echo(request: &Request<'_>) -> Answer {
    if request.seen.body_length > u64::try_from(request.seen.body.len()).unwrap_or(u64::MAX) {
        return Answer::whole(413, "text/plain", Bytes::from_static(b"longer than the model keeps of a body: see `body_cap`"));
    }
    let content_type = request.seen.header("content-type").unwrap_or("application/octet-stream");
    let answer = Answer::whole(200, content_type, request.seen.body.clone());
    match request.seen.header("content-encoding") {
        Some(encoding) => answer.with("content-encoding", encoding),
        None => answer,
    }
}

fn sink(request: &Request<'_>) -> Answer {
    Answer::json(200, &json!({"bytes": request.seen.body_length, "sha256": request.seen.sha256}))
}

fn file(request: &Request<'_>) -> Answer {
    let id = format!("file-{}", request.seen.sha256.get(..24).unwrap_or_default());
    let body = json!({
        "id": id, "object": "file", "bytes": request.seen.body_length, "created_at": CREATED,
        "filename": "upload", "purpose": "assistants", "status": "processed",
    });
    Answer::json(200, &body)
}
