//! Tools that run: from the reply that calls one to the request that brings its result. Bounded; a call that nobody comes back to ends as such.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use super::{
    Moment, ToolError, ToolRun,
    heard::{Brought, id_key},
    recent::{Few, Recent},
    tool_errors,
};
use crate::wire::{Reply, TextMark, ToolCall};

/// Most calls that are remembered.
const CALLS_MAX: usize = 8192;
/// How long a result is waited for. A person may be asked meanwhile, or another agent.
pub(super) const WAIT_MAX: Duration = Duration::from_mins(30);
/// Most calls of the same id: ids are the model's, and a scripted one begins anew with each run.
const SAME_MAX: usize = 4;
/// Texts among the arguments of one call that are remembered.
const TEXTS_MAX: usize = 8;
/// How code that an agent wrote is called as a tool.
const CODE: &str = "code_execution";

/// Where an answer came from that calls tools.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// The exchange, by its span.
    pub(super) place: u64,
    pub(super) thread: u64,
    pub(super) conversation: u64,
    pub(super) trace: u128,
}

/// A call.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) caller: Caller,
    pub(super) name: Arc<str>,
    id: Option<Arc<str>>,
    pub(super) called: Moment,
    /// Whether it has ended. It is remembered all the same: its id still says where a request belongs.
    pub(super) is_over: bool,
    /// The thread that runs within it.
    pub(super) child: Option<u64>,
}

/// All calls.
#[derive(Debug)]
pub(super) struct Runs {
    /// By their own span.
    all: Recent<u64, Run>,
    /// By id.
    ids: Recent<u64, Few<u64>>,
    /// By a text among the arguments.
    arguments: Recent<TextMark, Few<u64>>,
    open: usize,
}

impl Runs {
    pub(super) fn new() -> Self {
        Self { all: Recent::new(CALLS_MAX, WAIT_MAX), ids: Recent::new(CALLS_MAX, WAIT_MAX), arguments: Recent::new(CALLS_MAX, WAIT_MAX), open: 0 }
    }

    /// An answer has called tools. Gives back their spans, in order.
    pub(super) fn called(&mut self, reply: &Reply, caller: Caller, now: Moment) -> Vec<u64> {
        reply.tool_calls.iter().map(|call| self.add(call, caller, now)).collect()
    }

    fn add(&mut self, call: &ToolCall, caller: Caller, now: Moment) -> u64 {
        let span = fastrand::u64(1..);
        let id = call.id.as_deref().filter(|id| !id.is_empty());
        if let Some(id) = id {
            self.ids.entry(&id_key(id), now.instant).add(span, SAME_MAX);
        }
        for text in texts(call) {
            self.arguments.entry(&text, now.instant).add(span, SAME_MAX);
        }
        let run = Run { caller, name: call.name.as_str().into(), id: id.map(Arc::from), called: now, is_over: false, child: None };
        self.open += 1;
        if let Some((_, gone)) = self.all.insert(span, run, now.instant)
            && !gone.is_over
        {
            self.open -= 1;
        }
        span
    }

    pub(super) fn find(&self, span: u64) -> Option<&Run> {
        self.all.find(&span)
    }

    pub(super) fn find_mut(&mut self, span: u64) -> Option<&mut Run> {
        self.all.find_mut(&span)
    }

    /// Calls that still run.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Calls of this id, the newest first.
    pub(super) fn of_id(&self, id: u64) -> impl Iterator<Item = (u64, &Run)> {
        let spans = self.ids.find(&id).into_iter().flat_map(Few::newest);
        spans.filter_map(|&span| Some((span, self.all.find(&span)?)))
    }

    /// Calls that still run and have this text among their arguments, the newest first.
    pub(super) fn of_argument(&self, text: TextMark) -> impl Iterator<Item = (u64, &Run)> {
        let spans = self.arguments.find(&text).into_iter().flat_map(Few::newest);
        spans.filter_map(|&span| Some((span, self.all.find(&span)?))).filter(|(_, run)| !run.is_over)
    }

    /// The call that a result answers: the newest of its id in this conversation.
    pub(super) fn answered_by(&self, brought: &Brought<'_>, conversation: u64) -> Option<u64> {
        let open = |run: &Run| !run.is_over && run.caller.conversation == conversation;
        self.of_id(brought.key?).find(|(_, run)| open(run)).map(|(span, _)| span)
    }

    /// The calls that results without ids answer: those of the exchange, by name where the result says it, in order.
    pub(super) fn answered_in_order<'b, 'r>(&self, spans: &[u64], brought: &'b [Brought<'r>]) -> Vec<(u64, &'b Brought<'r>)> {
        let mut left: Vec<u64> = spans.iter().copied().filter(|&span| self.find(span).is_some_and(|run| !run.is_over && run.id.is_none())).collect();
        let mut found = Vec::new();
        for brought in brought.iter().filter(|brought| brought.key.is_none() && brought.is_last) {
            let fits = |span: &u64| brought.result.name.as_deref().is_none_or(|name| self.find(*span).is_some_and(|run| *run.name == *name));
            if let Some(index) = left.iter().position(fits) {
                found.push((left.remove(index), brought));
            }
        }
        found
    }

    /// A call has ended with this result.
    pub(super) fn end(&mut self, span: u64, brought: &Brought<'_>, now: Moment) -> Option<ToolRun> {
        self.close(span, tool_errors::of_result(brought.result), now)
    }

    /// A call has ended so.
    pub(super) fn close(&mut self, span: u64, error: Option<ToolError>, now: Moment) -> Option<ToolRun> {
        let run = self.all.find_mut(&span).filter(|run| !run.is_over)?;
        run.is_over = true;
        self.open -= 1;
        Some(run.told(span, error, now.instant))
    }

    /// Calls whose result never came.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<(Caller, ToolRun)> {
        let mut over = Vec::new();
        while let Some((span, run)) = self.all.expired(now.instant) {
            if !run.is_over {
                self.open -= 1;
                over.push((run.caller, run.told(span, Some(ToolError::NoResult), now.instant)));
            }
        }
        while self.ids.expired(now.instant).is_some() {}
        while self.arguments.expired(now.instant).is_some() {}
        over
    }

    pub(super) fn len(&self) -> usize {
        self.all.len() + self.ids.len() + self.arguments.len()
    }
}

impl Run {
    /// Whether it belongs to this conversation, and still runs.
    pub(super) fn is_open_in(&self, conversation: u64) -> bool {
        !self.is_over && self.caller.conversation == conversation
    }

    fn told(&self, span: u64, error: Option<ToolError>, now: Instant) -> ToolRun {
        ToolRun {
            name: Arc::clone(&self.name),
            id: self.id.clone(),
            agent: None,
            called_at: self.called.wall,
            duration: now.saturating_duration_since(self.called.instant),
            error,
            trace: self.caller.trace,
            span_id: span,
            parent: self.caller.place,
        }
    }
}

/// Code that an agent wrote has run, from its answer on.
pub(super) fn execution(caller: Caller, answered: Moment, error: Option<ToolError>, now: Moment) -> ToolRun {
    let run = Run { caller, name: CODE.into(), id: None, called: answered, is_over: true, child: None };
    run.told(fastrand::u64(1..), error, now.instant)
}

/// What the texts among the arguments are known by: an agent that is a tool is asked with one of them.
fn texts(call: &ToolCall) -> Vec<TextMark> {
    let Some(Ok(Value::Object(arguments))) = call.arguments.as_deref().map(serde_json::from_str) else { return Vec::new() };
    let texts = arguments.values().filter_map(Value::as_str).map(TextMark::of).filter(|mark| !mark.is_empty());
    texts.take(TEXTS_MAX).collect()
}
