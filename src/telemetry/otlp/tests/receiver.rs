//! A receiver on loopback, over HTTP or gRPC, plain or behind TLS, that does with its requests what it is told.

use std::{
    convert::Infallible,
    io::Read as _,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;

use crate::{config::Protocol, drain::Tracker, telemetry::otlp::grpc};

type Pairs = &'static [(&'static str, &'static str)];

/// What the receiver does with its requests, in order; the last for all further ones.
#[derive(Clone)]
pub(super) enum Step {
    /// Answers with status, headers and body.
    Answer(u16, Pairs, Bytes),
    /// Ends a gRPC call with these trailers, behind a message if there is one.
    Call(Pairs, Bytes),
    /// Takes the spans of a gRPC call, and no more on this connection.
    Last,
    /// Never answers.
    Hang,
}

/// Takes the spans that come over HTTP.
pub(super) fn ok() -> Step {
    Step::Answer(200, &[], Bytes::new())
}

/// Takes the spans that come over gRPC.
pub(super) fn grpc_ok() -> Step {
    Step::Call(&[("grpc-status", "0")], Bytes::new())
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) protocol: Protocol,
    pub(super) requests: mpsc::Receiver<(HeaderMap, Bytes)>,
}

/// What the connections of a receiver share.
#[derive(Clone)]
struct Part {
    protocol: Protocol,
    seen: mpsc::SyncSender<(HeaderMap, Bytes)>,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl Receiver {
    /// Over HTTP.
    pub(super) fn start(steps: &[Step]) -> Self {
        Self::with(Protocol::HttpProtobuf, None, steps)
    }

    /// Over gRPC.
    pub(super) fn grpc(steps: &[Step]) -> Self {
        Self::with(Protocol::Grpc, None, steps)
    }

    /// Listens on loopback, on a thread of its own.
    pub(super) fn with(protocol: Protocol, tls: Option<ServerConfig>, steps: &[Step]) -> Self {
        let (seen, requests) = mpsc::sync_channel(100_000);
        let (bound, address) = mpsc::sync_channel(1);
        let part = Part { protocol, seen, steps: Arc::new(Mutex::new(steps.to_vec())) };
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                let tracker = Tracker::default();
                while let Ok((stream, _)) = listener.accept().await {
                    let (part, tls) = (part.clone(), tls.clone());
                    tracker.spawn(async move {
                        match tls {
                            None => part.serve(stream).await,
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(stream).await {
                                    part.serve(stream).await;
                                }
                            }
                        }
                    });
                }
            });
        });
        Self { address: address.recv().unwrap(), protocol, requests }
    }

    /// The next request: its head, and its message without what the protocol puts around it.
    pub(super) fn next(&self) -> (HeaderMap, ExportTraceServiceRequest) {
        let (headers, body) = self.requests.recv_timeout(Duration::from_secs(20)).expect("an export comes");
        let (is_compressed, message) = match self.protocol {
            Protocol::HttpProtobuf => (headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip"), &body[..]),
            Protocol::Grpc => {
                let (prefix, message) = body.split_at(5);
                assert_eq!(prefix[1..], u32::try_from(message.len()).unwrap().to_be_bytes());
                assert_eq!(headers.get("grpc-encoding").is_some_and(|encoding| encoding == "gzip"), prefix[0] == 1);
                (prefix[0] == 1, message)
            }
        };
        let mut plain = Vec::new();
        if is_compressed {
            flate2::read::GzDecoder::new(message).read_to_end(&mut plain).unwrap();
        } else {
            plain.extend_from_slice(message);
        }
        (headers, ExportTraceServiceRequest::decode(&plain[..]).unwrap())
    }
}

impl Part {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (stream, protocol, last) = (TokioIo::new(stream), self.protocol, Arc::new(Notify::new()));
        let told = Arc::clone(&last);
        let answer = service_fn(move |request| self.clone().answer(request, Arc::clone(&told)));
        // Hanging up is the exporter's right.
        match protocol {
            Protocol::HttpProtobuf => drop(http1::Builder::new().serve_connection(stream, answer).await),
            Protocol::Grpc => {
                let mut connection = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(stream, answer));
                tokio::select! {
                    _ = connection.as_mut() => return,
                    () = last.notified() => connection.as_mut().graceful_shutdown(),
                }
                drop(connection.await);
            }
        }
    }

    async fn answer(self, request: Request<Incoming>, last: Arc<Notify>) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
        let (version, path) = match self.protocol {
            Protocol::HttpProtobuf => (Version::HTTP_11, "/v1/traces"),
            Protocol::Grpc => (Version::HTTP_2, grpc::PATH),
        };
        assert_eq!((request.method().as_str(), request.uri().path(), request.version()), ("POST", path, version));
        let (head, mut body) = request.into_parts();
        let mut bytes = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            bytes.extend_from_slice(frame.data_ref().unwrap());
        }
        let _ = self.seen.try_send((head.headers, bytes.into()));
        let step = {
            let mut steps = self.steps.lock().unwrap();
            if steps.len() > 1 { steps.remove(0) } else { steps[0].clone() }
        };
        let step = if matches!(step, Step::Last) {
            last.notify_one();
            grpc_ok()
        } else {
            step
        };
        Ok(match step {
            Step::Last | Step::Hang => std::future::pending().await,
            Step::Answer(status, headers, body) => {
                let mut response = Response::builder().status(status);
                response.headers_mut().unwrap().extend(map(headers));
                response.body(Full::new(body).boxed_unsync()).unwrap()
            }
            Step::Call(trailers, message) => {
                let framed = if message.is_empty() { Bytes::new() } else { grpc::frame(&message, false) };
                let body = Full::new(framed).with_trailers(async move { Some(Ok(map(trailers))) }).boxed_unsync();
                Response::builder().header("content-type", "application/grpc").body(body).unwrap()
            }
        })
    }
}

fn map(pairs: Pairs) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}
