//! What people may see of the memory: no text of a prompt is in it, for none is remembered.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Source, folk::Agent, memory::Memory};

/// Most threads of a conversation whose tools are told.
const TOOLS_MAX: usize = 32;

/// An agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentView {
    /// Its name; `None` for all whose name is not known, together.
    pub name: Option<Arc<str>>,
    /// The strongest that its name is known by.
    pub source: Source,
    /// Exchanges that had this name when they arrived.
    pub exchanges: u64,
    /// Exchanges that turned out to be its own later.
    pub revised: u64,
    /// When it called last.
    pub last_seen: Option<SystemTime>,
    /// Models that it asked for; at most 8.
    pub models: Vec<Arc<str>>,
    /// Hashes of its system text and tools, of this process; at most 8.
    pub fingerprints: Vec<u64>,
    /// How long its SDK said last that it would wait.
    pub timeout: Option<Duration>,
    /// Exchanges in which it did not say that.
    pub without_timeout: u64,
    /// Requests that its SDK repeated.
    pub sdk_retries: u64,
    /// How often it hung up.
    pub hang_ups: HangUps,
    /// How long it had waited when it hung up last.
    pub waited: Option<Duration>,
    /// Exchanges that failed.
    pub failed: u64,
}

/// Hang-ups, by how far the exchange had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HangUps {
    /// While it waited for a place.
    pub queue: u64,
    /// Before anything of the reply was given to it.
    pub waiting: u64,
    /// Within the reply.
    pub streaming: u64,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationView {
    /// Ours.
    pub id: u64,
    /// The agent's own id for it.
    pub given: Option<Arc<str>>,
    /// Its trace.
    pub trace: u128,
    /// Exchanges.
    pub turns: u64,
    /// When it began.
    pub begun: SystemTime,
    /// When something was last heard of it.
    pub last_seen: SystemTime,
    /// The agents that are known to speak in it.
    pub agents: Vec<Arc<str>>,
    /// Histories in it: as many as agents, where none began anew.
    pub threads: usize,
    /// Of these, those whose agent is not known.
    pub unknown: usize,
    /// Tools that run.
    pub tools: Vec<RunningTool>,
    /// Which agents run within others' tools.
    pub children: Vec<Child>,
}

/// A tool that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningTool {
    /// Its name.
    pub name: Arc<str>,
    /// The agent that called it.
    pub agent: Option<Arc<str>>,
    /// When.
    pub since: SystemTime,
}

/// An agent that runs within another one's tool. `None` for a name that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The tool.
    pub tool: Arc<str>,
    /// Whose tool it is.
    pub of: Option<Arc<str>>,
    /// Who runs within it.
    pub agent: Option<Arc<str>>,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Conversations.
    pub conversations: usize,
    /// Agents.
    pub agents: usize,
    /// Tools that run.
    pub tools_running: usize,
    /// Exchanges that got a name after they had arrived without one.
    pub named_later: u64,
    /// Exchanges whose name turned out to be another, or nobody's.
    pub revised: u64,
    /// Everything, indices included.
    pub entries: usize,
}

impl Memory {
    pub(super) fn agents(&self, max: usize) -> Vec<AgentView> {
        self.folk.all().take(max).map(|(name, agent)| view(name, agent)).collect()
    }

    pub(super) fn view_conversations(&self, max: usize) -> Vec<ConversationView> {
        self.conversations.newest().take(max).filter_map(|(id, _)| self.view_conversation(*id)).collect()
    }

    fn view_conversation(&self, id: u64) -> Option<ConversationView> {
        let conversation = self.conversations.find(&id)?;
        let threads: Vec<_> = conversation.threads.newest().filter_map(|thread| self.threads.find(thread)).collect();
        let mut agents: Vec<Arc<str>> = Vec::new();
        for agent in threads.iter().rev().filter_map(|thread| thread.agent.as_ref()) {
            if !agents.contains(agent) {
                agents.push(Arc::clone(agent));
            }
        }
        let running = threads.iter().take(TOOLS_MAX).filter_map(|thread| Some((thread, self.exchanges.find(&thread.last)?)));
        let tools = running.flat_map(|(thread, last)| {
            let open = last.runs.iter().filter_map(|span| self.runs.find(*span)).filter(|run| !run.is_over);
            open.map(|run| RunningTool { name: Arc::clone(&run.name), agent: thread.agent.clone(), since: run.called.wall })
        });
        let within = threads.iter().filter_map(|thread| Some((thread, self.runs.find(thread.within?)?)));
        let children = within.map(|(thread, run)| {
            let of = self.threads.find(&run.caller.thread).and_then(|parent| parent.agent.clone());
            Child { tool: Arc::clone(&run.name), of, agent: thread.agent.clone() }
        });
        Some(ConversationView {
            id,
            given: conversation.given.clone(),
            trace: conversation.trace,
            turns: conversation.turns,
            begun: conversation.begun.wall,
            last_seen: conversation.last.wall,
            threads: threads.len(),
            unknown: threads.iter().filter(|thread| thread.agent.is_none()).count(),
            tools: tools.collect(),
            children: children.collect(),
            agents,
        })
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            conversations: self.conversations.len(),
            agents: self.folk.len(),
            tools_running: self.runs.open(),
            named_later: self.folk.named_later,
            revised: self.folk.revised,
            entries: self.len(),
        }
    }
}

fn view(name: Option<&Arc<str>>, agent: &Agent) -> AgentView {
    let [queue, waiting, streaming] = agent.hang_ups;
    AgentView {
        name: name.cloned(),
        source: agent.source,
        exchanges: agent.exchanges,
        revised: agent.revised,
        last_seen: agent.last,
        models: agent.models.newest().cloned().collect(),
        fingerprints: agent.fingerprints.newest().copied().collect(),
        timeout: agent.timeout,
        without_timeout: agent.without_timeout,
        sdk_retries: agent.sdk_retries,
        hang_ups: HangUps { queue, waiting, streaming },
        waited: agent.waited,
        failed: agent.failed,
    }
}
