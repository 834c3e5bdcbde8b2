//! The blocks of zstd frames (RFC 8878 §3.1.1), found in bytes that are split anywhere and decoded one by one: a block is whole before it is decoded,
//! and no more than one is decoded before what it gave is taken.

use ruzstd::{
    decoding::{BlockDecodingStrategy, FrameDecoder},
    io::Read as _,
};

use super::decoding::{STEP, Undecodable};

/// Largest window, in bytes: what HTTP's `zstd` may ask of a reader (RFC 9659).
const WINDOW_MAX: u64 = 8 << 20;
/// Largest block, in bytes.
const BLOCK_MAX: usize = 128 << 10;
/// The head of a block.
const BLOCK_HEAD: usize = 3;
/// The magic number and the descriptor, by which the rest of a frame's head is known.
const FRAME_HEAD: usize = 5;

/// The decoder of one body.
pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// What is there of the head or block that comes next.
    pending: Vec<u8>,
    output: Vec<u8>,
    /// Whether a frame has begun, and whether a checksum stands behind its last block.
    frame: Option<bool>,
    frames: u64,
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_MAX);
        Self { decoder, pending: Vec::new(), output: vec![0; STEP], frame: None, frames: 0 }
    }

    /// Whether all frames have ended and were given out.
    pub(super) fn is_finished(&self) -> bool {
        self.frames > 0 && self.frame.is_none() && self.pending.is_empty() && self.decoder.can_collect() == 0
    }

    /// Takes some of `bytes`, or gives some of what they stand for, or both.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<(usize, &[u8]), Undecodable> {
        let mut taken = 0;
        while self.decoder.can_collect() == 0 {
            let need = self.need()?;
            let missing = need.saturating_sub(self.pending.len()).min(bytes.len() - taken);
            self.pending.extend_from_slice(&bytes[taken..taken + missing]);
            taken += missing;
            if self.pending.len() < need {
                return Ok((taken, &[]));
            }
            // With its head there, a piece may turn out to be longer.
            if self.need()? == need {
                self.decode()?;
            }
        }
        let given = self.decoder.read(&mut self.output)?;
        Ok((taken, self.output.get(..given).unwrap_or_default()))
    }

    /// How long the piece that comes next is, as far as can be told from what is there of it.
    fn need(&self) -> Result<usize, Undecodable> {
        let Some(checksum) = self.frame else {
            return Ok(self.pending.get(FRAME_HEAD - 1).map_or(FRAME_HEAD, |descriptor| FRAME_HEAD + rest_of_head(*descriptor)));
        };
        let Some(&[low, mid, high]) = self.pending.first_chunk::<BLOCK_HEAD>() else { return Ok(BLOCK_HEAD) };
        let head = u32::from_le_bytes([low, mid, high, 0]);
        let stated = usize::try_from(head >> 3).map_err(|_| Undecodable::Broken)?;
        let (is_last, kind) = (head & 1 == 1, head >> 1 & 3);
        // A run of one byte is stated by its length, and is that byte.
        let content = if kind == 1 { 1 } else { stated };
        if stated > BLOCK_MAX {
            return Err(Undecodable::Broken);
        }
        Ok(BLOCK_HEAD + content + if is_last && checksum { 4 } else { 0 })
    }

    /// Decodes the piece, which is whole.
    fn decode(&mut self) -> Result<(), Undecodable> {
        if self.frame.is_none() {
            self.decoder.reset(self.pending.as_slice()).map_err(|_| Undecodable::Broken)?;
            self.frame = Some(self.pending[FRAME_HEAD - 1] & 4 != 0);
        } else {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            if self.decoder.decode_blocks(self.pending.as_slice(), one).map_err(|_| Undecodable::Broken)? {
                self.frame = None;
                self.frames += 1;
            }
        }
        self.pending.clear();
        Ok(())
    }
}

/// The length of a frame's head behind its descriptor: window, dictionary id, content size.
fn rest_of_head(descriptor: u8) -> usize {
    let is_single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match descriptor >> 6 {
        0 => usize::from(is_single),
        shift => 1 << shift,
    };
    usize::from(!is_single) + dictionary + size
}
