//! Values that fit a JSON schema, drawn under a seed: what a model would fill in for a tool that it was shown.

use fastrand::Rng;
use serde_json::{Map, Number, Value, json};

/// Deeper schemas than this are recursive; what lies below is left null.
const DEPTH_MAX: usize = 12;

/// A value that fits; anything fits no schema.
pub(super) fn fill(schema: &Value, rng: &mut Rng) -> Value {
    Filler { root: schema, rng }.value(schema, "", DEPTH_MAX)
}

struct Filler<'a> {
    root: &'a Value,
    rng: &'a mut Rng,
}

impl Filler<'_> {
    fn value(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth == 0 {
            return Value::Null;
        }
        if let Some(target) = schema["$ref"].as_str() {
            let resolved = self.root.pointer(target.trim_start_matches('#')).cloned().unwrap_or_default();
            return self.value(&resolved, name, depth - 1);
        }
        if let Some(fixed) = schema.get("const") {
            return fixed.clone();
        }
        if let Some(choices) = schema["enum"].as_array() {
            return self.rng.choice(choices).cloned().unwrap_or_default();
        }
        for union in ["anyOf", "oneOf", "allOf"] {
            if let Some(member) = schema[union].as_array().and_then(|members| members.iter().find(|member| member["type"] != "null")) {
                return self.value(member, name, depth - 1);
            }
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, name, depth),
            "integer" => Value::Number(Number::from(self.integer(schema))),
            "number" => json!(self.number(schema)),
            "boolean" => Value::Bool(self.rng.bool()),
            "null" => Value::Null,
            _ => Value::String(self.string(schema, name)),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&key.as_str()) || self.rng.bool() {
                object.insert(key.clone(), self.value(property, key, depth - 1));
            }
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        let least = schema["minItems"].as_u64().unwrap_or(1);
        let most = schema["maxItems"].as_u64().unwrap_or(least + 1).max(least);
        let count = self.rng.u64(least..=most).min(8);
        (0..count).map(|_| self.value(&schema["items"], name, depth - 1)).collect()
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let least = schema["minimum"].as_i64().or_else(|| schema["exclusiveMinimum"].as_i64().map(|bound| bound.saturating_add(1))).unwrap_or(1);
        let most = schema["maximum"].as_i64().or_else(|| schema["exclusiveMaximum"].as_i64().map(|bound| bound.saturating_sub(1)));
        self.rng.i64(least..=most.unwrap_or(least.saturating_add(9)).max(least))
    }

    fn number(&mut self, schema: &Value) -> f64 {
        let least = schema["minimum"].as_f64().or_else(|| schema["exclusiveMinimum"].as_f64()).unwrap_or(1.0);
        let most = schema["maximum"].as_f64().or_else(|| schema["exclusiveMaximum"].as_f64()).unwrap_or(least + 9.0);
        // Strictly between the bounds, so that it fits whether or not they are exclusive; in quarters, so that it prints short.
        let between = least + (most - least) * (0.1 + 0.8 * self.rng.f64());
        let short = (between * 4.0).round() / 4.0;
        if short > least && short < most { short } else { between }
    }

    fn string(&mut self, schema: &Value, name: &str) -> String {
        match schema["format"].as_str() {
            Some("date") => return "2025-06-15".to_owned(),
            Some("date-time") => return "2025-06-15T09:30:00Z".to_owned(),
            Some("uri" | "url") => return "https://example.com/".to_owned(),
            Some("email") => return "someone@example.com".to_owned(),
            _ => {}
        }
        let text = self.word(name).to_owned();
        let bound = |key: &str| schema[key].as_u64().and_then(|bound| usize::try_from(bound).ok());
        let padded = format!("{text:.<least$}", least = bound("minLength").unwrap_or(0).min(1 << 16));
        padded.chars().take(bound("maxLength").unwrap_or(usize::MAX)).collect()
    }

    /// A word that suits a parameter of that name.
    fn word(&mut self, name: &str) -> &'static str {
        let name = name.to_ascii_lowercase();
        let words: &[&str] = match name.as_str() {
            name if name.contains("city") || name.contains("location") || name.contains("place") => &["Paris", "Rome", "Lisbon", "Oslo", "Kyoto"],
            name if name.contains("country") => &["France", "Italy", "Portugal", "Norway", "Japan"],
            name if name.contains("query") || name.contains("question") || name.contains("topic") => {
                &["tides of the North Sea", "history of the lighthouse", "price of copper", "how bees find their way"]
            }
            name if name.contains("date") => &["2025-06-15", "2025-09-01"],
            name if name.contains("file") || name.contains("path") => &["notes.txt", "report.md"],
            name if name.contains("unit") => &["celsius", "fahrenheit"],
            name if name.contains("expression") => &["2 + 2", "17 * 3"],
            _ => &["first", "second", "the whole", "a part"],
        };
        self.rng.choice(words).copied().unwrap_or("word")
    }
}

/// The type that is filled in: of several the first that is not null.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null"),
        _ if schema.get("properties").is_some() => "object",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use serde_json::{Value, json};

    use super::fill;

    fn drawn(schema: &Value) -> Vec<Value> {
        (0..50).map(|seed| fill(schema, &mut Rng::with_seed(seed))).collect()
    }

    #[test]
    fn every_required_property_is_there_with_its_type_and_within_its_bounds() {
        let schema = json!({
            "type": "object", "required": ["city", "days", "unit", "tags", "near", "scale"],
            "properties": {
                "city": {"type": "string", "maxLength": 4}, "days": {"type": "integer", "minimum": 3, "maximum": 5}, "unit": {"enum": ["c", "f"]},
                "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 2}, "near": {"$ref": "#/$defs/place"},
                "scale": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            },
            "$defs": {"place": {"type": "object", "required": ["name"], "properties": {"name": {"type": ["null", "string"]}}}},
        });
        for value in drawn(&schema) {
            assert!(value["city"].as_str().is_some_and(|city| (1..=4).contains(&city.len())), "{value}");
            assert!((3..=5).contains(&value["days"].as_i64().unwrap()), "{value}");
            assert!(["c", "f"].contains(&value["unit"].as_str().unwrap()), "{value}");
            assert!(value["tags"].as_array().is_some_and(|tags| tags.len() >= 2 && tags.iter().all(Value::is_boolean)), "{value}");
            assert!(value["near"]["name"].is_string(), "{value}");
            assert!(value["scale"].as_f64().is_some_and(|scale| scale > 0.0 && scale < 1.0), "{value}");
            assert!(value.get("note").is_none_or(Value::is_string), "{value}");
        }
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#/$defs/node"}}}}});
        assert!(drawn(&schema).iter().all(Value::is_object));
    }
}
