//! What real frameworks sent, as the memory takes it: no name is wrong, live or in retrospect.

use std::{fs, path::Path};

use serde_json::Value;

use super::world::{CHAT, Way, World, conversation};
use crate::{
    agent::{Ending, Stage},
    wire::{Dialect, Reading, Reply},
};

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key)?.as_str()
}

fn header<'v>(exchange: &'v Value, key: &str, name: &str) -> Option<&'v str> {
    let pairs = exchange.get(key)?.as_array()?;
    pairs.iter().find(|pair| pair[0].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)))?[1].as_str()
}

#[test]
fn replay() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures");
    let expected: Value = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut wrong, mut mixed) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "expected" || file.extension().unwrap() != "json" {
            continue;
        }
        let capture: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let Some(truth) = expected.get(&name) else { continue };
        let mut world = World::new();
        let mut seen = Vec::new();
        for exchange in capture["exchanges"].as_array().unwrap() {
            let request = &capture["requests"][usize::try_from(exchange["request"].as_u64().unwrap()).unwrap()];
            let path = text(request, "target").unwrap().split('?').next().unwrap();
            let retry = header(exchange, "headers", "x-stainless-retry-count").and_then(|count| count.parse().ok());
            if Dialect::of_path(path).is_none() {
                seen.push(None);
                continue;
            }
            let arrived = world
                .send(&Way { path, connection: exchange["connection"].as_u64().unwrap(), retry, ..CHAT }, text(request, "body").unwrap().as_bytes());
            let status = u16::try_from(exchange["status"].as_u64().unwrap_or(0)).unwrap();
            let reply = exchange.get("reply").map(|reply| match reply {
                Value::String(text) => text.clone(),
                Value::Array(events) => events.iter().map(|event| event.as_str().unwrap()).collect(),
                _ => String::new(),
            });
            let ok = status == 200 && exchange["end"] == "completed";
            if ok {
                let mut reading = Reading::new(Dialect::of_path(path).unwrap(), status, header(exchange, "reply_headers", "content-type"), None);
                reading.feed(reply.unwrap_or_default().as_bytes());
                reading.end();
                let reply: Reply = reading.into_reply();
                world.reply(&arrived, &reply);
            } else if exchange["end"].as_str().unwrap().starts_with("client") {
                world.end(&arrived, Ending::Cancelled(Stage::Waiting));
            } else {
                world.end(&arrived, Ending::Failed);
            }
            seen.push(Some(arrived));
        }
        let mut line = format!("{name:58}");
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for (index, (arrived, truth)) in seen.iter().zip(truth["exchanges"].as_array().unwrap()).enumerate() {
            let Some(arrived) = arrived else { continue };
            let caller = text(truth, "caller");
            let live = arrived.agent.as_deref();
            let later = world.name(arrived);
            for got in [live, later.as_deref()] {
                if got.is_some() && got != caller {
                    wrong.push(format!("{name} {index}: {got:?} for {caller:?} {:?}", arrived.source));
                }
            }
            line += &format!(" {}/{}", live.unwrap_or("-"), later.as_deref().unwrap_or("-"));
            for tool in &arrived.tools {
                line += &format!(" [{} {:?} {:?}]", tool.name, tool.agent, tool.error);
            }
            if let Some(conversation) = &arrived.conversation {
                runs.push((truth["run"].as_u64().unwrap(), conversation.id));
                let _ = conversation.turn;
            }
        }
        let _ = conversation;
        for (index, (run, id)) in runs.iter().enumerate() {
            for (other, (run2, id2)) in runs.iter().enumerate().skip(index + 1) {
                if (run == run2) != (id == id2) {
                    mixed.push(format!("{name}: {index} and {other}: {} by truth", if run == run2 { "one run" } else { "two runs" }));
                }
            }
        }
        println!("{line}");
    }
    println!("--- mixed\n{}", mixed.join("\n"));
    println!("--- wrong\n{}", wrong.join("\n"));
    assert!(wrong.is_empty());
}
