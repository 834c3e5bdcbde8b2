//! Gathers the facts of one answer from its values, in the words all dialects share. What it keeps is bounded.

use super::{Progress, Reply, Usage, failure, json::Json};

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
    /// Prompt tokens without cached ones, as Anthropic counts them.
    pub(super) uncached_input: Option<u64>,
    /// In order of their index.
    choices: Vec<Choice>,
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
