//! A script as it is being played: which step the next request gets.

use std::collections::VecDeque;

use super::{Rule, Script, Standing, Step, Times, When};

/// What is known of a request when its step is chosen.
pub(in crate::demo) struct Arrival<'a> {
    /// The target as sent.
    pub(in crate::demo) target: &'a str,
    /// Headers as sent.
    pub(in crate::demo) headers: &'a [(String, String)],
    /// The model asked for.
    pub(in crate::demo) model: Option<&'a str>,
    /// The body, as far as it was kept.
    pub(in crate::demo) body: &'a [u8],
}

/// The steps that are left and the rules with how often they matched.
#[derive(Debug, Default)]
pub(in crate::demo) struct Playing {
    steps: VecDeque<(Step, Times)>,
    rules: Vec<RuleState>,
    standing: Standing,
}

#[derive(Debug)]
struct RuleState {
    rule: Rule,
    left: Times,
    matched: u64,
}

impl Playing {
    /// From the beginning.
    pub(in crate::demo) fn new(script: Script) -> Self {
        let steps = script
            .steps
            .into_iter()
            .map(|step| {
                let times = step.times.unwrap_or(Times::Count(1));
                (step, times)
            })
            .collect();
        let rules = script.rules.into_iter().map(|rule| RuleState { left: rule.step.times.unwrap_or(Times::Always), rule, matched: 0 }).collect();
        Self { steps, rules, standing: script.standing }
    }

    /// What holds for all requests.
    pub(in crate::demo) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether the next step strikes at connect.
    pub(in crate::demo) fn strikes_at_connect(&self) -> bool {
        self.steps.front().is_some_and(|(step, _)| step.at_connect())
    }

    /// The step of a new connection, if the next one strikes there.
    pub(in crate::demo) fn at_connect(&mut self) -> Option<Step> {
        self.strikes_at_connect().then(|| self.next_step())
    }

    /// The step of a request: the first rule's that takes it, else the next one, else a good answer.
    pub(in crate::demo) fn step(&mut self, arrival: &Arrival<'_>) -> Step {
        let step = self.taken(arrival);
        let standing = &self.standing;
        Step {
            context: step.context.or(standing.context),
            tokens: step.tokens.or(standing.tokens),
            overflow_words: step.overflow_words.or(standing.overflow_words),
            context_status: step.context_status.or(standing.context_status),
            context_event: step.context_event.or(standing.context_event),
            encode: step.encode.or(standing.encode),
            ..step
        }
    }

    fn taken(&mut self, arrival: &Arrival<'_>) -> Step {
        if let Some(step) = self.rules.iter_mut().find_map(|rule| rule.take(arrival)) {
            return step;
        }
        match self.steps.front() {
            Some((step, _)) if !step.at_connect() => self.next_step(),
            _ => Step::default(),
        }
    }

    /// The step of a request whose head alone is known, if that step does not wait for the body; else nothing is consumed.
    pub(in crate::demo) fn early_step(&mut self, arrival: &Arrival<'_>) -> Option<Step> {
        let rule = self.rules.iter().find(|rule| rule.would_take(arrival)).map(|rule| &rule.rule.step);
        let early = rule.or_else(|| self.steps.front().map(|(step, _)| step)).is_some_and(|step| step.early_response);
        early.then(|| self.step(arrival))
    }

    fn next_step(&mut self) -> Step {
        let Some((step, left)) = self.steps.front_mut() else { return Step::default() };
        let taken = step.clone();
        if spend(left) {
            self.steps.pop_front();
        }
        taken
    }
}

impl RuleState {
    fn take(&mut self, arrival: &Arrival<'_>) -> Option<Step> {
        if !self.rule.when.holds(arrival) || self.left == Times::Count(0) {
            return None;
        }
        self.matched += 1;
        if !self.is_turn(self.matched) {
            return None;
        }
        spend(&mut self.left);
        Some(self.rule.step.clone())
    }

    fn would_take(&self, arrival: &Arrival<'_>) -> bool {
        self.left != Times::Count(0) && self.rule.when.holds(arrival) && self.is_turn(self.matched + 1)
    }

    fn is_turn(&self, matched: u64) -> bool {
        self.rule.when.every.is_none_or(|every| matched.is_multiple_of(every.get()))
    }
}

/// Takes one off; true when none is left.
fn spend(times: &mut Times) -> bool {
    match times {
        Times::Always => false,
        Times::Count(count) => {
            *count = count.saturating_sub(1);
            *count == 0
        }
    }
}

impl When {
    fn holds(&self, arrival: &Arrival<'_>) -> bool {
        let within = |part: &Option<String>, whole: &str| part.as_ref().is_none_or(|part| whole.contains(part.as_str()));
        within(&self.path, arrival.target)
            && within(&self.model, arrival.model.unwrap_or_default())
            && self.body.as_ref().is_none_or(|part| memchr::memmem::find(arrival.body, part.as_bytes()).is_some())
            && self.header.as_ref().is_none_or(|wanted| has_header(arrival.headers, wanted))
    }
}

/// Whether a header of that name is there; after a colon, with that in its value.
fn has_header(headers: &[(String, String)], wanted: &str) -> bool {
    let (name, part) = wanted.split_once(':').unwrap_or((wanted, ""));
    headers.iter().any(|(have, value)| have.eq_ignore_ascii_case(name.trim()) && value.contains(part.trim()))
}
