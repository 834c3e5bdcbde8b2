//! What `top` shows as lines of text: totals, a table of agents, the last failures with their causes, tools that run; as much of each as there is room
//! for. What traffic says is harmless in them.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    ago,
    causes::cause,
    client::Unseen,
    seen::{Agent, Exchange, Running, Seen},
};
use crate::{
    cli::summary::{Look, dollars, thousands},
    telemetry::{Short, Word},
};

/// Lines of a page that no section may take from another: of agents, of failures, of tools.
const SHARES: [usize; 3] = [4, 3, 1];
/// Most rows of a section.
const ROWS_MAX: usize = 50;
/// Errors that are told of one agent in its row.
const ERRORS_MAX: usize = 4;
/// The column of causes takes what is left, where that is at least so much.
const CAUSES_MIN: usize = 18;

/// Characters that take no cell of their own.
const NARROW: [RangeInclusive<char>; 4] = ['\u{300}'..='\u{36f}', '\u{200b}'..='\u{200d}', '\u{20d0}'..='\u{20ff}', '\u{fe00}'..='\u{fe0f}'];
/// Characters that take two.
const WIDE: [RangeInclusive<char>; 9] = [
    '\u{1100}'..='\u{115f}',
    '\u{2e80}'..='\u{a4cf}',
    '\u{ac00}'..='\u{d7a3}',
    '\u{f900}'..='\u{faff}',
    '\u{fe30}'..='\u{fe6f}',
    '\u{ff00}'..='\u{ff60}',
    '\u{ffe0}'..='\u{ffe6}',
    '\u{1f300}'..='\u{1faff}',
    '\u{20000}'..='\u{3fffd}',
];

/// Columns and lines that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) width: usize,
    pub(super) height: usize,
}

/// One line, which keeps within the width.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) look: Look,
    pub(super) text: String,
}

/// What is known so far.
#[derive(Debug)]
pub(super) struct View<'a> {
    url: &'a str,
    every: Option<Duration>,
    seen: Option<Seen>,
    /// Exchanges a second between the last two looks.
    rate: Option<f64>,
    trouble: Option<String>,
    missed: Option<Instant>,
}

/// A column of the table of agents.
struct Column {
    head: &'static str,
    width: usize,
    /// The narrowest table that has it.
    from: usize,
    cell: fn(&Agent) -> String,
}

/// To the right, but the first.
const COLUMNS: [Column; 12] = [
    Column { head: "agent", width: 16, from: 0, cell: |agent| Word(&agent.name).to_string() },
    Column { head: "calls", width: 7, from: 0, cell: |agent| thousands(agent.total()) },
    Column { head: "ok", width: 7, from: 50, cell: |agent| thousands(agent.ended(crate::telemetry::names::Outcome::Ok)) },
    Column { head: "failed", width: 7, from: 0, cell: |agent| thousands(agent.failed()) },
    Column { head: "hung up", width: 8, from: 46, cell: |agent| thousands(agent.hung_up()) },
    Column { head: "retries", width: 8, from: 108, cell: |agent| thousands(agent.retries) },
    Column { head: "p50", width: 8, from: 62, cell: |agent| time(agent.latency.p50_seconds) },
    Column { head: "p95", width: 8, from: 56, cell: |agent| time(agent.latency.p95_seconds) },
    Column { head: "tokens", width: 17, from: 79, cell: tokens },
    Column { head: "cost", width: 10, from: 90, cell: cost },
    Column { head: "tools", width: 12, from: 100, cell: tools },
    Column { head: "named by", width: 14, from: 122, cell: |agent| Word(agent.source()).to_string() },
];

impl<'a> View<'a> {
    /// Of nothing yet. `every` says how often somebody looks, if more than once.
    pub(super) fn new(url: &'a str, every: Option<Duration>) -> Self {
        Self { url, every, seen: None, rate: None, trouble: None, missed: None }
    }

    /// Takes in what was seen.
    pub(super) fn take(&mut self, seen: Seen) {
        self.rate = self.seen.as_ref().and_then(|before| {
            let more = u32::try_from(seen.sum(Agent::total).checked_sub(before.sum(Agent::total))?).ok()?;
            let within = seen.at.saturating_duration_since(before.at).as_secs_f64();
            (within > 0.0).then(|| f64::from(more) / within)
        });
        (self.seen, self.trouble, self.missed) = (Some(seen), None, None);
    }

    /// Nothing was seen. What was seen last is kept, and said to be old.
    pub(super) fn miss(&mut self, unseen: &Unseen) {
        self.trouble = Some(unseen.to_string());
        self.missed = self.missed.or_else(|| Some(Instant::now()));
        self.rate = None;
    }

    /// As many lines as there is room for.
    pub(super) fn lines(&self, room: Room) -> Vec<Line> {
        let mut lines = self.head(room);
        if let Some(seen) = &self.seen {
            let left = room.height.saturating_sub(lines.len());
            lines.extend(body(seen, Room { height: left, ..room }));
        }
        lines.truncate(room.height);
        for line in &mut lines {
            line.text = fitting(&line.text, room.width);
        }
        lines
    }

    fn head(&self, room: Room) -> Vec<Line> {
        let every = self.every.map(|every| format!("every {} · q quits", humantime::format_duration(every))).unwrap_or_default();
        let title = format!("pillion top  {}", self.url);
        let space = room.width.saturating_sub(cells(&title) + cells(&every));
        let ends = if space >= 2 && !every.is_empty() { format!("{title}{}{every}", " ".repeat(space)) } else { title };
        let mut lines = vec![plain(ends)];
        if let Some(trouble) = &self.trouble {
            lines.push(Line { look: Look::Bad, text: format!("the admin port {trouble}") });
            let seen = self
                .seen
                .as_ref()
                .map(|seen| format!("; below is what was seen {} ago", humantime::format_duration(ago(seen.at))))
                .unwrap_or_default();
            let since = self.missed.map(|missed| format!(" for {}", humantime::format_duration(ago(missed)))).unwrap_or_default();
            lines.push(Line { look: Look::Odd, text: format!("trying again{since}{seen}") });
        }
        match &self.seen {
            Some(seen) => lines.push(totals(seen, self.rate)),
            None if self.trouble.is_none() => lines.push(faint("looking …".to_owned())),
            None => {}
        }
        lines
    }
}

/// `1234 exchanges, 3.2/s · 4 in flight · 12 failed · 3 hung up · 81.2k → 9.1k tokens · $1.23 · 5 conversations`
fn totals(seen: &Seen, rate: Option<f64>) -> Line {
    let (total, failed, hung_up) = (seen.sum(Agent::total), seen.sum(Agent::failed), seen.sum(Agent::hung_up));
    let mut parts = vec![format!("{total} exchange{}{}", plural(total), rate.map(|rate| format!(", {rate:.1}/s")).unwrap_or_default())];
    parts.push(format!("{:.0} in flight", seen.in_flight));
    parts.push(format!("{failed} failed"));
    parts.push(format!("{hung_up} hung up"));
    parts.push(format!("{} → {} tokens", thousands(seen.sum(|agent| agent.tokens.input)), thousands(seen.sum(|agent| agent.tokens.output))));
    let usd: f64 = seen.agents.iter().map(|agent| agent.cost_usd).sum();
    if usd > 0.0 {
        parts.push(format!("{}${}", if seen.sum(|agent| agent.cost_missing) > 0 { "≥" } else { "" }, dollars(usd)));
    }
    parts.push(format!("{} conversation{}", seen.conversations, plural(seen.conversations)));
    Line { look: if failed > 0 { Look::Bad } else { Look::Plain }, text: parts.join(" · ") }
}

/// The three sections, each with a line above and, but the first, an empty one above that.
fn body(seen: &Seen, room: Room) -> Vec<Line> {
    let wants = [seen.agents.len(), seen.failures.len(), seen.running.len()].map(|rows| rows.min(ROWS_MAX));
    let titles: usize = wants.iter().map(|rows| if *rows > 0 { 2 } else { 0 }).sum();
    let [agents, failures, running] = shared(room.height.saturating_sub(titles), wants);
    let columns: Vec<&Column> = COLUMNS.iter().filter(|column| column.from <= room.width).collect();
    let taken: usize = columns.iter().map(|column| column.width).sum();
    let causes = room.width.saturating_sub(taken + 2) >= CAUSES_MIN;
    let mut lines = Vec::new();
    section(&mut lines, table_head(&columns, causes), (&seen.agents, agents), |agent| of_agent(agent, &columns, causes));
    section(&mut lines, "last failures (UTC)".to_owned(), (&seen.failures, failures), of_failure);
    section(&mut lines, "tools that run".to_owned(), (&seen.running, running), of_running);
    lines
}

fn section<T>(lines: &mut Vec<Line>, head: String, (rows, most): (&[T], usize), row: impl Fn(&T) -> Line) {
    if rows.is_empty() || most == 0 {
        return;
    }
    lines.push(plain(String::new()));
    lines.push(faint(head));
    let shown = if rows.len() > most { most - 1 } else { most };
    lines.extend(rows.iter().take(shown).map(row));
    if rows.len() > most {
        lines.push(faint(format!("and {} more", rows.len() - shown)));
    }
}

/// Shares lines out, in turns, until nobody wants more.
fn shared(mut left: usize, wants: [usize; 3]) -> [usize; 3] {
    let mut given = [0; 3];
    while left > 0 && given != wants {
        for ((given, want), share) in given.iter_mut().zip(wants).zip(SHARES) {
            let more = share.min(want - *given).min(left);
            *given += more;
            left -= more;
        }
    }
    given
}

fn table_head(columns: &[&Column], causes: bool) -> String {
    let head = row(columns.iter().map(|column| (column.head.to_owned(), column.width)));
    if causes { head + "  fails by" } else { head }
}

fn of_agent(agent: &Agent, columns: &[&Column], causes: bool) -> Line {
    let look = if agent.failed() > 0 {
        Look::Bad
    } else if agent.hung_up() > 0 {
        Look::Odd
    } else {
        Look::Plain
    };
    let cells = row(columns.iter().map(|column| ((column.cell)(agent), column.width)));
    let text = if causes { format!("{cells}  {}", errors(&agent.errors)) } else { cells };
    Line { look, text: text.trim_end().to_owned() }
}

/// `12:24:27  planner  no first token in time (timeouts.first_token) · gpt-4o at openai · 4.00s, 3 attempts`
fn of_failure(exchange: &Exchange) -> Line {
    let agent = exchange.revised_agent.as_ref().unwrap_or(&exchange.agent);
    let mut parts = vec![cause(exchange)];
    parts.extend(exchange.model.as_ref().map(|model| {
        let upstream = exchange.upstream.as_ref().map(|upstream| format!(" at {}", Word(upstream))).unwrap_or_default();
        format!("{}{upstream}", Word(model))
    }));
    let attempts = if exchange.attempts > 1 { format!(", {} attempts", exchange.attempts) } else { String::new() };
    parts.push(format!("{}{attempts}", time(Some(exchange.duration_seconds))));
    let look = if exchange.outcome == "cancelled" { Look::Odd } else { Look::Bad };
    Line { look, text: format!("{}  {} {}", ended_at(exchange), padded(&Word(agent).to_string(), 15, false), parts.join(" · ")) }
}

fn of_running(running: &Running) -> Line {
    let (tool, agent) = (Word(&running.tool), Word(&running.agent));
    plain(format!("{tool} of {agent}, for {}", time(Some(running.seconds))))
}

/// `3 × 429, 1 × timeout_first_token`, the most frequent first.
fn errors(errors: &BTreeMap<String, u64>) -> String {
    let mut all: Vec<_> = errors.iter().collect();
    all.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    all.into_iter().take(ERRORS_MAX).map(|(error, count)| format!("{count} × {}", Word(error))).collect::<Vec<_>>().join(", ")
}

fn tokens(agent: &Agent) -> String {
    let told = agent.tokens.input > 0 || agent.tokens.output > 0;
    if told { format!("{} → {}", thousands(agent.tokens.input), thousands(agent.tokens.output)) } else { "-".to_owned() }
}

fn cost(agent: &Agent) -> String {
    // A sum that lacks something is at least so much.
    let least = if agent.cost_missing > 0 { "≥" } else { "" };
    if agent.cost_usd > 0.0 { format!("{least}${}", dollars(agent.cost_usd)) } else { "-".to_owned() }
}

/// `12` runs; `12, 2 bad`.
fn tools(agent: &Agent) -> String {
    let (runs, errors) = agent.tools.values().fold((0, 0), |(runs, errors), tool| (runs + tool.runs, errors + tool.errors));
    match (runs, errors) {
        (0, 0) => "-".to_owned(),
        (runs, 0) => thousands(runs),
        (runs, errors) => format!("{}, {} bad", thousands(runs), thousands(errors)),
    }
}

fn time(seconds: Option<f64>) -> String {
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.map_or_else(|| "-".to_owned(), |duration| Short(duration).to_string())
}

/// The time of day, in UTC, at which an exchange ended.
fn ended_at(exchange: &Exchange) -> String {
    let since_epoch = humantime::parse_rfc3339(&exchange.started_at).ok().and_then(|started| {
        let took = Duration::try_from_secs_f64(exchange.duration_seconds).ok()?;
        started.checked_add(took)?.duration_since(SystemTime::UNIX_EPOCH).ok()
    });
    let second = since_epoch.map(|since| since.as_secs() % 86_400);
    second.map_or_else(|| "--:--:--".to_owned(), |second| format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60))
}

/// Cells in their columns: the first to the left, the others to the right.
fn row(cells: impl Iterator<Item = (String, usize)>) -> String {
    cells.enumerate().map(|(nth, (cell, width))| if nth == 0 { padded(&cell, width - 1, false) + " " } else { padded(&cell, width, true) }).collect()
}

/// Exactly so wide.
fn padded(text: &str, width: usize, right: bool) -> String {
    let text = fitting(text, width);
    let space = " ".repeat(width.saturating_sub(cells(&text)));
    if right { space + &text } else { text + &space }
}

/// At most so wide.
fn fitting(text: &str, width: usize) -> String {
    if cells(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |c: &char| {
        let room = left.checked_sub(cell(*c));
        left = room.unwrap_or_default();
        room.is_some()
    };
    text.chars().take_while(fits).chain((width > 0).then_some('…')).collect()
}

fn cells(text: &str) -> usize {
    text.chars().map(cell).sum()
}

/// Cells that a terminal gives a character: none to marks upon others, two to those of East Asia and to pictures.
fn cell(c: char) -> usize {
    if NARROW.iter().any(|range| range.contains(&c)) {
        return 0;
    }
    if WIDE.iter().any(|range| range.contains(&c)) { 2 } else { 1 }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn plain(text: String) -> Line {
    Line { look: Look::Plain, text }
}

fn faint(text: String) -> Line {
    Line { look: Look::Faint, text }
}

#[cfg(test)]
mod tests;
