//! Rows and sums together with what the memory of agents knows by now: names that later requests revealed, tools that still run, who works for whom.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    agent::{self, AgentView, Agents, ConversationView, Counts},
    telemetry::{
        names::{UNKNOWN, agent_source},
        recent::{AgentSums, ConversationSums, Recent, Row, iso, seconds},
    },
};

/// Agents and conversations of the memory that are looked at: as many as have sums, and the memory is held for a moment only.
const VIEWS_MAX: usize = 512;

/// An exchange, and who is known by now to have made it.
#[derive(Debug, Serialize)]
pub(super) struct Exchange {
    #[serde(flatten)]
    pub(super) row: Row,
    /// Its agent, where later requests have revealed another than was known at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revised_agent: Option<Arc<str>>,
    /// How that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revised_source: Option<&'static str>,
}

/// An agent's sums, and what is remembered of it.
#[derive(Debug, Serialize)]
pub(super) struct Agent {
    #[serde(flatten)]
    pub(super) sums: AgentSums,
    /// The strongest that its name is known by.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_by: Option<&'static str>,
    /// Exchanges that turned out to be its own when they had ended under another name, or none. They are not in its sums.
    revised_exchanges: u64,
    /// Exchanges in which its SDK did not say how long it would wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    without_timeout: Option<u64>,
    /// Different prompts and sets of tools that it came with; 8 is eight or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprints: Option<usize>,
}

/// A conversation's sums, and what is remembered of it.
#[derive(Debug, Serialize)]
pub(super) struct Conversation {
    #[serde(flatten)]
    pub(super) sums: ConversationSums,
    /// Whether it is still remembered: it may go on.
    remembered: bool,
    /// Histories in it: as many as agents, where none began anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    histories: Option<usize>,
    /// Of these, those whose agent is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_histories: Option<usize>,
    /// The agents that are known by now to speak in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) known_agents: Vec<Arc<str>>,
    /// Tools that were called and whose results have not come.
    running_tools: Vec<RunningTool>,
    /// Which agents work within which other's tool.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Child>,
}

/// A tool that runs.
#[derive(Debug, Serialize)]
struct RunningTool {
    tool: Arc<str>,
    agent: Arc<str>,
    #[serde(serialize_with = "iso")]
    since: SystemTime,
    #[serde(rename = "running_seconds", serialize_with = "seconds")]
    running: Duration,
}

/// An agent that works within this tool of that agent.
#[derive(Debug, Serialize)]
struct Child {
    agent: Arc<str>,
    tool: Arc<str>,
    of: Arc<str>,
}

/// How often names were learnt late.
#[derive(Debug, Serialize)]
pub(super) struct Attribution {
    /// Exchanges that got a name after they had arrived without one.
    named_later: u64,
    /// Exchanges whose name turned out to be another, or nobody's.
    revised: u64,
}

/// The last exchanges, newest first.
pub(super) fn exchanges<'a>(recent: &Recent, agents: &'a Agents) -> impl Iterator<Item = Exchange> + use<'a> {
    recent.rows().into_iter().map(|row| {
        let now = agents.caller(row.span_id).map(|(name, source)| (name_of(name.as_ref()), agent_source(source)));
        let (revised_agent, revised_source) = now.filter(|(name, _)| *name != row.agent).unzip();
        Exchange { row, revised_agent, revised_source }
    })
}

/// All agents, the one heard of last first; also those that are only known by now.
pub(super) fn agents(recent: &Recent, agents: &Agents) -> Vec<Agent> {
    let mut views: HashMap<Arc<str>, AgentView> = agents.agents(VIEWS_MAX).into_iter().map(|view| (name_of(view.name.as_ref()), view)).collect();
    let mut all: Vec<Agent> = recent
        .agents()
        .into_iter()
        .map(|sums| {
            let view = views.remove(&sums.name);
            Agent::new(sums, view.as_ref())
        })
        .collect();
    let mut revealed: Vec<Agent> =
        views.into_iter().filter(|(_, view)| view.revised > 0).map(|(name, view)| Agent::new(AgentSums::none(name), Some(&view))).collect();
    revealed.sort_by(|a, b| a.sums.name.cmp(&b.sums.name));
    all.extend(revealed);
    all
}

/// All conversations, the one heard of last first.
pub(super) fn conversations(recent: &Recent, agents: &Agents, now: SystemTime) -> Vec<Conversation> {
    let mut views: HashMap<u64, ConversationView> = agents.conversations(VIEWS_MAX).into_iter().map(|view| (view.id, view)).collect();
    let sums = recent.conversations().into_iter();
    sums.map(|sums| {
        let view = views.remove(&sums.id);
        Conversation::new(sums, view, now)
    })
    .collect()
}

impl From<Counts> for Attribution {
    fn from(counts: Counts) -> Self {
        Self { named_later: counts.named_later, revised: counts.revised }
    }
}

impl Agent {
    fn new(sums: AgentSums, view: Option<&AgentView>) -> Self {
        Self {
            sums,
            known_by: view.map(|view| agent_source(view.source)),
            revised_exchanges: view.map_or(0, |view| view.revised),
            without_timeout: view.map(|view| view.without_timeout),
            fingerprints: view.map(|view| view.fingerprints.len()),
        }
    }
}

impl Conversation {
    fn new(sums: ConversationSums, view: Option<ConversationView>, now: SystemTime) -> Self {
        let running = |tool: &agent::RunningTool| RunningTool {
            tool: Arc::clone(&tool.name),
            agent: name_of(tool.agent.as_ref()),
            since: tool.since,
            running: now.duration_since(tool.since).unwrap_or_default(),
        };
        let child =
            |child: &agent::Child| Child { agent: name_of(child.agent.as_ref()), tool: Arc::clone(&child.tool), of: name_of(child.of.as_ref()) };
        Self {
            sums,
            remembered: view.is_some(),
            histories: view.as_ref().map(|view| view.threads),
            unknown_histories: view.as_ref().map(|view| view.unknown),
            running_tools: view.iter().flat_map(|view| &view.tools).map(running).collect(),
            children: view.iter().flat_map(|view| &view.children).map(child).collect(),
            known_agents: view.map(|view| view.agents).unwrap_or_default(),
        }
    }
}

fn name_of(name: Option<&Arc<str>>) -> Arc<str> {
    name.map_or_else(|| UNKNOWN.into(), Arc::clone)
}
