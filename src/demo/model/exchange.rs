//! One exchange, whichever HTTP it comes by: the record of its request, its step, its answer.

use tokio::time::Instant;

use super::{
    answer::{Answer, Request, answer},
    http::{Framing, Head},
    plan::{Act, plan},
    seen::{End, Hangup, Seen, Taken},
    state::State,
};
use crate::demo::script::{Arrival, Step};

/// One request with everything that is needed to answer it.
pub(super) struct Arrived {
    pub(super) number: u64,
    pub(super) head: Head,
    pub(super) step: Step,
    pub(super) seen: Seen,
}

/// A request whose head is there.
pub(super) struct Arriving {
    number: u64,
    head: Head,
    seen: Seen,
    /// The step of one that does not wait for the body.
    early: Option<Box<Step>>,
    /// Where its body goes.
    pub(super) taken: Taken,
}

impl Arriving {
    /// Records the head; `nth` is the connection and which request on it.
    pub(super) fn new(head: Head, nth: (u64, u64), state: &State) -> Self {
        let seen = record(&head, nth);
        let early = state.early_step(&Arrival { target: &head.target, headers: &head.headers, model: None, body: &[] }).map(Box::new);
        let number = state.arrived(seen.clone());
        Self { number, head, seen, early, taken: Taken::new(state.options.body_cap) }
    }

    /// The exchange, if it does not wait for the body.
    pub(super) fn early(self) -> Result<Arrived, Box<Self>> {
        match self {
            Self { number, head, seen, early: Some(step), .. } => Ok(Arrived { number, head, step: *step, seen }),
            waits => Err(Box::new(waits)),
        }
    }

    /// The head of the request.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// The body has come, whole or as far as the hang-up let it; without a whole one there is nothing to answer.
    pub(super) fn came(self, gone: Option<Hangup>, state: &State) -> Option<Arrived> {
        let Self { number, head, mut seen, taken, .. } = self;
        taken.finish(&mut seen);
        seen.body_complete = gone.is_none();
        state.update(number, |known| *known = seen.clone());
        if let Some(how) = gone {
            ended_by(how, number, state);
            return None;
        }
        let asked = seen.json();
        let named = head.target.split_once("/models/").map(|(_, rest)| rest.split(':').next().unwrap_or_default());
        let model = asked.get("model").and_then(serde_json::Value::as_str).or(named);
        let step = state.step(&Arrival { target: &head.target, headers: &head.headers, model, body: &seen.body });
        Some(Arrived { number, head, step, seen })
    }
}

impl Arrived {
    /// What is to be done.
    pub(super) fn acts(&self, state: &State) -> Vec<Act> {
        let Self { number, head, step, seen } = self;
        let request = Request { head, seen, state, step };
        let reply: Answer = answer(&request);
        let status = reply.status;
        state.update(*number, |seen| seen.status = Some(status));
        plan(&request, reply)
    }
}

/// The other side hung up.
pub(super) fn ended_by(how: Hangup, number: u64, state: &State) {
    state.ended(number, |seen, now| End::Gone(how, now.duration_since(seen.arrived)));
}

fn record(head: &Head, (connection, nth_on_connection): (u64, u64)) -> Seen {
    let mut seen = Seen {
        method: head.method.clone(),
        target: head.target.clone(),
        version: head.version,
        headers: head.headers.clone(),
        body: bytes::Bytes::new(),
        body_length: 0,
        sha256: String::new(),
        body_complete: head.framing == Framing::Length(0),
        connection,
        nth_on_connection,
        arrived: Instant::now(),
        status: None,
        end: End::Open,
        ended: None,
    };
    Taken::new(0).finish(&mut seen);
    seen
}
