//! Step 1: which upstream, which dialect, and who calls by its own word or a rule of the config. The path chooses among what the config names; nothing else can.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, request, uri::PathAndQuery};
use percent_encoding::percent_decode_str;

use super::refusal::Refusal;
use crate::{
    agent::{Rule, Source},
    config::{self, Asking, Config, Upstream},
    telemetry::{self, names::Reason},
    wire::Dialect,
};

/// Longest target that is carried, in bytes.
const TARGET_MAX: usize = 16 << 10;

/// Where a request goes.
#[derive(Debug)]
pub(super) struct Target {
    /// The calling agent, by its own word or a rule of the config.
    pub agent: Option<Arc<str>>,
    /// How that is known.
    pub agent_source: Source,
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// What the path's tail says, or the upstream's config.
    pub dialect: Option<Dialect>,
    /// The path without `/@AGENT`, by which routes are found.
    pub path: String,
    /// The path without prefixes, and the query: what goes below the upstream's own path.
    below: PathAndQuery,
}

impl Target {
    /// The query.
    pub(super) fn query(&self) -> Option<&str> {
        self.below.query()
    }

    /// What is asked of this upstream: its own path in front; a `/v1` at both ends is not doubled.
    pub(super) fn forward(&self, upstream: &Upstream) -> PathAndQuery {
        join(&upstream.path, &self.below)
    }
}

/// Finds it, or says why there is none.
pub(super) fn locate(config: &Config, head: &request::Parts) -> Result<Target, Refusal> {
    let target = head.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.len() > TARGET_MAX {
        return Err(Refusal::new(
            Reason::UriTooLong,
            format!("The request's target is {} bytes long; at most {TARGET_MAX} are carried", target.len()),
        ));
    }
    let (named, rest) = split_agent(target);
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let asking = Asking { path, query, headers: &head.headers, system: &[] };
    let (agent, agent_source) = identify(named.as_deref(), config, &asking);
    let (upstream, below) = match &config.only_upstream {
        Some(only) => (Arc::clone(only), rest),
        None => choose(config, path, rest, &head.headers).ok_or_else(|| no_route(path))?,
    };
    let dialect = Dialect::of_path(path).or(upstream.dialect);
    let below = PathAndQuery::try_from(below).map_err(|_| no_route(path))?;
    Ok(Target { agent, agent_source, upstream, dialect, path: path.to_owned(), below })
}

/// Where a request with this path goes, as far as it and these say it, and in which dialect.
pub fn leads_to(config: &Config, path: &str, agent: Option<&str>, model: Option<&str>) -> Option<(Arc<Upstream>, Option<Dialect>)> {
    let routed = config.route(path, agent, model).and_then(|route| route.upstream.clone());
    let upstream = routed.or_else(|| config.only_upstream.clone()).or_else(|| Some(choose(config, path, path, &HeaderMap::new())?.0))?;
    let dialect = Dialect::of_path(path).or(upstream.dialect);
    Some((upstream, dialect))
}

fn no_route(path: &str) -> Refusal {
    let shown: String = path.chars().take(80).collect();
    Refusal::new(
        Reason::NoRoute,
        format!(
            "No upstream for the path {shown:?}. Use /v1/… (OpenAI, Anthropic), /v1beta/… (Gemini), /api/… (Ollama), or /NAME/… with the name of an upstream of the config"
        ),
    )
}

/// `/@planner/v1/x` → `planner`, `/v1/x`. `%40` stands for `@`.
fn split_agent(target: &str) -> (Option<Cow<'_, str>>, &str) {
    let Some(tail) = target.strip_prefix("/@").or_else(|| target.strip_prefix("/%40")) else { return (None, target) };
    let end = tail.find(['/', '?']).unwrap_or(tail.len());
    let (name, rest) = tail.split_at(end);
    // What is not UTF-8 becomes U+FFFD, which is in no valid name.
    (Some(percent_decode_str(name).decode_utf8_lossy()), if rest.is_empty() { "/" } else { rest })
}

/// The path beats the header beats the baggage beats the rules of the config. A name that is not valid is unknown.
fn identify(named: Option<&str>, config: &Config, asking: &Asking<'_>) -> (Option<Arc<str>>, Source) {
    let header = || asking.headers.get("x-pillion-agent").map(|value| String::from_utf8_lossy(value.as_bytes()));
    let own_word = named.map(Cow::Borrowed).or_else(header).map(Cow::into_owned).or_else(|| telemetry::baggage_agent(asking.headers));
    match own_word.filter(|name| config::is_agent_name(name)) {
        Some(name) => (Some(Arc::from(name)), Source::Explicit),
        None => by_rule(config, asking),
    }
}

/// The name that a rule of the config gives.
pub(super) fn by_rule(config: &Config, asking: &Asking<'_>) -> (Option<Arc<str>>, Source) {
    config.agents.name(asking).map_or((None, Source::Unknown), |name| (Some(Arc::clone(name)), Source::Inferred(Rule::Config)))
}

/// The upstream, and what of the target is left for it.
fn choose<'a>(config: &Config, path: &str, target: &'a str, headers: &HeaderMap) -> Option<(Arc<Upstream>, &'a str)> {
    let named = |name: &str| config.upstreams.get(name).map(Arc::clone);
    if let Some((name, below)) = first_segment(target)
        && let Some(upstream) = named(name)
        // Azure's native paths begin with `/openai/deployments/`: they belong to a configured upstream of another name.
        && (&*upstream.provider != "openai" || name != "openai" || below.starts_with("/v1/") || below == "/v1")
    {
        return Some((upstream, below));
    }
    Some((named(default_upstream(path, headers)?)?, target))
}

fn first_segment(target: &str) -> Option<(&str, &str)> {
    let tail = target.strip_prefix('/')?;
    let end = tail.find(['/', '?']).unwrap_or(tail.len());
    let (name, below) = tail.split_at(end);
    Some((name, if below.is_empty() { "/" } else { below }))
}

/// The default upstream of a path's dialect.
fn default_upstream(path: &str, headers: &HeaderMap) -> Option<&'static str> {
    let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let is_verb = || path.strip_prefix("/v1/models/").is_some_and(|rest| rest.contains(':'));
    if below("/v1/messages") {
        Some("anthropic")
    } else if below("/v1beta") || is_verb() {
        Some("gemini")
    } else if below("/api") {
        Some("ollama")
    } else if below("/v1") {
        if headers.contains_key("anthropic-version") {
            Some("anthropic")
        } else if headers.contains_key("x-goog-api-key") {
            Some("gemini")
        } else {
            Some("openai")
        }
    } else {
        None
    }
}

fn join(base: &str, below: &PathAndQuery) -> PathAndQuery {
    let rest = below.as_str();
    let doubled = base.ends_with("/v1") && rest.strip_prefix("/v1").is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    let base = if doubled { base.strip_suffix("/v1").unwrap_or(base) } else { base };
    if base.is_empty() {
        return below.clone();
    }
    PathAndQuery::try_from(format!("{base}{rest}")).expect("two valid paths, one behind the other, are a valid path")
}

#[cfg(test)]
mod tests;
