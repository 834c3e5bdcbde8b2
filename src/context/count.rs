//! Counts a conversation: each text by the model's tokenizer or the one that is nearest to it, and what providers put around texts.
//!
//! What is added is published by no provider in full. The numbers here are of their own examples or measured by others, which is then said; those that are
//! "taken as" something are judged. What they are off by is learnt from usage (see `correct`).

use crate::wire::{Dialect, Item, Outline, Piece, PieceKind, Role};

mod declared;
mod image;
mod memo;
mod tokens;

use image::Rule;
use memo::Memo;
pub(super) use tokens::{Counting, Tokenizer, Tokens};

/// How the prompts of a model are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Family {
    /// Its tokenizer, or the nearest.
    pub(super) tokenizer: Tokenizer,
    /// Whether it is its own.
    pub(super) is_own: bool,
    /// Tokens of its own for each of the nearest's, before anything is learnt.
    pub(super) ratio: f64,
    image: Rule,
}

/// Beginnings of names whose tokenizer is public, most telling first (`MODEL_PREFIX_TO_ENCODING` of openai/tiktoken, and what has come since).
const OWN: [(&str, Tokenizer); 18] = [
    ("gpt-4o", Tokenizer::O200k),
    ("gpt-4.1", Tokenizer::O200k),
    ("gpt-4.5", Tokenizer::O200k),
    ("gpt-5", Tokenizer::O200k),
    ("gpt-6", Tokenizer::O200k),
    ("gpt-oss", Tokenizer::O200k),
    ("chatgpt-4o", Tokenizer::O200k),
    ("codex-mini", Tokenizer::O200k),
    ("computer-use-preview", Tokenizer::O200k),
    ("o1", Tokenizer::O200k),
    ("o3", Tokenizer::O200k),
    ("o4", Tokenizer::O200k),
    ("gpt-4", Tokenizer::Cl100k),
    ("gpt-3.5", Tokenizer::Cl100k),
    ("gpt-35", Tokenizer::Cl100k),
    ("text-embedding-3", Tokenizer::Cl100k),
    ("text-embedding-ada", Tokenizer::Cl100k),
    ("davinci-002", Tokenizer::Cl100k),
];

/// Claude's vocabulary is finer: Claude 3.5 has 1.16 times o200k's tokens on English articles and 1.3 times on Python (as measured by others).
const RATIO_CLAUDE: f64 = 1.2;
/// Since Opus 4.7 the same text has 1.0 to 1.35 times as many as before (Anthropic, "What's new in Claude Opus 4.7"), 1.46 times in a first measurement by
/// others. Taken as near the upper end: too many at first is better than an error.
const RATIO_CLAUDE_LATER: f64 = 1.5;
/// Of all others. Taken as what the tests measure of Llama 3's, Qwen's and `DeepSeek`'s on English and code (1.0 to 1.1).
const RATIO: f64 = 1.1;

/// Claude's generations before the vocabulary and the eyes that came with Opus 4.7.
const CLAUDE_EARLIER: [&str; 6] = ["claude-instant", "claude-2", "claude-3", "claude-opus-4", "claude-sonnet-4", "claude-haiku-4"];
const OPUS_LATER: [&str; 4] = ["opus-4-7", "opus-4.7", "opus-4-8", "opus-4.8"];

/// Whether it is a Claude, and then whether it is one since Opus 4.7.
pub(super) fn is_later_claude(model: &str) -> Option<bool> {
    let has = |parts: &[&str]| parts.iter().any(|part| model.contains(part));
    model.contains("claude").then(|| !has(&CLAUDE_EARLIER) || has(&OPUS_LATER))
}

impl Family {
    /// By the name that is on the wire: with a gateway's prefixes, a fine-tune's owner, a date, or none of them.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        if let Some((_, tokenizer)) = OWN.iter().find(|(start, _)| begins(name, start)) {
            return Self { tokenizer: *tokenizer, is_own: true, ratio: 1.0, image: Rule::of(name) };
        }
        let ratio = match is_later_claude(model) {
            Some(true) => RATIO_CLAUDE_LATER,
            Some(false) => RATIO_CLAUDE,
            None => RATIO,
        };
        Self { tokenizer: Tokenizer::O200k, is_own: false, ratio, image: Rule::of(name) }
    }
}

/// Whether a name is this one or goes on with a mark: `o1-mini` begins with `o1`, `o1st` does not; `gpt-4o` goes on as it likes.
fn begins(name: &str, start: &str) -> bool {
    name.strip_prefix(start).is_some_and(|rest| rest.is_empty() || start.len() > 2 || rest.starts_with(['-', ':', '@', '.']))
}

/// What is added to texts, in tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// To every prompt: the beginning of the answer.
    prompt: u64,
    /// To each message: its marks and its role.
    message: u64,
    /// To each call of a tool.
    call: u64,
    /// To a prompt that declares tools.
    tools: u64,
    image: Rule,
    /// Whether tools are shown as types rather than as JSON.
    has_types: bool,
}

impl Frame {
    pub(super) fn of(dialect: Dialect, family: Family) -> Self {
        let image = family.image;
        match dialect {
            // "You are a scientist" and "Hello, Claude" are 14 tokens together, 8 of them text (Anthropic, "Token counting"). Tools bring a system prompt of
            // 286 to 675 tokens by model ("Tool use"; most of Claude 4: 497), taken as 340 by o200k. A call's frame is taken as ten tokens and its name.
            Dialect::AnthropicMessages => Self { prompt: 2, message: 3, call: 12, tools: 340, image, has_types: false },
            // Texts of 10, 10 and 11 tokens are 10, 11 with the answer's beginning, and 21 with both (Google, "Understand and count tokens"), four functions
            // 184 more, which is what their JSON has. A call's frame is taken as that of other templates.
            Dialect::Gemini => Self { prompt: 1, message: 1, call: 6, tools: 0, image, has_types: false },
            // Three for a message and one for its role, three before the answer (openai-cookbook, "How to count tokens with tiktoken"). A question with a call
            // and its result is 40 tokens, which five for the call explain (community.openai.com/t/538914).
            _ if family.is_own => Self { prompt: 3, message: 4, call: 5, tools: 0, image, has_types: true },
            // `<|im_start|>`, the role, a line's end, `<|im_end|>`, a line's end: ChatML, which most templates resemble. Tools are shown as JSON below
            // a paragraph of instructions, taken as 80.
            _ => Self { prompt: 3, message: 5, call: 12, tools: 80, image, has_types: false },
        }
    }
}

/// Reasoning that only its maker can read is input when it is sent back (Google, "Thinking": signatures increase the input tokens that are charged). Taken as
/// six bytes a token: four characters, encrypted and in base64. Some leave it out of later tasks, but a count that fell then would move the cut.
const SEALED_BYTES: u64 = 6;
/// A page of a document is 1,500 to 3,000 tokens (Anthropic, "PDF support"; Gemini has fewer), taken to be in some 100 KB; a document named by an URL or an id
/// is taken as one page.
const FILE_LEAST: u64 = 1500;
const FILE_BYTES: u64 = 60;
/// A file is taken as at most so many: 100 pages, which is what a window of 200,000 tokens may be sent.
const FILE_MOST: u64 = 200_000;

/// A conversation's weights by a tokenizer, nothing corrected.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Weighed {
    /// Of each item, with what is put around it.
    pub(super) items: Vec<Tokens>,
    /// Of each piece of each item.
    pub(super) pieces: Vec<Vec<Tokens>>,
    /// Of all that stands beside the list.
    pub(super) beside: Tokens,
}

impl Weighed {
    /// Of the whole prompt; exact if all of it is text and went through the tokenizer: nothing was sampled, no image, file or declaration is in it.
    pub(super) fn total(&self) -> Tokens {
        self.items.iter().fold(self.beside, |sum, item| sum.and(*item))
    }
}

/// Counts, and remembers what it has counted.
#[derive(Debug, Default)]
pub(super) struct Counter {
    memo: Memo,
}

impl Counter {
    /// Weighs a conversation. `counting` goes on to count the pieces of what is shortened.
    pub(super) fn weigh(&self, frame: Frame, body: &[u8], outline: &Outline, counting: &mut Counting) -> Weighed {
        let pieces = || outline.beside.iter().chain(outline.items.iter().flat_map(|item| &item.pieces));
        let raw = |piece: &Piece| body.get(piece.at.clone()).unwrap_or_default();
        let keys: Vec<_> = pieces().map(|piece| self.key(raw(piece), piece, counting.tokenizer(), frame)).collect();
        let mut counted = self.memo.of(keys.iter().copied());
        let mut new = Vec::new();
        for ((piece, key), tokens) in pieces().zip(&keys).zip(&mut counted) {
            if tokens.is_none() {
                let fresh = piece_of(raw(piece), piece, frame, counting);
                *tokens = Some(fresh);
                new.extend(key.map(|key| (key, fresh)));
            }
        }
        self.memo.keep(new.into_iter());
        let mut counted = counted.into_iter().map(Option::unwrap_or_default);
        let mut next = || counted.next().unwrap_or_default();
        let mut weighed = Weighed { beside: Tokens::added(frame.beside(outline)), ..Weighed::default() };
        for _ in &outline.beside {
            weighed.beside = weighed.beside.and(next());
        }
        for item in &outline.items {
            let pieces: Vec<Tokens> = item.pieces.iter().map(|piece| shown(item, piece, next())).collect();
            weighed.items.push(pieces.iter().fold(Tokens::added(frame.around(item)), |sum, piece| sum.and(*piece)));
            weighed.pieces.push(pieces);
        }
        weighed
    }

    fn key(&self, raw: &[u8], piece: &Piece, tokenizer: Tokenizer, frame: Frame) -> Option<memo::Key> {
        let how = match piece.kind {
            PieceKind::Image | PieceKind::File | PieceKind::Sealed => return None,
            PieceKind::Declared if frame.has_types => 2,
            _ => u64::from(piece.is_quoted),
        };
        (raw.len() >= memo::LEAST).then(|| self.memo.key(raw, tokenizer, how))
    }
}

fn piece_of(raw: &[u8], piece: &Piece, frame: Frame, counting: &mut Counting) -> Tokens {
    let bytes = u64::try_from(raw.len()).unwrap_or(u64::MAX);
    match piece.kind {
        PieceKind::Image => Tokens::guess(image::tokens(raw, frame.image)),
        PieceKind::File => Tokens::guess((bytes / FILE_BYTES).clamp(FILE_LEAST, FILE_MOST)),
        PieceKind::Sealed => Tokens::guess(bytes / SEALED_BYTES),
        PieceKind::Declared => {
            let types = if frame.has_types { declared::text(raw) } else { None };
            let tokens = match types {
                Some(text) => counting.text(text.as_bytes(), false),
                None => counting.text(raw, piece.is_quoted),
            };
            Tokens { is_exact: false, ..tokens }
        }
        PieceKind::Name => {
            let tokens = counting.text(raw, piece.is_quoted);
            Tokens { count: tokens.count + 1, ..tokens }
        }
        PieceKind::Text | PieceKind::Result | PieceKind::Call | PieceKind::Reasoning => counting.text(raw, piece.is_quoted),
    }
}

impl Frame {
    fn beside(self, outline: &Outline) -> u64 {
        let has_tools = outline.beside.iter().any(|piece| piece.kind == PieceKind::Declared);
        // A system text beside the list is a message as well.
        let systems = outline.beside.iter().any(|piece| piece.kind == PieceKind::Text);
        self.prompt + u64::from(systems) * self.message + u64::from(has_tools) * self.tools
    }

    fn around(self, item: &Item) -> u64 {
        let calls = u64::try_from(item.calls.len()).unwrap_or(0);
        // Results that a user brings have a frame each, as messages of their own have elsewhere.
        let results = if item.role == Role::User { u64::try_from(item.results.len()).unwrap_or(0) } else { 0 };
        self.message + calls * self.call + results * self.message
    }
}

/// A signature beside reasoning in words stands for those words, which are counted.
fn shown(item: &Item, piece: &Piece, tokens: Tokens) -> Tokens {
    let is_told = piece.kind == PieceKind::Sealed && item.pieces.iter().any(|piece| piece.kind == PieceKind::Reasoning);
    if is_told { Tokens::guess(0) } else { tokens }
}

#[cfg(test)]
mod tests;
