//! Promise: a compressed reply passes as it came, and is read all the same: in a copy, within bounds, at once where an agent could read it at once.

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};

use crate::support::{Call, End, Proxy, Upstream, Wire, agent, chat, chunk, find, proxy, upstream};

const WHOLE: &[u8] = include_bytes!("../fixtures/openai-chat/whole.json");
const STREAM: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" there, whoever you are\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n\
    data: [DONE]\n\n";
const ENCODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// The pieces, each flushed, and the end.
fn encode(coding: &str, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    fn all<W: std::io::Write>(mut writer: W, out: fn(&mut W) -> &mut Vec<u8>, pieces: &[&[u8]]) -> (W, Vec<Vec<u8>>) {
        let each = |piece: &&[u8]| {
            writer.write_all(piece).unwrap();
            writer.flush().unwrap();
            std::mem::take(out(&mut writer))
        };
        let parts = pieces.iter().map(each).collect();
        (writer, parts)
    }
    let (mut parts, last) = match coding {
        "gzip" => {
            let (writer, parts) = all(GzEncoder::new(Vec::new(), Compression::default()), GzEncoder::get_mut, pieces);
            (parts, writer.finish().unwrap())
        }
        "deflate" => {
            let (writer, parts) = all(ZlibEncoder::new(Vec::new(), Compression::default()), ZlibEncoder::get_mut, pieces);
            (parts, writer.finish().unwrap())
        }
        "br" => {
            let (writer, parts) = all(brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22), |writer| writer.get_mut(), pieces);
            (parts, writer.into_inner())
        }
        _ => {
            let (writer, parts) = all(zstd::Encoder::new(Vec::new(), 3).unwrap(), |writer| writer.get_mut(), pieces);
            (parts, writer.finish().unwrap())
        }
    };
    parts.push(last);
    parts
}

/// Answers each request with this body of this type in this coding.
async fn answering(content_type: &'static str, encoding: &'static str, body: Vec<u8>) -> Upstream {
    upstream(move |mut wire: Wire| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
        let reply = [head.into_bytes(), body.clone()].concat();
        async move {
            while wire.request().await.is_some() {
                wire.write(&reply).await;
            }
        }
    })
    .await
}

/// Asks once; the body must come as it went.
async fn passes(proxy: &Proxy, ask: &Call, encoding: &str, body: &[u8]) {
    let reply = proxy.ask(ask).await;
    assert_eq!((reply.status, reply.header("content-encoding"), reply.end), (200, Some(encoding), End::Whole));
    assert!(reply.body == body, "{encoding}: {} of {} bytes", reply.body.len(), body.len());
}

#[tokio::test]
async fn a_compressed_reply_passes_byte_for_byte_and_its_tokens_are_counted() {
    for encoding in ENCODINGS {
        for (content_type, plain, ask) in [("application/json", WHOLE, chat(false)), ("text/event-stream", STREAM, chat(true))] {
            let body = encode(encoding, &[plain]).concat();
            let upstream = answering(content_type, encoding, body.clone()).await;
            let proxy = proxy().to(upstream.url()).run();
            passes(&proxy, &ask, encoding, &body).await;
            let metrics = proxy.settle_as("ok").await;
            assert_eq!(metrics.count("pillion_observation_skipped_total", &[]), 0, "{encoding} {content_type}");
            assert!(metrics.count("gen_ai_client_token_usage_sum", &[]) > 0, "{encoding} {content_type}: {:#?}", metrics.show("gen_ai"));
        }
    }
}

#[tokio::test]
async fn a_compressed_stream_is_given_on_event_by_event_as_it_comes() {
    for encoding in ENCODINGS {
        let parts = encode(encoding, &[&STREAM[..STREAM.len() / 2], &STREAM[STREAM.len() / 2..]]);
        let first = parts[0].clone();
        let (half, size) = (first.clone(), first.len());
        let upstream = upstream(move |mut wire: Wire| {
            let first = first.clone();
            async move {
                wire.request().await;
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n";
                wire.write([format!("{head}Content-Encoding: {encoding}\r\n\r\n").into_bytes(), chunk(&first)].concat()).await;
                wire.until_gone().await;
            }
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let mut agent = agent(&proxy).await;
        agent.send(&chat(true)).await;
        let mut reply = agent.head().await;
        assert_eq!(agent.chunk_size().await, size, "{encoding}: the first half, before there is a second");
        assert!(agent.take(size + 2).await == [&half, b"\r\n".as_slice()].concat(), "{encoding}");
        drop(upstream);
        agent.rest(&mut reply).await;
        assert!(!reply.looks_complete(), "{encoding}: half a stream is cut");
        drop(agent);
        proxy.settle_as("cut").await;
    }
}

#[tokio::test]
async fn a_compressed_stream_that_says_no_finish_is_cut_and_no_event_is_put_into_it() {
    let half = &STREAM[..2 * find(STREAM, b"\n\n").unwrap() + 4];
    let half = &half[..half.windows(2).rposition(|pair| pair == b"\n\n").unwrap() + 2];
    for encoding in ENCODINGS {
        let body = encode(encoding, &[half]).concat();
        let upstream = upstream(move |mut wire: Wire| {
            let body = body.clone();
            async move {
                wire.request().await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: {encoding}\r\n");
                wire.write([format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes(), chunk(&body), b"0\r\n\r\n".to_vec()].concat()).await;
            }
        })
        .await;
        let proxy = proxy().to(upstream.url()).run();
        let reply = proxy.ask(&chat(true)).await;
        assert!(!reply.looks_complete(), "{encoding}: {:?}", reply.end);
        assert!(find(&reply.body, b"stream_cut").is_none());
        proxy.settle_as("cut").await;
    }
}

#[tokio::test]
async fn what_is_not_what_its_coding_says_passes_and_is_counted() {
    let cut = encode("gzip", &[WHOLE]).concat();
    let cut = cut[..cut.len() - 12].to_vec();
    for (encoding, body, reason) in [
        ("gzip", WHOLE.to_vec(), "decode"),
        ("gzip", cut, "decode"),
        ("br", WHOLE.to_vec(), "decode"),
        ("compress", WHOLE.to_vec(), "encoding"),
        ("gzip, br", WHOLE.to_vec(), "encoding"),
    ] {
        let upstream = answering("application/json", encoding, body.clone()).await;
        let proxy = proxy().to(upstream.url()).run();
        passes(&proxy, &chat(false), encoding, &body).await;
        let metrics = proxy.settle_as("ok").await;
        let skipped = metrics.count("pillion_observation_skipped_total", &[("reason", reason)]);
        assert_eq!(skipped, 1, "{encoding}: {:#?}", metrics.show("pillion_observation"));
    }
}

#[tokio::test]
async fn a_stream_that_is_not_what_its_coding_says_passes_too() {
    let upstream = answering("text/event-stream", "gzip", STREAM.to_vec()).await;
    let proxy = proxy().to(upstream.url()).run();
    passes(&proxy, &chat(true), "gzip", STREAM).await;
    let metrics = proxy.settle_as("ok").await;
    assert_eq!(metrics.count("pillion_observation_skipped_total", &[("reason", "decode")]), 1);
}

/// Half a gigabyte of blanks inside a JSON text, in a few kilobytes or hundreds of them: one compressed block, again and again.
fn bomb(coding: &str) -> Vec<u8> {
    let block = vec![b' '; 1 << 20];
    let parts = encode(coding, &[b"{\"x\":\"", &block, &block]);
    [parts[0].clone(), parts[1].clone(), parts[2].repeat(511)].concat()
}

#[tokio::test]
async fn a_bomb_passes_and_is_read_for_a_few_megabytes_at_most() {
    for encoding in ["gzip", "br", "zstd"] {
        let body = bomb(encoding);
        let upstream = answering("application/json", encoding, body.clone()).await;
        let proxy = proxy().to(upstream.url()).run();
        let before = resident_peak();
        for _ in 0..4 {
            passes(&proxy, &chat(false), encoding, &body).await;
        }
        let grown = resident_peak().saturating_sub(before);
        assert!(grown < 48 << 20, "{encoding}: {grown} bytes");
        let metrics = proxy.settle_as("ok").await;
        let skipped = |reason| metrics.count("pillion_observation_skipped_total", &[("reason", reason)]);
        // Whichever bound is met first: that depends on how much comes at one time.
        assert_eq!(skipped("ratio") + skipped("size"), 4, "{encoding}: {:#?}", metrics.show("pillion_observation"));
    }
}

/// The most that this process has ever had resident, in bytes.
fn resident_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
