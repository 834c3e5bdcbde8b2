//! When what a page shows counts as what came of it: equal but for times, durations and ids, with `…` for what was left out.

#![expect(clippy::unwrap_used, reason = "the patterns are written here")]

use regex::Regex;
use serde_json::Value;

/// Equal but for times, durations and ids; `…` stands for anything, alone on its line for any lines.
pub(super) fn is_like(shown: &str, got: &str) -> bool {
    let lines = |text: &str| text.lines().map(shape).collect::<Vec<_>>();
    lines_match(&lines(shown), &lines(got))
}

fn lines_match(shown: &[String], got: &[String]) -> bool {
    match (shown.split_first(), got.split_first()) {
        (None, _) => got.is_empty(),
        (Some((first, rest)), _) if first == "…" => (0..=got.len()).any(|from| lines_match(rest, &got[from..])),
        (Some((first, rest)), Some((line, others))) => line_matches(first, line) && lines_match(rest, others),
        (Some(_), None) => false,
    }
}

fn line_matches(shown: &str, got: &str) -> bool {
    let mut rest = got;
    let pieces: Vec<_> = shown.split('…').collect();
    let starts = rest.starts_with(pieces[0]);
    let found = pieces.iter().all(|piece| {
        let at = rest.find(piece);
        rest = at.map_or(rest, |at| &rest[at + piece.len()..]);
        at.is_some()
    });
    starts && found && (rest.is_empty() || shown.ends_with('…') || (pieces.len() > 1 && got.ends_with(pieces[pieces.len() - 1])))
}

fn shape(line: &str) -> String {
    let mut text = line.to_owned();
    for (pattern, word) in [
        (r"\d\d:\d\d:\d\d\.\d{3}", "TIME"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
        (r"\b[0-9a-f]{16,}\b", "ID"),
        (r"\b[0-9]+(\.[0-9]+)?(ns|µs|ms|s|m)\b", "TIME"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
    }
    text
}

/// Whether all that is shown is there: keys of objects, items of lists in order, texts but for ids and times, fractions of any size.
pub(super) fn is_part(shown: &Value, got: &Value) -> bool {
    match (shown, got) {
        (Value::Object(shown), Value::Object(got)) => shown.iter().all(|(key, value)| got.get(key).is_some_and(|got| is_part(value, got))),
        (Value::Array(shown), Value::Array(got)) => {
            let mut rest = got.iter();
            shown.iter().all(|item| rest.any(|got| is_part(item, got)))
        }
        (Value::String(shown), Value::String(got)) => line_matches(&shape(shown), &shape(got)),
        (Value::Number(shown), Value::Number(got)) => shown == got || (shown.is_f64() && got.is_f64()),
        _ => shown == got,
    }
}

/// What a query asks for: a metric, and what its labels shall be.
pub(super) struct Selector {
    pub(super) metric: String,
    matchers: Vec<(String, String, String)>,
}

/// The selectors of a query. That they are all valid is looked at elsewhere.
pub(super) fn selected(query: &str) -> Vec<Selector> {
    let selector = Regex::new(r"\b((?:pillion|gen_ai_client)_[a-z_]+)(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r#"([a-z_]+)(=~|!~|!=|=)"([^"]*)""#).unwrap();
    let matchers = |text: &str| matcher.captures_iter(text).map(|found| (found[1].to_owned(), found[2].to_owned(), found[3].to_owned())).collect();
    let all = selector.captures_iter(query);
    all.map(|found| Selector { metric: found[1].to_owned(), matchers: matchers(found.get(2).map_or("", |text| text.as_str())) }).collect()
}

impl Selector {
    /// Whether a page of metrics has a series of it that is not 0.
    pub(super) fn is_found(&self, page: &str) -> bool {
        let series = Regex::new(r"(?m)^([a-z_]+)(?:\{(.*)\})? (\S+)$").unwrap();
        let label = |labels: &str, name: &str| {
            let pattern = Regex::new(&format!(r#"(?:^|,){name}="([^"]*)""#)).unwrap();
            pattern.captures(labels).map(|found| found[1].to_owned()).unwrap_or_default()
        };
        let fits = |labels: &str, (name, op, wanted): &(String, String, String)| {
            let value = label(labels, name);
            let matches = || Regex::new(&format!("^(?:{wanted})$")).unwrap().is_match(&value);
            match op.as_str() {
                "=" => value == *wanted,
                "!=" => value != *wanted,
                "=~" => matches(),
                _ => !matches(),
            }
        };
        series.captures_iter(page).any(|found| {
            let labels = found.get(2).map_or("", |text| text.as_str());
            found[1] == *self.metric
                && found[3].parse::<f64>().is_ok_and(|value| value > 0.0)
                && self.matchers.iter().all(|matcher| fits(labels, matcher))
        })
    }
}

#[test]
fn a_page_is_held_to_what_it_says() {
    let log = "12:24:23.437 ok    planner → openai gpt-4o 200 1.24s in 812\n";
    assert!(is_like("09:00:00.000 ok    planner → openai gpt-4o 200 2s in 812\n", log) && is_like("… planner → … in 812\n", log));
    assert!(is_like("…\n", log) && is_like("…\n… in 812\n…\n", log) && is_like("12:24:23.437 ok …\n", log));
    for other in ["", "… writer → …\n", "12:24:23.437 ok    planner → openai gpt-4o 200 1.24s in 813\n", "… in 8\n", "planner …\n"] {
        assert!(!is_like(other, log), "{other}");
    }
    let got = serde_json::json!({"agents": [{"name": "a", "p50_seconds": 0.3, "ok": 2}], "truncated": false});
    assert!(is_part(&serde_json::json!({"agents": [{"name": "a", "p50_seconds": 1.5}]}), &got));
    assert!(!is_part(&serde_json::json!({"agents": [{"name": "a", "ok": 3}]}), &got));
}
