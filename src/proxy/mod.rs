//! The life of a request, in order. Only order is decided here; each step's substance is in its own file.

mod admit;
mod exchange;
mod flow;
mod framing;
mod opening;
mod origin;
mod peer;
mod receive;
mod refusal;
mod relay;
mod rewrite;
mod route;
mod send;
mod silence;
mod tunnel;

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version, request, response};
use hyper::body::Incoming;
use tokio::time::Instant;

pub use admit::Memory;
pub use origin::check_origin;
pub use peer::{Peer, Turn};
pub use relay::{Broken, Relayed};
pub use route::leads_to;
pub use tunnel::Tunnel;

use self::{
    exchange::Exchange,
    refusal::Refusal,
    relay::{Course, Relay},
    rewrite::{Downward, Fitter, Template, Upward},
    route::Target,
    send::{Sending, Sent},
    tunnel::Switch,
};
use crate::{
    body::Ledger,
    config::{Config, Policy},
    drain::{self, Drain, Stage},
    telemetry::{Telemetry, names::Reason},
    upstream::{AgentLimit, Destination, Destinations, rate_limits},
    wire::{Call, Dialect, Splice},
};

/// What carries exchanges: everything they share.
#[derive(Debug)]
pub struct Proxy {
    config: Arc<Config>,
    destinations: Destinations,
    telemetry: Telemetry,
    ledger: Ledger,
    memory: Memory,
    fitter: Fitter,
    drain: Drain,
    /// Our name in `via`: one for each process, so that a request that comes back is known.
    mark: String,
}

/// What is settled about an exchange on its way up, and needed on its way down.
#[derive(Debug)]
struct Way {
    policy: Arc<Policy>,
    dialect: Option<Dialect>,
    agent: Option<AgentLimit>,
    version: Version,
    /// The agent's wish for another protocol.
    switch: Option<Switch>,
}

impl Proxy {
    /// Built once.
    pub fn new(config: Arc<Config>, destinations: Destinations, telemetry: Telemetry, (ledger, memory): (Ledger, Memory), drain: Drain) -> Self {
        let mark = format!("pillion-{:08x}", fastrand::u32(..));
        let fitter = Fitter::new(&memory.models, &telemetry);
        Self { config, destinations, telemetry, ledger, memory, fitter, drain, mark }
    }

    /// Carries one exchange: up by `carry`, down by `relay`; or says why not by `refuse`.
    pub async fn handle(&self, request: Request<Incoming>, peer: Arc<Peer>) -> Response<Relayed> {
        let (head, body) = request.into_parts();
        if let Some(bare) = framing::bare_answer(&head, self.config.server.head_limit) {
            self.telemetry.refused(None, Reason::Framing);
            return bare;
        }
        let dialect = Dialect::of_path(head.uri.path());
        let mut exchange = Exchange::begin(&head, peer, &self.telemetry, &self.drain);
        // Boxed: what waits for a reply needs much room, a stream that flows shall not keep it.
        let carrying = Box::pin(self.carry(&mut exchange, head, body));
        let ending = tokio::select! {
            biased;
            ending = drain::contain(carrying) => ending.unwrap_or_else(|_| Err(self.panicked())),
            () = self.drain.reached(Stage::Cutting) => Err(Refusal::draining()),
        };
        match ending {
            Ok((sent, way)) => self.relay(exchange, sent, way),
            Err(refusal) => refuse(exchange, &refusal, dialect),
        }
    }

    /// The way up, step by step.
    async fn carry(&self, exchange: &mut Exchange, mut head: request::Parts, body: Incoming) -> Result<(Sent, Way), Refusal> {
        self.check(&head)?;
        let target = route::locate(&self.config, &head)?;
        let agent = AgentLimit::of(&head.headers);
        note(exchange, &target, &head.headers, agent);

        let policy = Arc::clone(self.config.policy(&target.path, target.agent.as_deref(), None));
        let switch = Switch::asked(&mut head, &body);
        let limits = (&self.ledger, self.config.server.body_limit);
        let received = receive::receive(exchange, (&head, body), &target, &policy, limits).await?;
        let (call, list) = exchange.observe(|exchange| self.memory.admit(exchange, (&head.headers, &self.config), &target, &received));
        let since = |agent: AgentLimit| if agent.per_read { Instant::now() } else { exchange.started() };
        let agent_clock = agent.map(|agent| (agent, since(agent)));

        let (destination, policy) = self.settle(&target, exchange.record().agent.as_deref(), &call)?;
        exchange.admit(destination);
        let (version, dialect, stream) = (head.version, target.dialect, call.stream);
        exchange.record().call = call;
        let fitted = self.fitter.fit(exchange, (&head.headers, policy.context), (received, list)).await?;
        let usage = rewrite::usage(&policy.carry, exchange.record(), &fitted);
        let template = self.rewrite(head, (switch.as_ref(), usage, fitted.is_trimmed), (&target, destination, &policy));

        let draining = self.drain.stage() >= Stage::Draining;
        let propagate = self.config.telemetry.propagate.then_some(exchange.record().trace);
        let sending =
            Sending { destination, template, propagate, policy: &policy, dialect, stream, agent: agent_clock, draining, refit: fitted.refit };
        let sent = send::send(exchange, sending, fitted.received).await?;
        Ok((sent, Way { policy, dialect, agent, version, switch }))
    }

    /// What no request may do, wherever it goes.
    fn check(&self, head: &request::Parts) -> Result<(), Refusal> {
        if self.config.server.listen.is_loopback() {
            check_origin(&self.config.server.hosts, &head.uri, head.version, &head.headers).map_err(origin::refusal)?;
        }
        if rewrite::has_passed(&head.headers, &self.mark) {
            return Err(Refusal::new(Reason::ProxyLoop, "This request has come through this Pillion before: an upstream's URL leads back to it"));
        }
        Ok(())
    }

    /// Where it goes in the end, and under which policies: now that the model is known, and who calls.
    fn settle(&self, target: &Target, agent: Option<&str>, call: &Call) -> Result<(&Arc<Destination>, Arc<Policy>), Refusal> {
        let (path, model) = (target.path.as_str(), call.model.as_deref());
        let route = self.config.route(path, agent, model);
        let upstream = route.and_then(|route| route.upstream.as_ref()).unwrap_or(&target.upstream);
        let destination = self.destinations.find(upstream).ok_or_else(|| Refusal::new(Reason::NoRoute, "The upstream is not one of the config"))?;
        Ok((destination, Arc::clone(self.config.policy(path, agent, model))))
    }

    /// The head of every attempt.
    fn rewrite<'a>(
        &'a self,
        head: request::Parts,
        (switch, usage, is_trimmed): (Option<&'a Switch>, Option<Splice>, bool),
        to: (&Target, &'a Destination, &'a Policy),
    ) -> Template<'a> {
        let (target, destination, policy) = to;
        let upstream = &destination.upstream;
        let uri = destination.uri(target.forward(upstream));
        let switch = switch.map(|switch| &switch.protocol);
        let usage = usage.filter(|_| target.dialect.is_some_and(|dialect| destination.usage.may_be(dialect, Instant::now())));
        let upward = Upward {
            uri,
            host: destination.host(),
            upstream,
            dialect: target.dialect,
            carry: &policy.carry,
            mark: &self.mark,
            switch,
            usage,
            is_trimmed,
        };
        Template::new(head, upward)
    }

    /// The way down: the head now, the body as it comes.
    fn relay(&self, mut exchange: Exchange, mut sent: Sent, way: Way) -> Response<Relayed> {
        exchange.answered(sent.answer.head.status.as_u16());
        exchange.record().rate_limits = rate_limits(&sent.answer.head.headers, SystemTime::now());
        let name = exchange.record().trace.exchange_id();
        let (attempts, trim) = (exchange.record().attempts.len(), exchange.record().trim);
        let shortened = sent.answer.strip.is_some();
        let downward =
            Downward { carry: &way.policy.carry, mark: &self.mark, exchange: name.to_header(), attempts, trim, spent: sent.spent, shortened };
        let mut head = rewrite::reply_head(&mut sent.answer.head, &downward);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            switch(exchange, &mut head, sent, way);
            return Response::from_parts(head, Relayed::Own(Bytes::new()));
        }
        let course = Course {
            policy: &way.policy,
            dialect: way.dialect,
            agent: way.agent,
            end: sent.deadlines.next(),
            close_delimited: way.version < Version::HTTP_11,
        };
        Response::from_parts(head, Relayed::Reply(Box::new(Relay::new(sent.answer, exchange, &course))))
    }

    /// A fault of ours ends the exchange that it met, and nothing else.
    fn panicked(&self) -> Refusal {
        self.telemetry.panicked();
        Refusal::new(Reason::Panic, "Pillion has met a fault of its own while it carried this request; others are not affected")
    }
}

/// An answer of our own, in the caller's dialect.
fn refuse(mut exchange: Exchange, refusal: &Refusal, dialect: Option<Dialect>) -> Response<Relayed> {
    let record = exchange.record();
    record.clock = refusal.clock;
    let (name, attempts, trim) = (record.trace.exchange_id(), record.attempts.len(), record.trim);
    let mut response = refusal.answer(record.dialect.or(dialect), name.as_str()).map(Relayed::Own);
    rewrite::mark_reply(response.headers_mut(), name.to_header(), attempts, trim);
    if refusal.reason == Reason::Framing && exchange.peer().is_gone() {
        // The request broke off because the agent hung up: dropped unfinished, the exchange says so.
        return response;
    }
    exchange.answered(response.status().as_u16());
    exchange.finish(refusal.outcome(), Some(refusal.reason));
    response
}

/// The connection goes on as a tunnel once the head is out.
fn switch(exchange: Exchange, head: &mut response::Parts, sent: Sent, way: Way) {
    let peer = exchange.shared_peer();
    if let Some(tunnel) = way.switch.and_then(|switch| Tunnel::new(switch, head, sent.answer.line, exchange, &way.policy.timeouts)) {
        peer.switch(tunnel);
    }
}

/// Writes down where a request goes and who sent it.
fn note(exchange: &mut Exchange, target: &Target, headers: &HeaderMap, agent: Option<AgentLimit>) {
    let record = exchange.record();
    record.agent.clone_from(&target.agent);
    record.agent_source = target.agent_source;
    record.dialect = target.dialect;
    record.agent_timeout = agent.map(|agent| agent.limit);
    record.sdk_retry_count = headers.get("x-stainless-retry-count").and_then(|count| count.to_str().ok()?.parse().ok());
}
