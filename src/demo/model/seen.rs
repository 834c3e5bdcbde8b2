//! What reached the simulated model, as it was sent, and how each exchange ended as seen from there.

use std::time::Duration;

use bytes::Bytes;
use ring::digest::{Context, SHA256};
use serde_json::{Value, json};
use tokio::time::Instant;

/// One request.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The target as sent, with its query.
    pub target: String,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: &'static str,
    /// Headers in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body, up to the cap of the options.
    pub body: Bytes,
    /// The body's length in bytes, as far as it was read.
    pub body_length: u64,
    /// SHA-256 of the body as far as it was read, in hex.
    pub sha256: String,
    /// Whether all of the body has come.
    pub body_complete: bool,
    /// Which connection it came on, from 1 on.
    pub connection: u64,
    /// Which request it was on that connection, from 1 on.
    pub nth_on_connection: u64,
    /// When its head was there.
    pub arrived: Instant,
    /// The status that was sent, once one was.
    pub status: Option<u16>,
    /// How it ended.
    pub end: End,
    /// When it ended, once it has.
    pub ended: Option<Instant>,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has not.
    Open,
    /// All that was to be sent was handed to the socket.
    Completed,
    /// The other side hung up, so long after the request's head.
    Gone(Hangup, Duration),
    /// The script ended it early.
    Cut,
}

/// How the other side hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// It closed.
    Fin,
    /// It reset.
    Rst,
}

impl Seen {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// For `GET /__simulate/requests`; times in milliseconds since `start`.
    pub(super) fn to_json(&self, start: Instant) -> Value {
        let (end, hangup) = match self.end {
            End::Open => ("open", None),
            End::Completed => ("completed", None),
            End::Gone(Hangup::Fin, _) => ("gone", Some("fin")),
            End::Gone(Hangup::Rst, _) => ("gone", Some("rst")),
            End::Cut => ("cut", None),
        };
        json!({
            "method": self.method, "target": self.target, "version": self.version,
            "headers": self.headers, "body": String::from_utf8_lossy(&self.body),
            "body_length": self.body_length, "sha256": self.sha256, "body_complete": self.body_complete,
            "connection": self.connection, "nth_on_connection": self.nth_on_connection,
            "arrived_ms": milliseconds(self.arrived.duration_since(start)),
            "status": self.status, "end": end, "hangup": hangup,
            "lasted_ms": self.ended.map(|ended| milliseconds(ended.duration_since(self.arrived))),
        })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A body as it is being read: its beginning, its length and its digest.
pub(super) struct Taken {
    kept: Vec<u8>,
    cap: usize,
    length: u64,
    digest: Context,
}

impl Taken {
    /// Of a body that is kept up to `cap` bytes.
    pub(super) fn new(cap: usize) -> Self {
        Self { kept: Vec::new(), cap, length: 0, digest: Context::new(&SHA256) }
    }

    /// The next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.cap.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.length += u64::try_from(bytes.len()).expect("a length in memory fits 64 bits");
        self.digest.update(bytes);
    }

    /// The bytes that were kept.
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Into a record.
    pub(super) fn finish(self, seen: &mut Seen) {
        seen.body = Bytes::from(self.kept);
        seen.body_length = self.length;
        seen.sha256 = hex(self.digest.finish().as_ref());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}
