//! What a request asks for, free of dialect. Read in one pass from borrowed bytes; a body that cannot be read gives an empty `Call`.
//! Of a repeated key the last wins, as it does with the model's own server.

use super::{
    Dialect,
    json::Json,
    path,
    prompt::{self, Prompt},
    skim::{NotJson, Skim},
};

/// Longest body that is read, in bytes; a longer one gives an empty `Call`. Reading it keeps a worker busy for some 10 ms.
const BODY_MAX: usize = 8 << 20;

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

impl Call {
    /// Reads a request's body. `path` is the request's path without its query (Gemini names model and streaming there).
    pub fn read(dialect: Dialect, path: &str, body: &[u8]) -> Self {
        let mut call = if body.len() > BODY_MAX { Self::default() } else { Self::read_body(dialect, path, body).unwrap_or_default() };
        if let Some(verb) = path::Verb::of(path).filter(|_| dialect == Dialect::Gemini) {
            call.model = verb.model.or(call.model);
            call.stream = verb.stream;
        }
        call
    }

    fn read_body(dialect: Dialect, path: &str, body: &[u8]) -> Option<Self> {
        let mut skim = Skim::new(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
        let found = Found::read(dialect, &mut skim).ok()?;
        skim.is_at_end().then(|| found.into_call(dialect, path))
    }
}

/// The fields of a request that matter, each as the last of its name said.
#[derive(Default)]
struct Found<'a> {
    model: Option<Json<'a>>,
    stream: Option<Json<'a>>,
    max_tokens: Option<Json<'a>>,
    temperature: Option<Json<'a>>,
    top_p: Option<Json<'a>>,
    settings: Option<Json<'a>>,
    prompt: Option<Prompt>,
    system: Option<u64>,
    tools: Option<u64>,
}

impl<'a> Found<'a> {
    fn read(dialect: Dialect, skim: &mut Skim<'a>) -> Result<Self, NotJson> {
        let mut found = Self::default();
        skim.object(|skim, key| {
            match Field::of(dialect, key) {
                Field::Model => found.model = Json::next(skim)?,
                Field::Stream => found.stream = Json::next(skim)?,
                Field::MaxTokens => found.max_tokens = Json::next(skim)?,
                Field::Temperature => found.temperature = Json::next(skim)?,
                Field::TopP => found.top_p = Json::next(skim)?,
                Field::Settings => found.settings = Json::next(skim)?,
                Field::Prompt => found.prompt = Prompt::read(skim)?,
                Field::System => found.system = prompt::texts(skim)?,
                Field::Tools => found.tools = prompt::tools(skim)?,
                Field::Other => skim.skip()?,
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn into_call(self, dialect: Dialect, path: &str) -> Call {
        let settings = self
            .settings
            .and_then(|settings| settings.fields(["maxOutputTokens", "max_output_tokens", "num_predict", "temperature", "topP", "top_p"]));
        let [camel_max, snake_max, predict, temperature, camel_top_p, snake_top_p] = settings.unwrap_or_default();
        // Ollama streams unless told otherwise, where it can stream at all.
        let streams_by_default = dialect == Dialect::Ollama && !path::is_ollama_embedding(path);
        Call {
            model: self.model.and_then(Json::name),
            stream: self.stream.and_then(Json::flag).unwrap_or(streams_by_default),
            max_tokens: self.max_tokens.or(camel_max).or(snake_max).or(predict).and_then(Json::number),
            temperature: self.temperature.or(temperature).and_then(Json::decimal),
            top_p: self.top_p.or(camel_top_p).or(snake_top_p).and_then(Json::decimal),
            prompt_characters: sum(self.prompt.and_then(|prompt| prompt.characters), self.system),
            prompt_messages: self.prompt.map(|prompt| prompt.messages),
            tools_declared: self.tools,
            ..Call::default()
        }
    }
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

/// What a top-level key of a request means.
enum Field {
    Model,
    Stream,
    MaxTokens,
    Temperature,
    TopP,
    Settings,
    Prompt,
    System,
    Tools,
    Other,
}

impl Field {
    fn of(dialect: Dialect, key: &[u8]) -> Self {
        match (key, dialect) {
            (b"model", _) => Self::Model,
            (b"stream", _) => Self::Stream,
            (b"max_tokens" | b"max_completion_tokens" | b"max_output_tokens", _) => Self::MaxTokens,
            (b"temperature", _) => Self::Temperature,
            (b"top_p", _) => Self::TopP,
            (b"generationConfig" | b"generation_config", Dialect::Gemini) | (b"options", Dialect::Ollama) => Self::Settings,
            (b"messages", Dialect::OpenaiChat | Dialect::AnthropicMessages | Dialect::Ollama)
            | (b"input", Dialect::OpenaiResponses | Dialect::OpenaiEmbeddings | Dialect::Ollama)
            | (b"prompt", Dialect::OpenaiCompletions | Dialect::Ollama)
            | (b"contents" | b"content" | b"requests", Dialect::Gemini) => Self::Prompt,
            (b"system", Dialect::AnthropicMessages | Dialect::Ollama)
            | (b"instructions", Dialect::OpenaiResponses)
            | (b"systemInstruction" | b"system_instruction", Dialect::Gemini) => Self::System,
            (b"tools" | b"functions", _) => Self::Tools,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests;
