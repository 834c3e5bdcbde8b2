//! Step 4: the only place where a request changes, and a reply's head. Everything else of them goes on as it came: names in their spelling,
//! values and repeats in their order.

mod fit;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header, request, response};

use super::receive::Received;
use crate::{
    body::Outgoing,
    config::{Carry, Upstream},
    telemetry::{Record, Trim},
    wire::{Dialect, Splice},
};

pub(super) use fit::{Fitted, Fitter, Refit, is_plain, note};

/// A request as it goes up; the same for every attempt but for a `traceparent` of ours, and token counts that are not asked for any more.
#[derive(Debug)]
pub(super) struct Template<'a> {
    method: Method,
    headers: HeaderMap,
    extensions: Extensions,
    upward: Upward<'a>,
    traceparent: Option<HeaderValue>,
}

/// What a request's head becomes on its way up.
#[derive(Debug)]
pub(super) struct Upward<'a> {
    /// The whole URI at the upstream.
    pub uri: Uri,
    /// The value of `host`.
    pub host: &'a HeaderValue,
    /// Whose credentials may have to replace the agent's.
    pub upstream: &'a Upstream,
    /// In which header those go.
    pub dialect: Option<Dialect>,
    /// Which exceptions are on.
    pub carry: &'a Carry,
    /// Our own mark in `via`.
    pub mark: &'a str,
    /// The protocol that the connection shall switch to, if it may.
    pub switch: Option<&'a HeaderValue>,
    /// Where the body asks for token counts on the agent's behalf, if it shall.
    pub usage: Option<Splice>,
    /// Whether the body is another than the agent's, and so its length.
    pub is_trimmed: bool,
}

/// Where a request's body is to ask for token counts on the agent's behalf: a stream that OpenAI's dialects answer with none unless asked.
pub(super) fn usage(carry: &Carry, record: &Record, fitted: &Fitted<'_>) -> Option<Splice> {
    let Received::Whole(body, _) = &fitted.received else { return None };
    let asks = carry.include_usage && record.call.stream && record.call.include_usage != Some(true);
    Splice::usage(record.dialect.filter(|_| asks)?, body, &fitted.list)
}

impl<'a> Template<'a> {
    /// Rewrites a head that came from an agent.
    pub(super) fn new(mut head: request::Parts, upward: Upward<'a>) -> Self {
        // Extensions carry the spelling of the header names; what else a listener puts there is not for an upstream.
        head.extensions.remove::<hyper::upgrade::OnUpgrade>();
        Self { method: head.method, headers: head.headers, extensions: head.extensions, upward, traceparent: None }
    }

    /// One attempt's request.
    pub(super) fn request(&self, body: Outgoing) -> Request<Outgoing> {
        let mut headers = request_headers(&self.headers, &self.upward);
        let mut measure = |length: usize| {
            if headers.contains_key(header::CONTENT_LENGTH) {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
        };
        let body = match (&self.upward.usage, body) {
            (Some(splice), Outgoing::Whole(bytes)) => {
                measure(splice.length(bytes.len()));
                // What is to be taken out of the reply must be readable.
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
                Outgoing::Pieces([bytes.slice(..splice.at.start), splice.with.into(), bytes.slice(splice.at.end..)])
            }
            (None, Outgoing::Whole(bytes)) if self.upward.is_trimmed => {
                measure(bytes.len());
                Outgoing::Whole(bytes)
            }
            (_, body) => body,
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.upward.uri.clone();
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.extensions.clone();
        if let Some(traceparent) = &self.traceparent {
            request.headers_mut().insert("traceparent", traceparent.clone());
        }
        request
    }

    /// Whether token counts are asked for on the agent's behalf.
    pub(super) fn asks_for_usage(&self) -> bool {
        self.upward.usage.is_some()
    }

    /// Asks for them no more: the request is the agent's own again.
    pub(super) fn stop_asking(&mut self) {
        self.upward.usage = None;
    }

    /// Sends another body from now on; `usage`: where that is to ask for token counts.
    pub(super) fn trim(&mut self, usage: Option<Splice>) {
        (self.upward.usage, self.upward.is_trimmed) = (usage, true);
    }

    /// Puts our own `traceparent` in place of the agent's.
    pub(super) fn set_traceparent(&mut self, traceparent: HeaderValue) {
        self.traceparent = Some(traceparent);
    }
}

fn request_headers(from: &HeaderMap, upward: &Upward<'_>) -> HeaderMap {
    let named = named_by_connection(from);
    let credentials = upward.upstream.credentials(upward.dialect);
    let mut to = HeaderMap::with_capacity(from.len() + 3);
    if !from.contains_key(header::HOST) {
        to.append(header::HOST, upward.host.clone());
    }
    for (name, value) in from {
        if *name == header::HOST {
            if !to.contains_key(header::HOST) {
                to.append(header::HOST, upward.host.clone());
            }
        } else if is_carried(name, &named) && !is_for_pillion(name) && !(credentials.is_some() && is_credential(name)) {
            to.append(name, value.clone());
        }
    }
    if let Some((name, value)) = credentials {
        to.append(name, value);
    }
    if from.get_all(header::TE).iter().any(takes_trailers) {
        to.append(header::TE, HeaderValue::from_static("trailers"));
        to.append(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(protocol) = upward.switch {
        switch(&mut to, protocol.clone());
    }
    if upward.carry.via {
        to.append(header::VIA, via(upward.mark));
    }
    to
}

/// Whether `te` says that fields after the body are read (RFC 9110 §10.1.4): then we read them too, and pass them on.
fn takes_trailers(te: &HeaderValue) -> bool {
    te.to_str().is_ok_and(|te| te.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
}

/// Asks for a switch, or grants it.
fn switch(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.append(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.append(header::UPGRADE, protocol);
}

fn is_for_pillion(name: &HeaderName) -> bool {
    *name == header::PROXY_AUTHORIZATION || name.as_str().starts_with("x-pillion-")
}

/// Whether a header says who the agent is to the model: it makes way for the upstream's own key, if the config gives one.
fn is_credential(name: &HeaderName) -> bool {
    *name == header::AUTHORIZATION || matches!(name.as_str(), "x-api-key" | "x-goog-api-key" | "api-key")
}

fn via(mark: &str) -> HeaderValue {
    HeaderValue::try_from(format!("1.1 {mark}")).expect("our mark is of letters, digits and a hyphen")
}

/// Whether a request has been here before.
pub(super) fn has_passed(headers: &HeaderMap, mark: &str) -> bool {
    let ours = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.split(',').any(|hop| hop.split_whitespace().nth(1) == Some(mark)));
    headers.get_all(header::VIA).iter().any(ours)
}

/// What Pillion adds to a reply's head.
#[derive(Debug)]
pub(super) struct Downward<'a> {
    /// Which exceptions are on.
    pub carry: &'a Carry,
    /// Our own mark in `via`.
    pub mark: &'a str,
    /// The exchange's own name.
    pub exchange: HeaderValue,
    /// How many attempts were made.
    pub attempts: usize,
    /// What was taken out of the prompt.
    pub trim: Option<Trim>,
    /// Whether this is a failure after which the agent's SDK shall not try again.
    pub spent: bool,
    /// Whether something is taken out of the body, so that its stated length is not its length.
    pub shortened: bool,
}

/// A reply's head as it goes down.
pub(super) fn reply_head(head: &mut response::Parts, downward: &Downward<'_>) -> response::Parts {
    let is_switch = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = if is_switch { head.headers.get(header::UPGRADE).cloned() } else { None };
    let mut rewritten = Response::new(()).into_parts().0;
    rewritten.status = head.status;
    rewritten.headers = reply_headers(std::mem::take(&mut head.headers), protocol, downward);
    rewritten.extensions = std::mem::take(&mut head.extensions);
    rewritten
}

fn reply_headers(from: HeaderMap, protocol: Option<HeaderValue>, downward: &Downward<'_>) -> HeaderMap {
    let named = named_by_connection(&from);
    let spent = downward.spent && downward.carry.should_retry;
    let unmeasured = downward.shortened || from.contains_key(header::TRANSFER_ENCODING);
    let goes_on =
        |name: &HeaderName| is_carried(name, &named) && !(spent && name == "x-should-retry") && !(unmeasured && *name == header::CONTENT_LENGTH);
    let mut to = if from.keys().all(goes_on) {
        from
    } else {
        let mut to = HeaderMap::with_capacity(from.len() + 4);
        for (name, value) in from.iter().filter(|(name, _)| goes_on(name)) {
            to.append(name, value.clone());
        }
        to
    };
    if let Some(protocol) = protocol {
        switch(&mut to, protocol);
    }
    if downward.carry.via {
        to.append(header::VIA, via(downward.mark));
    }
    if spent {
        to.append("x-should-retry", HeaderValue::from_static("false"));
    }
    if downward.carry.exchange_headers {
        mark_reply(&mut to, downward.exchange.clone(), downward.attempts, downward.trim);
    }
    to
}

const EXCHANGE: HeaderName = HeaderName::from_static("x-pillion-exchange");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-pillion-attempts");
const TRIMMED: HeaderName = HeaderName::from_static("x-pillion-trimmed");

/// `x-pillion-exchange`, `x-pillion-attempts`, and where it applies `x-pillion-trimmed`.
pub(super) fn mark_reply(headers: &mut HeaderMap, exchange: HeaderValue, attempts: usize, trim: Option<Trim>) {
    headers.append(EXCHANGE, exchange);
    headers.append(ATTEMPTS, HeaderValue::from(attempts));
    if let Some(Trim { messages, tokens, .. }) = trim {
        let told = format!("messages={messages} tokens={tokens}");
        headers.append(TRIMMED, HeaderValue::try_from(told).expect("words and digits"));
    }
}

/// Names listed in `connection`, which belong to this hop (RFC 9110 §7.6.1). Options of the connection itself are no names.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let is_name = |name: &&str| !name.eq_ignore_ascii_case("keep-alive") && !name.eq_ignore_ascii_case("close");
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(is_name).filter_map(|name| HeaderName::try_from(name).ok()).collect()
}

/// Whether a header goes on. Hop-by-hop ones end here, and so does what `connection` names, but for what a request means and whose it is:
/// no peer takes those away from the other by naming them.
fn is_carried(name: &HeaderName, named: &[HeaderName]) -> bool {
    const HOP_BY_HOP: [HeaderName; 4] = [header::CONNECTION, header::TE, header::TRANSFER_ENCODING, header::UPGRADE];
    const END_TO_END: [HeaderName; 5] = [header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING, header::AUTHORIZATION];
    if HOP_BY_HOP.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection") {
        return false;
    }
    !named.contains(name) || END_TO_END.contains(name) || matches!(name.as_str(), "x-api-key" | "api-key" | "x-goog-api-key")
}

#[cfg(test)]
mod tests;
