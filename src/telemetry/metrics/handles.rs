//! The series that a good exchange touches, found once for each (agent, upstream, model, dialect, stream) and then held, so that a finished record
//! costs one look-up and a few atomic additions. What goes wrong is rarer and looks its series up each time.

use std::sync::{Arc, OnceLock};

use super::{
    bounds::Names,
    exact::Exact,
    families::Families,
    values::{Amount, Counter, Histogram},
};
use crate::{
    telemetry::{
        names::{AttemptResult, OTHER, Outcome},
        record::Record,
    },
    wire::Dialect,
};

/// Held handles at one time; beyond, all are found anew. Their number is bounded by what names there are: this bounds their product.
const HELD_MAX: usize = 4096;

/// The label values of one kind of exchange.
#[derive(Debug)]
pub(super) struct Labels {
    pub(super) agent: Arc<str>,
    pub(super) upstream: Arc<str>,
    pub(super) model: Arc<str>,
    pub(super) provider: Arc<str>,
    pub(super) server: Arc<str>,
    pub(super) dialect: &'static str,
    pub(super) operation: Option<&'static str>,
    pub(super) stream: &'static str,
}

/// The labels of one kind of exchange, and its series as far as they were needed.
#[derive(Debug)]
pub(super) struct Handles {
    pub(super) labels: Labels,
    exchange_ok: OnceLock<Arc<Counter>>,
    attempt_ok: OnceLock<Arc<Counter>>,
    overhead: OnceLock<Arc<Histogram>>,
    prompt_characters: OnceLock<Arc<Histogram>>,
    prompt_tokens: OnceLock<Arc<Histogram>>,
    window_ratio: OnceLock<Arc<Histogram>>,
    estimate_error: OnceLock<Arc<Histogram>>,
    cost: OnceLock<Arc<Amount>>,
    turns: OnceLock<Arc<Histogram>>,
    tokens: [OnceLock<Arc<Counter>>; TokenType::COUNT],
    duration_ok: OnceLock<Arc<Histogram>>,
    first_chunk_ok: OnceLock<Arc<Histogram>>,
    per_chunk_ok: OnceLock<Arc<Histogram>>,
    usage_ok: [OnceLock<Arc<Histogram>>; 2],
}

/// Label values of `pillion_tokens_total{type}`.
#[derive(Debug, Clone, Copy)]
pub(super) enum TokenType {
    Input,
    Output,
    CacheRead,
    CacheWrite,
    Reasoning,
}

impl TokenType {
    const COUNT: usize = 5;

    fn place(self) -> (usize, &'static str) {
        match self {
            Self::Input => (0, "input"),
            Self::Output => (1, "output"),
            Self::CacheRead => (2, "cache_read"),
            Self::CacheWrite => (3, "cache_write"),
            Self::Reasoning => (4, "reasoning"),
        }
    }
}

impl Handles {
    fn new(labels: Labels) -> Self {
        Self {
            labels,
            exchange_ok: OnceLock::new(),
            attempt_ok: OnceLock::new(),
            overhead: OnceLock::new(),
            prompt_characters: OnceLock::new(),
            prompt_tokens: OnceLock::new(),
            window_ratio: OnceLock::new(),
            estimate_error: OnceLock::new(),
            cost: OnceLock::new(),
            turns: OnceLock::new(),
            tokens: Default::default(),
            duration_ok: OnceLock::new(),
            first_chunk_ok: OnceLock::new(),
            per_chunk_ok: OnceLock::new(),
            usage_ok: Default::default(),
        }
    }

    pub(super) fn exchange(&self, families: &Families, outcome: Outcome) {
        let Labels { agent, upstream, model, dialect, stream, .. } = &self.labels;
        let find = || families.exchanges.with(&[agent, upstream, model, dialect, stream, outcome.as_str()]);
        if outcome == Outcome::Ok { self.exchange_ok.get_or_init(find).inc() } else { find().inc() }
    }

    pub(super) fn attempt(&self, families: &Families, result: AttemptResult) {
        let find = || families.attempts.with(&[&self.labels.upstream, result.as_str()]);
        if result == AttemptResult::Success { self.attempt_ok.get_or_init(find).inc() } else { find().inc() }
    }

    pub(super) fn overhead(&self, families: &Families, seconds: f64) {
        self.overhead.get_or_init(|| families.overhead.with(&[self.labels.stream])).observe(seconds);
    }

    pub(super) fn prompt_characters(&self, families: &Families, characters: f64) {
        let find = || families.prompt_characters.with(&[&self.labels.agent, &self.labels.model]);
        self.prompt_characters.get_or_init(find).observe(characters);
    }

    pub(super) fn prompt_tokens(&self, families: &Families, tokens: f64) {
        let find = || families.prompt_tokens.with(&[&self.labels.agent, &self.labels.model]);
        self.prompt_tokens.get_or_init(find).observe(tokens);
    }

    pub(super) fn window_ratio(&self, families: &Families, ratio: f64) {
        let find = || families.window_ratio.with(&[&self.labels.agent, &self.labels.model]);
        self.window_ratio.get_or_init(find).observe(ratio);
    }

    pub(super) fn estimate_error(&self, families: &Families, ratio: f64) {
        let find = || families.estimate_error.with(&[&self.labels.upstream, &self.labels.model]);
        self.estimate_error.get_or_init(find).observe(ratio);
    }

    pub(super) fn cost(&self, families: &Families, usd: f64) {
        let Labels { agent, upstream, model, .. } = &self.labels;
        self.cost.get_or_init(|| families.cost.with(&[agent, upstream, model])).add(usd);
    }

    pub(super) fn turn(&self, families: &Families, turn: f64) {
        self.turns.get_or_init(|| families.conversation_turns.with(&[&self.labels.agent])).observe(turn);
    }

    pub(super) fn tokens(&self, families: &Families, kind: TokenType, n: u64) {
        let Labels { agent, upstream, model, .. } = &self.labels;
        let (place, name) = kind.place();
        self.tokens[place].get_or_init(|| families.tokens.with(&[agent, upstream, model, name])).add(n);
    }

    pub(super) fn duration(&self, families: &Families, error: &str, seconds: f64) {
        let find = |labels: &[&str]| families.operation_duration.with(labels);
        self.observe_operation(&self.duration_ok, error, seconds, find);
    }

    pub(super) fn first_chunk(&self, families: &Families, error: &str, seconds: f64) {
        let find = |labels: &[&str]| families.first_chunk.with(labels);
        self.observe_operation(&self.first_chunk_ok, error, seconds, find);
    }

    fn observe_operation(&self, held: &OnceLock<Arc<Histogram>>, error: &str, seconds: f64, find: impl Fn(&[&str]) -> Arc<Histogram>) {
        let Labels { agent, model, provider, server, operation: Some(operation), .. } = &self.labels else { return };
        let find = || find(&[operation, provider, model, agent, server, error]);
        if error.is_empty() { held.get_or_init(find).observe(seconds) } else { find().observe(seconds) }
    }

    pub(super) fn per_chunk(&self, families: &Families, error: &str, (seconds, chunks): (f64, u64)) {
        let Labels { model, provider, server, operation: Some(operation), .. } = &self.labels else { return };
        let find = || families.per_chunk.with(&[operation, provider, model, server, error]);
        if error.is_empty() { self.per_chunk_ok.get_or_init(find).observe_many(seconds, chunks) } else { find().observe_many(seconds, chunks) }
    }

    /// Only input and output have a place in the conventions' histogram.
    pub(super) fn usage(&self, families: &Families, error: &str, (kind, tokens): (TokenType, f64)) {
        let Labels { agent, model, provider, server, operation: Some(operation), .. } = &self.labels else { return };
        let (place, name) = kind.place();
        let find = || families.token_usage.with(&[operation, provider, model, agent, server, error, name]);
        match self.usage_ok.get(place) {
            Some(held) if error.is_empty() => held.get_or_init(find).observe(tokens),
            Some(_) => find().observe(tokens),
            None => (),
        }
    }
}

/// All handles that are held, and the bounded names they are made of.
#[derive(Debug)]
pub(super) struct Held {
    by_names: Exact<Handles>,
    pub(super) agents: Names,
    pub(super) models: Names,
    pub(super) upstreams: Names,
    pub(super) providers: Names,
    pub(super) servers: Names,
    pub(super) tools: Names,
    pub(super) tool_errors: Names,
}

impl Held {
    pub(super) fn new([agents, models, upstreams, providers, servers]: [Names; 5], [tools, tool_errors]: [Names; 2]) -> Self {
        Self { by_names: Exact::new(), agents, models, upstreams, providers, servers, tools, tool_errors }
    }

    /// The handles of this kind of exchange.
    pub(super) fn of(&self, record: &Record) -> Arc<Handles> {
        let stream = if record.call.stream || record.streamed { "true" } else { "false" };
        let key = [
            record.agent.as_deref().unwrap_or_default(),
            record.upstream.as_deref().unwrap_or_default(),
            record.call.model.as_deref().unwrap_or_default(),
            record.provider.as_deref().unwrap_or_default(),
            record.server.as_ref().map_or("", |(host, _)| host),
            record.dialect.map_or("", Dialect::name),
            stream,
        ];
        if let Some(held) = self.by_names.find(&key) {
            return held;
        }
        let labels = self.labels(&key, record.dialect, stream);
        // A name that overflowed is not held: it must be counted each time, and there may be any number of them.
        if [&labels.agent, &labels.model, &labels.upstream, &labels.provider, &labels.server].into_iter().any(|label| **label == *OTHER) {
            return Arc::new(Handles::new(labels));
        }
        if self.by_names.len() >= HELD_MAX {
            self.by_names.clear();
        }
        self.by_names.find_or_insert(&key, || Some(Handles::new(labels))).expect("`new` always makes one")
    }

    fn labels(&self, &[agent, upstream, model, provider, server, _, _]: &[&str; 7], dialect: Option<Dialect>, stream: &'static str) -> Labels {
        Labels {
            agent: self.agents.label(Some(agent)),
            upstream: self.upstreams.label(Some(upstream)),
            model: self.models.label(Some(model)),
            provider: self.providers.label(Some(provider)),
            server: self.servers.label(Some(server)),
            dialect: dialect.map_or("unknown", Dialect::name),
            operation: dialect.map(Dialect::operation),
            stream,
        }
    }
}
