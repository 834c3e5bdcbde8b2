//! Counts what an HTTP/2 agent says without asking anything: PING, SETTINGS, PRIORITY and frames of no known kind. h2 answers or drops each, at a cost,
//! and bounds them by nothing; what a flood of the other frames may cost, it bounds itself.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes in front of each frame (RFC 9113 §4.1).
const HEADER: usize = 9;
/// As many of them may come at once …
const BURST: u32 = 10_000;
/// … and one more in each such time. Clients that measure a path ping some hundred times a second.
const EARNED: Duration = Duration::from_millis(1);

/// What a connection that is flooded is told: GOAWAY, any stream may have been seen, `ENHANCE_YOUR_CALM`.
pub(super) const CALM: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 11];

/// Follows the frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; HEADER],
    /// Bytes of the header so far.
    known: usize,
    /// Bytes of a payload (or the preface) still to be passed over.
    passing: usize,
    allowed: u32,
    counted: Instant,
}

impl Frames {
    /// From the first byte of a connection, whose preface is so long.
    pub(super) fn new(preface: usize, now: Instant) -> Self {
        Self { header: [0; HEADER], known: 0, passing: preface, allowed: BURST, counted: now }
    }

    /// Follows these bytes; false if it is a flood by now.
    pub(super) fn follow(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        let mut idle = 0;
        while !bytes.is_empty() {
            if self.passing > 0 {
                let passed = self.passing.min(bytes.len());
                self.passing -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            let wanted = (HEADER - self.known).min(bytes.len());
            let (taken, rest) = bytes.split_at(wanted);
            for (to, from) in self.header.iter_mut().skip(self.known).zip(taken) {
                *to = *from;
            }
            (self.known, bytes) = (self.known + wanted, rest);
            if self.known == HEADER {
                let [high, middle, low, kind, ..] = self.header;
                self.passing = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.known = 0;
                // DATA, HEADERS, RST_STREAM, PUSH_PROMISE, GOAWAY, WINDOW_UPDATE and CONTINUATION have bounds of their own.
                idle += u32::from(!matches!(kind, 0 | 1 | 3 | 5 | 7 | 8 | 9));
            }
        }
        idle == 0 || self.spend(idle, now)
    }

    fn spend(&mut self, frames: u32, now: Instant) -> bool {
        let earned = (now - self.counted).as_millis() / EARNED.as_millis();
        self.counted = now;
        self.allowed = self.allowed.saturating_add(u32::try_from(earned).unwrap_or(BURST)).min(BURST);
        let left = self.allowed.checked_sub(frames);
        self.allowed = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        [&[0, 0, length, kind, 0, 0, 0, 0, 0][..], &vec![6; usize::from(length)]].concat()
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let bytes: Vec<u8> = [vec![4; 24], frame(4, 18), frame(1, 5), frame(6, 8), frame(0, 200), frame(6, 8), frame(0xbe, 0)].concat();
        for size in [1, 2, 7, 9, 10, 500] {
            let now = Instant::now();
            let mut frames = Frames::new(24, now);
            assert!(bytes.chunks(size).all(|piece| frames.follow(piece, now)));
            assert_eq!((BURST - frames.allowed, frames.passing, frames.known), (4, 0, 0), "by {size}");
        }
    }

    #[test]
    fn a_flood_is_told_from_a_rate_that_can_be_kept() {
        let now = Instant::now();
        let mut frames = Frames::new(0, now);
        let pings = frame(6, 8).repeat(100);
        assert!((0..100).all(|_| frames.follow(&pings, now)), "a burst of {BURST}");
        assert!(!frames.follow(&frame(6, 8), now));
        assert!((1..100).all(|tenth| frames.follow(&pings, now + Duration::from_millis(100) * tenth)), "1,000 a second");
        let data = frame(0, 100).repeat(1000);
        assert!((0..100).all(|_| frames.follow(&data, now + Duration::from_secs(10))), "what asks for something is counted by others");
    }
}
