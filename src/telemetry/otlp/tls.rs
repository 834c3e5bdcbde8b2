//! Whom we trust behind an `https://` receiver, and whom we are to it.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error, PemObject},
    },
};

use super::StartError;
use crate::config::{self, Protocol};

/// TLS towards this receiver.
pub(super) fn client_config(otlp: &config::Otlp) -> Result<Arc<ClientConfig>, StartError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(match &otlp.ca {
        Some(file) => roots_of(file)?,
        None => roots_of_machine(),
    });
    let mut config = match &otlp.client {
        Some(client) => {
            let key = PrivateKeyDer::from_pem_file(&client.key).map_err(|error| unreadable(&client.key, error))?;
            builder.with_client_auth_cert(certificates(&client.certificate)?, key)?
        }
        None => builder.with_no_client_auth(),
    };
    let alpn: &[u8] = match otlp.protocol {
        Protocol::HttpProtobuf => b"http/1.1",
        Protocol::Grpc => b"h2",
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(config))
}

fn roots_of(file: &Path) -> Result<RootCertStore, StartError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// The machine's roots, or Mozilla's where it has none that can be read.
fn roots_of_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// All that the file holds, one at least.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read.map_err(|error| unreadable(file, error))? {
        none if none.is_empty() => Err(unreadable(file, Error::NoItemsFound)),
        certificates => Ok(certificates),
    }
}

fn unreadable(file: &Path, source: Error) -> StartError {
    StartError::Pem { file: file.to_owned(), source }
}
