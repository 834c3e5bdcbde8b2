//! What the tail of a path says: the dialect, and for Gemini the model and whether the answer streams. Whatever stands before the tail is not looked at,
//! but for what tells two APIs with the same tail apart.

use super::Dialect;

/// Gemini's verbs that are understood.
const VERBS: [&str; 5] = ["generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"];

/// Longest model that a path is believed to name, in bytes.
const MODEL_MAX: usize = 256;

/// The dialect of a path (a query is tolerated).
pub(super) fn dialect(path: &str) -> Option<Dialect> {
    let path = tail(path);
    let (before, last) = path.rsplit_once('/')?;
    let parent = before.rsplit('/').next().unwrap_or("");
    match (parent, last) {
        ("api", "chat" | "generate" | "embed" | "embeddings") => Some(Dialect::Ollama),
        ("chat", "completions") => Some(Dialect::OpenaiChat),
        (_, "completions") => Some(Dialect::OpenaiCompletions),
        (_, "responses") => Some(Dialect::OpenaiResponses),
        (_, "embeddings") => Some(Dialect::OpenaiEmbeddings),
        ("messages", "count_tokens") => Some(Dialect::AnthropicMessages),
        (_, "messages") => (!is_thread(before)).then_some(Dialect::AnthropicMessages),
        _ => Verb::of(path).map(|_| Dialect::Gemini),
    }
}

/// Whether an Ollama path is one of its two for embeddings, which never stream.
pub(super) fn is_ollama_embedding(path: &str) -> bool {
    matches!(tail(path).rsplit('/').next(), Some("embed" | "embeddings"))
}

/// Whether a path of this dialect is one to go on with a conversation: not to count its tokens, and not to go on with a text or to embed it.
pub(super) fn is_conversation(dialect: Dialect, path: &str) -> bool {
    let last = tail(path).rsplit('/').next().unwrap_or_default();
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => true,
        Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings => false,
        Dialect::AnthropicMessages => last != "count_tokens",
        Dialect::Gemini => Verb::of(path).is_some() && (last.ends_with("generateContent") || last.ends_with("streamGenerateContent")),
        Dialect::Ollama => last == "chat",
    }
}

/// Model and verb of a Gemini path: `…/models/MODEL:VERB`.
#[derive(Debug, PartialEq)]
pub(super) struct Verb {
    /// The model, as the path names it; `None` if it is beyond all reason.
    pub(super) model: Option<String>,
    /// Whether the answer is a stream.
    pub(super) stream: bool,
}

impl Verb {
    pub(super) fn of(path: &str) -> Option<Self> {
        let last = tail(path).rsplit('/').next()?;
        let (model, verb) = last.rsplit_once(':').or_else(|| last.rsplit_once("%3A")).or_else(|| last.rsplit_once("%3a"))?;
        if !VERBS.contains(&verb) {
            return None;
        }
        let model = (1..=MODEL_MAX).contains(&model.len()).then(|| model.to_owned());
        Some(Self { model, stream: verb == "streamGenerateContent" })
    }
}

/// The deployment that an Azure path names, `…/deployments/NAME/chat/completions`, where the body need name no model.
pub(super) fn deployment(path: &str) -> Option<&str> {
    let (_, rest) = tail(path).rsplit_once("/deployments/")?;
    let (name, _) = rest.split_once('/')?;
    (1..=MODEL_MAX).contains(&name.len()).then_some(name)
}

fn tail(path: &str) -> &str {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    path.strip_suffix('/').unwrap_or(path)
}

/// `…/threads/ID`: messages of OpenAI's Assistants, which are no call to a model.
fn is_thread(before: &str) -> bool {
    before.rsplit('/').nth(1) == Some("threads")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_named_by_its_path() {
        for (path, expected) in [
            ("/openai/deployments/prod-gpt-4o/chat/completions?api-version=2024-10-21", Some("prod-gpt-4o")),
            ("/@planner/azure/openai/deployments/d/responses", Some("d")),
            ("/deployments//chat/completions", None),
            ("/v1/chat/completions", None),
        ] {
            assert_eq!(deployment(path), expected, "{path}");
        }
    }

    #[test]
    fn the_tail_of_a_path_says_the_dialect() {
        let check = |path: &str, expected: Option<Dialect>| assert_eq!(Dialect::of_path(path), expected, "{path}");
        for path in
            ["/v1/chat/completions", "/openai/deployments/x/chat/completions", "/@planner/v1beta/openai/chat/completions", "/chat/completions"]
        {
            check(path, Some(Dialect::OpenaiChat));
        }
        check("/v1/chat/completions?agent=planner", Some(Dialect::OpenaiChat));
        check("/api/chat/completions/", Some(Dialect::OpenaiChat));
        check("/v1/completions", Some(Dialect::OpenaiCompletions));
        check("/v1/responses", Some(Dialect::OpenaiResponses));
        check("/v1/embeddings", Some(Dialect::OpenaiEmbeddings));
        check("/v1/messages", Some(Dialect::AnthropicMessages));
        check("/v1/messages/count_tokens", Some(Dialect::AnthropicMessages));
        check("/v1beta/models/M:streamGenerateContent", Some(Dialect::Gemini));
        check("/v1/models/M:generateContent", Some(Dialect::Gemini));
        check("/v1/models/M%3AgenerateContent", Some(Dialect::Gemini));
        check("/v1/projects/P/locations/L/publishers/google/models/M:countTokens", Some(Dialect::Gemini));
        for path in ["/api/chat", "/ollama/api/generate", "/api/embed", "/api/embeddings"] {
            check(path, Some(Dialect::Ollama));
        }
    }

    #[test]
    fn other_paths_have_no_dialect() {
        let others = [
            "",
            "/",
            "chat",
            "/v1/files",
            "/v1/models",
            "/v1/models/M",
            "/v1/models/M:predict",
            "/v1/xcompletions",
            "/v1/chat/completions/ID",
            "/v1/responses/ID",
            "/v1/threads/ID/messages",
            "/v1/messages/batches",
            "/api/show",
            "/v1/chat",
            "/v1/files?x=/v1/messages",
        ];
        for path in others {
            assert_eq!(Dialect::of_path(path), None, "{path}");
        }
    }

    #[test]
    fn conversations_go_on_at_some_paths_only() {
        let check = |path: &str, expected: bool| assert_eq!(is_conversation(dialect(path).unwrap(), path), expected, "{path}");
        for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages?beta=true", "/api/chat/", "/v1/models/g:generateContent"] {
            check(path, true);
        }
        check("/v1beta/models/g%3AstreamGenerateContent?alt=sse", true);
        for path in ["/v1/messages/count_tokens", "/api/generate", "/api/embed", "/v1/models/g:countTokens", "/v1/models/g:batchEmbedContents"] {
            check(path, false);
        }
        for path in ["/v1/completions", "/v1/embeddings"] {
            check(path, false);
        }
    }

    #[test]
    fn a_gemini_path_names_the_model_and_the_stream() {
        let verb = |model: &str, stream| Some(Verb { model: Some(model.to_owned()), stream });
        assert_eq!(Verb::of("/v1/models/gemini-2.5-flash:generateContent"), verb("gemini-2.5-flash", false));
        assert_eq!(Verb::of("/v1beta/models/g:streamGenerateContent?alt=sse"), verb("g", true));
        assert_eq!(Verb::of("/v1/models/:generateContent"), Some(Verb { model: None, stream: false }));
        assert_eq!(Verb::of("/v1/models/g"), None);
    }
}
