//! Who called, and which requests belong together, as far as the wire lets it be told: the captures of real clients are replayed through the
//! memory, and what it says is held against who really called. Unknown is honest; wrong is never said, and runs are never mixed up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::AddAssign,
    sync::Arc,
    time::{Duration, SystemTime},
};

use pillion::{
    agent::{Agents, Arrival, Ending, Moment, Place, Source, Stage as Waiting, ToolError, ToolRun},
    wire::{Reading, Request},
};
use tokio::time::Instant;

use crate::support::captures::{self, Capture, Exchanged, Expected, Truth};

/// What is known of the captures' callers, as it was when this was last looked at.
const TABLE: &str = include_str!("../fixtures/captures/attribution.txt");

#[test]
fn nobody_is_called_by_a_wrong_name_and_what_is_known_of_whom_stands_in_the_table() {
    let mut table = Table::default();
    for (_, capture, expected) in captures::all() {
        table.add(&capture, &expected);
    }
    let got = table.to_string();
    let (all, named) = (table.total(), table.named);
    assert_eq!((all.live.wrong, all.later.wrong, all.mixed), (0, 0, 0), "{got}");
    assert_eq!((named.live.right, named.live.wrong, named.mixed), (named.exchanges - named.live.nameless, 0, 0), "{got}");
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/attribution.txt");
    std::fs::write(path, &got).unwrap();
    assert!(got == TABLE, "the table has changed; if for the better, keep {path} as tests/fixtures/captures/attribution.txt:\n{got}");
}

/// As in a process that does all of it, one program after the other.
#[test]
fn all_captures_in_one_memory_are_not_mixed_up() {
    let (mut stage, mut tally, mut faults) = (Stage::default(), Tally::default(), String::new());
    for (number, (name, capture, expected)) in captures::all().into_iter().enumerate() {
        let told = stage.replay(&mut [Run::of(&capture, &expected, number)]).concat();
        tally += Tally::of(&told, &stage.agents);
        faults += &stage.faults(&name, &told);
        stage.pass(Duration::from_secs(30));
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(tally.exchanges > 500 && tally.live.right > 30 && tally.later.right >= tally.live.right, "{tally:?}");
}

/// As of a program that serves two users at once: equal prompts, equal answers, ids of their own.
#[test]
fn two_equal_runs_at_the_same_time_are_not_mixed_up() {
    let mut faults = String::new();
    for (name, capture, expected) in captures::all() {
        let mut stage = Stage::default();
        let told = stage.replay(&mut [Run::of(&capture, &expected, 0), Run::of(&capture, &expected, 1)]).concat();
        faults += &stage.faults(&name, &told);
    }
    assert!(faults.is_empty(), "{faults}");
}

/// Where captures are replayed: a memory, and a clock.
#[derive(Debug, Default)]
struct Stage {
    agents: Agents,
    passed: Duration,
    spans: u64,
}

/// A capture that is replayed, the how manyth: ids and connections are its own.
struct Run<'a> {
    capture: &'a Capture,
    truths: &'a [Truth],
    number: usize,
    /// The agents say who they are.
    named: bool,
}

/// What was said of an exchange, and what is true.
#[derive(Debug, Clone)]
struct Told {
    caller: Option<String>,
    /// In which run of which replayed capture.
    run: (usize, u64),
    live: Option<Arc<str>>,
    span_id: u64,
    conversation: Option<u64>,
    trace: Option<u128>,
    /// The tools whose results it brought.
    tools: Vec<ToolRun>,
}

impl<'a> Run<'a> {
    fn of(capture: &'a Capture, expected: &'a Expected, number: usize) -> Self {
        Self { capture, truths: &expected.exchanges, number, named: false }
    }
}

impl Stage {
    fn pass(&mut self, time: Duration) {
        self.passed += time;
    }

    fn now(&self) -> Moment {
        thread_local!(static BEGUN: Instant = Instant::now());
        Moment { instant: BEGUN.with(|begun| *begun) + self.passed, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.passed }
    }

    /// Replays them side by side: an exchange of each in turn.
    fn replay(&mut self, runs: &mut [Run<'_>]) -> Vec<Vec<Told>> {
        let mut told = vec![Vec::new(); runs.len()];
        let most = runs.iter().map(|run| run.capture.exchanges.len()).max().unwrap_or_default();
        for number in 0..most {
            for (run, told) in runs.iter().zip(&mut told) {
                if let Some(exchange) = run.capture.exchanges.get(number) {
                    told.push(self.exchange(run, exchange, &run.truths[number]));
                }
            }
        }
        told
    }

    /// What is wrong with what was said of a replayed capture; nothing if nothing is.
    fn faults(&self, name: &str, told: &[Told]) -> String {
        let tally = Tally::of(told, &self.agents);
        if (tally.live.wrong, tally.later.wrong, tally.mixed) == (0, 0, 0) {
            return String::new();
        }
        let mut faults = format!("{name}: {} wrong, {} wrong later, {} mixed\n", tally.live.wrong, tally.later.wrong, tally.mixed);
        for told in told {
            let later = self.agents.caller(told.span_id);
            let Told { caller, run: (copy, run), live, conversation, .. } = told;
            let _ =
                writeln!(faults, "  run {copy}.{run} by {caller:?}: {live:?}, later {later:?}, in {:04x}", conversation.unwrap_or_default() & 0xffff);
        }
        faults
    }

    fn exchange(&mut self, run: &Run<'_>, exchange: &Exchanged, truth: &Truth) -> Told {
        let sent = &run.capture.requests[exchange.request];
        // Ids of models are a copy's own; there are none of this kind in texts.
        let of_its_own = |text: &str| match run.number {
            0 => text.to_owned(),
            copy => text.replace("_mock0000", &format!("_{copy:04}0000")).replace("-mock0000", &format!("-{copy:04}0000")),
        };
        let (dialect, body) = (sent.dialect(), of_its_own(&sent.body));
        let known = self.agents.recall(dialect, body.as_bytes(), self.now().instant);
        let request = Request::read(dialect, sent.path(), body.as_bytes(), known.resume());
        let said = truth.caller.as_deref().filter(|_| run.named);
        self.spans += 1;
        let arrival = Arrival {
            agent: said.map(Into::into),
            source: if said.is_some() { Source::Explicit } else { Source::Unknown },
            conversation: None,
            dialect,
            upstream: "model".into(),
            request: &request,
            body: body.as_bytes(),
            known: &known,
            connection: exchange.connection + 1000 * u64::try_from(run.number).unwrap(),
            sdk_retry: run.capture.header(exchange, "x-stainless-retry-count").and_then(|count| count.parse().ok()),
            timeout: None,
            trace: None,
            span_id: self.spans,
        };
        let arrived = self.agents.arrive(&arrival, self.now());
        assert_eq!(arrived.agent.is_some(), arrived.source != Source::Unknown, "{arrived:?}");
        self.pass(Duration::from_millis(700));
        if let Some(place) = arrived.place {
            self.end(place, exchange, exchange.reading(dialect), of_its_own(&String::from_utf8(exchange.reply()).unwrap()).as_bytes());
        }
        self.pass(Duration::from_millis(300));
        Told {
            caller: truth.caller.clone(),
            run: (run.number, truth.run),
            live: arrived.agent,
            span_id: self.spans,
            conversation: arrived.conversation.map(|conversation| conversation.id),
            trace: arrived.trace,
            tools: arrived.tools,
        }
    }

    /// Ends an exchange as the proxy would.
    fn end(&self, place: Place, exchange: &Exchanged, reading: Option<Reading>, reply: &[u8]) {
        let Some(mut reading) = reading else {
            let ending = if exchange.is_abandoned() { Ending::Cancelled(Waiting::Waiting) } else { Ending::Failed };
            return self.agents.ended(place, ending, self.now());
        };
        reading.feed(reply);
        if exchange.is_ended() {
            reading.end();
        }
        let progress = reading.progress();
        let is_good = exchange.status == Some(200) && progress.finished && !progress.error;
        match (is_good, exchange.is_abandoned()) {
            (true, _) => self.agents.answered(place, &reading.into_reply(), self.now()),
            (false, true) => self.agents.ended(place, Ending::Cancelled(Waiting::Streaming), self.now()),
            (false, false) => self.agents.ended(place, Ending::Failed, self.now()),
        }
    }
}

/// How names compare with the truth.
#[derive(Debug, Clone, Copy, Default)]
struct Names {
    right: usize,
    unknown: usize,
    wrong: usize,
    /// Nobody was named, and nobody is by the program.
    nameless: usize,
}

impl Names {
    fn count(&mut self, name: Option<&str>, truth: Option<&str>) {
        match (name, truth) {
            (None, None) => self.nameless += 1,
            (None, Some(_)) => self.unknown += 1,
            (name, truth) if name == truth => self.right += 1,
            _ => self.wrong += 1,
        }
    }
}

/// What was said of some exchanges.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    exchanges: usize,
    live: Names,
    later: Names,
    /// Runs, those of them that are one conversation, and conversations that are more than one run.
    runs: usize,
    whole: usize,
    mixed: usize,
}

impl Tally {
    fn of(told: &[Told], agents: &Agents) -> Self {
        let mut tally = Self { exchanges: told.len(), ..Self::default() };
        let (mut runs, mut conversations) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
        for told in told {
            let truth = told.caller.as_deref();
            tally.live.count(told.live.as_deref(), truth);
            let later = agents.caller(told.span_id).and_then(|(name, _)| name);
            tally.later.count(later.as_deref(), truth);
            runs.entry(told.run).or_default().insert(told.conversation);
            if let Some(conversation) = told.conversation {
                conversations.entry(conversation).or_default().insert(told.run);
            }
        }
        let traces = |told: &[Told]| told.iter().map(|told| (told.conversation, told.trace)).collect::<BTreeSet<_>>();
        let of_conversation: BTreeSet<_> = told.iter().map(|told| told.conversation).collect();
        assert_eq!(traces(told).len(), of_conversation.len(), "one trace a conversation: {told:#?}");
        tally.runs = runs.len();
        tally.whole = runs.values().filter(|conversations| conversations.len() == 1 && !conversations.contains(&None)).count();
        tally.mixed = conversations.values().filter(|runs| runs.len() > 1).count();
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        for (sum, other) in [(&mut self.live, other.live), (&mut self.later, other.later)] {
            sum.right += other.right;
            sum.unknown += other.unknown;
            sum.wrong += other.wrong;
            sum.nameless += other.nameless;
        }
        self.runs += other.runs;
        self.whole += other.whole;
        self.mixed += other.mixed;
    }
}

/// Every framework and scenario.
#[derive(Debug, Default)]
struct Table {
    /// By client; a bare SDK has one line.
    rows: BTreeMap<String, Vec<(String, Tally)>>,
    /// The runs of tools: scenario, tool, agent that called it, how it failed.
    tools: Vec<String>,
    /// Where the agents say who they are.
    named: Tally,
}

impl Table {
    fn add(&mut self, capture: &Capture, expected: &Expected) {
        let mut stage = Stage::default();
        let told = stage.replay(&mut [Run::of(capture, expected, 0)]).concat();
        let tally = Tally::of(&told, &stage.agents);
        for run in told.iter().flat_map(|told| &told.tools) {
            let agent = run.agent.as_deref().unwrap_or("-");
            let id = run.id.as_deref().unwrap_or("-");
            self.tools.push(format!("{:54}{id:22}{agent:12}{:18}{}", format!("{}.{}", capture.client, capture.scenario), run.name, failure(run)));
        }
        let rows = self.rows.entry(capture.client.clone()).or_default();
        if told.iter().any(|told| told.caller.is_some()) {
            rows.push((capture.scenario.clone(), tally));
        } else {
            match rows.iter_mut().find(|(scenario, _)| scenario == "(calls of no agent)") {
                Some((_, sum)) => *sum += tally,
                None => rows.push(("(calls of no agent)".to_owned(), tally)),
            }
        }
        let mut stage = Stage::default();
        let told = stage.replay(&mut [Run { named: true, ..Run::of(capture, expected, 0) }]).concat();
        self.named += Tally::of(&told, &stage.agents);
    }

    fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.rows.values().flatten().for_each(|(_, tally)| total += *tally);
        total
    }
}

const HEAD: &str = "\
Who called, as the captures of real clients let it be told; `right`, `unknown` and `wrong` of the exchanges whose program names their caller:
live (when the request arrived) and later (when the capture had ended). A run of a program is whole if it is one conversation, and one trace.

";

const TOOLS: &str = "Tools whose results came back: the call's id, the agent that is known to have called it then, the tool, how it failed.\n";

fn failure(run: &ToolRun) -> &str {
    match &run.error {
        None => "",
        Some(ToolError::Exception(kind)) => kind,
        Some(ToolError::Failed) => "failed",
        Some(ToolError::Unknown) => "no such tool",
        Some(ToolError::Arguments) => "arguments refused",
        Some(ToolError::NoResult) => "no result",
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::from(HEAD);
        let _ = writeln!(text, "{:58}  live                  later", "");
        let columns = ["right", "unknown", "wrong", "right", "unknown", "wrong", "runs", "whole", "mixed"];
        let mut head = format!("{:48}{:>10}", "client and scenario", "exchanges");
        for column in columns {
            let _ = write!(head, "{column:>8}");
        }
        let _ = writeln!(text, "{head}");
        for (client, rows) in &self.rows {
            let mut sum = Tally::default();
            for (scenario, tally) in rows {
                let _ = writeln!(text, "{}", row(&format!("  {scenario}"), tally));
                sum += *tally;
            }
            let _ = writeln!(text, "{}\n", row(client, &sum));
        }
        let _ = writeln!(text, "{}", row("all", &self.total()));
        let _ = writeln!(text, "{}", row("all, where agents say their names", &self.named));
        let _ = writeln!(text, "\n{TOOLS}\n{}", self.tools.join("\n"));
        f.write_str(&text)
    }
}

fn row(name: &str, tally: &Tally) -> String {
    let Tally { live, later, .. } = tally;
    let mut row = format!("{name:48}{:>10}", tally.exchanges);
    for count in [live.right, live.unknown, live.wrong, later.right, later.unknown, later.wrong, tally.runs, tally.whole, tally.mixed] {
        let _ = write!(row, "{count:>8}");
    }
    row
}
