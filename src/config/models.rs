//! What the config says about models: `context.windows` and `telemetry.prices`, each by a glob of the name that is on the wire.

use super::{
    fields::{Fields, Wanted},
    glob, values,
};

/// Most patterns of one section: they are tried one by one.
const MOST_PATTERNS: usize = 1000;

/// `context`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Context {
    /// Tokens of a model's window, in place of the bundled table's.
    pub windows: ByModel<u64>,
}

/// Prices in USD per million tokens; `None` where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prices {
    /// Input that was neither read from the cache nor written to it.
    pub input: Option<f64>,
    /// Output, reasoning included.
    pub output: Option<f64>,
    /// Input read from the cache; at the price of input where unknown.
    pub cache_read: Option<f64>,
    /// Input written to the cache; at the price of input where unknown.
    pub cache_write: Option<f64>,
}

/// Something said of models by globs of their names, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct ByModel<T>(Vec<(String, T)>);

impl<T> ByModel<T> {
    /// Of these globs, the first that matches wins.
    pub fn new(said: Vec<(String, T)>) -> Self {
        Self(said)
    }

    /// What is said of the model of this name.
    pub fn of(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(pattern, _)| glob::matches(pattern, name)).map(|(_, said)| said)
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(pattern, said)| (pattern.as_str(), said))
    }
}

impl<T> Default for ByModel<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// `context.windows`.
pub(super) fn context(fields: &mut Fields<'_, '_>) -> Context {
    let path = fields.path_of("windows");
    let mut windows = Vec::new();
    for (pattern, node) in patterns(fields, "windows") {
        let tokens = fields.reading.parsed(&format!("{path}.{pattern}"), node, values::whole(1..=1_000_000_000));
        windows.extend(tokens.map(|tokens| (pattern, tokens)));
    }
    Context { windows: ByModel(windows) }
}

/// `telemetry.prices`.
pub(super) fn prices(fields: &mut Fields<'_, '_>) -> ByModel<Prices> {
    let path = fields.path_of("prices");
    let mut all = Vec::new();
    for (pattern, node) in patterns(fields, "prices") {
        let mut section = Fields::of(fields.reading, format!("{path}.{pattern}"), node);
        let mut price = |key| section.value(key, usd);
        let prices = Prices { input: price("input"), output: price("output"), cache_read: price("cache_read"), cache_write: price("cache_write") };
        section.finish();
        all.push((pattern, prices));
    }
    ByModel(all)
}

/// The entries of a section whose keys are globs.
fn patterns(fields: &mut Fields<'_, '_>, key: &'static str) -> Vec<(String, super::tree::Node)> {
    let path = fields.path_of(key);
    let mut good = Vec::new();
    for (pattern, node) in fields.entries(key) {
        let wrong: Option<Wanted> = match values::pattern(&pattern.text) {
            _ if good.len() >= MOST_PATTERNS => Some(format!("at most {MOST_PATTERNS} patterns").into()),
            checked => checked.err(),
        };
        match wrong {
            Some(wanted) => fields.reading.report(&pattern.origin, &path, format!("wants {wanted}")),
            None => good.push((pattern.text, node)),
        }
    }
    good
}

/// A price in USD per million tokens.
fn usd(text: &str) -> Result<f64, Wanted> {
    values::number(0.0..=1_000_000.0)(text).map_err(|_| "a price in USD per million tokens, such as `2.5`".into())
}
