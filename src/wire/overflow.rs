//! What providers say of a prompt that is too long: the window, and the true count, from the words of their errors. Only numbers leave here, for the words
//! can quote the prompt. Wordings are looked for as they stand in [`wordings`]; a sentence that is not there says nothing.

mod wordings;

use wordings::{CODES, OTHER_CODES, OTHERS, WORDINGS};

/// Longest part of an error's words that is looked at, in bytes: real ones are below 1 KiB, and what is longer quotes the prompt.
pub(super) const WORDS_MAX: usize = 4 << 10;

/// Longest stretch that a wording may leave open, in bytes.
const GAP_MAX: usize = 200;

/// Largest number of tokens that is believed.
const TOKENS_MAX: u64 = 1 << 40;

/// What an error says of a prompt that did not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overflow {
    /// The model's window in tokens, where it is told. Of some it is the window of the prompt alone (Gemini, xAI, OpenAI's "configured limit").
    pub window: Option<u64>,
    /// The prompt's tokens, where they are told. Neither lower bounds nor estimates are: whoever stopped counting does not tell.
    pub prompt: Option<u64>,
    /// The tokens that were asked for as answer, where they are told beside the prompt's.
    pub answer: Option<u64>,
}

/// What the words of an error say, if they are of a prompt that is too long. `code` and `kind` are the error's own, where it has them.
/// A limit of a rate, of the answer alone or of one text's characters is another thing, whatever it is called.
pub(super) fn read(kind: Option<&str>, code: Option<&str>, words: &str) -> Option<Overflow> {
    let named = |names: &[&str]| [kind, code].into_iter().flatten().any(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name)));
    if named(OTHER_CODES) {
        return None;
    }
    let words = plain(words);
    if OTHERS.iter().any(|other| words.contains(other)) {
        return None;
    }
    let told = WORDINGS.iter().find_map(|wording| matched(&words, wording));
    told.map(Told::overflow).or_else(|| named(CODES).then(Overflow::default))
}

/// The words in small letters and with single blanks, without the quotes that JSON within JSON and Markdown bring.
fn plain(words: &str) -> String {
    let mut plain = String::with_capacity(words.len().min(WORDS_MAX));
    for letter in words.chars() {
        match letter {
            _ if plain.len() >= WORDS_MAX => break,
            '`' | '"' | '\\' => {}
            '\u{2019}' => plain.push('\''),
            blank if blank.is_whitespace() && (plain.is_empty() || plain.ends_with(' ')) => {}
            blank if blank.is_whitespace() => plain.push(' '),
            letter => plain.push(letter.to_ascii_lowercase()),
        }
    }
    plain
}

/// The numbers of a wording.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    window: Option<u64>,
    prompt: Option<u64>,
    answer: Option<u64>,
    /// Prompt and answer together.
    total: Option<u64>,
}

impl Told {
    /// What was told, unless it contradicts itself: a prompt that fits is none that did not.
    fn overflow(self) -> Overflow {
        let Self { window, prompt, answer, total } = self;
        let prompt = prompt.or_else(|| total.zip(answer).and_then(|(total, answer)| total.checked_sub(answer)));
        let window = window.filter(|window| *window > 0);
        let fits = window.zip(prompt).is_some_and(|(window, prompt)| prompt.saturating_add(answer.unwrap_or(0)) < window);
        if fits { Overflow::default() } else { Overflow { window, prompt, answer } }
    }

    /// Takes over a number in the place of a wording's letter.
    fn take(&mut self, place: char, number: u64) {
        let slot = match place {
            'W' => &mut self.window,
            'P' => &mut self.prompt,
            'A' => &mut self.answer,
            'T' => &mut self.total,
            _ => return,
        };
        *slot = Some(number);
    }
}

/// The numbers of the first place where a wording stands. Its capitals are numbers, `*` leaves a stretch open, all else is as written.
fn matched(words: &str, wording: &str) -> Option<Told> {
    let (first, rest) = literal(wording);
    memchr::memmem::find_iter(words.as_bytes(), first).find_map(|at| followed(words.get(at + first.len()..)?, rest))
}

/// The numbers of the rest of a wording, which must stand at the beginning of the rest of the words.
fn followed(mut words: &str, mut wording: &str) -> Option<Told> {
    let mut told = Told::default();
    while let Some(place) = wording.chars().next() {
        let open = place == '*';
        if place.is_ascii_uppercase() {
            let (number, rest) = number(words)?;
            told.take(place, number);
            (words, wording) = (rest, &wording[1..]);
            continue;
        }
        let (text, rest) = literal(if open { &wording[1..] } else { wording });
        let at = if open { memchr::memmem::find(&words.as_bytes()[..words.len().min(GAP_MAX)], text)? } else { 0 };
        words = words.get(at..)?.strip_prefix(std::str::from_utf8(text).ok()?)?;
        wording = rest;
    }
    Some(told)
}

/// What stands before a wording's next number or open stretch, and the rest.
fn literal(wording: &str) -> (&[u8], &str) {
    let end = wording.find(|letter: char| letter.is_ascii_uppercase() || letter == '*').unwrap_or(wording.len());
    (&wording.as_bytes()[..end], &wording[end..])
}

/// A number at the beginning of the words, perhaps with separators between its thousands or a fraction of nothing, and what follows it.
fn number(words: &str) -> Option<(u64, &str)> {
    let bytes = words.as_bytes();
    let digits_at = |at: usize| bytes.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits_at(0);
    while end > 0 && matches!(bytes.get(end), Some(b',' | b'_')) && digits_at(end + 1) == 3 {
        end += 4;
    }
    let digits: String = words[..end].chars().filter(char::is_ascii_digit).collect();
    let number = digits.parse().ok().filter(|number| *number <= TOKENS_MAX)?;
    let rest = &words[end..];
    Some((number, rest.strip_prefix(".0").filter(|rest| !rest.starts_with(|next: char| next.is_ascii_digit())).unwrap_or(rest)))
}

#[cfg(test)]
mod tests;
