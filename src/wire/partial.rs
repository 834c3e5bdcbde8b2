//! What is kept of an event between two chunks: at most one event, at most 1 MiB. An event that lies whole in its chunk is never copied.

/// Longest event that is read, in bytes. A longer one is passed over; only its end is looked for.
pub(super) const EVENT_MAX: usize = 1 << 20;

/// What may stay allocated between events, in bytes, so that one large event does not weigh on a stream for good.
const IDLE_MAX: usize = 16 << 10;

/// Empties a buffer, and gives back what an unusual event made it grow to.
pub(super) fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(IDLE_MAX);
}

/// The beginning of an event whose end has not come yet.
#[derive(Debug, Default)]
pub(super) struct Partial {
    kept: Vec<u8>,
    too_long: bool,
}

impl Partial {
    /// Keeps a further piece of an event that goes on.
    pub(super) fn keep(&mut self, piece: &[u8]) {
        if self.too_long || self.kept.len() + piece.len() > EVENT_MAX {
            self.too_long = true;
            self.kept = Vec::new();
        } else {
            self.kept.extend_from_slice(piece);
        }
    }

    /// Hands over the whole event that ends with this piece, or `None` in place of one that is too long, and starts anew.
    pub(super) fn complete(&mut self, last: &[u8], each: impl FnOnce(Option<&[u8]>)) {
        if self.kept.is_empty() && !self.too_long {
            return each((last.len() <= EVENT_MAX).then_some(last));
        }
        self.keep(last);
        each((!self.too_long).then_some(&self.kept));
        empty(&mut self.kept);
        self.too_long = false;
    }
}
