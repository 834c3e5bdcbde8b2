//! TLS towards agents: a handshake with a deadline of its own, and certificates that are read again when their files change. A bad new pair is
//! said once, and the old one stays.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use ring::digest::{SHA256, digest};
use rustls::{
    ServerConfig,
    crypto::ring as provider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::TcpStream,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    config::{Tls, TlsError},
    drain::{Drain, Stage, Tracker},
};

/// From the connection to the end of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often the files are looked at. By their contents: a volume of Kubernetes swaps a link far above them, and a clock may be wrong.
const LOOK: Duration = Duration::from_secs(3);

/// What TLS connections are accepted with. Cheap to clone.
#[derive(Clone)]
pub struct Shield(TlsAcceptor);

/// The pair that is shown now.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

/// What the files held at one time.
type Mark = [u8; 32];

impl Shield {
    /// Reads the pair, and goes on to read it as long as the drain has not begun.
    pub fn new(tls: &Tls, tracker: &Tracker, drain: &Drain) -> Result<Self, TlsError> {
        let contents = tls.contents()?;
        let current = Arc::new(Current(RwLock::new(Arc::new(tls.pair(&contents)?))));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Current>::clone(&current);
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (tls, drain) = (tls.clone(), drain.clone());
        let first = mark(&contents);
        tracker.spawn(async move {
            tokio::select! {
                () = renew(&tls, &current, first) => {}
                () = drain.reached(Stage::Draining) => {}
            }
        });
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands with who has just connected. `TimedOut` is its slowness, `InvalidData` what it said.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        match timeout(HANDSHAKE, self.0.accept(stream)).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time")),
        }
    }
}

impl std::fmt::Debug for Shield {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shield")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Looks at the files for ever.
async fn renew(tls: &Tls, current: &Current, first: Mark) {
    let (mut shown, mut bad, mut said) = (first, None, None);
    loop {
        sleep(LOOK).await;
        let files = tls.clone();
        let looked = spawn_blocking(move || {
            let contents = files.contents()?;
            Ok::<_, TlsError>((mark(&contents), contents))
        });
        // A look that panicked has seen nothing.
        let Ok(looked) = looked.await else { continue };
        let (seen, pair) = match looked {
            Ok((seen, _)) if seen == shown => {
                (bad, said) = (None, None);
                continue;
            }
            Ok((seen, contents)) => (seen, tls.pair(&contents)),
            Err(error) => (mark(&[error.to_string().into_bytes(), Vec::new()]), Err(error)),
        };
        match pair {
            Ok(pair) => {
                *current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                (shown, bad, said) = (seen, None, None);
                tracing::info!(cert = %tls.cert.display(), "the certificate has changed and is used from now on");
            }
            // Two files are seldom replaced in one moment: what is wrong twice is wrong.
            Err(error) if bad == Some(seen) && said != Some(seen) => {
                said = Some(seen);
                tracing::warn!("server.tls has changed and cannot be used, the old certificate stays: {error}");
            }
            Err(_) => bad = Some(seen),
        }
    }
}

fn mark(contents: &[Vec<u8>; 2]) -> Mark {
    let marks = contents.each_ref().map(|content| digest(&SHA256, content));
    let both = marks.map(|mark| mark.as_ref().to_vec()).concat();
    let mut mark = Mark::default();
    mark.copy_from_slice(digest(&SHA256, &both).as_ref());
    mark
}
