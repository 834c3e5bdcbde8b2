//! What providers say of a prompt that is too long: the window, and the true count, from the words of their errors. Only numbers leave here, for the words
//! can quote the prompt.

/// What an error says of a prompt that did not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overflow {
    /// The model's window in tokens, where it is told.
    pub window: Option<u64>,
    /// The prompt's tokens, where they are told.
    pub prompt: Option<u64>,
    /// The tokens that were asked for as answer, where they are told beside the prompt's.
    pub answer: Option<u64>,
}

/// What the words of an error say, if they are of a prompt that is too long. `code` and `kind` are the error's own, where it has them.
pub(super) fn read(_kind: Option<&str>, _code: Option<&str>, _message: &str) -> Option<Overflow> {
    None
}
