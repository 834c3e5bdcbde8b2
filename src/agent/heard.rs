//! What one request says of its caller and of what came before, gathered before anything is looked up: marks instead of texts, names where they are
//! names. Bounded by constants, whatever the request's length.

use std::sync::Arc;

use super::{Rule, names::named, prompts};
use crate::wire::{self, Message, Prompt, Request, Role, Text, TextMark, ToolResult, Tools};

/// Messages at a prompt's end whose texts are marked.
const SAID_MAX: usize = 48;
/// Messages at a prompt's end whose tool calls and results are looked at.
const LOOKED_MAX: usize = 256;
/// Bytes at both ends of a text that tell its message from others.
const STEP_MAX: usize = 128;
/// Names of others that are remembered of one request.
const NAMES_MAX: usize = 64;
/// Longest text that is marked, in bytes as written.
const MARKED_MAX: usize = 256 << 10;
/// Bytes of a text in which the frameworks' fixed forms are looked for.
const FORM_MAX: usize = 16 << 10;
/// Bytes of the short texts of a hand-over.
const SHORT_MAX: usize = 256;

/// What kind of question a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// An agent's turn, for all that is known.
    #[default]
    Turn,
    /// Who speaks next.
    Selection,
    /// About a conversation, from outside: its summary. No turn of an agent.
    Aside,
}

/// A text of an earlier turn.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) mark: TextMark,
    /// Under which it stands.
    pub(super) name: Option<Arc<str>>,
    /// Whether as the caller's own.
    pub(super) own: bool,
}

/// A result that a request brings.
#[derive(Debug)]
pub(super) struct Brought<'r> {
    /// Of its id; `None` where it has none.
    pub(super) key: Option<u64>,
    pub(super) result: &'r ToolResult<'r>,
    /// Whether it stands behind the last turn of the model: for one without an id, the only place where it is new.
    pub(super) is_last: bool,
}

/// What one request says.
#[derive(Debug, Default)]
pub(super) struct Heard<'r> {
    pub(super) kind: Kind,
    /// The system text beside the messages; 0 for none.
    pub(super) beside: u64,
    /// The system texts that the messages begin with, 0 for none; `None` where the beginning was not read again.
    pub(super) listed: Option<u64>,
    /// The declared tools; 0 for none.
    pub(super) tools: u64,
    /// The first text of a user; `None` where the beginning was not read again.
    pub(super) opening: Option<TextMark>,
    /// What is read of the prompt, step by step: the same for the same, however much of it was known before.
    pub(super) steps: Vec<u64>,
    /// Whether nothing but questions is in what is read: no turn of a model, no result of a tool.
    pub(super) is_fresh: bool,
    /// Whether what is read begins with a model's turn.
    pub(super) goes_on: bool,
    /// Whether a user has the last word.
    pub(super) has_more: bool,
    /// In the order in which it stands there.
    pub(super) said: Vec<Said>,
    /// Names of others that speak in it.
    pub(super) names: Vec<Arc<str>>,
    /// Names under which assistants call tools in it: where users have names (classic `AutoGen`), only others' calls have one.
    pub(super) callers: Vec<Arc<str>>,
    /// That of the call that it goes on with.
    pub(super) goes_on_as: Option<Arc<str>>,
    /// The calls that the model's turns in it tell, by [`call_key`].
    pub(super) called: Vec<u64>,
    pub(super) brought: Vec<Brought<'r>>,
    /// What code that the agent wrote came to: the texts behind its last turn.
    pub(super) executed: Option<&'r [Text<'r>]>,
    /// The caller's name, as the request itself says it.
    pub(super) sign: Option<(Arc<str>, Rule)>,
    /// By whom and to whom it was handed over, in the text that says so.
    pub(super) handed: Option<(Arc<str>, Arc<str>)>,
    /// Whom a selection offers.
    pub(super) offered: Vec<Arc<str>>,
}

impl<'r> Heard<'r> {
    /// Listens to a request.
    pub(super) fn of(request: &'r Request<'r>) -> Self {
        let Some(prompt) = &request.prompt else { return Self::default() };
        let mut heard = Self { tools: prompt.tools.map_or(0, Tools::fingerprint), is_fresh: true, ..Self::default() };
        heard.beside = prompt.system.as_ref().map_or(0, |system| marked(&system.texts).hash);
        let messages = &prompt.messages;
        heard.goes_on = messages.first().is_some_and(|first| first.role == Role::Assistant);
        heard.goes_on_as = messages.first().filter(|first| !first.calls.is_empty()).and_then(|first| first.name.as_deref()).and_then(named);
        heard.has_more = messages.last().is_some_and(|last| last.role == Role::User && last.results.is_empty());
        let marked_from = messages.len().saturating_sub(SAID_MAX);
        let looked_from = messages.len().saturating_sub(LOOKED_MAX);
        let last_turn = messages.iter().rposition(|message| message.role == Role::Assistant);
        heard.steps.extend(messages.iter().take(LOOKED_MAX).map(step));
        for (index, message) in messages.iter().enumerate().skip(looked_from) {
            heard.take_tools(message, last_turn.is_none_or(|turn| index > turn));
            heard.take_name(message);
            if index >= marked_from {
                heard.take_text(message);
            }
        }
        heard.take_beginning(prompt);
        heard.take_kind(prompt);
        heard.take_signs(prompt);
        if heard.kind == Kind::Turn {
            heard.executed = messages.last().filter(|last| last.role == Role::User && heard.has_turn(messages)).map(|last| &*last.texts);
        }
        heard
    }

    fn has_turn(&self, messages: &[Message<'_>]) -> bool {
        !self.is_fresh && messages.len() > 1 && messages[messages.len() - 2].role == Role::Assistant
    }

    fn take_tools(&mut self, message: &'r Message<'r>, is_last: bool) {
        self.is_fresh &= message.calls.is_empty() && message.results.is_empty() && message.role != Role::Assistant;
        self.called.extend(message.calls.iter().map(|call| call_key(call.id.as_deref(), &call.name)));
        let brought = |result: &'r ToolResult<'r>| Brought { key: result.id.as_deref().filter(|id| !id.is_empty()).map(id_key), result, is_last };
        self.brought.extend(message.results.iter().map(brought));
    }

    fn take_name(&mut self, message: &Message<'_>) {
        let names = match message.role {
            Role::User => &mut self.names,
            Role::Assistant if !message.calls.is_empty() => &mut self.callers,
            _ => return,
        };
        if names.len() < NAMES_MAX
            && let Some(name) = message.name.as_deref()
            && !names.iter().any(|known| **known == *name)
            && let Some(name) = named(name)
        {
            names.push(name);
        }
    }

    fn take_text(&mut self, message: &Message<'_>) {
        let own = message.role == Role::Assistant;
        if !own && message.role != Role::User || message.texts.is_empty() {
            return;
        }
        let name = message.name.as_deref().and_then(named);
        if let Some((name, mark)) = prefixed(message, name.as_ref()) {
            return self.said.push(Said { mark, name: Some(name), own });
        }
        let mark = marked(&message.texts);
        if !mark.is_empty() {
            self.said.push(Said { mark, name, own });
        }
        if let Some(parts) = form(message, prompts::is_ledger).as_deref().and_then(prompts::ledger) {
            self.said.extend(parts.map(|part| Said { mark: TextMark::of(part), name: None, own: false }));
        }
    }

    fn take_beginning(&mut self, prompt: &Prompt<'_>) {
        if prompt.known > 0 {
            return;
        }
        let systems = prompt.messages.iter().take_while(|message| message.role == Role::System);
        let listed = systems.fold(0, |before: u64, message| before.rotate_left(7) ^ marked(&message.texts).hash);
        self.listed = Some(listed);
        let first = prompt.messages.iter().find(|message| message.role == Role::User && !message.texts.is_empty());
        self.opening =
            first.map(|first| prefixed(first, None).map_or_else(|| marked(&first.texts), |(_, mark)| mark)).filter(|mark| !mark.is_empty());
    }

    fn take_kind(&mut self, prompt: &Prompt<'_>) {
        let messages = &prompt.messages;
        let Some(first) = messages.first().filter(|_| prompt.known == 0) else { return };
        let selection = (first.role == Role::System || messages.len() == 1).then(|| form(first, prompts::is_selection)).flatten();
        if let Some(text) = selection {
            self.kind = Kind::Selection;
            let last = messages.last().filter(|last| last.role != Role::Assistant).and_then(|last| last.texts.first());
            self.offered = last
                .map(|last| prompts::offered(&last.decoded(FORM_MAX)))
                .filter(|offered| !offered.is_empty())
                .unwrap_or_else(|| prompts::offered(&text));
            let told = prompts::transcript(&text);
            if let Some((_, opening)) = told.first() {
                self.opening = Some(TextMark::of(opening));
            }
            self.said.extend(told.into_iter().map(|(name, text)| Said { mark: TextMark::of(text), name: Some(name), own: false }));
        } else if first.role != Role::System && prompt.system.is_none() && messages.len() > 1 {
            let last = messages.last().filter(|last| last.role == Role::System && last.name.is_none() && !self.names.is_empty());
            self.kind = last.map_or(Kind::Turn, |_| Kind::Aside);
        }
    }

    fn take_signs(&mut self, prompt: &Prompt<'_>) {
        if self.kind != Kind::Turn {
            return;
        }
        self.handed = handed(prompt).and_then(|(by, to)| Some((by?, to)));
        let hand_over = handed(prompt).map(|(_, to)| (to, Rule::HandOver));
        let own = orchestrator(prompt).or_else(|| own_turn(prompt)).map(|name| (name, Rule::OwnTurn));
        let role = system(prompt)
            .and_then(|system| form(system, |text| text.trim_start().starts_with("You are ")))
            .as_deref()
            .and_then(prompts::role)
            .and_then(named);
        let role = role.map(|name| (name, Rule::Role));
        let mut signs = [hand_over, own, role].into_iter().flatten();
        let first = signs.next();
        // Where the texts disagree, they say nothing.
        self.sign = first.filter(|(name, _)| signs.all(|(other, _)| other == *name));
    }
}

/// Of a call's id.
pub(super) fn id_key(id: &str) -> u64 {
    wire::hash(id.as_bytes())
}

/// A hash of what two hashes stand for, one behind the other.
pub(super) fn join(before: u64, next: u64) -> u64 {
    (before.rotate_left(23) ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a call is known by: its id; where there is none its tool.
pub(super) fn call_key(id: Option<&str>, name: &str) -> u64 {
    id.filter(|id| !id.is_empty()).map_or_else(|| join(1, id_key(name)), id_key)
}

/// What tells a message from others, cheaply.
fn step(message: &Message<'_>) -> u64 {
    let texts = message.texts.iter().copied().chain(message.results.iter().flat_map(|result| result.texts.iter().copied()));
    let told = texts.fold(u64::from(message.characters.is_some()), |all, text| {
        let raw = text.raw();
        let length = u64::try_from(raw.len()).unwrap_or(u64::MAX);
        let (head, tail) = (&raw[..raw.len().min(STEP_MAX)], &raw[raw.len().saturating_sub(STEP_MAX)..]);
        join(join(join(all, length), wire::hash(head)), wire::hash(tail))
    });
    message.calls.iter().fold(told, |all, call| join(all, call_key(call.id.as_deref(), &call.name)))
}

fn marked(texts: &[Text<'_>]) -> TextMark {
    if texts.iter().map(|text| text.raw().len()).sum::<usize>() > MARKED_MAX {
        return TextMark::default();
    }
    wire::mark(texts.iter().copied())
}

/// The beginning of a message's text, if it has the form.
fn form(message: &Message<'_>, is: impl Fn(&str) -> bool) -> Option<String> {
    let text = message.texts.first()?;
    is(&text.decoded(SHORT_MAX)).then(|| text.decoded(FORM_MAX).into_owned())
}

/// Who said a text that begins with its speaker's name, and the rest of it. Where the message has a name of its own, it must be the same.
fn prefixed(message: &Message<'_>, name: Option<&Arc<str>>) -> Option<(Arc<str>, TextMark)> {
    let text = message.texts.first()?;
    let head = &text.raw()[..text.raw().len().min(SHORT_MAX)];
    if message.texts.len() > 1 || text.raw().len() > MARKED_MAX || memchr::memmem::find(head, b" said:\\n").is_none() {
        return None;
    }
    let text = text.decoded(MARKED_MAX);
    let (speaker, rest) = prompts::said(&text)?;
    let speaker = named(speaker)?;
    (name.is_none_or(|name| *name == speaker)).then(|| (speaker, TextMark::of(rest)))
}

fn system<'p>(prompt: &'p Prompt<'p>) -> Option<&'p Message<'p>> {
    prompt.system.as_ref().or_else(|| prompt.messages.first().filter(|first| first.role == Role::System))
}

/// By whom, if that is said, and to whom the conversation was handed over, with no word of a user since.
fn handed(prompt: &Prompt<'_>) -> Option<(Option<Arc<str>>, Arc<str>)> {
    for message in prompt.messages.iter().rev() {
        if let Some(to) = message.results.iter().rev().find_map(transferred) {
            return Some((None, to));
        }
        if message.role == Role::User && message.results.is_empty() {
            let text = message.texts.first()?.decoded(SHORT_MAX);
            let to = prompts::handed_to(&text).and_then(named)?;
            return Some((message.name.as_deref().and_then(named), to));
        }
    }
    None
}

/// The agent that the result of a transfer names.
fn transferred(result: &ToolResult<'_>) -> Option<Arc<str>> {
    let [text] = &*result.texts else { return None };
    if text.raw().len() > SHORT_MAX {
        return None;
    }
    prompts::assistant_of(&text.decoded(SHORT_MAX)).and_then(named)
}

/// `MagenticOne`'s orchestrator speaks under its name in its own requests: a question of its own comes last, and no system text first.
fn orchestrator(prompt: &Prompt<'_>) -> Option<Arc<str>> {
    let last = prompt.messages.last().filter(|last| last.role == Role::User && last.name.as_deref() == Some(prompts::ORCHESTRATOR))?;
    if prompt.messages.first()?.role == Role::System || prompt.system.is_some() {
        return None;
    }
    let shows_ledger =
        prompt.messages.first().filter(|first| first.role == Role::Assistant).is_some_and(|first| form(first, prompts::is_ledger).is_some());
    (shows_ledger || form(last, prompts::is_orchestrators).is_some()).then(|| prompts::ORCHESTRATOR.into())
}

/// Classic `AutoGen` writes every turn's name, users' and the caller's own. Others (langgraph) name the turns of all agents as assistants', and no user's.
fn own_turn(prompt: &Prompt<'_>) -> Option<Arc<str>> {
    let mut own = None;
    let mut others = false;
    for message in &prompt.messages {
        match (message.role, message.name.as_deref()) {
            // Its own calls of tools have no name there; others' stand as an assistant's too, under theirs.
            (Role::Assistant, Some(_)) if !message.calls.is_empty() => {}
            (Role::User, Some(name)) if own != Some(name) => others = true,
            (Role::Assistant, Some(name)) if own.is_none_or(|own| own == name) => own = Some(name),
            (Role::User, _) | (Role::Assistant, Some(_)) => return None,
            (Role::Assistant, None) if !message.texts.is_empty() && message.calls.is_empty() => return None,
            _ => {}
        }
    }
    let is_others = |message: &Message<'_>| message.role == Role::User || !message.calls.is_empty();
    let is_other = |own: &&str| prompt.messages.iter().any(|message| is_others(message) && message.name.as_deref() == Some(own));
    own.filter(|own| others && !is_other(own)).and_then(named)
}
