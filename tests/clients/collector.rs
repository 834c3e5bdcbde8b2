//! A collector of spans on loopback, by the protocol that a test chooses: what any OTLP receiver would have got, decoded.

#![expect(clippy::unwrap_used, reason = "a test whose collector does not stand has failed")]

use std::{
    convert::Infallible,
    io::Read as _,
    sync::{Arc, Mutex, PoisonError},
};

use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    header::{HeaderName, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// How spans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`.
    Http,
    /// `OTEL_EXPORTER_OTLP_PROTOCOL=grpc`.
    Grpc,
}

/// A collector that listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    protocol: Protocol,
    url: String,
    got: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    _listening: JoinSet<()>,
}

impl Collector {
    pub(crate) async fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::default();
        let mut listening = JoinSet::new();
        let kept = Arc::clone(&got);
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, protocol, Arc::clone(&kept)));
            }
        });
        Self { protocol, url, got, _listening: listening }
    }

    /// The variables by which any OpenTelemetry SDK finds it, and Pillion too.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let protocol = match self.protocol {
            Protocol::Http => "http/protobuf",
            Protocol::Grpc => "grpc",
        };
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", self.url.clone()), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned())]
    }

    /// All that has come.
    pub(crate) fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Got = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

async fn serve(stream: TcpStream, protocol: Protocol, got: Got) {
    let answer = service_fn(move |request| take(request, protocol, Arc::clone(&got)));
    let stream = TokioIo::new(stream);
    // Hanging up is the exporter's right.
    match protocol {
        Protocol::Http => drop(http1::Builder::new().serve_connection(stream, answer).await),
        Protocol::Grpc => drop(http2::Builder::new(TokioExecutor::new()).serve_connection(stream, answer).await),
    }
}

async fn take(request: Request<Incoming>, protocol: Protocol, got: Got) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let path = match protocol {
        Protocol::Http => "/v1/traces",
        Protocol::Grpc => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    };
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", path));
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend_from_slice(frame.data_ref().unwrap());
    }
    let message = match protocol {
        Protocol::Http => plain(&bytes, head.headers.get("content-encoding").is_some()),
        // A byte that says whether it is compressed, and four of its length.
        Protocol::Grpc => plain(&bytes[5..], bytes[0] == 1),
    };
    got.lock().unwrap_or_else(PoisonError::into_inner).push(ExportTraceServiceRequest::decode(&message[..]).unwrap());
    Ok(match protocol {
        Protocol::Http => Response::new(Full::default().boxed_unsync()),
        Protocol::Grpc => {
            let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
            let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async move { Some(Ok(trailers)) }).boxed_unsync();
            Response::builder().header("content-type", "application/grpc").body(body).unwrap()
        }
    })
}

fn plain(message: &[u8], is_compressed: bool) -> Vec<u8> {
    let mut plain = Vec::new();
    if is_compressed {
        flate2::read::GzDecoder::new(message).read_to_end(&mut plain).unwrap();
    } else {
        plain.extend_from_slice(message);
    }
    plain
}
