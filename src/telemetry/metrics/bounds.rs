//! What bounds the series: how many names a label may learn, and how many series there may be in all. What is beyond becomes `other`, counted.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use foldhash::fast::RandomState;

use super::values::Counter;
use crate::telemetry::names::{
    ERROR_OTHER, OTHER, UNKNOWN,
    metrics::{Label, Values},
};

/// Longest name that gets a label of its own, in bytes.
const NAME_LENGTH_MAX: usize = 128;

/// The values of one label, in order of arrival up to the bound.
#[derive(Debug)]
pub(super) struct Names {
    max: usize,
    /// As it came → as it is shown.
    known: RwLock<HashMap<Box<str>, Arc<str>, RandomState>>,
    other: Arc<str>,
    unknown: Arc<str>,
    overflow: Arc<Counter>,
}

impl Names {
    /// A label with at most `max` names beside `unknown` and `other`.
    pub(super) fn new(max: usize, overflow: Arc<Counter>) -> Self {
        Self { max, known: RwLock::default(), other: OTHER.into(), unknown: UNKNOWN.into(), overflow }
    }

    /// The value to show for a name: itself (without control characters), `unknown` for none, `other` beyond the bound.
    pub(super) fn label(&self, name: Option<&str>) -> Arc<str> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Arc::clone(&self.unknown);
        };
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(known);
        }
        self.learn(name).unwrap_or_else(|| {
            self.overflow.inc();
            Arc::clone(&self.other)
        })
    }

    fn learn(&self, name: &str) -> Option<Arc<str>> {
        if name.len() > NAME_LENGTH_MAX {
            return None;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(name) {
            return Some(Arc::clone(known));
        }
        if known.len() >= self.max {
            return None;
        }
        let shown: Arc<str> = name.chars().map(|c| if c.is_control() { '_' } else { c }).collect::<String>().into();
        known.insert(name.into(), Arc::clone(&shown));
        Some(shown)
    }
}

/// How far label values are folded to save series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    /// Not at all.
    Nothing,
    /// Names of traffic.
    Named,
    /// Everything that is no closed set. What is left is finite, so it is always admitted.
    Open,
}

impl Fold {
    /// From the most exact to the last resort.
    pub(super) const ORDER: [Self; 3] = [Self::Nothing, Self::Named, Self::Open];

    /// A label's value under this fold.
    pub(super) fn apply(self, label: Label, value: &str) -> &str {
        match (self, label.1) {
            (Self::Nothing, _) | (_, Values::Closed) | (Self::Named, Values::Configured) => value,
            (Self::Named | Self::Open, Values::Error) if value.is_empty() => value,
            (Self::Named | Self::Open, Values::Error) => ERROR_OTHER,
            (Self::Named | Self::Open, Values::Named) | (Self::Open, Values::Configured) => OTHER,
        }
    }
}

/// The series of all metrics together, counted as lines of the exposition.
#[derive(Debug)]
pub(super) struct Series {
    max: usize,
    used: AtomicUsize,
    overflow: Arc<Counter>,
}

impl Series {
    pub(super) fn new(max: usize, overflow: Arc<Counter>) -> Self {
        Self { max, used: AtomicUsize::new(0), overflow }
    }

    /// Takes `lines` from what is left. A fifth is kept back for folded values, half of that for those folded altogether, which are never refused.
    pub(super) fn admit(&self, lines: usize, fold: Fold) -> bool {
        let limit = self.limit(fold);
        let more = |used: usize| used.checked_add(lines).filter(|&used| used <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Whether [`Series::admit`] could say yes: asked first, it saves a lock that would be taken for nothing.
    pub(super) fn has_room(&self, lines: usize, fold: Fold) -> bool {
        self.used.load(Ordering::Relaxed).saturating_add(lines) <= self.limit(fold)
    }

    fn limit(&self, fold: Fold) -> usize {
        match fold {
            Fold::Nothing => self.max - self.max / 5,
            Fold::Named => self.max - self.max / 10,
            Fold::Open => usize::MAX,
        }
    }

    /// Says that values had to be folded.
    pub(super) fn overflowed(&self) {
        self.overflow.inc();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Fold, Names, Series};
    use crate::telemetry::{metrics::values::Counter, names::metrics};

    #[test]
    fn names_beyond_the_bound_are_other_and_counted() {
        let overflow = Arc::new(Counter::default());
        let names = Names::new(2, Arc::clone(&overflow));
        let shown = [Some("a"), Some("b"), Some("c"), Some("a"), None, Some("d"), Some("")].map(|name| names.label(name).to_string());
        assert_eq!(shown, ["a", "b", "other", "a", "unknown", "other", "unknown"]);
        assert_eq!(overflow.get(), 2);
    }

    #[test]
    fn long_names_and_control_characters_do_not_get_through() {
        let overflow = Arc::new(Counter::default());
        let names = Names::new(9, Arc::clone(&overflow));
        assert_eq!(&*names.label(Some(&"x".repeat(129))), "other");
        assert_eq!(&*names.label(Some("a\nb\u{1b}c")), "a_b_c");
        assert_eq!(overflow.get(), 1);
    }

    #[test]
    fn folding_spares_closed_sets_longest() {
        let fold = |fold: Fold| {
            let values = ["chat", "openai", "gpt-4o", "planner", "api.openai.com", "500"];
            let labels = metrics::OPERATION_DURATION.labels;
            labels.iter().zip(values).map(|(&label, value)| fold.apply(label, value).to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(fold(Fold::Nothing), "chat openai gpt-4o planner api.openai.com 500");
        assert_eq!(fold(Fold::Named), "chat openai other other api.openai.com _OTHER");
        assert_eq!(fold(Fold::Open), "chat other other other other _OTHER");
    }

    #[test]
    fn folded_values_have_room_that_exact_ones_cannot_take() {
        let series = Series::new(100, Arc::default());
        assert!(series.admit(80, Fold::Nothing) && !series.admit(1, Fold::Nothing));
        assert!(series.admit(10, Fold::Named) && !series.admit(1, Fold::Named));
        assert!(series.admit(20, Fold::Open));
    }
}
