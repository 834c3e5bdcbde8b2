//! The tools that a request declares, in every dialect's shape. Counted when the request is read; their names only when they are asked for.

use std::borrow::Cow;

use super::{
    json::{Json, name},
    mark,
    skim::{NotJson, Skim},
};

/// Most tools whose names are given.
const NAMED_MAX: usize = 1024;

/// The tools that a request declares, as they stand in its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tools<'a>(pub(super) &'a [u8]);

/// A tool that a request declares by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredTool<'a> {
    /// Its name, 1 to 256 bytes.
    pub name: Cow<'a, str>,
    /// The JSON Schema of its arguments, as written; Gemini's may be in its own spelling of types.
    pub schema: Option<&'a [u8]>,
}

impl<'a> Tools<'a> {
    /// Of a list that was kept, as [`Tools::raw`] gave it.
    pub fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    /// The JSON, as written.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// What they are known by, within this process.
    pub fn fingerprint(self) -> u64 {
        mark::hash(self.0)
    }

    /// Those that have a name, in order; at most 1024. A provider's own tools have none.
    pub fn declared(self) -> Vec<DeclaredTool<'a>> {
        let mut found = Vec::new();
        Json::new(self.0).items(|_, entry| {
            // Gemini's entries each hold a list.
            if let Some([Some(list), _] | [None, Some(list)]) = entry.fields(["functionDeclarations", "function_declarations"]) {
                list.items(|_, tool| take(tool, &mut found));
            } else if let Some([Some(tool)]) = entry.fields(["function"]) {
                take(tool, &mut found);
            } else if let Some([Some(tool)]) = entry.fields(["custom"]) {
                take(tool, &mut found);
            } else {
                take(entry, &mut found);
            }
        });
        found
    }
}

fn take<'a>(tool: Json<'a>, found: &mut Vec<DeclaredTool<'a>>) {
    let Some([tool_name, parameters, input, json]) = tool.fields(["name", "parameters", "input_schema", "parametersJsonSchema"]) else { return };
    if let Some(name) = tool_name.and_then(Json::quoted).and_then(name)
        && found.len() < NAMED_MAX
    {
        found.push(DeclaredTool { name, schema: parameters.or(input).or(json).map(Json::raw) });
    }
}

/// Counts the tools that a list declares. `None` for what is no list.
pub(super) fn read<'a>(skim: &mut Skim<'a>) -> Result<Option<(Tools<'a>, u64)>, NotJson> {
    if skim.peek()? != b'[' {
        return skim.skip().map(|()| None);
    }
    let start = skim.offset();
    let mut total = 0;
    skim.array(|skim| {
        total += count(skim)?;
        Ok(())
    })?;
    Ok(Some((Tools(skim.since(start)), total)))
}

/// The tools of one entry: its `functionDeclarations`, or the entry itself.
fn count(skim: &mut Skim<'_>) -> Result<u64, NotJson> {
    let mut count = 1;
    if skim.peek()? != b'{' {
        return skim.skip().map(|()| count);
    }
    skim.object(|skim, key| {
        if !matches!(key, b"functionDeclarations" | b"function_declarations") {
            return skim.skip();
        }
        count = 0;
        if skim.peek()? != b'[' {
            return skim.skip();
        }
        skim.array(|skim| {
            count += 1;
            skim.skip()
        })
    })?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(raw: &str) -> Vec<(String, Option<String>)> {
        let tools = Tools(raw.as_bytes()).declared();
        tools.into_iter().map(|tool| (tool.name.into_owned(), tool.schema.map(|schema| String::from_utf8(schema.to_vec()).unwrap()))).collect()
    }

    #[test]
    fn names_and_schemas_are_found_in_every_dialects_shape() {
        let expected = [("f".to_owned(), Some("{\"type\":\"object\"}".to_owned())), ("g\n".to_owned(), None)];
        for raw in [
            r#"[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}},{"type":"function","function":{"name":"g\n"}}]"#,
            r#"[{"type":"function","name":"f","parameters":{"type":"object"}},{"type":"web_search"},{"type":"custom","name":"g\n"}]"#,
            r#"[{"name":"f","description":"d","input_schema":{"type":"object"}},{"type":"custom","custom":{"name":"g\n"}}]"#,
            r#"[{"functionDeclarations":[{"name":"f","parameters":{"type":"object"}},{"name":"g\n"}]},{"googleSearch":{}}]"#,
            r#"[{"function_declarations":[{"name":"f","parametersJsonSchema":{"type":"object"}}]},{"name":"g\n"},{"name":""},7]"#,
        ] {
            assert_eq!(declared(raw), expected, "{raw}");
        }
    }

    #[test]
    fn what_is_no_list_of_tools_declares_none_and_many_are_bounded() {
        for raw in ["", "{}", "7", "[", "[{\"name\":7}]", "[[{\"name\":\"f\"}]]"] {
            assert_eq!(declared(raw), [], "{raw}");
        }
        let many = format!("[{}{{}}]", r#"{"name":"f"},"#.repeat(3000));
        assert_eq!(declared(&many).len(), NAMED_MAX);
    }

    #[test]
    fn a_fingerprint_is_that_of_the_tools_as_written() {
        assert_eq!(Tools(b"[1]").fingerprint(), Tools(b"[1]").fingerprint());
        assert_ne!(Tools(b"[1]").fingerprint(), Tools(b"[2]").fingerprint());
    }
}
