//! What the keys of a conversation mean. Each has a number, so that a key that is there twice is noticed, also where it has two spellings.

use crate::wire::{Dialect, PieceKind, skim::NotJson};

/// A key of an object within a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    Role,
    Kind,
    Id,
    CallId,
    ResultId,
    ApprovalId,
    IsThought,
    /// A short text that names something.
    Name,
    /// Texts, or parts that hold them.
    Texts,
    /// Texts of reasoning.
    Reasoning,
    /// A text or other JSON that counts as this, as it stands.
    Whole(PieceKind),
    /// A medium: itself, its URL, or an object with either.
    Media(PieceKind),
    /// Anthropic's `source`: a medium, or a text.
    Source,
    /// Gemini's `inlineData` and `fileData`.
    Blob,
    /// Calls of tools.
    Calls,
    /// One.
    Call,
    /// Gemini's `functionResponse`.
    Response,
}

/// What a key of an object within a message means, and its number.
pub(super) fn within_message(_: Dialect, key: &[u8]) -> Option<(u32, Field)> {
    plain(key).or_else(|| filled(key))
}

/// Keys of words, ids and names.
fn plain(key: &[u8]) -> Option<(u32, Field)> {
    Some(match key {
        b"role" => (0, Field::Role),
        b"type" => (1, Field::Kind),
        b"id" => (2, Field::Id),
        b"call_id" => (3, Field::CallId),
        b"tool_call_id" | b"tool_use_id" => (4, Field::ResultId),
        b"approval_request_id" => (5, Field::ApprovalId),
        b"thought" => (6, Field::IsThought),
        b"name" => (7, Field::Name),
        b"tool_name" => (8, Field::Name),
        b"server_name" | b"server_label" => (9, Field::Name),
        b"title" => (10, Field::Name),
        b"filename" => (11, Field::Name),
        b"url" => (12, Field::Name),
        _ => return None,
    })
}

/// Keys of what counts.
fn filled(key: &[u8]) -> Option<(u32, Field)> {
    use PieceKind::{Call, Declared, File, Image, Sealed};
    Some(match key {
        b"content" => (13, Field::Texts),
        b"text" => (14, Field::Texts),
        b"parts" => (15, Field::Texts),
        b"output" => (16, Field::Texts),
        b"outputs" => (17, Field::Texts),
        b"refusal" => (18, Field::Texts),
        b"context" => (19, Field::Texts),
        b"stdout" => (20, Field::Texts),
        b"stderr" => (21, Field::Texts),
        b"logs" => (22, Field::Texts),
        b"results" => (23, Field::Texts),
        b"queries" => (24, Field::Texts),
        b"reason" => (25, Field::Texts),
        b"error" => (26, Field::Texts),
        b"reasoning_content" => (27, Field::Reasoning),
        b"reasoning" => (28, Field::Reasoning),
        b"thinking" => (29, Field::Reasoning),
        b"summary" => (30, Field::Reasoning),
        b"reasoning_details" => (31, Field::Reasoning),
        b"signature" => (32, Field::Whole(Sealed)),
        b"encrypted_content" => (33, Field::Whole(Sealed)),
        b"thoughtSignature" | b"thought_signature" => (34, Field::Whole(Sealed)),
        b"encrypted_stdout" => (35, Field::Whole(Sealed)),
        b"extra_content" => (36, Field::Whole(Sealed)),
        b"data" => (37, Field::Whole(Sealed)),
        b"arguments" => (38, Field::Whole(Call)),
        b"input" => (39, Field::Whole(Call)),
        b"args" => (40, Field::Whole(Call)),
        b"action" | b"actions" => (41, Field::Whole(Call)),
        b"operation" => (42, Field::Whole(Call)),
        b"code" => (43, Field::Whole(Call)),
        b"executableCode" | b"executable_code" => (44, Field::Whole(Call)),
        b"codeExecutionResult" | b"code_execution_result" => (45, Field::Whole(Call)),
        b"toolCall" | b"tool_call" => (46, Field::Whole(Call)),
        b"toolResponse" | b"tool_response" => (47, Field::Whole(Call)),
        b"tools" => (48, Field::Whole(Declared)),
        b"image_url" => (49, Field::Media(Image)),
        b"images" => (50, Field::Media(Image)),
        b"result" => (51, Field::Media(Image)),
        b"audio" | b"input_audio" | b"audio_url" => (52, Field::Media(File)),
        b"video_url" | b"video" | b"input_video" => (53, Field::Media(File)),
        b"file" => (54, Field::Media(File)),
        b"file_data" => (55, Field::Media(File)),
        b"file_url" => (56, Field::Media(File)),
        b"file_id" => (57, Field::Media(File)),
        b"source" => (58, Field::Source),
        b"inlineData" | b"inline_data" => (59, Field::Blob),
        b"fileData" => (60, Field::Blob),
        b"tool_calls" => (61, Field::Calls),
        b"functionCall" | b"function_call" => (62, Field::Call),
        b"functionResponse" | b"function_response" => (63, Field::Response),
        _ => return None,
    })
}

/// A key beside the list of messages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Beside {
    /// The list.
    List,
    /// A system text.
    System,
    /// Something that counts as it stands: tools, a schema.
    Declared,
    /// An object with such, and with Ollama's window.
    Settings,
    /// Names what the provider holds, if it is not `null`.
    Held,
    /// Read by others, and not to be there twice.
    Other,
}

/// What a key of the body means, and its number.
pub(super) fn of_body(dialect: Dialect, key: &[u8]) -> Option<(u32, Beside)> {
    use Dialect::{AnthropicMessages, Gemini, Ollama, OpenaiChat, OpenaiResponses};
    Some(match (key, dialect) {
        (b"messages", OpenaiChat | AnthropicMessages | Ollama) | (b"input", OpenaiResponses) | (b"contents", Gemini) => (0, Beside::List),
        (b"system", AnthropicMessages) | (b"instructions", OpenaiResponses) | (b"systemInstruction" | b"system_instruction", Gemini) => {
            (1, Beside::System)
        }
        (b"tools", _) => (2, Beside::Declared),
        (b"functions", OpenaiChat) => (3, Beside::Declared),
        (b"response_format", OpenaiChat) | (b"output_format", AnthropicMessages) | (b"format", Ollama) => (4, Beside::Declared),
        (b"documents", OpenaiChat) => (5, Beside::Declared),
        (b"prompt", OpenaiResponses) => (6, Beside::Declared),
        (b"text", OpenaiResponses)
        | (b"output_config", AnthropicMessages)
        | (b"generationConfig" | b"generation_config", Gemini)
        | (b"options", Ollama) => (7, Beside::Settings),
        (b"previous_response_id", OpenaiResponses) | (b"cachedContent" | b"cached_content", Gemini) => (8, Beside::Held),
        (b"conversation", OpenaiResponses) => (9, Beside::Held),
        (b"model", _) => (10, Beside::Other),
        (b"max_tokens", _) => (11, Beside::Other),
        (b"max_completion_tokens", _) => (12, Beside::Other),
        (b"max_output_tokens", _) => (13, Beside::Other),
        _ => return None,
    })
}

/// What a key of an object with settings means, and its number.
pub(super) fn of_settings(dialect: Dialect, key: &[u8]) -> Option<(u32, Beside)> {
    use Dialect::{AnthropicMessages, Gemini, Ollama, OpenaiResponses};
    Some(match (key, dialect) {
        (b"format", OpenaiResponses | AnthropicMessages) | (b"responseSchema" | b"response_schema", Gemini) => (0, Beside::Declared),
        (b"responseJsonSchema" | b"response_json_schema" | b"_responseJsonSchema", Gemini) => (1, Beside::Declared),
        (b"num_ctx", Ollama) => (2, Beside::Settings),
        (b"maxOutputTokens" | b"max_output_tokens", Gemini) | (b"num_predict", Ollama) => (3, Beside::Other),
        _ => return None,
    })
}

/// What a key means by this table. Ollama's server takes keys in any case: one that it would take and we would not makes the body unclear.
pub(super) fn known<T>(dialect: Dialect, key: &[u8], table: impl Fn(Dialect, &[u8]) -> Option<(u32, T)>) -> Result<Option<(u32, T)>, NotJson> {
    let found = table(dialect, key);
    let is_other_case = dialect == Dialect::Ollama && found.is_none() && key.iter().any(u8::is_ascii_uppercase);
    if is_other_case && table(dialect, &key.to_ascii_lowercase()).is_some() {
        return Err(NotJson);
    }
    Ok(found)
}

/// The keys of one object that were there.
#[derive(Debug, Default)]
pub(super) struct Seen(u64);

impl Seen {
    /// Whether a key with this number is there for the first time.
    pub(super) fn is_first(&mut self, number: u32) -> bool {
        let before = self.0;
        self.0 |= 1 << number;
        self.0 != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_one_meaning_each() {
        let source = include_str!("fields.rs");
        let within = source.split("fn plain").nth(1).unwrap().split("/// A key beside").next().unwrap();
        let mut numbers = Vec::new();
        for line in within.lines().filter(|line| line.trim_start().starts_with("b\"")) {
            let keys: Vec<_> = line.split("=>").next().unwrap().split('"').skip(1).step_by(2).collect();
            let meant: Vec<_> = keys.iter().map(|key| within_message(Dialect::OpenaiChat, key.as_bytes()).unwrap()).collect();
            assert!(meant.windows(2).all(|pair| pair[0] == pair[1]), "{line}");
            numbers.push(meant[0].0);
        }
        let expected: Vec<u32> = (0..64).collect();
        assert_eq!(numbers, expected);
    }
}
