//! The bundled table of models, read once, when it is first asked.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    sync::LazyLock,
};

use super::{Model, Prices, name};

/// When the bundled table was made.
pub const DATE: &str = "2026-11";

/// One model a line: name, provider, mode, most tokens of prompt and answer, prices in USD per million tokens (input, output, cache read, cache
/// write); empty for what is unknown.
const CSV: &str = include_str!("models.csv");

/// Providers' names before the first `/` of a name: a namespace of its own each. All else is in the one without a name.
const SPACES: [&str; 19] = [
    "azure",
    "cerebras",
    "cohere",
    "dashscope",
    "deepseek",
    "fireworks_ai",
    "gemini",
    "groq",
    "minimax",
    "mistral",
    "moonshot",
    "nebius",
    "ollama",
    "perplexity",
    "sambanova",
    "together_ai",
    "vertex_ai",
    "xai",
    "zai",
];

/// Whose namespaces hold models by the names that their own makers gave them; of a name that two have, the first is meant.
const MADE_BY: [&str; 11] = ["", "gemini", "mistral", "deepseek", "xai", "cohere", "perplexity", "moonshot", "zai", "minimax", "dashscope"];

/// The namespace of all of these together: where the names of a gateway's models are looked for.
pub(super) const MAKERS: &str = "*";

/// Models by namespace and name.
static TABLE: LazyLock<HashMap<&'static str, Space>> = LazyLock::new(read);

type Space = HashMap<Cow<'static, str>, Model>;

/// The model of exactly this name.
pub(super) fn find(space: &str, name: &str) -> Option<Model> {
    TABLE.get(space)?.get(name).copied()
}

/// Splits off the namespace.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_once('/').filter(|(space, _)| SPACES.contains(space)).unwrap_or(("", name))
}

fn read() -> HashMap<&'static str, Space> {
    let mut table: HashMap<&'static str, Space> = HashMap::new();
    let rows = || CSV.lines().skip(1).filter_map(row);
    for (name, model) in rows() {
        let (space, name) = split(name);
        table.entry(space).or_default().insert(name.into(), model);
    }
    // A name without its date stands for what all of its dated ones have in common, where it has no line of its own.
    let mut undated: HashMap<(&str, &str), Model> = HashMap::new();
    for (name, model) in rows() {
        let (space, name) = split(name);
        let Some(short) = name::without_date(name) else { continue };
        if table.get(space).is_some_and(|known| known.contains_key(short)) {
            continue;
        }
        match undated.entry((space, short)) {
            Entry::Vacant(entry) => drop(entry.insert(model)),
            Entry::Occupied(mut entry) => *entry.get_mut() = common(entry.get(), &model),
        }
    }
    for ((space, name), model) in undated {
        table.entry(space).or_default().insert(name.into(), model);
    }
    let made = MADE_BY.into_iter().rev().filter_map(|space| table.get(space)).flatten();
    let makers = made.map(|(name, model)| (name.clone(), *model)).collect();
    table.insert(MAKERS, makers);
    table
}

fn row(line: &'static str) -> Option<(&'static str, Model)> {
    let mut fields = line.split(',');
    let (name, _provider, _mode) = (fields.next()?, fields.next()?, fields.next()?);
    let mut tokens = || fields.next()?.parse().ok();
    let (window, output_max) = (tokens(), tokens());
    let mut price = || fields.next()?.parse().ok();
    let prices = Prices { input: price(), output: price(), cache_read: price(), cache_write: price() };
    Some((name, Model { window, output_max, prices }))
}

fn common(one: &Model, other: &Model) -> Model {
    fn same<T: PartialEq + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
        if one == other { one } else { None }
    }
    let (first, second) = (one.prices, other.prices);
    let prices = Prices {
        input: same(first.input, second.input),
        output: same(first.output, second.output),
        cache_read: same(first.cache_read, second.cache_read),
        cache_write: same(first.cache_write, second.cache_write),
    };
    Model { window: same(one.window, other.window), output_max: same(one.output_max, other.output_max), prices }
}

#[cfg(test)]
mod tests {
    use super::{CSV, MADE_BY, MAKERS, SPACES, TABLE, row};

    #[test]
    fn every_line_is_read() {
        let lines = CSV.lines().skip(1).count();
        assert_eq!(CSV.lines().skip(1).filter_map(row).count(), lines);
        assert!(lines > 1400, "{lines}");
        let known: usize = TABLE.iter().filter(|(space, _)| **space != MAKERS).map(|(_, models)| models.len()).sum();
        assert!(known >= lines, "{known}");
        let without_window = CSV.lines().skip(1).filter_map(row).filter(|(_, model)| model.window.is_none()).count();
        assert_eq!(without_window, 0);
    }

    #[test]
    fn every_namespace_has_models() {
        let empty: Vec<&str> = SPACES.into_iter().chain(MADE_BY).filter(|space| !TABLE.contains_key(space)).collect();
        assert!(empty.is_empty(), "{empty:?}");
        assert_eq!(TABLE.len(), SPACES.len() + 2);
    }
}
