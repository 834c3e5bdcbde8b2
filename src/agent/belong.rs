//! Where a request belongs: the thread that it continues, and the conversation that it is part of. Only what the request itself carries counts; where that
//! fits several, it belongs to none of them and begins its own.

use std::{sync::Arc, time::Duration};

use super::{
    Moment, Rule, Source,
    heard::{Kind, Said, id_key},
    memory::{Asked, Before, End, Exchange, Memory, Thread},
    prompts::ORCHESTRATOR,
    recent::Few,
};
use crate::wire::TextMark;

/// How long after its last exchange a conversation is joined by what begins with the same text.
const RUN_WINDOW: Duration = Duration::from_mins(10);
/// How long after an exchange the SDK repeats it.
const REPEAT_WINDOW: Duration = Duration::from_mins(15);
/// A shorter text is said so often that it says nothing by itself.
const TELLING_MIN: u64 = 16;

/// Where a request belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Belongs {
    /// `None` for a new one.
    pub(super) conversation: Option<u64>,
    /// The thread that it continues, and what says that its caller is the same.
    pub(super) thread: Option<(u64, Rule)>,
    /// The tool that it runs within.
    pub(super) within: Option<u64>,
}

/// A conversation that a request may belong to, and whether what says so is seen for the first time.
type Candidate = (u64, bool);

impl Memory {
    /// The exchange that this request is the SDK's repetition of. `None` also where it may be that of several: programs that are the same in every word.
    pub(super) fn repeated(&self, asked: &Asked<'_, '_>, now: Moment) -> Option<u64> {
        let retry = asked.arrival.sdk_retry.filter(|&retry| retry > 0)?;
        let earlier = self.index.bodies.find(&asked.body)?.newest().filter_map(|place| Some((*place, self.exchanges.find(place)?)));
        let may_be = |(_, exchange): &(u64, &Exchange)| {
            let is_recent = now.instant.saturating_duration_since(exchange.arrived.instant) < REPEAT_WINDOW;
            is_recent && !exchange.is_repeated && exchange.retry < retry && exchange.answered().is_none()
        };
        let mut left: Vec<_> = earlier.filter(may_be).collect();
        narrow(&mut left, |(_, exchange)| exchange.retry + 1 == retry);
        narrow(&mut left, |(_, exchange)| exchange.connection == asked.arrival.connection);
        match *left {
            [(place, _)] => Some(place),
            _ => None,
        }
    }

    /// Whether something of the conversation came on the request's connection.
    fn is_on_connection(&self, conversation: u64, asked: &Asked<'_, '_>) -> bool {
        self.conversations.find(&conversation).is_some_and(|conversation| conversation.connections.contains(&asked.arrival.connection))
    }

    /// Where a request belongs.
    pub(super) fn belongs(&self, asked: &Asked<'_, '_>, now: Moment) -> Belongs {
        let given = asked.arrival.conversation.as_ref();
        let within = self.within(asked);
        let thread = self.continued(asked).filter(|(thread, _)| {
            let conversation = self.threads.find(thread).and_then(|thread| self.conversations.find(&thread.conversation));
            conversation.is_some_and(|conversation| given.is_none() || conversation.given.is_none() || conversation.given.as_ref() == given)
        });
        let of_thread = thread.and_then(|(thread, _)| self.threads.find(&thread)).map(|thread| thread.conversation);
        let told = given.and_then(|given| self.index.given.find(given).copied());
        let conversation = match given {
            Some(_) => told.or(of_thread),
            None => of_thread.or_else(|| self.conversation(asked, within, now)),
        };
        let conversation = conversation.filter(|conversation| self.conversations.find(conversation).is_some());
        let thread = thread.filter(|_| of_thread == conversation);
        let within = thread.map_or(within, |(thread, _)| self.threads.find(&thread).and_then(|thread| thread.within));
        Belongs { conversation, thread, within: within.filter(|span| self.is_within(*span, conversation)) }
    }

    fn is_within(&self, span: u64, conversation: Option<u64>) -> bool {
        conversation.is_some_and(|conversation| self.runs.find(span).is_some_and(|run| run.is_open_in(conversation)))
    }

    /// The thread that the request continues, if it carries what that thread's model has answered, under the same system text.
    fn continued(&self, asked: &Asked<'_, '_>) -> Option<(u64, Rule)> {
        let heard = asked.heard;
        if let Some(reply) = asked.arrival.request.call.continues.as_deref().map(id_key) {
            let (_, place) = self.index.replies.find(&reply)?;
            let thread = self.exchanges.find(place)?.thread;
            let fits = self.threads.find(&thread).is_some_and(|thread| thread.beside == asked.heard.beside && fits_name(thread, asked));
            return fits.then_some((thread, Rule::OwnHistory));
        }
        if let Some(behind) = &asked.behind {
            let places = self.index.wholes.find(&behind.whole).into_iter().flat_map(Few::newest).copied();
            let answered = places.filter(|thread| self.could_continue(*thread, asked) && self.has_answered(*thread, behind));
            match self.nearest(answered, asked) {
                Nearest::One(thread) => return Some((thread, Rule::OwnHistory)),
                Nearest::Several => return None,
                Nearest::None => {}
            }
        }
        if heard.goes_on && !goes_on_with_anothers(asked) {
            let before = || asked.before.iter().copied().filter(|thread| self.could_continue(*thread, asked));
            // What was answered is not what came back (thoughts are cut off, JSON is written anew, half an answer is kept), but nobody else has begun like this.
            if let (Some(thread), None) = (before().next(), before().nth(1))
                && self.threads.find(&thread).and_then(|thread| self.exchanges.find(&thread.last)).is_some_and(|last| last.end != End::Open)
            {
                return Some((thread, Rule::Fingerprint));
            }
        }
        self.remembered(asked).map(|thread| (thread, Rule::OwnHistory))
    }

    /// The thread whose answers or calls the request carries as its own, though its beginning is another: its history was cut.
    fn remembered(&self, asked: &Asked<'_, '_>) -> Option<u64> {
        let text = asked.heard.said.iter().rev().find(|said| said.own).filter(|said| said.mark.length >= TELLING_MIN);
        let answered = text.into_iter().flat_map(|said| self.answering(said.mark));
        let called = asked.heard.called.last().into_iter().flat_map(|&key| self.runs.of_id(key)).map(|(_, run)| run.caller.place);
        // Only of threads that have not gone on since: many answer some things alike.
        let threads = answered.chain(called).filter_map(|place| {
            let thread = self.exchanges.find(&place)?.thread;
            (self.threads.find(&thread)?.last == place).then_some(thread)
        });
        // Others' calls may stand there as an assistant's.
        let is_others = |thread: &u64| {
            let agent = self.threads.find(thread).and_then(|thread| thread.agent.as_ref());
            agent.is_some_and(|agent| asked.others.contains(agent) && **agent != *ORCHESTRATOR)
        };
        let fits = |thread: &u64| self.could_continue(*thread, asked) && !asked.before.contains(thread) && !is_others(thread);
        match self.nearest(threads.filter(fits), asked) {
            Nearest::One(thread) => Some(thread),
            Nearest::Several | Nearest::None => None,
        }
    }

    /// Whether the thread's agent could ask this: under the same system text, and not by another name.
    fn could_continue(&self, thread: u64, asked: &Asked<'_, '_>) -> bool {
        let Some(thread) = self.threads.find(&thread) else { return false };
        thread.kind == asked.kind && (thread.beside, thread.listed) == (asked.heard.beside, asked.listed) && fits_name(thread, asked)
    }

    /// Whether the thread's last prompt is this one, and was answered so.
    fn has_answered(&self, thread: u64, behind: &Before) -> bool {
        let Some(thread) = self.threads.find(&thread).filter(|thread| thread.whole == behind.whole) else { return false };
        let Some(last) = self.exchanges.find(&thread.last) else { return false };
        behind.text.is_some_and(|text| text == last.answer) || last.calls.iter().any(|call| behind.called.contains(call))
    }

    fn nearest(&self, threads: impl Iterator<Item = u64>, asked: &Asked<'_, '_>) -> Nearest {
        let mut found: Vec<u64> = Vec::new();
        for thread in threads {
            if !found.contains(&thread) {
                found.push(thread);
            }
        }
        let on_connection = |thread: &&u64| {
            let conversation = self.threads.find(thread).and_then(|thread| self.conversations.find(&thread.conversation));
            conversation.is_some_and(|conversation| conversation.connections.contains(&asked.arrival.connection))
        };
        match *found {
            [] => return Nearest::None,
            [one] => return Nearest::One(one),
            _ => {}
        }
        let mut near = found.iter().filter(on_connection);
        match (near.next(), near.next()) {
            (Some(&one), None) => Nearest::One(one),
            _ => Nearest::Several,
        }
    }

    /// The conversation of a request that continues no thread.
    fn conversation(&self, asked: &Asked<'_, '_>, within: Option<u64>, now: Moment) -> Option<u64> {
        let heard = asked.heard;
        if let Some(reply) = asked.arrival.request.call.continues.as_deref().map(id_key)
            && let Some((conversation, _)) = self.index.replies.find(&reply)
        {
            return Some(*conversation);
        }
        let keys = heard.called.iter().copied().chain(heard.brought.iter().filter_map(|brought| brought.key));
        let called: Vec<Candidate> = keys.flat_map(|key| self.runs.of_id(key)).map(|(_, run)| (run.caller.conversation, !run.is_over)).collect();
        match self.told(called, asked) {
            Nearest::One(conversation) => Some(conversation),
            // Runs that are the same in every word: no weaker sign tells them apart.
            Nearest::Several => None,
            Nearest::None => {
                let of_tool = within.and_then(|span| self.runs.find(span)).map(|run| run.caller.conversation);
                of_tool.or_else(|| self.begun_like(asked, now))
            }
        }
    }

    /// The conversation of which the request carries calls of tools or answers, the last one first.
    fn told(&self, called: Vec<Candidate>, asked: &Asked<'_, '_>) -> Nearest {
        let answers = asked.said.iter().rev().map(|said| self.telling(said, asked));
        let mut found = Nearest::None;
        for candidates in std::iter::once(called).chain(answers) {
            match self.choose(candidates, asked) {
                Nearest::One(conversation) => return Nearest::One(conversation),
                Nearest::Several => found = Nearest::Several,
                Nearest::None => {}
            }
        }
        found
    }

    /// The conversations in which a text was an answer that could be this one.
    fn telling(&self, said: &Said, asked: &Asked<'_, '_>) -> Vec<Candidate> {
        let places = self.answering(said.mark);
        let exchanges = places.filter_map(|place| self.exchanges.find(&place)).filter(|exchange| {
            let agent = self.threads.find(&exchange.thread).and_then(|thread| thread.agent.as_ref());
            let fits = agent.zip(said.name.as_ref()).is_none_or(|(agent, name)| agent == name);
            fits && (said.mark.length >= TELLING_MIN || self.is_near(exchange.conversation, asked))
        });
        exchanges.map(|exchange| (exchange.conversation, !exchange.is_carried)).collect()
    }

    /// Whether something else says that the request may be of this conversation.
    fn is_near(&self, conversation: u64, asked: &Asked<'_, '_>) -> bool {
        let Some(conversation) = self.conversations.find(&conversation) else { return false };
        let Some(opening) = conversation.opening else { return false };
        asked.opening == Some(opening)
            || conversation.connections.contains(&asked.arrival.connection)
            || asked.said.iter().any(|said| said.mark == opening)
    }

    /// The conversation that began with the same text, if there is one alone; that of the thread whose prompt it repeats, if that one is under way: it
    /// failed, or asks again on the same connection. Else another run has come just as far.
    fn begun_like(&self, asked: &Asked<'_, '_>, now: Moment) -> Option<u64> {
        let under_way = asked.before.iter().filter_map(|thread| self.threads.find(thread)).filter(|thread| !thread.is_fresh);
        let asks_again = |thread: &&Thread| {
            self.is_on_connection(thread.conversation, asked) || self.exchanges.find(&thread.last).is_some_and(|last| last.end == End::Failed)
        };
        let under_way: Vec<Candidate> = under_way.filter(asks_again).map(|thread| (thread.conversation, true)).collect();
        if !under_way.is_empty() {
            return self.choose(under_way, asked).one();
        }
        if !asked.is_fresh && asked.kind == Kind::Turn {
            return None;
        }
        let begun = self.index.openings.find(&asked.opening?)?;
        let is_live = |conversation: &&u64| {
            let last = self.conversations.find(conversation).map(|conversation| conversation.last.instant);
            last.is_some_and(|last| now.instant.saturating_duration_since(last) < RUN_WINDOW)
        };
        let live = begun.newest().filter(is_live).map(|conversation| (*conversation, self.expects(*conversation))).collect();
        self.choose(live, asked).one()
    }

    /// Whether somebody was chosen to speak in it and has not spoken yet.
    fn expects(&self, conversation: u64) -> bool {
        self.conversations.find(&conversation).is_some_and(|conversation| conversation.predicted.is_some())
    }

    /// The one conversation that fits; what tells them apart is asked in the order of its weight.
    fn choose(&self, candidates: Vec<Candidate>, asked: &Asked<'_, '_>) -> Nearest {
        let mut left: Vec<Candidate> = Vec::new();
        for (conversation, is_new) in candidates {
            match left.iter_mut().find(|(known, _)| *known == conversation) {
                Some((_, known)) => *known |= is_new,
                None if self.has_begun_so(conversation, asked) => {}
                None => left.push((conversation, is_new)),
            }
        }
        let known = |conversation: &u64| self.conversations.find(conversation);
        let on_connection = |(conversation, _): &Candidate| self.is_on_connection(*conversation, asked);
        let is_near = left.iter().any(on_connection);
        narrow(&mut left, |(conversation, _)| known(conversation).is_some_and(|known| known.opening == asked.opening));
        narrow(&mut left, |(_, is_new)| *is_new);
        narrow(&mut left, on_connection);
        match *left {
            [] => Nearest::None,
            // What is new in one came on the connection of another: they are the same in every word.
            [ref one] if is_near && !on_connection(one) => Nearest::Several,
            [(conversation, _)] => Nearest::One(conversation),
            _ => Nearest::Several,
        }
    }

    /// Whether a thread of this conversation has begun with the very same prompt: then this is another run of the same program. Unless that one failed,
    /// and what is asked now is not the same to the byte: another model, or another upstream, is tried.
    fn has_begun_so(&self, conversation: u64, asked: &Asked<'_, '_>) -> bool {
        let Some(conversation) = self.conversations.find(&conversation) else { return true };
        let is_tried_elsewhere =
            |place: &u64| self.exchanges.find(place).is_some_and(|exchange| exchange.end == End::Failed && exchange.body != asked.body);
        conversation.starts.newest().any(|(whole, place)| *whole == asked.whole && !is_tried_elsewhere(place))
    }

    /// The tool that the request runs within: a fresh prompt whose first text is among the arguments of a call that still runs.
    fn within(&self, asked: &Asked<'_, '_>) -> Option<u64> {
        let opening = asked.opening.filter(|_| asked.is_fresh && self.runs.open() > 0)?;
        let calls: Vec<(u64, u64, bool)> =
            self.runs.of_argument(opening).map(|(span, run)| (span, run.caller.conversation, run.child.is_none())).collect();
        let conversation = self.choose(calls.iter().map(|(_, conversation, is_free)| (*conversation, *is_free)).collect(), asked).one()?;
        // Of several such calls the oldest that nobody runs within yet.
        let free = calls.iter().rev().find(|(_, of, is_free)| *of == conversation && *is_free);
        free.map(|(span, ..)| *span)
    }

    /// Exchanges with this answer, the newest first.
    pub(super) fn answering(&self, mark: TextMark) -> impl Iterator<Item = u64> {
        let places = if mark.is_empty() { None } else { self.index.answers.find(&mark) };
        places.into_iter().flat_map(Few::newest).copied()
    }
}

enum Nearest {
    None,
    One(u64),
    Several,
}

impl Nearest {
    fn one(self) -> Option<u64> {
        match self {
            Self::One(one) => Some(one),
            Self::None | Self::Several => None,
        }
    }
}

/// Leaves those that something speaks for, if it speaks for any.
fn narrow<T>(left: &mut Vec<T>, tells: impl Fn(&T) -> bool) {
    if left.len() > 1 && left.iter().any(&tells) {
        left.retain(tells);
    }
}

/// Whether what is new begins with another's call of a tool: in a classic group those stand as an assistant's, under that one's name.
fn goes_on_with_anothers(asked: &Asked<'_, '_>) -> bool {
    asked.heard.goes_on_as.as_ref().is_some_and(|name| asked.others.contains(name))
}

/// Whether the thread's agent may be the caller by the names that the request says. Where one agent hands over to another, the history of the first is the
/// second's too.
fn fits_name(thread: &Thread, asked: &Asked<'_, '_>) -> bool {
    let is = |name: &Arc<str>| thread.agent.as_ref() == Some(name);
    let by_word = asked.arrival.agent.as_ref().is_none_or(|agent| is(agent) || thread.source != Source::Explicit);
    let by_sign = asked
        .sign
        .as_ref()
        .is_none_or(|(name, rule)| *rule != Rule::HandOver || is(name) || thread.agent.is_none() && (thread.beside, thread.listed) != (0, 0));
    by_word && by_sign
}
