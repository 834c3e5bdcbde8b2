//! The parameters of a page: each known, each at most once, each readable, or a sentence that says what would be.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::Refused;
use crate::telemetry::names::Outcome;

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct Query {
    texts: Vec<(&'static str, String)>,
    outcome: Option<Outcome>,
    limit: Option<usize>,
}

impl Query {
    /// Reads `a=b&c=d`. Values that are empty ask for nothing.
    pub(super) fn read(query: Option<&str>, known: &[&'static str]) -> Result<Self, Refused> {
        let mut read = Self::default();
        let mut seen = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let Some(name) = known.iter().copied().find(|known| *known == name) else {
                return Err(Refused::Query(format!("there is no parameter {name:?} here; there are {}", known.join(", "))));
            };
            if seen.contains(&name) {
                return Err(Refused::Query(format!("{name} is there twice")));
            }
            seen.push(name);
            match name {
                _ if value.is_empty() => {}
                "outcome" => read.outcome = Some(outcome(&value)?),
                "limit" => read.limit = Some(limit(&value)?),
                _ => read.texts.push((name, value)),
            }
        }
        Ok(read)
    }

    pub(super) fn agent(&self) -> Option<&str> {
        self.text("agent")
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.text("model")
    }

    pub(super) fn conversation(&self) -> Option<&str> {
        self.text("conversation")
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    fn text(&self, wanted: &str) -> Option<&str> {
        self.texts.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
    }
}

fn outcome(value: &str) -> Result<Outcome, Refused> {
    Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == value).ok_or_else(|| {
        let all = Outcome::ALL.map(Outcome::as_str).join(", ");
        Refused::Query(format!("there is no outcome {value:?}; there are {all}"))
    })
}

fn limit(value: &str) -> Result<usize, Refused> {
    value.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| Refused::Query(format!("limit wants a whole number from 1, not {value:?}")))
}

/// As forms write it: `+` for a space, `%XX` for a byte.
fn decoded(text: &str) -> Result<String, Refused> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| Refused::Query("the query is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Query};

    const KNOWN: &[&str] = &["agent", "outcome", "limit"];

    #[test]
    fn parameters_are_decoded_and_empty_ones_ask_for_nothing() {
        let query = Query::read(Some("agent=the+planner%C3%A9&outcome=timeout&limit=7"), KNOWN).unwrap();
        assert_eq!((query.agent(), query.outcome(), query.limit()), (Some("the planneré"), Some(Outcome::Timeout), Some(7)));
        for empty in [None, Some(""), Some("&"), Some("agent=&outcome=&limit"), Some("agent")] {
            let query = Query::read(empty, KNOWN).unwrap();
            assert_eq!((query.agent(), query.outcome(), query.limit()), (None, None, None), "{empty:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        for (query, part) in [
            ("agnet=x", "there is no parameter \"agnet\" here; there are agent, outcome, limit"),
            ("agent=a&agent=b", "agent is there twice"),
            ("outcome=good", "there is no outcome \"good\"; there are ok, client_error"),
            ("limit=0", "limit wants a whole number from 1, not \"0\""),
            ("limit=-1", "limit wants"),
            ("limit=99999999999999999999999", "limit wants"),
            ("agent=%ff", "not UTF-8"),
        ] {
            let said = Query::read(Some(query), KNOWN).unwrap_err().to_string();
            assert!(said.contains(part), "{query}: {said}");
        }
    }
}
