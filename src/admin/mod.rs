//! The admin port: health, readiness, metrics, and what happened lately. Answers `GET` and `HEAD` alone, and tells nothing to whom it does not know.

mod api;
mod metrics;

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::{
    agent::Agents,
    config::Server,
    drain::{Drain, Stage},
    proxy::check_origin,
    telemetry::Telemetry,
};

/// The endpoints, and what each is for.
const ENDPOINTS: [(&str, &str); 7] = [
    ("/", "this list"),
    ("/healthz", "200 while the process lives"),
    ("/readyz", "200 while it takes traffic, 503 once it is being stopped"),
    ("/metrics", "Prometheus metrics, or OpenMetrics with exemplars where that is asked for"),
    ("/api/agents", "JSON: each agent's exchanges, tokens, cost, latency, failures, tools"),
    ("/api/exchanges", "JSON: the last exchanges; ?agent= outcome= model= conversation= limit="),
    ("/api/conversations", "JSON: turns, agents, tokens, tools of each conversation"),
];

/// What the admin port shows.
#[derive(Debug)]
pub struct Admin {
    server: Arc<Server>,
    /// The URL that agents connect to.
    traffic: String,
    telemetry: Telemetry,
    agents: Arc<Agents>,
    drain: Drain,
}

impl Admin {
    /// `traffic` is the URL that agents connect to.
    pub fn new(server: Arc<Server>, traffic: String, (telemetry, agents): (Telemetry, Arc<Agents>), drain: Drain) -> Self {
        Self { server, traffic, telemetry, agents, drain }
    }

    /// Answers one request.
    pub fn handle(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = refusal(path, StatusCode::METHOD_NOT_ALLOWED, "only GET here");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/healthz" => text(StatusCode::OK, "alive\n"),
            "/readyz" => self.ready(),
            _ => match self.admit(request) {
                Ok(()) => self.show(request),
                Err(refused) => *refused,
            },
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        if self.drain.stage() == Stage::Serving { text(StatusCode::OK, "ready\n") } else { text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n") }
    }

    /// The token where there is one; the names of this machine on loopback.
    fn admit(&self, request: &Request<Incoming>) -> Result<(), Box<Response<Full<Bytes>>>> {
        let path = request.uri().path();
        if self.server.admin.is_loopback() && check_origin(&self.server.hosts, request.uri(), request.version(), request.headers()).is_err() {
            return Err(Box::new(refusal(path, StatusCode::MISDIRECTED_REQUEST, "this Host or Origin is not known here; add it to server.hosts")));
        }
        match &self.server.admin_token {
            Some(token) if !bearer(request.headers()).is_some_and(|given| token.matches(given)) => {
                let mut response = refusal(path, StatusCode::UNAUTHORIZED, "a bearer token is needed (server.admin_token)");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                Err(Box::new(response))
            }
            _ => Ok(()),
        }
    }

    fn show(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/" => text(StatusCode::OK, &self.index()),
            "/metrics" => metrics::page(&self.telemetry, request.headers()),
            path if api::is_below(path) => api::page(path, request.uri().query(), (self.telemetry.recent(), &self.agents)),
            _ => text(StatusCode::NOT_FOUND, &self.index()),
        }
    }

    fn index(&self) -> String {
        let mut index = format!("Pillion {}; agents connect to {}\n\n", env!("CARGO_PKG_VERSION"), self.traffic);
        for (path, what) in ENDPOINTS {
            // Writing to a string cannot fail.
            let _ = writeln!(index, "  {path:<18} {what}");
        }
        index
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// In the form of what was asked for.
fn refusal(path: &str, status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    if api::is_below(path) { api::error(status, message) } else { text(status, &format!("{message}\n")) }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
