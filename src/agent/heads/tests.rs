//! Conversations that go on, branch, repeat and break: reading what is new must tell what reading the whole does.

use super::*;
use crate::wire::{Characters, Request};

const DIALECTS: [Dialect; 7] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiResponses,
    Dialect::OpenaiCompletions,
    Dialect::OpenaiEmbeddings,
    Dialect::AnthropicMessages,
    Dialect::Gemini,
    Dialect::Ollama,
];

const PATH: &str = "/v1/models/m:generateContent";

/// A text with all that a text can have, of very different lengths.
fn text(random: &mut fastrand::Rng) -> String {
    let parts = ["a", "ü", "😀", "\\n", "\\\"", "\\\\", "\\u00e4", "fn main() {}", "],[{}", ",", "some longer words to fill blocks with "];
    let most = random.choice([2, 10, 80]).unwrap();
    (0..random.usize(..most)).map(|_| *random.choice(parts.iter()).unwrap()).collect()
}

fn message(dialect: Dialect, random: &mut fastrand::Rng) -> String {
    let (one, two) = (text(random), text(random));
    let shapes = match dialect {
        Dialect::OpenaiChat => vec![
            format!(r#"{{"role":"user","name":"u","content":"{one}"}}"#),
            format!(r#"{{"role":"user","content":[{{"type":"text","text":"{one}"}},{{"type":"image_url","image_url":{{"url":"data:x"}}}}]}}"#),
            format!(r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"c","function":{{"name":"f","arguments":"{one}"}}}}]}}"#),
            format!(r#"{{ "role": "tool", "tool_call_id": "c", "content": "{one}", "content": "{two}" }}"#),
        ],
        Dialect::OpenaiResponses => vec![
            format!(r#"{{"role":"user","content":"{one}"}}"#),
            format!(r#"{{"type":"function_call","call_id":"c","name":"f","arguments":"{one}"}}"#),
            format!(r#"{{"output":"{one}","type":"function_call_output","call_id":"c"}}"#),
            format!(r#"{{"type":"reasoning","summary":[{{"type":"summary_text","text":"{one}"}}]}}"#),
        ],
        Dialect::AnthropicMessages => vec![
            format!(r#"{{"role":"user","content":"{one}"}}"#),
            format!(r#"{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"f","input":{{"a":["{one}"]}}}}]}}"#),
            format!(
                r#"{{"role":"user","content":[{{"content":"{one}","type":"tool_result","tool_use_id":"t","is_error":true}},{{"type":"text","text":"{two}"}}]}}"#
            ),
        ],
        Dialect::Gemini => vec![
            format!(r#"{{"role":"user","parts":[{{"text":"{one}"}}]}}"#),
            format!(r#"{{"role":"model","parts":[{{"text":"{one}","thought":true}},{{"functionCall":{{"name":"f","args":{{"a":"{two}"}}}}}}]}}"#),
            format!(r#"{{"parts":[{{"functionResponse":{{"name":"f","response":{{"error":"{one}"}}}}}}]}}"#),
        ],
        Dialect::Ollama => vec![
            format!(r#"{{"role":"user","content":"{one}"}}"#),
            format!(r#"{{"role":"assistant","content":"","tool_calls":[{{"function":{{"name":"f","arguments":{{"a":"{one}"}}}}}}]}}"#),
            format!(r#"{{"role":"tool","tool_name":"f","content":"{one}"}}"#),
        ],
        Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings => vec![format!("\"{one}\"")],
    };
    random.choice(shapes).unwrap()
}

/// What stands before and behind the list.
fn frame(dialect: Dialect, random: &mut fastrand::Rng) -> (String, String) {
    let list = match dialect {
        Dialect::OpenaiChat | Dialect::AnthropicMessages | Dialect::Ollama => "messages",
        Dialect::OpenaiResponses | Dialect::OpenaiEmbeddings => "input",
        Dialect::OpenaiCompletions => "prompt",
        Dialect::Gemini => "contents",
    };
    let words = text(random);
    let fields = [
        r#""model":"m""#.to_owned(),
        r#""stream":true"#.to_owned(),
        format!(r#""system":"{words}""#),
        format!(r#""instructions":"{words}""#),
        format!(r#""systemInstruction":{{"parts":[{{"text":"{words}"}}]}}"#),
        format!(r#""tools":[{{"name":"f","description":"{words}"}}]"#),
        r#""temperature":0.5,"stop":["x"],"options":{"seed":7}"#.to_owned(),
        format!(r#""{list}":[7]"#),
    ];
    let mut pick = |most: usize| -> Vec<String> { (0..random.usize(..=most)).map(|_| random.choice(fields.iter()).unwrap().clone()).collect() };
    let (before, mut behind) = (pick(4), pick(4));
    if random.u8(..4) > 0 {
        behind.retain(|field| !field.ends_with("[7]"));
    }
    let before = before.iter().fold("{".to_owned(), |all, field| format!("{all}{field},"));
    (format!("{before}\"{list}\":["), behind.iter().fold("]".to_owned(), |all, field| format!("{all},{field}")) + "}")
}

fn whole(dialect: Dialect, body: &[u8]) -> Request<'_> {
    Request::read(dialect, PATH, body, None)
}

/// Reads what is new; gives how many messages were not.
fn check_resumed(heads: &mut Heads<usize>, dialect: Dialect, body: &[u8]) -> usize {
    let trail = Trail::of(dialect, body);
    let recalled = heads.recall(&trail, body, Instant::now());
    let resumed = Request::read(dialect, PATH, body, recalled.as_ref().map(|recalled| &recalled.resume));
    let mut expected = whole(dialect, body);
    let known = resumed.prompt.as_ref().map_or(0, |prompt| prompt.known);
    if let Some(prompt) = &mut expected.prompt {
        prompt.known = known;
        let read = prompt.messages.drain(..known).map(|message| message.characters);
        prompt.known_characters = read.flatten().reduce(Characters::and);
    }
    // Read again and left out is as good as not read.
    let mut left = whole(dialect, body);
    if let Some(recalled) = &recalled {
        left.leave_out(&recalled.resume);
    }
    assert!(left == resumed || known == 0, "{dialect} {}", String::from_utf8_lossy(body));
    assert_eq!(resumed, expected, "{dialect} {}", String::from_utf8_lossy(body));
    known
}

fn keep(heads: &mut Heads<usize>, dialect: Dialect, body: &[u8], count: usize) -> Option<HeadId> {
    let resume = whole(dialect, body).resume(count)?;
    heads.keep((&Trail::of(dialect, body), body), resume, count, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn reading_what_is_new_tells_what_reading_the_whole_does() {
    let mut random = fastrand::Rng::with_seed(5);
    let (mut heads, mut resumed) = (Heads::default(), 0);
    for _ in 0..1200 {
        let dialect = random.choice(DIALECTS).unwrap();
        let (before, behind) = frame(dialect, &mut random);
        let mut messages: Vec<String> = (0..random.usize(1..12)).map(|_| message(dialect, &mut random)).collect();
        let kept = random.usize(1..=messages.len());
        keep(&mut heads, dialect, format!("{before}{}{behind}", messages.join(",")).as_bytes(), kept);
        // What comes behind the known ones is new; so may be what comes behind the list.
        messages.truncate(kept);
        messages.extend((0..random.usize(..4)).map(|_| message(dialect, &mut random)));
        let behind = if random.bool() { behind } else { frame(dialect, &mut random).1 };
        let body = format!("{before}{}{behind}", messages.join(random.choice([",", " ,\n"]).unwrap()));
        resumed += usize::from(check_resumed(&mut heads, dialect, body.as_bytes()) > 0);
        // Broken, it is as broken as it would be if it had been read whole.
        let mut broken = body.into_bytes();
        let at = random.usize(..broken.len());
        broken.splice(
            at..(at + random.usize(..3)).min(broken.len()),
            random.choice([&b"]"[..], b"}", b",", b"\"", b"", b"1"]).unwrap().iter().copied(),
        );
        check_resumed(&mut heads, dialect, &broken);
    }
    assert!(resumed > 600, "{resumed} of 1200 went on where they were known");
}

/// A conversation of short messages.
fn chat(contents: &[&str]) -> String {
    let messages: Vec<String> = contents.iter().map(|content| format!(r#"{{"role":"user","content":"{content}"}}"#)).collect();
    format!(r#"{{"messages":[{}],"model":"m"}}"#, messages.join(","))
}

fn recall(heads: &mut Heads<usize>, body: &str) -> Option<Recalled> {
    heads.recall(&Trail::of(Dialect::OpenaiChat, body.as_bytes()), body.as_bytes(), Instant::now())
}

fn heads_at(heads: &mut Heads<usize>, body: &str) -> Vec<usize> {
    recall(heads, body).map(|recalled| heads.at(&recalled).map(|(_, head)| *head).collect()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn the_deepest_place_wins_and_another_beginning_or_dialect_is_unknown() {
    let mut heads = Heads::default();
    let long = "x".repeat(3000);
    let body = chat(&["a", &long, "b"]);
    for count in 1..=3 {
        keep(&mut heads, Dialect::OpenaiChat, body.as_bytes(), count);
    }
    assert_eq!(heads_at(&mut heads, &body), [3]);
    assert_eq!(heads_at(&mut heads, &chat(&["a", &long, "b", "c"])), [3]);
    assert_eq!(heads_at(&mut heads, &chat(&["a", &long, "c"])), [2]);
    assert_eq!(heads_at(&mut heads, &chat(&["a", "c"])), [1]);
    assert_eq!(heads_at(&mut heads, &chat(&["c", &long, "b"])), [0; 0]);
    assert_eq!(heads_at(&mut heads, &chat(&["a", &long, "b"]).replacen('x', "y", 1)), [1]);
    assert!(heads.recall(&Trail::of(Dialect::Ollama, body.as_bytes()), body.as_bytes(), Instant::now()).is_none());
}

#[tokio::test(start_paused = true)]
async fn runs_with_the_same_beginning_are_all_kept_until_they_are_taken() {
    let mut heads = Heads::default();
    let body = chat(&["hello"]);
    let resume = whole(Dialect::OpenaiChat, body.as_bytes()).resume(1).unwrap();
    let trail = Trail::of(Dialect::OpenaiChat, body.as_bytes());
    let ids: Vec<HeadId> = (0..SAME_MAX + 2).map(|run| heads.keep((&trail, body.as_bytes()), resume.clone(), run, Instant::now()).unwrap()).collect();
    assert_eq!(heads_at(&mut heads, &body), [9, 8, 7, 6, 5, 4, 3, 2]);
    assert_eq!((heads.take(ids[5]), heads.take(ids[5]), heads.take(ids[0])), (Some(5), None, None));
    *heads.find(ids[4]).unwrap() = 44;
    assert_eq!(heads_at(&mut heads, &body), [9, 8, 7, 6, 44, 3, 2]);
    for id in ids {
        heads.take(id);
    }
    assert!(recall(&mut heads, &body).is_none() && heads.is_empty() && heads.ends.is_empty());
}

#[tokio::test(start_paused = true)]
async fn many_conversations_that_begin_alike_are_told_apart() {
    let mut heads = Heads::default();
    let system = "You are a helpful assistant. ".repeat(60);
    for run in 0..3000 {
        keep(&mut heads, Dialect::OpenaiChat, chat(&[&system, &format!("question {run}")]).as_bytes(), 2);
    }
    for run in (0..3000).step_by(97) {
        let recalled = recall(&mut heads, &chat(&[&system, &format!("question {run}"), "more"])).unwrap();
        assert_eq!(recalled.resume.messages, 2, "{run}");
    }
    assert!(recall(&mut heads, &chat(&[&system, "question x", "more"])).is_none());
}

#[tokio::test(start_paused = true)]
async fn places_are_bounded_and_those_that_nobody_comes_by_expire() {
    let mut heads = Heads::default();
    let resume = whole(Dialect::OpenaiChat, chat(&["0"]).as_bytes()).resume(1).unwrap();
    let keep = |heads: &mut Heads<usize>, number: usize| {
        let body = chat(&[&number.to_string()]);
        let at = body.find(']').unwrap();
        let resume = Resume { at, ..resume.clone() };
        heads.keep((&Trail::of(Dialect::OpenaiChat, body.as_bytes()), body.as_bytes()), resume, number, Instant::now());
    };
    for number in 0..PLACES_MAX + 100 {
        keep(&mut heads, number);
    }
    assert_eq!(heads.len(), PLACES_MAX);
    assert_eq!((heads_at(&mut heads, &chat(&["99"])), heads_at(&mut heads, &chat(&["100"]))), (vec![], vec![100]));
    let indexed: usize = heads.ends.values().flatten().map(|(_, count)| count).sum();
    assert_eq!(indexed, PLACES_MAX);
    tokio::time::advance(IDLE_MAX / 2).await;
    assert_eq!(heads_at(&mut heads, &chat(&["500"])), [500]);
    tokio::time::advance(IDLE_MAX / 2).await;
    heads.expire(Instant::now());
    assert_eq!((heads.len(), heads_at(&mut heads, &chat(&["500"]))), (1, vec![500]));
    tokio::time::advance(IDLE_MAX).await;
    heads.expire(Instant::now());
    assert!(heads.is_empty() && heads.ends.is_empty());
}
