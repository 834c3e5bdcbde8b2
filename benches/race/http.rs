//! Just enough HTTP/1.1 to drive a race cheaply: heads are parsed, bodies are skipped or unchunked, nothing is allocated for a request.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Bytes that one connection buffers.
const BUFFER: usize = 64 << 10;
/// Most headers of one head.
const HEADERS: usize = 32;

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By `content-length`, in bytes.
    Length(usize),
    /// In chunks.
    Chunked,
}

/// What the upstream is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Answer with nothing: for what a contender sends on its own account.
    Nothing,
    /// One whole reply.
    Whole,
    /// A stream of one event each 50 ms, until told to stop.
    Paced,
    /// A stream of this many events, as fast as can be.
    Flood(u64),
}

impl Errand {
    /// The value of the header that asks for it.
    pub(crate) fn header(self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Whole => "whole".to_owned(),
            Self::Paced => "paced".to_owned(),
            Self::Flood(events) => format!("flood {events}"),
        }
    }

    fn of(value: &[u8]) -> Self {
        match value {
            b"whole" => Self::Whole,
            b"paced" => Self::Paced,
            _ => {
                let events = value.strip_prefix(b"flood ").and_then(|events| std::str::from_utf8(events).ok()?.parse().ok());
                events.map_or(Self::Nothing, Self::Flood)
            }
        }
    }
}

/// The header that carries an [`Errand`].
pub(crate) const ERRAND: &str = "x-race";

/// What a head says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// The status of a reply; 0 of a request.
    pub(crate) status: u16,
    /// The framing of the body.
    pub(crate) framing: Framing,
    /// Of a request.
    pub(crate) errand: Errand,
}

/// One connection and what was read from it ahead.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

/// An error of the protocol.
pub(crate) fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Two addresses that nobody uses right now.
pub(crate) fn free_addresses() -> io::Result<(SocketAddr, SocketAddr)> {
    let bind = || std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, other) = (bind()?, bind()?);
    Ok((one.local_addr()?, other.local_addr()?))
}

impl Wire {
    /// Around a connection.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER].into_boxed_slice(), start: 0, end: 0 })
    }

    /// To this address.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(address).await?)
    }

    /// Writes all of it.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads a request's head; none at a clean end.
    pub(crate) async fn request(&mut self) -> io::Result<Option<Head>> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(&self.buffer[self.start..self.end]).map_err(|_| invalid("not a request"))?;
            if let httparse::Status::Complete(length) = parsed {
                let head = read_headers(0, request.headers)?;
                self.start += length;
                return Ok(Some(head));
            }
            if self.fill().await? == 0 {
                return if self.start == self.end { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Reads a reply's head.
    pub(crate) async fn reply(&mut self) -> io::Result<Head> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            let mut reply = httparse::Response::new(&mut headers);
            let parsed = reply.parse(&self.buffer[self.start..self.end]).map_err(|_| invalid("not a reply"))?;
            if let httparse::Status::Complete(length) = parsed {
                let head = read_headers(reply.code.unwrap_or(0), reply.headers)?;
                self.start += length;
                return Ok(head);
            }
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Passes over a body; how many bytes it had.
    pub(crate) async fn skip(&mut self, framing: Framing) -> io::Result<usize> {
        let (mut chunks, mut gathered, mut sum) = (Chunks::new(), Vec::new(), 0);
        loop {
            match framing {
                Framing::Length(length) => {
                    let taken = (length - sum).min(self.end - self.start);
                    self.start += taken;
                    sum += taken;
                    if sum == length {
                        return Ok(sum);
                    }
                }
                Framing::Chunked => {
                    gathered.clear();
                    self.start += chunks.feed(&self.buffer[self.start..self.end], &mut gathered)?;
                    sum += gathered.len();
                    if chunks.are_over() {
                        return Ok(sum);
                    }
                }
            }
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Unchunks what is there, waiting for more if nothing is; false at the end of the body.
    pub(crate) async fn chunked(&mut self, chunks: &mut Chunks, out: &mut Vec<u8>) -> io::Result<bool> {
        if chunks.are_over() {
            return Ok(false);
        }
        if self.start == self.end && self.fill().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.start += chunks.feed(&self.buffer[self.start..self.end], out)?;
        Ok(true)
    }

    async fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            return Err(invalid("the head is too large"));
        }
        let read = self.stream.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read)
    }
}

fn read_headers(status: u16, headers: &[httparse::Header<'_>]) -> io::Result<Head> {
    let mut head = Head { status, framing: Framing::Length(0), errand: Errand::Nothing };
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value).ok().and_then(|length| length.trim().parse().ok());
            head.framing = Framing::Length(length.ok_or_else(|| invalid("not a length"))?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case(ERRAND) {
            head.errand = Errand::of(header.value);
        }
    }
    Ok(head)
}

/// Where an unchunking stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the line of a size, which is this much so far.
    Size(usize),
    /// In data of which this much is to come.
    Data(usize),
    /// Behind data, before the end of its line.
    After,
    /// In the trailer; whether the line is empty so far.
    Trailer(bool),
    /// Behind all.
    Over,
}

/// An incremental unchunking.
#[derive(Debug)]
pub(crate) struct Chunks(Place);

impl Chunks {
    /// Before the first chunk.
    pub(crate) fn new() -> Self {
        Self(Place::Size(0))
    }

    fn are_over(&self) -> bool {
        self.0 == Place::Over
    }

    /// Appends the data in `bytes` to `out`; how many of `bytes` belonged to this body.
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let mut at = 0;
        while at < bytes.len() && !self.are_over() {
            let byte = bytes[at];
            at += 1;
            self.0 = match (self.0, byte) {
                (Place::Data(left), _) => {
                    let taken = left.min(bytes.len() - (at - 1));
                    out.extend_from_slice(&bytes[at - 1..at - 1 + taken]);
                    at += taken - 1;
                    if taken == left { Place::After } else { Place::Data(left - taken) }
                }
                (Place::Size(0) | Place::Trailer(false), b'\n') => Place::Trailer(true),
                (Place::Size(size), b'\n') => Place::Data(size),
                (Place::After, b'\n') => Place::Size(0),
                (Place::Trailer(true), b'\n') => Place::Over,
                (place, b'\r') => place,
                (Place::Trailer(_), _) => Place::Trailer(false),
                (Place::Size(size), digit) => {
                    let digit = char::from(digit).to_digit(16).and_then(|digit| usize::try_from(digit).ok());
                    Place::Size(size * 16 + digit.ok_or_else(|| invalid("not the size of a chunk"))?)
                }
                (Place::After | Place::Over, _) => return Err(invalid("bytes between two chunks")),
            };
        }
        Ok(at)
    }
}
