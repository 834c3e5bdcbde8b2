//! Promise: an agent's conversation may grow as long as it likes. However far beyond the window it gets, every request is answered; what goes up stays the
//! same from one turn to the next until the conversation has grown by a step, so that the provider's cache serves most of it; and no window need be told.

use pillion::{demo::model::Seen, wire::Dialect};

use self::talk::{About, Course, Talk};
use crate::support::{agent, model, proxy};

mod talk;

/// A conversation, and how it goes on.
#[derive(Debug, Clone, Copy)]
struct Case {
    about: About,
    /// Whether Pillion is told of the window; else the first refusal tells it.
    is_told: bool,
    /// By which tokenizer the model counts.
    tokens: &'static str,
    /// How often the cut may move beyond that: see [`CORRECTIONS`].
    corrections: u64,
}

/// Where a model's tokenizer is not public its ratio to a public one is learnt from replies, and each time what is applied follows what was learnt the cut
/// moves too. That is seldom: so often at most in 200 turns.
const CORRECTIONS: u64 = 4;

const fn case(dialect: Dialect, model: &'static str, course: Course) -> Case {
    Case { about: About { dialect, model, course, turns: 200 }, is_told: true, tokens: "o200k", corrections: 0 }
}

const CHAT: Case = case(Dialect::OpenaiChat, "gpt-4o", Course::Turns);
const RESPONSES: Case = case(Dialect::OpenaiResponses, "gpt-4.1", Course::Turns);
const CLAUDE: Case = Case { corrections: CORRECTIONS, ..case(Dialect::AnthropicMessages, "claude-sonnet-4-5", Course::Turns) };
const GEMINI: Case = Case { corrections: CORRECTIONS, ..case(Dialect::Gemini, "gemini-2.5-flash", Course::Turns) };
const OLLAMA: Case = Case { corrections: CORRECTIONS, ..case(Dialect::Ollama, "qwen3:8b", Course::Turns) };
const TASK: Case = case(Dialect::OpenaiChat, "gpt-4o", Course::Task);
const CLAUDES_TASK: Case = Case { corrections: CORRECTIONS, ..case(Dialect::AnthropicMessages, "claude-sonnet-4-5", Course::Task) };
const UNTOLD: Case = Case { is_told: false, corrections: CORRECTIONS, ..case(Dialect::OpenaiChat, "unheard-of", Course::Turns) };
const CLAUDE_UNTOLD: Case = Case { is_told: false, tokens: "cl100k", ..CLAUDE };
const PICTURES: Case = Case { about: About { turns: 120, course: Course::Pictures, ..CHAT.about }, ..CHAT };
const GROUP: Case = Case { about: About { turns: 400, course: Course::Group, ..CHAT.about }, ..CHAT };

/// What became of a conversation.
#[derive(Debug, Default)]
struct Run {
    window: u64,
    requests: usize,
    /// Tokens of the whole conversation in the end.
    tokens: u64,
    /// The longest prompt, in tokens.
    longest: u64,
    /// How often the beginning of a prompt was another than that of the one before.
    cuts: u64,
    /// Prompts that the model refused.
    errors: usize,
    ours: Share,
    naive: Share,
}

/// What of prompts a cache would have served, in bytes.
#[derive(Debug, Default)]
struct Share {
    all: usize,
    cached: usize,
    /// The same of those beyond the window alone.
    all_beyond: usize,
    cached_beyond: usize,
}

impl Share {
    fn add(&mut self, length: usize, cached: usize, is_beyond: bool) {
        self.all += length;
        self.cached += cached;
        if is_beyond {
            self.all_beyond += length;
            self.cached_beyond += cached;
        }
    }

    fn percent(&self) -> (usize, usize) {
        (100 * self.cached / self.all, 100 * self.cached_beyond / self.all_beyond.max(1))
    }
}

impl Run {
    /// Most tokens of a prompt.
    fn most(&self) -> u64 {
        self.window - self.window / 16
    }

    /// Moves of the cut that the conversation's growth beyond its room allows: one for each ⌊window · (1 − target)⌋ tokens, at the usual target of 0.7.
    fn allowed(&self) -> u64 {
        self.tokens.saturating_sub(self.most()).div_ceil(self.window * 3 / 10)
    }

    #[expect(clippy::print_stdout, reason = "a table for whoever wants to see it")]
    fn show(&self, case: &Case) {
        let Self { requests, tokens, longest, cuts, errors, ours, naive, .. } = self;
        let About { dialect, course, .. } = case.about;
        let name = format!("{} {course:?}{}", dialect.name(), if case.is_told { "" } else { ", not told" });
        let (allowed, (ours, ours_beyond), (naive, naive_beyond)) = (self.allowed(), ours.percent(), naive.percent());
        println!(
            "{name:<34} | {requests} requests | {tokens:>6} tokens, {longest:>5} at once | {cuts:>2} cuts, {allowed:>2} allowed | cached {ours} % ({ours_beyond} % \
             beyond the window), naively {naive} % ({naive_beyond} %) | {errors} refused"
        );
    }

    fn check(&self, case: &Case) {
        self.show(case);
        assert_eq!(self.errors, usize::from(!case.is_told), "refused");
        assert!(self.tokens > 2 * self.window && self.cuts >= 3, "it has not grown");
        assert!(self.longest <= self.most(), "{} tokens at once", self.longest);
        let allowed = self.allowed() + case.corrections;
        assert!(self.cuts <= allowed, "{} cuts, {allowed} allowed", self.cuts);
        let ((ours, beyond), (naive, _)) = (self.ours.percent(), self.naive.percent());
        assert!(ours >= 80 && beyond >= 80 && ours > naive, "the cache serves {ours} %, {beyond} % beyond the window; naively {naive} %");
    }
}

/// Lets an agent send its conversation, request by request, through a proxy to a model with such a window.
async fn run(case: &Case, window: u64) -> Run {
    let talk = Talk::new(case.about, window);
    let model = model(&format!("context: {window}\ntokens: {}", case.tokens)).await;
    let config = if case.is_told { format!("context: {{windows: {{'*': {window}}}}}") } else { String::new() };
    let proxy = proxy().to(model.url()).config(config).run();
    let mut agent = agent(&proxy).await;
    let mut run = Run { window, requests: talk.sent.len(), ..Run::default() };
    for sent in &talk.sent {
        let reply = agent.ask(&talk.call(sent)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let trimmed = reply.header("x-pillion-trimmed").and_then(|told| told.split_once("tokens="));
        let left = talk.tokens(&reply.json());
        run.longest = run.longest.max(left);
        run.tokens = left + trimmed.map_or(0, |(_, tokens)| tokens.parse::<u64>().unwrap());
    }
    proxy.settle_as("ok").await;
    run.look(&talk, &model.requests());
    run
}

impl Run {
    /// Looks at what the model has seen.
    fn look(&mut self, talk: &Talk, seen: &[Seen]) {
        let taken: Vec<&Seen> = seen.iter().filter(|one| one.status == Some(200)).collect();
        self.errors = seen.len() - taken.len();
        assert_eq!(taken.len(), self.requests);
        let mut before: &[u8] = &[];
        for (sent, seen) in talk.sent.iter().zip(&taken) {
            let prompt = talk.prompt(&seen.body);
            let cached = shared(before, prompt);
            self.cuts += u64::from(cached < before.len());
            self.ours.add(prompt.len(), cached, prompt.len() < talk.head_length() + sent.end);
            before = prompt;
        }
        self.slide(talk);
    }

    /// What everybody does: as many of the newest units as fit, each turn anew.
    fn slide(&mut self, talk: &Talk) {
        let mut before = 0..0;
        for sent in &talk.sent {
            let (mut room, mut start) = (self.most().saturating_sub(talk.beside), sent.end);
            for unit in talk.units[..sent.units].iter().rev() {
                let Some(left) = room.checked_sub(unit.tokens) else { break };
                (room, start) = (left, unit.start);
            }
            let cached = if before.is_empty() { 0 } else { talk.head_length() + shared(talk.listed(before.clone()), talk.listed(start..sent.end)) };
            self.naive.add(talk.head_length() + sent.end - start, cached, start > 0);
            before = start..sent.end;
        }
    }
}

/// How many bytes both begin with.
fn shared(one: &[u8], other: &[u8]) -> usize {
    const BLOCK: usize = 4096;
    let whole = one.chunks(BLOCK).zip(other.chunks(BLOCK)).take_while(|(one, other)| one == other && one.len() == BLOCK).count() * BLOCK;
    whole + one[whole..].iter().zip(&other[whole..]).take_while(|(one, other)| one == other).count()
}

/// The window in which the cases are run each time: a quarter of what they are made for, and so is all that is said in them.
const SMALL: u64 = 8_000;

async fn grow(cases: &[Case], window: u64) {
    for case in cases {
        run(case, window).await.check(case);
    }
}

#[tokio::test]
async fn a_chat_goes_on() {
    grow(&[CHAT], SMALL).await;
}

#[tokio::test]
async fn a_chat_of_the_responses_api_goes_on() {
    grow(&[RESPONSES], SMALL).await;
}

#[tokio::test]
async fn a_chat_with_claude_goes_on() {
    grow(&[CLAUDE], SMALL).await;
}

#[tokio::test]
async fn a_chat_with_gemini_goes_on() {
    grow(&[GEMINI], SMALL).await;
}

#[tokio::test]
async fn a_chat_with_ollama_goes_on() {
    grow(&[OLLAMA], SMALL).await;
}

#[tokio::test]
async fn a_single_task_goes_on() {
    grow(&[TASK, CLAUDES_TASK], SMALL).await;
}

#[tokio::test]
async fn a_window_that_nobody_told_is_learnt_from_the_first_refusal() {
    grow(&[UNTOLD, CLAUDE_UNTOLD], SMALL).await;
}

#[tokio::test]
async fn pictures_are_counted_as_what_they_are() {
    grow(&[PICTURES], 32_000).await;
}

#[tokio::test]
async fn a_group_talks_on() {
    grow(&[GROUP], SMALL).await;
}

#[tokio::test]
#[ignore = "the same in a window of 32,000 tokens takes two minutes"]
async fn conversations_go_on_beyond_a_hundred_thousand_tokens() {
    grow(&[CHAT, RESPONSES, CLAUDE, GEMINI, OLLAMA, TASK, CLAUDES_TASK, UNTOLD, CLAUDE_UNTOLD, PICTURES, GROUP], 32_000).await;
}
