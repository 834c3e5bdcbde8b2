//! The life of a connection of HTTP/1.1: request after request, each recorded, answered and recorded as ended.

use std::net::SocketAddr;

use super::{
    act::Outcome,
    control,
    exchange::{Arrived, Arriving, ended_by},
    http::{Head, ReadError, Wire},
    seen::{End, Hangup},
    state::State,
};
use crate::demo::script::How;

/// Serves a connection to its end.
pub(super) async fn serve(mut wire: Wire, peer: SocketAddr, connection: u64, state: &State) {
    for nth in 1.. {
        let head = match wire.head().await {
            Ok(head) => head,
            Err(error) => return refuse(&mut wire, state, &error).await,
        };
        let going_on = if control::is_for(&head, peer) {
            control::serve(&mut wire, &head, state).await
        } else {
            exchange(&mut wire, head, (connection, nth), state).await
        };
        if !going_on {
            return;
        }
    }
}

/// One request from its head to the last byte of its answer; whether the connection may go on.
async fn exchange(wire: &mut Wire, head: Head, nth: (u64, u64), state: &State) -> bool {
    let arrived = match arrive(wire, head, nth, state).await {
        Ok(Some(arrived)) => arrived,
        Ok(None) => return false,
        Err(error) => {
            refuse(wire, state, &error).await;
            return false;
        }
    };
    let slowly = arrived.step.slow.as_ref().and_then(|slow| slow.byte_by_byte);
    let outcome = wire.perform(arrived.acts(state), slowly).await;
    finish(wire, outcome, &arrived, state).await
}

/// Reads the body unless the step does not wait for it; `Err` if it never came whole.
async fn arrive(wire: &mut Wire, head: Head, nth: (u64, u64), state: &State) -> Result<Option<Arrived>, ReadError> {
    let mut arriving = match Arriving::new(head, nth, state).early() {
        Ok(arrived) => return Ok(Some(arrived)),
        Err(arriving) => arriving,
    };
    if arriving.head().expects_continue() {
        wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let framing = arriving.head().framing;
    let read = wire.body(framing, &mut arriving.taken).await;
    let gone = read.as_ref().err().map(|error| if let ReadError::Gone(how) = error { *how } else { Hangup::Fin });
    let arrived = arriving.came(gone, state);
    read.map(|()| arrived)
}

/// Records the end and does what it asks of the connection; whether that may go on.
async fn finish(wire: &mut Wire, outcome: Result<Outcome, Hangup>, arrived: &Arrived, state: &State) -> bool {
    let Arrived { number, head, step, .. } = arrived;
    let (end, going_on) = match outcome {
        Err(how) => {
            ended_by(how, *number, state);
            return false;
        }
        Ok(Outcome::Kept) => (End::Completed, head.keeps_alive() && !step.close_after && !step.early_response),
        Ok(Outcome::Closed) => (End::Completed, false),
        Ok(Outcome::Cut(How::Clean)) => (End::Cut, head.keeps_alive()),
        Ok(Outcome::Cut(how)) => {
            state.ended(*number, |_, _| End::Cut);
            wire.raw.end(how);
            if how == How::Fin {
                wire.close().await;
            }
            return false;
        }
    };
    state.ended(*number, |_, _| end);
    if !going_on {
        wire.close().await;
    }
    going_on
}

/// What is no request gets a bare 400 and the end of its connection; a hang-up gets nothing.
async fn refuse(wire: &mut Wire, state: &State, error: &ReadError) {
    if let ReadError::Malformed(_) = error {
        state.count_malformed();
        let body = error.to_string();
        let reply =
            format!("HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        if wire.write(reply.as_bytes()).await.is_ok() {
            wire.close().await;
        }
    }
}
