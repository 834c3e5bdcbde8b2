//! The models that there are, as each provider lists them.

use serde_json::{Value, json};

use super::{CREATED, CREATED_AT, Provider};
use crate::demo::model::{
    answer::{Answer, Request},
    errors,
};

/// The models there are, each with whose they are.
const MODELS: [(&str, Provider); 9] = [
    ("gpt-4o", Provider::OpenAi),
    ("gpt-4o-mini", Provider::OpenAi),
    ("o4-mini", Provider::OpenAi),
    ("text-embedding-3-small", Provider::OpenAi),
    ("claude-sonnet-4-5", Provider::Anthropic),
    ("claude-haiku-4-5", Provider::Anthropic),
    ("gemini-2.5-flash", Provider::Google),
    ("gemini-2.5-pro", Provider::Google),
    ("llama3.2:latest", Provider::Ollama),
];

/// `…/models`, and `/api/tags`.
pub(in crate::demo::model) fn all(provider: Provider) -> Answer {
    // Servers that speak OpenAI's dialect serve everybody's models; the others list their own.
    let models = MODELS.iter().filter(|(_, owner)| provider == Provider::OpenAi || *owner == provider);
    let list: Vec<Value> = models.map(|(id, owner)| entry(provider, id, *owner)).collect();
    let end = |model: Option<&Value>| model.map(|model| model["id"].clone());
    Answer::json(
        200,
        &match provider {
            Provider::OpenAi => json!({"object": "list", "data": list}),
            Provider::Anthropic => json!({"first_id": end(list.first()), "last_id": end(list.last()), "has_more": false, "data": list}),
            Provider::Google | Provider::Ollama => json!({ "models": list }),
        },
    )
}

/// `…/models/ID`.
pub(in crate::demo::model) fn one(request: &Request<'_>, id: &str) -> Answer {
    let provider = request.provider();
    match MODELS.iter().find(|(known, _)| *known == id) {
        Some((id, owner)) => Answer::json(200, &entry(provider, id, *owner)),
        None => errors::of_status(provider, 404),
    }
}

/// `/api/show`: of any model, as there is no file to look into.
pub(in crate::demo::model) fn show() -> Answer {
    let details = details();
    let info = json!({"general.architecture": "llama", "general.parameter_count": 3_212_749_888_u64, "llama.context_length": 131_072});
    let capabilities = json!(["completion", "tools", "thinking"]);
    let body = json!({
        "license": "", "modelfile": "FROM llama3.2", "parameters": "", "template": "{{ .Prompt }}", "details": details, "model_info": info,
        "capabilities": capabilities, "modified_at": CREATED_AT,
    });
    Answer::json(200, &body)
}

fn entry(provider: Provider, id: &str, owner: Provider) -> Value {
    match provider {
        Provider::OpenAi => json!({"id": id, "object": "model", "created": CREATED, "owned_by": owner_name(owner)}),
        Provider::Anthropic => json!({"type": "model", "id": id, "display_name": id, "created_at": CREATED_AT}),
        Provider::Google => json!({
            "name": format!("models/{id}"), "version": "001", "displayName": id, "description": "A simulated model.",
            "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"],
        }),
        Provider::Ollama => json!({
            "name": id, "model": id, "modified_at": CREATED_AT, "size": 2_019_393_189_u64,
            "digest": "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72", "details": details(),
        }),
    }
}

fn details() -> Value {
    json!({
        "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "3.2B", "quantization_level": "Q4_K_M",
    })
}

fn owner_name(owner: Provider) -> &'static str {
    match owner {
        Provider::OpenAi => "openai",
        Provider::Anthropic => "anthropic",
        Provider::Google => "google",
        Provider::Ollama => "library",
    }
}
