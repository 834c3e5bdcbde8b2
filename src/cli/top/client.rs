//! Asks an admin port for what it knows, by the very parts that traffic goes through, and says in words why it cannot be had.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header, uri::PathAndQuery};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::seen::{self, Seen};
use crate::{
    body::{self, Held, Ledger, Outgoing},
    config::{self, Config, Upstream, UrlError},
    drain::Tracker,
    telemetry::{Telemetry, Word, names::Clock, recent::ROWS_MAX},
    upstream::{AttemptClocks, Deadlines, Destination, Destinations},
};

/// To make a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// To the head of a page.
const LIMIT: Duration = Duration::from_secs(5);
/// Between two reads of its body.
const SILENCE: Duration = Duration::from_secs(5);
/// Largest page that is read; metrics of all series that there can be fit well.
const PAGE_MAX: u64 = 32 << 20;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The address is none.
    #[error("--admin wants an address such as 127.0.0.1:4101, or {0}")]
    Address(UrlError),
    /// The token cannot stand in a header.
    #[error("the admin port's token has characters that no header may have")]
    Token,
    /// The parts do not start.
    #[error("cannot ask anybody: {0}")]
    Start(String),
}

/// Why nothing was seen.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unseen {
    /// There was no reply.
    #[error("cannot be reached: {0}")]
    Away(String),
    /// It tells who knows its token, and none was given.
    #[error("wants its token: --token, or {} in the environment (server.admin_token)", super::TOKEN_VARIABLE)]
    NoToken,
    /// The token is another.
    #[error("refuses the token that it was given (server.admin_token)")]
    WrongToken,
    /// It says no.
    #[error("says {status}{message}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// ` (…)`: its own words, if it has any.
        message: String,
    },
    /// Something else is there.
    #[error("is no admin port of Pillion: {0}")]
    Foreign(String),
}

/// A page that says no.
#[derive(Deserialize)]
struct Refusal {
    error: Message,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

/// An admin port.
pub(super) struct Client {
    destination: Arc<Destination>,
    authorization: Option<HeaderValue>,
    url: String,
}

impl Client {
    /// `admin` is an address, `unix:` and a path, or a URL.
    pub(super) fn new(admin: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let url = match admin {
            url if url.contains("://") => url.to_owned(),
            socket if socket.starts_with("unix:/") => socket.replacen("unix:", "unix://", 1),
            address => format!("http://{address}"),
        };
        let authorization = token.map(|token| HeaderValue::try_from(format!("Bearer {token}"))).transpose();
        let mut authorization = authorization.map_err(|_| ClientError::Token)?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        let upstream = Arc::new(Upstream::parse("admin", &url).map_err(ClientError::Address)?);
        let telemetry =
            Telemetry::start(&config::Telemetry::default(), Box::new(std::io::sink())).map_err(|error| ClientError::Start(error.to_string()))?;
        let config = Config { only_upstream: Some(Arc::clone(&upstream)), ..Config::default() };
        let destinations = Destinations::new(&config, &Tracker::default(), &telemetry);
        let destination = destinations.find(&upstream).map(Arc::clone).ok_or_else(|| ClientError::Start("there is nowhere to go".to_owned()))?;
        Ok(Self { destination, authorization, url: upstream.url() })
    }

    /// Its URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// All that is shown.
    pub(super) async fn look(&self) -> Result<Seen, Unseen> {
        let agents = self.json("/api/agents").await?;
        let exchanges = self.json(&format!("/api/exchanges?limit={ROWS_MAX}")).await?;
        let conversations = self.json("/api/conversations").await?;
        let metrics = self.page("/metrics").await?;
        Ok(Seen::new(agents, exchanges, conversations, seen::in_flight(&String::from_utf8_lossy(&metrics))))
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unseen> {
        let page = self.page(path).await?;
        serde_json::from_slice(&page).map_err(|error| Unseen::Foreign(format!("{} says something else", Word(&format!("{path}: {error}")))))
    }

    async fn page(&self, path: &str) -> Result<Bytes, Unseen> {
        let mut deadlines = Deadlines::default();
        deadlines.set(Clock::Connect, Instant::now(), Some(CONNECT));
        deadlines.set(Clock::Total, Instant::now(), Some(LIMIT));
        let mut clocks = AttemptClocks { deadlines: &mut deadlines, upload: None, after_upload: &[] };
        let attempted = self.destination.attempt(self.request(path), false, &mut clocks).await.map_err(|failure| Unseen::Away(failure.detail))?;
        let status = attempted.response.status();
        let mut body = attempted.response.into_body();
        let page = match body::read_up_to(&mut body, PAGE_MAX, &mut Ledger::default().open(), Some(SILENCE)).await {
            Ok(Held::Whole(page)) => page,
            Ok(Held::Over(_)) => return Err(Unseen::Foreign(format!("{path} is a page of more than {PAGE_MAX} bytes"))),
            Err(error) => return Err(Unseen::Away(error.to_string())),
        };
        attempted.line.end();
        match status {
            StatusCode::OK => Ok(page),
            StatusCode::UNAUTHORIZED if self.authorization.is_none() => Err(Unseen::NoToken),
            StatusCode::UNAUTHORIZED => Err(Unseen::WrongToken),
            StatusCode::NOT_FOUND => Err(Unseen::Foreign(format!("there is no {path}"))),
            status => Err(Unseen::Refused { status, message: own_words(&page) }),
        }
    }

    fn request(&self, path: &str) -> Request<Outgoing> {
        let path =
            PathAndQuery::try_from(format!("{}{path}", self.destination.upstream.path)).expect("two valid paths, one behind the other, are one");
        let mut request = Request::new(Outgoing::Whole(Bytes::new()));
        *request.uri_mut() = self.destination.uri(path);
        request.headers_mut().insert(header::HOST, self.destination.host().clone());
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        request
    }
}

/// What a refusal of ours says of itself.
fn own_words(page: &[u8]) -> String {
    serde_json::from_slice::<Refusal>(page).map_or_else(|_| String::new(), |refusal| format!(" ({})", Word(&refusal.error.message)))
}
