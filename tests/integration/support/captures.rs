//! The captures of real clients in `tests/fixtures/captures`, and what an independent reader has found in them (`expect.py` there).

use std::{collections::BTreeMap, path::Path};

use pillion::wire::{Dialect, Reading};
use serde::Deserialize;
use serde_json::Value;

/// A scenario that a client was driven through.
#[derive(Debug, Deserialize)]
pub(crate) struct Capture {
    /// With its version.
    pub(crate) client: String,
    pub(crate) scenario: String,
    /// Different heads of requests, and different requests; an exchange names its own by their places here.
    headers: Vec<Vec<(String, String)>>,
    pub(crate) requests: Vec<Sent>,
    /// In order of arrival.
    pub(crate) exchanges: Vec<Exchanged>,
}

/// A request, as it was sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Sent {
    pub(crate) target: String,
    pub(crate) body: String,
}

/// An exchange.
#[derive(Debug, Deserialize)]
pub(crate) struct Exchanged {
    pub(crate) connection: u64,
    pub(crate) request: usize,
    headers: usize,
    /// Of the reply; `None` where there was none.
    pub(crate) status: Option<u16>,
    /// Its `content-type`.
    r#type: Option<String>,
    /// Its body, or the beginning that there was.
    reply: Option<String>,
    /// The same of a stream.
    events: Option<Vec<String>>,
    /// `completed`, or who ended it before and how.
    end: String,
}

/// What the independent reader found, and who is known to have called.
#[derive(Debug, Deserialize)]
pub(crate) struct Expected {
    pub(crate) requests: Vec<Value>,
    pub(crate) exchanges: Vec<Truth>,
}

/// What is known of an exchange.
#[derive(Debug, Deserialize)]
pub(crate) struct Truth {
    /// Exchanges of one run of the program have one number.
    pub(crate) run: u64,
    /// `None`: the program names nobody.
    pub(crate) caller: Option<String>,
    pub(crate) reply: Option<Value>,
}

/// All captures by name, each with what is expected of it.
pub(crate) fn all() -> Vec<(String, Capture, Expected)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_str(&read("expected.json")).unwrap();
    let with_capture = |(name, expected): (String, Expected)| {
        let capture: Capture = serde_json::from_str(&read(&format!("{name}.json"))).unwrap();
        assert_eq!((capture.requests.len(), capture.exchanges.len()), (expected.requests.len(), expected.exchanges.len()), "{name}");
        (name, capture, expected)
    };
    let all: Vec<_> = expected.into_iter().map(with_capture).collect();
    let files =
        std::fs::read_dir(&folder).unwrap().filter(|file| file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|end| end == "json")));
    assert_eq!(files.count(), all.len() + 1, "every capture is expected to say something");
    all
}

impl Sent {
    /// The path, without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(crate) fn dialect(&self) -> Dialect {
        Dialect::of_path(self.path()).unwrap_or_else(|| panic!("{} is of a dialect", self.target))
    }
}

impl Capture {
    /// A header of an exchange's request.
    pub(crate) fn header(&self, exchange: &Exchanged, name: &str) -> Option<&str> {
        self.headers[exchange.headers].iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Exchanged {
    /// The bytes of the reply that there were.
    pub(crate) fn reply(&self) -> Vec<u8> {
        self.reply.iter().chain(self.events.iter().flatten()).flat_map(|part| part.bytes()).collect()
    }

    /// A reader of its reply; `None` where there was none.
    pub(crate) fn reading(&self, dialect: Dialect) -> Option<Reading> {
        self.status.map(|status| Reading::new(dialect, status, self.r#type.as_deref(), None))
    }

    /// Whether the body of its reply came to an end of its own.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.end.as_str(), "completed" | "server-cut-clean")
    }

    /// Whether the client went before the end.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.end.starts_with("client-gone")
    }
}
