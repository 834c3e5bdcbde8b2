//! Certificates of tests, agents that trust them, and exchanges over whatever bytes flow through: TLS, a Unix socket.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Call, Proxy, Streams, within};

/// A certificate for this machine, and its key.
pub(crate) struct Pair {
    cert: rcgen::Certificate,
    key: KeyPair,
}

impl Pair {
    /// A new one that signs itself.
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        Self { cert: CertificateParams::new(names).unwrap().self_signed(&key).unwrap(), key }
    }

    /// Writes `tls.crt` and `tls.key`, the latter of another pair if one is given.
    pub(crate) fn write(&self, folder: &Path, other: Option<&Self>) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("tls.crt"), self.cert.pem()).unwrap();
        fs::write(folder.join("tls.key"), other.unwrap_or(self).key.serialize_pem()).unwrap();
    }

    /// A folder with both files.
    pub(crate) fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path(), None);
        folder
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        self.cert.der()
    }

    /// Connects by TLS as one who trusts this certificate alone and can speak these protocols.
    pub(crate) async fn connect(&self, proxy: &Proxy, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_to(proxy.traffic(), alpn).await
    }

    /// The same, to a proxy in a process of its own.
    pub(crate) async fn connect_to(&self, to: SocketAddr, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = within("a connection", TcpStream::connect(to)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        within("a handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }
}

/// `server.tls` with the files of this folder.
pub(crate) fn tls_config(folder: &Path) -> String {
    let folder = folder.display();
    format!("server: {{tls: {{cert: {folder}/tls.crt, key: {folder}/tls.key}}}}")
}

/// Asks on HTTP/1.1 over this, once, and reads to the end.
pub(crate) async fn ask_over(proxy: &Proxy, mut io: impl AsyncRead + AsyncWrite + Unpin, call: &Call) -> String {
    proxy.asks();
    io.write_all(&call.clone().header("Connection", "close").bytes()).await.unwrap();
    let mut reply = Vec::new();
    within("the end of a reply", io.read_to_end(&mut reply)).await.unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

/// What an admin port says of its metrics, over this.
pub(crate) async fn admin_over(mut io: impl AsyncRead + AsyncWrite + Unpin) -> String {
    io.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    within("the metrics", io.read_to_string(&mut text)).await.unwrap();
    text
}

/// Speaks HTTP/2 over this.
pub(crate) async fn streams_over(proxy: &Proxy, io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Streams {
    Streams::over(io, proxy.counters()).await
}
