//! The life of a connection of HTTP/2: its streams side by side, each recorded, answered and recorded as ended as a request of
//! HTTP/1.1 is, and what a step orders of the connection as a whole.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::RecvStream;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{
    act::{Answering, Outcome, Outlet, perform},
    exchange::{Arrived, Arriving, ended_by},
    frames::{Desk, Frames},
    http::{Framing, Head},
    seen::{End, Hangup},
    socket::{Raw, Stream},
    state::State,
};
use crate::demo::script::{Goaway, How, LastStream};

/// Orders of streams to their connection that wait.
const ORDERS: usize = 64;
/// How long a connection that says goodbye is left open, so that what it said is read before its end.
const LINGER: Duration = Duration::from_millis(100);

/// What a stream wants of its connection.
enum Order {
    /// Its frames are to be written, an ordered goodbye among them.
    Flush,
    /// No more streams, and then its end.
    Graceful,
    /// Its end: now, or after a while.
    End(How, Duration),
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: Stream, raw: Raw, number: u64, state: Arc<State>) {
    let kept_back = state.standing().http2;
    let (frames, desk) = Frames::new(stream, kept_back);
    let mut builder = h2::server::Builder::new();
    if let Some(most) = kept_back.max_concurrent_streams {
        builder.max_concurrent_streams(most.get());
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(frames).await else { return };
    let (orders, mut ordered) = mpsc::channel(ORDERS);
    let mut streams = JoinSet::new();
    let mut nth = 0;
    let ended = loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, reply))) = accepted else { break None };
                nth += 1;
                streams.spawn(exchange(request, Answering::new(reply, Arc::clone(&desk)), (number, nth), Arc::clone(&state), orders.clone()));
            }
            Some(order) = ordered.recv() => match order {
                Order::Flush => {}
                Order::Graceful => connection.graceful_shutdown(),
                Order::End(how, after) => break Some((how, after)),
            },
            Some(_) = streams.join_next() => {}
        }
    };
    let Some((how, after)) = ended else {
        // Those that still talk find out by themselves that it is over; those that wait for its end have it.
        drop(ordered);
        let _ = timeout(LINGER, async { while streams.join_next().await.is_some() {} }).await;
        return;
    };
    // New streams are not looked at any more: what was ordered to end ends.
    let _ = timeout(after, async { while let Some(Ok(_)) = connection.accept().await {} }).await;
    raw.end(how);
}

/// One stream from its head to the last byte of its answer. One that ends its connection waits for that end, as a stream that is let
/// go before it is over is reset, which was not ordered.
async fn exchange(request: http::Request<RecvStream>, answering: Answering, nth: (u64, u64), state: Arc<State>, orders: mpsc::Sender<Order>) {
    let (parts, body) = request.into_parts();
    let id = u32::from(answering.reply.stream_id());
    let desk = Arc::clone(&answering.desk);
    let Some(arrived) = arrive(head(&parts), body, nth, &state).await else { return };
    if let Some(goaway) = arrived.step.goaway
        && say_goodbye(goaway, id, &desk, &orders).await
    {
        state.ended(arrived.number, |_, _| End::Cut);
        return std::future::pending().await;
    }
    let slowly = arrived.step.slow.as_ref().and_then(|slow| slow.byte_by_byte);
    let mut outlet = Outlet::Two(answering);
    let outcome = perform(&mut outlet, arrived.acts(&state), slowly).await;
    desk.forget(id);
    if finish(
        outcome.map_err(|error| if error.kind() == io::ErrorKind::ConnectionReset { Hangup::Rst } else { Hangup::Fin }),
        &arrived,
        &state,
        &orders,
    )
    .await
    {
        std::future::pending::<()>().await;
    }
}

/// Whether the stream is one of those that the goodbye leaves out.
async fn say_goodbye(goaway: Goaway, id: u32, desk: &Desk, orders: &mpsc::Sender<Order>) -> bool {
    let last = match goaway.last {
        LastStream::Graceful => {
            // A connection that is over needs no goodbye.
            let _ = orders.send(Order::Graceful).await;
            return false;
        }
        LastStream::This => id,
        LastStream::Below => id.saturating_sub(2),
    };
    desk.goaway(last, goaway.code.0);
    let left_out = last < id;
    let order = if left_out { Order::End(How::Fin, LINGER) } else { Order::Flush };
    let _ = orders.send(order).await;
    left_out
}

/// Reads the body unless the step does not wait for it, and records the request; nothing if the body never came whole.
async fn arrive(head: Head, mut body: RecvStream, nth: (u64, u64), state: &State) -> Option<Arrived> {
    let mut arriving = match Arriving::new(head, nth, state).early() {
        Ok(arrived) => return Some(arrived),
        Err(arriving) => arriving,
    };
    let mut gone = None;
    while let Some(piece) = body.data().await {
        let Ok(piece) = piece else {
            gone = Some(Hangup::Rst);
            break;
        };
        arriving.taken.push(&piece);
        // A stream that is over needs no window.
        let _ = body.flow_control().release_capacity(piece.len());
    }
    arriving.came(gone, state)
}

/// Records the end and orders what it asks of the connection; whether that is its end.
async fn finish(outcome: Result<Outcome, Hangup>, arrived: &Arrived, state: &State, orders: &mpsc::Sender<Order>) -> bool {
    let Arrived { number, step, .. } = arrived;
    let order = match outcome {
        Err(how) => {
            ended_by(how, *number, state);
            None
        }
        Ok(Outcome::Kept) => {
            state.ended(*number, |_, _| End::Completed);
            step.close_after.then_some(Order::End(How::Fin, LINGER))
        }
        Ok(Outcome::Closed) => {
            state.ended(*number, |_, _| End::Completed);
            Some(Order::End(How::Fin, LINGER))
        }
        Ok(Outcome::Cut(how)) => {
            state.ended(*number, |_, _| End::Cut);
            matches!(how, How::Fin | How::Rst).then_some(Order::End(how, Duration::ZERO))
        }
    };
    match order {
        // A connection that is over has ended by itself.
        Some(order) => orders.send(order).await.is_ok(),
        None => false,
    }
}

/// A head as those of HTTP/1.1 are recorded; the authority stands first, under its own name.
fn head(parts: &http::request::Parts) -> Head {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let authority = parts.uri.authority().map(|authority| (":authority".to_owned(), authority.to_string()));
    let text = |value: &http::HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect::<String>();
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    Head {
        method: parts.method.to_string(),
        target,
        version: "HTTP/2.0",
        headers: authority.into_iter().chain(headers).collect(),
        framing: Framing::Chunked,
    }
}
