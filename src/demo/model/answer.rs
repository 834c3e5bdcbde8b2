//! Which answer a request gets: the path's tail says who answers, the step of the script says what is different about it.
//! Nothing is sent here.

use bytes::Bytes;
use serde_json::Value;

use super::{anthropic, ask::Ask, errors, http::Head, openai, plain, seen::Seen, state::State};
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

/// The dialects it talks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    OpenAi,
    Anthropic,
}

impl Answer {
    /// A JSON body, whole.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::whole(status, "application/json", Bytes::from(body.to_string()))
    }

    /// Any body, whole.
    pub(super) fn whole(status: u16, content_type: &str, body: Bytes) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body: Body::Whole(body), talk: None }
    }

    /// A stream of events.
    pub(super) fn events(events: Vec<Event>) -> Self {
        let headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { status: 200, headers, body: Body::Events(events), talk: None }
    }

    /// One more header.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// At a model's pace.
    pub(super) fn talking(mut self, speech: Speech, tokens: usize, seed: u64) -> Self {
        self.talk = Some(Talk { speech, tokens, seed });
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

    /// The dialect by the path, and by what Anthropic's SDKs say of themselves where the path is both's.
    pub(super) fn speech(&self) -> Speech {
        let path = self.path();
        let anthropic = path.ends_with("/messages") || path.ends_with("/messages/count_tokens") || self.seen.header("anthropic-version").is_some();
        if anthropic { Speech::Anthropic } else { Speech::OpenAi }
    }
}

/// The answer to a request.
pub(super) fn answer(request: &Request<'_>) -> Answer {
    let step = request.step;
    let mut answer = match step.status {
        Some(status) if status >= 400 && step.body.is_none() => errors::of_status(request.speech(), status),
        _ => by_path(request),
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
    if path.ends_with("/chat/completions") {
        return asked(request, Ask::openai, openai::answer);
    }
    if path.ends_with("/messages") {
        return asked(request, Ask::anthropic, anthropic::answer);
    }
    if path.ends_with("/messages/count_tokens") {
        return asked(request, Ask::anthropic, |_, ask| anthropic::count(ask));
    }
    plain::answer(request, path).unwrap_or_else(|| errors::not_found(request))
}

/// Reads what a model is asked, and lets it answer; or says in its dialect what is wrong with the question.
fn asked(request: &Request<'_>, read: fn(&Value) -> Result<Ask, errors::Fault>, reply: fn(&Request<'_>, &Ask) -> Answer) -> Answer {
    let speech = request.speech();
    if request.head.method != "POST" {
        return errors::wrong_method(request);
    }
    if request.step.early_response {
        return reply(request, &Ask::default());
    }
    let asked = serde_json::from_slice::<Value>(&request.seen.body).map_err(|_| errors::Fault::no_json()).and_then(|body| read(&body));
    match asked {
        Ok(ask) => reply(request, &ask),
        Err(fault) => errors::of_fault(speech, &fault),
    }
}
