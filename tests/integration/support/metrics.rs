//! What `/metrics` says, as numbers.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::within;

/// Names and values of labels.
type Labels = Vec<(String, String)>;

/// One scrape.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    samples: Vec<(String, Labels, f64)>,
}

impl Metrics {
    /// Asks the admin port.
    pub(crate) async fn scrape(admin: std::net::SocketAddr) -> Self {
        let mut stream = within("the admin port", TcpStream::connect(admin)).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        within("the metrics", stream.read_to_string(&mut text)).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        Self::read(body)
    }

    /// Reads the text format.
    pub(crate) fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            Some((name.to_owned(), labels_of(labels), value.parse().ok()?))
        });
        Self { samples: samples.collect() }
    }

    /// The sum of all series of that name that have these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |have: &[(String, String)], (label, value): &(&str, &str)| have.iter().any(|(name, is)| name == label && is == value);
        let matching = self.samples.iter().filter(|(of, have, _)| of == name && labels.iter().all(|label| has(have, label)));
        matching.map(|(.., value)| value).sum()
    }

    /// [`Metrics::value`] of what is counted.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let value = self.value(name, labels);
        format!("{value:.0}").trim_start_matches('-').parse().unwrap_or_else(|_| panic!("{name} is {value}"))
    }

    /// The series of that name that are not 0, for messages.
    pub(crate) fn show(&self, prefix: &str) -> Vec<String> {
        let shown = self.samples.iter().filter(|(name, _, value)| name.starts_with(prefix) && *value != 0.0 && !name.ends_with("_bucket"));
        shown.map(|(name, labels, value)| format!("{name}{labels:?} {value}")).collect()
    }
}

/// `a="b",c="d"}`; no label value of the tests holds a comma or a quote.
fn labels_of(text: &str) -> Labels {
    let text = text.trim_end_matches('}').trim_end_matches(',');
    let pairs = text.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned())).collect()
}
