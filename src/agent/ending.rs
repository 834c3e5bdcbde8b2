//! An exchange ends: what its answer will be known by, and what the agent did when there was none.

use super::{
    Ending, Moment, ToolRun,
    heard::{Kind, call_key, id_key},
    memory::{End, Memory, SAME_MAX},
};
use crate::wire::Reply;

impl Memory {
    /// The good answer of this exchange has ended.
    pub(super) fn answered(&mut self, place: u64, reply: &Reply, now: Moment) {
        let Some(caller) = self.runs_of(place) else { return };
        let runs = if caller.thread == 0 { Vec::new() } else { self.runs.called(reply, caller, now) };
        let Some(exchange) = self.exchanges.touch(&place, now.instant) else { return };
        exchange.end = End::Answered(now);
        exchange.answer = reply.text;
        exchange.runs = runs;
        exchange.calls = reply.tool_calls.iter().map(|call| call_key(call.id.as_deref(), &call.name)).collect();
        let Some(thread) = self.threads.touch(&caller.thread, now.instant) else { return };
        let kind = thread.kind;
        if let Some(conversation) = self.conversations.touch(&caller.conversation, now.instant) {
            conversation.last = now;
        }
        if !reply.text.is_empty() && kind != Kind::Selection {
            self.index.answers.entry(&reply.text, now.instant).add(place, SAME_MAX);
        }
        if let Some(id) = &reply.id {
            self.index.replies.insert(id_key(id), (caller.conversation, place), now.instant);
        }
        match (kind, &reply.short_text) {
            (Kind::Selection, Some(answer)) => self.chosen(caller.thread, caller.conversation, answer),
            _ => {
                if let Some(call) = reply.tool_calls.iter().find(|call| call.name.starts_with("transfer_to_")) {
                    self.transferred(caller.conversation, &call.name);
                }
            }
        }
    }

    /// This exchange has ended without a good answer.
    pub(super) fn ended(&mut self, place: u64, ending: Ending, now: Moment) {
        let agent = self.now_known(place).and_then(|(agent, _)| agent);
        let Some(exchange) = self.exchanges.touch(&place, now.instant) else { return };
        let waited = now.instant.saturating_duration_since(exchange.arrived.instant);
        match ending {
            Ending::Cancelled(stage) => {
                exchange.end = End::HungUp;
                self.folk.hung_up(agent.as_ref(), stage, waited, now.instant);
            }
            Ending::Failed => {
                exchange.end = End::Failed;
                self.folk.failed(agent.as_ref(), now.instant);
            }
        }
    }

    /// Forgets what is old; gives back the runs of tools whose result never came.
    pub(super) fn over(&mut self, now: Moment) -> Vec<ToolRun> {
        let over = self.runs.expire(now);
        let over = over.into_iter().map(|(_, run)| run).collect();
        let over = self.with_agents(over);
        self.expire(now);
        over
    }
}
