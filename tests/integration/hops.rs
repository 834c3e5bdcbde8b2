//! Promise: an upstream is reached as the environment says (through its proxies, with their credentials, told to nobody else), over a Unix
//! socket where it has one, and within `timeouts.connect` or not at all.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpStream, UnixListener},
    sync::mpsc,
    task::JoinSet,
};

use crate::support::{Authority, Call, answer_http2, call, chat, find, is_http2, peer, proxy, serve_http2, verb, within};

/// What is answered when all is well.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn up() -> Call {
    chat(false).at("/up/v1/chat/completions")
}

/// Reads a head.
async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while find(&head, b"\r\n\r\n").is_none() {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            break;
        }
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn an_https_upstream_is_reached_through_the_proxy_of_the_environment() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("model.test", &["h2", "http/1.1"]);
    let model = peer(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            assert!(is_http2(&stream));
            serve_http2(stream, |(request, respond)| async move {
                assert!(!request.headers().contains_key("proxy-authorization"));
                answer_http2(respond, "{}");
            })
            .await;
        }
    })
    .await;
    let (tell, mut told) = mpsc::channel(4);
    let to = model.address;
    let through = peer(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            tell.send(head_of(&mut stream).await).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut TcpStream::connect(to).await.unwrap()).await;
        }
    })
    .await;
    let proxy = proxy()
        .config(format!("upstreams: {{up: {{url: \"https://model.test\", ca: {}}}}}", authority.file()))
        .env("HTTPS_PROXY", &format!("http://user:canary@{}", through.address))
        .run();
    let reply = proxy.ask(&up()).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "{}"));
    let head = told.recv().await.unwrap();
    assert_eq!(head, "CONNECT model.test:443 HTTP/1.1\r\nHost: model.test:443\r\nProxy-Authorization: Basic dXNlcjpjYW5hcnk=\r\n\r\n");
    proxy.settle_as("ok").await;
    assert!(!proxy.log().contains("canary"));
}

#[tokio::test]
async fn an_http_upstream_is_asked_for_at_the_proxy_by_its_whole_url() {
    let (tell, mut told) = mpsc::channel(4);
    let through = peer(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            tell.send(head_of(&mut stream).await).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let proxy = proxy()
        .config("upstreams: {up: {url: \"http://model.test:8000/v1\"}}")
        .env("HTTP_PROXY", &format!("http://user:canary@{}", through.address))
        .run();
    assert_eq!(proxy.ask(&call("GET", "/up/v1/models?a=b")).await.status, 200);
    let head = told.recv().await.unwrap();
    assert!(head.starts_with("GET http://model.test:8000/v1/models?a=b HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("\r\nhost: model.test:8000\r\n"), "{head}");
    assert!(head.to_lowercase().contains("\r\nproxy-authorization: basic dxnlcjpjyw5hcnk=\r\n"), "{head}");
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_proxy_that_says_no_is_named_without_its_credentials() {
    for (scheme, variable) in [("http", "HTTP_PROXY"), ("https", "HTTPS_PROXY")] {
        let through = peer(|mut stream, _| async move {
            head_of(&mut stream).await;
            stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        })
        .await;
        let address = through.address;
        let proxy = proxy()
            .config(format!("upstreams: {{up: {{url: \"{scheme}://model.test\"}}}}"))
            .env(variable, &format!("http://user:canary@{address}"))
            .run();
        let reply = proxy.ask(&up()).await;
        assert_eq!((reply.status, reply.refusal()), (502, Some("connection_refused")), "{}", reply.text());
        assert!(reply.text().contains(&format!("the proxy http://***@{address} ({variable})")), "{}", reply.text());
        assert!(reply.text().contains("407") && !reply.text().contains("canary") && !reply.text().contains("dXNlcj"), "{}", reply.text());
        assert_eq!(through.accepted(), 1, "other credentials would be needed");
        proxy.settle_as("upstream_error").await;
        assert!(!proxy.log().contains("canary"));
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let gone = peer(|_, _| async {}).await.address;
    let proxy =
        proxy().config("upstreams: {up: {url: \"https://model.test\"}}\nretries: {attempts: 1}").env("ALL_PROXY", &format!("http://{gone}")).run();
    let reply = proxy.ask(&up()).await;
    assert_eq!(reply.status, 502);
    assert!(reply.text().contains(&format!("the proxy http://{gone} (ALL_PROXY)")), "{}", reply.text());
}

#[tokio::test]
async fn a_probe_names_the_proxy_that_it_goes_through() {
    let through = peer(|mut stream, _| async move {
        head_of(&mut stream).await;
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
    })
    .await;
    let probe = verb("check").arguments(["--probe"]).config("upstreams: {up: {url: \"https://model.test\"}}");
    let ended = probe.variable("https_proxy", format!("http://user:canary@{}", through.address)).ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains(&format!("through http://***@{} (https_proxy)", through.address)), "{}", ended.stdout);
    assert!(ended.stdout.contains("403") && !ended.stdout.contains("canary"), "{}", ended.stdout);
}

#[tokio::test]
async fn an_upstream_on_a_unix_socket_is_reached_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("model.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (tell, mut told) = mpsc::channel(4);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            let mut head = Vec::new();
            while find(&head, b"\r\n\r\n").is_none() {
                assert!(stream.read_buf(&mut head).await.unwrap() > 0);
            }
            tell.send(String::from_utf8(head).unwrap()).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    });
    let proxy =
        proxy().config(format!("upstreams: {{up: {{url: \"unix://{}:/v1\"}}}}", socket.display())).env("ALL_PROXY", "http://127.0.0.1:1").run();
    for _ in 0..2 {
        assert_eq!(proxy.ask(&call("GET", "/up/v1/models")).await.status, 200);
        let head = told.recv().await.unwrap();
        assert!(head.starts_with("GET /v1/models HTTP/1.1\r\n") && head.to_lowercase().contains("\r\nhost: localhost\r\n"), "{head}");
    }
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_unix_socket_that_is_not_there_is_named() {
    let proxy = proxy().config("upstreams: {up: {url: unix:///nowhere/model.sock}}\nretries: {attempts: 1}").run();
    let reply = proxy.ask(&up()).await;
    assert_eq!((reply.status, reply.refusal()), (502, Some("connection_refused")));
    assert!(reply.text().contains("/nowhere/model.sock"), "{}", reply.text());
}

#[tokio::test]
async fn an_address_that_swallows_everything_is_given_up_by_connect() {
    // A listener whose queue is full: the kernel drops what else asks, as a firewall does.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    let proxy = proxy()
        .config(format!("upstreams: {{up: {{url: \"http://{address}\"}}}}\ntimeouts: {{connect: 200ms}}\nretries: {{backoff: {{initial: 1ms}}}}"))
        .run();
    let reply = within("the answer", proxy.ask(&up())).await;
    assert_eq!((reply.status, reply.refusal(), reply.header("x-pillion-attempts")), (504, Some("timeout_connect"), Some("3")));
    assert_eq!(proxy.settle_as("timeout").await.count("pillion_timeouts_total", &[("clock", "connect")]), 3);
}
