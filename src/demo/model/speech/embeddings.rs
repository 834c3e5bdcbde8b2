//! Embeddings in each dialect: unit vectors that are a function of seed and text, so that the same text always lies in the same place.

use base64::{Engine, prelude::BASE64_STANDARD};
use fastrand::Rng;
use serde_json::{Value, json};

use super::{CREATED_AT, merged};
use crate::demo::model::{
    answer::{Answer, Request},
    ask::{either, fnv, tokens},
    errors::{self, Fault},
};

/// How long vectors are where nothing is said: as text-embedding-3-small's.
const OPENAI_DIMENSIONS: u64 = 1536;
/// As gemini-embedding-001's when it is asked for the least that is advised, and nomic-embed-text's.
const OTHER_DIMENSIONS: u64 = 768;
/// Longer ones are not made.
const DIMENSIONS_MAX: u64 = 8192;

/// `…/embeddings`.
pub(in crate::demo::model) fn openai(request: &Request<'_>) -> Answer {
    let asked = request.seen.json();
    let texts = match texts(&asked["input"]) {
        Some(texts) if !texts.is_empty() => texts,
        _ => return errors::of_fault(request.provider(), &Fault::of("Missing required parameter: 'input'.", Some("input"))),
    };
    let dimensions = asked["dimensions"].as_u64().unwrap_or(OPENAI_DIMENSIONS);
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(request, text, dimensions);
            let vector = if asked["encoding_format"] == "base64" { json!(BASE64_STANDARD.encode(bytes(&vector))) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": vector})
        })
        .collect();
    let count = counted(&texts);
    let mut body = json!({"object": "list", "data": data, "model": asked["model"]});
    if let Some(usage) = merged(json!({"prompt_tokens": count, "total_tokens": count}), request.step) {
        body["usage"] = usage;
    }
    Answer::json(200, &body).with("openai-processing-ms", "21").with("openai-version", "2020-10-01").costing(count)
}

/// `/api/embed`, of one text or several.
pub(in crate::demo::model) fn ollama(request: &Request<'_>) -> Answer {
    let asked = request.seen.json();
    let texts = texts(&asked["input"]).unwrap_or_default();
    let dimensions = asked["dimensions"].as_u64().unwrap_or(OTHER_DIMENSIONS);
    let vectors: Vec<_> = texts.iter().map(|text| vector(request, text, dimensions)).collect();
    let mut body = json!({"model": asked["model"], "embeddings": vectors, "total_duration": 14_000_000, "load_duration": 1_000_000});
    if let Some(usage) = merged(json!({"prompt_eval_count": counted(&texts)}), request.step) {
        body["prompt_eval_count"] = usage["prompt_eval_count"].clone();
    }
    Answer::json(200, &body)
}

/// `/api/embeddings`, the older one.
pub(in crate::demo::model) fn ollama_single(request: &Request<'_>) -> Answer {
    let text = request.seen.json()["prompt"].as_str().unwrap_or_default().to_owned();
    Answer::json(200, &json!({"embedding": vector(request, &text, OTHER_DIMENSIONS), "created_at": CREATED_AT}))
}

/// `…:embedContent` and `…:batchEmbedContents`.
pub(in crate::demo::model) fn gemini(request: &Request<'_>, batch: bool) -> Answer {
    let asked = request.seen.json();
    let embedding = |asked: &Value| {
        let dimensions = either(asked, "outputDimensionality").as_u64().unwrap_or(OTHER_DIMENSIONS);
        json!({"values": vector(request, &asked["content"]["parts"].to_string(), dimensions)})
    };
    let body = if batch {
        json!({"embeddings": asked["requests"].as_array().into_iter().flatten().map(embedding).collect::<Vec<_>>()})
    } else {
        json!({"embedding": embedding(&asked)})
    };
    Answer::json(200, &body).costing(tokens(&asked.to_string()))
}

/// The texts to be embedded: one, several, or tokens, which are taken for the text of their numbers.
fn texts(input: &Value) -> Option<Vec<String>> {
    match input {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) if items.iter().all(Value::is_number) => Some(vec![input.to_string()]),
        Value::Array(items) => Some(items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()),
        _ => None,
    }
}

fn counted(texts: &[String]) -> usize {
    texts.iter().map(|text| tokens(text)).sum()
}

fn vector(request: &Request<'_>, text: &str, dimensions: u64) -> Vec<f32> {
    let mut rng = Rng::with_seed(fnv(text.as_bytes()) ^ request.state.options.seed);
    let drawn: Vec<f32> = (0..dimensions.min(DIMENSIONS_MAX)).map(|_| rng.f32() - 0.5).collect();
    let length = drawn.iter().map(|value| value * value).sum::<f32>().sqrt();
    drawn.iter().map(|value| value / length).collect()
}

/// The vector's bytes, little-endian.
fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}
