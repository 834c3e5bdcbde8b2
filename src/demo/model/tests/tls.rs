use std::{io, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Client, DEADLINE, Ended, SILENCE};
use crate::demo::{
    model::{Model, ModelOptions, Tls},
    script::Script,
};

async fn model(script: &str) -> (Model, Tls) {
    let tls = Tls::made_up().unwrap();
    let options = ModelOptions { script: Script::read(script).unwrap(), tls: Some(tls.clone()), ..ModelOptions::default() };
    (Model::start(options).await.unwrap(), tls)
}

/// A handshake by a client that trusts the model's CA.
async fn connect(model: &Model, tls: &Tls, alpn: &[&str]) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls.ca().unwrap().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(model.address()).await?;
    timeout(DEADLINE, TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream)).await?
}

fn wrong(error: &io::Error) -> &CertificateError {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(wrong)) => wrong,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_ca_is_served_over_tls_and_agrees_on_a_protocol() {
    let (model, tls) = model("").await;
    assert!(model.url().starts_with("https://"));
    let mut stream = connect(&model, &tls, &["http/1.1"]).await.unwrap();
    stream.write_all(b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with('}'), "{text}");
    let stream = connect(&model, &tls, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    let mut set = tokio::task::JoinSet::new();
    set.spawn(connection);
    let request = http::Request::get("https://localhost/v1/models").body(()).unwrap();
    let (response, _) = send.ready().await.unwrap().send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_certificate_can_be_wrong_in_each_way_that_was_ordered() {
    let (model, tls) = model("tls: {certificate: expired}").await;
    let error = connect(&model, &tls, &[]).await.unwrap_err();
    assert!(matches!(wrong(&error), CertificateError::Expired | CertificateError::ExpiredContext { .. }), "{error}");
    model.script(Script::read("tls: {certificate: wrong_name}").unwrap());
    let error = connect(&model, &tls, &[]).await.unwrap_err();
    assert!(matches!(wrong(&error), CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }), "{error}");
    model.script(Script::read("tls: {certificate: self_signed}").unwrap());
    let error = connect(&model, &tls, &[]).await.unwrap_err();
    assert!(matches!(wrong(&error), CertificateError::UnknownIssuer), "{error}");
    model.script(Script::read("tls: {alpn: [http/1.1]}").unwrap());
    let stream = connect(&model, &tls, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn a_handshake_can_be_reset_closed_or_never_answered() {
    let (model, tls) = model("- cut: {at: handshake, how: rst}\n- cut: {at: handshake}\n- stall: {at: handshake}").await;
    assert_eq!(connect(&model, &tls, &[]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(connect(&model, &tls, &[]).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(timeout(SILENCE, connect(&model, &tls, &[])).await.is_err());
    assert!(connect(&model, &tls, &[]).await.is_ok());
}

#[tokio::test]
async fn a_reply_over_tls_that_breaks_off_says_no_goodbye() {
    let (model, tls) = model("- cut: {at: mid, bytes: 10}").await;
    let mut stream = connect(&model, &tls, &[]).await.unwrap();
    stream.write_all(b"GET /bytes/100 HTTP/1.1\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    assert_eq!(stream.read_to_end(&mut bytes).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn plain_http_is_served_on_the_same_port_and_without_tls_a_handshake_gets_a_plain_400() {
    let (with, tls) = model("").await;
    let mut client = Client::to(with.address()).await;
    client.send("GET /v1/models HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.got().await.status(), 200);
    let without = super::model("").await;
    assert!(connect(&without, &tls, &[]).await.is_err());
    let mut client = Client::to(without.address()).await;
    client.send("\u{16}\u{3}\u{1}\r\n\r\n").await;
    let got = client.got().await;
    assert_eq!((got.status(), got.end), (400, Ended::Fin));
}
