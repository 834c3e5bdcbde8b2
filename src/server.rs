//! Builds the parts once, connects them, runs them, and takes them down in order.

use std::{io, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use crate::{
    admin::Admin,
    body::Ledger,
    config::{Config, Listen, TlsError},
    context::Models,
    downstream::{self, Gate, Listener, Shield},
    drain::{self, Drainer, Stage, Tracker},
    proxy::{Memory, Proxy},
    telemetry::Telemetry,
    upstream::Destinations,
};

/// Connections that the admin port takes at one time; of its own, so that it answers when traffic's are used up.
const ADMIN_CONNECTIONS: usize = 256;
/// Largest head on the admin port.
const ADMIN_HEAD: usize = 16 << 10;
/// After the cut: how long until every task has ended.
const LAST_TASKS: Duration = Duration::from_secs(1);
/// How long telemetry may take to be flushed.
const FLUSH: Duration = Duration::from_secs(2);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address} ({key})")]
    Bind {
        /// Which one.
        key: &'static str,
        /// The address.
        address: Listen,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate that was good when the config was read is so no more.
    #[error("cannot speak TLS (server.tls)")]
    Tls(#[from] TlsError),
}

/// A running proxy.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    traffic: Listen,
    admin: Listen,
    telemetry: Telemetry,
    /// Connections of agents, and who accepts them.
    agents: Tracker,
    drainer: Drainer,
    /// The admin port's own end: it answers until the last.
    admin_drainer: Drainer,
}

impl Server {
    /// Binds both ports and serves.
    pub fn start(config: Config, telemetry: Telemetry) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let bind = |key, address: &Listen| Listener::bind(address).map_err(|source| StartError::Bind { key, address: address.clone(), source });
        let (traffic, admin) = (bind("server.listen", &config.server.listen)?, bind("server.admin", &config.server.admin)?);
        let (traffic_address, admin_address) = (traffic.address().clone(), admin.address().clone());
        warn_beyond_loopback(&[("traffic", &traffic_address), ("the admin port", &admin_address)]);

        let (drainer, drain) = drain::channel();
        let (admin_drainer, admin_drain) = drain::channel();
        let (agents, upstreams, ledger) = (Tracker::default(), Tracker::default(), Ledger::default());
        watch(&telemetry, &ledger, [agents.clone(), upstreams.clone()]);
        let shield = config.server.tls.as_ref().map(|tls| Shield::new(tls, &upstreams, &drain)).transpose()?;
        let destinations = Destinations::new(&config, &upstreams, &telemetry);
        let memory = Memory { models: Arc::new(Models::new(&config)), ..Memory::default() };
        let agents_known = Arc::clone(&memory.agents);
        telemetry.watch_conversations(move || u64::try_from(agents_known.counts().conversations).unwrap_or(u64::MAX));
        let told = (telemetry.clone(), Arc::clone(&memory.agents));
        upstreams.spawn(memory.clone().tidy(telemetry.clone(), drain.clone()));
        let proxy = Arc::new(Proxy::new(Arc::clone(&config), destinations, telemetry.clone(), (ledger, memory), drain.clone()));
        let server = Arc::new(config.server.clone());
        let page = Arc::new(Admin::new(server, traffic_address.url(shield.is_some()), told, drain.clone()));

        let gate = Gate {
            max_connections: config.server.max_connections,
            head_limit: config.server.head_limit,
            reader: config.policy.timeouts.reader,
            tls: shield,
            telemetry: telemetry.clone(),
            tracker: agents.clone(),
            drain: drain.clone(),
        };
        let admin_gate = Gate {
            max_connections: ADMIN_CONNECTIONS,
            head_limit: ADMIN_HEAD,
            tracker: upstreams.clone(),
            drain: admin_drain,
            tls: None,
            ..gate.clone()
        };
        agents.spawn(downstream::accept(traffic, gate, move |request, peer| {
            let proxy = Arc::clone(&proxy);
            async move { proxy.handle(request, peer).await }
        }));
        upstreams.spawn(downstream::accept(admin, admin_gate, move |request, peer| {
            let page = Arc::clone(&page);
            async move {
                peer.begin();
                let answer = page.handle(&request);
                peer.end();
                answer
            }
        }));
        Ok(Self { config, traffic: traffic_address, admin: admin_address, telemetry, agents, drainer, admin_drainer })
    }

    /// Where agents connect.
    pub fn traffic(&self) -> &Listen {
        &self.traffic
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        self.traffic.url(self.config.server.tls.is_some())
    }

    /// Where health and metrics are.
    pub fn admin(&self) -> &Listen {
        &self.admin
    }

    /// Where its exchanges are reported.
    pub fn telemetry(&self) -> Telemetry {
        self.telemetry.clone()
    }

    /// Ends it: unready, no new connections, what is in flight finishes within the grace period, the rest is cut, telemetry is flushed.
    pub async fn stop(self) {
        self.drain().instrument(tracing::info_span!("drain")).await;
        let telemetry = self.telemetry;
        // Blocks until spans and lines are out, so not on the runtime's own threads.
        let flushed = tokio::task::spawn_blocking(move || telemetry.shutdown(FLUSH));
        if flushed.await.is_err() {
            // The flush itself has panicked; there is nobody left to tell.
        }
    }

    /// All but the flush.
    async fn drain(&self) {
        let server = &self.config.server;
        self.drainer.advance(Stage::Leaving);
        sleep(server.drain_delay).await;
        self.drainer.advance(Stage::Draining);
        if timeout(server.grace, self.agents.idle()).await.is_err() {
            tracing::warn!(grace = ?server.grace, "exchanges still in flight after the grace period are cut");
        }
        self.drainer.advance(Stage::Cutting);
        if timeout(LAST_TASKS, self.agents.idle()).await.is_err() {
            tracing::warn!(connections = self.agents.running(), "connections that would not end are closed by the exit");
        }
        self.admin_drainer.advance(Stage::Cutting);
    }
}

/// Binding beyond loopback is a deliberate act, and said.
fn warn_beyond_loopback(addresses: &[(&str, &Listen)]) {
    for (what, address) in addresses.iter().filter(|(_, address)| address.is_beyond_loopback()) {
        tracing::warn!(%address, "{what} listens beyond loopback: whoever reaches this address can use it");
    }
}

/// What is held and what runs, for the gauges.
fn watch(telemetry: &Telemetry, ledger: &Ledger, trackers: [Tracker; 2]) {
    let ledger = ledger.clone();
    telemetry.watch_held_bytes(move || ledger.held());
    telemetry.watch_tasks(move || trackers.iter().map(|tracker| u64::try_from(tracker.running()).unwrap_or(u64::MAX)).sum());
}
