//! Nothing that a request says chooses an upstream that the config does not name; and pages of other origins are not served.

use super::{Fate, fate};
use crate::support::{Proxy, call, model, proxy};
use pillion::demo::model::Model;

/// A proxy that has two upstreams by name, one that has one alone, and the server of somebody else.
async fn neighbours() -> (Model, [Proxy; 2], Model) {
    let (ours, elsewhere) = (model("").await, model("").await);
    let named = format!("upstreams: {{openai: {{url: \"{0}\"}}, anthropic: {{url: \"{0}\"}}}}", ours.url());
    let proxies = [proxy().config(named).run(), proxy().to(ours.url()).run()];
    (ours, proxies, elsewhere)
}

/// Sends a request line and headers to both proxies: nothing may reach the server elsewhere, whatever the answer.
async fn stays(start: &str, headers: &str) {
    let (ours, proxies, elsewhere) = neighbours().await;
    let place = |text: &str| text.replace("EVIL", &elsewhere.address().to_string());
    for proxy in &proxies {
        let fate = fate(proxy, format!("{} HTTP/1.1\r\n{}\r\n", place(start), place(headers))).await;
        let (Fate::Bare(status) | Fate::Answered(status)) = fate;
        assert!([200, 400, 404, 405, 421].contains(&status), "{start:?} {headers:?}: {fate:?}");
    }
    assert_eq!((elsewhere.connections(), ours.malformed()), (0, 0), "{start:?} {headers:?}");
}

#[tokio::test]
async fn no_form_of_target_chooses_an_upstream() {
    let lines = [
        "CONNECT EVIL",
        "GET http://EVIL/v1/models",
        "GET https://EVIL/v1/models",
        "GET http://localhost@EVIL/v1/models",
        "GET http://EVIL\\@localhost/v1/models",
        "GET //EVIL/v1/models",
        "GET ///EVIL/v1/models",
        "GET /\\EVIL/v1/models",
        "GET /@EVIL/v1/models",
        "GET /@a@EVIL/v1/models",
        "GET /@a//EVIL/v1/models",
        "GET @EVIL/v1/models",
        "GET EVIL/v1/models",
        "GET :@EVIL/v1/models",
        "GET /v1@EVIL/models",
        "GET /v1#@EVIL/models",
        "GET /http://EVIL/v1/models",
        "GET /openai//EVIL/v1/models",
        "GET /openai@EVIL/v1/models",
        "GET /v1/models?upstream=http://EVIL&url=//EVIL",
        "GET /%00/v1/models",
        "GET /..%2f..%2fEVIL/v1/models",
        "GET /v1/../../EVIL/v1/models",
        "OPTIONS *",
    ];
    for line in lines {
        stays(line, "Host: localhost\r\n").await;
    }
}

#[tokio::test]
async fn no_header_chooses_an_upstream() {
    let headers = [
        "Host: EVIL\r\n",
        "Host: EVIL\r\nHost: localhost\r\n",
        "Host: localhost\r\nHost: EVIL\r\n",
        "Host: localhost, EVIL\r\n",
        "Host: localhost@EVIL\r\n",
        "",
        "Host:\r\n",
        "Host: localhost\r\nX-Forwarded-Host: EVIL\r\nForwarded: host=EVIL\r\nX-Host: EVIL\r\nX-Original-URL: http://EVIL/\r\n",
        "Host: localhost\r\nX-Pillion-Upstream: http://EVIL\r\nX-Pillion-Agent: EVIL\r\n",
    ];
    for header in headers {
        stays("GET /v1/models", header).await;
    }
}

/// The status and reason of a `GET` with these headers.
async fn told(headers: &str) -> (u16, Option<String>) {
    let model = model("").await;
    let proxy = proxy().to(model.url()).config("server: {hosts: [pillion.internal]}").run();
    let mut agent = crate::support::agent(&proxy).await;
    agent.asks();
    agent.write(format!("GET /v1/models HTTP/1.1\r\n{headers}\r\n")).await;
    let reply = agent.reply().await;
    let served = reply.status == 200;
    assert_eq!(model.requests().len(), usize::from(served), "{headers:?}");
    proxy.settle_as(if served { "ok" } else { "refused" }).await;
    (reply.status, reply.refusal().map(str::to_owned))
}

#[tokio::test]
async fn a_foreign_host_is_a_421_and_a_foreign_origin_a_403() {
    for good in ["Host: localhost\r\n", "Host: 127.0.0.1:4100\r\n", "Host: [::1]\r\n", "Host: pillion.internal\r\nOrigin: http://localhost:3000\r\n"]
    {
        assert_eq!(told(good).await, (200, None), "{good:?}");
    }
    for host in ["Host: evil.example\r\n", "Host: 127.0.0.1.evil.example\r\n", "Host: localhost\r\nHost: localhost\r\n", ""] {
        assert_eq!(told(host).await, (421, Some("host".to_owned())), "{host:?}");
    }
    for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
        assert_eq!(told(&format!("Host: localhost\r\nOrigin: {origin}\r\n")).await, (403, Some("origin".to_owned())), "{origin}");
    }
}

#[tokio::test]
async fn a_target_in_absolute_form_is_served_by_the_upstream_of_its_path() {
    let (ours, proxies, _) = neighbours().await;
    for (count, proxy) in (1..).zip(&proxies) {
        assert_eq!(proxy.ask(&call("GET", "http://localhost/v1/models?a=b")).await.status, 200);
        assert_eq!(ours.requests().len(), count);
        assert!(ours.requests().iter().all(|seen| seen.target == "/v1/models?a=b"), "{:?}", ours.requests());
    }
}
