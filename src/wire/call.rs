//! What a request asks for, free of dialect. Read in one pass from borrowed bytes; a body that cannot be read gives an empty `Call`.
//! Of a repeated key the last wins, as it does with the model's own server.

use serde::de::{IgnoredAny, MapAccess};

use super::{
    Dialect,
    json::{self, Json, Key, Take, Taken},
    path,
    prompt::{Prompt, Texts, Tools},
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
        let text = String::from_utf8_lossy(body);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        // A prompt that is valid JSON but cannot be decoded (half a surrogate pair, nested too deep) must not hide the model.
        let asked =
            json::read(text, Taken(Asked { dialect, count: true })).or_else(|| json::read(text, Taken(Asked { dialect, count: false }))).flatten()?;
        Some(asked.into_call(dialect, path))
    }
}

/// Reads the fields of a request. Without `count` no text is decoded, so that whatever is valid JSON can be read.
struct Asked {
    dialect: Dialect,
    count: bool,
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

impl<'de> Take<'de> for Asked {
    type Value = Option<Found<'de>>;

    fn nothing(self) -> Self::Value {
        None
    }

    fn fields<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::default();
        while let Some(key) = map.next_key_seed(Key)? {
            match Field::of(self.dialect, &key) {
                Field::Model => found.model = json::value(&mut map)?,
                Field::Stream => found.stream = json::value(&mut map)?,
                Field::MaxTokens => found.max_tokens = json::value(&mut map)?,
                Field::Temperature => found.temperature = json::value(&mut map)?,
                Field::TopP => found.top_p = json::value(&mut map)?,
                Field::Settings => found.settings = json::value(&mut map)?,
                Field::Prompt if self.count => found.prompt = map.next_value_seed(Taken(Prompt::default()))?,
                Field::System if self.count => found.system = map.next_value_seed(Taken(Texts::All))?,
                Field::Tools if self.count => found.tools = map.next_value_seed(Taken(Tools))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(found))
    }
}

impl Found<'_> {
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
