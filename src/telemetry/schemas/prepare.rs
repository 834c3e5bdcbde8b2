//! Makes a declared schema ready to be used: Gemini's spelling becomes that of JSON Schema, patterns that are no linear regexes of a small size are
//! left out (and so not checked), and what a check of it would cost is measured. A schema that refers to itself or to elsewhere is not used.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use regex::RegexBuilder;
use serde_json::{Map, Value, json};

/// Most parts of a schema, each counted as often as it is referred to.
const NODES_MAX: u64 = 100_000;
/// Deepest nesting, references followed: a check descends as deep.
const DEPTH_MAX: u32 = 400;
/// Longest chain of references.
const CHAIN_MAX: usize = 32;
/// Most patterns of one schema.
const PATTERNS_MAX: u32 = 64;
/// What one compiled pattern may take, in bytes.
const PATTERN_SIZE: usize = 128 << 10;

/// What a schema is made of, references followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Its parts.
    pub(super) nodes: u64,
    /// Levels.
    pub(super) depth: u32,
}

/// The schema as it is to be compiled. `None` if it cannot be used within bounds.
pub(super) fn prepare(mut schema: Value) -> Option<(Value, Cost)> {
    let mut rewrite = Rewrite { patterns: 0 };
    rewrite.schema(&mut schema, true)?;
    let cost = Measure { root: &schema, known: HashMap::new(), open: Vec::new() }.cost(&schema)?;
    Some((schema, cost))
}

struct Rewrite {
    patterns: u32,
}

impl Rewrite {
    fn schema(&mut self, value: &mut Value, is_root: bool) -> Option<()> {
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.schema(item, false)),
            Value::Object(fields) => {
                self.fields(fields, is_root)?;
                let inner = fields.iter_mut().filter(|(key, _)| !is_data(key));
                inner.map(|(_, inner)| inner).try_for_each(|inner| self.schema(inner, false))
            }
            _ => Some(()),
        }
    }

    /// Keywords of one schema. A property that is called like one holds a schema, and is told by that.
    fn fields(&mut self, fields: &mut Map<String, Value>, is_root: bool) -> Option<()> {
        let is_text = |key: &str| fields.get(key).is_some_and(Value::is_string);
        // Where references lead then cannot be told from here.
        if ["$dynamicRef", "$recursiveRef"].into_iter().any(is_text) || !is_root && ["$id", "id"].into_iter().any(is_text) {
            return None;
        }
        if !["$schema", "$id", "id", "$ref"].into_iter().filter_map(|key| fields.get(key)?.as_str()).all(is_plain) {
            return None;
        }
        if let Some(Value::String(pattern)) = fields.get("pattern")
            && !self.is_usable(pattern)
        {
            fields.remove("pattern");
        }
        if let Some(Value::Object(patterns)) = fields.get("patternProperties")
            && !patterns.keys().all(|pattern| self.is_usable(pattern))
        {
            return None;
        }
        spell(fields);
        Some(())
    }

    fn is_usable(&mut self, pattern: &str) -> bool {
        self.patterns += 1;
        self.patterns <= PATTERNS_MAX && RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).build().is_ok()
    }
}

/// Whether a reference stays within the schema, or is a URL as schemas have them. Of host names in scripts, which are nobody's, the reader of URLs
/// makes too much.
fn is_plain(reference: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#$&+,;=@".contains(&byte);
    reference.starts_with('#') || reference.bytes().all(fits)
}

/// Whether what stands under this keyword is no schema.
fn is_data(key: &str) -> bool {
    matches!(key, "const" | "default" | "enum" | "example" | "examples")
}

/// Gemini writes types in capitals, numbers as texts, and `nullable` where JSON Schema has a type of `null`.
fn spell(fields: &mut Map<String, Value>) {
    if let Some(Value::String(kind)) = fields.get_mut("type")
        && matches!(kind.as_str(), "ARRAY" | "BOOLEAN" | "INTEGER" | "NULL" | "NUMBER" | "OBJECT" | "STRING")
    {
        kind.make_ascii_lowercase();
    }
    for key in ["maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties"] {
        if let Some(Value::String(number)) = fields.get(key)
            && let Ok(number) = number.parse::<u64>()
        {
            fields.insert(key.to_owned(), number.into());
        }
    }
    if fields.get("nullable") == Some(&Value::Bool(true)) {
        if let Some(Value::String(kind)) = fields.get("type") {
            let kinds = json!([kind, "null"]);
            fields.insert("type".to_owned(), kinds);
        }
        if let Some(Value::Array(values)) = fields.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    }
}

/// Measures a schema whose references are all followed, as a check would.
struct Measure<'s> {
    root: &'s Value,
    known: HashMap<&'s str, Cost>,
    /// References that are being followed.
    open: Vec<&'s str>,
}

impl<'s> Measure<'s> {
    /// `None` beyond the bounds, or where a reference leads back to itself or out of the schema.
    fn cost(&mut self, value: &'s Value) -> Option<Cost> {
        let mut cost = Cost { nodes: 1, depth: 0 };
        match value {
            Value::Array(items) => {
                for item in items {
                    cost.add(self.cost(item)?)?;
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    let inner = match value {
                        Value::String(reference) if key == "$ref" => self.follow(reference)?,
                        _ => self.cost(value)?,
                    };
                    cost.add(inner)?;
                }
            }
            _ => {}
        }
        cost.depth += 1;
        Some(cost)
    }

    fn follow(&mut self, reference: &'s str) -> Option<Cost> {
        if let Some(known) = self.known.get(reference) {
            return Some(*known);
        }
        if self.open.contains(&reference) || self.open.len() >= CHAIN_MAX {
            return None;
        }
        let pointer = percent_decode_str(reference.strip_prefix('#')?).decode_utf8().ok()?;
        let target = self.root.pointer(&pointer)?;
        self.open.push(reference);
        let cost = self.cost(target)?;
        self.open.pop();
        self.known.insert(reference, cost);
        Some(cost)
    }
}

impl Cost {
    fn add(&mut self, inner: Self) -> Option<()> {
        self.nodes += inner.nodes;
        self.depth = self.depth.max(inner.depth);
        (self.nodes <= NODES_MAX && self.depth < DEPTH_MAX).then_some(())
    }
}
