//! A world in which agents ask and models answer: real bodies, real reading, and a clock that moves when it is told to.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    agent::{Agents, Arrival, Arrived, Ending, Moment, Place, Source, ToolRun},
    wire::{Dialect, Reply, Request, TextMark, ToolCall},
};

/// Where everything happens.
pub(super) struct World {
    pub(super) agents: Agents,
    pub(super) now: Moment,
    spans: u64,
}

/// How a request comes.
pub(super) struct Way<'a> {
    pub(super) path: &'a str,
    pub(super) agent: Option<&'a str>,
    pub(super) conversation: Option<&'a str>,
    pub(super) connection: u64,
    pub(super) retry: Option<u32>,
    pub(super) trace: Option<u128>,
}

/// The usual way: `OpenAI`'s chat, on the first connection.
pub(super) const CHAT: Way<'static> =
    Way { path: "/v1/chat/completions", agent: None, conversation: None, connection: 1, retry: Some(0), trace: None };

impl World {
    pub(super) fn new() -> Self {
        Self { agents: Agents::default(), now: Moment { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH }, spans: 1000 }
    }

    /// Time passes.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now = Moment { instant: self.now.instant + time, wall: self.now.wall + time };
    }

    /// A request with this body arrives.
    pub(super) fn send(&mut self, way: &Way<'_>, body: &[u8]) -> Arrived {
        self.spans += 1;
        let dialect = Dialect::of_path(way.path).unwrap();
        let known = self.agents.recall(dialect, body, self.now.instant);
        let request = Request::read(dialect, way.path, body, known.resume());
        let arrival = Arrival {
            agent: way.agent.map(Arc::from),
            source: way.agent.map_or(Source::Unknown, |_| Source::Explicit),
            conversation: way.conversation.map(Arc::from),
            dialect,
            upstream: "openai".into(),
            request: &request,
            body,
            known: &known,
            connection: way.connection,
            sdk_retry: way.retry,
            timeout: None,
            trace: way.trace,
            span_id: self.spans,
        };
        self.agents.arrive(&arrival, self.now)
    }

    /// An agent asks.
    pub(super) fn ask(&mut self, messages: &Value) -> Arrived {
        self.send(&CHAT, serde_json::json!({"model": "m", "messages": messages}).to_string().as_bytes())
    }

    /// It is answered with a text, a second later.
    pub(super) fn answer(&mut self, to: &Arrived, text: &str) {
        let reply = Reply { text: TextMark::of(text), short_text: Some(text.to_owned()), ..Reply::default() };
        self.reply(to, &reply);
    }

    /// It is answered with calls of tools: id, name, arguments.
    pub(super) fn call(&mut self, to: &Arrived, calls: &[(&str, &str, &str)]) {
        let call = |(id, name, arguments): &(&str, &str, &str)| ToolCall {
            id: (!id.is_empty()).then(|| (*id).to_owned()),
            name: (*name).to_owned(),
            mark: TextMark::of(arguments),
            arguments: Some((*arguments).to_owned()),
        };
        self.reply(to, &Reply { tool_calls: calls.iter().map(call).collect(), ..Reply::default() });
    }

    /// It is answered so.
    pub(super) fn reply(&mut self, to: &Arrived, reply: &Reply) {
        self.pass(Duration::from_secs(1));
        self.agents.answered(place(to), reply, self.now);
        self.pass(Duration::from_secs(1));
    }

    /// It ends without an answer.
    pub(super) fn end(&mut self, to: &Arrived, ending: Ending) {
        self.pass(Duration::from_secs(1));
        self.agents.ended(place(to), ending, self.now);
    }

    /// Whom it is known to be from, as of now.
    pub(super) fn caller(&self, of: &Arrived) -> (Option<String>, Source) {
        let (name, source) = self.agents.caller(place(of).0).unwrap();
        (name.as_deref().map(str::to_owned), source)
    }

    /// The same, the name alone.
    pub(super) fn name(&self, of: &Arrived) -> Option<String> {
        self.caller(of).0
    }
}

/// Under which it is remembered.
pub(super) fn place(of: &Arrived) -> Place {
    of.place.unwrap()
}

/// Its conversation.
pub(super) fn conversation(of: &Arrived) -> u64 {
    of.conversation.as_ref().unwrap().id
}

/// What a run of a tool came to: its name, seconds, and error.
pub(super) fn told(run: &ToolRun) -> (String, u64, Option<crate::agent::ToolError>) {
    (run.name.to_string(), run.duration.as_secs(), run.error.clone())
}
