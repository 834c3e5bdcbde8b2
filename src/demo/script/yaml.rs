//! A script's YAML as JSON's tree, so that one reader serves both, and the lines of its upper keys and items. Bounded in depth and in what
//! aliases unfold to; a key given twice is an error.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

/// Deepest nesting.
const DEEPEST: usize = 64;
/// Most values that aliases may add, so that nested ones cannot explode.
const MOST_ALIASED: usize = 100_000;

/// How deep lines are known: the keys within a key of a step.
const LINES_DEPTH: usize = 4;

/// A document, and where in it things stand.
pub(super) struct Document {
    pub(super) tree: Value,
    /// The line of a path; unknown in JSON.
    pub(super) lines: HashMap<String, usize>,
}

impl Document {
    /// Reads a text; the first thing that is wrong with it is all that can be told.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut builder = Builder::default();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| format!("not YAML: line {}: {}", error.marker().line(), error.info()))?;
            let line = span.start.line();
            builder.take(event, line).map_err(|fault| format!("line {line}: {fault}"))?;
        }
        Ok(Self { tree: builder.root, lines: builder.lines })
    }
}

/// A list or map that is still open.
enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Builder {
    /// Each with its anchor.
    open: Vec<(Open, usize)>,
    anchors: HashMap<usize, Value>,
    aliased: usize,
    documents: usize,
    root: Value,
    lines: HashMap<String, usize>,
    /// Where the lists and maps that are open began.
    begun: Vec<usize>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { Err("a second document; one is wanted".to_owned()) } else { Ok(()) }
            }
            Event::Scalar(text, style, anchor, tag) => {
                if let Some((Open::Map(_, key @ None), _)) = self.open.last_mut() {
                    *key = Some(text.into_owned());
                    self.remember(line);
                    return Ok(());
                }
                let plain = style == ScalarStyle::Plain && !tag.as_deref().is_some_and(is_text);
                self.add(if plain { scalar(&text) } else { Value::String(text.into_owned()) }, anchor, line)
            }
            Event::SequenceStart(anchor, _) => self.start(Open::List(Vec::new()), anchor, line),
            Event::MappingStart(anchor, _) => self.start(Open::Map(Map::new(), None), anchor, line),
            Event::SequenceEnd | Event::MappingEnd => {
                let (Some((open, anchor)), Some(begun)) = (self.open.pop(), self.begun.pop()) else { return Ok(()) };
                let value = match open {
                    Open::List(values) => Value::Array(values),
                    Open::Map(map, _) => Value::Object(map),
                };
                self.add(value, anchor, begun)
            }
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned().ok_or("an alias of something that holds it")?;
                self.aliased += count(&value);
                if self.aliased > MOST_ALIASED { Err("aliases unfold to too much".to_owned()) } else { self.add(value, 0, line) }
            }
        }
    }

    fn start(&mut self, open: Open, anchor: usize, line: usize) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err(format!("nested deeper than {DEEPEST} levels"));
        }
        if let Some((Open::Map(_, None), _)) = self.open.last() {
            return Err("a key must be a word".to_owned());
        }
        self.open.push((open, anchor));
        self.begun.push(line);
        Ok(())
    }

    fn add(&mut self, value: Value, anchor: usize, line: usize) -> Result<(), String> {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        if let Some((Open::List(_), _)) = self.open.last() {
            self.remember(line);
        }
        match self.open.last_mut() {
            None => self.root = value,
            Some((Open::List(values), _)) => values.push(value),
            Some((Open::Map(map, key), _)) => {
                let key = key.take().ok_or("a key must be a word")?;
                if map.contains_key(&key) {
                    return Err(format!("`{key}` is given twice"));
                }
                map.insert(key, value);
            }
        }
        Ok(())
    }

    /// The line of the key or item that comes next. A list alone is one of steps.
    fn remember(&mut self, line: usize) {
        if self.open.len() > LINES_DEPTH {
            return;
        }
        let mut path = String::new();
        for (open, _) in &self.open {
            match open {
                Open::List(values) if path.is_empty() => path = format!("steps[{}]", values.len()),
                Open::List(values) => path.extend(["[", &values.len().to_string(), "]"]),
                Open::Map(_, Some(key)) if path.is_empty() => path.clone_from(key),
                Open::Map(_, Some(key)) => path.extend([".", key]),
                Open::Map(_, None) => {}
            }
        }
        self.lines.insert(path, line);
    }
}

fn is_text(tag: &Tag) -> bool {
    tag.is_yaml_core_schema() && tag.suffix == "str"
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

/// A plain scalar by YAML's core schema.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let hex = text.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
    let octal = text.strip_prefix("0o").and_then(|digits| i64::from_str_radix(digits, 8).ok());
    if let Some(integer) = text.parse::<i64>().ok().or(hex).or(octal) {
        return Value::Number(Number::from(integer));
    }
    // What `parse` takes beyond the schema are words: `inf`, `nan`, `infinity`.
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) && text.bytes().any(|byte| byte.is_ascii_digit());
    let float = text.parse::<f64>().ok().filter(|_| numeric).and_then(Number::from_f64);
    float.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Document, scalar};

    #[test]
    fn scalars_are_what_the_core_schema_says() {
        for (text, expected) in [
            ("~", Value::Null),
            ("True", json!(true)),
            ("-7", json!(-7)),
            ("0x10", json!(16)),
            ("2.5", json!(2.5)),
            ("1e3", json!(1000.0)),
            ("inf", json!("inf")),
            ("1m", json!("1m")),
            ("10.0.0.1", json!("10.0.0.1")),
            ("e", json!("e")),
        ] {
            assert_eq!(scalar(text), expected, "{text}");
        }
        assert_eq!(Document::read("[5, '5', !!str 5, \"\"]").unwrap().tree, json!([5, "5", "5", ""]));
    }

    #[test]
    fn items_know_their_lines_and_anchors_are_followed() {
        let document = Document::read("steps:\n\n  - &a {x: 1}\n  - *a\n  -\n    y: [1,\n      2]\nrules: [1]").unwrap();
        assert_eq!(document.tree, json!({"steps": [{"x": 1}, {"x": 1}, {"y": [1, 2]}], "rules": [1]}));
        let line = |path: &str| document.lines.get(path).copied();
        assert_eq!(["steps[0]", "steps[1]", "steps[2].y", "steps[3]", "rules"].map(line), [Some(3), Some(4), Some(6), None, Some(8)]);
        assert_eq!(Document::read("- 1\n- 2").unwrap().lines["steps[1]"], 2);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        let bomb = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(), |text, i| {
            text + &format!("a{i}: &a{i} [{}]\n", format!("*a{},", i - 1).repeat(8))
        });
        for (text, part) in [
            ("a: 1\nb: 2\na: 3".to_owned(), "line 3: `a` is given twice"),
            ("a: 1\n---\nb: 2".to_owned(), "a second document"),
            ("? [a]\n: 1".to_owned(), "a key must be a word"),
            ("- ".repeat(1000), "nested deeper than 64 levels"),
            ("a: [".to_owned(), "not YAML: line"),
            (bomb, "unfold to too much"),
        ] {
            let Err(told) = Document::read(&text) else { panic!("{text}") };
            assert!(told.contains(part), "{told}");
        }
    }
}
