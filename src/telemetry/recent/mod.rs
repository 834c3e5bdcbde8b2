//! What happened lately, for `/api/*` and for who ends a run: the last exchanges one by one, and sums of each agent and each conversation. All of it is
//! bounded and small, and nothing in it is content.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use foldhash::fast::RandomState;
use hashlink::LinkedHashMap;

use super::{
    names::{OTHER, UNKNOWN},
    record::Record,
};
use crate::agent::ToolRun;

mod agent;
mod conversation;
mod format;
mod row;
mod sums;

pub use agent::{AgentSums, HangUps, LastError, Latency, ToolSums};
pub use conversation::ConversationSums;
pub use format::{iso, seconds};
pub use row::{Row, ToolResult};
pub use sums::{Outcomes, Tokens};

/// Exchanges that are kept one by one.
pub const ROWS_MAX: usize = 512;
/// Agents with sums of their own; those beyond share one, `other`.
const AGENTS_MAX: usize = 500;
/// Conversations with sums; the one that was silent longest makes room.
const CONVERSATIONS_MAX: usize = 512;

/// What is kept.
#[derive(Debug, Default)]
pub struct Recent {
    seen: AtomicU64,
    /// As they were reported: what is shown of them is made when somebody asks.
    records: Mutex<VecDeque<Arc<Record>>>,
    agents: Mutex<HashMap<Arc<str>, Arc<Mutex<AgentSums>>, RandomState>>,
    /// The one that was heard of last is the last.
    conversations: Mutex<LinkedHashMap<u64, ConversationSums, RandomState>>,
}

impl Recent {
    /// Adds one finished exchange.
    pub(super) fn add(&self, record: &Arc<Record>) {
        self.agent(record.agent.as_ref()).lock().unwrap_or_else(PoisonError::into_inner).add(record);
        for run in &record.tools {
            // Where one agent hands over to another, that one brings the first one's results.
            let agent = run.agent.as_ref().or(record.agent.as_ref());
            self.agent(agent).lock().unwrap_or_else(PoisonError::into_inner).tool(&run.name).add(run);
        }
        if let Some(conversation) = &record.conversation {
            let mut conversations = self.conversations.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sums) = conversations.to_back(&conversation.id) {
                sums.add(record);
            } else {
                let mut sums = ConversationSums::new(conversation, record);
                sums.add(record);
                conversations.insert(conversation.id, sums);
            }
            let oldest = if conversations.len() > CONVERSATIONS_MAX { conversations.pop_front() } else { None };
            drop((conversations, oldest));
        }
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = if records.len() >= ROWS_MAX { records.pop_back() } else { None };
        records.push_front(Arc::clone(record));
        drop(records);
        // Freed behind the lock.
        drop(oldest);
        self.seen.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds a tool's run whose result no request has brought.
    pub(super) fn add_run(&self, run: &ToolRun) {
        self.agent(run.agent.as_ref()).lock().unwrap_or_else(PoisonError::into_inner).tool(&run.name).add(run);
    }

    /// A call of this tool has arguments that its declared schema refuses.
    pub(super) fn schema_mismatch(&self, agent: Option<&Arc<str>>, tool: &str) {
        self.agent(agent).lock().unwrap_or_else(PoisonError::into_inner).tool(tool).schema_mismatches += 1;
    }

    /// Exchanges that have ended so far.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// The last exchanges, at most [`ROWS_MAX`], newest first.
    pub fn rows(&self) -> Vec<Row> {
        let records: Vec<_> = self.records.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        records.iter().map(|record| Row::of(record)).collect()
    }

    /// The sums of each agent, the one that was heard of last first.
    pub fn agents(&self) -> Vec<AgentSums> {
        let all: Vec<_> = self.agents.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut sums: Vec<_> = all.iter().map(|sums| sums.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect();
        sums.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.name.cmp(&b.name)));
        sums
    }

    /// The sums of each conversation, the one that was heard of last first.
    pub fn conversations(&self) -> Vec<ConversationSums> {
        let mut sums: Vec<_> = self.conversations.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        sums.sort_by(|a, b| b.last_activity.cmp(&a.last_activity).then_with(|| a.id.cmp(&b.id)));
        sums
    }

    fn agent(&self, name: Option<&Arc<str>>) -> Arc<Mutex<AgentSums>> {
        let name = name.map_or(UNKNOWN, |name| name);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sums) = agents.get(name) {
            return Arc::clone(sums);
        }
        let name: Arc<str> = if agents.len() < AGENTS_MAX { name.into() } else { OTHER.into() };
        Arc::clone(agents.entry(Arc::clone(&name)).or_insert_with(|| Arc::new(Mutex::new(AgentSums::none(name)))))
    }
}

#[cfg(test)]
mod tests;
