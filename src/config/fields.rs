//! Reads the keys of one section: takes those it is asked for, notes where each value came from, and at the end reports the rest
//! as unknown. Errors are gathered, never returned, so that a person sees all of them at once.

use std::borrow::Cow;

use super::{
    environment::{self, Environment},
    errors::{Origin, Origins, Problem},
    tree::{Key, Node, Value},
};

/// How alike two keys must be for "did you mean".
const ALIKE: f64 = 0.6;

/// Longest piece of a wrong value that an error repeats, in characters.
const LONGEST_QUOTE: usize = 40;

/// What a value should have been, as the end of "wants …".
pub(super) type Wanted = Cow<'static, str>;

/// One reading of a config: what is gathered on the way.
pub(super) struct Reading<'a> {
    pub(super) environment: &'a Environment,
    pub(super) origins: Origins,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

/// A scalar with its variables filled in.
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) origin: Origin,
    /// Whether it stands in the file or on the command line as it is. Only then may an error repeat it.
    pub(super) literal: bool,
}

impl Reading<'_> {
    pub(super) fn report(&mut self, origin: &Origin, path: &str, message: impl Into<String>) {
        self.problems.push(Problem { origin: origin.clone(), path: path.to_owned(), message: message.into() });
    }

    /// The node's text, `${VAR}` replaced if it is the file's.
    pub(super) fn scalar(&mut self, path: &str, node: Node) -> Option<Scalar> {
        let Node { origin, value } = node;
        let message = match value {
            Value::Text(text) if matches!(origin, Origin::File(_)) => match expand(&text, self.environment) {
                Ok(expanded) => return Some(Scalar { literal: expanded == text, text: expanded, origin }),
                Err(message) => message,
            },
            Value::Text(text) => return Some(Scalar { literal: matches!(origin, Origin::Flag(_)), text, origin }),
            Value::Nothing => "has no value; leave the key out for the default".to_owned(),
            Value::List(_) => "wants one value, not a list".to_owned(),
            Value::Map(_) => "wants one value, not keys".to_owned(),
        };
        self.report(&origin, path, message);
        None
    }

    /// The node's text as `parse` understands it. An error repeats what is no secret.
    pub(super) fn parsed<T>(&mut self, path: &str, node: Node, parse: impl FnOnce(&str) -> Result<T, Wanted>) -> Option<T> {
        let Scalar { text, origin, literal } = self.scalar(path, node)?;
        let found: String = text.chars().take(LONGEST_QUOTE).collect();
        self.noted(
            path,
            origin,
            parse(&text).map_err(|wanted| if literal { format!("{wanted}; found `{}`", found.escape_debug()).into() } else { wanted }),
        )
    }

    /// Like [`Self::parsed`], for values that no error may repeat.
    pub(super) fn parsed_in_secret<T>(&mut self, path: &str, node: Node, parse: impl FnOnce(&str) -> Result<T, Wanted>) -> Option<T> {
        let Scalar { text, origin, .. } = self.scalar(path, node)?;
        self.noted(path, origin, parse(&text))
    }

    fn noted<T>(&mut self, path: &str, origin: Origin, value: Result<T, Wanted>) -> Option<T> {
        match value {
            Ok(value) => {
                self.origins.set(path.to_owned(), origin);
                Some(value)
            }
            Err(wanted) => {
                self.report(&origin, path, format!("wants {wanted}"));
                None
            }
        }
    }
}

/// The keys of one section.
pub(super) struct Fields<'r, 'a> {
    pub(super) reading: &'r mut Reading<'a>,
    path: String,
    entries: Vec<(Key, Node)>,
    known: Vec<&'static str>,
}

impl<'r, 'a> Fields<'r, 'a> {
    /// The section at `path`; one with nothing in it is as good as none, anything but keys is an error.
    pub(super) fn of(reading: &'r mut Reading<'a>, path: String, node: Node) -> Self {
        let entries = match node.value {
            Value::Map(entries) => entries,
            Value::Nothing => Vec::new(),
            Value::Text(_) | Value::List(_) => {
                let place = if path.is_empty() { "the file" } else { "this section" };
                reading.report(&node.origin, &path, format!("{place} wants keys, each with a value"));
                Vec::new()
            }
        };
        Self { reading, path, entries, known: Vec::new() }
    }

    /// The key path of one of its keys.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Its own key path.
    pub(super) fn path(&self) -> String {
        self.path.clone()
    }

    /// Whether nothing is left in it.
    pub(super) fn is_used_up(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes a key's value out, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let at = self.entries.iter().position(|(entry, _)| entry.text == key)?;
        Some(self.entries.remove(at).1)
    }

    /// A key's value as `parse` understands it.
    pub(super) fn value<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, Wanted>) -> Option<T> {
        let node = self.take(key)?;
        self.reading.parsed(&self.path_of(key), node, parse)
    }

    /// Like [`Self::value`], for values that no error may repeat.
    pub(super) fn secret<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, Wanted>) -> Option<T> {
        let node = self.take(key)?;
        self.reading.parsed_in_secret(&self.path_of(key), node, parse)
    }

    /// Replaces `into` by a key's value as `parse` understands it, if it is there.
    pub(super) fn set<T>(&mut self, key: &'static str, into: &mut T, parse: impl FnOnce(&str) -> Result<T, Wanted>) {
        if let Some(value) = self.value(key, parse) {
            *into = value;
        }
    }

    /// A section within this one, if it is there.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(Fields<'_, 'a>) -> T) -> Option<T> {
        let node = self.take(key)?;
        let path = self.path_of(key);
        Some(read(Fields::of(self.reading, path, node)))
    }

    /// A section within this one; one that is not there is read as if it were empty.
    pub(super) fn section_or_none<T>(&mut self, key: &'static str, read: impl FnOnce(Fields<'_, 'a>) -> T) -> T {
        let node = self.take(key).unwrap_or_else(Node::empty);
        let path = self.path_of(key);
        read(Fields::of(self.reading, path, node))
    }

    /// The entries of a section whose keys are names that the person chose.
    pub(super) fn entries(&mut self, key: &'static str) -> Vec<(Key, Node)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let path = self.path_of(key);
        Fields::of(self.reading, path, node).entries
    }

    /// The items of a list; in a variable they stand between commas.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<Node>> {
        let Node { origin, value } = self.take(key)?;
        match value {
            Value::List(nodes) => {
                self.reading.origins.set(self.path_of(key), origin);
                Some(nodes)
            }
            Value::Text(text) if matches!(origin, Origin::Environment(_)) => {
                self.reading.origins.set(self.path_of(key), origin.clone());
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(items.map(|item| Node { origin: origin.clone(), value: Value::Text(item.to_owned()) }).collect())
            }
            Value::Nothing => None,
            Value::Text(_) | Value::Map(_) => {
                self.reading.report(&origin, &self.path_of(key), "wants a list");
                None
            }
        }
    }

    /// A key that the product has and this version has not. `harmless` are values that ask for what happens anyway.
    pub(super) fn later(&mut self, key: &'static str, harmless: &[&str]) {
        let Some(node) = self.take(key) else { return };
        let is_harmless = match &node.value {
            Value::Nothing => true,
            Value::Text(text) => harmless.contains(&text.as_str()),
            Value::List(nodes) => nodes.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        };
        if !is_harmless {
            let origin = first_origin(node);
            self.reading.report(&origin, &self.path_of(key), "is not supported by this version yet");
        }
    }

    /// Reports what nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in &self.entries {
            let best = closest(&key.text, &self.known);
            let message = match (&key.origin, best) {
                (Origin::Environment(name), best) => match self.variable_meant(name, &key.text, best) {
                    Some(meant) => format!("unknown key; did you mean `{meant}`?"),
                    None => format!("unknown key `{}`", self.path_of(&key.text).escape_debug()),
                },
                (_, Some(best)) => format!("unknown key; did you mean `{best}`?"),
                (_, None) => format!("unknown key; known here: {}", self.known.join(", ")),
            };
            self.reading.report(&key.origin, &self.path_of(&key.text), message);
        }
    }

    /// The variable that was meant by one with an unknown key: the same with the key's segment put right.
    fn variable_meant(&self, name: &str, key: &str, best: Option<&str>) -> Option<String> {
        // `PILLION_TIMEOUTS_TOTAL`: one underscore where two part the levels.
        let parted = self.known.iter().find_map(|known| Some(format!("{known}.{}", key.strip_prefix(known)?.strip_prefix('_')?)));
        let right = self.path_of(&parted.or_else(|| best.map(str::to_owned))?);
        let rest = name.strip_prefix(&environment::variable_of(&self.path_of(key))).unwrap_or_default();
        Some(environment::variable_of(&right) + rest)
    }
}

/// The known word that is most like this one, if any is like it.
pub(super) fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&word.to_ascii_lowercase(), known);
    let best = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= ALIKE).then_some(best)
}

/// Where the first value within came from: a section that only variables made has no place in the file.
fn first_origin(node: Node) -> Origin {
    match node.value {
        Value::Map(mut entries) if !entries.is_empty() => entries.remove(0).0.origin,
        _ => node.origin,
    }
}

/// Replaces `${NAME}` by the variable and `$${` by `${`. An error says which variable is missing, never what others hold.
fn expand(text: &str, environment: &Environment) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = from.strip_prefix("${").unwrap_or(from);
            continue;
        }
        expanded.push_str(before);
        let name = from.strip_prefix("${").and_then(|inner| inner.split_once('}'));
        let Some((name, after)) = name.filter(|(name, _)| is_name(name)) else {
            return Err("`${` wants the name of a variable and `}`; for the characters themselves write `$${`".to_owned());
        };
        let Some(value) = environment.even_empty(name) else {
            return Err(format!("the environment has no `{name}`"));
        };
        expanded.push_str(value);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_once_and_can_be_escaped() {
        let environment: Environment = [("A", "1"), ("B", "${A}"), ("EMPTY", "")].into_iter().collect();
        for (text, expected) in [
            ("plain $A $", Ok("plain $A $")),
            ("${A}", Ok("1")),
            ("x${A}y${A}", Ok("x1y1")),
            ("${B}", Ok("${A}")),
            ("${EMPTY}", Ok("")),
            ("$${A}", Ok("${A}")),
            ("$${A}${A}", Ok("${A}1")),
            ("${NONE}", Err("the environment has no `NONE`")),
        ] {
            assert_eq!(expand(text, &environment), expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
        for text in ["${", "${}", "${A", "${A-x}", "${1A}", "${A B}"] {
            assert!(expand(text, &environment).is_err_and(|message| message.starts_with("`${` wants")), "{text}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_stranger_is_not() {
        let known = ["connect", "first_byte", "total", "stream_total"];
        for (word, expected) in
            [("totl", Some("total")), ("Total", Some("total")), ("firstbyte", Some("first_byte")), ("conect", Some("connect")), ("banana", None)]
        {
            assert_eq!(closest(word, &known), expected, "{word}");
        }
    }
}
