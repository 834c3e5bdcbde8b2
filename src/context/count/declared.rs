//! Declared tools as OpenAI's models see them: not the JSON that is sent, but types in the manner of TypeScript. The manner is published with the
//! open-weight models (openai/harmony, `docs/format.md`, "Function calling"); it is taken as that of the others, whose examples it explains.

use std::fmt::Write as _;

use serde_json::Value;

/// Larger declarations are counted as the JSON they are.
const BYTES_MAX: usize = 1 << 20;

/// The text that stands for a list of declared functions in the prompt; `None` for what is no such list (the schema of an answer, a provider's own tools).
pub(super) fn text(raw: &[u8]) -> Option<String> {
    if raw.len() > BYTES_MAX || raw.first() != Some(&b'[') {
        return None;
    }
    let tools: Vec<Value> = serde_json::from_slice(raw).ok()?;
    let mut text = String::from("# Tools\n\n## functions\n\nnamespace functions {\n\n");
    for tool in &tools {
        // Nested in chat completions, flat in the Responses API.
        let function = tool.get("function").unwrap_or(tool);
        declaration(&mut text, function)?;
    }
    text.push_str("} // namespace functions\n\n");
    Some(text)
}

fn declaration(text: &mut String, function: &Value) -> Option<()> {
    let name = function.get("name")?.as_str()?;
    comment(text, function);
    let parameters =
        function.get("parameters").filter(|schema| schema.get("properties").and_then(Value::as_object).is_some_and(|all| !all.is_empty()));
    write!(text, "type {name} = (").ok()?;
    if let Some(parameters) = parameters {
        text.push_str("_: ");
        kind(text, parameters);
    }
    text.push_str(") => any;\n\n");
    Some(())
}

fn comment(text: &mut String, schema: &Value) {
    for line in schema.get("description").and_then(Value::as_str).unwrap_or_default().lines() {
        text.push_str("// ");
        text.push_str(line);
        text.push('\n');
    }
}

/// The type of a value. Schemas are at most as deep as `serde_json` reads them.
fn kind(text: &mut String, schema: &Value) {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        let required = schema.get("required").and_then(Value::as_array);
        text.push_str("{\n");
        for (name, property) in properties {
            comment(text, property);
            let is_required = required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
            text.push_str(name);
            text.push_str(if is_required { ": " } else { "?: " });
            kind(text, property);
            text.push(',');
            if let Some(default) = property.get("default") {
                text.push_str(" // default: ");
                match default.as_str().filter(|_| property.get("enum").is_some()) {
                    Some(word) => text.push_str(word),
                    None => text.push_str(&default.to_string()),
                }
            }
            text.push('\n');
        }
        return text.push('}');
    }
    let choices = schema.get("anyOf").or_else(|| schema.get("oneOf"));
    match (schema.get("enum"), choices, schema.get("items"), schema.get("type")) {
        (Some(Value::Array(words)), ..) => listed(text, words, |text, word| text.push_str(&word.to_string())),
        (_, Some(Value::Array(choices)), ..) => listed(text, choices, kind),
        (.., Some(items), _) => {
            kind(text, items);
            text.push_str("[]");
        }
        (.., Some(Value::Array(kinds))) => listed(text, kinds, |text, kind| text.push_str(named(kind.as_str()))),
        (.., kind) => text.push_str(named(kind.and_then(Value::as_str))),
    }
}

fn listed(text: &mut String, values: &[Value], each: impl Fn(&mut String, &Value)) {
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            text.push_str(" | ");
        }
        each(text, value);
    }
}

fn named(kind: Option<&str>) -> &str {
    match kind {
        Some("integer") => "number",
        Some(kind) => kind,
        None => "any",
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn functions_are_written_as_types() {
        let tools = br#"[{"type":"function","function":{"name":"get_location","description":"Gets the location of the user.","parameters":{"type":"object","properties":{}}}},
            {"type":"function","name":"get_weather","description":"Gets the weather.","parameters":{"type":"object","properties":{
                "format":{"type":"string","enum":["celsius","fahrenheit"],"default":"celsius"},
                "places":{"type":"array","items":{"type":"object","properties":{"x":{"type":["integer","null"]}}},"description":"Where"},
                "other":{"anyOf":[{"type":"integer"},{}]}},"required":["places"]}}]"#;
        let expected = "# Tools\n\n## functions\n\nnamespace functions {\n\n// Gets the location of the user.\ntype get_location = () => any;\n\n\
            // Gets the weather.\ntype get_weather = (_: {\nformat?: \"celsius\" | \"fahrenheit\", // default: celsius\nother?: number | any,\n\
            // Where\nplaces: {\nx?: integer | null,\n}[],\n}) => any;\n\n} // namespace functions\n\n";
        assert_eq!(text(tools).as_deref(), Some(expected.replace("x?: integer", "x?: number").as_str()));
    }

    #[test]
    fn what_is_no_list_of_functions_is_left() {
        for raw in [&br#"{"type":"object"}"#[..], br#"[{"type":"web_search"}]"#, b"[1]", b"[", b""] {
            assert_eq!(text(raw), None);
        }
    }
}
