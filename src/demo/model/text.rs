//! Something to say: plausible English of no meaning, drawn under a seed.

use fastrand::Rng;

const WHO: [&str; 10] = [
    "The first step",
    "The second source",
    "This part",
    "The figure for last year",
    "The draft",
    "The result so far",
    "What remains",
    "The shorter version",
    "The comparison",
    "The open question",
];
const DOES: [&str; 8] =
    ["agrees with", "leaves out", "confirms", "does not explain", "depends on", "is close to", "comes before", "says little about"];
const WHAT: [&str; 10] = [
    "the earlier estimate",
    "the costs of the journey",
    "what the reader asked",
    "the weather at the coast",
    "the two tables",
    "the missing chapter",
    "the plan of the week",
    "the older measurements",
    "the name of the ship",
    "most of the budget",
];
const HOW: [&str; 7] = ["", "", ", as far as I can tell", ", with one exception", " for now", ", and that should be said", " in every case"];

/// Sentences.
pub(in crate::demo) fn sentences(count: usize, rng: &mut Rng) -> String {
    (0..count).map(|_| sentence(rng)).collect::<Vec<_>>().join(" ")
}

fn sentence(rng: &mut Rng) -> String {
    format!("{} {} {}{}.", draw(&WHO, rng), draw(&DOES, rng), draw(&WHAT, rng), draw(&HOW, rng))
}

fn draw(from: &[&'static str], rng: &mut Rng) -> &'static str {
    rng.choice(from).copied().unwrap_or_default()
}

/// Text of exactly so many bytes.
pub(super) fn filler(bytes: usize) -> String {
    "many words and no meaning ".chars().cycle().take(bytes).collect()
}

/// The pieces in which a text is streamed: its words, each with the space after it.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}

/// An id as the providers make them: a prefix and letters and digits.
pub(super) fn id(prefix: &str, length: usize, rng: &mut Rng) -> String {
    prefix.chars().chain((0..length).map(|_| rng.alphanumeric())).collect()
}
