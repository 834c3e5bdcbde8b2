//! What Gemini's requests ask. The model and whether the answer streams stand in the path; a schema's types may be in capitals.

use serde_json::{Value, json};

use super::{Ask, Tool, ToolChoice, any_object, array, count};
use crate::demo::model::{errors::Fault, strict};

impl Ask {
    /// Of contents, for a model that the path names.
    pub(in crate::demo::model) fn gemini(body: &Value, model: &str, stream: bool) -> Result<Self, Fault> {
        let contents = match &body["contents"] {
            Value::Array(contents) if !contents.is_empty() => contents,
            _ => return Err(Fault::of("* GenerateContentRequest.contents: contents is not specified", None)),
        };
        strict::gemini(contents)?;
        let mut ask = Self::of(&json!(model), &either(body, "systemInstruction")["parts"], contents, &body["tools"]).streamed(stream);
        ask.tools = array(&body["tools"])
            .iter()
            .flat_map(|tool| array(either(tool, "functionDeclarations")))
            .filter_map(|tool| {
                let schema = [either(tool, "parametersJsonSchema"), &tool["parameters"]].into_iter().find(|schema| !schema.is_null());
                Some(Tool { name: tool["name"].as_str()?.to_owned(), schema: lower_types(schema.unwrap_or(&Value::Null)) })
            })
            .collect();
        let calling = either(either(body, "toolConfig"), "functionCallingConfig");
        ask.tool_choice = match (calling["mode"].as_str(), array(either(calling, "allowedFunctionNames"))) {
            (Some("NONE"), _) => ToolChoice::None,
            (Some("ANY"), [only]) => ToolChoice::Named(only.as_str().unwrap_or_default().to_owned()),
            (Some("ANY"), _) => ToolChoice::Required,
            _ => ToolChoice::Auto,
        };
        ask.last_is_tool_result = contents.last().is_some_and(|last| parts(last, "functionResponse").next().is_some());
        let options = either(body, "generationConfig");
        ask.choices = either(options, "candidateCount").as_u64().unwrap_or(1).clamp(1, 8);
        ask.max_tokens = count(either(options, "maxOutputTokens"));
        ask.thinking = either(either(options, "thinkingConfig"), "includeThoughts").as_bool().unwrap_or(false);
        let schema = [either(options, "responseJsonSchema"), either(options, "responseSchema")].into_iter().find(|schema| !schema.is_null());
        let wants_json = either(options, "responseMimeType") == "application/json";
        ask.schema = schema.map(lower_types).or_else(|| wants_json.then(any_object));
        Ok(ask)
    }
}

/// A value under its name, in camel case or, as the API takes too, in snake case.
pub(in crate::demo::model) fn either<'a>(of: &'a Value, name: &str) -> &'a Value {
    if of.get(name).is_some() {
        return &of[name];
    }
    let snake: String =
        name.chars().flat_map(|letter| letter.is_ascii_uppercase().then_some('_').into_iter().chain([letter.to_ascii_lowercase()])).collect();
    &of[snake]
}

fn parts<'a>(content: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    array(&content["parts"]).iter().map(move |part| either(part, kind)).filter(|part| !part.is_null())
}

/// `STRING` and its like as JSON Schema spells them.
fn lower_types(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let word = value.as_str().filter(|word| key == "type" && word.bytes().all(|letter| letter.is_ascii_uppercase()));
                (key.clone(), word.map_or_else(|| lower_types(value), |word| json!(word.to_ascii_lowercase())))
            })
            .collect(),
        Value::Array(items) => items.iter().map(lower_types).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Ask;

    #[test]
    fn both_spellings_and_types_in_capitals_are_understood() {
        let declared =
            json!([{"function_declarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"type": {"type": "STRING"}}}}]}]);
        let body = json!({"contents": [{"parts": [{"text": "hi"}]}], "tools": declared, "generation_config": {"max_output_tokens": 7}});
        let ask = Ask::gemini(&body, "m", true).unwrap();
        assert_eq!(ask.tools[0].schema, json!({"type": "object", "properties": {"type": {"type": "string"}}}));
        assert_eq!((ask.max_tokens, ask.stream, ask.model.as_str(), ask.told.as_str()), (Some(7), true, "m", "hi\n"));
    }

    #[test]
    fn a_function_call_without_its_response_is_refused_in_the_providers_words() {
        let user = json!({"role": "user", "parts": [{"text": "hi"}]});
        let call = json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]});
        let result = json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]});
        assert!(Ask::gemini(&json!({"contents": [user, call, result]}), "m", false).unwrap().last_is_tool_result);
        assert!(Ask::gemini(&json!({"contents": [user, call, user]}), "m", false).unwrap_err().message.contains("function response parts"));
        assert!(Ask::gemini(&json!({"contents": [user, result]}), "m", false).is_err());
    }
}
