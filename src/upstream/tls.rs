//! TLS towards an upstream: what we offer, and what went wrong in words that name it.

use std::{io, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage,
    pki_types::{InvalidDnsNameError, ServerName},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What we are ready to speak over TLS (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2, else HTTP/1.1.
    Either,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It would be the same again: a certificate, a version, not TLS at all.
    #[error("{fault}")]
    Refused {
        /// What is wrong, and what would be right.
        fault: String,
    },
    /// The connection ended in the middle of it.
    #[error("the connection ended within the TLS handshake")]
    Broken(#[source] io::Error),
}

/// Shakes hands with `host`.
pub(super) async fn handshake<S>(config: &Arc<rustls::ClientConfig>, offer: Offer, host: &str, stream: S) -> Result<TlsStream<S>, TlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_: InvalidDnsNameError| TlsError::Refused { fault: format!("{host} is no name that a certificate can hold") })?;
    let mut config = rustls::ClientConfig::clone(config);
    config.alpn_protocols = offer.protocols();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| broken(error, host))
}

impl Offer {
    fn protocols(self) -> Vec<Vec<u8>> {
        let (http1, http2) = (b"http/1.1".to_vec(), b"h2".to_vec());
        match self {
            Self::Either => vec![http2, http1],
            Self::Http1 => vec![http1],
            Self::Http2 => vec![http2],
        }
    }
}

fn broken(error: io::Error, host: &str) -> TlsError {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) {
        Some(cause) => TlsError::Refused { fault: fault(cause, host) },
        None => TlsError::Broken(error),
    }
}

/// What is wrong with the peer, in a sentence that says what would be right.
fn fault(error: &Error, host: &str) -> String {
    match error {
        Error::InvalidCertificate(certificate) => certificate_fault(certificate, host),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS on this port; if it is plain HTTP, its URL begins with http://".to_owned()
        }
        Error::PeerIncompatible(what) => {
            format!("it offers no TLS 1.2 or 1.3 with ciphers that are safe today ({what:?}): it needs an update, or a proxy in front that has one")
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => {
            format!("it refuses TLS 1.2 and 1.3 with ciphers that are safe today ({error}): it needs an update, or a proxy in front that has one")
        }
        Error::NoApplicationProtocol | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "it speaks none of the protocols that it was offered (ALPN); see http2 of the upstream".to_owned()
        }
        other => other.to_string(),
    }
}

fn certificate_fault(error: &CertificateError, host: &str) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: it must be renewed there, or the clock here is wrong".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: the clock there or here is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate is for another name than {host}: the URL must bear a name that the certificate holds")
        }
        CertificateError::UnknownIssuer => {
            "its certificate is of an issuer that is not trusted here: name the issuer's certificate under upstreams.NAME.ca, or in SSL_CERT_FILE"
                .to_owned()
        }
        CertificateError::Revoked => "its certificate has been revoked".to_owned(),
        other => format!("its certificate is of no use ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_own_words() {
        let check = |error: &Error, expected: &str| {
            let told = fault(error, "api.example.com");
            assert!(told.contains(expected), "{told}");
        };
        check(&Error::InvalidCertificate(CertificateError::Expired), "has expired");
        check(&Error::InvalidCertificate(CertificateError::NotValidYet), "not valid yet");
        check(&Error::InvalidCertificate(CertificateError::NotValidForName), "another name than api.example.com");
        check(&Error::InvalidCertificate(CertificateError::UnknownIssuer), "upstreams.NAME.ca");
        check(&Error::InvalidMessage(InvalidMessage::InvalidContentType), "begins with http://");
        check(&Error::AlertReceived(AlertDescription::ProtocolVersion), "TLS 1.2 and 1.3");
        check(&Error::NoApplicationProtocol, "ALPN");
        check(&Error::DecryptError, "decrypt");
    }
}
