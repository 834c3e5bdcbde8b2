//! The model as a client on a bare socket sees it.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Model, ModelOptions, Seen};
use crate::demo::script::Script;

mod dialects;
mod faults;
mod http2;
mod limits;
mod overflow;
mod recording;
mod shapes;
mod tls;

/// Longer than anything here takes, so that what hangs fails.
const DEADLINE: Duration = Duration::from_secs(10);
/// Long enough for what would come to have come.
const SILENCE: Duration = Duration::from_millis(150);

/// A model with a script.
async fn model(script: &str) -> Model {
    let script = Script::read(script).expect("the test's script is sound");
    Model::start(ModelOptions { script, ..ModelOptions::default() }).await.expect("the loopback has a free port")
}

/// A bare socket.
struct Client {
    stream: TcpStream,
}

/// What came until the end or until nothing came any more.
struct Got {
    bytes: Vec<u8>,
    end: Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Fin,
    Rst,
    /// It is open still.
    Silent,
}

impl Client {
    async fn to(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap() }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn post(&mut self, path: &str, body: &str) {
        let length = body.len();
        self.send(&format!("POST {path} HTTP/1.1\r\nHost: model\r\nContent-Length: {length}\r\n\r\n{body}")).await;
    }

    /// All that comes until the connection ends or is silent for a while.
    async fn got(&mut self) -> Got {
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 4096];
            match timeout(SILENCE, self.stream.read(&mut piece)).await {
                Ok(Ok(0)) => return Got { bytes, end: Ended::Fin },
                Ok(Ok(length)) => bytes.extend_from_slice(&piece[..length]),
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => return Got { bytes, end: Ended::Rst },
                Ok(Err(error)) => panic!("{error}"),
                Err(_) => return Got { bytes, end: Ended::Silent },
            }
        }
    }
}

impl Got {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn head(&self) -> String {
        self.text().split("\r\n\r\n").next().unwrap().to_owned()
    }

    fn status(&self) -> u16 {
        self.text()[9..12].parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.head().lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
    }

    /// The body as it is on the wire.
    fn raw_body(&self) -> &[u8] {
        let start = memchr::memmem::find(&self.bytes, b"\r\n\r\n").expect("there is a head");
        &self.bytes[start + 4..]
    }

    /// The body's bytes without their framing, and whether all of it is there.
    fn body(&self) -> (Vec<u8>, bool) {
        let raw = self.raw_body();
        if let Some(length) = self.header("content-length") {
            return (raw.to_vec(), raw.len() == length.parse::<usize>().unwrap());
        }
        if self.header("transfer-encoding").is_some() { dechunked(raw) } else { (raw.to_vec(), self.end == Ended::Fin) }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body().0).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The data of each event of a stream, with its name.
    fn events(&self) -> Vec<(Option<String>, String)> {
        let body = String::from_utf8(self.body().0).unwrap();
        let field = |event: &str, name: &str| event.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        let events = body.split("\n\n").filter_map(|event| Some((field(event, "event: "), field(event, "data: ")?)));
        events.collect()
    }

    /// The events that are JSON.
    fn chunks(&self) -> Vec<Value> {
        self.events().iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect()
    }
}

/// The data of chunks, and whether the last one is there.
fn dechunked(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut data = Vec::new();
    while let Some(end) = memchr::memmem::find(raw, b"\r\n") {
        let Ok(size) = usize::from_str_radix(std::str::from_utf8(&raw[..end]).unwrap(), 16) else { break };
        let chunk = &raw[end + 2..];
        if size == 0 {
            return (data, chunk == b"\r\n");
        }
        data.extend_from_slice(&chunk[..size.min(chunk.len())]);
        raw = chunk.get(size + 2..).unwrap_or_default();
    }
    (data, false)
}

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";

fn question(stream: bool) -> Value {
    json!({"model": "gpt-4o", "max_tokens": 1000, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}

/// What a model with that script answers to a question.
async fn answer_to(script: &str, path: &str, body: &Value) -> (Got, Vec<Seen>) {
    let model = model(script).await;
    let mut client = Client::to(model.address()).await;
    client.post(path, &body.to_string()).await;
    let got = client.got().await;
    drop(client);
    (got, model.requests())
}
