//! The settings of a request: which of its fields mean what in which dialect, and what they say once all are known.

use super::{
    Call, Dialect, OutputType,
    call::STOPS_MAX,
    json::Json,
    skim::{NotJson, Skim},
};

/// The fields that set something, each as the last of its name said.
#[derive(Debug, Default)]
pub(super) struct Settings<'a> {
    model: Option<Json<'a>>,
    stream: Option<Json<'a>>,
    stream_options: Option<Json<'a>>,
    max_tokens: Option<Json<'a>>,
    temperature: Option<Json<'a>>,
    top_p: Option<Json<'a>>,
    top_k: Option<Json<'a>>,
    frequency_penalty: Option<Json<'a>>,
    presence_penalty: Option<Json<'a>>,
    seed: Option<Json<'a>>,
    stop: Option<Json<'a>>,
    choices: Option<Json<'a>>,
    /// An object with a `type`, or that type; Ollama's may be a schema.
    format: Option<Json<'a>>,
    /// An object that holds such a `format`.
    format_within: Option<Json<'a>>,
    media_type: Option<Json<'a>>,
    modalities: Option<Json<'a>>,
    service_tier: Option<Json<'a>>,
    previous: Option<Json<'a>>,
    conversation: Option<Json<'a>>,
    /// Gemini's `generationConfig`, Ollama's `options`.
    nested: Option<Json<'a>>,
}

impl<'a> Settings<'a> {
    /// Reads the value of a key, or passes over it if it sets nothing.
    pub(super) fn read(&mut self, dialect: Dialect, key: &[u8], skim: &mut Skim<'a>) -> Result<(), NotJson> {
        match self.slot(dialect, key) {
            Some(slot) => *slot = Json::next(skim)?,
            None => skim.skip()?,
        }
        Ok(())
    }

    /// What is asked for; whether as a stream only where that is said.
    pub(super) fn say(&self, dialect: Dialect) -> (Call, Option<bool>) {
        let nested = self.nested.map(Self::nested).unwrap_or_default();
        let decimal = |one: Option<Json<'a>>, other: Option<Json<'a>>| one.or(other).and_then(Json::decimal);
        let [usage] = self.stream_options.and_then(|options| options.fields(["include_usage"])).unwrap_or_default();
        let call = Call {
            model: self.model.and_then(Json::name),
            max_tokens: self.max_tokens.or(nested.max_tokens).and_then(Json::number),
            temperature: decimal(self.temperature, nested.temperature),
            top_p: decimal(self.top_p, nested.top_p),
            top_k: decimal(self.top_k, nested.top_k),
            frequency_penalty: decimal(self.frequency_penalty, nested.frequency_penalty),
            presence_penalty: decimal(self.presence_penalty, nested.presence_penalty),
            seed: self.seed.or(nested.seed).and_then(Json::integer),
            stop_sequences: self.stop.or(nested.stop).map(stops).unwrap_or_default(),
            choices: self.choices.or(nested.choices).and_then(Json::number),
            output_type: self.output_type(dialect, &nested),
            service_tier: self.service_tier.and_then(Json::name),
            include_usage: usage.and_then(Json::flag),
            continues: self.previous.and_then(Json::name).or_else(|| self.conversation.and_then(conversation)),
            ..Call::default()
        };
        (call, self.stream.and_then(Json::flag))
    }

    fn slot(&mut self, dialect: Dialect, key: &[u8]) -> Option<&mut Option<Json<'a>>> {
        use Dialect::{AnthropicMessages, Gemini, Ollama, OpenaiChat, OpenaiCompletions, OpenaiEmbeddings, OpenaiResponses};
        Some(match (key, dialect) {
            (b"model", _) => &mut self.model,
            (b"stream", _) => &mut self.stream,
            (b"max_tokens" | b"max_completion_tokens" | b"max_output_tokens", _) => &mut self.max_tokens,
            (b"temperature", _) => &mut self.temperature,
            (b"top_p", _) => &mut self.top_p,
            (b"top_k", _) => &mut self.top_k,
            (b"frequency_penalty", _) => &mut self.frequency_penalty,
            (b"presence_penalty", _) => &mut self.presence_penalty,
            (b"seed", _) => &mut self.seed,
            (b"stop" | b"stop_sequences", _) => &mut self.stop,
            (b"stream_options", OpenaiChat | OpenaiCompletions | OpenaiResponses) => &mut self.stream_options,
            (b"n", OpenaiChat | OpenaiCompletions) => &mut self.choices,
            (b"response_format", OpenaiChat) | (b"output_format", AnthropicMessages) | (b"format", Ollama) => &mut self.format,
            (b"text", OpenaiResponses) | (b"output_config", AnthropicMessages) => &mut self.format_within,
            (b"modalities", OpenaiChat) => &mut self.modalities,
            (b"service_tier", OpenaiChat | OpenaiResponses | OpenaiCompletions | OpenaiEmbeddings) => &mut self.service_tier,
            (b"previous_response_id", OpenaiResponses) => &mut self.previous,
            (b"conversation", OpenaiResponses) => &mut self.conversation,
            (b"generationConfig" | b"generation_config", Gemini) | (b"options", Ollama) => &mut self.nested,
            _ => return None,
        })
    }

    /// The fields of Gemini's `generationConfig` or of Ollama's `options`; none if that is no (valid) object.
    fn nested(object: Json<'a>) -> Self {
        let mut nested = Self::default();
        let mut skim = object.skim();
        let read = skim.object(|skim, key| {
            let slot = match key {
                b"maxOutputTokens" | b"max_output_tokens" | b"num_predict" => &mut nested.max_tokens,
                b"temperature" => &mut nested.temperature,
                b"topP" | b"top_p" => &mut nested.top_p,
                b"topK" | b"top_k" => &mut nested.top_k,
                b"frequencyPenalty" | b"frequency_penalty" => &mut nested.frequency_penalty,
                b"presencePenalty" | b"presence_penalty" => &mut nested.presence_penalty,
                b"seed" => &mut nested.seed,
                b"stopSequences" | b"stop_sequences" | b"stop" => &mut nested.stop,
                b"candidateCount" | b"candidate_count" => &mut nested.choices,
                b"responseModalities" | b"response_modalities" => &mut nested.modalities,
                b"responseMimeType" | b"response_mime_type" => &mut nested.media_type,
                _ => return skim.skip(),
            };
            *slot = Json::next(skim)?;
            Ok(())
        });
        if read.is_ok() { nested } else { Self::default() }
    }

    fn output_type(&self, dialect: Dialect, nested: &Self) -> Option<OutputType> {
        if let Some(media) = self.modalities.or(nested.modalities).and_then(of_modalities) {
            return Some(media);
        }
        if let Some(media) = nested.media_type.and_then(Json::word) {
            return Some(if media == "application/json" { OutputType::Json } else { OutputType::Text });
        }
        let within = self.format_within.and_then(|within| within.fields(["format"])).unwrap_or_default()[0];
        let format = self.format.or(within)?;
        let word = if format.is_text() { Some(format) } else { format.fields(["type"])?[0] };
        match word.and_then(Json::word) {
            Some("text") => Some(OutputType::Text),
            Some("json" | "json_object" | "json_schema") => Some(OutputType::Json),
            // Ollama takes a bare schema.
            _ => (dialect == Dialect::Ollama && format.is_filled()).then_some(OutputType::Json),
        }
    }
}

/// What is more than text wins: an answer that is spoken has a transcript too.
fn of_modalities(list: Json<'_>) -> Option<OutputType> {
    let mut found = None;
    list.items(|_, item| {
        let kind = match item.word() {
            Some("IMAGE" | "image") => Some(OutputType::Image),
            Some("AUDIO" | "audio") => Some(OutputType::Speech),
            Some("TEXT" | "text") => found.or(Some(OutputType::Text)),
            _ => None,
        };
        found = kind.or(found);
    });
    found
}

/// One text, or a list of them.
fn stops(value: Json<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut keep = |text: Json<'_>| {
        if found.len() < STOPS_MAX {
            found.extend(text.name());
        }
    };
    if value.is_array() {
        value.items(|_, text| keep(text));
    } else {
        keep(value);
    }
    found
}

/// The Responses API's `conversation`: its id, or an object with that.
fn conversation(value: Json<'_>) -> Option<String> {
    value.name().or_else(|| value.fields(["id"])?[0]?.name())
}
