//! `server.tls`: a certificate with its chain and the key to it, read from PEM files whenever somebody asks, for they are renewed while Pillion runs.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{
    fields::{Fields, Wanted},
    load::content,
};

/// Largest file, in bytes; a long chain has some ten thousand.
const LARGEST: usize = 1 << 20;

/// What agents that connect by TLS are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM: the certificate first, then what leads from it to a root.
    pub cert: PathBuf,
    /// PEM: the private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

/// Why a certificate cannot be shown. Nothing that stands in the files is part of it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds no certificate.
    #[error("{} wants certificates in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// It holds no key.
    #[error("{} wants a private key in PEM (RSA, ECDSA or Ed25519, not encrypted)", .0.display())]
    NoKey(PathBuf),
    /// The two do not belong together.
    #[error("the key in {} is not that of the certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

impl Tls {
    /// What both files hold now.
    pub fn contents(&self) -> Result<[Vec<u8>; 2], TlsError> {
        Ok([read(&self.cert)?, read(&self.key)?])
    }

    /// What such contents come to.
    pub fn pair(&self, [cert, key]: &[Vec<u8>; 2]) -> Result<CertifiedKey, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| TlsError::NoCertificate(self.cert.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey(self.key.clone()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { cert: self.cert.clone(), key: self.key.clone() },
            rustls::Error::InvalidCertificate(_) => TlsError::NoCertificate(self.cert.clone()),
            _ => TlsError::NoKey(self.key.clone()),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let content = content(path, LARGEST).map_err(unreadable)?;
    if content.len() > LARGEST { Err(unreadable(io::Error::other("it is larger than 1 MiB"))) } else { Ok(content) }
}

/// `tls: {cert, key}`, whose paths start from `base`. A pair that cannot be used now is an error of the config.
pub(super) fn tls(mut fields: Fields<'_, '_>, base: &Path) -> Option<Tls> {
    let file = |text: &str| if text.is_empty() { Err(Wanted::from("the path of a PEM file")) } else { Ok(base.join(text)) };
    let (cert, key) = (fields.value("cert", file), fields.value("key", file));
    let tls = match (cert, key) {
        (Some(cert), Some(key)) => Some(Tls { cert, key }),
        (None, None) => None,
        (cert, _) => {
            let missing = fields.path_of(if cert.is_some() { "key" } else { "cert" });
            let there = fields.path_of(if cert.is_some() { "cert" } else { "key" });
            let origin = fields.reading.origins.of(&there).clone();
            fields.reading.report(&origin, &missing, "is missing: TLS wants both `cert` and `key`");
            None
        }
    };
    if let Some(tls) = &tls
        && let Err(error) = tls.contents().and_then(|contents| tls.pair(&contents))
    {
        let path = fields.path_of(if error.is_of_key(tls) { "key" } else { "cert" });
        let origin = fields.reading.origins.of(&path).clone();
        fields.reading.report(&origin, &path, error.to_string());
    }
    fields.finish();
    tls
}

impl TlsError {
    fn is_of_key(&self, tls: &Tls) -> bool {
        match self {
            Self::Unreadable { path, .. } => *path == tls.key,
            Self::NoCertificate(_) => false,
            Self::NoKey(_) | Self::Mismatch { .. } => true,
        }
    }
}
