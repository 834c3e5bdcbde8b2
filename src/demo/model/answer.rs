//! Which answer a request gets: the path's tail says who answers, the step of the script says what is different about it.
//! Nothing is sent here.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    ask::Ask,
    errors::{self, Fault},
    http::Head,
    limits, plain,
    seen::Seen,
    speech::{Provider, Speech, anthropic, chat, completions, embeddings, gemini, lists, ollama, responses},
    state::State,
    weigh, window,
};
use crate::demo::script::Step;

/// A request with all that its answer may depend on.
pub(super) struct Request<'a> {
    pub(super) head: &'a Head,
    pub(super) seen: &'a Seen,
    pub(super) state: &'a State,
    pub(super) step: &'a Step,
}

/// What is to be sent.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
    /// Set if a model is talking: its words come at its pace, in its dialect.
    pub(super) talk: Option<Talk>,
    /// The tokens it costs, if it is one that limits count.
    pub(super) cost: Option<usize>,
}

/// What follows the head.
pub(super) enum Body {
    Whole(Bytes),
    Events(Vec<Event>),
    /// So many bytes of [`plain::pattern`].
    Pattern {
        length: u64,
        chunked: bool,
    },
}

/// One event of a stream, as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) bytes: Bytes,
    /// Whether it carries words, thoughts or a tool call.
    pub(super) content: bool,
}

/// How a model talks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    pub(super) speech: Speech,
    /// How much it says.
    pub(super) tokens: usize,
    /// Drawn once per answer: the same question is answered at the same pace.
    pub(super) seed: u64,
}

impl Answer {
    /// A JSON body, whole.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::whole(status, "application/json", Bytes::from(body.to_string()))
    }

    /// Any body, whole.
    pub(super) fn whole(status: u16, content_type: &str, body: Bytes) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body: Body::Whole(body), talk: None, cost: None }
    }

    /// A stream of events.
    pub(super) fn stream(content_type: &str, events: Vec<Event>) -> Self {
        let headers = [("content-type", content_type), ("cache-control", "no-cache")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { status: 200, headers, body: Body::Events(events), talk: None, cost: None }
    }

    /// One more header.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// At a model's pace, for so many tokens of a prompt and of an answer.
    pub(super) fn talking(self, speech: Speech, (prompt, tokens): (usize, usize), seed: u64) -> Self {
        Self { talk: Some(Talk { speech, tokens, seed }), ..self.costing(prompt + tokens) }
    }

    /// Counted against limits.
    pub(super) fn costing(mut self, tokens: usize) -> Self {
        self.cost = Some(tokens);
        self
    }
}

impl Event {
    /// An event that carries words, thoughts or a tool call, or one that does not.
    pub(super) fn new(name: Option<&str>, data: &Value, content: bool) -> Self {
        let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
        Self { bytes: Bytes::from(format!("{name}data: {data}\n\n")), content }
    }
}

impl Request<'_> {
    /// The target without its query.
    pub(super) fn path(&self) -> &str {
        self.head.target.split('?').next().unwrap_or_default()
    }

    /// A value of the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.head.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map(|(_, value)| value)
    }

    /// Whose dialect it is in.
    pub(super) fn provider(&self) -> Provider {
        Provider::of(self)
    }

    /// Model and verb of a path as Gemini's are: `…/models/MODEL:VERB`.
    fn verb(&self) -> Option<(&str, &str)> {
        let (parent, last) = self.path().trim_end_matches('/').rsplit_once('/')?;
        let named = parent.ends_with("models") || parent.ends_with("Models");
        last.split_once(':').or_else(|| last.split_once("%3A")).filter(|_| named)
    }
}

/// The answer to a request.
pub(super) fn answer(request: &Request<'_>) -> Answer {
    let step = request.step;
    let mut answer = match step.status {
        Some(status) if status >= 400 && step.body.is_none() => errors::of_status(request.provider(), status),
        _ => limits::within(request, by_path(request)),
    };
    if let Some(status) = step.status {
        answer.status = status;
    }
    if let Some(body) = &step.body {
        let scripted = scripted_body(body);
        answer = Answer { status: step.status.unwrap_or(answer.status), ..scripted };
    }
    answer.headers.retain(|(name, _)| !step.headers.0.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    answer.headers.extend(step.headers.0.iter().cloned());
    answer
}

fn scripted_body(body: &Value) -> Answer {
    match body {
        Value::String(text) if serde_json::from_str::<Value>(text).is_err() => {
            Answer::whole(200, "text/plain; charset=utf-8", Bytes::from(text.clone()))
        }
        Value::String(text) => Answer::whole(200, "application/json", Bytes::from(text.clone())),
        tree => Answer::json(200, tree),
    }
}

fn by_path(request: &Request<'_>) -> Answer {
    let path = request.path().trim_end_matches('/');
    let (parent, last) = path.rsplit_once('/').unwrap_or_default();
    match (parent.rsplit('/').next().unwrap_or_default(), last) {
        ("chat", "completions") => asked(request, Ask::chat, chat::answer),
        (_, "completions") => asked(request, Ask::completion, completions::answer),
        (_, "responses") => asked(request, Ask::response, responses::answer),
        (_, "messages") => asked(request, Ask::anthropic, anthropic::answer),
        ("messages", "count_tokens") => asked(request, Ask::anthropic, |_, ask| anthropic::count(ask)),
        ("api", path) => by_ollama_path(request, path),
        (_, "embeddings") => posted(request, embeddings::openai),
        (_, "models") => lists::all(request.provider()),
        _ => match request.verb() {
            Some((model, verb)) => by_gemini_verb(request, model, verb),
            None => plain::answer(request, path).unwrap_or_else(|| match path.rsplit_once("/models/") {
                Some((_, id)) => lists::one(request, id),
                None => errors::not_found(request),
            }),
        },
    }
}

fn by_ollama_path(request: &Request<'_>, path: &str) -> Answer {
    match path {
        "chat" => asked(request, Ask::ollama_chat, |request, ask| ollama::answer(request, ask, ollama::Kind::Chat)),
        "generate" => asked(request, Ask::ollama_generate, |request, ask| ollama::answer(request, ask, ollama::Kind::Generate)),
        "embed" => posted(request, embeddings::ollama),
        "embeddings" => posted(request, embeddings::ollama_single),
        "tags" => lists::all(Provider::Ollama),
        "ps" => Answer::json(200, &json!({"models": []})),
        "show" => posted(request, |_| lists::show()),
        "version" => Answer::json(200, &json!({"version": "0.12.6"})),
        _ => errors::not_found(request),
    }
}

fn by_gemini_verb(request: &Request<'_>, model: &str, verb: &str) -> Answer {
    let read = |stream: bool| move |body: &Value| Ask::gemini(body, model, stream);
    match verb {
        "generateContent" => asked(request, read(false), |request, ask| gemini::answer(request, ask, false)),
        "streamGenerateContent" => {
            let sse = request.query("alt") == Some("sse");
            asked(request, read(true), |request, ask| gemini::answer(request, ask, sse))
        }
        "countTokens" => asked(request, read(false), |_, ask| gemini::count(ask)),
        "embedContent" => posted(request, |request| embeddings::gemini(request, false)),
        "batchEmbedContents" => posted(request, |request| embeddings::gemini(request, true)),
        _ => errors::not_found(request),
    }
}

/// Reads what a model is asked, and lets it answer; or says in its dialect what is wrong with the question.
fn asked(request: &Request<'_>, read: impl FnOnce(&Value) -> Result<Ask, Fault>, reply: impl FnOnce(&Request<'_>, &Ask) -> Answer) -> Answer {
    posted(request, |request| {
        if request.step.early_response {
            return reply(request, &Ask::default());
        }
        let body = serde_json::from_slice::<Value>(&request.seen.body).map_err(|_| Fault::no_json());
        let asked = body.and_then(|body| {
            let ask = read(&body)?;
            let tokens = request.step.tokens.and_then(|tokens| weigh::prompt(tokens, &body));
            Ok(Ask { prompt_tokens: tokens.unwrap_or(ask.prompt_tokens), ..ask })
        });
        match asked.map(|ask| window::fit(request, ask)) {
            Ok(Ok(ask)) => reply(request, &ask),
            Ok(Err(refusal)) => *refusal,
            Err(fault) => errors::of_fault(request.provider(), &fault),
        }
    })
}

/// What only a POST gets.
fn posted(request: &Request<'_>, reply: impl FnOnce(&Request<'_>) -> Answer) -> Answer {
    if request.head.method == "POST" { reply(request) } else { errors::wrong_method(request) }
}
