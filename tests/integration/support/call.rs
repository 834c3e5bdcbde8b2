//! A request, as the bytes that an agent writes.

use serde_json::{Value, json};

/// A request's head and body.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    chunks: Option<usize>,
}

/// A request with a `Host` and nothing else.
pub(crate) fn call(method: &str, target: &str) -> Call {
    Call {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: vec![("Host".to_owned(), "127.0.0.1".to_owned())],
        body: None,
        chunks: None,
    }
}

/// An OpenAI chat completion, streamed or not.
pub(crate) fn chat(stream: bool) -> Call {
    let question = json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "Say hello."}]});
    call("POST", "/v1/chat/completions").header("Authorization", "Bearer sk-test").json(&question)
}

/// An Anthropic message, streamed or not.
pub(crate) fn messages(stream: bool) -> Call {
    let question = json!({"model": "claude-sonnet-4-5", "max_tokens": 64, "stream": stream, "messages": [{"role": "user", "content": "Say hello."}]});
    call("POST", "/v1/messages").header("X-Api-Key", "sk-ant-test").header("anthropic-version", "2023-06-01").json(&question)
}

impl Call {
    /// One more header, spelled so.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another host.
    pub(crate) fn named(mut self, host: &str) -> Self {
        self.headers.retain(|(name, _)| name != "Host");
        self.headers.insert(0, ("Host".to_owned(), host.to_owned()));
        self
    }

    /// Another target.
    pub(crate) fn at(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// A body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A JSON body.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    /// The body in chunks of at most `size` bytes, instead of with its length.
    pub(crate) fn chunked(mut self, size: usize) -> Self {
        self.chunks = Some(size);
        self
    }

    /// Whether the reply has no body whatever its head says.
    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// What goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        match (&self.body, self.chunks) {
            (None, _) => bytes.extend_from_slice(b"\r\n"),
            (Some(body), None) => {
                bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                bytes.extend_from_slice(body);
            }
            (Some(body), Some(size)) => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                body.chunks(size).for_each(|part| bytes.extend_from_slice(&super::chunk(part)));
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }

    /// The same for HTTP/2: a head, whose `Host` is the authority, and a body.
    pub(crate) fn request(&self) -> (http::Request<()>, Option<Vec<u8>>) {
        let host = self.headers.iter().find(|(name, _)| name == "Host").map_or("127.0.0.1", |(_, host)| host);
        let mut request = http::Request::builder().method(self.method.as_str()).uri(format!("http://{host}{}", self.target));
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "Host") {
            request = request.header(name, value);
        }
        (request.body(()).unwrap(), self.body.clone())
    }
}
