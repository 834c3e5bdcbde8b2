//! `/__simulate/…`, by which programs that are not in this process set the script and read what was seen. From this machine only.
//!
//! `POST /__simulate/script` (YAML or JSON, replaces what is left of the old one) · `GET /__simulate/requests` ·
//! `GET /__simulate/health` · `POST /__simulate/reset` (no script, nothing seen).

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    http::{Head, Wire},
    seen::{Seen, Taken},
    state::State,
};
use crate::demo::script::Script;

/// Where all of it is.
const PREFIX: &str = "/__simulate/";
/// The longest script.
const SCRIPT_MAX: usize = 4 << 20;
/// How long a connection that is to fail is given to show that it is for this.
const KNOCK: Duration = Duration::from_millis(20);

/// Whether a request is for this and not for the model.
pub(super) fn is_for(head: &Head, peer: SocketAddr) -> bool {
    head.target.starts_with(PREFIX) && peer.ip().to_canonical().is_loopback()
}

/// Whether a connection that is to fail at connect is for this: a fault that stays must not lock out whoever ordered it.
/// Reads nothing. Only asked where a script came this way, so that faults ordered within the process strike at once.
pub(super) async fn knocks(stream: &TcpStream) -> bool {
    let mut start = [0; 64];
    let looking = async {
        loop {
            match stream.peek(&mut start).await {
                Ok(length) if length > 0 && start[..length].contains(&b'/') => {
                    return memchr::memmem::find(&start[..length], PREFIX.as_bytes()).is_some();
                }
                Ok(length) if length > 0 => sleep(Duration::from_millis(1)).await,
                _ => return false,
            }
        }
    };
    timeout(KNOCK, looking).await.unwrap_or(false)
}

/// Answers it; whether the connection may go on.
pub(super) async fn serve(wire: &mut Wire, head: &Head, state: &State) -> bool {
    let mut taken = Taken::new(SCRIPT_MAX);
    if wire.body(head.framing, &mut taken).await.is_err() {
        return false;
    }
    let (status, body) = answer(head, taken.kept(), state);
    let body = body.to_string();
    let length = body.len();
    let connection = if head.keeps_alive() { "keep-alive" } else { "close" };
    let reply = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: {connection}\r\n\r\n{body}");
    wire.write(reply.as_bytes()).await.is_ok() && head.keeps_alive()
}

fn answer(head: &Head, body: &[u8], state: &State) -> (&'static str, Value) {
    let path = head.target.split('?').next().unwrap_or_default();
    match (head.method.as_str(), path.strip_prefix(PREFIX).unwrap_or_default()) {
        ("POST", "script") => script(body, state),
        ("POST", "reset") => {
            state.reset();
            ("200 OK", json!({"reset": true}))
        }
        ("GET", "requests") => {
            let seen: Vec<Value> = state.seen().iter().map(|seen: &Seen| seen.to_json(state.started)).collect();
            ("200 OK", Value::Array(seen))
        }
        ("GET", "health") => ("200 OK", json!({"connections": state.connections(), "malformed": state.malformed()})),
        _ => ("404 Not Found", json!({"faults": ["there is POST script, POST reset, GET requests and GET health"]})),
    }
}

fn script(body: &[u8], state: &State) -> (&'static str, Value) {
    let read = std::str::from_utf8(body).map_err(|error| vec![error.to_string()]);
    match read.and_then(|text| Script::read(text).map_err(|error| error.faults)) {
        Ok(script) => {
            let told = json!({"steps": script.steps.len(), "rules": script.rules.len()});
            state.play(script);
            state.open_door();
            ("200 OK", told)
        }
        Err(faults) => ("400 Bad Request", json!({ "faults": faults })),
    }
}
