//! Who called, and which requests belong together, as far as the wire lets it be told: the captures of real clients are replayed through the
//! memory, and what it says is held against who really called. Unknown is honest; wrong is never said, and runs are never mixed up.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, SystemTime},
};

use pillion::{
    agent::{Agents, Arrival, Ending, Moment, Place, Source, Stage as Waiting, ToolRun},
    wire::{Reading, Request},
};
use tokio::time::Instant;

use crate::support::captures::{self, Capture, Exchanged, Expected, Truth};
use table::{Table, Tally};

mod table;

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
        Moment { instant: BEGUN.with(|begun| *begun) + self.passed, wall: SystemTime::UNIX_EPOCH + Duration::from_hours(500_000) + self.passed }
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
