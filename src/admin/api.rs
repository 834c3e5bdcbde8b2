//! `/api/*`: what happened lately, as JSON. Field names are snake case and stable, units stand in names, times are RFC 3339 in UTC; what is not known is
//! not there. A page holds at most [`PAGE_MAX`] bytes, and says so when it was cut. No content of prompts or answers is in it.
//!
//! | path | parameters | answer |
//! |---|---|---|
//! | `/api/exchanges` | `agent outcome model conversation limit` | `{exchanges: [Row], seen, truncated}`, newest first, of the last 512 |
//! | `/api/agents` | `agent limit` | `{agents: [AgentSums], truncated}`, the one heard of last first |
//! | `/api/conversations` | `agent conversation limit` | `{conversations: [ConversationSums], truncated}`, the one heard of last first |
//!
//! Rows and sums are those of [`crate::telemetry::recent`]. Errors are `{error: {status, message}}`.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

mod query;

use query::Query;

use crate::telemetry::{
    Telemetry,
    recent::{ConversationSums, ROWS_MAX, Row},
};

/// Most bytes of a page.
const PAGE_MAX: usize = 1_000_000;
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
pub(super) fn page(path: &str, query: Option<&str>, telemetry: &Telemetry) -> Response<Full<Bytes>> {
    let page = match path {
        "/api/exchanges" => exchanges(query, telemetry),
        "/api/agents" => agents(query, telemetry),
        "/api/conversations" => conversations(query, telemetry),
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

fn exchanges(query: Option<&str>, telemetry: &Telemetry) -> Result<String, Refused> {
    let query = Query::read(query, &["agent", "outcome", "model", "conversation", "limit"])?;
    let fits = |row: &&Row| {
        let is_model = |model: &str| row.model.as_deref() == Some(model) || row.response_model.as_deref() == Some(model);
        query.agent().is_none_or(|agent| *row.agent == *agent)
            && query.outcome().is_none_or(|outcome| row.outcome == outcome)
            && query.model().is_none_or(is_model)
            && query.conversation().is_none_or(|wanted| [&row.conversation, &row.conversation_given].into_iter().flatten().any(|id| **id == *wanted))
    };
    let rows = telemetry.recent().rows();
    let fitting = rows.iter().map(|row| &**row).filter(fits);
    Ok(list("exchanges", fitting, query.limit().unwrap_or(LIMIT).min(ROWS_MAX), Some(telemetry.recent().seen())))
}

fn agents(query: Option<&str>, telemetry: &Telemetry) -> Result<String, Refused> {
    let query = Query::read(query, &["agent", "limit"])?;
    let agents = telemetry.recent().agents();
    let fitting = agents.iter().filter(|sums| query.agent().is_none_or(|agent| *sums.name == *agent));
    Ok(list("agents", fitting, query.limit().unwrap_or(usize::MAX), None))
}

fn conversations(query: Option<&str>, telemetry: &Telemetry) -> Result<String, Refused> {
    let query = Query::read(query, &["agent", "conversation", "limit"])?;
    let conversations = telemetry.recent().conversations();
    let fits = |sums: &&ConversationSums| {
        query.agent().is_none_or(|agent| sums.agents.contains_key(agent))
            && query.conversation().is_none_or(|wanted| *sums.id == *wanted || sums.given.as_deref() == Some(wanted))
    };
    Ok(list("conversations", conversations.iter().filter(fits), query.limit().unwrap_or(usize::MAX), None))
}

/// `{"NAME": [item, …], "truncated": …}` of at most so many items and [`PAGE_MAX`] bytes.
fn list<T: Serialize>(name: &str, items: impl Iterator<Item = T>, limit: usize, seen: Option<u64>) -> String {
    let mut page = format!("{{\"{name}\":[");
    let mut truncated = false;
    for (index, item) in items.enumerate() {
        let text = serde_json::to_string(&item).expect("rows and sums have text for keys, and nothing else that JSON has not");
        // The last hundred bytes are for what follows the items.
        truncated = index >= limit || page.len() + text.len() > PAGE_MAX - 100;
        if truncated {
            break;
        }
        if index > 0 {
            page.push(',');
        }
        page.push_str(&text);
    }
    // Writing to a string cannot fail.
    let _ = write!(page, "],\"truncated\":{truncated}");
    if let Some(seen) = seen {
        let _ = write!(page, ",\"seen\":{seen}");
    }
    page.push_str("}\n");
    page
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
