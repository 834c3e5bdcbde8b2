//! `CONNECT` (RFC 9110 §9.3.6): asks a proxy for a way through to an upstream. hyper-util's own does not tell the proxy's status, and who reads an
//! error must know whether it was the proxy's credentials or its rules.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::connect::ConnectError;
use crate::secret::Secret;

/// Largest head of a proxy's answer.
const HEAD_MAX: usize = 16 << 10;
/// Most headers of it.
const HEADERS_MAX: usize = 100;

/// Why a proxy is no way through.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// It cannot be reached itself.
    #[error(transparent)]
    Unreached(Box<ConnectError>),
    /// It wants credentials, or other ones.
    #[error("it wants credentials, or other ones than it was given (407)")]
    Credentials,
    /// It says no.
    #[error("it answers CONNECT with {0}")]
    Refused(u16),
    /// What it answers is no HTTP.
    #[error("what it answers to CONNECT is not HTTP")]
    NotHttp,
    /// The connection to it ended.
    #[error("the connection to it ended")]
    Ended(#[source] io::Error),
}

/// Asks the proxy at the other end of `stream` for a way to `host` and `port`.
pub(super) async fn open<S>(stream: &mut S, (host, port): (&str, u16), authorization: Option<&Secret>) -> Result<(), TunnelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (left, right) = if host.contains(':') { ("[", "]") } else { ("", "") };
    let target = format!("{left}{host}{right}:{port}");
    let credentials = authorization.map_or_else(String::new, |value| format!("Proxy-Authorization: {}\r\n", value.reveal()));
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(TunnelError::Ended)?;
    stream.flush().await.map_err(TunnelError::Ended)?;
    match status(stream).await? {
        200..=299 => Ok(()),
        407 => Err(TunnelError::Credentials),
        status => Err(TunnelError::Refused(status)),
    }
}

/// The status of the answer, whose head is read to its end and not a byte further: what follows is the upstream's.
async fn status<S: AsyncRead + Unpin>(stream: &mut S) -> Result<u16, TunnelError> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_MAX {
            return Err(TunnelError::NotHttp);
        }
        head.push(stream.read_u8().await.map_err(TunnelError::Ended)?);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(&head) {
        Ok(httparse::Status::Complete(_)) => response.code.ok_or(TunnelError::NotHttp),
        _ => Err(TunnelError::NotHttp),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// What is asked of a proxy that answers so, how that ends, and what is left to read.
    async fn asked(host: &str, authorization: Option<&str>, answer: &[u8]) -> (String, Result<(), String>, Vec<u8>) {
        let (mut ours, mut theirs) = duplex(64 << 10);
        theirs.write_all(answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        let secret = authorization.map(Secret::new);
        let opened = open(&mut ours, (host, 443), secret.as_ref()).await.map_err(|error| error.to_string());
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).await.unwrap();
        drop(ours);
        let mut request = String::new();
        theirs.read_to_string(&mut request).await.unwrap();
        (request, opened, rest)
    }

    #[tokio::test]
    async fn the_way_through_is_asked_for_with_credentials_and_not_a_byte_too_much_is_read() {
        let (request, opened, rest) = asked("x.example", Some("Basic canary"), b"HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\nhello").await;
        assert_eq!(request, "CONNECT x.example:443 HTTP/1.1\r\nHost: x.example:443\r\nProxy-Authorization: Basic canary\r\n\r\n");
        assert_eq!((opened, rest.as_slice()), (Ok(()), &b"hello"[..]));
        let (request, ..) = asked("2001:db8::1", None, b"HTTP/1.0 200 OK\r\n\r\n").await;
        assert_eq!(request, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n");
    }

    #[tokio::test]
    async fn what_a_proxy_says_instead_is_told() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(HEAD_MAX));
        for (answer, expected) in [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "credentials"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "403"),
            ("SSH-2.0\r\n\r\n", "not HTTP"),
            (&long, "not HTTP"),
            ("HTTP/1.1 200", "ended"),
        ] {
            let (_, opened, _) = asked("x.example", Some("Basic canary"), answer.as_bytes()).await;
            let told = opened.unwrap_err();
            assert!(told.contains(expected) && !told.contains("canary"), "{told}");
        }
    }
}
