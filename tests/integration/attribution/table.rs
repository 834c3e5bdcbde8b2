//! What is known of the captures' callers, counted, and written as a table.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    ops::AddAssign,
};

use pillion::agent::{Agents, ToolError, ToolRun};

use super::{Run, Stage, Told};
use crate::support::captures::{Capture, Expected};

/// How names compare with the truth.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names {
    pub(super) right: usize,
    pub(super) unknown: usize,
    pub(super) wrong: usize,
    /// Nobody was named, and nobody is by the program.
    pub(super) nameless: usize,
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
pub(super) struct Tally {
    pub(super) exchanges: usize,
    pub(super) live: Names,
    pub(super) later: Names,
    /// Runs, those of them that are one conversation, and conversations that are more than one run.
    runs: usize,
    whole: usize,
    pub(super) mixed: usize,
}

impl Tally {
    pub(super) fn of(told: &[Told], agents: &Agents) -> Self {
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
pub(super) struct Table {
    /// By client; a bare SDK has one line.
    rows: BTreeMap<String, Vec<(String, Tally)>>,
    /// The runs of tools: scenario, tool, agent that called it, how it failed.
    tools: Vec<String>,
    /// Where the agents say who they are.
    pub(super) named: Tally,
}

impl Table {
    pub(super) fn add(&mut self, capture: &Capture, expected: &Expected) {
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

    pub(super) fn total(&self) -> Tally {
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

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
