//! What it costs to make a prompt fit: where it does anyway, where it is counted, where it is trimmed, and where it was written to take long.
//! `cargo bench --bench fitting [-- FILTER]`. Conversations are those of an agent that reads code with tools.

use std::{fs, hint::black_box, io::Write as _, process::Command, time::Duration};

use bytes::Bytes;
use pillion::{
    context::{Asked, Fit, Models},
    wire::{Call, Dialect, Overflow},
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Asks for a process that tells its memory.
const PEAK: &str = "--peak";
/// How long a case is run for.
const CASE: Duration = Duration::from_millis(700);
const TARGET: f64 = 0.75;
const PATH: &str = "/v1/chat/completions";
/// 128,000 tokens, 16,384 of them for the answer.
const MODEL: &str = "gpt-4o";

/// What is read by the agent: this crate.
const CODE: [&str; 4] = [
    include_str!("../src/wire/parts.rs"),
    include_str!("../src/wire/skim.rs"),
    include_str!("../src/context/estimate.rs"),
    include_str!("../README.md"),
];

/// A name, and the body of a request that comes so many turns later.
type Case = (&'static str, fn(usize) -> Bytes);

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip_while(|argument| argument != PEAK).skip(1);
    if let Some(file) = arguments.next() {
        return peak_of(&file);
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let call = Call { model: Some(MODEL.to_owned()), ..Call::default() };
    let asked = Asked { dialect: Dialect::OpenaiChat, path: PATH, provider: Some("openai"), upstream: "openai", call: &call };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<34}{:>12}{:>12}{:>12}{:>10}  outcome", "body", "bytes", "first ms", "next ms", "memory ×")?;
    let models = Models::default();
    // The vocabulary is unpacked once.
    black_box(models.fit(asked, &conversation(600 << 10, 0), TARGET, None, Instant::now()));
    for (name, size) in [("1 KB, fits", 1 << 10), ("100 KB, fits by its bytes", 100 << 10)] {
        if name.contains(&filter) {
            let body = conversation(size, 0);
            let cost = time(1000, || (), |()| asked.may_overflow(models.window(asked, Instant::now()), black_box(body.len())));
            writeln!(out, "{name:<34}{:>12}{:>12.5}", body.len(), cost)?;
        }
    }
    let cases: [Case; 9] = [
        ("300 KB, counted", |more| conversation(300 << 10, more)),
        ("400 KB, counted and trimmed", |more| conversation(400 << 10, more)),
        ("1 MB, trimmed", |more| conversation(1 << 20, more)),
        ("1 MB of one letter", |more| said(&"a".repeat(1 << 20), more)),
        ("1 MB of blanks", |more| said(&" ".repeat(1 << 20), more)),
        ("1 MB of random letters", |more| said(&random(1 << 20, b"abcdefghijklmnopqrstuvwxyz"), more)),
        ("1 MB of CJK", |more| said(&cjk(1 << 20), more)),
        ("5 MB of base64", |more| said(&random(5 << 20, BASE64), more)),
        ("16 MB of what takes longest", |more| said(&hostile(16 << 20), more)),
    ];
    for (name, body) in cases.iter().filter(|(name, _)| name.contains(&filter)) {
        let (first, next) = (body(0), body(1));
        let fit = |models: &Models, body: &Bytes| models.fit(asked, black_box(body), TARGET, None, Instant::now());
        let peak = peak(&first)?;
        let cold = time(1, Models::default, |models| fit(&models, &first));
        let warm = time(1, || Models::default().tap(|models| drop(fit(models, &first))), |models| fit(&models, &next));
        let ratio = f64::from(u32::try_from(peak)?) / f64::from(u32::try_from(first.len())?);
        writeln!(out, "{name:<34}{:>12}{cold:>12.3}{warm:>12.3}{ratio:>10.1}  {}", first.len(), outcome(&fit(&models, &first)))?;
    }
    Ok(())
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

trait Tap: Sized {
    fn tap(self, each: impl FnOnce(&Self)) -> Self {
        each(&self);
        self
    }
}

impl Tap for Models {}

fn outcome(fit: &Fit) -> String {
    match fit {
        Fit::Untouched(counted) => format!("untouched, {counted:?}"),
        Fit::Trimmed(trimmed) => format!("{} messages and {} texts trimmed, {} tokens left", trimmed.messages, trimmed.texts, trimmed.left.tokens),
        Fit::TooLarge(large) => format!("too large: {} tokens", large.tokens),
    }
}

/// The best round, in ms: a machine that does other things as well is quiet for a moment in some of them.
fn time<S, T>(batch: u32, mut with: impl FnMut() -> S, mut each: impl FnMut(S) -> T) -> f64 {
    let begun = Instant::now();
    let mut best = f64::INFINITY;
    while begun.elapsed() < CASE {
        let states: Vec<S> = (0..batch).map(|_| with()).collect();
        let round = Instant::now();
        for state in states {
            drop(black_box(each(state)));
        }
        best = best.min(round.elapsed().as_secs_f64() * 1e3 / f64::from(batch));
    }
    best
}

/// The most bytes of memory that fitting this body takes: of a process of its own, less what one takes that fits a body of next to nothing.
fn peak(body: &[u8]) -> anyhow::Result<u64> {
    let of = |body: &[u8]| -> anyhow::Result<u64> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), body)?;
        let told = Command::new(std::env::current_exe()?).arg(PEAK).arg(file.path()).output()?.stdout;
        Ok(String::from_utf8(told)?.trim().parse()?)
    };
    Ok(of(body)?.saturating_sub(of(&said("a", 0))?))
}

/// The process of its own: fits the body in a file, and tells the most memory that was there at any time since then, the body included.
fn peak_of(file: &str) -> anyhow::Result<()> {
    let models = Models::default();
    let call = Call { model: Some(MODEL.to_owned()), ..Call::default() };
    let asked = Asked { dialect: Dialect::OpenaiChat, path: PATH, provider: Some("openai"), upstream: "openai", call: &call };
    let told = Overflow { window: Some(10), ..Overflow::default() };
    drop(black_box(models.fit(asked, &said("a", 0), TARGET, Some(told), Instant::now())));
    fs::write("/proc/self/clear_refs", "5")?;
    let body = Bytes::from(fs::read(file)?);
    drop(black_box(models.fit(asked, &body, TARGET, None, Instant::now())));
    let status = fs::read_to_string("/proc/self/status")?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim_matches([' ', '\t', 'k', 'B']);
    Ok(writeln!(std::io::stdout(), "{}", most.parse::<u64>()? << 10)?)
}

/// A conversation of about so many bytes, and so many turns more.
fn conversation(size: usize, more: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(1);
    let mut messages = vec![
        json!({"role": "system", "content": "You keep this code. Use tools; never guess."}),
        json!({"role": "user", "content": "Find out why the ledger of March does not add up, and mend it."}),
    ];
    let (mut bytes, mut turn) = (300, 0);
    let mut beyond = 0;
    while bytes < size || beyond < more {
        beyond += usize::from(bytes >= size);
        let lines: Vec<&str> = random.choice(CODE).unwrap_or("").lines().collect();
        let from = random.usize(..lines.len() / 2);
        let text: String = lines[from..].iter().take(random.usize(20..80)).flat_map(|line| [line, "\n"]).collect();
        let text = if size < 5000 { text.chars().take(300).collect() } else { text };
        bytes += text.len() + 500;
        messages.extend(turn_of(turn, &text));
        turn += 1;
    }
    Bytes::from(json!({"model": MODEL, "messages": messages}).to_string())
}

fn turn_of(turn: usize, text: &str) -> [Value; 2] {
    let id = format!("call_{turn:024}");
    let arguments = json!({"path": format!("src/ledger/part_{turn}.rs"), "lines": [turn, turn + 80]}).to_string();
    let call = json!({"id": id, "type": "function", "function": {"name": "read_file", "arguments": arguments}});
    [
        json!({"role": "assistant", "content": "Let me look at the next part.", "tool_calls": [call]}),
        json!({"role": "tool", "tool_call_id": id, "content": text}),
    ]
}

/// One long result, in the middle of a short conversation.
fn said(text: &str, more: usize) -> Bytes {
    let mut messages = vec![json!({"role": "user", "content": "What is in there?"})];
    messages.extend(turn_of(0, text));
    messages.extend((0..=more).map(|turn| json!({"role": "user", "content": format!("And then? ({turn})")})));
    Bytes::from(json!({"model": MODEL, "messages": messages}).to_string())
}

fn random(size: usize, alphabet: &[u8]) -> String {
    let mut random = fastrand::Rng::with_seed(2);
    (0..size).map(|_| char::from(*random.choice(alphabet).unwrap_or(&b'a'))).collect()
}

fn cjk(size: usize) -> String {
    let mut random = fastrand::Rng::with_seed(3);
    (0..size / 3).map(|place| if place % 17 == 0 { '。' } else { char::from_u32(0x4e00 + random.u32(..3000)).unwrap_or('一') }).collect()
}

/// Words just short of what is sampled, with an escape each.
fn hostile(size: usize) -> String {
    let letters = random(size, b"abcdefghijklmnopqrstuvwxyz");
    let words: Vec<&str> = letters.as_bytes().chunks(1000).filter_map(|chunk| std::str::from_utf8(chunk).ok()).collect();
    words.join("\n")
}
