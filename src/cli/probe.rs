//! `check --probe`: tries upstreams hop by hop, with the very parts that traffic goes through, and times each hop.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use http::{Request, header, uri::PathAndQuery};
use serde::{Deserialize, de::IgnoredAny};
use tokio::time::Instant;

use crate::{
    body::{self, Held, Ledger, Outgoing},
    config::{Config, Loaded, Telemetry as TelemetryConfig, Upstream},
    drain::Tracker,
    telemetry::{ConnectPhases, Telemetry, names::Clock},
    upstream::{AttemptClocks, Attempted, Deadlines, Destination, Destinations, Failure},
    wire::Dialect,
};

/// To the head of the reply.
const LIMIT: Duration = Duration::from_secs(15);
/// Between two reads of its body.
const SILENCE: Duration = Duration::from_secs(5);
/// Largest list of models that is read.
const LIST_MAX: u64 = 4 << 20;

/// How a probe ended.
enum Verdict {
    /// As it should.
    Good(String),
    /// Worth a look, but agents may do better: they bring their own credentials.
    Open(String),
    /// Traffic would fail too.
    Bad(String),
}

/// A list of models, in the shapes of OpenAI and Anthropic (`data`), and of Gemini and Ollama (`models`).
#[derive(Deserialize)]
struct List {
    #[serde(default)]
    data: Vec<IgnoredAny>,
    #[serde(default)]
    models: Vec<IgnoredAny>,
}

/// Probes the upstreams that the config names (all of the built-in ones that have a default path, where it names none). False if one failed.
pub(super) async fn probe(loaded: &Loaded, out: &mut impl Write) -> anyhow::Result<bool> {
    let config = &loaded.config;
    let telemetry = Telemetry::start(&TelemetryConfig { otlp: None, ..config.telemetry.clone() }, Box::new(std::io::sink()))?;
    let destinations = Destinations::new(config, &Tracker::default(), &telemetry);
    let mut good = true;
    for upstream in chosen(loaded) {
        let Some(destination) = destinations.find(upstream) else { continue };
        let begun = Instant::now();
        let (phases, verdict) = one(destination, config.policy.timeouts.connect).await;
        let hops: String = [("dns", phases.dns), ("tcp", phases.tcp), ("tls", phases.tls)]
            .into_iter()
            .filter_map(|(hop, time)| time.map(|time| format!(" {hop} {time:.1?}")))
            .collect();
        let (mark, told) = match &verdict {
            Verdict::Good(told) => ("ok  ", told),
            Verdict::Open(told) => ("open", told),
            Verdict::Bad(told) => ("FAIL", told),
        };
        good &= !matches!(verdict, Verdict::Bad(_));
        let through = upstream.hop.as_deref().map(|proxy| format!(" through {proxy} ({})", proxy.variable)).unwrap_or_default();
        writeln!(out, "{mark} {:<11} {}{through}{hops} · {told} · {:.1?} in all", upstream.name, upstream.url(), begun.elapsed())?;
    }
    Ok(good)
}

/// What the config itself names; without any, the default upstreams of the paths.
fn chosen(loaded: &Loaded) -> Vec<&Upstream> {
    let Config { only_upstream, upstreams, .. } = &loaded.config;
    if let Some(only) = only_upstream {
        return vec![only];
    }
    let configured = |name: &str| !loaded.origins.is_default(&format!("upstreams.{name}.url"));
    let named: Vec<_> = upstreams.values().filter(|upstream| configured(&upstream.name)).map(AsRef::as_ref).collect();
    if named.is_empty() {
        ["openai", "anthropic", "gemini", "ollama"].iter().filter_map(|name| upstreams.get(*name).map(AsRef::as_ref)).collect()
    } else {
        named
    }
}

async fn one(destination: &Destination, connect: Option<Duration>) -> (ConnectPhases, Verdict) {
    let mut deadlines = Deadlines::default();
    deadlines.set(Clock::Connect, Instant::now(), connect);
    deadlines.set(Clock::Total, Instant::now(), Some(LIMIT));
    let mut clocks = AttemptClocks { deadlines: &mut deadlines, upload: None, after_upload: &[] };
    match destination.attempt(request(destination), true, &mut clocks).await {
        Ok(attempted) => (attempted.line.phases, read(attempted, destination.upstream.api_key.is_some()).await),
        Err(failure) => (failure.line.as_ref().map(|line| line.phases).unwrap_or_default(), Verdict::Bad(told(&failure))),
    }
}

fn told(failure: &Failure) -> String {
    format!("{}: {}", failure.reason.as_str(), failure.detail)
}

/// A request for the list of models, with the config's credentials.
fn request(destination: &Destination) -> Request<Outgoing> {
    let upstream = &destination.upstream;
    let (path, dialect) = match &*upstream.provider {
        "anthropic" => ("/v1/models", Some(Dialect::AnthropicMessages)),
        "gcp.gemini" => ("/v1beta/models", Some(Dialect::Gemini)),
        "ollama" => ("/api/tags", Some(Dialect::Ollama)),
        _ => ("/v1/models", upstream.dialect),
    };
    let base = if upstream.path.ends_with("/v1") { upstream.path.trim_end_matches("/v1") } else { &upstream.path };
    let path = PathAndQuery::try_from(format!("{base}{path}")).expect("two valid paths, one behind the other, are a valid path");
    let mut request = Request::new(Outgoing::Whole(Bytes::new()));
    *request.uri_mut() = destination.uri(path);
    let headers = request.headers_mut();
    headers.insert(header::HOST, destination.host().clone());
    headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    if dialect == Some(Dialect::AnthropicMessages) {
        headers.insert("anthropic-version", header::HeaderValue::from_static("2023-06-01"));
    }
    if let Some((name, value)) = upstream.credentials(dialect) {
        headers.insert(name, value);
    }
    request
}

async fn read(attempted: Attempted, has_key: bool) -> Verdict {
    let status = attempted.response.status();
    let line = attempted.line;
    let mut body = attempted.response.into_body();
    let body = match body::read_up_to(&mut body, LIST_MAX, &mut Ledger::default().open(), Some(SILENCE)).await {
        Ok(Held::Whole(body)) => body,
        Ok(Held::Over(_)) => return Verdict::Bad(format!("{status}, and a list of models of more than {LIST_MAX} bytes")),
        Err(error) => return Verdict::Bad(format!("{status}, and then: {error}")),
    };
    line.end();
    match status.as_u16() {
        200..=299 => {
            let models = serde_json::from_slice::<List>(&body).map_or(0, |list| list.data.len() + list.models.len());
            let plural = if models == 1 { "" } else { "s" };
            Verdict::Good(format!("{} · {models} model{plural}", status.as_u16()))
        }
        401 | 403 if has_key => Verdict::Bad(format!("{} · the credentials of the config are refused", status.as_u16())),
        401 | 403 => Verdict::Open(format!("{} · reached; agents bring their own credentials", status.as_u16())),
        404 | 405 => Verdict::Open(format!("{} · reached; it has no list of models", status.as_u16())),
        other => Verdict::Bad(format!("{other}")),
    }
}
