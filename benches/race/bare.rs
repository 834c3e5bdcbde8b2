//! The proxy to be measured against: hyper's server and hyper-util's pooled client, and nothing else. It reads nothing, times nothing and
//! counts nothing; whatever Pillion costs beyond it is the price of what Pillion does.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::Context as _;
use http::{Request, Response, StatusCode, Uri, uri::Scheme};
use http_body_util::{Either, Empty};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use pillion::drain::Tracker;
use tokio::net::TcpListener;

/// Bytes that hyper buffers for each side of a connection.
const BUFFER: usize = 64 << 10;
/// Idle connections kept, as Pillion does.
const IDLE_MAX: usize = 256;

type Up = Client<HttpConnector, Incoming>;

/// Serves until it is killed, on one worker thread.
pub(crate) fn run(listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let tracker = Tracker::default();
    // Spawned, so that it runs on the worker and not on this thread.
    runtime.block_on(async { tracker.spawn(serve(listen, upstream, tracker.clone())).await })?
}

async fn serve(listen: SocketAddr, upstream: SocketAddr, tracker: Tracker) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Up =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(IDLE_MAX).http1_max_buf_size(BUFFER).set_host(false).build(connector);
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let client = client.clone();
        tracker.spawn(async move {
            let service = service_fn(move |request| forward(client.clone(), request, upstream));
            let served = http1::Builder::new().max_buf_size(BUFFER).serve_connection(TokioIo::new(stream), service).await;
            // A load that ends hangs up; that is no event here.
            drop(served);
        });
    }
}

async fn forward(client: Up, mut request: Request<Incoming>, upstream: SocketAddr) -> Result<Response<Either<Incoming, Empty<Bytes>>>, Infallible> {
    let answer = match rebase(request.uri(), upstream) {
        Ok(uri) => {
            *request.uri_mut() = uri;
            client.request(request).await.ok()
        }
        Err(_) => None,
    };
    Ok(answer.map_or_else(
        || {
            let mut refused = Response::new(Either::Right(Empty::new()));
            *refused.status_mut() = StatusCode::BAD_GATEWAY;
            refused
        },
        |answer| answer.map(Either::Left),
    ))
}

fn rebase(uri: &Uri, upstream: SocketAddr) -> Result<Uri, http::Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Uri::builder().scheme(Scheme::HTTP).authority(upstream.to_string()).path_and_query(path).build()
}
