//! What a program's agents did, for the person at its terminal when it has ended: a line for all, a line for each agent, and below what failed and which
//! tools ran. Nothing where nothing was asked. 80 columns; colours only where they were asked for.

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::telemetry::{
    Short, Word,
    names::{Outcome, UNKNOWN},
    recent::AgentSums,
};

/// The width that every line keeps within.
const WIDTH: usize = 80;
/// Agents with a line of their own; errors and tools that are told of each.
const MOST: usize = 20;

/// How something looks on a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    Plain,
    Faint,
    Bad,
    Odd,
}

impl Look {
    /// The text as a terminal is to be told it.
    pub(super) fn paint(self, text: &str, colours: bool) -> String {
        match (colours, self) {
            (false, _) | (true, Self::Plain) => text.to_owned(),
            (true, Self::Faint) => format!("\x1b[90m{text}\x1b[0m"),
            (true, Self::Bad) => format!("\x1b[31m{text}\x1b[0m"),
            (true, Self::Odd) => format!("\x1b[33m{text}\x1b[0m"),
        }
    }
}

/// Prints what `agents` did within `took`.
pub(super) fn print(mut out: impl Write, mut agents: Vec<AgentSums>, took: Duration, colours: bool) -> io::Result<()> {
    if agents.is_empty() {
        return Ok(());
    }
    // The busiest first, those without a name last.
    agents.sort_by(|a, b| (&*a.name == UNKNOWN).cmp(&(&*b.name == UNKNOWN)).then(b.exchanges.total().cmp(&a.exchanges.total())));
    let mut line = |look: Look, text: &str| writeln!(out, "{}", look.paint(&fitting(text.trim_end()), colours));
    line(Look::Plain, &all(&agents, took))?;
    line(Look::Faint, &row(["agent", "total", "ok", "failed", "hung up", "median", "slowest", "tokens", "cost"]))?;
    for agent in agents.iter().take(MOST) {
        let look = if failed(agent) > 0 { Look::Bad } else { Look::Plain };
        line(look, &of_agent(agent))?;
    }
    if agents.len() > MOST {
        line(Look::Faint, &format!("and {} more", agents.len() - MOST))?;
    }
    for agent in agents.iter().take(MOST) {
        let name = Word(&agent.name);
        if let Some(failures) = failures(agent) {
            line(Look::Bad, &format!("{name}: failed {failures}"))?;
        }
        if let Some(hang_ups) = hang_ups(agent) {
            line(Look::Odd, &format!("{name}: hung up {hang_ups}"))?;
        }
        if agent.sdk_retries > 0 {
            line(Look::Odd, &format!("{name}: its SDK asked again {} ×", agent.sdk_retries))?;
        }
        if agent.trims > 0 {
            let (prompts, tokens) = (agent.trims, thousands(agent.trimmed_tokens));
            line(Look::Odd, &format!("{name}: {prompts} prompt{} trimmed by {tokens} tokens", if prompts == 1 { "" } else { "s" }))?;
        }
        for (tool, sums) in agent.tools.iter().take(MOST) {
            let errors = sums.last_error.as_ref().map(|last| format!(", {} failed ({})", sums.errors, Word(last))).unwrap_or_default();
            let refused = sums.schema_mismatches;
            let refused = if refused > 0 { format!(", {refused} called against its schema") } else { String::new() };
            let look = if sums.errors > 0 || !refused.is_empty() { Look::Bad } else { Look::Faint };
            line(look, &format!("{name}: tool {} ran {} ×, slowest {}{errors}{refused}", Word(tool), sums.runs, Short(sums.max)))?;
        }
    }
    out.flush()
}

/// `pillion: 14 exchanges in 42.0s: 11 ok, 2 rate_limited, 1 timeout; 3 retries`
fn all(agents: &[AgentSums], took: Duration) -> String {
    let count = |outcome: Outcome| agents.iter().map(|agent| agent.exchanges.of(outcome)).sum::<u64>();
    let total: u64 = agents.iter().map(|agent| agent.exchanges.total()).sum();
    let ended: Vec<_> =
        Outcome::ALL.into_iter().filter(|outcome| count(*outcome) > 0).map(|outcome| format!("{} {}", count(outcome), outcome.as_str())).collect();
    let retries: u64 = agents.iter().map(|agent| agent.retries).sum();
    let retries = match retries {
        0 => String::new(),
        1 => "; 1 retry".to_owned(),
        more => format!("; {more} retries"),
    };
    format!("pillion: {total} exchange{} in {}: {}{retries}", if total == 1 { "" } else { "s" }, Short(took), ended.join(", "))
}

fn of_agent(agent: &AgentSums) -> String {
    let time = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), |time| Short(time).to_string());
    let answered = agent.exchanges.of(Outcome::Ok) > 0;
    let has_tokens = agent.tokens.input > 0 || agent.tokens.output > 0;
    let tokens = if has_tokens { format!("{} → {}", thousands(agent.tokens.input), thousands(agent.tokens.output)) } else { "-".to_owned() };
    // A sum that lacks something is at least so much.
    let least = if agent.cost_missing > 0 { "≥" } else { "" };
    let cost = if agent.cost_usd > 0.0 { format!("{least}${}", dollars(agent.cost_usd)) } else { "-".to_owned() };
    row([
        &Word(&agent.name).to_string(),
        &agent.exchanges.total().to_string(),
        &agent.exchanges.of(Outcome::Ok).to_string(),
        &failed(agent).to_string(),
        &agent.exchanges.of(Outcome::Cancelled).to_string(),
        &time(agent.latency.percentile(50)),
        &time(answered.then_some(agent.latency.max)),
        &tokens,
        &cost,
    ])
}

/// The columns: the first to the left, the others to the right.
fn row([agent, total, ok, failed, hung_up, median, slowest, tokens, cost]: [&str; 9]) -> String {
    let agent: String = if agent.chars().count() > 14 { agent.chars().take(13).chain(['…']).collect() } else { agent.to_owned() };
    format!("{agent:<14}{total:>6}{ok:>5}{failed:>7}{hung_up:>8}{median:>8}{slowest:>8}{tokens:>15}{cost:>9}")
}

fn failed(agent: &AgentSums) -> u64 {
    Outcome::ALL.into_iter().filter(|outcome| outcome.failed()).map(|outcome| agent.exchanges.of(outcome)).sum()
}

/// `2 × 429, 1 × timeout_first_token; the last: 429 (rate_limit_exceeded) of gpt-4o`
fn failures(agent: &AgentSums) -> Option<String> {
    let last = agent.last_error.as_ref()?;
    let causes: Vec<_> = agent.errors.iter().take(MOST).map(|(error, count)| format!("{count} × {}", Word(error))).collect();
    let word = last.provider_error.as_ref().map(|word| format!(" ({})", Word(word))).unwrap_or_default();
    let model = last.model.as_ref().map(|model| format!(" of {}", Word(model))).unwrap_or_default();
    let the_last = if agent.errors.len() > 1 { format!("; the last: {}{word}{model}", Word(&last.error_type)) } else { format!("{word}{model}") };
    Some(causes.join(", ") + &the_last)
}

/// `2 × after 60.0s, its own limit of 60.0s`
fn hang_ups(agent: &AgentSums) -> Option<String> {
    let hang_ups = agent.hang_ups.as_ref()?;
    let waited = Short(hang_ups.waited.percentile(50).unwrap_or_default());
    let limit = agent.agent_timeout.map(|limit| format!(", its SDK's limit is {}", Short(limit))).unwrap_or_default();
    Some(format!("{} × after {waited}{limit}", hang_ups.count))
}

/// `1234`, `12.3k`, `45.6M`.
pub(super) fn thousands(tokens: u64) -> String {
    match tokens {
        0..10_000 => tokens.to_string(),
        10_000..10_000_000 => format!("{}.{}k", tokens / 1000, tokens % 1000 / 100),
        _ => format!("{}.{}M", tokens / 1_000_000, tokens % 1_000_000 / 100_000),
    }
}

/// `1234`, `0.25`, `0.0021`.
pub(super) fn dollars(usd: f64) -> String {
    match usd {
        much if much >= 100.0 => format!("{much:.0}"),
        some if some >= 0.01 => format!("{some:.2}"),
        little if little >= 0.0001 => format!("{little:.4}"),
        // Not free.
        less => format!("{less:.6}"),
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

    use super::{WIDTH, dollars, print, thousands};
    use crate::telemetry::{Telemetry, fixture};
    use crate::{
        agent::{ToolError, ToolRun},
        config,
        telemetry::{
            Record,
            names::{Outcome, Reason},
        },
        wire::ReplyError,
    };

    fn run(name: &str, error: Option<ToolError>) -> ToolRun {
        let called_at = fixture::record().started_at;
        ToolRun { name: name.into(), id: None, agent: None, called_at, duration: Duration::from_millis(3200), error, trace: 1, span_id: 2, parent: 3 }
    }

    fn printed(records: Vec<Record>, colours: bool) -> String {
        let telemetry = Telemetry::start(&config::Telemetry::default(), Box::new(std::io::sink())).unwrap();
        for record in records {
            telemetry.report(record);
        }
        let mut out = Vec::new();
        print(&mut out, telemetry.recent().agents(), Duration::from_secs(42), colours).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn records() -> Vec<Record> {
        let record = fixture::record;
        let mut quota = Record { outcome: Outcome::RateLimited, status: Some(429), agent: Some("writer".into()), ..record() };
        quota.reply.error = Some(ReplyError { code: Some("insufficient_quota".to_owned()), ..ReplyError::default() });
        vec![
            Record { cost: Some(0.0021), ..record() },
            Record {
                cost: Some(0.01),
                tools: vec![run("search", None), run("fetch", Some(ToolError::Exception("TimeoutError".into())))],
                ..record()
            },
            Record { outcome: Outcome::Timeout, reason: Some(Reason::TimeoutFirstToken), agent: Some("writer".into()), ..record() },
            quota,
            Record { outcome: Outcome::Cancelled, duration: Duration::from_mins(1), agent: Some("a name that is quite long".into()), ..record() },
            Record { agent: None, ..record() },
        ]
    }

    #[test]
    fn each_agent_has_its_line_and_what_went_wrong_is_said() {
        let text = printed(records(), false);
        let expected = "\
pillion: 6 exchanges in 42.00s: 3 ok, 1 rate_limited, 1 timeout, 1 cancelled; 6 retries
agent          total   ok failed hung up  median slowest         tokens     cost
planner            2    2      0       0   1.24s   1.24s     1624 → 190    $0.01
writer             2    0      2       0       -       -     1624 → 190        -
\"a name that …     1    0      0       1       -       -       812 → 95        -
unknown            1    1      0       0   1.24s   1.24s       812 → 95        -
planner: tool fetch ran 1 ×, slowest 3.20s, 1 failed (TimeoutError)
planner: tool search ran 1 ×, slowest 3.20s
writer: failed 1 × 429, 1 × timeout_first_token; the last: 429 (insufficient_qu…
\"a name that is quite long\": hung up 1 × after 60.00s, its SDK's limit is 60.00s
";
        let expected = expected.replace("; 6 retries", &"; 6 retries".chars().take(80).collect::<String>());
        assert_eq!(text, expected.lines().map(|line| super::fitting(line) + "\n").collect::<String>());
    }

    #[test]
    fn lines_keep_within_eighty_columns_and_have_colours_only_where_asked_for() {
        let mut many = records();
        many.extend((0..100).map(|n| Record { agent: Some(format!("agent {n}").into()), path: "/é".repeat(200), ..fixture::record() }));
        for colours in [false, true] {
            let text = printed(many.clone(), colours);
            assert_eq!(text.contains('\x1b'), colours);
            assert!(text.lines().all(|line| line.replace("\x1b[0m", "").trim_start_matches("\x1b[").chars().count() <= WIDTH + 3), "{text}");
            assert!(text.contains("and 84 more") && text.lines().count() < 60, "{text}");
        }
    }

    #[test]
    fn prompts_that_were_trimmed_are_told_of_each_agent() {
        let trimmed = || Record { trim: Some(fixture::trim()), ..fixture::record() };
        let once = printed(vec![trimmed(), fixture::record()], false);
        assert!(once.contains("\nplanner: 1 prompt trimmed by 34.5k tokens\n"), "{once}");
        let twice = printed(vec![trimmed(), trimmed()], false);
        assert!(twice.contains("\nplanner: 2 prompts trimmed by 69.1k tokens\n"), "{twice}");
    }

    #[test]
    fn where_nothing_was_asked_nothing_is_said() {
        assert_eq!(printed(Vec::new(), true), "");
    }

    #[test]
    fn what_traffic_says_cannot_write_to_the_terminal() {
        let mut record = fixture::record();
        record.tools = vec![run("\x1b[2J", Some(ToolError::Exception("\x07".into())))];
        record.agent = Some("a\x1b]0;b".into());
        let text = printed(vec![record], false);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn numbers_are_short() {
        for (tokens, expected) in [(0, "0"), (9_999, "9999"), (12_345, "12.3k"), (9_999_999, "9999.9k"), (45_600_000, "45.6M")] {
            assert_eq!(thousands(tokens), expected);
        }
        for (usd, expected) in [(0.000_012, "0.000012"), (0.0021, "0.0021"), (0.25, "0.25"), (12.345, "12.35"), (1234.0, "1234")] {
            assert_eq!(dollars(usd), expected);
        }
    }
}
