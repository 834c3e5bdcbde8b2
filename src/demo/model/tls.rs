//! Certificates of the simulated model: of a CA made up on the spot, sound or wrong in an ordered way, or given.

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
};

use crate::demo::script::{Alpn, Certificate, ServedTls};

/// What a sound certificate is for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What a model serves TLS with.
#[derive(Clone)]
pub struct Tls {
    ca: Option<String>,
    sound: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
    wrong_name: Arc<ServerConfig>,
    self_signed: Arc<ServerConfig>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// What was given is no PEM.
    #[error("not PEM: a certificate chain and a private key are wanted")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// Certificate and key do not go together.
    #[error("the certificate and its key cannot be used")]
    Use(#[from] rustls::Error),
}

/// A chain with its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Tls {
    /// With certificates of a CA that is made up for it, for `localhost` and the loopback's addresses.
    pub fn made_up() -> Result<Self, TlsError> {
        let (ca, issuer) = authority()?;
        let sound = served(signed(&issuer, &NAMES, 2099)?)?;
        Self::with(sound, Some(ca), &issuer)
    }

    /// With this certificate chain and key, both PEM; the faulty ones are made up.
    pub fn given(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
        let (_, issuer) = authority()?;
        Self::with(served((chain, PrivateKeyDer::from_pem_slice(key)?))?, None, &issuer)
    }

    fn with(sound: Arc<ServerConfig>, ca: Option<String>, issuer: &Issuer<'_, KeyPair>) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let lone = CertificateParams::new(NAMES.map(str::to_owned))?.self_signed(&key)?;
        Ok(Self {
            ca,
            sound,
            expired: served(signed(issuer, &NAMES, 2021)?)?,
            wrong_name: served(signed(issuer, &["elsewhere.example"], 2099)?)?,
            self_signed: served((vec![lone.der().clone()], pkcs8(&key)))?,
        })
    }

    /// The CA to trust, in PEM, if it was made up.
    pub fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// How the next connection is served.
    pub(super) fn config(&self, served: &ServedTls) -> Arc<ServerConfig> {
        let config = match served.certificate {
            Certificate::Sound => &self.sound,
            Certificate::Expired => &self.expired,
            Certificate::WrongName => &self.wrong_name,
            Certificate::SelfSigned => &self.self_signed,
        };
        match &served.alpn {
            None => Arc::clone(config),
            Some(protocols) => {
                let names = protocols.iter().map(|protocol| match protocol {
                    Alpn::Http2 => b"h2".to_vec(),
                    Alpn::Http1 => b"http/1.1".to_vec(),
                });
                let mut config = ServerConfig::clone(config);
                config.alpn_protocols = names.collect();
                Arc::new(config)
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("ca", &self.ca.is_some()).finish_non_exhaustive()
    }
}

/// A CA: its certificate in PEM, and what signs with it.
fn authority() -> Result<(String, Issuer<'static, KeyPair>), TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Pillion's simulated model");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((pem(certificate.der()), Issuer::new(params, key)))
}

/// A certificate as RFC 7468 §5 writes it: base64 in lines of 64 characters.
fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = BASE64_STANDARD.encode(certificate);
    let mut rest = text.as_str();
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = behind;
    }
    pem + "-----END CERTIFICATE-----\n"
}

fn signed(issuer: &Issuer<'_, KeyPair>, names: &[&str], until: i32) -> Result<Identity, TlsError> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "simulated model");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((vec![certificate.der().clone()], pkcs8(&key)))
}

fn pkcs8(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

fn served((chain, key): Identity) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
