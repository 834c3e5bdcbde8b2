//! Compressed bodies, flushed after every event, so that a stream still comes event by event. Gzip compresses; br and zstd are well
//! formed and as long as what is in them, which whoever reads them cannot tell from a poor day of the compressor.

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compression, write::GzEncoder};

use super::answer::{Body, Event, Request};
use crate::demo::script::Encode;

/// The most bytes of a brotli meta-block whose length is told in four digits (RFC 7932 section 9.2).
const BROTLI_BLOCK: usize = 1 << 16;
/// The magic number of a zstd frame, a descriptor that says nothing, and a window of 1 MiB (RFC 8878 section 3.1.1).
const ZSTD_HEAD: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50];
/// The most bytes of a zstd block.
const ZSTD_BLOCK: usize = 128 << 10;

/// Headers and body as the step and the request want them. A pattern stays as it is.
pub(super) fn body(request: &Request<'_>, mut headers: Vec<(String, String)>, body: Body) -> (Vec<(String, String)>, Body) {
    let plain = !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
    let Some(mut encoder) = Encoder::of(request).filter(|_| plain && !matches!(body, Body::Pattern { .. })) else { return (headers, body) };
    headers.extend([("content-encoding", encoder.name()), ("vary", "accept-encoding")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    let body = match body {
        Body::Whole(bytes) => Body::Whole(encoder.end(&bytes)),
        Body::Events(mut events) => {
            let last = events.pop().unwrap_or(Event { bytes: Bytes::new(), content: false });
            let mut events: Vec<Event> = events.into_iter().map(|event| Event { bytes: encoder.flushed(&event.bytes), ..event }).collect();
            events.push(Event { bytes: encoder.end(&last.bytes), ..last });
            Body::Events(events)
        }
        pattern @ Body::Pattern { .. } => pattern,
    };
    (headers, body)
}

enum Encoder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    /// Whether anything was written.
    Brotli(bool),
    Zstd(bool),
}

impl Encoder {
    fn of(request: &Request<'_>) -> Option<Self> {
        let gzip = || Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast())));
        match request.step.encode? {
            Encode::Gzip => Some(gzip()),
            Encode::Br => Some(Self::Brotli(false)),
            Encode::Zstd => Some(Self::Zstd(false)),
            Encode::Accepted => {
                let accepted = request.seen.header("accept-encoding").unwrap_or_default().to_ascii_lowercase();
                accepted.contains("gzip").then(gzip)
            }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Brotli(_) => "br",
            Self::Zstd(_) => "zstd",
        }
    }

    /// These bytes, so that they can be read at once.
    fn flushed(&mut self, bytes: &[u8]) -> Bytes {
        match self {
            Self::Gzip(gzip) => {
                gzip.write_all(bytes).and_then(|()| gzip.flush()).expect("a vector takes whatever is written");
                Bytes::from(std::mem::take(gzip.get_mut()))
            }
            Self::Brotli(begun) => brotli(bytes, begun),
            Self::Zstd(begun) => zstd(bytes, begun),
        }
    }

    fn end(mut self, bytes: &[u8]) -> Bytes {
        let mut end = BytesMut::from(self.flushed(bytes));
        match self {
            Self::Gzip(gzip) => end.put_slice(&gzip.finish().expect("a vector takes whatever is written")),
            // The last block, empty; without any before it after one bit for the window.
            Self::Brotli(begun) => end.put_u8(if begun { 0b11 } else { 0b110 }),
            Self::Zstd(begun) => {
                end.put_slice(if begun { &[] } else { &ZSTD_HEAD });
                end.put_slice(&[1, 0, 0]);
            }
        }
        end.freeze()
    }
}

/// Meta-blocks that are not compressed: a bit for the window in front of the first, one that it is not the last, two for four digits,
/// sixteen for the length, one that it is not compressed.
fn brotli(bytes: &[u8], begun: &mut bool) -> Bytes {
    let mut encoded = BytesMut::new();
    for block in bytes.chunks(BROTLI_BLOCK) {
        let length = u32::try_from(block.len() - 1).expect("a block is 64 KiB at most");
        let bits = (length << 3) | (1 << 19);
        encoded.put_uint_le(u64::from(if *begun { bits } else { bits << 1 }), 3);
        encoded.put_slice(block);
        *begun = true;
    }
    encoded.freeze()
}

/// Raw blocks: a bit for the last one, two for the kind, the length.
fn zstd(bytes: &[u8], begun: &mut bool) -> Bytes {
    let mut encoded = BytesMut::new();
    for block in bytes.chunks(ZSTD_BLOCK) {
        if !*begun {
            encoded.put_slice(&ZSTD_HEAD);
        }
        encoded.put_uint_le(u64::try_from(block.len() << 3).expect("a block is 128 KiB at most"), 3);
        encoded.put_slice(block);
        *begun = true;
    }
    encoded.freeze()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::Encoder;

    fn decoded(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match name {
            "br" => brotli_decompressor::Decompressor::new(bytes, 4096).read_to_end(&mut plain).unwrap(),
            "zstd" => ruzstd::decoding::StreamingDecoder::new(bytes).unwrap().read_to_end(&mut plain).unwrap(),
            _ => flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap(),
        };
        plain
    }

    #[test]
    fn what_is_encoded_piece_by_piece_is_read_by_others_as_it_was() {
        let pieces: Vec<Vec<u8>> =
            [0, 1, 70_000, 300_000, 5].iter().map(|length| (0..*length).map(|at: usize| at.to_le_bytes()[0]).collect()).collect();
        let encoders: [fn() -> Encoder; 3] = [
            || Encoder::Gzip(Box::new(super::GzEncoder::new(Vec::new(), super::Compression::fast()))),
            || Encoder::Brotli(false),
            || Encoder::Zstd(false),
        ];
        for new in encoders {
            let mut encoder = new();
            let name = encoder.name();
            let mut stream: Vec<u8> = pieces.iter().flat_map(|piece| encoder.flushed(piece)).collect();
            stream.extend(encoder.end(b"the end"));
            assert!(decoded(name, &stream) == [pieces.concat(), b"the end".to_vec()].concat(), "{name}");
            assert_eq!(decoded(name, &new().end(b"")), b"", "{name}");
        }
    }
}
