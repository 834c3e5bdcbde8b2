//! What the HTTP layer lets through and no upstream may see: a head over its limit, and a transfer coding that two readers take for two things. Answered as the
//! HTTP layer answers: a bare status and a close.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header, request};

use super::relay::Relayed;

/// The bare answer to a head that is not one to carry. `limit` is that of a head, in bytes: hyper's own is one of its buffer, which a head may outgrow by a read.
pub(super) fn bare_answer(head: &request::Parts, limit: usize) -> Option<Response<Relayed>> {
    let status = if size(head) > limit {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    } else if is_ambiguous(head) {
        StatusCode::BAD_REQUEST
    } else {
        return None;
    };
    let mut response = Response::new(Relayed::Own(Bytes::new()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(response)
}

/// Whether a reader may take it for more than one thing.
fn is_ambiguous(head: &request::Parts) -> bool {
    has_odd_coding(head) || (head.version == Version::HTTP_2 && has_other_host(head))
}

/// Whether `host` names another than `:authority` does, or there are two of it (RFC 9113 §8.3.1).
fn has_other_host(head: &request::Parts) -> bool {
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let same = hosts.next().is_none_or(|host| authority.is_empty() || host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()));
    !same || hosts.next().is_some()
}

/// Whether the transfer coding is anything but `chunked`, said once: hyper looks at the end of the list alone, and what stands before it would be lost.
fn has_odd_coding(head: &request::Parts) -> bool {
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = codings.next();
    first.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) || codings.next().is_some()
}

/// The head's size as it came, but for white space: `METHOD TARGET HTTP/1.1`, `name: value`, line ends.
fn size(head: &request::Parts) -> usize {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len()) + head.uri.authority().map_or(0, |host| host.as_str().len());
    let headers: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    head.method.as_str().len() + target + headers + "  HTTP/1.1\r\n\r\n".len()
}
