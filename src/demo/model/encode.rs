//! Compressed bodies: gzip, flushed after every event, so that a stream still comes event by event.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use super::answer::{Body, Event, Request};
use crate::demo::script::Encode;

/// Headers and body as the step and the request want them. A pattern stays as it is.
pub(super) fn body(request: &Request<'_>, mut headers: Vec<(String, String)>, body: Body) -> (Vec<(String, String)>, Body) {
    let accepts = request.seen.header("accept-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("gzip"));
    let wanted = match request.step.encode {
        Some(Encode::Gzip) => true,
        Some(Encode::Accepted) => accepts,
        None => false,
    };
    let plain = !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
    if !wanted || !plain || matches!(body, Body::Pattern { .. }) {
        return (headers, body);
    }
    headers.extend([("content-encoding", "gzip"), ("vary", "accept-encoding")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut gzip = Gzip(GzEncoder::new(Vec::new(), Compression::fast()));
    let body = match body {
        Body::Whole(bytes) => Body::Whole(gzip.end(&bytes)),
        Body::Events(mut events) => {
            let last = events.pop();
            let mut events: Vec<Event> = events.into_iter().map(|event| Event { bytes: gzip.flushed(&event.bytes), ..event }).collect();
            let end = last.unwrap_or(Event { bytes: Bytes::new(), content: false });
            events.push(Event { bytes: gzip.end(&end.bytes), ..end });
            Body::Events(events)
        }
        pattern @ Body::Pattern { .. } => pattern,
    };
    (headers, body)
}

struct Gzip(GzEncoder<Vec<u8>>);

impl Gzip {
    fn flushed(&mut self, bytes: &[u8]) -> Bytes {
        self.0.write_all(bytes).and_then(|()| self.0.flush()).expect("a vector takes whatever is written");
        Bytes::from(std::mem::take(self.0.get_mut()))
    }

    fn end(mut self, bytes: &[u8]) -> Bytes {
        self.0.write_all(bytes).expect("a vector takes whatever is written");
        Bytes::from(self.0.finish().expect("a vector takes whatever is written"))
    }
}
