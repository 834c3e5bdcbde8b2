//! What a request asks for, free of dialect. A body that cannot be read gives an empty `Call`. Of a repeated key the last wins, as it does with the
//! model's own server.

/// Most texts that end an answer which are kept.
pub(super) const STOPS_MAX: usize = 16;

/// What a request asks for. Absent stays absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call {
    /// The model asked for (from the body, or from the path for Gemini). A name beyond 256 bytes is absent.
    pub model: Option<String>,
    /// Whether the answer is asked for as a stream.
    pub stream: bool,
    /// The largest answer asked for, in tokens.
    pub max_tokens: Option<u64>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Characters (Unicode scalar values) of all texts of the prompt: system texts, messages, tool calls with their arguments, tool results.
    /// Declarations of tools, images and other encoded data are not counted.
    pub prompt_characters: Option<u64>,
    /// Of about so many characters of plain English it would have as many tokens: figures, and scripts other than Latin, weigh more.
    pub prompt_weight: Option<u64>,
    /// Messages of the prompt (system texts that stand beside the messages are none).
    pub prompt_messages: Option<u64>,
    /// Tools declared.
    pub tools_declared: Option<u64>,
    /// The most likely tokens that are sampled from.
    pub top_k: Option<f64>,
    /// Penalty of frequent tokens.
    pub frequency_penalty: Option<f64>,
    /// Penalty of tokens that were there before.
    pub presence_penalty: Option<f64>,
    /// The seed of sampling.
    pub seed: Option<i64>,
    /// Texts that end the answer; at most 16 of at most 256 bytes.
    pub stop_sequences: Vec<String>,
    /// Choices asked for.
    pub choices: Option<u64>,
    /// The kind of answer asked for.
    pub output_type: Option<OutputType>,
    /// `service_tier`, where `OpenAI` is asked for one.
    pub service_tier: Option<String>,
    /// `stream_options.include_usage`, as it was sent.
    pub include_usage: Option<bool>,
    /// What the provider is to continue: `previous_response_id` or `conversation` of the Responses API.
    pub continues: Option<String>,
}

/// The beginning of a prompt, as the provider has counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// As [`Call::prompt_weight`] says it.
    pub weight: u64,
    /// Tokens.
    pub tokens: u64,
}

/// `gen_ai.output.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputType {
    /// Free text, where that is asked for in so many words.
    Text,
    /// JSON, by a schema or not.
    Json,
    /// Pictures.
    Image,
    /// Sound.
    Speech,
}
