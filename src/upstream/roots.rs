//! Whom we trust when an upstream shows its certificate: its own `ca` file, else the machine's roots, else Mozilla's.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Why an upstream's `ca` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read or is not PEM.
    #[error("cannot read certificates from {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate of the file is not one that can sign.
    #[error("{} holds a certificate that cannot be a root", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The TLS settings for an upstream: those of all, or with the roots of its own file alone.
pub(super) fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, RootsError> {
    static SHARED: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    match ca {
        Some(path) => Ok(build(read(path)?)),
        None => Ok(Arc::clone(SHARED.get_or_init(|| build(of_machine())))),
    }
}

fn build(roots: RootCertStore) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn read(path: &Path) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    let unreadable = |source| RootsError::Unreadable { path: path.to_owned(), source };
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate).map_err(|source| RootsError::Unusable { path: path.to_owned(), source })?;
    }
    if roots.is_empty() { Err(RootsError::Empty { path: path.to_owned() }) } else { Ok(roots) }
}

/// The machine's roots (and what `SSL_CERT_FILE` names); an image without any gets Mozilla's.
fn of_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
