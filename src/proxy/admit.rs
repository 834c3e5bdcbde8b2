//! Step 3: what is asked, who asks, and which conversation it belongs to. Read once, from the body as it is held; nothing of it is changed.

use std::{ops::Range, sync::Arc, time::SystemTime};

use http::{HeaderMap, header};
use tokio::time::Instant;

use super::{exchange::Exchange, receive::Received, route::Target};
use crate::{
    agent::{Agents, Arrival, Moment},
    context::Models,
    telemetry,
    wire::{Call, Dialect, Request},
};

/// Longest id of a conversation that is taken from a header, in bytes.
const CONVERSATION_MAX: usize = 256;

/// What is remembered between exchanges.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Agents, conversations, tools.
    pub agents: Arc<Agents>,
    /// Models.
    pub models: Arc<Models>,
}

impl Memory {
    /// Now, by both clocks.
    pub fn now() -> Moment {
        Moment { instant: Instant::now(), wall: SystemTime::now() }
    }

    /// Reads the request, and writes down what it says and where it belongs. Gives what it asks for, and where in its body the messages lie, if that is known.
    pub(super) fn admit(&self, exchange: &mut Exchange, headers: &HeaderMap, target: &Target, received: &Received) -> (Call, Range<usize>) {
        let (Some(dialect), Received::Whole(body, _)) = (target.dialect, received) else { return Default::default() };
        // A body that is compressed is not read.
        let body: &[u8] = if is_plain(headers) { body } else { &[] };
        let resume = self.agents.recall(dialect, body);
        let request = Request::read(dialect, &target.path, body, resume.as_ref());
        self.place(exchange, (headers, target, dialect), (&request, body));
        self.measure(exchange, &request.call);
        (request.call, request.prompt.map(|prompt| prompt.list).unwrap_or_default())
    }

    fn place(&self, exchange: &mut Exchange, (headers, target, dialect): (&HeaderMap, &Target, Dialect), (request, body): (&Request<'_>, &[u8])) {
        let connection = exchange.peer().number();
        let record = exchange.record();
        let arrival = Arrival {
            agent: target.agent.clone(),
            source: target.agent_source,
            conversation: conversation(headers),
            dialect,
            upstream: Arc::clone(&target.upstream.name),
            request,
            body,
            connection,
            sdk_retry: record.sdk_retry_count,
            trace: record.trace.parent_id.map(|_| record.trace.trace_id),
            span_id: record.trace.span_id,
        };
        let arrived = self.agents.arrive(&arrival, Self::now());
        (record.agent, record.agent_source) = (arrived.agent, arrived.source);
        if record.trace.parent_id.is_none()
            && let Some(trace_id) = arrived.trace
        {
            (record.trace.trace_id, record.trace.parent_id) = (trace_id, arrived.parent);
        }
        record.conversation = arrived.conversation;
        record.tools = arrived.tools;
        exchange.remember(self.clone(), arrived.place);
    }

    /// How long the prompt is, as far as it can be told now.
    fn measure(&self, exchange: &mut Exchange, call: &Call) {
        let Some(model) = call.model.as_deref() else { return };
        let record = exchange.record();
        record.prompt_window = self.models.find(model).and_then(|model| model.window);
        record.prompt_tokens = call.prompt_characters.and_then(|characters| self.models.estimate(model, characters)).map(|estimate| estimate.tokens);
    }
}

/// The conversation's id by the agent's own word.
fn conversation(headers: &HeaderMap) -> Option<Arc<str>> {
    let header = headers.get("x-pillion-conversation").and_then(|value| value.to_str().ok());
    let given = header.map(str::to_owned).or_else(|| telemetry::baggage_conversation(headers))?;
    (!given.is_empty() && given.len() <= CONVERSATION_MAX).then(|| given.into())
}

/// Whether the body is not compressed.
fn is_plain(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity")
}
