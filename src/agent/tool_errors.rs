//! Whether a tool's result says that the tool failed. Only Anthropic has a flag for it; elsewhere it is the text alone, and only the forms that frameworks
//! are known to write count: a tool may well talk about errors without having met one.

use std::sync::Arc;

use serde_json::Value;

use super::ToolError;
use crate::wire::{Text, ToolResult};

/// Bytes of a result that are looked at for a form that stands at its beginning.
const HEAD_MAX: usize = 2 << 10;
/// Bytes of a result that are looked at for the last line of a traceback.
const WHOLE_MAX: usize = 64 << 10;
/// Longest name of an exception.
const TYPE_MAX: usize = 64;
/// What Python writes above the frames of an exception.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// How the tool failed, if its result says so.
pub(super) fn of_result(result: &ToolResult<'_>) -> Option<ToolError> {
    if result.is_error == Some(false) {
        return None;
    }
    let told = of_texts(&result.texts, of_text);
    told.or_else(|| (result.is_error == Some(true)).then_some(ToolError::Failed))
}

/// Code that an agent wrote has run, and failed so if it did.
#[derive(Debug, PartialEq)]
pub(super) struct Execution(pub(super) Option<ToolError>);

/// What the code that an agent wrote came to, where the text tells: `exitcode: 1 (execution failed)`, classic `AutoGen`.
pub(super) fn of_execution(texts: &[Text<'_>]) -> Option<Execution> {
    let first = texts.first()?;
    if !first.raw().trim_ascii_start().starts_with(b"exitcode: ") {
        return None;
    }
    let head = first.decoded(HEAD_MAX);
    let rest = head.trim_start().strip_prefix("exitcode: ")?;
    if rest.starts_with("0 (execution succeeded)") {
        return Some(Execution(None));
    }
    let (code, said) = rest.split_once(' ')?;
    if code.parse::<i64>().is_err() || !said.starts_with("(execution failed)") {
        return None;
    }
    let failed = of_texts(texts, |text, is_whole| last_of_traceback(text).filter(|_| is_whole).map(ToolError::Exception));
    Some(Execution(Some(failed.unwrap_or(ToolError::Failed))))
}

/// What the first text tells, or as much of it as is looked at.
fn of_texts(texts: &[Text<'_>], tell: impl Fn(&str, bool) -> Option<ToolError>) -> Option<ToolError> {
    let first = texts.iter().find(|text| !text.raw().is_empty())?;
    let head = &first.raw()[..first.raw().len().min(HEAD_MAX)];
    let max = if memchr::memmem::find(head, TRACEBACK.as_bytes()).is_some() { WHOLE_MAX } else { HEAD_MAX };
    tell(first.decoded(max).trim(), first.raw().len() <= max)
}

fn of_text(text: &str, is_whole: bool) -> Option<ToolError> {
    if text.starts_with(TRACEBACK) {
        return Some(last_of_traceback(text).filter(|_| is_whole).map_or(ToolError::Failed, of_exception));
    }
    // What pydantic says, as AutoGen passes it on.
    if is_validation_error(text) || text.starts_with("Error invoking tool '") && text.contains(" with kwargs ") {
        return Some(ToolError::Arguments);
    }
    if text.starts_with("An error occurred while running the tool. Please try again.") {
        return Some(ToolError::Failed);
    }
    if let Some(said) = text.strip_prefix("Error executing tool").and_then(|rest| rest.split_once(": ")).map(|(_, said)| said) {
        return Some(exception_in(said).map_or(ToolError::Failed, of_exception));
    }
    if let Some(said) = text.strip_prefix("Error: ") {
        return Some(of_error(said));
    }
    if text.starts_with("{\"error\"") && text.len() < HEAD_MAX {
        return of_object(text);
    }
    exception_in(text).map(of_exception)
}

/// Behind `Error: `.
fn of_error(said: &str) -> ToolError {
    let not_found = said.starts_with("tool '") && said.contains("' not found in any workbench")
        || said.starts_with("Function ") && said.ends_with(" not found.")
        || said.contains(" is not a valid tool, try one of [");
    let no_json = said.ends_with("The argument must be in JSON format.") || is_place_in_json(said);
    if not_found {
        ToolError::Unknown
    } else if no_json || is_validation_error(said) {
        ToolError::Arguments
    } else {
        exception_in(said).map_or(ToolError::Failed, of_exception)
    }
}

/// An object of one key, `error`: what pydantic-ai makes of a tool's complaint.
fn of_object(text: &str) -> Option<ToolError> {
    let Ok(Value::Object(object)) = serde_json::from_str(text) else { return None };
    if object.len() != 1 {
        return None;
    }
    match object.get("error")? {
        Value::String(said) if said.starts_with("Unknown tool name: ") => Some(ToolError::Unknown),
        Value::String(said) if !said.is_empty() => Some(ToolError::Failed),
        Value::Array(list) if list.first().is_some_and(|first| first.get("loc").is_some() && first.get("msg").is_some()) => {
            Some(ToolError::Arguments)
        }
        _ => None,
    }
}

/// `2 validation errors for get_weatherargs`.
fn is_validation_error(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && [" validation error for ", " validation errors for "].iter().any(|form| text[digits..].starts_with(form))
}

/// `Expecting value: line 1 column 2 (char 1)`, as Python's reader of JSON complains.
fn is_place_in_json(said: &str) -> bool {
    said.ends_with(')') && said.contains(": line ") && said.contains(" column ") && said.contains(" (char ")
}

fn of_exception(name: Arc<str>) -> ToolError {
    match &*name {
        "ToolNotFoundError" => ToolError::Unknown,
        "JSONDecodeError" | "ValidationError" => ToolError::Arguments,
        _ => ToolError::Exception(name),
    }
}

/// The exception's type in the last line of the last traceback in the text.
fn last_of_traceback(text: &str) -> Option<Arc<str>> {
    let (_, frames) = text.rsplit_once(TRACEBACK)?;
    let last = frames.lines().rev().find(|line| line.starts_with(|c: char| c.is_alphabetic() || c == '_') && type_at(line).is_some())?;
    type_at(last)
}

/// `ValueError: …`, `errors.ValueError: …` or `ValueError('…')` where a text begins so, and only if the name says that it is an exception.
fn exception_in(text: &str) -> Option<Arc<str>> {
    let name = type_at(text)?;
    let says_so = ["Error", "Exception"].iter().any(|word| name.len() > word.len() && name.ends_with(word));
    (says_so && text.trim_end().len() > name.len()).then_some(name)
}

/// The last part of a dotted name at the beginning of a line, if it is a type's and the line ends with it or goes on as exceptions do.
fn type_at(line: &str) -> Option<Arc<str>> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(line.len());
    let (path, rest) = line.split_at(end);
    let name = path.rsplit('.').next()?;
    let is_type = name.starts_with(|c: char| c.is_ascii_uppercase()) && name.len() <= TYPE_MAX;
    let goes_on = rest.trim_end().is_empty() || [": ", ":\n", "('", "(\""].iter().any(|form| rest.starts_with(form));
    (is_type && goes_on).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: impl Into<Option<ToolError>>) {
        assert_eq!(of_text(text.trim(), true), expected.into(), "{text}");
    }

    fn exception(name: &str) -> ToolError {
        ToolError::Exception(name.into())
    }

    #[test]
    fn the_forms_of_the_frameworks_are_errors() {
        check("Error: tool 'no_such_tool' not found in any workbench", Some(ToolError::Unknown));
        check("Error: Function no_such_tool not found.", Some(ToolError::Unknown));
        check("Error: nope is not a valid tool, try one of [get_weather].", Some(ToolError::Unknown));
        check(r#"{"error":"Unknown tool name: 'nope'. Available tools: 'get_weather'"}"#, Some(ToolError::Unknown));
        check("Error: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)", Some(ToolError::Arguments));
        check("Error: Expecting value: line 1 column 1 (char 0)\n The argument must be in JSON format.", Some(ToolError::Arguments));
        check("1 validation error for get_weatherargs\ncity\n  Field required", Some(ToolError::Arguments));
        check("Error invoking tool 'get_weather' with kwargs {'town': 'x'} with error:\n city: Field required", Some(ToolError::Arguments));
        check(r#"{"error":[{"type":"missing","loc":["city"],"msg":"Field required"}]}"#, Some(ToolError::Arguments));
        check("Error: no data for Rome", Some(ToolError::Failed));
        check("Error executing tool: no data for Rome", Some(ToolError::Failed));
        check(r#"{"error":"no data for Rome"}"#, Some(ToolError::Failed));
        check("An error occurred while running the tool. Please try again. Error: no data", Some(ToolError::Failed));
        check("Error: ValueError('no data')\n Please fix your mistakes.", exception("ValueError"));
        check("Error executing tool get: KeyError: 'x'", exception("KeyError"));
    }

    #[test]
    fn an_exceptions_type_is_read_from_where_it_stands() {
        let traceback =
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    raise RuntimeError(\"x\")\nRuntimeError: no data for Rome\n";
        check(traceback, exception("RuntimeError"));
        check(
            &traceback.replace("\nRuntimeError: no data for Rome", "\nag2.exceptions.ToolNotFoundError: Tool `nope` not found"),
            Some(ToolError::Unknown),
        );
        check(&traceback.replace("RuntimeError: no data for Rome\n", "httpx.ReadTimeout\n"), exception("ReadTimeout"));
        check(
            &format!("{traceback}\nDuring handling of the above exception, another exception occurred:\n\n{}", traceback.replace("Runtime", "Key")),
            exception("KeyError"),
        );
        check("requests.exceptions.ConnectionError: refused", exception("ConnectionError"));
        check("TypeError: x is not a function\n    at f (a.js:1)", exception("TypeError"));
    }

    #[test]
    fn talk_about_errors_is_none() {
        for text in [
            "",
            "no data for Rome",
            "Paris: sunny",
            "The last build ended with Error: 3",
            "error rate: 3 %",
            "Errors: 0",
            "Error",
            "Note: ValueError: is raised if …",
            r#"{"error":null,"data":[1]}"#,
            r#"{"error":"","data":1}"#,
            r#"{"error":null}"#,
            r#"{"errors":[]}"#,
            r#"{"error":"x","detail":"y"}"#,
            "3 validation rules for x",
            "Errormessage: x",
            "ErrorBoundary is a component",
            "Success: all",
            "HTTPError is a class of urllib",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn the_dialects_own_flag_decides_where_there_is_one() {
        let result = |is_error| ToolResult { id: None, name: None, texts: Vec::new(), is_error };
        assert_eq!(of_result(&result(Some(true))), Some(ToolError::Failed));
        assert_eq!(of_result(&result(Some(false))), None);
        assert_eq!(of_result(&result(None)), None);
    }
}
