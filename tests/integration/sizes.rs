//! Promise: bodies of any size pass without being gathered, and what is held is bounded.

use ring::digest::{Context, SHA256};

use crate::support::{Agent, PATIENCE, Wire, agent, call, chat, hex, model, proxy, upstream};

/// What is carried: 200 MB, in blocks of a prime size so that no piece of it is like the one before.
const BLOCK: usize = 1_000_003;
const BLOCKS: usize = 200;
const ALL: usize = BLOCK * BLOCKS;
/// How far the memory of everybody in this process (agent, proxy, upstream, and the other tests') may grow meanwhile.
const GROWTH_MAX: u64 = 48 << 20;

fn block() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(3);
    std::iter::repeat_with(|| random.u8(..)).take(BLOCK).collect()
}

fn digest(block: &[u8]) -> String {
    let mut digest = Context::new(&SHA256);
    (0..BLOCKS).for_each(|_| digest.update(block));
    hex(digest.finish())
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Writes the blocks, in chunks or plain, and watches the memory; gives its growth.
async fn upload(agent: &mut Agent, block: &[u8], chunked: bool) -> u64 {
    let before = resident();
    let mut most = before;
    for _ in 0..BLOCKS {
        if chunked {
            agent.write(format!("{BLOCK:x}\r\n")).await;
            agent.write(block).await;
            agent.write("\r\n").await;
        } else {
            agent.write(block).await;
        }
        most = most.max(resident());
    }
    most - before
}

#[tokio::test]
async fn an_upload_of_200_mb_is_streamed_and_arrives_whole() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    let block = block();
    for (framing, chunked) in [(format!("Content-Length: {ALL}"), false), ("Transfer-Encoding: chunked".to_owned(), true)] {
        let mut agent = agent(&proxy).await;
        agent.asks();
        agent.write(format!("POST /v1/sink HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n")).await;
        let grown = upload(&mut agent, &block, chunked).await;
        agent.write(if chunked { "0\r\n\r\n" } else { "" }).await;
        let reply = agent.reply().await.json();
        assert_eq!((&reply["bytes"], &reply["sha256"]), (&ALL.into(), &digest(&block).into()), "{framing}");
        assert!(grown < GROWTH_MAX, "{framing}: grown by {} MiB", grown >> 20);
    }
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn a_download_of_200_mb_is_streamed_and_arrives_whole() {
    let upstream = upstream(|mut wire: Wire| async move {
        let block = block();
        while let Some(heard) = wire.request().await {
            let chunked = heard.target() == "/chunked";
            let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {ALL}") };
            wire.write(format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n{framing}\r\n\r\n")).await;
            for _ in 0..BLOCKS {
                let parts = if chunked { [format!("{BLOCK:x}\r\n").into_bytes(), b"\r\n".to_vec()] } else { [vec![], vec![]] };
                wire.write(&parts[0]).await;
                wire.write(&block).await;
                wire.write(&parts[1]).await;
            }
            wire.write(if chunked { "0\r\n\r\n" } else { "" }).await;
        }
    })
    .await;
    let proxy = proxy().to(upstream.url()).run();
    let block = block();
    for target in ["/length", "/chunked"] {
        let before = resident();
        let mut agent = agent(&proxy).await;
        agent.send(&call("GET", target)).await;
        let (received, most) = download(&mut agent).await;
        assert_eq!(received, (ALL, digest(&block)), "{target}");
        assert!(most.saturating_sub(before) < GROWTH_MAX, "{target}: grown by {} MiB", most.saturating_sub(before) >> 20);
    }
    proxy.settle_as("ok").await;
}

/// Reads a body without keeping it: its length and digest, and the most memory that was in use meanwhile.
async fn download(agent: &mut Agent) -> ((usize, String), u64) {
    let head = agent.head().await;
    let chunked = head.header("transfer-encoding").is_some();
    let (mut digest, mut length, mut most) = (Context::new(&SHA256), 0, 0);
    while length < ALL {
        let size = if chunked { agent.chunk_size().await } else { (ALL - length).min(BLOCK) };
        let piece = agent.take(size).await;
        if chunked {
            assert_eq!(agent.take(2).await, b"\r\n");
        }
        digest.update(&piece);
        length += piece.len();
        most = most.max(resident());
    }
    if chunked {
        assert_eq!(agent.chunk_size().await, 0);
    }
    ((length, hex(digest.finish())), most)
}

#[tokio::test]
async fn a_call_too_large_to_hold_is_carried_all_the_same_and_sent_once() {
    let model = model("steps: [{status: 500, times: 2}]").await;
    let proxy = proxy().to(model.url()).config("retries: {body_max: 1KiB}").run();
    let question = |size: usize| serde_json::json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "x".repeat(size)}]});
    for (call, attempts) in [(chat(false).body(question(5000).to_string()), "1"), (chat(false).body(question(5000).to_string()).chunked(700), "1")] {
        let reply = proxy.ask(&call).await;
        assert_eq!((reply.status, reply.header("x-pillion-attempts")), (500, Some(attempts)));
    }
    assert!(model.requests().iter().all(|seen| seen.body == question(5000).to_string().as_bytes()));
    proxy.settle_as("upstream_error").await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413_before_it_is_read_or_when_it_gets_there() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).config("server: {body_limit: 1000}").run();
    for call in [
        chat(false).body(vec![b' '; 1001]),
        chat(false).body(vec![b' '; 1001]).chunked(100),
        call("POST", "/v1/sink").body(vec![b' '; 1001]),
        call("POST", "/v1/sink").body(vec![b' '; 100_000]).chunked(100),
    ] {
        let reply = proxy.ask(&call).await;
        assert_eq!((reply.status, reply.refusal()), (413, Some("body_too_large")), "{}", reply.text());
    }
    assert_eq!(proxy.ask(&call("POST", "/v1/sink").body(vec![b' '; 1000])).await.status, 200);
    let metrics = proxy.settle().await;
    assert_eq!(metrics.count("pillion_refusals_total", &[("reason", "body_too_large")]), 4);
}

#[tokio::test]
async fn an_upload_that_breaks_off_never_reaches_the_upstream_as_whole() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut agent = agent(&proxy).await;
        agent.asks();
        agent.write(format!("POST /v1/sink HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n5\r\nhello\r\n")).await;
        model.wait_until(PATIENCE, |seen| seen.iter().any(|one| one.ended.is_none())).await.unwrap();
        agent.hang_up();
        model.wait_until(PATIENCE, |seen| seen.iter().all(|one| one.ended.is_some())).await.unwrap();
    }
    assert!(model.requests().iter().all(|seen| !seen.body_complete));
    proxy.settle_as("cancelled").await;
}

#[tokio::test]
async fn a_call_that_breaks_off_while_it_is_held_is_the_agents_hang_up() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).run();
    for how in [Agent::hang_up, Agent::reset] {
        let mut agent = agent(&proxy).await;
        agent.asks();
        agent.write("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n").await;
        agent.take(25).await;
        how(agent);
    }
    let metrics = proxy.settle_as("cancelled").await;
    assert_eq!(metrics.count("pillion_refusals_total", &[]), 0);
    assert!(model.requests().is_empty());
}

#[tokio::test]
async fn an_agent_that_reads_nothing_is_let_go() {
    let model = model("").await;
    let proxy = proxy().to(model.url()).config("timeouts: {reader: 300ms}").run();
    let mut agent = agent(&proxy).await;
    agent.send(&call("GET", "/v1/bytes/50000000")).await;
    let metrics = proxy.settle_as("cancelled").await;
    assert_eq!(metrics.count("pillion_timeouts_total", &[("clock", "reader")]), 1);
    let seen = model.wait_for_ends(1, PATIENCE).await.unwrap();
    assert!(matches!(seen[0].end, pillion::demo::model::End::Gone(..)), "{:?}", seen[0].end);
}
