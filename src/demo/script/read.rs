//! From the text of a script to its steps and rules, telling everything that is wrong with it at once, each with its line.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use super::{CutAt, How, Rule, Script, StallAt, Standing, Step, When};

/// Below this likeness of two words the one was not meant by the other.
const SIMILAR: f64 = 0.75;

/// A script that cannot be played, with all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the script is not valid:\n  {}", faults.join("\n  "))]
pub struct ScriptError {
    /// One sentence a fault, each with its place.
    pub faults: Vec<String>,
}

/// A step or rule as it was written: where, and what.
struct Item {
    place: String,
    value: Value,
}

/// The script of a text.
pub(super) fn script(text: &str) -> Result<Script, ScriptError> {
    let mut faults = Vec::new();
    let Sections { steps, rules, standing } = items(text, &mut faults).map_err(|fault| ScriptError { faults: vec![fault] })?;
    let steps = steps.into_iter().filter_map(|item| told(step(item), &mut faults)).collect();
    let rules = rules.into_iter().filter_map(|item| told(rule(item), &mut faults)).collect();
    let standing = standing.and_then(|standing| told(standing_of(&standing), &mut faults)).unwrap_or_default();
    if faults.is_empty() { Ok(Script { steps, rules, standing }) } else { Err(ScriptError { faults }) }
}

/// A document, taken apart.
#[derive(Default)]
struct Sections {
    steps: Vec<Item>,
    rules: Vec<Item>,
    /// All other keys.
    standing: Option<Value>,
}

fn told<T>(read: Result<T, String>, faults: &mut Vec<String>) -> Option<T> {
    read.map_err(|fault| faults.push(fault)).ok()
}

/// Steps and rules of a document: a map of both, or a list of steps.
fn items(text: &str, faults: &mut Vec<String>) -> Result<Sections, String> {
    if text.trim_start().starts_with(['{', '[']) {
        let tree = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        return sections(tree, |_, _| None, faults);
    }
    let documents = MarkedYaml::load_from_str(text).map_err(|error| format!("not YAML: {error}"))?;
    let Some(root) = documents.first() else { return Ok(Sections::default()) };
    let line = |section: Option<&str>, index: usize| {
        let list = section.map_or(Some(root), |name| root.data.as_mapping_get(name))?;
        list.data.as_sequence_get(index).map(|node| node.span.start.line())
    };
    sections(tree(root)?, line, faults)
}

/// Splits a document; `line` knows where the items of a section stand.
fn sections(document: Value, line: impl Fn(Option<&str>, usize) -> Option<usize>, faults: &mut Vec<String>) -> Result<Sections, String> {
    let list = |section: Option<&str>, values: Vec<Value>| {
        let name = section.unwrap_or("steps");
        let place = |index: usize| match line(section, index) {
            Some(line) => format!("{name}[{index}] (line {line})"),
            None => format!("{name}[{index}]"),
        };
        values.into_iter().enumerate().map(|(index, value)| Item { place: place(index), value }).collect::<Vec<_>>()
    };
    let mut found = Sections::default();
    let mut standing = Map::new();
    match document {
        Value::Null => {}
        Value::Array(values) => found.steps = list(None, values),
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    (_, Value::Null) => {}
                    ("steps", Value::Array(values)) => found.steps = list(Some("steps"), values),
                    ("rules", Value::Array(values)) => found.rules = list(Some("rules"), values),
                    ("steps" | "rules", _) => faults.push(format!("`{key}` is not a list")),
                    ("rate_limit" | "context" | "encode" | "tls" | "http2", value) => {
                        standing.insert(key, value);
                    }
                    _ => faults.push(unknown_key(&key)),
                }
            }
        }
        _ => return Err("a script is a map of `steps` and `rules`, or a list of steps".to_owned()),
    }
    found.standing = (!standing.is_empty()).then_some(Value::Object(standing));
    Ok(found)
}

fn unknown_key(key: &str) -> String {
    const KEYS: [&str; 7] = ["steps", "rules", "rate_limit", "context", "encode", "tls", "http2"];
    let likeness = |word: &&str| strsim::jaro_winkler(key, word);
    match KEYS.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|word| likeness(word) >= SIMILAR) {
        Some(meant) => format!("unknown key `{key}`: did you mean `{meant}`?"),
        None => format!("unknown key `{key}`: a script has {}", KEYS.map(|key| format!("`{key}`")).join(", ")),
    }
}

fn standing_of(written: &Value) -> Result<Standing, String> {
    // One key after the other, so that the fault says which.
    let mut standing = Standing::default();
    for (key, value) in written.as_object().into_iter().flatten() {
        let one: Standing = typed(key, serde_json::json!({ key: value }))?;
        match key.as_str() {
            "rate_limit" => standing.rate_limit = one.rate_limit,
            "context" => standing.context = one.context,
            "encode" => standing.encode = one.encode,
            "tls" => standing.tls = one.tls,
            _ => standing.http2 = one.http2,
        }
    }
    match standing.rate_limit {
        Some(limit) if limit.requests.is_none() && limit.tokens.is_none() => Err("rate_limit: says neither `requests` nor `tokens`".to_owned()),
        _ => Ok(standing),
    }
}

fn step(item: Item) -> Result<Step, String> {
    let Item { place, value } = item;
    if value.get("when").is_some() {
        return Err(format!("{place}: `when` belongs to `rules`; steps are consumed in order"));
    }
    let step: Step = typed(&place, value)?;
    sound(&step).map_err(|fault| format!("{place}: {fault}"))?;
    Ok(step)
}

fn rule(item: Item) -> Result<Rule, String> {
    let Item { place, mut value } = item;
    let when = value.as_object_mut().and_then(|map| map.remove("when"));
    let when: When = when.map_or(Ok(When::default()), |when| typed(&format!("{place}, when"), when))?;
    let step: Step = typed(&place, value)?;
    sound(&step).map_err(|fault| format!("{place}: {fault}"))?;
    if step.at_connect() {
        return Err(format!("{place}: a fault at connect strikes before there is a request to match: make it a step"));
    }
    Ok(Rule { when, step })
}

fn typed<T: DeserializeOwned>(place: &str, value: Value) -> Result<T, String> {
    if !value.is_object() {
        return Err(format!("{place}: is not a map"));
    }
    serde_json::from_value(value).map_err(|error| format!("{place}: {}", suggestion(&error.to_string())))
}

/// Serde's words about an unknown key or word, with the one that was likely meant in front of all that there are.
fn suggestion(message: &str) -> String {
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let (true, Some(written)) = (unknown, words.next()) else { return message.to_owned() };
    let likeness = |word: &&str| strsim::jaro_winkler(written, word);
    match words.max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(meant) if likeness(&meant) >= SIMILAR => format!("unknown `{written}`: did you mean `{meant}`?"),
        _ => message.to_owned(),
    }
}

/// What the types let through and no one can have meant.
fn sound(step: &Step) -> Result<(), String> {
    let fault = match step {
        Step { status: Some(status), .. } if !(200..=999).contains(status) => format!("status {status} is none; informational ones go into `before`"),
        Step { garbage: Some(_), status: Some(_), .. } => "`garbage` is sent instead of an answer, so it has no `status`".to_owned(),
        Step { cut: Some(cut), .. } if cut.how == How::Clean && cut.at != CutAt::Mid => "only a reply cut at `mid` can end clean".to_owned(),
        Step { cut: Some(cut), .. } if cut.how == How::Stream && matches!(cut.at, CutAt::Connect | CutAt::Handshake) => {
            "before there is a request there is no stream to reset: `fin` or `rst`".to_owned()
        }
        Step { cut: Some(cut), .. } if cut.bytes.is_some() && cut.at != CutAt::Mid => {
            "`bytes` are those of the body: the cut must be at `mid`".to_owned()
        }
        Step { stall: Some(stall), .. } if stall.heartbeat.is_some() && matches!(stall.at, StallAt::Connect | StallAt::Handshake | StallAt::Head) => {
            "`heartbeat` needs a head before it, and a stall at `connect`, `handshake` or `head` sends none".to_owned()
        }
        Step { stall: Some(stall), .. } if stall.heartbeat.is_some_and(|pause| pause.is_zero()) => "a `heartbeat` of 0s would never pause".to_owned(),
        Step { slow: Some(slow), .. } if slow.tokens_per_second.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) => {
            "`tokens_per_second` is a number above 0".to_owned()
        }
        Step { big: Some(big), .. } if big.events == 0 || big.events > 1_000_000 || big.bytes > 1 << 30 => {
            "`big` goes up to 1073741824 bytes in 1 to 1000000 events".to_owned()
        }
        _ => return Ok(()),
    };
    Err(fault)
}

/// A YAML tree as JSON's, so that one reader serves both.
fn tree(node: &MarkedYaml<'_>) -> Result<Value, String> {
    let place = || format!("line {}", node.span.start.line());
    match &node.data {
        YamlData::Value(scalar) => Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => Value::Bool(*value),
            Scalar::Integer(value) => Value::Number(Number::from(*value)),
            Scalar::FloatingPoint(value) => {
                Value::Number(Number::from_f64(value.into_inner()).ok_or_else(|| format!("{}: {value} is no number", place()))?)
            }
            Scalar::String(text) => Value::String(text.to_string()),
        }),
        YamlData::Sequence(nodes) => nodes.iter().map(tree).collect::<Result<Vec<_>, _>>().map(Value::Array),
        YamlData::Mapping(pairs) => {
            let mut map = Map::new();
            for (key, value) in pairs {
                let YamlData::Value(key) = &key.data else { return Err(format!("{}: a key must be a word", place())) };
                map.insert(word(key), tree(value)?);
            }
            Ok(Value::Object(map))
        }
        YamlData::Tagged(_, node) => tree(node),
        YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => Err(format!("{}: cannot be read as a value", place())),
    }
}

fn word(key: &Scalar<'_>) -> String {
    match key {
        Scalar::Null => "null".to_owned(),
        Scalar::Boolean(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::FloatingPoint(value) => value.to_string(),
        Scalar::String(text) => text.to_string(),
    }
}
