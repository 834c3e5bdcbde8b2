//! Decodes a copy of compressed bytes as they pass: gzip, deflate, brotli, zstd. What it gives out, holds and works through is bounded,
//! and a decoder that fails, in whatever way, ends the reading and nothing else.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::write::{MultiGzDecoder, ZlibDecoder};

use super::zstd::Zstd;

/// Decoded bytes for each encoded one, beyond which nobody means to be read. Text that a model wrote comes to 3 to 20.
const RATIO_MAX: u64 = 100;
/// So much is decoded whatever the ratio, in bytes: what is small may be as dense as it likes.
const RATIO_FREE: u64 = 1 << 20;
/// What one step gives out at most, in bytes. (flate2's own buffer is twice that.)
pub(super) const STEP: usize = 16 << 10;

/// Why decoding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// Not what its name says, or broken off.
    Broken,
    /// Denser than [`RATIO_MAX`].
    Bomb,
}

impl From<io::Error> for Undecodable {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// The decoder of one body.
pub(super) struct Decoding {
    coding: Coding,
    encoded: u64,
    decoded: u64,
}

enum Coding {
    Gzip(MultiGzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    output: Vec<u8>,
    finished: bool,
}

impl Decoding {
    /// For a `content-encoding`, if it is one that can be decoded. More than one after the other is none.
    pub(super) fn of(encoding: &str) -> Option<Self> {
        let encoding = encoding.trim();
        let coding = if encoding.eq_ignore_ascii_case("gzip") || encoding.eq_ignore_ascii_case("x-gzip") {
            Coding::Gzip(MultiGzDecoder::new(Vec::new()))
        } else if encoding.eq_ignore_ascii_case("deflate") {
            Coding::Deflate(ZlibDecoder::new(Vec::new()))
        } else if encoding.eq_ignore_ascii_case("br") {
            Coding::Brotli(Box::new(Brotli::new()))
        } else if encoding.eq_ignore_ascii_case("zstd") {
            Coding::Zstd(Box::new(Zstd::new()))
        } else {
            return None;
        };
        Some(Self { coding, encoded: 0, decoded: 0 })
    }

    /// Whether what it is fed comes out only when more of it has come: then nothing may wait for it.
    pub(super) fn is_late(&self) -> bool {
        matches!(self.coding, Coding::Zstd(_))
    }

    /// Takes the next bytes, and gives what they stand for to `each`, which says whether it wants more.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> bool) -> Result<(), Undecodable> {
        self.encoded += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let most = self.encoded.saturating_mul(RATIO_MAX).max(RATIO_FREE);
        let mut rest = bytes;
        loop {
            let coding = &mut self.coding;
            let (taken, plain) = guarded(move || coding.step(rest))??;
            let is_last = taken == 0 && plain.is_empty();
            rest = rest.get(taken..).unwrap_or_default();
            self.decoded += u64::try_from(plain.len()).unwrap_or(u64::MAX);
            if self.decoded > most {
                return Err(Undecodable::Bomb);
            }
            if is_last || !plain.is_empty() && !each(plain) {
                return Ok(());
            }
        }
    }

    /// Whether the body ended where its coding ends, or there was none.
    pub(super) fn is_finished(&mut self) -> bool {
        if self.encoded == 0 {
            return true;
        }
        guarded(|| match &mut self.coding {
            Coding::Gzip(gzip) => gzip.try_finish().is_ok(),
            Coding::Deflate(deflate) => deflate.try_finish().is_ok(),
            Coding::Brotli(brotli) => brotli.finished,
            Coding::Zstd(zstd) => zstd.is_finished(),
        })
        .unwrap_or(false)
    }
}

/// Runs a decoder. None of them is ours, and what they read is anybody's: a panic in one must not end what it only watches.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Undecodable> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Undecodable::Broken)
}

impl Coding {
    /// Takes some of `bytes`, or gives some of what they stand for, or both. Neither: nothing more can be done with these bytes.
    fn step(&mut self, bytes: &[u8]) -> Result<(usize, &[u8]), Undecodable> {
        match self {
            Self::Gzip(gzip) => {
                gzip.get_mut().clear();
                let taken = write_or_flush(gzip, bytes)?;
                Ok((taken, gzip.get_ref()))
            }
            Self::Deflate(deflate) => {
                deflate.get_mut().clear();
                let taken = write_or_flush(deflate, bytes)?;
                Ok((taken, deflate.get_ref()))
            }
            Self::Brotli(brotli) => brotli.step(bytes),
            Self::Zstd(zstd) => zstd.step(bytes),
        }
    }
}

/// What was written is given out by the next write, or by a flush.
fn write_or_flush(decoder: &mut impl io::Write, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        decoder.flush()?;
    }
    decoder.write(bytes)
}

impl Brotli {
    fn new() -> Self {
        let mut state = BrotliState::new(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
        // Windows beyond 16 MiB are no part of HTTP's `br`.
        state.large_window = false;
        Self { state, output: vec![0; STEP], finished: false }
    }

    fn step(&mut self, bytes: &[u8]) -> Result<(usize, &[u8]), Undecodable> {
        if self.finished {
            return Ok((0, &[]));
        }
        let (mut left, mut taken, mut room, mut given, mut sum) = (bytes.len(), 0, self.output.len(), 0, 0);
        let result = BrotliDecompressStream(&mut left, &mut taken, bytes, &mut room, &mut given, &mut self.output, &mut sum, &mut self.state);
        match result {
            BrotliResult::ResultFailure => return Err(Undecodable::Broken),
            BrotliResult::ResultSuccess => self.finished = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok((taken, self.output.get(..given).unwrap_or_default()))
    }
}

impl fmt::Debug for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoding").field("encoded", &self.encoded).field("decoded", &self.decoded).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
