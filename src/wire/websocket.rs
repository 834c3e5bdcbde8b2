//! Where the frames of a WebSocket begin (RFC 6455 §5.2), and whether one of them closed it. Payloads are not looked at, and nothing is refused.

/// A close frame of a server: 1001, going away.
pub const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xE9];
/// The same of a client, whose frames are masked: by a mask of zeros, for nothing of a page's choice is in it.
pub const GOING_AWAY_MASKED: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9];

/// The opcode of a close frame.
const CLOSE: u8 = 8;

/// Follows the frames of one direction, wherever its bytes are split.
#[derive(Debug, Default)]
pub struct Frames {
    /// The head of the frame that has begun, as far as it is there.
    head: [u8; 14],
    have: usize,
    /// Bytes of payload still to come.
    left: u64,
    closed: bool,
}

impl Frames {
    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let skip = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= u64::try_from(skip).unwrap_or(self.left);
                bytes = &bytes[skip..];
                continue;
            }
            self.head[self.have] = *first;
            self.have += 1;
            bytes = rest;
            if let Some(length) = self.payload() {
                self.closed = self.head[0] & 0x0F == CLOSE;
                (self.left, self.have) = (length, 0);
            }
        }
    }

    /// Whether the bytes so far end with a whole frame.
    pub fn at_boundary(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Whether the last frame was whole and a close frame, after which nothing may come.
    pub fn has_closed(&self) -> bool {
        self.closed && self.at_boundary()
    }

    /// The payload's length, once the head is whole.
    fn payload(&self) -> Option<u64> {
        if self.have < 2 {
            return None;
        }
        let (length, mask) = (self.head[1] & 0x7F, if self.head[1] & 0x80 == 0 { 0 } else { 4 });
        let extended = match length {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.have < 2 + extended + mask {
            return None;
        }
        let stated = &self.head[2..2 + extended];
        Some(if extended == 0 { u64::from(length) } else { stated.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, masked: bool, payload: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match payload {
            0..126 => frame.push(mask | u8::try_from(payload).unwrap()),
            126..65536 => {
                frame.push(mask | 0x7E);
                frame.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 0x7F);
                frame.extend(u64::try_from(payload).unwrap().to_be_bytes());
            }
        }
        frame.extend([0x88; 4].iter().filter(|_| masked));
        frame.resize(frame.len() + payload, 0x88);
        frame
    }

    #[test]
    fn boundaries_are_found_however_the_bytes_are_split() {
        let frames: Vec<_> =
            [0, 1, 125, 126, 127, 65_535, 65_536].into_iter().flat_map(|size| [frame(1, false, size), frame(2, true, size)]).collect();
        for step in [1, 2, 3, 7, 4096, usize::MAX] {
            let mut reader = Frames::default();
            for frame in &frames {
                assert!(reader.at_boundary());
                let (last, all) = (frame.len() - 1, frame.chunks(step.min(frame.len())));
                all.for_each(|part| reader.feed(part));
                assert!(reader.at_boundary() && !reader.has_closed(), "{last} {step}");
                reader.feed(&frame[..last]);
                assert!(!reader.at_boundary(), "{last} {step}");
                reader.feed(&frame[last..]);
            }
            reader.feed(&frames.concat());
            assert!(reader.at_boundary());
        }
    }

    #[test]
    fn a_close_frame_is_seen_and_so_is_our_own() {
        for close in [frame(8, false, 0), frame(8, true, 40), GOING_AWAY.to_vec(), GOING_AWAY_MASKED.to_vec()] {
            let mut reader = Frames::default();
            reader.feed(&frame(1, true, 300));
            assert!(!reader.has_closed());
            reader.feed(&close);
            assert!(reader.has_closed() && reader.at_boundary());
            reader.feed(&frame(2, false, 1));
            assert!(!reader.has_closed());
        }
    }

    #[test]
    fn a_length_beyond_all_bounds_ends_nothing() {
        let mut reader = Frames::default();
        reader.feed(&[0x82, 0xFF]);
        reader.feed(&[0xFF; 12]);
        reader.feed(&vec![0; 1 << 16]);
        assert!(!reader.at_boundary());
    }
}
