//! One request of an agent: a connection, a head, and the reply's body piece by piece.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{
    Cause,
    reading::{Reading, code_of},
};

/// The most of a refusal that is read.
const REFUSAL_MAX: usize = 64 << 10;

/// What is to be sent.
pub(super) struct Question {
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

/// How an exchange went.
pub(super) struct Exchange {
    /// How often the proxy tried, by its own word; 1 if it says nothing.
    pub(super) attempts: u64,
    /// The tokens that the proxy left out, by its own word.
    pub(super) trimmed: Option<u64>,
    pub(super) outcome: Result<(), Cause>,
}

/// Asks, and lets `reading` read the reply as it comes; `first_token` is called once, when its first content is there.
pub(super) async fn exchange(proxy: SocketAddr, question: Question, reading: &mut Reading, first_token: impl AsyncFnOnce()) -> Exchange {
    let connected = async {
        let stream = TcpStream::connect(proxy).await.map_err(|_| Cause::NoReply)?;
        // A socket that refuses has just ended, which the handshake tells.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| Cause::NoReply)?;
        Ok((request(proxy, question)?, sender, connection))
    };
    let (request, mut sender, connection) = match connected.await {
        Ok(connected) => connected,
        Err(cause) => return Exchange { attempts: 1, trimmed: None, outcome: Err(cause) },
    };
    let asking = async move {
        let Ok(response) = sender.send_request(request).await else {
            return Exchange { attempts: 1, trimmed: None, outcome: Err(Cause::NoReply) };
        };
        let attempts = said(&response, "x-pillion-attempts").and_then(|value| value.parse().ok()).unwrap_or(1);
        let trimmed = said(&response, "x-pillion-trimmed").and_then(|value| value.rsplit_once("tokens=")?.1.parse().ok());
        let outcome = if response.status().is_success() { read(response, reading, first_token).await } else { Err(refusal(response).await) };
        Exchange { attempts, trimmed, outcome }
    };
    // What ends the connection is told by the exchange that it breaks.
    let (_, exchange) = tokio::join!(connection, asking);
    exchange
}

fn request(proxy: SocketAddr, question: Question) -> Result<Request<Full<Bytes>>, Cause> {
    let mut request = Request::post(question.path).header("host", proxy.to_string()).header("content-type", "application/json");
    for (name, value) in question.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(question.body)).map_err(|_| Cause::NoReply)
}

/// What the proxy says in a header.
fn said<'a>(response: &'a Response<Incoming>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

async fn read(response: Response<Incoming>, reading: &mut Reading, first_token: impl AsyncFnOnce()) -> Result<(), Cause> {
    let mut body = response.into_body();
    let mut first_token = Some(first_token);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Cause::Cut)?;
        let Some(bytes) = frame.data_ref() else { continue };
        if reading.push(bytes)?
            && let Some(first_token) = first_token.take()
        {
            first_token().await;
        }
    }
    reading.finish()
}

/// What a refusal says, in one code.
async fn refusal(response: Response<Incoming>) -> Cause {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut told = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Some(bytes) = frame.data_ref() else { continue };
        let room = REFUSAL_MAX.saturating_sub(told.len());
        told.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
    Cause::Status(status, code_of(&told))
}
