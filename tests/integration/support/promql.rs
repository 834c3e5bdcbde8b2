//! Prometheus' language of queries, read as far as names go: which metrics an expression selects, by which labels, and which labels are asked of
//! them by the aggregations around them. What does not exist (`telemetry::names::metrics`) is told by [`unknown`]. Whether an expression is valid
//! is Prometheus' own business.

use std::collections::BTreeSet;

use pillion::telemetry::names::metrics::{ALL, Metric};

/// Labels that scraping adds.
pub(crate) const SCRAPED: [&str; 4] = ["job", "instance", "namespace", "pod"];
/// What Prometheus writes by itself.
const OWN: [&str; 2] = ["up", "ALERTS"];
/// Words that are followed by names of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that are no metrics.
const WORDS: [&str; 9] = ["and", "or", "unless", "bool", "offset", "inf", "nan", "atan2", "default"];

/// One selector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    /// The name, as it is written: of a histogram with its `_bucket`, `_sum` or `_count`.
    pub(crate) metric: String,
    /// What is asked of its labels.
    pub(crate) labels: Vec<Matcher>,
    /// Labels that the aggregations around it keep or drop.
    pub(crate) grouped: Vec<String>,
}

/// `label=~"value"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matcher {
    /// The label.
    pub(crate) label: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub(crate) op: String,
    /// The value, without its quotes.
    pub(crate) value: String,
}

/// The names of an expression.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// All selectors, in their order.
    pub(crate) selectors: Vec<Selector>,
    /// Labels by which the two sides of an operator are matched, and those that `label_values` of Grafana asks for.
    pub(crate) matched: Vec<String>,
    /// Labels that the expression makes (`label_replace`, `label_join`, `count_values`).
    pub(crate) made: Vec<String>,
}

/// A recording rule: its name, and the labels that its series may have.
pub(crate) type Recorded = (String, BTreeSet<String>);

/// Names of metrics and labels in the expression that do not exist; none if all is well.
pub(crate) fn unknown(expr: &str, recorded: &[Recorded]) -> Vec<String> {
    let names = names(expr);
    let mut unknown = Vec::new();
    let mut all = BTreeSet::new();
    for selector in &names.selectors {
        let Some(known) = labels_of(&selector.metric, recorded) else {
            unknown.push(format!("metric {}", selector.metric));
            continue;
        };
        let asked = selector.labels.iter().map(|matcher| &matcher.label);
        for label in asked.chain(selector.grouped.iter().filter(|label| !names.made.contains(label))) {
            if !known.contains(label.as_str()) {
                unknown.push(format!("label {label} of {}", selector.metric));
            }
        }
        all.extend(known);
    }
    let foreign = names.matched.iter().filter(|label| !all.contains(*label) && !names.made.contains(label));
    unknown.extend(foreign.map(|label| format!("label {label}")));
    unknown
}

/// The labels of a metric as it is written in an expression, those of scraping included.
pub(crate) fn labels_of(metric: &str, recorded: &[Recorded]) -> Option<BTreeSet<String>> {
    let scraped = SCRAPED.map(str::to_owned);
    if OWN.contains(&metric) {
        return Some(scraped.into());
    }
    if let Some((_, labels)) = recorded.iter().find(|(name, _)| name == metric) {
        return Some(labels.clone());
    }
    let (metric, suffix) = histogram(metric).or_else(|| Some((ALL.iter().find(|known| known.name == metric)?, "")))?;
    let own = metric.labels.iter().map(|label| label.0.to_owned());
    let le = (suffix == "_bucket").then(|| "le".to_owned());
    (suffix.is_empty() == metric.buckets.is_empty()).then(|| own.chain(le).chain(scraped).collect())
}

/// The histogram behind `NAME_bucket` and its like.
fn histogram(name: &str) -> Option<(&'static Metric, &'static str)> {
    let of = |suffix: &'static str| {
        let stem = name.strip_suffix(suffix)?;
        ALL.iter().find(|metric| metric.name == stem && !metric.buckets.is_empty()).map(|metric| (metric, suffix))
    };
    ["_bucket", "_sum", "_count"].into_iter().find_map(of)
}

/// All names of an expression.
pub(crate) fn names(expr: &str) -> Names {
    let mut reader = Reader { tokens: tokens(expr), at: 0, frames: Vec::new(), names: Names::default(), grouping: None };
    while reader.at < reader.tokens.len() {
        reader.step();
    }
    reader.names
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Mark(String),
}

/// An open parenthesis: what was called, at which argument it is, and where its selectors begin.
#[derive(Debug, Default)]
struct Frame {
    called: String,
    argument: usize,
    first: usize,
    grouped: Vec<String>,
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    frames: Vec<Frame>,
    names: Names,
    /// Labels of a `by (…)` whose parenthesis is still to come.
    grouping: Option<Vec<String>>,
}

impl Reader {
    fn mark(&self, at: usize) -> &str {
        if let Some(Token::Mark(mark)) = self.tokens.get(at) { mark } else { "" }
    }

    fn step(&mut self) {
        let token = self.tokens[self.at].clone();
        self.at += 1;
        match token {
            Token::Word(word) if GROUPING.contains(&word.as_str()) => self.grouping(&word),
            Token::Word(word) if WORDS.contains(&word.to_lowercase().as_str()) => {}
            Token::Word(word) if self.mark(self.at) == "(" => {
                self.at += 1;
                self.open(word);
            }
            // `sum by (agent) (…)`: what is called stands in front of the labels.
            Token::Word(word)
                if matches!(self.tokens.get(self.at), Some(Token::Word(next)) if next == "by" || next == "without") && is_aggregation(&word) => {}
            Token::Word(word) => self.word(word),
            Token::Text(text) => self.text(text),
            Token::Mark(mark) => match mark.as_str() {
                "(" => self.open(String::new()),
                ")" => self.close(),
                "," => self.frames.last_mut().into_iter().for_each(|frame| frame.argument += 1),
                "{" => {
                    self.at -= 1;
                    self.word(String::new());
                }
                "[" => {
                    while self.at < self.tokens.len() && self.mark(self.at) != "]" {
                        self.at += 1;
                    }
                }
                _ => {}
            },
        }
    }

    fn open(&mut self, called: String) {
        let grouped = self.grouping.take().unwrap_or_default();
        self.frames.push(Frame { called, grouped, first: self.names.selectors.len(), argument: 0 });
    }

    /// What closes may be followed by its labels: `sum(…) by (agent)`.
    fn close(&mut self) {
        let frame = self.frames.pop().unwrap_or_default();
        if matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word == "by" || word == "without") {
            self.at += 1;
            let labels = self.labels();
            for selector in &mut self.names.selectors[frame.first..] {
                selector.grouped.extend(labels.iter().cloned());
            }
        }
    }

    fn grouping(&mut self, word: &str) {
        let labels = self.labels();
        if word == "by" || word == "without" {
            self.grouping = Some(labels);
        } else {
            self.names.matched.extend(labels);
        }
    }

    /// `(agent, model)`, if that is what follows.
    fn labels(&mut self) -> Vec<String> {
        let mut labels = Vec::new();
        if self.mark(self.at) == "(" {
            while self.mark(self.at) != ")" && self.at < self.tokens.len() {
                if let Token::Word(label) = &self.tokens[self.at] {
                    labels.push(label.clone());
                }
                self.at += 1;
            }
            self.at += 1;
        }
        labels
    }

    /// A metric; or the label that `label_values(metric, label)` asks for.
    fn word(&mut self, metric: String) {
        if self.frames.last().is_some_and(|frame| frame.called == "label_values") && self.mark(self.at) == ")" {
            return self.names.matched.push(metric);
        }
        let mut selector = Selector { metric, grouped: self.frames.iter().flat_map(|frame| frame.grouped.clone()).collect(), labels: Vec::new() };
        if self.mark(self.at) == "{" {
            while self.at < self.tokens.len() && self.mark(self.at) != "}" {
                if let [Token::Word(label), Token::Mark(op), Token::Text(value)] = &self.tokens[self.at..self.tokens.len().min(self.at + 3)] {
                    selector.labels.push(Matcher { label: label.clone(), op: op.clone(), value: value.clone() });
                }
                self.at += 1;
            }
            self.at += 1;
        }
        if let Some(name) = selector.labels.iter().position(|matcher| matcher.label == "__name__" && matcher.op == "=") {
            selector.metric = selector.labels.remove(name).value;
        }
        self.names.selectors.push(selector);
    }

    fn text(&mut self, text: String) {
        let Some(frame) = self.frames.last() else { return };
        match (frame.called.as_str(), frame.argument) {
            ("label_replace" | "label_join", 1) | ("count_values", 0) => self.names.made.push(text),
            ("label_replace", 3) | ("label_join", 3..) => self.names.matched.push(text),
            _ => {}
        }
    }
}

fn is_aggregation(word: &str) -> bool {
    ["sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk", "topk", "quantile"].contains(&word)
}

/// Words, quoted texts and marks; comments, numbers and durations (and Grafana's variables) are left out.
fn tokens(expr: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expr;
    while let Some(first) = rest.chars().next() {
        let is_word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | ':');
        let end = |is: &dyn Fn(char) -> bool| rest[1..].find(|char| !is(char)).map_or(rest.len(), |end| end + 1);
        let length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' | '`' => {
                let closed = closing(rest, first);
                tokens.push(Token::Text(rest[1..closed].to_owned()));
                closed + 1
            }
            '$' => end(&|char| is_word(char) || matches!(char, '{' | '}')),
            '0'..='9' => end(&|char| is_word(char) || char == '.'),
            first if is_word(first) => {
                let end = end(&is_word);
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
            '=' | '!' | '<' | '>' => {
                let end = end(&|char| matches!(char, '=' | '~'));
                tokens.push(Token::Mark(rest[..end].to_owned()));
                end
            }
            first => {
                if !first.is_whitespace() {
                    tokens.push(Token::Mark(first.to_string()));
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

/// Where the text that begins with this quote ends.
fn closing(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let ends = |(_, char): &(usize, char)| {
        let ends = *char == quote && !escaped;
        escaped = *char == '\\' && !escaped && quote != '`';
        ends
    };
    text.char_indices().skip(1).find(ends).map_or_else(|| panic!("a quote that does not end: {text}"), |(at, _)| at)
}

#[test]
fn names_of_metrics_and_labels_are_found_in_an_expression() {
    let read = |expr: &str| {
        let names = names(expr);
        let shown = names.selectors.iter().map(|selector| {
            let labels: Vec<_> = selector.labels.iter().map(|matcher| format!("{}{}{}", matcher.label, matcher.op, matcher.value)).collect();
            format!("{}{labels:?}{:?}", selector.metric, selector.grouped)
        });
        (shown.collect::<Vec<_>>().join(" "), names.matched.join(" "), names.made.join(" "))
    };
    let check = |expr: &str, selectors: &str, matched: &str, made: &str| {
        assert_eq!(read(expr), (selectors.to_owned(), matched.to_owned(), made.to_owned()), "{expr}");
    };
    check("up", "up[][]", "", "");
    check("up{job=~\".*(p|q).*\", a!='b,}'} == 0 # c by (d)", r#"up["job=~.*(p|q).*", "a!=b,}"][]"#, "", "");
    check("sum by (agent, le) (rate(m_bucket{le=\"1\"}[$__rate_interval] offset 1d)) > bool 1e3", r#"m_bucket["le=1"]["agent", "le"]"#, "", "");
    check("sum(rate(a[5m:1m])) without(pod) / on (x) group_left(y) max(b)", r#"a[]["pod"] b[][]"#, "x y", "");
    check("label_replace(sum by (z) (a), \"new\", \"$1\", \"old\", \"(.*)\") or b unless c", r#"a[]["z"] b[][] c[][]"#, "old", "new");
    check("label_values(m{agent=~\"$agent\"}, model)", r#"m["agent=~$agent"][]"#, "model", "");
    check("topk by (a) (5, {__name__=\"m\", b=\"c\"}) > -Inf and vector(1) * 0.5", r#"m["b=c"]["a"]"#, "", "");
}

#[test]
fn what_does_not_exist_is_told() {
    let recorded = [("agent:made:rate5m".to_owned(), BTreeSet::from(["agent".to_owned()]))];
    let check = |expr: &str, expected: &[&str]| assert_eq!(unknown(expr, &recorded), expected, "{expr}");
    check("sum by (agent, pod) (rate(pillion_exchanges_total{outcome!=\"ok\"}[5m])) / on (agent) agent:made:rate5m", &[]);
    check("histogram_quantile(0.9, sum by (le, agent) (rate(pillion_cancelled_after_seconds_bucket[5m])))", &[]);
    check("pillion_exchange_total", &["metric pillion_exchange_total"]);
    check("pillion_cancelled_after_seconds", &["metric pillion_cancelled_after_seconds"]);
    check("sum by (tool) (pillion_timeouts_total{clok=\"idle\"})", &["label clok of pillion_timeouts_total", "label tool of pillion_timeouts_total"]);
    check("agent:made:rate5m{model=\"x\"} * on (upstream) up", &["label model of agent:made:rate5m", "label upstream"]);
}
