//! Step 3: what is asked, who asks, and which conversation it belongs to. Read once, from the body as it is held; nothing of it is changed.

use std::{
    borrow::Cow,
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::time::{Instant, timeout};

use super::{
    exchange::Exchange,
    receive::Received,
    rewrite::is_plain,
    route::{Target, by_rule},
};
use crate::{
    agent::{Agents, Arrival, Known, Moment, Source},
    config::{Asking, Config},
    context::Models,
    drain::{Drain, Stage},
    telemetry::{self, Telemetry},
    wire::{Beginning, Call, Dialect, Message, Request, Role, Skipped},
};

/// Longest id of a conversation that is taken from a header, in bytes.
const CONVERSATION_MAX: usize = 256;

/// Of a system text, so much is looked at by the rules of the config, in bytes.
const SYSTEM_MAX: usize = 8 << 10;
/// So many system messages, and so many texts of each.
const SYSTEM_TEXTS_MAX: usize = 8;

/// How often what is old is forgotten.
const TIDY: Duration = Duration::from_secs(5);

/// An agent's name, and how it is known.
type Caller = (Option<Arc<str>>, Source);

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

    /// Forgets what is old every few seconds, and reports the tools whose results never came, until the drain begins to cut.
    pub async fn tidy(self, telemetry: Telemetry, drain: Drain) {
        while timeout(TIDY, drain.reached(Stage::Cutting)).await.is_err() {
            for run in self.agents.expire(Self::now()) {
                telemetry.report_run(run);
            }
        }
    }

    /// Reads the request, and writes down what it says and where it belongs. Gives what it asks for, and where in its body the messages lie, if that is known.
    pub(super) fn admit(
        &self,
        exchange: &mut Exchange,
        (headers, config): (&HeaderMap, &Config),
        target: &Target,
        received: &Received,
    ) -> (Call, Range<usize>) {
        let Some(dialect) = target.dialect else { return Default::default() };
        let (body, unread): (&[u8], _) = match received {
            Received::Whole(body, _) if is_plain(headers) => (body, None),
            Received::Whole(..) => (&[], Some(Skipped::Encoding)),
            Received::Streamed(..) => (&[], (exchange.record().method == Method::POST).then_some(Skipped::Size)),
        };
        let held = if let Received::Whole(body, _) = received
            && unread.is_none()
        {
            body.clone()
        } else {
            Bytes::new()
        };
        let now = Self::now();
        let known = self.agents.recall(dialect, body, now.instant);
        // A rule that asks for the system text wants the whole prompt.
        let rules = target.agent_source != Source::Explicit && config.agents.need_system();
        let mut request = Request::read(dialect, &target.path, body, known.resume().filter(|_| !rules));
        exchange.record().skipped = unread.or(request.skipped).map(Skipped::name);
        exchange.capture(&held);
        let caller = if rules { named_by_rule(config, headers, target, &request) } else { (target.agent.clone(), target.agent_source) };
        known.resume().into_iter().for_each(|known| request.leave_out(known));
        let beginning = self.place(exchange, (headers, target, dialect), (&request, body, &known), (caller, now));
        exchange.record().prompt_tokens = self.models.estimate(&request.call, beginning).map(|estimate| estimate.tokens);
        if let Some(tools) = request.prompt.as_ref().and_then(|prompt| prompt.tools) {
            exchange.declare(tools);
        }
        (request.call, request.prompt.map(|prompt| prompt.list).unwrap_or_default())
    }

    /// Finds where the request belongs. Gives what of its prompt was counted before.
    fn place(
        &self,
        exchange: &mut Exchange,
        (headers, target, dialect): (&HeaderMap, &Target, Dialect),
        (request, body, known): (&Request<'_>, &[u8], &Known),
        ((agent, source), now): (Caller, Moment),
    ) -> Option<Beginning> {
        let connection = exchange.peer().number();
        let record = exchange.record();
        let arrival = Arrival {
            agent,
            source,
            conversation: conversation(headers),
            dialect,
            upstream: Arc::clone(&target.upstream.name),
            request,
            body,
            known,
            connection,
            sdk_retry: record.sdk_retry_count,
            timeout: record.agent_timeout,
            trace: record.trace.parent_id.map(|_| record.trace.trace_id),
            span_id: record.trace.span_id,
        };
        let arrived = self.agents.arrive(&arrival, now);
        (record.agent, record.agent_source) = (arrived.agent, arrived.source);
        if record.trace.parent_id.is_none()
            && let Some(trace_id) = arrived.trace
        {
            (record.trace.trace_id, record.within) = (trace_id, arrived.parent);
        }
        record.conversation = arrived.conversation;
        record.tools = arrived.tools;
        exchange.remember(self.clone(), arrived.place);
        arrived.beginning
    }
}

/// The name that a rule of the config gives, now that the system texts are known.
fn named_by_rule(config: &Config, headers: &HeaderMap, target: &Target, request: &Request<'_>) -> Caller {
    let prompt = request.prompt.as_ref();
    let messages = prompt.into_iter().flat_map(|prompt| prompt.system.iter().chain(&prompt.messages)).filter(|message| message.role == Role::System);
    let text = |message: &Message<'_>| message.texts.iter().take(SYSTEM_TEXTS_MAX).map(|text| text.decoded(SYSTEM_MAX)).collect::<String>();
    let system: Vec<Cow<'_, str>> = messages.take(SYSTEM_TEXTS_MAX).map(|message| Cow::Owned(text(message))).collect();
    by_rule(config, &Asking { path: &target.path, query: target.query(), headers, system: &system })
}

/// The conversation's id by the agent's own word.
fn conversation(headers: &HeaderMap) -> Option<Arc<str>> {
    let header = headers.get("x-pillion-conversation").and_then(|value| value.to_str().ok());
    let given = header.map(str::to_owned).or_else(|| telemetry::baggage_conversation(headers))?;
    (!given.is_empty() && given.len() <= CONVERSATION_MAX).then(|| given.into())
}
