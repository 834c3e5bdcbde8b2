//! What a request asks for, free of dialect. Read from borrowed bytes; a body that cannot be read gives an empty `Call`.

use super::Dialect;

/// What a request asks for. Absent stays absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call {
    /// The model asked for (from the body, or from the path for Gemini).
    pub model: Option<String>,
    /// Whether the answer is asked for as a stream.
    pub stream: bool,
    /// The largest answer asked for, in tokens.
    pub max_tokens: Option<u64>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Characters (Unicode scalar values) of all texts of the prompt.
    pub prompt_characters: Option<u64>,
    /// Messages of the prompt.
    pub prompt_messages: Option<u64>,
    /// Tools declared.
    pub tools_declared: Option<u64>,
}

impl Call {
    /// Reads a request's body. `path` is the request's path without its query (Gemini names model and streaming there).
    pub fn read(dialect: Dialect, path: &str, body: &[u8]) -> Self {
        let _ = (dialect, path, body);
        Self::default()
    }
}
