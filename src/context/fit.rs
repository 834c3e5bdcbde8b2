//! Makes a prompt fit its model's window: finds the room, counts, plans, splices. What is too short to overflow is neither parsed nor counted.

use std::ops::Range;

use bytes::Bytes;
use tokio::time::Instant;

use super::Models;
use crate::wire::{Call, Dialect, Overflow};

/// Whose prompt is to fit, and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The dialect.
    pub dialect: Dialect,
    /// The request's path, without its query.
    pub path: &'a str,
    /// `gen_ai.provider.name`.
    pub provider: Option<&'a str>,
    /// The upstream's name: what is learnt of a window is learnt of this upstream's.
    pub upstream: &'a str,
    /// What it asks for.
    pub call: &'a Call,
}

/// The window of a model, and what of it is for the prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Tokens.
    pub tokens: u64,
    /// Tokens of them that are kept for the answer.
    pub answer: u64,
    /// Who says so.
    pub origin: Origin,
}

/// Who says how large a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The bundled table.
    Table,
    /// `context.windows` of the config.
    Config,
    /// An error or an answer of the upstream.
    Learnt,
    /// The request itself (Ollama's `num_ctx`).
    Request,
}

/// What became of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Fit {
    /// It goes as it came. With its tokens, where they were counted.
    Untouched(Option<Counted>),
    /// It was trimmed.
    Trimmed(Box<Trimmed>),
    /// It cannot be made to fit.
    TooLarge(TooLarge),
}

/// A prompt's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Tokens.
    pub tokens: u64,
    /// Whether the model's own tokenizer has counted all of it.
    pub is_exact: bool,
}

/// A prompt that was trimmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trimmed {
    /// The body that goes up.
    pub body: Bytes,
    /// Where its list of messages lies, without its brackets.
    pub list: Range<usize>,
    /// Messages that were left out.
    pub messages: u64,
    /// Texts that were shortened.
    pub texts: u64,
    /// Tokens that were taken away.
    pub tokens: u64,
    /// Tokens that are left.
    pub left: Counted,
}

/// A prompt that cannot be made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// Its tokens as they came.
    pub tokens: u64,
    /// No less than so many would be left.
    pub least: u64,
    /// The window, and what of it is kept for the answer.
    pub window: u64,
    /// Tokens asked for as answer.
    pub answer: u64,
}

impl Models {
    /// The window of the model that is asked; `None` where nobody knows it.
    pub fn window(&self, asked: Asked<'_>, _now: Instant) -> Option<Window> {
        let model = self.find(asked.provider, asked.call.model.as_deref()?)?;
        Some(Window { tokens: model.window?, answer: 0, origin: Origin::Table })
    }

    /// Whether a body of so many bytes may be more than fits: no byte is more than one token. Costs a look into a table.
    pub fn may_overflow(&self, _asked: Asked<'_>, _length: usize, _now: Instant) -> bool {
        false
    }

    /// Makes the prompt fit, trimming it down to `target` of the window at most in one step. With `after`, the upstream has just said that it did not. Takes
    /// up to some 100 ms of a processor: not for a worker of the runtime.
    pub fn fit(&self, _asked: Asked<'_>, _body: &Bytes, _target: f64, _after: Option<Overflow>, _now: Instant) -> Fit {
        Fit::Untouched(None)
    }

    /// The upstream has said that a prompt did not fit.
    pub fn overflowed(&self, _asked: Asked<'_>, _overflow: Overflow, _now: Instant) {}
}
