//! The arguments of a tool call, put together from pieces within bounds, and the mark by which they are known: blanks between the tokens of
//! JSON do not count for it, so that the same arguments have the same mark however they were written and split.

use super::{Data, TextMark, mark::Marker, skim};

/// Longest arguments of one call that are kept, in bytes.
const CALL_MAX: usize = 64 << 10;
/// Longest arguments of all calls of an answer together, in bytes.
const ALL_MAX: usize = 256 << 10;

impl Data<'_> {
    /// What it is known by. The same JSON has the same mark, quoted or plain, whatever the blanks between its tokens.
    pub fn mark(self) -> TextMark {
        let mut tokens = Tokens::default();
        match self {
            Self::Quoted(text) => skim::unescape(text.raw(), |piece| tokens.add(piece)),
            Self::Plain(json) => tokens.add(json),
        }
        tokens.marker.mark()
    }
}

/// What the calls of an answer may still keep.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(ALL_MAX)
    }
}

/// Arguments that are being told.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// As JSON, or escaped where it is a free text.
    kept: Vec<u8>,
    tokens: Tokens,
    form: Form,
}

#[derive(Debug, Default, PartialEq)]
enum Form {
    /// JSON, told in pieces or at once.
    #[default]
    Json,
    /// JSON, that holds unless pieces follow.
    Initial,
    /// A text that is no JSON.
    Free,
    /// Longer than the bounds, or told in a way that is not read: known by their mark alone.
    Lost,
}

impl Arguments {
    /// The next piece, as it stands between quotes.
    pub(super) fn go_on(&mut self, raw: &[u8], budget: &mut Budget) {
        if raw.is_empty() {
            return;
        }
        if self.form == Form::Initial {
            self.forget(budget);
        }
        skim::unescape(raw, |piece| {
            self.tokens.add(piece);
            self.keep(piece, budget);
        });
    }

    /// All of it, as it stands between quotes; instead of what was told so far. None at all adds nothing to that.
    pub(super) fn replace(&mut self, raw: &[u8], budget: &mut Budget) {
        if !raw.is_empty() {
            self.forget(budget);
            self.go_on(raw, budget);
        }
    }

    /// All of it, as JSON itself.
    pub(super) fn replace_plain(&mut self, json: &[u8], budget: &mut Budget) {
        self.forget(budget);
        self.tokens.add(json);
        self.keep(json, budget);
    }

    /// JSON itself, that holds unless pieces follow.
    pub(super) fn begin_with(&mut self, json: &[u8], budget: &mut Budget) {
        self.replace_plain(json, budget);
        if self.form == Form::Json {
            self.form = Form::Initial;
        }
    }

    /// The next piece of a text that is no JSON, as it stands between quotes.
    pub(super) fn free_text(&mut self, raw: &[u8], budget: &mut Budget) {
        if self.form == Form::Json && self.kept.is_empty() {
            self.form = Form::Free;
        }
        skim::unescape(raw, |piece| self.tokens.marker.add(piece));
        self.keep(raw, budget);
    }

    /// What was told so far does not hold.
    pub(super) fn forget(&mut self, budget: &mut Budget) {
        budget.0 += self.kept.len();
        *self = Self::default();
    }

    /// They are not kept.
    pub(super) fn give_up(&mut self, budget: &mut Budget) {
        budget.0 += self.kept.len();
        self.kept = Vec::new();
        self.form = Form::Lost;
    }

    /// The arguments as JSON, if they were kept, and their mark.
    pub(super) fn settle(self) -> (Option<String>, TextMark) {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let kept = match self.form {
            Form::Lost => None,
            Form::Free => Some(format!("\"{}\"", text(self.kept))),
            Form::Json | Form::Initial => Some(text(self.kept)),
        };
        (kept, self.tokens.marker.mark())
    }

    fn keep(&mut self, piece: &[u8], budget: &mut Budget) {
        if self.form == Form::Lost {
            return;
        }
        if piece.len() > budget.0 || self.kept.len() + piece.len() > CALL_MAX {
            return self.give_up(budget);
        }
        budget.0 -= piece.len();
        self.kept.extend_from_slice(piece);
    }
}

/// Marks JSON without the blanks between its tokens.
#[derive(Debug, Default)]
struct Tokens {
    marker: Marker,
    in_text: bool,
    escaping: bool,
}

impl Tokens {
    fn add(&mut self, piece: &[u8]) {
        let mut start = 0;
        for (at, byte) in piece.iter().enumerate() {
            if self.in_text {
                match byte {
                    _ if self.escaping => self.escaping = false,
                    b'\\' => self.escaping = true,
                    b'"' => self.in_text = false,
                    _ => {}
                }
            } else if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                self.marker.add(&piece[start..at]);
                start = at + 1;
            } else {
                self.in_text = *byte == b'"';
            }
        }
        self.marker.add(&piece[start..]);
    }
}
