//! The sums of one conversation: who took part, how long it goes, what it has cost.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{
    format::{by_name, conversation_id, iso, maybe_seconds, seconds, short, shortened, trace_id, usd},
    sums::{Outcomes, Tokens},
};
use crate::{
    agent::Conversation,
    telemetry::{names::UNKNOWN, record::Record},
};

/// Agents that are told of one conversation.
const AGENTS_MAX: usize = 50;

/// What happened in one conversation so far.
#[derive(Debug, Clone, Serialize)]
pub struct ConversationSums {
    /// Its id, as the memory knows it; shown as 16 hex digits, as in rows, spans and log lines.
    #[serde(serialize_with = "conversation_id")]
    pub id: u64,
    /// Its id by the agent's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<Box<str>>,
    /// The trace of its latest exchange.
    #[serde(serialize_with = "trace_id")]
    pub trace_id: u128,
    /// When its first exchange began.
    #[serde(serialize_with = "iso")]
    pub started_at: SystemTime,
    /// When its latest exchange ended.
    #[serde(serialize_with = "iso")]
    pub last_activity: SystemTime,
    /// From its first exchange to the end of the latest.
    #[serde(rename = "duration_seconds", serialize_with = "seconds")]
    pub duration: Duration,
    /// Its exchanges so far.
    pub turns: u64,
    /// How they ended.
    pub exchanges: Outcomes,
    /// Who took part, as it was known when each exchange ended, and with how many exchanges.
    #[serde(serialize_with = "by_name")]
    pub agents: Vec<(Arc<str>, u64)>,
    /// Tokens.
    pub tokens: Tokens,
    /// What it has cost, as far as prices are known.
    #[serde(serialize_with = "usd")]
    pub cost_usd: f64,
    /// Length of its latest prompt in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_characters: Option<u64>,
    /// Time in which models answered.
    #[serde(rename = "model_seconds", serialize_with = "seconds")]
    pub model: Duration,
    /// Time in which tools ran; those that ran at one time count each.
    #[serde(rename = "tool_seconds", serialize_with = "seconds")]
    pub tool: Duration,
    /// Results of tools that came.
    pub tool_results: u64,
    /// Those that were errors.
    pub tool_errors: u64,
    /// The longest silence of the agents between two exchanges.
    #[serde(rename = "longest_pause_seconds", serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub longest_pause: Option<Duration>,
}

impl ConversationSums {
    pub(super) fn new(conversation: &Conversation, record: &Record) -> Self {
        Self {
            id: conversation.id,
            given: None,
            trace_id: record.trace.trace_id,
            started_at: record.started_at,
            last_activity: record.started_at,
            duration: Duration::ZERO,
            turns: 0,
            exchanges: Outcomes::default(),
            agents: Vec::new(),
            tokens: Tokens::default(),
            cost_usd: 0.0,
            prompt_characters: None,
            model: Duration::ZERO,
            tool: Duration::ZERO,
            tool_results: 0,
            tool_errors: 0,
            longest_pause: None,
        }
    }

    /// Its id, as it is shown.
    pub fn key(&self) -> String {
        format!("{:016x}", self.id)
    }

    pub(super) fn add(&mut self, record: &Record) {
        if self.exchanges.total() > 0
            && let Ok(pause) = record.started_at.duration_since(self.last_activity)
        {
            self.longest_pause = self.longest_pause.max(Some(pause));
        }
        let conversation = record.conversation.as_ref();
        if let Some(given) = conversation.and_then(|conversation| conversation.given.as_deref()) {
            self.given = Some(short(given));
        }
        self.trace_id = record.trace.trace_id;
        self.started_at = self.started_at.min(record.started_at);
        self.last_activity = self.last_activity.max(record.ended_at());
        self.duration = self.last_activity.duration_since(self.started_at).unwrap_or_default();
        self.turns = self.turns.max(conversation.map_or(0, |conversation| conversation.turn));
        self.exchanges.add(record.outcome);
        self.add_agent(record.agent.as_ref());
        self.tokens.add(&record.reply.usage);
        self.cost_usd += record.cost.unwrap_or_default();
        self.prompt_characters = record.call.prompt_characters.or(self.prompt_characters);
        self.model = self.model.saturating_add(record.duration);
        for run in &record.tools {
            self.tool = self.tool.saturating_add(run.duration);
            self.tool_results += 1;
            self.tool_errors += u64::from(run.error.is_some());
        }
    }

    fn add_agent(&mut self, agent: Option<&Arc<str>>) {
        let name = agent.map_or(UNKNOWN, |agent| shortened(agent));
        if let Some((_, exchanges)) = self.agents.iter_mut().find(|(known, _)| **known == *name) {
            *exchanges += 1;
        } else if self.agents.len() < AGENTS_MAX {
            let whole = agent.filter(|agent| agent.len() == name.len());
            self.agents.push((whole.map_or_else(|| name.into(), Arc::clone), 1));
        }
    }
}
