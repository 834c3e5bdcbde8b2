//! What is remembered: exchanges, the threads that they make, and the conversations that the threads make. Everything is bounded and expires.
//!
//! ```text
//!  conversation   one run of a program: its trace
//!    ├─ thread    one agent's history, that each of its requests continues
//!    │    └─ exchange
//!    └─ thread    another agent's, or the same one's that begins anew; perhaps within a tool of the first
//! ```

use std::{sync::Arc, time::Duration};

use super::{
    Arrival, HeadId, Heads, Moment, Rule, Source,
    beginning::Length,
    caller::Caller,
    folk::Folk,
    heard::{Heard, Kind, Said, join},
    recent::{Few, Recent},
    runs::Runs,
};
use crate::wire::{self, TextMark};

/// Most exchanges that are remembered.
const EXCHANGES_MAX: usize = 4096;
/// Most threads.
const THREADS_MAX: usize = 4096;
/// Most conversations.
const CONVERSATIONS_MAX: usize = 2048;
/// How long they are remembered after they were last heard of.
pub(super) const IDLE_MAX: Duration = Duration::from_hours(1);
/// Most of anything by which they are found again.
const FOUND_MAX: usize = 4096;
/// Most names of others that are remembered of a thread.
const OTHERS_MAX: usize = 32;
/// Most texts under a name that are remembered of a thread.
const SAID_MAX: usize = 16;
/// Most threads, connections and beginnings that are remembered of a conversation.
const PARTS_MAX: usize = 64;
/// Most of what is found by the same.
pub(super) const SAME_MAX: usize = 8;

/// One exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) thread: u64,
    pub(super) conversation: u64,
    pub(super) turn: u64,
    pub(super) arrived: Moment,
    pub(super) end: End,
    pub(super) trace: u128,
    pub(super) parent: Option<u64>,
    /// Its answer.
    pub(super) answer: TextMark,
    /// Whether that was seen in another request.
    pub(super) is_carried: bool,
    /// The tools that the answer called: their spans, and what the calls are known by.
    pub(super) runs: Vec<u64>,
    pub(super) calls: Vec<u64>,
    pub(super) body: u64,
    pub(super) length: Length,
    pub(super) retry: u32,
    pub(super) connection: u64,
    /// Whether the SDK has repeated it.
    pub(super) is_repeated: bool,
    /// The name that was known when it arrived.
    pub(super) agent: Option<Arc<str>>,
    pub(super) source: Source,
}

/// How an exchange has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum End {
    /// Not yet.
    Open,
    /// With a good answer, at that time.
    Answered(Moment),
    /// Without one.
    Failed,
    /// The agent hung up.
    HungUp,
}

/// One agent's history.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) conversation: u64,
    pub(super) kind: Kind,
    /// The system texts, beside the messages and at their beginning; 0 for none.
    pub(super) beside: u64,
    pub(super) listed: u64,
    pub(super) tools: u64,
    pub(super) opening: Option<TextMark>,
    /// Its last prompt as a whole.
    pub(super) whole: u64,
    /// What that one went on behind.
    pub(super) before: Option<Before>,
    /// Whether no turn of a model is in that.
    pub(super) is_fresh: bool,
    pub(super) agent: Option<Arc<str>>,
    pub(super) source: Source,
    /// Whether what is known of its agent contradicts itself.
    pub(super) is_disputed: bool,
    /// Names of others that speak in it.
    pub(super) others: Few<Arc<str>>,
    /// Texts under a name in it.
    pub(super) said: Few<(Arc<str>, TextMark)>,
    /// Its last exchange.
    pub(super) last: u64,
    pub(super) exchanges: u64,
    /// Under which its last prompt is found again.
    pub(super) head: Option<HeadId>,
    /// The tool that it runs within.
    pub(super) within: Option<u64>,
    /// Whom it offers, if it is a selection.
    pub(super) offered: Vec<Arc<str>>,
    /// Its caller's name, as its last prompt says it.
    pub(super) sign: Option<(Arc<str>, Rule)>,
}

/// The prompt that another one goes on behind, and what stands between them: the answer.
#[derive(Debug, Clone)]
pub(super) struct Before {
    /// That prompt as a whole.
    pub(super) whole: u64,
    /// The answer's text.
    pub(super) text: Option<TextMark>,
    /// The tools that it called.
    pub(super) called: Vec<u64>,
}

/// One run of a program.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) given: Option<Arc<str>>,
    pub(super) trace: u128,
    pub(super) turns: u64,
    pub(super) threads: Few<u64>,
    pub(super) connections: Few<u64>,
    pub(super) opening: Option<TextMark>,
    /// How its threads began: the prompts as a whole, and the exchanges.
    pub(super) starts: Few<(u64, u64)>,
    /// Who was chosen to speak next.
    pub(super) predicted: Option<Arc<str>>,
    pub(super) begun: Moment,
    pub(super) last: Moment,
}

/// By what they are found again.
#[derive(Debug)]
pub(super) struct Index {
    /// Exchanges by their answers.
    pub(super) answers: Recent<TextMark, Few<u64>>,
    /// Conversations by the provider's ids of their answers, or of themselves.
    pub(super) replies: Recent<u64, (u64, u64)>,
    /// Conversations by what they began with.
    pub(super) openings: Recent<TextMark, Few<u64>>,
    /// Conversations by the agent's own word.
    pub(super) given: Recent<Arc<str>, u64>,
    /// Threads by their last prompts as a whole.
    pub(super) wholes: Recent<u64, Few<u64>>,
    /// Exchanges by their bodies.
    pub(super) bodies: Recent<u64, Few<u64>>,
}

/// A request, and what was known of its beginning.
#[derive(Debug)]
pub(super) struct Asked<'a, 'r> {
    pub(super) arrival: &'a Arrival<'a>,
    pub(super) heard: &'a Heard<'r>,
    pub(super) kind: Kind,
    /// Threads whose last prompts it begins with, all the same to the byte; the newest first.
    pub(super) before: Vec<u64>,
    /// The prompt and the answer that it goes on behind.
    pub(super) behind: Option<Before>,
    pub(super) listed: u64,
    pub(super) opening: Option<TextMark>,
    pub(super) whole: u64,
    pub(super) is_fresh: bool,
    pub(super) others: Few<Arc<str>>,
    pub(super) said: Vec<Said>,
    /// The caller's name, as the request says it; a prompt that is known to its end says what it said before.
    pub(super) sign: Option<(Arc<str>, Rule)>,
    pub(super) body: u64,
}

/// All that is remembered.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) heads: Heads<u64>,
    pub(super) exchanges: Recent<u64, Exchange>,
    pub(super) threads: Recent<u64, Thread>,
    pub(super) conversations: Recent<u64, Conversation>,
    pub(super) index: Index,
    pub(super) runs: Runs,
    pub(super) folk: Folk,
    /// Threads so far.
    pub(super) begun: u64,
}

impl Exchange {
    /// When its good answer had ended.
    pub(super) fn answered(&self) -> Option<Moment> {
        match self.end {
            End::Answered(at) => Some(at),
            End::Open | End::Failed | End::HungUp => None,
        }
    }

    /// That has just arrived, as this turn of this thread of this conversation.
    pub(super) fn new(arrival: &Arrival<'_>, (thread, conversation, turn): (u64, u64, u64), caller: &Caller, now: Moment) -> Self {
        Self {
            thread,
            conversation,
            turn,
            arrived: now,
            end: End::Open,
            trace: arrival.trace.unwrap_or_default(),
            parent: None,
            answer: TextMark::default(),
            is_carried: false,
            runs: Vec::new(),
            calls: Vec::new(),
            body: 0,
            length: Length::of(arrival),
            retry: arrival.sdk_retry.unwrap_or(0),
            connection: arrival.connection,
            is_repeated: false,
            agent: caller.0.clone(),
            source: caller.1,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        let index = Index {
            answers: Recent::new(FOUND_MAX, IDLE_MAX),
            replies: Recent::new(FOUND_MAX, IDLE_MAX),
            openings: Recent::new(FOUND_MAX, IDLE_MAX),
            given: Recent::new(CONVERSATIONS_MAX, IDLE_MAX),
            wholes: Recent::new(FOUND_MAX, IDLE_MAX),
            bodies: Recent::new(FOUND_MAX, IDLE_MAX),
        };
        Self {
            heads: Heads::default(),
            exchanges: Recent::new(EXCHANGES_MAX, IDLE_MAX),
            threads: Recent::new(THREADS_MAX, IDLE_MAX),
            conversations: Recent::new(CONVERSATIONS_MAX, IDLE_MAX),
            index,
            runs: Runs::new(),
            folk: Folk::new(),
            begun: 0,
        }
    }
}

impl Memory {
    /// Puts together what a request says and what was known of its beginning.
    pub(super) fn asked<'a, 'r>(&self, arrival: &'a Arrival<'a>, heard: &'a Heard<'r>) -> Asked<'a, 'r> {
        let recalled = arrival.known.recalled.as_ref().filter(|_| heard.listed.is_none());
        let heads = recalled.into_iter().flat_map(|recalled| self.heads.at(recalled)).map(|(_, thread)| *thread);
        let before: Vec<u64> = heads.filter(|thread| self.threads.find(thread).is_some()).collect();
        let known = before.first().and_then(|thread| self.threads.find(thread));
        let mut others = known.map(|thread| thread.others.clone()).unwrap_or_default();
        for name in &heard.names {
            others.add(Arc::clone(name), OTHERS_MAX);
        }
        if others.newest().next().is_some() {
            for name in &heard.callers {
                others.add(Arc::clone(name), OTHERS_MAX);
            }
        }
        let listed = heard.listed.or(known.map(|thread| thread.listed)).unwrap_or(0);
        let begun = known.map_or_else(|| beginning(arrival, heard, listed), |thread| thread.whole);
        let behind = known.and_then(|thread| match arrival.request.prompt.as_ref() {
            Some(prompt) if prompt.messages.is_empty() => thread.before.clone(),
            // What goes on with a call of another's is not behind that one's prompt.
            _ if !heard.goes_on || heard.goes_on_as.as_ref().is_some_and(|name| others.contains(name)) => None,
            _ => Some(Before {
                whole: thread.whole,
                text: heard.said.iter().find(|said| said.own).map(|said| said.mark),
                called: heard.called.clone(),
            }),
        });
        let told = known.into_iter().flat_map(|thread| thread.said.newest()).map(|(name, mark)| Said {
            mark: *mark,
            name: Some(Arc::clone(name)),
            own: false,
        });
        Asked {
            arrival,
            heard,
            kind: known.map_or(heard.kind, |thread| thread.kind),
            listed,
            opening: heard.opening.or(known.and_then(|thread| thread.opening)),
            whole: heard.steps.iter().fold(begun, |all, &step| join(all, step)),
            is_fresh: heard.is_fresh && known.is_none_or(|thread| thread.is_fresh),
            others,
            said: told.chain(heard.said.iter().cloned()).collect(),
            sign: heard.sign.clone().or_else(|| known.filter(|_| heard.steps.is_empty())?.sign.clone()),
            body: arrival.known.trail.whole(arrival.body),
            behind,
            before,
        }
    }

    /// Writes down that the request belongs to this thread of this conversation.
    pub(super) fn enter(&mut self, asked: &Asked<'_, '_>, thread: u64, exchange: Exchange, now: Moment) {
        let (arrival, place) = (asked.arrival, asked.arrival.span_id);
        let starts = (asked.whole, place);
        self.index.bodies.entry(&asked.body, now.instant).add(place, SAME_MAX);
        let is_first = self.threads.find(&thread).is_some_and(|thread| thread.exchanges == 0);
        if let Some(conversation) = self.conversations.touch(&exchange.conversation, now.instant) {
            conversation.turns = exchange.turn;
            conversation.last = now;
            conversation.threads.add(thread, PARTS_MAX);
            conversation.connections.add(arrival.connection, PARTS_MAX);
            conversation.opening = conversation.opening.or(asked.opening);
            if is_first {
                conversation.starts.add(starts, PARTS_MAX);
            }
        }
        if let Some(opening) = asked.opening.filter(|_| is_first) {
            self.index.openings.entry(&opening, now.instant).add(exchange.conversation, SAME_MAX);
        }
        self.keep(asked, thread, place, now);
        self.exchanges.insert(place, exchange, now.instant);
    }

    /// Moves the thread on to this prompt.
    fn keep(&mut self, asked: &Asked<'_, '_>, number: u64, place: u64, now: Moment) {
        let (arrival, heard) = (asked.arrival, asked.heard);
        let Some(thread) = self.threads.touch(&number, now.instant) else { return };
        (thread.last, thread.whole, thread.is_fresh) = (place, asked.whole, asked.is_fresh);
        thread.sign.clone_from(&asked.sign);
        thread.before.clone_from(&asked.behind);
        self.index.wholes.entry(&asked.whole, now.instant).add(number, SAME_MAX);
        thread.exchanges += 1;
        if heard.tools != 0 {
            thread.tools = heard.tools;
        }
        for name in asked.others.newest() {
            thread.others.add(Arc::clone(name), OTHERS_MAX);
        }
        for said in &asked.said {
            if let Some(name) = &said.name {
                thread.said.add((Arc::clone(name), said.mark), SAID_MAX);
            }
        }
        let count = arrival.request.prompt.as_ref().map_or(0, |prompt| prompt.messages.len());
        let resume = if count == 0 { arrival.known.resume().cloned() } else { arrival.request.resume(count) };
        let old = thread.head.take();
        if let Some(old) = old {
            self.heads.take(old);
        }
        let kept = resume.and_then(|resume| self.heads.keep((&arrival.known.trail, arrival.body), resume, number, now.instant));
        if let Some(thread) = self.threads.find_mut(&number) {
            thread.head = kept;
        }
    }

    /// A thread that begins with this request.
    pub(super) fn begin_thread(&mut self, asked: &Asked<'_, '_>, conversation: u64, within: Option<u64>, now: Moment) -> u64 {
        self.begun += 1;
        let heard = asked.heard;
        let alike = asked.before.first().and_then(|thread| self.threads.find(thread));
        let offered = alike.map_or_else(|| heard.offered.clone(), |thread| thread.offered.clone());
        let thread = Thread {
            conversation,
            kind: asked.kind,
            beside: heard.beside,
            listed: asked.listed,
            tools: heard.tools,
            opening: asked.opening,
            whole: asked.whole,
            before: None,
            is_fresh: asked.is_fresh,
            agent: None,
            source: Source::Unknown,
            is_disputed: false,
            others: Few::default(),
            said: Few::default(),
            last: asked.arrival.span_id,
            exchanges: 0,
            head: None,
            within,
            offered,
            sign: None,
        };
        if let Some((_, gone)) = self.threads.insert(self.begun, thread, now.instant) {
            self.forget(&gone);
        }
        self.begun
    }

    /// A conversation that begins with this request.
    pub(super) fn begin_conversation(&mut self, asked: &Asked<'_, '_>, now: Moment) -> u64 {
        let arrival = asked.arrival;
        let trace = arrival.trace.unwrap_or_else(|| fastrand::u128(1..));
        let conversation = Conversation {
            given: arrival.conversation.clone(),
            trace,
            turns: 0,
            threads: Few::default(),
            connections: Few::default(),
            opening: None,
            starts: Few::default(),
            predicted: None,
            begun: now,
            last: now,
        };
        let number = fastrand::u64(1..);
        self.conversations.insert(number, conversation, now.instant);
        if let Some(given) = &arrival.conversation {
            self.index.given.insert(Arc::clone(given), number, now.instant);
        }
        number
    }

    fn forget(&mut self, thread: &Thread) {
        if let Some(head) = thread.head {
            self.heads.take(head);
        }
    }

    /// Forgets what was not heard of for long.
    pub(super) fn expire(&mut self, now: Moment) {
        let at = now.instant;
        while let Some((_, thread)) = self.threads.expired(at) {
            self.forget(&thread);
        }
        while self.exchanges.expired(at).is_some() {}
        while self.conversations.expired(at).is_some() {}
        while self.index.answers.expired(at).is_some() {}
        while self.index.replies.expired(at).is_some() {}
        while self.index.openings.expired(at).is_some() {}
        while self.index.given.expired(at).is_some() {}
        while self.index.wholes.expired(at).is_some() {}
        while self.index.bodies.expired(at).is_some() {}
        self.heads.expire(at);
        self.folk.expire(at);
    }

    /// How many things are remembered, of all kinds.
    pub(super) fn len(&self) -> usize {
        let index = &self.index;
        let found = index.answers.len() + index.replies.len() + index.openings.len() + index.given.len() + index.wholes.len() + index.bodies.len();
        self.exchanges.len() + self.threads.len() + self.conversations.len() + self.heads.len() + self.runs.len() + self.folk.len() + found
    }
}

/// What a prompt is known by before its first message. Agents that say who they are do not take each other's prompts for their own.
fn beginning(arrival: &Arrival<'_>, heard: &Heard<'_>, listed: u64) -> u64 {
    let agent = arrival.agent.as_deref().map_or(0, |agent| wire::hash(agent.as_bytes()));
    let opening = heard.opening.map_or(0, |opening| opening.hash);
    join(join(join(join(0, heard.beside), listed), agent), opening)
}
