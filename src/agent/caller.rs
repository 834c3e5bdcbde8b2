//! Who calls: by its own word, by what the request says, by what was known of the thread that it continues; and what a request says of the callers of
//! earlier ones. A stronger rule beats a weaker one; two of the same strength that differ leave nobody's name.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Moment, Rule, Source,
    belong::Belongs,
    heard::{Brought, Kind, Said},
    memory::{Asked, Memory},
    names::{is_person, is_transfer_to, named},
    prompts::ORCHESTRATOR,
    recent::Few,
};
use crate::wire::TextMark;

/// How whoever is asked for the next speaker is called: the frameworks give it no name on the wire.
pub const SELECTION: &str = "speaker selection";

/// Bytes of a tool's result that may be an agent's answer.
const ANSWER_MAX: usize = 64 << 10;

/// A name, and how it is known.
pub(super) type Caller = (Option<Arc<str>>, Source);

impl Memory {
    /// Who calls, as far as it is known when the request arrives.
    pub(super) fn caller(&self, asked: &Asked<'_, '_>, belongs: Belongs) -> Caller {
        let arrival = asked.arrival;
        if arrival.agent.is_some() {
            return (arrival.agent.clone(), arrival.source);
        }
        match asked.kind {
            Kind::Selection => return (Some(SELECTION.into()), Source::Inferred(Rule::Selection)),
            Kind::Aside => return (None, Source::Unknown),
            Kind::Turn => {}
        }
        if let Some((name, rule)) = &asked.sign {
            return (Some(Arc::clone(name)), Source::Inferred(*rule));
        }
        let of_thread = belongs.thread.and_then(|(thread, rule)| Some((self.threads.find(&thread)?.agent.clone()?, rule)));
        let of_tool = || self.as_before(asked, belongs).map(|name| (name, Rule::Fingerprint));
        let predicted = || self.predicted(belongs).map(|name| (name, Rule::Predicted));
        let found = of_thread.or_else(of_tool).or_else(predicted);
        // Nobody speaks as another in its own request.
        let found = found.filter(|(name, _)| !asked.others.contains(name) || **name == *ORCHESTRATOR);
        found.map_or((None, Source::Unknown), |(name, rule)| (Some(name), Source::Inferred(rule)))
    }

    /// Who was chosen to speak next, unless this runs within a tool.
    fn predicted(&self, belongs: Belongs) -> Option<Arc<str>> {
        let conversation = self.conversations.find(&belongs.conversation?)?;
        conversation.predicted.clone().filter(|_| belongs.within.is_none())
    }

    /// The agent that ran within the same tool before, with the same prompt, and is done.
    fn as_before(&self, asked: &Asked<'_, '_>, belongs: Belongs) -> Option<Arc<str>> {
        let tool = &self.runs.find(belongs.within?)?.name;
        let threads = self.conversations.find(&belongs.conversation?)?.threads.newest().filter_map(|thread| self.threads.find(thread));
        let mut alike = threads.filter(|thread| {
            let same_tool = thread.within.and_then(|span| self.runs.find(span)).is_some_and(|run| run.is_over && run.name == *tool);
            same_tool && (thread.beside, thread.listed, thread.tools) == (asked.heard.beside, asked.listed, asked.heard.tools)
        });
        let first = alike.next()?.agent.clone()?;
        alike.all(|thread| thread.agent.as_ref() == Some(&first)).then_some(first)
    }

    /// Gives a thread's agent its name; `None` takes it away for good.
    pub(super) fn name(&mut self, thread: u64, name: Option<&Arc<str>>, source: Source, at: Instant) {
        let Some(known) = self.threads.find_mut(&thread) else { return };
        let before = known.agent.clone();
        match (name, &before) {
            (None, _) => (known.agent, known.source, known.is_disputed) = (None, Source::Unknown, true),
            (Some(name), Some(before)) if name == before => known.source = known.source.stronger(source),
            (Some(_), Some(_)) if source.rank() == known.source.rank() && source != Source::Explicit => {
                (known.agent, known.source, known.is_disputed) = (None, Source::Unknown, true);
            }
            (Some(_), Some(_)) if source.rank() > known.source.rank() => return,
            // What contradicted itself is believed again only by its own word, or where the request itself says it.
            (Some(_), None) if known.is_disputed && source.rank() >= Source::Inferred(Rule::Echo).rank() => return,
            (Some(name), _) => (known.agent, known.source) = (Some(Arc::clone(name)), source),
        }
        if known.agent != before {
            let (now, exchanges) = (known.agent.clone(), known.exchanges);
            self.folk.revised(before.as_ref(), now.as_ref(), (exchanges, source), at);
        }
    }

    /// Learns from a request what it says of earlier ones: whose answers stand in it, and under which names.
    pub(super) fn learn(&mut self, asked: &Asked<'_, '_>, belongs: Belongs, now: Moment) {
        let Some(conversation) = belongs.conversation else { return };
        let own = belongs.thread.map(|(thread, _)| thread);
        for said in &asked.said {
            let places: Vec<u64> = self.answering(said.mark).filter(|place| self.is_of(*place, conversation)).collect();
            for place in &places {
                if let Some(exchange) = self.exchanges.find_mut(place) {
                    exchange.is_carried = true;
                }
            }
            if asked.kind != Kind::Aside || said.own {
                self.learn_name(asked, (said, own, &places), now.instant);
            }
        }
        if let Some((by, to)) = &asked.heard.handed {
            self.learn_hand_over(conversation, (by, to), now.instant);
        }
    }

    fn is_of(&self, place: u64, conversation: u64) -> bool {
        self.exchanges.find(&place).is_some_and(|exchange| exchange.conversation == conversation)
    }

    /// A text that stands under a name names whoever answered it, if that can only have been one.
    fn learn_name(&mut self, asked: &Asked<'_, '_>, (said, own, places): (&Said, Option<u64>, &[u64]), at: Instant) {
        let Some(name) = said.name.as_ref().filter(|name| !is_person(name)) else { return };
        let source = Source::Inferred(Rule::Echo);
        let mut threads = Few::default();
        for place in places {
            let Some(number) = self.exchanges.find(place).map(|exchange| exchange.thread) else { continue };
            let Some(thread) = self.threads.find(&number) else { continue };
            if thread.agent.as_ref() == Some(name) {
                return self.name(number, Some(name), source, at);
            }
            // Whoever runs within a tool answers for the agent that called it, under that one's name if need be.
            let may_be = thread.kind == Kind::Turn && thread.within.is_none() && !thread.is_disputed && !thread.others.contains(name);
            if may_be && (said.own || own != Some(number)) {
                threads.add(number, places.len());
            }
        }
        let is_open = |number: &&u64| self.threads.find(number).is_some_and(|thread| thread.source.rank() > source.rank());
        let mut open = threads.newest().filter(is_open);
        match (open.next().copied(), open.next()) {
            (Some(number), None) => self.name(number, Some(name), source, at),
            (None, _) if threads.len() == 1 => self.dispute(asked, &threads, at),
            _ => {}
        }
    }

    /// One answer, two names: unless both stand in this request, nobody knows which is right.
    fn dispute(&mut self, asked: &Asked<'_, '_>, threads: &Few<u64>, at: Instant) {
        let Some(&number) = threads.newest().next() else { return };
        let Some(thread) = self.threads.find(&number) else { return };
        let stands_here = thread.agent.as_ref().is_some_and(|agent| asked.others.contains(agent));
        if thread.source == Source::Inferred(Rule::Echo) && !stands_here {
            self.name(number, None, Source::Unknown, at);
        }
    }

    /// Whoever called the transfer has the name of the one that hands over.
    fn learn_hand_over(&mut self, conversation: u64, (by, to): (&Arc<str>, &Arc<str>), at: Instant) {
        let Some(conversation) = self.conversations.find(&conversation) else { return };
        let transfers = |thread: &&u64| {
            let last = self.threads.find(thread).and_then(|thread| self.exchanges.find(&thread.last));
            last.is_some_and(|last| last.runs.iter().filter_map(|span| self.runs.find(*span)).any(|run| is_transfer_to(&run.name, to)))
        };
        let found: Vec<u64> = conversation.threads.newest().filter(transfers).copied().collect();
        if let [thread] = *found
            && self.threads.find(&thread).is_some_and(|thread| !thread.others.contains(by))
        {
            self.name(thread, Some(by), Source::Inferred(Rule::Echo), at);
        }
    }

    /// An agent that was used as a tool has answered: `researcher: x is 1` in the result of the tool `researcher`.
    pub(super) fn learn_child(&mut self, span: u64, brought: &Brought<'_>, at: Instant) {
        let Some((tool, child)) = self.runs.find(span).and_then(|run| Some((Arc::clone(&run.name), run.child?))) else { return };
        let Some(last) = self.threads.find(&child).map(|thread| thread.last) else { return };
        let Some(exchange) = self.exchanges.find_mut(&last) else { return };
        exchange.is_carried = true;
        let [text] = &*brought.result.texts else { return };
        let prefix = format!("{tool}: ");
        if !text.raw().starts_with(prefix.as_bytes()) || text.raw().len() > ANSWER_MAX || named(&tool).is_none() {
            return;
        }
        if text.decoded(ANSWER_MAX).strip_prefix(&*prefix).is_some_and(|answer| TextMark::of(answer) == exchange.answer) {
            self.name(child, Some(&tool), Source::Inferred(Rule::Echo), at);
        }
    }

    /// A selection was answered: whom it names, if it is one of those that it offers, is expected to speak next.
    pub(super) fn chosen(&mut self, thread: u64, conversation: u64, answer: &str) {
        let Some(thread) = self.threads.find(&thread) else { return };
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let mentions = |name: &str| {
            answer.match_indices(name).any(|(at, _)| {
                let (before, after) = (answer[..at].chars().next_back(), answer[at + name.len()..].chars().next());
                !before.is_some_and(is_word) && !after.is_some_and(is_word)
            })
        };
        let mut named = thread.offered.iter().filter(|name| mentions(name));
        let chosen = match (named.next(), named.next()) {
            (Some(name), None) => Some(Arc::clone(name)),
            _ => None,
        };
        if let Some(conversation) = self.conversations.find_mut(&conversation) {
            conversation.predicted = chosen;
        }
    }

    /// An answer hands over by a tool: the agent of this conversation that the tool's name stands for is expected next, if there is one.
    pub(super) fn transferred(&mut self, conversation: u64, tool: &str) {
        let Some(known) = self.conversations.find(&conversation) else { return };
        let agents = known.threads.newest().filter_map(|thread| self.threads.find(thread)?.agent.clone());
        let chosen = agents.into_iter().find(|agent| is_transfer_to(tool, agent));
        if let Some(conversation) = self.conversations.find_mut(&conversation).filter(|_| chosen.is_some()) {
            conversation.predicted = chosen;
        }
    }

    /// The name under which an exchange is known now.
    pub(super) fn now_known(&self, place: u64) -> Option<Caller> {
        let exchange = self.exchanges.find(&place)?;
        if matches!(exchange.source, Source::Explicit | Source::Inferred(Rule::Config)) {
            return Some((exchange.agent.clone(), exchange.source));
        }
        let Some(thread) = self.threads.find(&exchange.thread) else { return Some((exchange.agent.clone(), exchange.source)) };
        Some(match &thread.agent {
            Some(agent) if exchange.agent.as_ref() == Some(agent) => (Some(Arc::clone(agent)), exchange.source),
            agent => (agent.clone(), thread.source),
        })
    }

    /// Somebody speaks in a conversation: nobody is expected any more.
    pub(super) fn spoken(&mut self, conversation: u64, belongs: Belongs, now: Moment) {
        if let Some(conversation) = self.conversations.touch(&conversation, now.instant).filter(|_| belongs.within.is_none()) {
            conversation.predicted = None;
        }
    }
}

impl Source {
    /// 0 is the strongest.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Explicit => 0,
            Self::Inferred(Rule::Config) => 1,
            Self::Inferred(Rule::Selection | Rule::HandOver | Rule::OwnTurn | Rule::Role) => 2,
            Self::Inferred(Rule::Echo) => 3,
            Self::Inferred(Rule::OwnHistory) => 4,
            Self::Inferred(Rule::Fingerprint) => 5,
            Self::Inferred(Rule::Predicted) => 6,
            Self::Unknown => 7,
        }
    }

    pub(super) fn stronger(self, other: Self) -> Self {
        if other.rank() < self.rank() { other } else { self }
    }
}
