//! Errors of our own, in each dialect's own shape, whole and as the last event of a stream.

use bytes::Bytes;

use super::Dialect;

/// What an error of ours says, before it is put in a dialect's shape.
#[derive(Debug, Clone)]
pub struct ErrorShape<'a> {
    /// The HTTP status.
    pub status: u16,
    /// Our reason, e.g. `timeout_first_token`: OpenAI's `code`.
    pub code: &'a str,
    /// One or two sentences for the person who reads the traceback.
    pub message: &'a str,
    /// The exchange, as in `x-pillion-exchange`: Anthropic's `request_id`.
    pub exchange: &'a str,
}

/// The body and content type of an answer of ours; problem JSON (RFC 9457) where no dialect is known.
pub fn error_body(dialect: Option<Dialect>, error: &ErrorShape<'_>) -> (&'static str, Bytes) {
    let _ = (dialect, error);
    ("application/problem+json", Bytes::new())
}

/// The event that tells a broken stream's reader so, in the dialect's own framing. `None` where the dialect has no such event
/// (embeddings). Only to be sent at an event boundary, see [`super::Reading::at_boundary`].
pub fn error_event(dialect: Dialect, error: &ErrorShape<'_>) -> Option<Bytes> {
    let _ = (dialect, error);
    None
}
