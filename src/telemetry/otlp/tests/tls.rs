//! TLS to the receiver, with a CA of its own and with a certificate of ours.

use std::{fs, path::Path, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

use super::{
    check, config, plain,
    receiver::{Receiver, grpc_ok, ok},
    start,
};
use crate::{
    config::{ClientCertificate, Protocol},
    telemetry::{StartError, Telemetry},
};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name`, and its key.
fn issued(by: &Issuer, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, by).unwrap(), key)
}

/// Shows a certificate of `authority` for 127.0.0.1, and wants one of its own from the client if it `asks`.
fn server(authority: &Issuer, alpn: &[u8], asks: bool) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let (certificate, key) = issued(authority, "127.0.0.1");
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

fn receiver(protocol: Protocol, authority: &Issuer, asks: bool) -> Receiver {
    let (alpn, step) = match protocol {
        Protocol::HttpProtobuf => (&b"http/1.1"[..], ok()),
        Protocol::Grpc => (&b"h2"[..], grpc_ok()),
    };
    Receiver::with(protocol, Some(server(authority, alpn, asks)), &[step])
}

/// Sends one span there, with these files; whether it arrived.
fn arrives(receiver: &Receiver, ca: Option<&Path>, client: Option<ClientCertificate>) -> bool {
    let mut config = config(receiver);
    let otlp = config.otlp.as_mut().unwrap();
    otlp.endpoint = otlp.endpoint.replace("http:", "https:");
    otlp.timeout = Duration::from_secs(1);
    (otlp.ca, otlp.client) = (ca.map(Path::to_owned), client);
    let telemetry = start(&config);
    telemetry.report(plain());
    telemetry.shutdown(Duration::from_secs(2));
    let arrived = receiver.requests.try_recv().is_ok();
    check(&telemetry, if arrived { [1, 0, 0, 0] } else { [0, 0, 1, 0] });
    arrived
}

#[test]
fn a_receiver_is_trusted_by_the_configured_authority_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, others) = (authority(), authority());
    let [our_file, other_file] = [(&ours, "ours.pem"), (&others, "others.pem")].map(|(authority, name)| {
        fs::write(folder.path().join(name), authority.pem()).unwrap();
        folder.path().join(name)
    });
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let receiver = receiver(protocol, &ours, false);
        assert!(arrives(&receiver, Some(&our_file), None), "{protocol:?}");
        assert!(!arrives(&receiver, Some(&other_file), None), "{protocol:?}");
        assert!(!arrives(&receiver, None, None), "{protocol:?}: the machine's roots");
    }
}

#[test]
fn a_receiver_that_asks_gets_our_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    let (certificate, key) = issued(&authority, "pillion");
    let [ca, certificate, key] = [("ca", authority.pem()), ("certificate", certificate.pem()), ("key", key.serialize_pem())].map(|(name, pem)| {
        let file = folder.path().join(name);
        fs::write(&file, pem).unwrap();
        file
    });
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let receiver = receiver(protocol, &authority, true);
        let client = ClientCertificate { certificate: certificate.clone(), key: key.clone() };
        assert!(arrives(&receiver, Some(&ca), Some(client)), "{protocol:?}");
        assert!(!arrives(&receiver, Some(&ca), None), "{protocol:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, empty) = (authority(), folder.path().join("empty.pem"));
    fs::write(&empty, "").unwrap();
    let receiver = receiver(Protocol::Grpc, &authority, false);
    let mut config = config(&receiver);
    let otlp = config.otlp.as_mut().unwrap();
    otlp.endpoint = otlp.endpoint.replace("http:", "https:");
    otlp.ca = Some(empty.clone());
    let error = Telemetry::start(&config, Box::new(std::io::sink())).unwrap_err();
    assert!(matches!(&error, StartError::Pem { file, .. } if *file == empty), "{error:?}");
    assert_eq!(error.to_string(), format!("telemetry.otlp: cannot read {} as PEM", empty.display()));
}
