//! A reply as the agent's socket saw it: the head as it was written, the body, when its pieces came, and how it ended.

use serde_json::Value;
use tokio::time::Instant;

/// How a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As its framing says: the last chunk, the stated length, or no body.
    Whole,
    /// A body without framing ended with a FIN: whole, as far as its reader knows.
    Closed,
    /// A FIN before the end that the framing promised.
    Fin,
    /// A reset.
    Rst,
    /// It has not: the deadline came first.
    Open,
}

/// One SSE event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// `event:`, `""` if there is none.
    pub name: String,
    /// `data:`, lines joined.
    pub data: String,
}

/// A reply.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The status.
    pub status: u16,
    /// The whole head, up to and with its empty line.
    pub head: Vec<u8>,
    /// Names as they were spelled, in order.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The sizes of the chunks, if it came in chunks.
    pub chunks: Vec<usize>,
    /// When bytes came: the first entry is the head's.
    pub arrivals: Vec<Instant>,
    /// How it ended.
    pub end: End,
}

impl Reply {
    /// The first header of that name, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Why Pillion answered itself.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.header("x-pillion-refusal")
    }

    /// Whether an agent takes it for complete.
    pub(crate) fn looks_complete(&self) -> bool {
        matches!(self.end, End::Whole | End::Closed)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The complete events of an SSE body, comments left out.
    pub(crate) fn events(&self) -> Vec<Event> {
        let text = self.text().replace("\r\n", "\n");
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
        whole.split("\n\n").map(Event::of).filter(|event| !event.data.is_empty() || !event.name.is_empty()).collect()
    }

    /// The data of the last event as JSON.
    pub(crate) fn last_event(&self) -> Value {
        self.events().last().and_then(|event| serde_json::from_str(&event.data).ok()).unwrap_or(Value::Null)
    }
}

impl Event {
    fn of(block: &str) -> Self {
        let field =
            |name: &'static str| block.lines().filter_map(move |line| line.strip_prefix(name)).map(|value| value.strip_prefix(' ').unwrap_or(value));
        Self { name: field("event:").collect(), data: field("data:").collect::<Vec<_>>().join("\n") }
    }
}
