//! A conversation is read without a fault; one that is read is JSON to a JSON library too, with as many messages, and its parts lie in order and
//! within each other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion::wire::{Dialect, Outline, Piece};
use pillion_fuzz::dialect;
use serde::de::IgnoredAny;
use serde_json::Value;

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// All of them lie in order within these bounds, and strings between their quotes.
fn check(body: &[u8], pieces: &[Piece], (mut from, to): (usize, usize)) {
    for piece in pieces {
        assert!(from <= piece.at.start && piece.at.start < piece.at.end && piece.at.end <= to, "{piece:?} lies in {from}..{to}");
        from = piece.at.end;
        if piece.is_quoted {
            assert!(is_json(&body[piece.at.start - 1..piece.at.end + 1]), "{piece:?} is a string");
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [first, body @ ..] = input else { return };
    let dialect = dialect(*first);
    let path = match dialect {
        Dialect::Gemini => "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
        Dialect::Ollama => "/api/chat",
        _ => "/v1/messages",
    };
    let Some(outline) = Outline::read(dialect, path, body) else { return };
    assert!(is_json(body), "this is JSON");
    assert!(std::str::from_utf8(body).is_ok());
    let list = &outline.list;
    let is_one = *list == (0..0);
    assert!(list.end < body.len() && (!is_one || outline.items.len() == 1));
    let mut at = list.start;
    for (index, item) in outline.items.iter().enumerate() {
        if !is_one {
            let between: Vec<u8> = body[at..item.at.start].iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            assert_eq!(between, if index == 0 { &b""[..] } else { b"," }, "before message {index}");
        }
        assert!(is_json(&body[item.at.clone()]), "message {index}");
        check(body, &item.pieces, (item.at.start, item.at.end));
        at = item.at.end;
    }
    assert!(is_one || body[at..list.end].trim_ascii().is_empty() && body[list.end] == b']' && body[list.start - 1] == b'[');
    check(body, &outline.beside, (0, body.len()));
    assert!(outline.beside.iter().all(|piece| piece.at.end <= list.start || list.end <= piece.at.start || is_one));
    let key = match dialect {
        Dialect::OpenaiResponses => "input",
        Dialect::Gemini => "contents",
        _ => "messages",
    };
    if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
        let count = fields[key].as_array().map_or(1, Vec::len);
        assert_eq!(outline.items.len(), count, "messages");
    }
});
