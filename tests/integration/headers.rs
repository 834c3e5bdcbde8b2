//! Promise: heads arrive as they were written, both ways: spelling, order, repeats and odd bytes; only what belongs to one hop stays on it.

use crate::support::{Call, End, Heard, Upstream, Wire, agent, call, chat, proxy, upstream};

/// Answers each request with this head and the body `ok`.
async fn answering(head: &'static [u8]) -> Upstream {
    upstream(move |mut wire: Wire| async move {
        while wire.request().await.is_some() {
            wire.write([head, b"Content-Length: 2\r\n\r\nok"].concat()).await;
        }
    })
    .await
}

/// What an upstream hears of this request.
async fn heard(call: &Call) -> Heard {
    let upstream = answering(b"HTTP/1.1 200 OK\r\n").await;
    let proxy = proxy().to(upstream.url()).run();
    assert_eq!(proxy.ask(call).await.status, 200);
    proxy.settle_as("ok").await;
    upstream.only()
}

/// Without the mark that each process draws anew, and the port that differs.
fn known(headers: &[(String, String)]) -> Vec<String> {
    let shown = |(name, value): &(String, String)| match name.to_ascii_lowercase().as_str() {
        "host" | "via" | "x-pillion-exchange" => format!("{name}: …"),
        _ => format!("{name}: {value}"),
    };
    headers.iter().map(shown).collect()
}

#[tokio::test]
async fn request_headers_keep_their_spelling_their_order_and_their_repeats() {
    let call = call("POST", "/v1/anything")
        .header("X-Stainless-OS", "Linux")
        .header("user-agent", "OpenAI/Python 1.0")
        .header("x-Repeat", "one, two")
        .header("AUTHORIZATION", "Bearer sk-1")
        .header("X-REPEAT", "three")
        .header("accept-encoding", "gzip, deflate")
        .header("x-repeat", "")
        .header("Cookie", "a=1; b=\"2\"")
        .body("{}");
    let expected = [
        "Host: …",
        "X-Stainless-OS: Linux",
        "user-agent: OpenAI/Python 1.0",
        "x-Repeat: one, two",
        "X-REPEAT: three",
        "x-repeat: ",
        "AUTHORIZATION: Bearer sk-1",
        "accept-encoding: gzip, deflate",
        "Cookie: a=1; b=\"2\"",
        "Content-Length: 2",
        "via: …",
    ];
    assert_eq!(known(&heard(&call).await.headers), expected);
}

#[tokio::test]
async fn reply_headers_keep_their_spelling_their_order_and_their_repeats() {
    let upstream = answering(
        b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\nSet-Cookie: a=1\r\nX-RateLimit-Remaining: 3\r\nset-cookie: b=2; Path=/\r\n\
          DATE: Mon, 01 Jan 2024 00:00:00 GMT\r\nopenai-PROCESSING-ms: 12\r\nSET-COOKIE: c=3\r\n",
    )
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let reply = proxy.ask(&chat(false)).await;
    let expected = [
        "server: uvicorn",
        "Set-Cookie: a=1",
        "set-cookie: b=2; Path=/",
        "SET-COOKIE: c=3",
        "X-RateLimit-Remaining: 3",
        "DATE: Mon, 01 Jan 2024 00:00:00 GMT",
        "openai-PROCESSING-ms: 12",
        "Content-Length: 2",
        "via: …",
        "x-pillion-exchange: …",
        "x-pillion-attempts: 1",
    ];
    assert_eq!(known(&reply.headers), expected);
    proxy.settle().await;
}

#[tokio::test]
async fn a_reply_gets_no_header_that_nobody_sent_when_carry_is_off() {
    let upstream = answering(b"HTTP/1.1 200 OK\r\nX-Only: this\r\n").await;
    let off = "carry: {via: false, exchange_headers: false}";
    let proxy = proxy().to(upstream.url()).config(off).run();
    let reply = proxy.ask(&call("GET", "/x")).await;
    assert_eq!(known(&reply.headers), ["X-Only: this", "Content-Length: 2"]);
    assert_eq!(known(&upstream.only().headers), ["Host: …"]);
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn odd_bytes_in_values_and_an_odd_reason_phrase_are_carried() {
    let upstream = answering(b"HTTP/1.1 299 Tres bien, merci\r\nX-Odd: \x80\xff\ta\r\n").await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    agent.asks();
    agent.write(b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Odd: \xe9\xff\r\n\r\n").await;
    let reply = agent.reply().await;
    assert!(reply.head.starts_with(b"HTTP/1.1 299 Tres bien, merci\r\n"), "{:?}", String::from_utf8_lossy(&reply.head));
    assert_eq!(reply.header("x-odd"), Some("\u{80}\u{ff}\ta"));
    assert_eq!(upstream.only().header("x-odd"), Some("\u{e9}\u{ff}"));
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn what_belongs_to_the_agents_hop_stays_there() {
    let call = call("POST", "/v1/anything")
        .header("Connection", "keep-alive, X-Hop")
        .header("Keep-Alive", "timeout=5")
        .header("X-Hop", "secret of the hop")
        .header("TE", "trailers")
        .header("Upgrade", "h2c")
        .header("Proxy-Connection", "keep-alive")
        .header("Proxy-Authorization", "Basic aGk6aGk=")
        .header("X-End", "stays")
        .body("{}");
    // `TE` is our own to say, for what follows a body is passed on.
    let kept = ["Host: …", "X-End: stays", "Content-Length: 2", "TE: trailers", "Connection: te", "via: …"];
    assert_eq!(known(&heard(&call).await.headers), kept);
}

#[tokio::test]
async fn naming_it_in_connection_takes_no_framing_or_credentials_away() {
    let call = call("POST", "/v1/anything")
        .header("Connection", "close, host, content-length, authorization, x-api-key, content-type")
        .header("Authorization", "Bearer sk-1")
        .header("X-Api-Key", "sk-2")
        .header("Content-Type", "application/json")
        .body("{}");
    let expected = ["Host: …", "Authorization: Bearer sk-1", "X-Api-Key: sk-2", "Content-Type: application/json", "Content-Length: 2", "via: …"];
    let heard = heard(&call).await;
    assert_eq!(known(&heard.headers), expected);
    assert_eq!(heard.body, b"{}");
}

#[tokio::test]
async fn what_belongs_to_the_upstreams_hop_stays_there() {
    let upstream = answering(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Internal\r\nKeep-Alive: timeout=5\r\nX-Internal: 1\r\n\
          Upgrade: h2c\r\nProxy-Connection: x\r\nX-End: stays\r\n",
    )
    .await;
    let proxy = proxy().to(upstream.url()).config("carry: {via: false, exchange_headers: false}").run();
    let mut agent = agent(&proxy).await;
    let first = agent.ask(&call("GET", "/x")).await;
    assert_eq!(known(&first.headers), ["X-End: stays", "Content-Length: 2"]);
    assert_eq!(agent.ask(&call("GET", "/y")).await.status, 200, "the agent's own connection goes on");
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn an_upstream_that_closes_does_not_close_the_agents_connection() {
    let upstream = upstream(|mut wire: Wire| async move {
        wire.request().await;
        wire.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
        wire.fin().await;
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let mut agent = agent(&proxy).await;
    for _ in 0..3 {
        let reply = agent.ask(&call("GET", "/x")).await;
        assert_eq!((reply.status, reply.end, reply.header("connection")), (200, End::Whole, None));
    }
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn headers_for_pillion_itself_go_no_further() {
    let call = call("GET", "/x").header("X-Pillion-Agent", "planner").header("x-pillion-TIMEOUT", "30s").header("x-pillion-conversation", "c1");
    assert_eq!(known(&heard(&call).await.headers), ["Host: …", "via: …"]);
}

#[tokio::test]
async fn trace_context_is_carried_as_sent() {
    let call = call("GET", "/x")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("tracestate", "a=1,b=2")
        .header("TraceState", "c=3")
        .header("baggage", "k=v");
    let expected = [
        "Host: …",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate: a=1,b=2",
        "TraceState: c=3",
        "baggage: k=v",
        "via: …",
    ];
    assert_eq!(known(&heard(&call).await.headers), expected);
}

#[tokio::test]
async fn the_upstreams_own_host_is_named_to_it_with_no_other() {
    let heard = heard(&call("GET", "/x").header("X-Forwarded-Host", "evil.example")).await;
    let hosts: Vec<_> = heard.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).collect();
    assert_eq!(hosts.len(), 1);
    assert!(hosts[0].1.starts_with("127.0.0.1:"), "{hosts:?}");
}

#[tokio::test]
async fn the_configs_own_key_replaces_the_agents() {
    let upstream = answering(b"HTTP/1.1 200 OK\r\n").await;
    let yaml = format!("upstreams: {{openai: {{url: '{}', api_key: '${{KEY}}'}}}}", upstream.url());
    let proxy = proxy().config(yaml).env("KEY", "sk-of-the-config").run();
    assert_eq!(proxy.ask(&chat(false)).await.status, 200);
    assert_eq!(upstream.only().header("authorization"), Some("Bearer sk-of-the-config"));
    assert!(!proxy.log().contains("sk-of-the-config"));
    proxy.settle_as("ok").await;
}
