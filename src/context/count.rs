//! Counts a conversation: each text by the model's tokenizer or the one that is nearest to it, and what providers put around texts.
//!
//! What is added is published by no provider in full; the numbers here are those of their own examples, or measured by others, and each says whose. What
//! they are off by is learnt from usage (see `correct`).

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

/// Claude's vocabularies are finer: 1.1 to 1.2 times o200k on prose and code, up to 1.35 times that since Opus 4.7 (Anthropic, "What's new in Claude
/// Opus 4.7"). Too many at first is better than an error.
const RATIO_CLAUDE: f64 = 1.2;
/// Vocabularies of 128,000 to 256,000 entries (Llama 3, Qwen, Gemma, Mistral's Tekken) are 1.0 to 1.1 times o200k on English.
const RATIO: f64 = 1.1;

impl Family {
    /// By the name that is on the wire: with a gateway's prefixes, a fine-tune's owner, a date, or none of them.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        if let Some((_, tokenizer)) = OWN.iter().find(|(start, _)| begins(name, start)) {
            return Self { tokenizer: *tokenizer, is_own: true, ratio: 1.0 };
        }
        let ratio = if model.contains("claude") { RATIO_CLAUDE } else { RATIO };
        Self { tokenizer: Tokenizer::O200k, is_own: false, ratio }
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
        match dialect {
            // "You are a scientist" and "Hello, Claude" are 14 tokens together, 8 of them text ("Token counting"); tools bring a system prompt of 346
            // ("Tool use", Claude 4, auto), here by o200k.
            Dialect::AnthropicMessages => Self { prompt: 2, message: 3, call: 12, tools: 320, image: Rule::Area, has_types: false },
            // Roles and turns are marked by five tokens in Gemma's template, whose makers are the same.
            Dialect::Gemini => Self { prompt: 3, message: 5, call: 6, tools: 20, image: Rule::Crops, has_types: false },
            // Three for a message and one for its role, three before the answer (openai-cookbook, "How to count tokens with tiktoken"); a call with its
            // result took 24 beyond the rest of a prompt, 19 of which are explained (community.openai.com/t/538914).
            _ if family.is_own => Self { prompt: 3, message: 4, call: 5, tools: 0, image: Rule::Tiles, has_types: true },
            // `<|im_start|>`, the role, a line's end, `<|im_end|>`, a line's end: ChatML, which most templates resemble. Tools are shown as JSON below
            // a paragraph of instructions.
            _ => Self { prompt: 3, message: 5, call: 12, tools: 80, image: Rule::Area, has_types: false },
        }
    }
}

/// Reasoning that only its maker can read is counted as input while the task goes on (OpenAI, "Reasoning models"; Google, "Thought signatures"), and is
/// six bytes a token: four characters, encrypted and in base64. Left out of later tasks by some, but a count that fell then would move the cut.
const SEALED_BYTES: u64 = 6;
/// A page of a document is 1,500 to 3,000 tokens (Anthropic, "PDF support") in some 100 KB; a document named by an URL or an id has one.
const FILE_LEAST: u64 = 1500;
const FILE_BYTES: u64 = 60;
/// A file is at most so many: 100 pages are what may be sent.
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
