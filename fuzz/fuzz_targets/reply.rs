//! A reply of any dialect says the same however its bytes are split, and what is kept of it stays within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion::wire::{Contents, Dialect, Progress, Reading, Reply};
use pillion_fuzz::{dialect, pieces};

/// Bytes of contents that are asked for.
const GATHERED: usize = 300;

fuzz_target!(|input: &[u8]| {
    let [first, form, seed, bytes @ ..] = input else { return };
    let content_type = ["text/event-stream", "application/json", "application/x-ndjson", "text/plain"][usize::from(form % 4)];
    let status = [200, 200, 200, 429][usize::from(form / 4 % 4)];
    let said = |pieces: &mut dyn Iterator<Item = &[u8]>| read(dialect(*first), status, content_type, pieces);
    let whole = said(&mut std::iter::once(bytes));
    assert_eq!(said(&mut bytes.chunks(1)), whole, "byte by byte");
    assert_eq!(said(&mut pieces(bytes, *seed)), whole, "in pieces");
    hold(&whole.0, &whole.1);
});

type Said = (Reply, Option<Contents>, Progress, bool, Option<&'static str>);

fn read(dialect: Dialect, status: u16, content_type: &str, pieces: &mut dyn Iterator<Item = &[u8]>) -> Said {
    let mut reading = Reading::new(dialect, status, Some(content_type), None);
    reading.gather(GATHERED);
    let mut before = Progress::default();
    for piece in pieces {
        let now = reading.feed(piece);
        assert!(now.events >= before.events && now.content >= before.content && now.error >= before.error, "progress goes back");
        before = now;
    }
    let progress = reading.end();
    assert_eq!(reading.end(), progress, "a second end says the same");
    let (boundary, skipped) = (reading.at_boundary(), reading.skipped().map(|skipped| skipped.name()));
    let (reply, contents) = reading.into_contents();
    (reply, contents, progress, boundary, skipped)
}

fn hold(reply: &Reply, contents: &Option<Contents>) {
    assert!(reply.tool_calls.len() <= 128 && reply.finish_reasons.len() <= 128);
    let kept: Vec<usize> = reply.tool_calls.iter().filter_map(|call| call.arguments.as_ref().map(String::len)).collect();
    assert!(kept.iter().all(|length| *length <= 3 * (64 << 10)) && kept.iter().sum::<usize>() <= 3 * (256 << 10), "{kept:?}");
    assert!(reply.tool_calls.iter().all(|call| !call.name.is_empty() && call.name.len() <= 256));
    let names = [&reply.id, &reply.model, &reply.service_tier, &reply.system_fingerprint];
    assert!(names.into_iter().flatten().chain(&reply.finish_reasons).all(|name| name.len() <= 256));
    // What is no UTF-8 is replaced by characters of three bytes.
    assert!(reply.short_text.as_ref().is_none_or(|text| !text.is_empty() && text.len() <= 3 * 256));
    let contents = contents.as_ref().expect("they were asked for");
    assert!(contents.text.len() + contents.reasoning.len() <= 3 * GATHERED);
    if let Some(text) = &reply.short_text
        && !contents.is_cut
    {
        assert_eq!(*text, contents.text, "the short text is the text");
    }
}
