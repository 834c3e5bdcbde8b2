//! What must hold of an exchange, by what was drawn, what the upstream heard and what the agent saw.

use super::{
    agents::{FOR_THE_PROXY, Seen},
    draw::Exchange,
    upstreams::Heard,
};
use crate::support::{End, find, sha256};

/// How a body begins that asks for token counts where the agent's did not.
const OPTION: &[u8] = br#"{"stream_options":{"include_usage":true},"#;

/// Fails with what is not so.
macro_rules! hold {
    ($holds:expr, $($said:tt)+) => {
        if !$holds {
            return Err(format!($($said)+));
        }
    };
}

/// A whole exchange: the same bytes and names on both sides, both ways. `spelled`: both sides speak HTTP/1.1.
pub(super) fn whole(exchange: &Exchange, heard: &[Heard], seen: &Seen, spelled: bool) -> Result<(), String> {
    hold!(!seen.is_refused(), "refused: {}", String::from_utf8_lossy(&seen.body));
    let [heard] = heard else { return Err(format!("{} attempts, status {}", heard.len(), seen.status)) };
    hold!(heard.method == exchange.method, "method {} became {}", exchange.method, heard.method);
    hold!(format!("/up{}", heard.target) == exchange.target, "target {} became {}", exchange.target, heard.target);
    let sent = exchange.upload.as_ref().map_or(&[][..], |load| &load.bytes);
    // The one change of a body: token counts of a stream are asked for on the agent's behalf.
    let asked = heard.body.starts_with(OPTION) && !sent.starts_with(OPTION);
    let expected = if asked { [OPTION, &sent[1..]].concat() } else { sent.to_vec() };
    same("upload", &expected, &heard.body)?;
    hold!(heard.whole, "an upload that did not end");
    let changed = |name: &str| asked && (name.eq_ignore_ascii_case("accept-encoding") || name.eq_ignore_ascii_case("content-length"));
    hold!(!asked || values(&heard.headers, "accept-encoding") == ["identity"], "asked, and accepts {:?}", heard.headers);
    let headers: Vec<_> = exchange.headers.iter().filter(|(name, _)| !changed(name)).cloned().collect();
    carried(&headers, &heard.headers, spelled).map_err(|said| format!("request: {said}"))?;
    for (name, _) in FOR_THE_PROXY {
        let named = values(&heard.headers, name);
        // What the connection up is told is for that connection.
        hold!(named.is_empty() || name == "Connection" && named == ["keep-alive"], "{name}: {named:?} went on");
    }
    hold!(values(&heard.headers, "via").len() == 1, "via at the upstream: {:?}", heard.headers);

    hold!(seen.status == exchange.status, "status {} became {}", exchange.status, seen.status);
    hold!(seen.end == End::Whole, "a reply that ended by {:?} after {} of {} bytes", seen.end, seen.body.len(), exchange.reply.bytes.len());
    let reply = if asked { without_counts(&exchange.reply.bytes) } else { exchange.reply.bytes.clone() };
    same("reply", &reply, &seen.body)?;
    carried(&exchange.reply_headers, &seen.headers, spelled).map_err(|said| format!("reply: {said}"))?;
    for name in ["x-hop-down", "keep-alive"] {
        hold!(values(&seen.headers, name).is_empty(), "{name} went on: {:?}", seen.headers);
    }
    hold!(values(&seen.headers, "via").len() == 1 && values(&seen.headers, "x-pillion-exchange").len() == 1, "marks: {:?}", seen.headers);
    hold!(matches!(values(&seen.headers, "x-pillion-attempts")[..], ["1" | "2" | "3"]), "attempts: {:?}", seen.headers);
    Ok(())
}

/// A reply that was cut: nothing that looks complete, nothing that was not sent, but for one event that says so.
pub(super) fn cut(exchange: &Exchange, seen: &Seen) -> Result<(), String> {
    let sent = &exchange.reply.bytes[..exchange.cut.map_or(exchange.reply.bytes.len(), |cut| cut.at)];
    if seen.is_refused() {
        hold!(seen.status >= 500, "refused with {}", seen.status);
        return Ok(());
    }
    hold!(!matches!(seen.end, End::Whole | End::Closed), "LOOKS COMPLETE: {:?} after {} of {} bytes", seen.end, seen.body.len(), sent.len());
    hold!(seen.end != End::Open, "neither goes on nor ends");
    hold!(seen.status == 0 || seen.status == exchange.status, "status {} became {}", exchange.status, seen.status);
    if sent.starts_with(&seen.body) || without_counts(sent).starts_with(&seen.body) {
        return Ok(());
    }
    let common = sent.iter().zip(&seen.body).take_while(|(sent, seen)| sent == seen).count();
    // A CR alone ends a line of SSE as well.
    let is_boundary = |at: &usize| *at == 0 || [&b"\n\n"[..], b"\r\n\r\n", b"\r\n\r", b"}\n"].iter().any(|end| sent[..*at].ends_with(end));
    let split = (0..=common).rev().find(is_boundary).unwrap_or_default();
    let added = String::from_utf8_lossy(&seen.body[split..]).into_owned();
    let is_event = added.ends_with('\n') && added.trim_end().lines().count() <= 2 && added.contains("\"error\"");
    hold!(is_event && exchange.target.contains("/up/v1") | exchange.target.contains("/up/api"), "not what was sent, after {split}: {added:?}");
    Ok(())
}

/// A stream without the chunk that is there only because it was asked for.
fn without_counts(stream: &[u8]) -> Vec<u8> {
    let Some(start) = find(stream, br#"data: {"choices":[],"#) else { return stream.to_vec() };
    let ends = [&b"\n\n"[..], b"\r\n\r\n"].map(|end| find(&stream[start..], end).map(|at| start + at + end.len()));
    let end = ends.into_iter().flatten().min().unwrap_or(start);
    [&stream[..start], &stream[end..]].concat()
}

fn same(what: &str, sent: &[u8], came: &[u8]) -> Result<(), String> {
    hold!(sent.len() == came.len() && sha256(sent) == sha256(came), "{what}: {} bytes became {}", sent.len(), came.len());
    Ok(())
}

/// Names in the order of their first appearance, the values of each in theirs.
fn carried(sent: &[(String, String)], came: &[(String, String)], spelled: bool) -> Result<(), String> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in sent {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    let mut last = 0;
    for name in names {
        let (before, after) = (values(sent, name), values(came, name));
        hold!(before == after, "{name}: {before:?} became {after:?}");
        let at = came.iter().position(|(have, _)| have.eq_ignore_ascii_case(name)).unwrap_or_default();
        hold!(at >= last, "{name} came before what it stood behind: {came:?}");
        last = at;
        let spellings = |headers: &[(String, String)]| -> Vec<String> {
            headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(have, _)| have.clone()).collect()
        };
        hold!(!spelled || spellings(sent) == spellings(came), "{:?} became {:?}", spellings(sent), spellings(came));
    }
    Ok(())
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}
