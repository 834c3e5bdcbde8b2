//! Puts together what an answer says from the pieces that it comes in: its text, its reasoning, the tools that it calls. Of the text a mark is
//! kept, of tool calls their arguments within bounds; the contents themselves only where they are asked for. Whole answers are one piece each.

use super::{
    Contents, Reply, ToolCall,
    arguments::{Arguments, Budget},
    json::Json,
    mark::Marker,
    skim,
};

/// Most tool calls of one answer that are told; OpenAI's own limit for tools.
const CALLS_MAX: usize = 128;
/// Longest text that is kept as such, in bytes.
const SHORT_MAX: usize = 256;

/// What has been said so far. Only the first choice is listened to: it is the one that goes on.
#[derive(Debug, Default)]
pub(super) struct Said {
    text: Marker,
    /// The text itself, while it is short.
    short: Vec<u8>,
    is_long: bool,
    calls: Vec<Called>,
    budget: Budget,
    /// Where the contents are wanted.
    gathered: Option<Box<Gathered>>,
}

/// A tool call that is being told.
#[derive(Debug)]
struct Called {
    slot: u64,
    id: Option<String>,
    name: Option<String>,
    arguments: Arguments,
}

#[derive(Debug, Default)]
struct Gathered {
    text: Vec<u8>,
    reasoning: Vec<u8>,
    /// Bytes that may still be kept.
    left: usize,
    max: usize,
    is_cut: bool,
}

impl Said {
    /// Keeps the contents from now on, up to `max` bytes of text and reasoning together.
    pub(super) fn gather(&mut self, max: usize) {
        self.gathered = Some(Box::new(Gathered { left: max, max, ..Gathered::default() }));
    }

    /// The contents that were kept.
    pub(super) fn contents(&mut self) -> Option<Contents> {
        self.gathered.take().map(|gathered| gathered.into_contents())
    }

    /// The answer is told once more and as a whole: what was put together from its pieces is forgotten.
    pub(super) fn restart(&mut self) {
        let gathered = self.gathered.take();
        *self = Self::default();
        if let Some(gathered) = gathered {
            self.gather(gathered.max);
        }
    }

    /// The next piece of the text, if it is a string.
    pub(super) fn text(&mut self, piece: Option<Json<'_>>) {
        let Some(raw) = piece.and_then(Json::quoted).filter(|raw| !raw.is_empty()) else { return };
        let Self { text, short, is_long, gathered, .. } = self;
        skim::unescape(raw, |piece| {
            text.add(piece);
            if !*is_long {
                keep_short(short, is_long, piece);
            }
        });
        if let Some(gathered) = gathered {
            gathered.text(raw);
        }
    }

    /// The next piece of the reasoning, if it is a string.
    pub(super) fn reasoning(&mut self, piece: Option<Json<'_>>) {
        if let Some(gathered) = &mut self.gathered
            && let Some(raw) = piece.and_then(Json::quoted)
        {
            gathered.reasoning(raw);
        }
    }

    /// A tool call is told in this slot, or goes on: another id than before is another call, whatever its slot (some servers number none of theirs).
    /// What was told first stays.
    pub(super) fn call(&mut self, slot: u64, id: Option<Json<'_>>, name: Option<Json<'_>>) -> Option<Telling<'_>> {
        let id = id.and_then(Json::name);
        let at = self.calls.iter().rposition(|call| call.slot == slot);
        let is_other = |call: &Called| matches!((&id, &call.id), (Some(id), Some(known)) if id != known);
        let at = match at.filter(|at| !is_other(&self.calls[*at])) {
            Some(at) => at,
            None if self.calls.len() >= CALLS_MAX => return None,
            None => {
                self.calls.push(Called { slot, id: None, name: None, arguments: Arguments::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        call.id = call.id.take().or(id);
        if call.name.is_none() {
            call.name = name.and_then(Json::name);
        }
        Some(Telling { arguments: &mut call.arguments, budget: &mut self.budget })
    }

    /// A tool call of its own, told at once.
    pub(super) fn next_call(&mut self, id: Option<Json<'_>>, name: Option<Json<'_>>) -> Option<Telling<'_>> {
        let slot = u64::try_from(self.calls.len()).ok()?;
        self.call(slot, id, name)
    }

    /// The tool call that was told in this slot before.
    pub(super) fn open_call(&mut self, slot: u64) -> Option<Telling<'_>> {
        let call = self.calls.iter_mut().rfind(|call| call.slot == slot)?;
        Some(Telling { arguments: &mut call.arguments, budget: &mut self.budget })
    }

    /// Tells the answer's facts of it. Calls of no name are none.
    pub(super) fn settle(self, reply: &mut Reply) {
        reply.text = self.text.mark();
        if !self.is_long && !self.short.is_empty() {
            reply.short_text = Some(String::from_utf8_lossy(&self.short).into_owned());
        }
        reply.tool_calls.extend(self.calls.into_iter().filter_map(|call| {
            let (arguments, mark) = call.arguments.settle();
            Some(ToolCall { id: call.id, name: call.name?, mark, arguments })
        }));
    }
}

fn keep_short(short: &mut Vec<u8>, is_long: &mut bool, piece: &[u8]) {
    if short.len() + piece.len() > SHORT_MAX {
        *is_long = true;
        *short = Vec::new();
    } else {
        if short.capacity() == 0 {
            short.reserve_exact(SHORT_MAX);
        }
        short.extend_from_slice(piece);
    }
}

/// Takes the arguments of a tool call.
#[derive(Debug)]
pub(super) struct Telling<'s> {
    arguments: &'s mut Arguments,
    budget: &'s mut Budget,
}

impl Telling<'_> {
    /// The next piece of JSON that is told as a text; of JSON that is no text, all of it.
    pub(super) fn go_on(self, piece: Option<Json<'_>>) {
        let Some(piece) = piece else { return };
        match piece.quoted() {
            Some(raw) => self.arguments.go_on(raw, self.budget),
            None => self.arguments.replace_plain(piece.raw(), self.budget),
        }
    }

    /// All of it, told once more: as a text that holds JSON, or as JSON itself.
    pub(super) fn whole(self, all: Option<Json<'_>>) {
        let Some(all) = all else { return };
        match all.quoted() {
            Some(raw) => self.arguments.replace(raw, self.budget),
            None => self.arguments.replace_plain(all.raw(), self.budget),
        }
    }

    /// JSON itself, that holds unless pieces follow.
    pub(super) fn begin_with(self, all: Option<Json<'_>>) {
        if let Some(all) = all {
            self.arguments.begin_with(all.raw(), self.budget);
        }
    }

    /// The next piece of a text that is no JSON.
    pub(super) fn free_text(self, piece: Option<Json<'_>>) {
        if let Some(raw) = piece.and_then(Json::quoted) {
            self.arguments.free_text(raw, self.budget);
        }
    }

    /// All of a text that is no JSON, told once more.
    pub(super) fn whole_free_text(self, all: Option<Json<'_>>) {
        if let Some(raw) = all.and_then(Json::quoted) {
            self.arguments.forget(self.budget);
            self.arguments.free_text(raw, self.budget);
        }
    }

    /// There is more to them than can be read.
    pub(super) fn unreadable(self) {
        self.arguments.give_up(self.budget);
    }
}

impl Gathered {
    fn text(&mut self, raw: &[u8]) {
        let Self { text, left, is_cut, .. } = self;
        skim::unescape(raw, |piece| keep(text, piece, left, is_cut));
    }

    fn reasoning(&mut self, raw: &[u8]) {
        let Self { reasoning, left, is_cut, .. } = self;
        skim::unescape(raw, |piece| keep(reasoning, piece, left, is_cut));
    }

    fn into_contents(self) -> Contents {
        let text = |mut bytes: Vec<u8>| {
            // A character that was cut is none.
            if let Err(error) = std::str::from_utf8(&bytes)
                && self.is_cut
                && error.error_len().is_none()
            {
                bytes.truncate(error.valid_up_to());
            }
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Contents { text: text(self.text), reasoning: text(self.reasoning), is_cut: self.is_cut }
    }
}

fn keep(kept: &mut Vec<u8>, piece: &[u8], left: &mut usize, is_cut: &mut bool) {
    let fitting = piece.len().min(*left);
    *is_cut |= fitting < piece.len();
    kept.extend_from_slice(&piece[..fitting]);
    *left -= fitting;
}

#[cfg(test)]
mod tests;
