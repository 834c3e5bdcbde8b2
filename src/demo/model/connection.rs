//! The life of one connection: at connect, then request after request, each recorded, answered and recorded as ended.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::Interest,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{
    act::{Outcome, perform},
    answer::{Answer, Request, answer},
    control,
    http::{Framing, Head, ReadError, Wire, write_all},
    plan::plan,
    seen::{End, Hangup, Seen, Taken},
    state::State,
};
use crate::demo::script::{Arrival, CutAt, How, Step, Wait};

/// How long an answered connection is still read from before it is closed, so that its close is no reset.
const LINGER: Duration = Duration::from_secs(1);
/// How often a connection that is never read from is looked at for its hang-up.
const GLANCE: Duration = Duration::from_millis(20);

/// One request with everything that is needed to answer it.
struct Arrived {
    number: u64,
    head: Head,
    step: Step,
    seen: Seen,
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, state: Arc<State>) {
    let connection = state.next_connection();
    // Every token must leave at once. A socket that refuses is one that has just ended, which the first read tells.
    let _ = stream.set_nodelay(true);
    let knocks = state.has_door() && state.strikes_at_connect() && control::knocks(&stream).await;
    if let Some(step) = if knocks { None } else { state.step_at_connect() } {
        return at_connect(&stream, &step).await;
    }
    let mut wire = Wire::new(stream);
    for nth in 1.. {
        let head = match wire.head().await {
            Ok(head) => head,
            Err(error) => return refuse(&mut wire, &state, &error).await,
        };
        let going_on = if control::is_for(&head, peer) {
            control::serve(&mut wire, &head, &state).await
        } else {
            exchange(&mut wire, head, (connection, nth), &state).await
        };
        if !going_on {
            return;
        }
    }
}

/// One request from its head to the last byte of its answer; whether the connection may go on.
async fn exchange(wire: &mut Wire, head: Head, place: (u64, u64), state: &State) -> bool {
    let arrived = match arrive(wire, head, place, state).await {
        Ok(arrived) => arrived,
        Err(error) => {
            refuse(wire, state, &error).await;
            return false;
        }
    };
    let Arrived { number, head, step, seen } = arrived;
    let request = Request { head: &head, seen: &seen, state, step: &step };
    let reply: Answer = answer(&request);
    let status = reply.status;
    let acts = plan(&request, reply);
    state.update(number, |seen| seen.status = Some(status));
    let slowly = step.slow.as_ref().and_then(|slow| slow.byte_by_byte);
    let outcome = wire.unless_gone(async |stream: &TcpStream| perform(stream, acts, slowly).await).await;
    finish(wire, outcome, (number, &head, &step), state).await
}

/// Reads the body unless the step does not wait for it, and records the request; `Err` if the body never came whole.
async fn arrive(wire: &mut Wire, head: Head, (connection, nth): (u64, u64), state: &State) -> Result<Arrived, ReadError> {
    let mut seen = record(&head, connection, nth);
    let early = state.early_step(&Arrival { target: &head.target, headers: &head.headers, model: None, body: &[] });
    let number = state.arrived(seen.clone());
    if let Some(step) = early {
        return Ok(Arrived { number, head, step, seen });
    }
    if head.expects_continue() {
        write_all(&wire.stream, b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let mut taken = Taken::new(state.options.body_cap);
    let read = wire.body(head.framing, &mut taken).await;
    taken.finish(&mut seen);
    seen.body_complete = read.is_ok();
    state.update(number, |known| *known = seen.clone());
    if let Err(error) = read {
        let how = if let ReadError::Gone(how) = error { how } else { Hangup::Fin };
        state.ended(number, |seen, now| End::Gone(how, now.duration_since(seen.arrived)));
        return Err(error);
    }
    let asked = seen.json();
    let model = asked.get("model").and_then(serde_json::Value::as_str);
    let step = state.step(&Arrival { target: &head.target, headers: &head.headers, model, body: &seen.body });
    Ok(Arrived { number, head, step, seen })
}

fn record(head: &Head, connection: u64, nth_on_connection: u64) -> Seen {
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

/// Records the end and does what it asks of the connection; whether that may go on.
async fn finish(wire: &mut Wire, outcome: Result<Outcome, Hangup>, (number, head, step): (u64, &Head, &Step), state: &State) -> bool {
    let (end, going_on) = match outcome {
        Err(how) => {
            state.ended(number, |seen, now| End::Gone(how, now.duration_since(seen.arrived)));
            return false;
        }
        Ok(Outcome::Kept) => (End::Completed, head.keeps_alive() && !step.close_after && !step.early_response),
        Ok(Outcome::Closed) => (End::Completed, false),
        Ok(Outcome::Cut(How::Clean)) => (End::Cut, head.keeps_alive()),
        Ok(Outcome::Cut(how)) => {
            state.ended(number, |_, _| End::Cut);
            end(&wire.stream, how).await;
            return false;
        }
    };
    state.ended(number, |_, _| end);
    if !going_on {
        close(&wire.stream).await;
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
        if write_all(&wire.stream, reply.as_bytes()).await.is_ok() {
            close(&wire.stream).await;
        }
    }
}

/// The faults that strike before a byte is read.
async fn at_connect(stream: &TcpStream, step: &Step) {
    match (&step.cut, &step.stall) {
        (Some(cut), _) if cut.at == CutAt::Connect => end(stream, cut.how).await,
        (_, Some(stall)) => match stall.wait {
            Wait::Forever => until_gone(stream).await,
            Wait::For(duration) => {
                // Either way it is over: the wait, or the connection.
                let _ = timeout(duration, until_gone(stream)).await;
            }
        },
        _ => {}
    }
}

/// Ends a connection as told.
async fn end(stream: &TcpStream, how: How) {
    match how {
        // A socket that refuses the option has ended already.
        How::Rst => drop(stream.set_zero_linger()),
        How::Fin | How::Clean => close(stream).await,
    }
}

/// Closes our side and reads the other's to its end, because a close over unread bytes would be a reset.
async fn close(stream: &TcpStream) {
    if socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write).is_err() {
        return;
    }
    let drained = async {
        let mut rest = BytesMut::with_capacity(16 << 10);
        while stream.readable().await.is_ok() {
            rest.clear();
            match stream.try_read_buf(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    };
    // Whoever does not close in that time is closed upon.
    let _ = timeout(LINGER, drained).await;
}

/// Waits for the hang-up of a connection without reading from it.
async fn until_gone(stream: &TcpStream) {
    loop {
        match stream.ready(Interest::READABLE | Interest::ERROR).await {
            Ok(ready) if !ready.is_read_closed() && !ready.is_error() => sleep(GLANCE).await,
            _ => return,
        }
    }
}
