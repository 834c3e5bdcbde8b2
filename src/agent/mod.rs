//! What is remembered between requests, bounded and expiring: who calls, which conversation a request belongs to, which tools run. It reads what
//! the wire says and asserts nothing else: a name is explicit, inferred by a named rule, or unknown. No I/O, no clock: `now` is an argument.

mod arriving;
mod beginning;
mod belong;
mod caller;
mod ending;
mod folk;
mod heads;
mod heard;
mod memory;
mod names;
mod prompts;
mod recent;
mod runs;
mod tool_errors;
mod views;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

pub use caller::SELECTION;
pub use heads::{HeadId, Heads, Known, Recalled, Trail};
#[cfg(test)]
use runs::WAIT_MAX;
pub use views::{AgentView, Child, ConversationView, Counts, HangUps, RunningTool};

use heard::Heard;
use memory::Memory;

use crate::wire::{Beginning, Dialect, Reply, Request, Usage};

/// How an agent's name is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Source {
    /// By its own word: path, header, baggage.
    Explicit,
    /// From what its framework leaves on the wire, by this rule.
    Inferred(Rule),
    /// Not at all.
    #[default]
    Unknown,
}

/// What a name was inferred from. In the order of their strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A rule of the config (`agents`).
    Config,
    /// The prompt by which a framework chooses who speaks next.
    Selection,
    /// The text by which one agent hands over to another.
    HandOver,
    /// Its own earlier turns stand under its name.
    OwnTurn,
    /// The system prompt says its role (`CrewAI`).
    Role,
    /// What it answered earlier came back under its name.
    Echo,
    /// It carries an answer of a known agent as its own.
    OwnHistory,
    /// Prompt and tools are those of a known agent of the same conversation.
    Fingerprint,
    /// It was chosen, or handed over to, just before.
    Predicted,
}

/// A point in time, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// For durations.
    pub instant: Instant,
    /// For what people read.
    pub wall: SystemTime,
}

/// A request, as far as it says where it belongs.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The agent's name by its own word.
    pub agent: Option<Arc<str>>,
    /// How that is known: `Explicit`, or `Inferred(Rule::Config)`.
    pub source: Source,
    /// The conversation by its own word: `x-pillion-conversation`, or `gen_ai.conversation.id` of the baggage.
    pub conversation: Option<Arc<str>>,
    /// The dialect.
    pub dialect: Dialect,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// What its body tells.
    pub request: &'a Request<'a>,
    /// The body.
    pub body: &'a [u8],
    /// What was known of it before.
    pub known: &'a Known,
    /// The connection it came on: a number of its own for each.
    pub connection: u64,
    /// `x-stainless-retry-count`.
    pub sdk_retry: Option<u32>,
    /// How long its SDK said it would wait.
    pub timeout: Option<Duration>,
    /// The trace that the agent's `traceparent` names.
    pub trace: Option<u128>,
    /// The exchange's own span.
    pub span_id: u64,
}

/// Where a request belongs.
#[derive(Debug, Clone, Default)]
pub struct Arrived {
    /// Under which it is remembered, for [`Agents::answered`]; `None` where nothing is remembered of it.
    pub place: Option<Place>,
    /// Who calls.
    pub agent: Option<Arc<str>>,
    /// How that is known.
    pub source: Source,
    /// Its conversation.
    pub conversation: Option<Conversation>,
    /// The trace of its conversation.
    pub trace: Option<u128>,
    /// The span of the tool that it runs within, if it does (an agent used as a tool).
    pub parent: Option<u64>,
    /// Runs of tools that ended with it.
    pub tools: Vec<ToolRun>,
    /// What of its prompt the provider has counted before.
    pub beginning: Option<Beginning>,
    /// Whether it is the SDK's repetition of a request that came before.
    pub repeats: bool,
}

/// Under which an exchange is remembered until it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(pub u64);

/// A conversation, and where in it an exchange stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Ours.
    pub id: u64,
    /// The agent's own id for it, if it said one.
    pub given: Option<Arc<str>>,
    /// Which exchange of the conversation this is, from 1.
    pub turn: u64,
}

/// A tool's run: from the reply that called it to the request that brought its result.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolRun {
    /// The tool's name.
    pub name: Arc<str>,
    /// The call's id.
    pub id: Option<Arc<str>>,
    /// The agent that called it.
    pub agent: Option<Arc<str>>,
    /// When the reply that called it had ended.
    pub called_at: SystemTime,
    /// From then to the request that brought its result.
    pub duration: Duration,
    /// What went wrong, if something did.
    pub error: Option<ToolError>,
    /// The trace of the exchange that called it.
    pub trace: u128,
    /// Its own span.
    pub span_id: u64,
    /// The span of the exchange that called it.
    pub parent: u64,
}

/// How a tool failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolError {
    /// With an exception of this type.
    Exception(Arc<str>),
    /// Without a type.
    Failed,
    /// There is no such tool.
    Unknown,
    /// Its arguments were refused.
    Arguments,
    /// No result ever came.
    NoResult,
}

/// How an exchange ended that brought no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The agent hung up, while it was at this.
    Cancelled(Stage),
    /// It failed.
    Failed,
}

/// How far an exchange had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for a place.
    Queue,
    /// Nothing of the reply had been given to the agent.
    Waiting,
    /// Some of it had.
    Streaming,
}

/// The memory. One lock, held for a few microseconds at a time; texts are read and hashed before it is taken.
#[derive(Debug, Default)]
pub struct Agents {
    memory: Mutex<Memory>,
}

impl Agents {
    /// What is known of a body's beginning: so much need not be read again.
    pub fn recall(&self, dialect: Dialect, body: &[u8], now: Instant) -> Known {
        let trail = Trail::of(dialect, body);
        let recalled = self.memory().heads.recall(&trail, body, now);
        Known { trail, recalled }
    }

    /// A request has arrived. Call it once for each, before it goes on.
    pub fn arrive(&self, arrival: &Arrival<'_>, now: Moment) -> Arrived {
        let heard = Heard::of(arrival.request);
        self.memory().arrive(arrival, &heard, now)
    }

    /// The request's good answer has ended.
    pub fn answered(&self, place: Place, reply: &Reply, now: Moment) {
        self.memory().answered(place.0, reply, now);
    }

    /// The provider has counted the prompt of this request, which went up as it came: so many tokens. Call it once it has been answered.
    pub fn counted(&self, place: Place, tokens: u64, usage: &Usage) {
        self.memory().counted(place.0, tokens, usage);
    }

    /// The request has ended without a good answer.
    pub fn ended(&self, place: Place, ending: Ending, now: Moment) {
        self.memory().ended(place.0, ending, now);
    }

    /// Forgets what is old, and gives back the runs of tools whose result never came. To be called every few seconds.
    pub fn expire(&self, now: Moment) -> Vec<ToolRun> {
        self.memory().over(now)
    }

    /// Who is known now to have made the exchange with this span, which later requests may have revealed; `None` for one that is not remembered.
    pub fn caller(&self, span_id: u64) -> Option<(Option<Arc<str>>, Source)> {
        self.memory().now_known(span_id)
    }

    /// The agents that are remembered, the one that called last first; at most `max`.
    pub fn agents(&self, max: usize) -> Vec<AgentView> {
        self.memory().agents(max)
    }

    /// The conversations that are remembered, the one that was heard of last first; at most `max`.
    pub fn conversations(&self, max: usize) -> Vec<ConversationView> {
        self.memory().view_conversations(max)
    }

    /// How much is remembered.
    pub fn counts(&self) -> Counts {
        self.memory().counts()
    }

    /// A panic elsewhere leaves at worst one exchange half written down.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
