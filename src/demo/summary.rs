//! What the simulated agents saw, for a person: a line for each event as it comes, and a table at the end. 80 columns;
//! colours only where they were asked for.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use super::agents::{AgentEvent, Answered, Cause, What};

/// The latencies that are remembered of one agent; beyond it the oldest go.
const LATENCIES_MAX: usize = 4096;
/// The width that every line keeps within.
const WIDTH: usize = 80;

/// What is known of all agents so far.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    agents: BTreeMap<&'static str, Tally>,
}

/// What is known of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Questions that came to an end.
    pub calls: u64,
    /// Those that were answered.
    pub ok: u64,
    /// Those that it did not wait for.
    pub hung_up: u64,
    /// Those that failed, by cause.
    pub failed: BTreeMap<Cause, u64>,
    /// Tokens of prompts, as far as they were told.
    pub input_tokens: u64,
    /// Tokens of answers, as far as they were told.
    pub output_tokens: u64,
    /// Attempts of the proxy beyond the first.
    pub retries: u64,
    /// Prompts that the proxy has trimmed.
    pub trims: u64,
    /// Tokens that it left out of them.
    pub trimmed_tokens: u64,
    latencies: Vec<Duration>,
}

/// Writes a line for each event.
pub struct Printer<W> {
    output: W,
    colours: bool,
    started: Instant,
}

/// Prints events until there are no more, and the table; gives the summary back.
pub async fn follow<W: Write>(mut events: mpsc::Receiver<AgentEvent>, mut printer: Printer<W>) -> io::Result<Summary> {
    let mut summary = Summary::default();
    while let Some(event) = events.recv().await {
        summary.add(&event);
        printer.event(&event)?;
    }
    summary.print(&mut printer.output)?;
    Ok(summary)
}

impl Summary {
    /// Takes an event in.
    pub fn add(&mut self, event: &AgentEvent) {
        let tally = self.agents.entry(event.agent).or_default();
        match &event.what {
            What::Asked { .. } | What::FirstToken(_) => return,
            What::Trimmed(tokens) => {
                tally.trims += 1;
                tally.trimmed_tokens += tokens;
                return;
            }
            What::Answered(answered) => {
                tally.ok += 1;
                tally.input_tokens += answered.input_tokens.unwrap_or(0);
                tally.output_tokens += answered.output_tokens.unwrap_or(0);
                tally.retries += answered.attempts.saturating_sub(1);
                if tally.latencies.len() == LATENCIES_MAX {
                    tally.latencies.remove(0);
                }
                tally.latencies.push(answered.after);
            }
            What::Failed { cause, attempts, .. } => {
                *tally.failed.entry(cause.clone()).or_default() += 1;
                tally.retries += attempts.saturating_sub(1);
            }
            What::HungUp(_) => tally.hung_up += 1,
        }
        tally.calls += 1;
    }

    /// What is known of one agent.
    pub fn of(&self, agent: &str) -> Option<&Tally> {
        self.agents.get(agent)
    }

    /// The table, and below it what failed and why, and what would not have fitted.
    pub fn print(&self, output: &mut impl Write) -> io::Result<()> {
        let head = ("agent", "calls", "ok", "failed", "hung up", "retried", "p50", "p95", "tokens");
        writeln!(
            output,
            "\n{:<12}{:>6}{:>6}{:>8}{:>9}{:>9}{:>8}{:>8}{:>14}",
            head.0, head.1, head.2, head.3, head.4, head.5, head.6, head.7, head.8
        )?;
        for (agent, tally) in &self.agents {
            let failed: u64 = tally.failed.values().sum();
            let (p50, p95) = (tally.percentile(50), tally.percentile(95));
            let tokens = format!("{} → {}", short(tally.input_tokens), short(tally.output_tokens));
            let Tally { calls, ok, hung_up, retries, .. } = tally;
            writeln!(output, "{agent:<12}{calls:>6}{ok:>6}{failed:>8}{hung_up:>9}{retries:>9}{p50:>8}{p95:>8}{tokens:>14}")?;
        }
        for (agent, tally) in &self.agents {
            for (cause, count) in &tally.failed {
                writeln!(output, "{}", fitting(&format!("{agent}: {count} × {cause}")))?;
            }
            if tally.trims > 0 {
                let told = format!("{agent}: outgrew its model {} ×, {} tokens left out", tally.trims, short(tally.trimmed_tokens));
                writeln!(output, "{}", fitting(&told))?;
            }
        }
        output.flush()
    }
}

impl Tally {
    /// So many of a hundred answers came within this time; a dash if there were none.
    fn percentile(&self, percent: usize) -> String {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(rank).map_or_else(|| "-".to_owned(), |latency| seconds(*latency))
    }
}

impl<W: Write> Printer<W> {
    /// Onto an output, with colours if it is a terminal's.
    pub fn new(output: W, colours: bool) -> Self {
        Self { output, colours, started: Instant::now() }
    }

    /// One line.
    pub fn event(&mut self, event: &AgentEvent) -> io::Result<()> {
        let since = event.at.saturating_duration_since(self.started);
        let (colour, text) = line(&event.what);
        let line = fitting(&format!("{:>7}  {:<11} {text}", seconds(since), event.agent));
        if self.colours { writeln!(self.output, "\x1b[{colour}m{line}\x1b[0m") } else { writeln!(self.output, "{line}") }?;
        self.output.flush()
    }
}

/// What a line says of an event, and in which colour: grey for what goes on, green, yellow and red for how it ended.
fn line(what: &What) -> (u8, String) {
    match what {
        What::Asked { model, streamed, messages } => {
            let how = if *streamed { "streamed" } else { "whole" };
            (90, format!("asks {model}, {how}, {messages} message{}", if *messages == 1 { "" } else { "s" }))
        }
        What::FirstToken(after) => (90, format!("reads the first words after {}", seconds(*after))),
        What::Trimmed(tokens) => (33, format!("outgrew its model, {tokens} tokens left out")),
        What::Answered(Answered { after, input_tokens, output_tokens, tools, attempts }) => {
            let tokens = input_tokens.zip(*output_tokens).map(|(input, output)| format!(", {input} → {output} tokens")).unwrap_or_default();
            let calls = if tools.is_empty() { String::new() } else { format!(", calls {}", tools.join(" and ")) };
            let text = format!("has its answer after {}{tokens}{calls}", seconds(*after));
            (32, text + &tries(*attempts))
        }
        What::Failed { after, cause, attempts } => (31, format!("fails after {}: {cause}{}", seconds(*after), tries(*attempts))),
        What::HungUp(after) => (33, format!("hangs up after {}", seconds(*after))),
    }
}

fn tries(attempts: u64) -> String {
    if attempts > 1 { format!(", {attempts} attempts") } else { String::new() }
}

/// A number that may be a large one, in few characters.
fn short(number: u64) -> String {
    match number {
        0..1_000_000 => number.to_string(),
        1_000_000..10_000_000_000 => format!("{}.{}M", number / 1_000_000, number / 100_000 % 10),
        _ => format!("{}G", number / 1_000_000_000),
    }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        short if short < 1.0 => format!("{}ms", duration.as_millis()),
        long if long < 100.0 => format!("{long:.1}s"),
        long => format!("{long:.0}s"),
    }
}

/// A line that keeps within the width.
fn fitting(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{sync::mpsc, time::Instant};

    use super::{Printer, Summary, WIDTH, follow};
    use crate::demo::agents::{AgentEvent, Answered, Cause, What};

    fn answered(milliseconds: u64, attempts: u64) -> What {
        let after = Duration::from_millis(milliseconds);
        let tools = vec!["search".to_owned()];
        What::Answered(Answered { after, input_tokens: Some(10), output_tokens: Some(5), tools, attempts })
    }

    fn grown(after: Duration) -> What {
        What::Answered(Answered { after, input_tokens: Some(61_440_000), output_tokens: Some(97), tools: Vec::new(), attempts: 1 })
    }

    fn failed(cause: Cause) -> What {
        What::Failed { after: Duration::from_secs(4), cause, attempts: 3 }
    }

    fn event(agent: &'static str, what: What) -> AgentEvent {
        AgentEvent { agent, at: Instant::now(), what }
    }

    fn events() -> Vec<AgentEvent> {
        let asked = What::Asked { model: "gpt-4o", streamed: true, messages: 1 };
        let refused = Cause::Status(504, "timeout_first_token".to_owned());
        let mut events = vec![event("planner", asked), event("planner", What::FirstToken(Duration::from_millis(3)))];
        events.extend((1..=20).map(|n| event("planner", answered(n * 100, 1 + n % 2))));
        events.push(event("stalled", failed(refused.clone())));
        events.push(event("stalled", failed(refused)));
        events.push(event("stalled", failed(Cause::Told("a_code_that_is_much_longer_than_what_fits_into_a_line_of_a_terminal_window".to_owned()))));
        events.extend((0..2).flat_map(|n| [What::Trimmed(800_000 + n), grown(Duration::from_secs(n))]).map(|what| event("hoarder", what)));
        events.push(event("impatient", What::HungUp(Duration::from_millis(1200))));
        events
    }

    #[test]
    fn every_call_is_counted_once_by_how_it_ended() {
        let mut summary = Summary::default();
        for event in events() {
            summary.add(&event);
        }
        let planner = summary.of("planner").unwrap();
        assert_eq!((planner.calls, planner.ok, planner.retries, planner.input_tokens, planner.output_tokens), (20, 20, 10, 200, 100));
        assert_eq!((planner.percentile(50), planner.percentile(95)), ("1.0s".to_owned(), "1.9s".to_owned()));
        let stalled = summary.of("stalled").unwrap();
        assert_eq!((stalled.calls, stalled.ok, stalled.retries, stalled.failed.values().sum::<u64>()), (3, 0, 6, 3));
        let hoarder = summary.of("hoarder").unwrap();
        assert_eq!((hoarder.calls, hoarder.trims, hoarder.trimmed_tokens, planner.trims), (2, 2, 1_600_001, 0));
        assert_eq!((summary.of("impatient").unwrap().hung_up, stalled.percentile(50)), (1, "-".to_owned()));
    }

    #[tokio::test]
    async fn lines_and_table_keep_within_eighty_columns_and_have_no_colours_unless_asked_for() {
        for colours in [false, true] {
            let (send, receive) = mpsc::channel(64);
            for event in events() {
                send.send(event).await.unwrap();
            }
            drop(send);
            let mut output = Vec::new();
            follow(receive, Printer::new(&mut output, colours)).await.unwrap();
            let text = String::from_utf8(output).unwrap();
            assert_eq!(text.contains('\x1b'), colours);
            for line in text.lines().filter(|line| !line.contains('\x1b')) {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
            for part in [
                "has its answer after 2.0s, 10 → 5 tokens, calls search",
                "outgrew its model, 800001 tokens left out",
                "stalled: 2 × 504 timeout_first_token",
                "hangs up after 1.2s",
                "200 → 100",
                " 122.8M → 194\n",
                "hoarder: outgrew its model 2 ×, 1.6M tokens left out",
            ] {
                assert!(text.contains(part), "{part}\nnot in\n{text}");
            }
        }
    }
}
