//! Step 3: what is asked, who asks, and which conversation it belongs to. Read once, from the body as it is held; nothing of it is changed.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, Method, header};
use tokio::time::Instant;

use super::{exchange::Exchange, receive::Received, route::Target};
use crate::{
    agent::{Agents, Arrival, Known, Moment},
    context::Models,
    telemetry,
    wire::{Call, Dialect, Request, Skipped},
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

    /// Reads the request, and writes down what it says and where it belongs.
    pub(super) fn admit(&self, exchange: &mut Exchange, headers: &HeaderMap, target: &Target, received: &Received) -> Call {
        let Some(dialect) = target.dialect else { return Call::default() };
        let (body, unread): (&[u8], _) = match received {
            Received::Whole(body, _) if is_plain(headers) => (body, None),
            Received::Whole(..) => (&[], Some(Skipped::Encoding)),
            Received::Streamed(..) => (&[], (exchange.record().method == Method::POST).then_some(Skipped::Size)),
        };
        let now = Self::now();
        let known = self.agents.recall(dialect, body, now.instant);
        let request = Request::read(dialect, &target.path, body, known.resume());
        exchange.record().skipped = unread.or(request.skipped).map(Skipped::name);
        self.place(exchange, (headers, target, dialect), (&request, body, &known), now);
        self.measure(exchange, &request.call);
        if let Some(tools) = request.prompt.as_ref().and_then(|prompt| prompt.tools) {
            exchange.declare(tools);
        }
        request.call
    }

    fn place(
        &self,
        exchange: &mut Exchange,
        (headers, target, dialect): (&HeaderMap, &Target, Dialect),
        (request, body, known): (&Request<'_>, &[u8], &Known),
        now: Moment,
    ) {
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
            known,
            connection,
            sdk_retry: record.sdk_retry_count,
            trace: record.trace.parent_id.map(|_| record.trace.trace_id),
            span_id: record.trace.span_id,
        };
        let arrived = self.agents.arrive(&arrival, now);
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
        exchange.record().prompt_tokens = self.models.estimate(call).map(|estimate| estimate.tokens);
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
