//! What is known of each agent: how often it called and how it is known, what it allows itself and when it gave up. For those who look, by name.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    Arrival, Moment, Source, Stage,
    memory::IDLE_MAX,
    recent::{Few, Recent},
};

/// Most agents that are remembered.
const AGENTS_MAX: usize = 1024;
/// Most models and prompts of an agent that are remembered.
const FEW_MAX: usize = 8;

/// One agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Agent {
    pub(super) source: Source,
    pub(super) exchanges: u64,
    pub(super) revised: u64,
    pub(super) last: Option<SystemTime>,
    pub(super) models: Few<Arc<str>>,
    pub(super) fingerprints: Few<u64>,
    pub(super) timeout: Option<Duration>,
    pub(super) without_timeout: u64,
    pub(super) sdk_retries: u64,
    pub(super) hang_ups: [u64; 3],
    pub(super) waited: Option<Duration>,
    pub(super) failed: u64,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Folk {
    agents: Recent<Arc<str>, Agent>,
    /// Those whose name is not known, together.
    unknown: Agent,
    /// Exchanges that got a name after they had arrived without one.
    pub(super) named_later: u64,
    /// Exchanges whose name turned out to be another, or nobody's.
    pub(super) revised: u64,
}

impl Folk {
    pub(super) fn new() -> Self {
        Self { agents: Recent::new(AGENTS_MAX, IDLE_MAX * 24), unknown: Agent::default(), named_later: 0, revised: 0 }
    }

    /// A request of this agent has arrived.
    pub(super) fn arrived(&mut self, (agent, source): (Option<&Arc<str>>, Source), arrival: &Arrival<'_>, fingerprint: u64, now: Moment) {
        let known = self.agent(agent, now.instant);
        known.source = known.source.stronger(source);
        known.exchanges += 1;
        known.last = Some(now.wall);
        known.timeout = arrival.timeout.or(known.timeout);
        known.without_timeout += u64::from(arrival.timeout.is_none());
        known.sdk_retries += u64::from(arrival.sdk_retry.is_some_and(|retry| retry > 0));
        if let Some(model) = arrival.request.call.model.as_deref()
            && !known.models.newest().any(|known| **known == *model)
        {
            known.models.add(model.into(), FEW_MAX);
        }
        if fingerprint != 0 {
            known.fingerprints.add(fingerprint, FEW_MAX);
        }
    }

    /// It has hung up after so long.
    pub(super) fn hung_up(&mut self, agent: Option<&Arc<str>>, stage: Stage, waited: Duration, at: Instant) {
        let known = self.agent(agent, at);
        let count = match stage {
            Stage::Queue => &mut known.hang_ups[0],
            Stage::Waiting => &mut known.hang_ups[1],
            Stage::Streaming => &mut known.hang_ups[2],
        };
        *count += 1;
        known.waited = Some(waited);
    }

    /// An exchange of it has failed.
    pub(super) fn failed(&mut self, agent: Option<&Arc<str>>, at: Instant) {
        self.agent(agent, at).failed += 1;
    }

    /// Exchanges turned out to be of another agent than was thought.
    pub(super) fn revised(&mut self, before: Option<&Arc<str>>, now: Option<&Arc<str>>, (exchanges, source): (u64, Source), at: Instant) {
        match before {
            None => self.named_later += exchanges,
            Some(_) => self.revised += exchanges,
        }
        let Some(now) = now else { return };
        let known = self.agents.entry(now, at);
        known.source = known.source.stronger(source);
        known.revised += exchanges;
    }

    fn agent(&mut self, agent: Option<&Arc<str>>, at: Instant) -> &mut Agent {
        match agent {
            Some(agent) => self.agents.entry(agent, at),
            None => &mut self.unknown,
        }
    }

    /// Those that called last first; then those without a name, if there are any.
    pub(super) fn all(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &Agent)> {
        let unknown = (self.unknown.exchanges > 0).then_some((None, &self.unknown));
        self.agents.newest().map(|(name, agent)| (Some(name), agent)).chain(unknown)
    }

    pub(super) fn expire(&mut self, at: Instant) {
        while self.agents.expired(at).is_some() {}
    }

    pub(super) fn len(&self) -> usize {
        self.agents.len()
    }
}
