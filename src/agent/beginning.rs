//! What of a prompt the provider has counted before: that of its thread's last exchange, and the answer that it carries.

use super::{
    Arrival,
    belong::Belongs,
    memory::{Asked, End, Memory},
};
use crate::wire::{self, Beginning, Characters, Role, Usage};

/// An answer is believed to be what it was counted as, if a token has at least one character and at most so many,
const ANSWER_MOST: u64 = 10;
/// but for so many tokens: names of tools, and what stands around their arguments, are no characters of a prompt.
const ANSWER_FRAME: u64 = 64;

/// How long an exchange's prompt and answer were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Length {
    /// A hash of the model's name; 0 for none.
    model: u64,
    weight: Option<u64>,
    /// Tokens of the prompt and of the answer without its reasoning, once they are known.
    tokens: Option<(u64, Option<u64>)>,
}

impl Length {
    /// Of a request that has just come.
    pub(super) fn of(arrival: &Arrival<'_>) -> Self {
        let call = &arrival.request.call;
        let model = call.model.as_ref().map_or(0, |model| wire::hash(model.as_bytes()));
        Self { model, weight: call.prompt_weight, tokens: None }
    }
}

impl Memory {
    /// The provider has counted the prompt of this exchange, which went up as it came.
    pub(super) fn counted(&mut self, place: u64, tokens: u64, usage: &Usage) {
        if let Some(exchange) = self.exchanges.find_mut(&place) {
            let answer = usage.output.map(|output| output.saturating_sub(usage.reasoning.unwrap_or(0)));
            exchange.length.tokens = Some((tokens, answer));
        }
    }

    /// What of the request's prompt was counted before: it begins, byte for byte, with the last prompt of the thread that it continues.
    pub(super) fn beginning(&self, asked: &Asked<'_, '_>, belongs: Belongs) -> Option<Beginning> {
        let (thread, _) = belongs.thread.filter(|(thread, _)| asked.before.contains(thread))?;
        let last = self.exchanges.find(&self.threads.find(&thread)?.last)?;
        let (now, then) = (Length::of(asked.arrival), last.length);
        let (tokens, answer) = then.tokens.filter(|_| now.model == then.model && matches!(last.end, End::Answered(_)))?;
        let beginning = Beginning { weight: then.weight?, tokens };
        let carried = carried(asked.arrival);
        let answer = answer.filter(|answer| (carried.weight / ANSWER_MOST..=carried.weight + ANSWER_FRAME).contains(answer));
        let whole = match answer {
            Some(answer) => Beginning { weight: beginning.weight + carried.weight, tokens: tokens.saturating_add(answer) },
            None => beginning,
        };
        (whole.weight <= now.weight?).then_some(whole)
    }
}

/// The characters of the answer that stands behind what was known.
fn carried(arrival: &Arrival<'_>) -> Characters {
    let messages = arrival.request.prompt.iter().flat_map(|prompt| &prompt.messages);
    let answer = messages.take_while(|message| matches!(message.role, Role::Assistant | Role::Other));
    answer.filter_map(|message| message.characters).fold(Characters::default(), Characters::and)
}
