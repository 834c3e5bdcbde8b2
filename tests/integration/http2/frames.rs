//! HTTP/2 frame by frame, for what no well-behaved client sends.

use crate::support::Agent;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// How a peer ended things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// GOAWAY with this code.
    Goaway(u32),
    /// `RST_STREAM` of this stream with this code.
    Reset(u32, u32),
    /// Headers of a reply on this stream.
    Reply(u32),
    /// The connection has ended without a GOAWAY.
    Closed,
}

/// One frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal header that is kept in no table: `index` of a static name, or 0 and the name.
fn literal(index: u8, name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = integer(text.len());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    };
    let name = if index == 0 { text(name) } else { Vec::new() };
    [vec![index], name, text(value)].concat()
}

/// A length of seven bits and more (RFC 7541 §5.1).
fn integer(mut number: usize) -> Vec<u8> {
    if number < 127 {
        return vec![u8::try_from(number).unwrap()];
    }
    let mut bytes = vec![127];
    number -= 127;
    while number >= 128 {
        bytes.push(u8::try_from(number % 128).unwrap() | 128);
        number /= 128;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// The block of a request to `localhost` with these further headers.
pub(super) fn block(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let method = match method {
        "GET" => vec![0x82],
        "POST" => vec![0x83],
        other => literal(2, "", other),
    };
    let path = if path.is_empty() { Vec::new() } else { literal(4, "", path) };
    let rest: Vec<u8> = headers.iter().flat_map(|(name, value)| literal(0, name, value)).collect();
    [method, vec![0x86], path, literal(1, "", "localhost"), rest].concat()
}

/// A header that is put into the table, first of those there.
pub(super) fn indexed(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = literal(0, name, value);
    bytes[0] = 0x40;
    bytes
}

/// Opens a connection: preface and settings (identifier, value).
pub(super) fn hello(settings: &[(u16, u32)]) -> Vec<u8> {
    let settings: Vec<u8> = settings.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &settings)[..]].concat()
}

/// Reads frames up to the first that tells how something ended.
pub(super) async fn told(agent: &mut Agent) -> Told {
    told_of(agent, |_| true).await
}

/// Reads frames up to the first such telling that `wanted` takes.
pub(super) async fn told_of(agent: &mut Agent, wanted: impl Fn(Told) -> bool) -> Told {
    loop {
        let whole = |bytes: &[u8]| {
            let header = bytes.get(..9)?;
            let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
            (bytes.len() >= 9 + length).then_some(9 + length)
        };
        let Some(length) = agent.fill_until(whole).await else { return Told::Closed };
        let bytes = agent.take(length).await;
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let stream = number(5);
        let told = match bytes[3] {
            GOAWAY => Told::Goaway(number(13)),
            RST_STREAM => Told::Reset(stream, number(9)),
            HEADERS => Told::Reply(stream),
            _ => continue,
        };
        if wanted(told) {
            return told;
        }
    }
}
