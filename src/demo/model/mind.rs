//! What the simulated model says to a question: the script's words if there are any, else what keeps a team of agents going.
//! It calls tools when a user asked and tools are there, names a speaker when it is to choose one, fits a schema when it is
//! given one, and says the word that ends a team once it was told to and has something to end.

use fastrand::Rng;

use super::{
    answer::Request,
    ask::{Ask, ToolChoice, tokens},
    schema, text,
};
use crate::demo::script::Big;

/// The words by which teams are told to end, as the frameworks' own prompts and guides have them.
const LAST_WORDS: [&str; 2] = ["TERMINATE", "APPROVE"];
/// A conversation without tools is over after so many messages.
const LONG: usize = 8;
/// How tools are named that hand a conversation over to another agent.
const HAND_OVER: &str = "transfer_to_";
/// What stands before the names in a prompt that asks for the next speaker.
const CHOOSE: [&str; 3] = ["select the next role from [", "select the next speaker from [", "Please select from: ["];

/// An answer, free of dialect.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    /// Of the answer; unlike its words it is never repeated.
    pub(super) id: String,
    pub(super) thinking: Option<String>,
    pub(super) text: Option<String>,
    pub(super) calls: Vec<Call>,
    pub(super) ending: Ending,
    /// So many bytes in so many events, instead of `text`.
    pub(super) big: Option<Big>,
    pub(super) output_tokens: usize,
    pub(super) thinking_tokens: usize,
    pub(super) cached_tokens: usize,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON, unless the script says otherwise.
    pub(super) arguments: String,
}

/// Why it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Calls,
    Length,
}

/// The answer to a question. Its words depend on the seed, the model and the conversation alone; its ids on how many came before.
pub(super) fn think(request: &Request<'_>, ask: &Ask, prefixes: (&str, &str)) -> Said {
    let seed = seed(request, ask);
    let mut words = Rng::with_seed(seed);
    let mut ids = Rng::with_seed(seed ^ request.state.next_serial().wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let step = request.step;
    let mut said = Said {
        id: text::id(prefixes.0, 24, &mut ids),
        thinking: step.thinking.clone().or_else(|| ask.thinking.then(|| text::sentences(1, &mut words))),
        text: step.text.clone(),
        calls: Vec::new(),
        ending: Ending::Done,
        big: step.big.clone(),
        output_tokens: 0,
        thinking_tokens: 0,
        cached_tokens: cached(ask.prompt_tokens),
    };
    let scripted = said.text.is_some() || said.big.is_some() || !step.tools.is_empty();
    let calls = if scripted { scripted_calls(request) } else { chosen_calls(ask, &mut words) };
    said.calls = calls
        .into_iter()
        .map(|(id, name, arguments)| Call { id: id.unwrap_or_else(|| text::id(prefixes.1, 24, &mut ids)), name, arguments })
        .collect();
    if !said.calls.is_empty() {
        said.ending = Ending::Calls;
    } else if !scripted {
        said.text = Some(own_words(ask, &mut words));
    }
    shorten(&mut said, ask);
    count(&mut said);
    said
}

/// Of everything that is drawn for one question.
pub(super) fn seed(request: &Request<'_>, ask: &Ask) -> u64 {
    ask.fingerprint ^ request.state.options.seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

type Uncalled = (Option<String>, String, String);

fn scripted_calls(request: &Request<'_>) -> Vec<Uncalled> {
    let arguments = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => "{}".to_owned(),
        tree => tree.to_string(),
    };
    request.step.tools.iter().map(|call| (call.id.clone(), call.name.clone(), arguments(&call.arguments))).collect()
}

/// One tool, at times two at once, with arguments that fit.
fn chosen_calls(ask: &Ask, rng: &mut Rng) -> Vec<Uncalled> {
    let named = if let ToolChoice::Named(name) = &ask.tool_choice { Some(name) } else { None };
    let forced = named.is_some() || ask.tool_choice == ToolChoice::Required;
    let unasked = ask.last_is_tool_result || ask.schema.is_some() || !candidates(&ask.told).is_empty() || last_word(ask).is_some();
    if ask.tool_choice == ToolChoice::None || (unasked && !forced) {
        return Vec::new();
    }
    let able: Vec<_> = ask.tools.iter().filter(|tool| named.is_none_or(|name| *name == tool.name)).collect();
    let count = if ask.parallel && named.is_none() && rng.u8(..4) == 0 { 2 } else { 1 };
    let mut calls = Vec::new();
    for _ in 0..count {
        let Some(tool) = rng.choice(&able) else { break };
        let call = (None, tool.name.clone(), schema::fill(&tool.schema, rng).to_string());
        // Two hand-overs at once, or the same thing twice, make no sense.
        if calls.is_empty() || !(calls.contains(&call) || call.1.starts_with(HAND_OVER)) {
            calls.push(call);
        }
    }
    calls
}

/// The word that ends the team, if there is one and it is time.
fn last_word(ask: &Ask) -> Option<&'static str> {
    let over = ask.last_is_tool_result || ask.messages >= LONG;
    LAST_WORDS.into_iter().find(|word| over && ask.told.contains(word))
}

fn own_words(ask: &Ask, rng: &mut Rng) -> String {
    let candidates = candidates(&ask.told);
    if let Some(name) = rng.choice(&candidates) {
        return (*name).to_owned();
    }
    if let Some(schema) = &ask.schema {
        return schema::fill(schema, rng).to_string();
    }
    let said = text::sentences(rng.usize(1..=5), rng);
    match last_word(ask) {
        Some(word) => format!("{said}\n\n{word}"),
        None => said,
    }
}

/// The names to choose the next speaker from, of the last such list in the prompt.
fn candidates(told: &str) -> Vec<&str> {
    let place = CHOOSE.iter().filter_map(|words| told.rfind(words).map(|at| at + words.len())).max();
    let list = place.and_then(|start| told[start..].split(']').next());
    list.map(|list| list.split(',').map(|name| name.trim().trim_matches(['\'', '"'])).filter(|name| !name.is_empty()).collect()).unwrap_or_default()
}

/// No more than was asked for.
fn shorten(said: &mut Said, ask: &Ask) {
    let (Some(most), Some(text)) = (ask.max_tokens, &said.text) else { return };
    if tokens(text) > most {
        let end = text.char_indices().map(|(at, _)| at).nth(most * 4).unwrap_or(text.len());
        said.text = Some(text[..end].to_owned());
        said.ending = Ending::Length;
    }
}

fn count(said: &mut Said) {
    let text = said.big.as_ref().map_or_else(|| said.text.as_deref().map_or(0, tokens), |big| big.bytes / 4);
    let calls: usize = said.calls.iter().map(|call| tokens(&call.name) + tokens(&call.arguments) + 3).sum();
    said.thinking_tokens = said.thinking.as_deref().map_or(0, tokens);
    said.output_tokens = (text + calls + said.thinking_tokens).max(1);
}

/// Providers cache long prompts in steps of 128 tokens, from 1024 on.
fn cached(prompt_tokens: usize) -> usize {
    if prompt_tokens < 1024 { 0 } else { prompt_tokens / 2 / 128 * 128 }
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn the_names_are_those_of_the_last_list() {
        let autogen = "Read the following conversation. Then select the next role from ['planner', 'writer'] to play. Only return the role.";
        assert_eq!(candidates(autogen), ["planner", "writer"]);
        let again = format!("{autogen}\nNo valid name was mentioned. Please select from: ['writer'].");
        assert_eq!(candidates(&again), ["writer"]);
        assert!(candidates("select a colour from [red]").is_empty());
    }
}
