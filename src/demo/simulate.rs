//! `pillion simulate`: the simulated model alone, until it is told to stop.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use super::{
    model::{Model, ModelOptions, Pace, Tls, TlsError},
    script::{Script, ScriptError},
};

/// The flags of `pillion simulate`.
#[derive(Debug, Clone)]
pub struct SimulateOptions {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The file of its faults.
    pub script: Option<PathBuf>,
    /// Same seed, same requests: same answers.
    pub seed: u64,
    /// The usual wait before the first token.
    pub latency: Duration,
    /// The usual tokens a second from then on; 0 is all at once.
    pub tokens_per_second: f64,
    /// Whether it serves TLS, and how.
    pub tls: ServeTls,
}

/// Whether TLS is served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ServeTls {
    /// It is not.
    #[default]
    Off,
    /// With a certificate of a CA that is made up now.
    MadeUp {
        /// Where the CA is written, to be trusted.
        ca: PathBuf,
    },
    /// With this certificate.
    Given {
        /// Its chain, in PEM.
        chain: PathBuf,
        /// Its key, in PEM.
        key: PathBuf,
    },
}

impl Default for SimulateOptions {
    /// Port 4199 of the loopback, no faults, and a pace that a person can watch: 300 ms, then 80 tokens a second.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4199)),
            script: None,
            seed: 0,
            latency: Duration::from_millis(300),
            tokens_per_second: 80.0,
            tls: ServeTls::Off,
        }
    }
}

/// Why there is no simulated model.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The script's file cannot be read.
    #[error("cannot read the script {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The script's file is no script.
    #[error("cannot play the script {}", path.display())]
    Script {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it.
        source: ScriptError,
    },
    /// The rate is no number of tokens.
    #[error("cannot talk at {0} tokens a second: a number from 0 on is one")]
    Rate(f64),
    /// A file of the certificates cannot be read or written.
    #[error("cannot use the file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no TLS with these certificates.
    #[error("cannot serve TLS")]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The first line cannot be written.
    #[error("cannot say where it listens")]
    Output(#[source] io::Error),
}

/// Serves until `shutdown` is done. The first line of the output is `listening on http://ADDRESS`.
pub async fn simulate(options: SimulateOptions, output: &mut impl Write, shutdown: impl Future<Output = ()>) -> Result<(), SimulateError> {
    let SimulateOptions { listen, script, seed, latency, tokens_per_second, tls } = options;
    let tls = certified(tls).await?;
    let script = match script {
        None => Script::default(),
        Some(path) => read(path).await?,
    };
    let tokens_per_second = match tokens_per_second {
        rate if !rate.is_finite() || rate < 0.0 => return Err(SimulateError::Rate(rate)),
        rate => Some(rate).filter(|rate| *rate > 0.0),
    };
    let pace = Pace { first_token: latency, tokens_per_second };
    let model = Model::start(ModelOptions { listen, seed, script, pace, tls, ..ModelOptions::default() }).await;
    let model = model.map_err(|source| SimulateError::Listen { address: listen, source })?;
    writeln!(output, "listening on {}", model.url()).and_then(|()| output.flush()).map_err(SimulateError::Output)?;
    shutdown.await;
    model.stop().await;
    Ok(())
}

/// What TLS is served with; the CA that was made up is written to its file.
async fn certified(tls: ServeTls) -> Result<Option<Tls>, SimulateError> {
    let file = |path: PathBuf| |source| SimulateError::File { path, source };
    match tls {
        ServeTls::Off => Ok(None),
        ServeTls::MadeUp { ca } => {
            let tls = Tls::made_up()?;
            tokio::fs::write(&ca, tls.ca().unwrap_or_default()).await.map_err(file(ca))?;
            Ok(Some(tls))
        }
        ServeTls::Given { chain, key } => {
            let (chain, key) = (tokio::fs::read(&chain).await.map_err(file(chain))?, tokio::fs::read(&key).await.map_err(file(key))?);
            Ok(Some(Tls::given(&chain, &key)?))
        }
    }
}

async fn read(path: PathBuf) -> Result<Script, SimulateError> {
    let text = match tokio::fs::read_to_string(&path).await {
        Ok(text) => text,
        Err(source) => return Err(SimulateError::Read { path, source }),
    };
    Script::read(&text).map_err(|source| SimulateError::Script { path, source })
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use tokio::sync::oneshot;

    use super::{SimulateError, SimulateOptions, simulate};

    fn options() -> SimulateOptions {
        SimulateOptions { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..SimulateOptions::default() }
    }

    #[tokio::test]
    async fn the_first_line_says_where_it_listens() {
        let mut output = Vec::new();
        simulate(options(), &mut output, async {}).await.unwrap();
        let line = String::from_utf8(output).unwrap();
        let address = line.strip_prefix("listening on http://").and_then(|rest| rest.strip_suffix('\n'));
        assert!(address.is_some_and(|address| address.parse::<SocketAddr>().is_ok()), "{line}");
    }

    #[tokio::test]
    async fn it_serves_until_it_is_told_to_stop() {
        let (stop, stopped) = oneshot::channel::<()>();
        let mut output = Vec::new();
        let serving = simulate(options(), &mut output, async { drop(stopped.await) });
        let mut serving = std::pin::pin!(serving);
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut serving).await.is_err());
        stop.send(()).unwrap();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_script_that_is_none_is_said_before_anything_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.yaml");
        let started = || SimulateOptions { script: Some(path.clone()), ..options() };
        assert!(matches!(simulate(started(), &mut std::io::sink(), async {}).await, Err(SimulateError::Read { .. })));
        std::fs::write(&path, "- sttus: 500").unwrap();
        let Err(error) = simulate(started(), &mut std::io::sink(), async {}).await else { panic!("that is no script") };
        let told = std::error::Error::source(&error).unwrap().to_string();
        assert!(told.contains("did you mean `status`"), "{told}");
    }
}
