//! Gathers the facts of one answer from its values, in the words all dialects share. What it keeps is bounded.

use super::{Contents, Progress, Reply, Usage, failure, json::Json, said::Said};

/// Most choices of one answer that are told apart; OpenAI's own limit for `n`.
const CHOICES_MAX: usize = 128;

/// What has been learnt so far.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) reply: Reply,
    /// Values (events, lines) read so far.
    pub(super) events: u64,
    /// A delta with content was seen.
    pub(super) content: bool,
    /// The dialect's terminator was seen.
    pub(super) terminated: bool,
    /// An error was told.
    pub(super) error: bool,
    /// What the answer says.
    pub(super) said: Said,
    /// Counts whose sum is what is told, each as its last valid one says.
    pub(super) parts: Parts,
    /// In order of their index.
    choices: Vec<Choice>,
}

/// Counts that some providers tell apart.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Prompt tokens without cached ones, as Anthropic counts them.
    pub(super) uncached: Option<u64>,
    /// Prompt tokens of Gemini, and those that its own tools added.
    pub(super) prompt: Option<u64>,
    pub(super) tool_use: Option<u64>,
    /// Tokens of Gemini's candidates; its thoughts stand beside them.
    pub(super) candidates: Option<u64>,
}

#[derive(Debug)]
struct Choice {
    index: u64,
    reason: Option<String>,
}

impl Facts {
    pub(super) fn progress(&self) -> Progress {
        let all_finished = !self.choices.is_empty() && self.choices.iter().all(|choice| choice.reason.is_some());
        Progress { events: self.events, content: self.content, finished: self.terminated || all_finished, error: self.error }
    }

    /// The answer's id: the first one told.
    pub(super) fn id(&mut self, id: Option<Json<'_>>) {
        fill(&mut self.reply.id, id);
    }

    /// The model that answered: the first one told.
    pub(super) fn model(&mut self, model: Option<Json<'_>>) {
        fill(&mut self.reply.model, model);
    }

    /// The tier that served it: the last one told, since what is told first is what was asked for.
    pub(super) fn service_tier(&mut self, tier: Option<Json<'_>>) {
        replace(&mut self.reply.service_tier, tier);
    }

    /// The configuration that it was made with.
    pub(super) fn system_fingerprint(&mut self, fingerprint: Option<Json<'_>>) {
        fill(&mut self.reply.system_fingerprint, fingerprint);
    }

    /// All that was learnt, and the contents where they were asked for.
    pub(super) fn settle(mut self) -> (Reply, Option<Contents>) {
        let contents = self.said.contents();
        self.said.settle(&mut self.reply);
        (self.reply, contents)
    }

    /// A choice was seen, and perhaps why it ended.
    pub(super) fn choice(&mut self, index: u64, reason: Option<Json<'_>>) {
        let at = match self.choices.binary_search_by_key(&index, |choice| choice.index) {
            Ok(at) => at,
            Err(_) if self.choices.len() >= CHOICES_MAX => return,
            Err(at) => {
                self.choices.insert(at, Choice { index, reason: None });
                at
            }
        };
        let reason = reason.and_then(Json::name);
        if reason.is_some() && reason != self.choices[at].reason {
            self.choices[at].reason = reason;
            self.reply.finish_reasons = self.choices.iter().filter_map(|choice| choice.reason.clone()).collect();
        }
    }

    /// An error took the answer's place, or broke it off. The first one told is the cause.
    pub(super) fn fail(&mut self, error: Option<Json<'_>>) {
        self.error = true;
        if self.reply.error.is_none() {
            self.reply.error = Some(error.map(failure::read).unwrap_or_default());
        }
    }

    /// The tokens counted so far; each valid count replaces the one before.
    pub(super) fn usage(&mut self) -> &mut Usage {
        &mut self.reply.usage
    }
}

/// Takes over a name in place of the one before, if it is one. Costs nothing where it is the same.
fn replace(slot: &mut Option<String>, value: Option<Json<'_>>) {
    if let Some(value) = value
        && slot.as_deref() != value.word()
        && let Some(name) = value.name()
    {
        *slot = Some(name);
    }
}

fn fill(slot: &mut Option<String>, value: Option<Json<'_>>) {
    if slot.is_none() {
        *slot = value.and_then(Json::name);
    }
}

/// Takes over a count if it is one.
pub(super) fn count(slot: &mut Option<u64>, value: Option<Json<'_>>) {
    if let Some(tokens) = value.and_then(Json::tokens) {
        *slot = Some(tokens);
    }
}
