//! `/api/*`: what happened lately, as JSON. Field names are snake case and stable, units stand in names, times are RFC 3339 in UTC; what is not known is
//! not there. A page holds at most [`PAGE_MAX`] bytes, and says so when it was cut. No content of prompts or answers is in it.
//!
//! | path | parameters | answer |
//! |---|---|---|
//! | `/api/exchanges` | `agent outcome model conversation limit` | `{exchanges: [Row], truncated, seen}`, newest first, of the last 512 |
//! | `/api/agents` | `agent limit` | `{agents: [AgentSums], truncated, attribution}`, the one heard of last first |
//! | `/api/conversations` | `agent conversation limit` | `{conversations: [ConversationSums], truncated, remembered}`, the one heard of last first |
//!
//! Rows and sums are those of [`crate::telemetry::recent`], with what `known` adds to them from the memory of agents: names that later requests
//! revealed, tools that still run, who works for whom. Errors are `{error: {status, message}}`.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

mod known;
mod query;

use known::{Attribution, Conversation, Exchange};
use query::Query;

use crate::{
    agent::Agents,
    telemetry::recent::{ROWS_MAX, Recent},
};

/// Most bytes of a page.
const PAGE_MAX: usize = 1_000_000;
/// Bytes for what follows the items.
const REST: usize = 200;
/// Why writing JSON cannot fail.
const IS_JSON: &str = "rows and sums have texts for keys, and nothing else that JSON has not";
/// Exchanges of a page where no limit is asked for.
const LIMIT: usize = 100;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// There is no such path.
    #[error("nothing is here; there are /api/exchanges, /api/agents and /api/conversations")]
    Path,
    /// The query cannot be understood.
    #[error("{0}")]
    Query(String),
}

/// Whether errors below this path are JSON.
pub(super) fn is_below(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// The page of a path below `/api`.
pub(super) fn page(path: &str, query: Option<&str>, (recent, agents): (&Recent, &Agents)) -> Response<Full<Bytes>> {
    let page = match path {
        "/api/exchanges" => exchanges(query, recent, agents),
        "/api/agents" => self::agents(query, recent, agents),
        "/api/conversations" => conversations(query, recent, agents),
        _ => Err(Refused::Path),
    };
    match page {
        Ok(page) => json(StatusCode::OK, page),
        Err(refused @ Refused::Path) => error(StatusCode::NOT_FOUND, &refused.to_string()),
        Err(refused @ Refused::Query(_)) => error(StatusCode::BAD_REQUEST, &refused.to_string()),
    }
}

/// An error as JSON.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    json(status, serde_json::json!({"error": {"status": status.as_u16(), "message": message}}).to_string())
}

fn exchanges(query: Option<&str>, recent: &Recent, agents: &Agents) -> Result<String, Refused> {
    let query = Query::read(query, &["agent", "outcome", "model", "conversation", "limit"])?;
    let fits = |exchange: &Exchange| {
        let row = &exchange.row;
        let is_model = |model: &str| row.model.as_deref() == Some(model) || row.response_model.as_deref() == Some(model);
        let is_agent = |agent: &str| *row.agent == *agent || exchange.revised_agent.as_deref() == Some(agent);
        query.agent().is_none_or(is_agent)
            && query.outcome().is_none_or(|outcome| row.outcome == outcome)
            && query.model().is_none_or(is_model)
            && query.conversation().is_none_or(|wanted| [&row.conversation, &row.conversation_given].into_iter().flatten().any(|id| **id == *wanted))
    };
    let limit = query.limit().unwrap_or(LIMIT).min(ROWS_MAX);
    Ok(list("exchanges", known::exchanges(recent, agents).filter(fits), limit, ("seen", &recent.seen())))
}

fn agents(query: Option<&str>, recent: &Recent, agents: &Agents) -> Result<String, Refused> {
    let query = Query::read(query, &["agent", "limit"])?;
    let fitting = known::agents(recent, agents).into_iter().filter(|agent| query.agent().is_none_or(|name| *agent.sums.name == *name));
    Ok(list("agents", fitting, query.limit().unwrap_or(usize::MAX), ("attribution", &Attribution::from(agents.counts()))))
}

fn conversations(query: Option<&str>, recent: &Recent, agents: &Agents) -> Result<String, Refused> {
    let query = Query::read(query, &["agent", "conversation", "limit"])?;
    let fits = |conversation: &Conversation| {
        let (sums, known) = (&conversation.sums, &conversation.known_agents);
        query.agent().is_none_or(|agent| sums.agents.iter().any(|(known, _)| **known == *agent) || known.iter().any(|known| **known == *agent))
            && query.conversation().is_none_or(|wanted| sums.key() == wanted || sums.given.as_deref() == Some(wanted))
    };
    let fitting = known::conversations(recent, agents, SystemTime::now()).into_iter().filter(fits);
    Ok(list("conversations", fitting, query.limit().unwrap_or(usize::MAX), ("remembered", &agents.counts().conversations)))
}

/// `{"NAME": [item, …], "truncated": …, "MORE": …}` of at most so many items and [`PAGE_MAX`] bytes.
fn list<T: Serialize>(name: &str, items: impl Iterator<Item = T>, limit: usize, (more, what): (&str, &impl Serialize)) -> String {
    let mut page = format!("{{\"{name}\":[");
    let mut truncated = false;
    for (index, item) in items.enumerate() {
        let text = serde_json::to_string(&item).expect(IS_JSON);
        truncated = index >= limit || page.len() + text.len() > PAGE_MAX - REST;
        if truncated {
            break;
        }
        if index > 0 {
            page.push(',');
        }
        page.push_str(&text);
    }
    page + &format!("],\"truncated\":{truncated},\"{more}\":{}}}\n", serde_json::to_string(what).expect(IS_JSON))
}

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
