//! A compressed reply, sound or not, is read the same however its bytes are split, or given up; it never takes more than it may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion::wire::{Progress, Reading, Reply};
use pillion_fuzz::{dialect, pieces};

fuzz_target!(|input: &[u8]| {
    let [first, form, seed, bytes @ ..] = input else { return };
    let content_type = ["text/event-stream", "application/json", "application/x-ndjson", "text/plain"][usize::from(form % 4)];
    let coding = ["gzip", "deflate", "br", "zstd"][usize::from(form / 4 % 4)];
    let said = |pieces: &mut dyn Iterator<Item = &[u8]>| -> (Reply, Progress, Option<&'static str>) {
        let mut reading = Reading::new(dialect(*first), 200, Some(content_type), Some(coding));
        for piece in pieces {
            reading.feed(piece);
        }
        let progress = reading.end();
        let skipped = reading.skipped().map(|skipped| skipped.name());
        (reading.into_reply(), progress, skipped)
    };
    let whole = said(&mut std::iter::once(bytes));
    let split = said(&mut pieces(bytes, *seed));
    // How much of what is broken comes out before that shows is the decoder's own affair.
    if whole.2.is_none() && split.2.is_none() {
        assert_eq!(split, whole, "in pieces");
    }
});
