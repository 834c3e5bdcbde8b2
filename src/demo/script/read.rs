//! From the text of a script to its steps and rules, telling everything that is wrong with it at once, each with its line.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{CutAt, How, Rule, Script, StallAt, Standing, Step, When, yaml::Document};

/// Below this likeness of two words the one was not meant by the other.
const SIMILAR: f64 = 0.75;

/// The sections that are neither steps nor rules.
const STANDING: [&str; 9] = ["rate_limit", "context", "tokens", "overflow_words", "context_status", "context_event", "encode", "tls", "http2"];

/// A script that cannot be played, with all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the script is not valid:\n  {}", faults.join("\n  "))]
pub struct ScriptError {
    /// One sentence a fault, each with its place.
    pub faults: Vec<String>,
}

/// The script of a text.
pub(super) fn script(text: &str) -> Result<Script, ScriptError> {
    let mut document = document(text).map_err(|fault| ScriptError { faults: vec![fault] })?;
    let tree = std::mem::take(&mut document.tree);
    let mut reader = Reader { lines: document.lines, faults: Vec::new() };
    let script = reader.script(tree);
    if reader.faults.is_empty() { Ok(script) } else { Err(ScriptError { faults: reader.faults }) }
}

fn document(text: &str) -> Result<Document, String> {
    if text.trim_start().starts_with(['{', '[']) {
        let tree = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        return Ok(Document { tree, lines: HashMap::new() });
    }
    Document::read(text)
}

/// What is being read, and all that is wrong with it so far.
struct Reader {
    lines: HashMap<String, usize>,
    faults: Vec<String>,
}

impl Reader {
    fn fault(&mut self, path: &str, message: &str) {
        let line = self.lines.get(path).map(|line| format!(" (line {line})")).unwrap_or_default();
        self.faults.push(format!("{path}{line}: {message}"));
    }

    /// A map of sections, or a list of steps.
    fn script(&mut self, tree: Value) -> Script {
        let mut script = Script::default();
        let sections = match tree {
            Value::Null => return script,
            Value::Array(_) => Map::from_iter([("steps".to_owned(), tree)]),
            Value::Object(map) => map,
            _ => {
                self.faults.push("a script is a map of `steps` and `rules`, or a list of steps".to_owned());
                return script;
            }
        };
        for (key, value) in sections.into_iter().filter(|(_, value)| !value.is_null()) {
            match (key.as_str(), value) {
                ("steps", Value::Array(values)) => script.steps = self.items("steps", values, Self::step),
                ("rules", Value::Array(values)) => script.rules = self.items("rules", values, Self::rule),
                ("steps" | "rules", _) => self.fault(&key, "is not a list"),
                (name, value) if STANDING.contains(&name) => self.standing(name, value, &mut script.standing),
                _ => self.fault(&key, &unknown_section(&key)),
            }
        }
        script
    }

    fn items<T>(&mut self, section: &str, values: Vec<Value>, read: fn(&mut Self, &str, Value) -> Option<T>) -> Vec<T> {
        values.into_iter().enumerate().filter_map(|(index, value)| read(self, &format!("{section}[{index}]"), value)).collect()
    }

    fn standing(&mut self, name: &str, value: Value, standing: &mut Standing) {
        let Some(one) = self.part::<Standing>(name, Map::from_iter([(name.to_owned(), value)])) else { return };
        match name {
            "rate_limit" => standing.rate_limit = one.rate_limit,
            "context" => standing.context = one.context,
            "tokens" => standing.tokens = one.tokens,
            "overflow_words" => standing.overflow_words = one.overflow_words,
            "context_status" => standing.context_status = one.context_status,
            "context_event" => standing.context_event = one.context_event,
            "encode" => standing.encode = one.encode,
            "tls" => standing.tls = one.tls,
            _ => standing.http2 = one.http2,
        }
        if one.rate_limit.is_some_and(|limit| limit.requests.is_none() && limit.tokens.is_none()) {
            self.fault(name, "says neither `requests` nor `tokens`");
        }
    }

    fn step(&mut self, path: &str, value: Value) -> Option<Step> {
        if value.get("when").is_some() {
            self.fault(&format!("{path}.when"), "belongs to `rules`; steps are consumed in order");
            return None;
        }
        let step: Step = self.whole(path, value)?;
        match sound(&step) {
            Ok(()) => Some(step),
            Err(fault) => {
                self.fault(path, &fault);
                None
            }
        }
    }

    fn rule(&mut self, path: &str, mut value: Value) -> Option<Rule> {
        let when = value.as_object_mut().and_then(|map| map.remove("when"));
        let when = match when {
            Some(when) => self.whole(&format!("{path}.when"), when),
            None => Some(When::default()),
        };
        let step = self.step(path, value)?;
        if step.at_connect() {
            self.fault(path, "a fault at connect strikes before there is a request to match: make it a step");
            return None;
        }
        Some(Rule { when: when?, step })
    }

    /// A map, key by key first, so that each that is wrong is told with its line.
    fn whole<T: DeserializeOwned>(&mut self, path: &str, value: Value) -> Option<T> {
        let Value::Object(map) = value else {
            self.fault(path, "is not a map");
            return None;
        };
        let before = self.faults.len();
        for (key, value) in &map {
            self.part::<T>(&format!("{path}.{key}"), Map::from_iter([(key.clone(), value.clone())]));
        }
        if self.faults.len() > before { None } else { self.part(path, map) }
    }

    fn part<T: DeserializeOwned>(&mut self, path: &str, map: Map<String, Value>) -> Option<T> {
        serde_json::from_value(Value::Object(map)).map_err(|error| self.fault(path, &suggestion(&error.to_string()))).ok()
    }
}

fn unknown_section(key: &str) -> String {
    let all = ["steps", "rules"].into_iter().chain(STANDING);
    let likeness = |word: &&str| strsim::jaro_winkler(key, word);
    match all.clone().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|word| likeness(word) >= SIMILAR) {
        Some(meant) => format!("unknown key: did you mean `{meant}`?"),
        None => format!("unknown key: a script has {}", all.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")),
    }
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
