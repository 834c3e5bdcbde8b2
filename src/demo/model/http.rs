//! Reads HTTP/1.1 requests off a socket as a strict server would: what could be understood in two ways is refused.
//! Writes nothing but `100 Continue`; a connection's bytes that come early wait in its buffer.

use std::{io, time::Duration};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    time::timeout,
};

use super::{
    act::{Outcome, Outlet, perform},
    plan::Act,
    seen::{Hangup, Taken},
    socket::{Raw, Stream},
};

/// The longest head that is read.
const HEAD_MAX: usize = 512 << 10;
/// The most headers in a head.
const HEADERS_MAX: usize = 2048;
/// The longest line of a chunk's size, with its extensions.
const CHUNK_LINE_MAX: usize = 4096;
/// How much is read at a time: what an idle connection holds, too.
const READ: usize = 16 << 10;
/// How long an answered connection is still read from before it is closed, so that its close is no reset.
const LINGER: Duration = Duration::from_secs(1);
/// How much is read ahead of the request being answered. Beyond it a hang-up is seen when the answer is written.
const AHEAD_MAX: usize = 256 << 10;

/// A connection with the bytes that came and were not yet used.
pub(super) struct Wire {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    /// The socket below, to be closed and reset as told.
    pub(super) raw: Raw,
    buffer: BytesMut,
}

/// The head of a request.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) version: &'static str,
    pub(super) headers: Vec<(String, String)>,
    pub(super) framing: Framing,
}

/// How the body's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The other side hung up: between requests, or in the middle of one.
    #[error("the connection ended")]
    Gone(Hangup),
    /// What came is no HTTP, or can be read in two ways.
    #[error("not a well-formed request: {0}")]
    Malformed(&'static str),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Gone(Hangup::Rst)
    }
}

impl Head {
    /// Whether the connection may be used again.
    pub(super) fn keeps_alive(&self) -> bool {
        let said = |word: &str| self.values("connection").any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)));
        if self.version == "HTTP/1.0" { said("keep-alive") } else { !said("close") }
    }

    /// Whether the other side waits for a word before it sends the body.
    pub(super) fn expects_continue(&self) -> bool {
        self.values("expect").any(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Wire {
    pub(super) fn new(stream: Stream, raw: Raw) -> Self {
        let (reader, writer) = split(stream);
        Self { reader, writer, raw, buffer: BytesMut::new() }
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.writer.flush().await
    }

    /// Closes our side and reads the other's to its end, because a close over unread bytes would be a reset.
    pub(super) async fn close(&mut self) {
        let Self { reader, writer, buffer, .. } = self;
        // One that refuses is closed already; what the other side still says is read all the same.
        let _ = writer.shutdown().await;
        let drained = async {
            while read_some(reader, buffer).await.is_ok_and(|length| length > 0) {
                buffer.clear();
            }
        };
        // Whoever does not close in that time is closed upon.
        let _ = timeout(LINGER, drained).await;
    }

    /// The next request's head.
    pub(super) async fn head(&mut self) -> Result<Head, ReadError> {
        loop {
            if let Some((length, head)) = parse(&self.buffer)? {
                self.buffer.advance(length);
                return Ok(head);
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(ReadError::Malformed("the head is too long"));
            }
            self.fill().await?;
        }
    }

    /// Its body, to the end.
    pub(super) async fn body(&mut self, framing: Framing, taken: &mut Taken) -> Result<(), ReadError> {
        match framing {
            Framing::Length(length) => self.take(length, taken).await,
            Framing::Chunked => loop {
                let size = self.chunk_size().await?;
                if size == 0 {
                    return self.trailers().await;
                }
                self.take(size, taken).await?;
                if !self.line().await?.is_empty() {
                    return Err(ReadError::Malformed("a chunk is longer than its size"));
                }
            },
        }
    }

    async fn take(&mut self, mut left: u64, taken: &mut Taken) -> Result<(), ReadError> {
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            taken.push(&self.buffer[..here]);
            self.buffer.advance(here);
            left -= u64::try_from(here).expect("a length in memory fits 64 bits");
        }
        Ok(())
    }

    async fn chunk_size(&mut self) -> Result<u64, ReadError> {
        let line = self.line().await?;
        let digits = line[..].split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
        let hex = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
        let size = std::str::from_utf8(digits).ok().filter(|_| hex).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        size.ok_or(ReadError::Malformed("a chunk size is no hexadecimal number"))
    }

    async fn trailers(&mut self) -> Result<(), ReadError> {
        for _ in 0..HEADERS_MAX {
            if self.line().await?.is_empty() {
                return Ok(());
            }
        }
        Err(ReadError::Malformed("the trailers do not end"))
    }

    /// A line of the framing, without its end.
    async fn line(&mut self) -> Result<BytesMut, ReadError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let mut line = self.buffer.split_to(end + 1);
                line.truncate(end);
                if line.last() != Some(&b'\r') {
                    return Err(ReadError::Malformed("a line of the chunked framing ends without a carriage return"));
                }
                line.truncate(end - 1);
                return Ok(line);
            }
            if self.buffer.len() > CHUNK_LINE_MAX {
                return Err(ReadError::Malformed("a line of the chunked framing is too long"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), ReadError> {
        match read_some(&mut self.reader, &mut self.buffer).await? {
            0 => Err(ReadError::Gone(Hangup::Fin)),
            _ => Ok(()),
        }
    }

    /// Performs an answer while watching the socket: `Err` as soon as the other side hangs up before it is done.
    pub(super) async fn perform(&mut self, acts: Vec<Act>, slowly: Option<Duration>) -> Result<Outcome, Hangup> {
        let Self { reader, writer, buffer, .. } = self;
        let mut outlet = Outlet::One(writer);
        tokio::select! {
            biased;
            done = perform(&mut outlet, acts, slowly) => done.map_err(|_| Hangup::Rst),
            how = hangup(reader, buffer) => Err(how),
        }
    }
}

/// When and how the other side hangs up; what it sends until then is kept for the next request.
async fn hangup(stream: &mut ReadHalf<Stream>, ahead: &mut BytesMut) -> Hangup {
    while ahead.len() < AHEAD_MAX {
        match read_some(stream, ahead).await {
            Ok(0) => return Hangup::Fin,
            Ok(_) => {}
            Err(_) => return Hangup::Rst,
        }
    }
    std::future::pending().await
}

async fn read_some(stream: &mut ReadHalf<Stream>, buffer: &mut BytesMut) -> io::Result<usize> {
    buffer.reserve(READ);
    stream.read_buf(buffer).await
}

/// The head at the beginning of these bytes and its length, once all of it is there.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, ReadError> {
    let mut headers = vec![httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(bytes).map_err(|_| ReadError::Malformed("the head cannot be parsed"))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let version = if request.version == Some(0) { "HTTP/1.0" } else { "HTTP/1.1" };
    let headers: Vec<_> = request.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
    let framing = framing(version, &headers).map_err(ReadError::Malformed)?;
    let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
    Ok(Some((length, Head { method: part(request.method), target: part(request.path), version, headers, framing })))
}

/// How the body's end is told (RFC 9112 section 6.3), refusing all that two servers might read in two ways.
fn framing(version: &str, headers: &[(String, String)]) -> Result<Framing, &'static str> {
    let values = |name: &str| headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
    match (values("transfer-encoding")[..].as_ref(), values("content-length")[..].as_ref()) {
        ([], []) => Ok(Framing::Length(0)),
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") && version == "HTTP/1.1" => Ok(Framing::Chunked),
        ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| "the content length is too large")
        }
        ([], _) => Err("the content length is no single number"),
        (_, []) => Err("the transfer encoding is not `chunked` alone"),
        _ => Err("both a transfer encoding and a content length"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Framing, ReadError, parse};

    fn read(head: &str) -> Result<Option<Framing>, String> {
        match parse(head.as_bytes()) {
            Ok(found) => Ok(found.map(|(_, head)| head.framing)),
            Err(ReadError::Malformed(why)) => Err(why.to_owned()),
            Err(other) => Err(other.to_string()),
        }
    }

    #[test]
    fn a_head_is_read_once_it_is_whole_and_keeps_names_and_order() {
        let text = "POST /v1/x?a=1 HTTP/1.1\r\nHost: a\r\nX-Two: 2\r\nx-one: 1\r\nX-Two: 3\r\ncontent-length: 5\r\n\r\nhello";
        let (length, head) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!((&text[length..], head.target.as_str(), head.framing), ("hello", "/v1/x?a=1", Framing::Length(5)));
        let names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Host", "X-Two", "x-one", "X-Two", "content-length"]);
        for end in 0..length {
            assert!(parse(&text.as_bytes()[..end]).unwrap().is_none(), "{end}");
        }
    }

    #[test]
    fn a_body_whose_end_is_told_in_two_ways_is_refused() {
        let with = |lines: &str| read(&format!("POST / HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(with("transfer-encoding: Chunked\r\n"), Ok(Some(Framing::Chunked)));
        assert_eq!(with(""), Ok(Some(Framing::Length(0))));
        for lines in [
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: xchunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert!(with(lines).is_err(), "{lines}");
        }
        assert!(read("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
