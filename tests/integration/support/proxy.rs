//! The proxy itself, in this process, on free ports; and the question that ends every test: do its books balance?

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use pillion::{
    config::{self, Environment, Flags},
    server::Server,
    telemetry::Telemetry,
};
use tokio::time::Instant;

use super::{Call, Metrics, PATIENCE, Reply, agent};

/// A proxy that has not been started.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    yaml: String,
    listen: Option<String>,
    upstream: Option<String>,
    environment: Vec<(String, String)>,
}

/// Where the proxy's log goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    server: Server,
    log: Log,
    asked: Arc<AtomicU64>,
    open: Arc<AtomicU64>,
}

/// Begins a proxy with everything at its default, on free ports.
pub(crate) fn proxy() -> Plan {
    Plan::default()
}

impl Plan {
    /// `--upstream URL`.
    pub(crate) fn to(mut self, url: impl Into<String>) -> Self {
        self.upstream = Some(url.into());
        self
    }

    /// The text of `pillion.yaml`.
    pub(crate) fn config(mut self, yaml: impl Into<String>) -> Self {
        self.yaml = yaml.into();
        self
    }

    /// `--listen ADDRESS`.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.listen = Some(address.to_owned());
        self
    }

    /// A variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it.
    pub(crate) fn run(self) -> Proxy {
        let free = || Some("127.0.0.1:0".to_owned());
        let flags = Flags { listen: self.listen.or_else(free), admin: free(), upstream: self.upstream };
        let environment: Environment = self.environment.into_iter().collect();
        let loaded = config::read(self.yaml.as_bytes(), None, &flags, &environment).unwrap_or_else(|errors| panic!("{errors}"));
        let log = Log::default();
        let telemetry = Telemetry::start(&loaded.config.telemetry, Box::new(log.clone())).unwrap();
        let server = Server::start(loaded.config, telemetry).unwrap();
        Proxy { server, log, asked: Arc::default(), open: Arc::default() }
    }
}

impl Proxy {
    /// Where agents connect.
    pub(crate) fn traffic(&self) -> SocketAddr {
        self.server.traffic().tcp().unwrap()
    }

    /// Where metrics are.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.server.admin().tcp().unwrap()
    }

    /// Requests sent, and connections of agents that are open.
    pub(super) fn counters(&self) -> (Arc<AtomicU64>, Arc<AtomicU64>) {
        (Arc::clone(&self.asked), Arc::clone(&self.open))
    }

    /// Counts one request that was written by hand.
    pub(crate) fn asks(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
    }

    /// Sends a request on a connection of its own and reads the reply.
    pub(crate) async fn ask(&self, call: &Call) -> Reply {
        agent(self).await.ask(call).await
    }

    /// What the log says.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// One scrape.
    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::scrape(self.admin()).await
    }

    /// Scrapes until `holds`, which must come to hold.
    pub(crate) async fn metrics_until(&self, what: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics().await;
            if holds(&metrics) {
                return metrics;
            }
            assert!(Instant::now() < deadline, "{what} does not come to hold: {:#?}", metrics.show("pillion_"));
            tokio::task::yield_now().await;
        }
    }

    /// The accounting: every request sent is one exchange, none is in flight, and no connection is held but those of agents that are still there.
    pub(crate) async fn settle(&self) -> Metrics {
        let sent = self.asked.load(Ordering::SeqCst);
        let metrics = self
            .metrics_until(&format!("{sent} exchanges, none in flight"), |metrics| {
                metrics.count("pillion_exchanges_total", &[]) == sent && metrics.count("pillion_exchanges_in_flight", &[]) == 0
            })
            .await;
        let open = self.open.load(Ordering::SeqCst);
        // One of them is the scrape's own.
        let few = |metrics: &Metrics| metrics.count("pillion_connections", &[("side", "downstream")]) <= open + 1;
        self.metrics_until(&format!("at most {open} connections of agents"), few).await;
        metrics
    }

    /// [`Proxy::settle`], and that all exchanges ended so.
    pub(crate) async fn settle_as(&self, outcome: &str) -> Metrics {
        let metrics = self.settle().await;
        let (all, so) = (metrics.count("pillion_exchanges_total", &[]), metrics.count("pillion_exchanges_total", &[("outcome", outcome)]));
        assert!(all == so, "not all {outcome}: {:#?}", metrics.show("pillion_exchanges_total"));
        metrics
    }

    /// Stops it as SIGTERM would.
    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

impl Log {
    /// What was written so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
