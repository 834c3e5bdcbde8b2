//! Ways in for the fuzz targets, which see nothing else of how a stream is divided. Not part of the program.

use super::{
    lines::Lines,
    sse::{Event, Found, Sse},
};

/// Names and data of the events of a stream that comes in these pieces, with what it ends with.
pub fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut events = Vec::new();
    let mut take = |found: Found<'_>| {
        if let Found::Event(Event { name, data }) = found {
            events.push((name.to_vec(), data.to_vec()));
        }
    };
    let mut sse = Sse::new();
    pieces.into_iter().for_each(|piece| sse.feed(piece, &mut take));
    sse.end(&mut take);
    events
}

/// The lines of a stream that comes in these pieces, with what it ends with.
pub fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    let mut take = |line: Option<&[u8]>| found.push(line.map(<[u8]>::to_vec));
    let mut lines = Lines::new();
    pieces.into_iter().for_each(|piece| lines.feed(piece, &mut take));
    lines.end(&mut take);
    found
}
