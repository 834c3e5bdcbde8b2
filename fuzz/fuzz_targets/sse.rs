//! The events of a stream are the same however its bytes are split, and they are those that a plain reading of the specification finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion::wire::fuzzing::{events, lines};
use pillion_fuzz::pieces;

fuzz_target!(|input: &[u8]| {
    let Some((seed, bytes)) = input.split_first() else { return };
    let whole = events([bytes]);
    assert_eq!(events(bytes.chunks(1)), whole, "byte by byte");
    assert_eq!(events(pieces(bytes, *seed)), whole, "in pieces");
    assert_eq!(plain(bytes), whole, "by the specification");
    let whole = lines([bytes]);
    assert_eq!(lines(bytes.chunks(1)), whole, "lines byte by byte");
    assert_eq!(lines(pieces(bytes, *seed)), whole, "lines in pieces");
});

/// WHATWG HTML, section 9.2.6, word for word; what a stream ends with counts though no blank line follows.
fn plain(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let (mut name, mut data) = (Vec::new(), None::<Vec<u8>>);
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let line = &rest[..end.unwrap_or(rest.len())];
        if line.is_empty() {
            if let Some(data) = data.take() {
                found.push((std::mem::take(&mut name), data));
            }
            name.clear();
        } else {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let value = line.get(colon + 1..).unwrap_or_default();
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &line[..colon] {
                b"event" => name = value.to_vec(),
                b"data" => match &mut data {
                    Some(data) => {
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                    None => data = Some(value.to_vec()),
                },
                _ => {}
            }
        }
        let Some(end) = end else { break };
        let length = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + length..];
    }
    if let Some(data) = data {
        found.push((name, data));
    }
    found
}
