//! A request arrives: where it belongs, what it brings, who calls.

use std::sync::Arc;

use super::{
    Arrival, Arrived, Conversation, Moment, Place, Rule, Source, ToolError, ToolRun,
    belong::Belongs,
    caller::Caller,
    heard::{Heard, Kind, join},
    memory::{Asked, Exchange, Memory, SAME_MAX},
    names::is_transfer_to,
    runs,
    tool_errors::{self, Execution},
};

impl Memory {
    /// A request has arrived.
    pub(super) fn arrive(&mut self, arrival: &Arrival<'_>, heard: &Heard<'_>, now: Moment) -> Arrived {
        if arrival.request.prompt.is_none() && arrival.conversation.is_none() {
            return self.unread(arrival, now);
        }
        let asked = self.asked(arrival, heard);
        if let Some(place) = self.repeated(&asked, now)
            && let Some(arrived) = self.repeat(&asked, place, now)
        {
            return arrived;
        }
        let mut belongs = self.belongs(&asked, now);
        let beginning = self.beginning(&asked, belongs);
        self.learn(&asked, belongs, now);
        let tools = self.results(&asked, belongs, now);
        let caller = self.caller(&asked, belongs);
        let conversation = belongs.conversation.unwrap_or_else(|| self.begin_conversation(&asked, now));
        belongs.conversation = Some(conversation);
        if asked.kind == Kind::Turn {
            self.spoken(conversation, belongs, now);
        }
        let thread = self.thread(&asked, conversation, belongs, now);
        self.introduce(&asked, (thread, belongs), &caller, now);
        let repeats = arrival.sdk_retry.is_some_and(|retry| retry > 0) && self.index.bodies.find(&asked.body).is_some();
        Arrived { tools, beginning, repeats, ..self.place(&asked, (thread, belongs), caller, now) }
    }

    /// What could not be read has a caller, if that one says so, and no conversation.
    fn unread(&mut self, arrival: &Arrival<'_>, now: Moment) -> Arrived {
        let caller = (arrival.agent.clone(), if arrival.agent.is_some() { arrival.source } else { Source::Unknown });
        self.folk.arrived((caller.0.as_ref(), caller.1), arrival, 0, now);
        let exchange = Exchange::new(arrival, (0, 0, 0), &caller, now);
        self.exchanges.insert(arrival.span_id, exchange, now.instant);
        Arrived { place: Some(Place(arrival.span_id)), agent: caller.0, source: caller.1, ..Arrived::default() }
    }

    /// The SDK asks again what it asked before: the same turn.
    fn repeat(&mut self, asked: &Asked<'_, '_>, place: u64, now: Moment) -> Option<Arrived> {
        let caller = self.now_known(place)?;
        let earlier = self.exchanges.find_mut(&place)?;
        earlier.is_repeated = true;
        let (thread, number, turn, parent) = (earlier.thread, earlier.conversation, earlier.turn, earlier.parent);
        let conversation = self.conversations.touch(&number, now.instant)?;
        conversation.last = now;
        let (given, trace) = (conversation.given.clone(), conversation.trace);
        let mut exchange = Exchange::new(asked.arrival, (thread, number, turn), &caller, now);
        (exchange.body, exchange.parent) = (asked.body, parent);
        self.threads.touch(&thread, now.instant)?.last = asked.arrival.span_id;
        self.index.bodies.entry(&asked.body, now.instant).add(asked.arrival.span_id, SAME_MAX);
        self.folk.arrived((caller.0.as_ref(), caller.1), asked.arrival, 0, now);
        exchange.trace = asked.arrival.trace.unwrap_or(trace);
        self.exchanges.insert(asked.arrival.span_id, exchange, now.instant);
        Some(Arrived {
            place: Some(Place(asked.arrival.span_id)),
            agent: caller.0,
            source: caller.1,
            conversation: Some(Conversation { id: number, given, turn }),
            trace: Some(trace),
            parent,
            tools: Vec::new(),
            beginning: None,
            repeats: true,
        })
    }

    /// The thread that the request continues, or a new one.
    fn thread(&mut self, asked: &Asked<'_, '_>, conversation: u64, belongs: Belongs, now: Moment) -> u64 {
        if let Some((thread, _)) = belongs.thread {
            return thread;
        }
        let thread = self.begin_thread(asked, conversation, belongs.within, now);
        if let Some(run) = belongs.within.and_then(|span| self.runs.find_mut(span)) {
            run.child = run.child.or(Some(thread));
        }
        thread
    }

    /// The thread's agent is the caller; where the request's own names speak against that, nobody.
    fn introduce(&mut self, asked: &Asked<'_, '_>, (thread, belongs): (u64, Belongs), (agent, source): &Caller, now: Moment) {
        match agent {
            Some(agent) if *source != Source::Inferred(Rule::OwnHistory) => self.name(thread, Some(agent), *source, now.instant),
            Some(_) => {}
            None => {
                let known = self.threads.find(&thread).filter(|_| belongs.thread.is_some()).and_then(|thread| thread.agent.as_ref());
                if known.is_some_and(|known| asked.others.contains(known)) {
                    self.name(thread, None, Source::Unknown, now.instant);
                }
            }
        }
    }

    /// Writes the exchange down, and says where it belongs.
    fn place(&mut self, asked: &Asked<'_, '_>, (thread, belongs): (u64, Belongs), caller: Caller, now: Moment) -> Arrived {
        let arrival = asked.arrival;
        let number = belongs.conversation.unwrap_or_default();
        let Some(conversation) = self.conversations.find_mut(&number) else { return Arrived::default() };
        if conversation.given.is_none() && arrival.conversation.is_some() {
            conversation.given.clone_from(&arrival.conversation);
        }
        let (given, trace, turn) = (conversation.given.clone(), conversation.trace, conversation.turns + 1);
        if let Some(given) = &given {
            self.index.given.insert(Arc::clone(given), number, now.instant);
        }
        let mut exchange = Exchange::new(arrival, (thread, number, turn), &caller, now);
        (exchange.body, exchange.parent) = (asked.body, belongs.within);
        exchange.trace = arrival.trace.unwrap_or(trace);
        let fingerprint = join(join(asked.heard.beside, asked.listed), asked.heard.tools);
        self.folk.arrived((caller.0.as_ref(), caller.1), arrival, fingerprint, now);
        self.enter(asked, thread, exchange, now);
        Arrived {
            place: Some(Place(arrival.span_id)),
            agent: caller.0,
            source: caller.1,
            conversation: Some(Conversation { id: number, given, turn }),
            trace: Some(trace),
            parent: belongs.within,
            ..Arrived::default()
        }
    }

    /// The runs of tools that end with what the request brings.
    fn results(&mut self, asked: &Asked<'_, '_>, belongs: Belongs, now: Moment) -> Vec<ToolRun> {
        let Some(conversation) = belongs.conversation else { return Vec::new() };
        let mut ended = Vec::new();
        let last = belongs.thread.and_then(|(thread, _)| self.threads.find(&thread)).map(|thread| thread.last);
        let (spans, answered) = last.and_then(|last| self.exchanges.find(&last)).map(|last| (last.runs.clone(), last.answered())).unwrap_or_default();
        if self.runs.open() > 0 {
            let heard = asked.heard;
            let by_id = heard.brought.iter().filter_map(|brought| Some((self.runs.answered_by(brought, conversation)?, brought)));
            let by_order = self.runs.answered_in_order(&spans, &heard.brought);
            for (span, brought) in by_id.chain(by_order).collect::<Vec<_>>() {
                self.learn_child(span, brought, now.instant);
                ended.extend(self.runs.end(span, brought, now));
            }
            ended.extend(self.handed_over(asked, conversation, now));
            ended.extend(self.left_behind(asked, &spans, now));
        }
        if let (Some(last), Some(answered), Some(texts)) = (last, answered, asked.heard.executed)
            && let Some(Execution(error)) = tool_errors::of_execution(texts)
            && let Some(caller) = self.runs_of(last)
        {
            ended.push(runs::execution(caller, answered, error, now));
        }
        self.with_agents(ended)
    }

    /// Where an exchange's answer comes from, as its tools know it.
    pub(super) fn runs_of(&self, place: u64) -> Option<runs::Caller> {
        let exchange = self.exchanges.find(&place)?;
        Some(runs::Caller { place, thread: exchange.thread, conversation: exchange.conversation, trace: exchange.trace })
    }

    /// A hand-over has come to pass: the tool that did it is done, though its result is shown to nobody but its caller.
    fn handed_over(&mut self, asked: &Asked<'_, '_>, conversation: u64, now: Moment) -> Vec<ToolRun> {
        let Some((_, to)) = &asked.heard.handed else { return Vec::new() };
        let Some(known) = self.conversations.find(&conversation) else { return Vec::new() };
        let exchanges = known.threads.newest().filter_map(|thread| self.exchanges.find(&self.threads.find(thread)?.last));
        let spans: Vec<u64> = exchanges.flat_map(|exchange| exchange.runs.iter().copied()).collect();
        let is_transfer = |span: &u64| self.runs.find(*span).is_some_and(|run| !run.is_over && is_transfer_to(&run.name, to));
        let done: Vec<u64> = spans.into_iter().filter(is_transfer).collect();
        done.into_iter().filter_map(|span| self.runs.close(span, None, now)).collect()
    }

    /// The thread goes on behind calls of its own, and brings no result of theirs.
    fn left_behind(&mut self, asked: &Asked<'_, '_>, spans: &[u64], now: Moment) -> Vec<ToolRun> {
        let heard = asked.heard;
        if !heard.goes_on || !heard.brought.is_empty() || !heard.has_more {
            return Vec::new();
        }
        spans.iter().filter_map(|&span| self.runs.close(span, Some(ToolError::NoResult), now)).collect()
    }

    /// Runs with the agents that called them, as far as those are known now.
    pub(super) fn with_agents(&self, mut ended: Vec<ToolRun>) -> Vec<ToolRun> {
        for run in &mut ended {
            run.agent = self.now_known(run.parent).and_then(|(agent, _)| agent);
        }
        ended
    }
}
