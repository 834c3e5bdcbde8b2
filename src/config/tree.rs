//! The YAML file as a tree in which every key and value knows its line. Bounded in size, depth and aliases; keys given twice,
//! tags and second documents are errors. What keys mean is not known here.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::errors::{Origin, Problem};

/// Largest file, in bytes: a thousand routes fit many times over.
pub(super) const LARGEST: usize = 1 << 20;

/// Deepest nesting; the deepest key there is stands five levels down.
const DEEPEST: usize = 32;

/// Most nodes that aliases may add, so that nested ones cannot explode.
const MOST_ALIASED: usize = 10_000;

/// A value with the place it came from. No `Debug`: it can hold a secret.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// A value as written. Which type a text stands for is the reader's business.
#[derive(Clone)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Nothing,
    /// Any other scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in order.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) origin: Origin,
}

impl Node {
    /// An empty mapping that nobody wrote.
    pub(super) fn empty() -> Self {
        Self { origin: Origin::Default, value: Value::Map(Vec::new()) }
    }

    fn count(&self) -> usize {
        1 + match &self.value {
            Value::Nothing | Value::Text(_) => 0,
            Value::List(nodes) => nodes.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| 1 + node.count()).sum(),
        }
    }
}

/// Reads a file's bytes. `Err` where no tree can be made of them; else the tree, and what is wrong with it all the same.
pub(super) fn parse(bytes: &[u8]) -> Result<(Node, Vec<Problem>), Problem> {
    let text = text_of(bytes)?;
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| not_yaml(&error, text))?;
        builder.take(event, span)?;
    }
    Ok((builder.root.unwrap_or_else(Node::empty), builder.problems))
}

fn text_of(bytes: &[u8]) -> Result<&str, Problem> {
    let whole = |message: String| Problem { origin: Origin::Default, path: String::new(), message };
    if bytes.len() > LARGEST {
        return Err(whole(format!("is larger than {} MiB", LARGEST >> 20)));
    }
    let line_of = |at: usize| bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
    // The parser takes a NUL for the end of the file: what stands behind it would be lost without a word.
    if let Some(at) = bytes.iter().position(|byte| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t')) {
        return Err(problem(line_of(at), "", "holds control characters: not a text file in UTF-8".to_owned()));
    }
    let text = str::from_utf8(bytes).map_err(|error| problem(line_of(error.valid_up_to()), "", "is not UTF-8".to_owned()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn not_yaml(error: &ScanError, text: &str) -> Problem {
    let line = error.marker().line();
    let here = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let hint = if here.contains("${") { "; within `{}` and `[]` a `${VAR}` wants quotes" } else { "" };
    problem(line, "", format!("not valid YAML: {}{hint}", error.info()))
}

fn problem(line: usize, path: &str, message: String) -> Problem {
    Problem { origin: Origin::File(line.max(1)), path: path.to_owned(), message }
}

/// A collection that is still open.
struct Open {
    line: usize,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, lines: HashMap<String, usize>, key: Option<Key> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
    documents: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let line = span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(problem(line, "", "a second document; one is wanted".to_owned()));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), line);
                self.scalar(&text, style, anchor, line)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), line);
                self.start(anchor, line, Kind::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), line);
                self.start(anchor, line, Kind::Map { entries: Vec::new(), lines: HashMap::new(), key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(problem(line, &self.path(), "an alias of something that holds it".to_owned()));
                };
                self.aliased += node.count();
                if self.aliased > MOST_ALIASED {
                    return Err(problem(line, &self.path(), "aliases unfold to too much".to_owned()));
                }
                let node = node.clone();
                self.add(node, 0)?;
            }
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, line: usize) -> Result<(), Problem> {
        if let Some(Open { kind: Kind::Map { key: key @ None, .. }, .. }) = self.open.last_mut() {
            *key = Some(Key { text: text.to_owned(), origin: Origin::File(line) });
            return Ok(());
        }
        let value = match text {
            "" | "~" | "null" | "Null" | "NULL" if style == ScalarStyle::Plain => Value::Nothing,
            text => Value::Text(text.to_owned()),
        };
        self.add(Node { origin: Origin::File(line), value }, anchor)
    }

    fn start(&mut self, anchor: usize, line: usize, kind: Kind) -> Result<(), Problem> {
        if self.open.len() >= DEEPEST {
            return Err(problem(line, "", format!("nested deeper than {DEEPEST} levels")));
        }
        if let Some(Open { kind: Kind::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(problem(line, &self.path(), "a key must be a plain word, not a list or mapping".to_owned()));
        }
        self.open.push(Open { line, anchor, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(Open { line, anchor, kind }) = self.open.pop() else { return Ok(()) };
        let value = match kind {
            Kind::List(nodes) => Value::List(nodes),
            Kind::Map { entries, .. } => Value::Map(entries),
        };
        self.add(Node { origin: Origin::File(line), value }, anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let path = self.path();
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::List(nodes)) => nodes.push(node),
            Some(Kind::Map { entries, lines, key }) => {
                let Some(key) = key.take() else {
                    return Err(Problem { origin: node.origin, path, message: "a key must be a plain word, not an alias".to_owned() });
                };
                let Origin::File(line) = key.origin else { return Ok(()) };
                if key.text == "<<" {
                    self.problems.push(problem(
                        line,
                        &path,
                        "merging with `<<` is not supported; alias a whole section, or write its keys out".to_owned(),
                    ));
                } else if let Some(first) = lines.get(&key.text) {
                    self.problems.push(problem(line, &path, format!("given twice; first on line {first}")));
                } else {
                    lines.insert(key.text.clone(), line);
                    entries.push((key, node));
                }
            }
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, line: usize) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            let message = format!("tags (`{}`) are not supported", tag.to_string().escape_debug());
            self.problems.push(problem(line, &self.path(), message));
        }
    }

    /// The key path of what comes next.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.kind {
                Kind::List(nodes) => path.extend(["[", &nodes.len().to_string(), "]"]),
                Kind::Map { key: Some(key), .. } if path.is_empty() => path.push_str(&key.text),
                Kind::Map { key: Some(key), .. } => path.extend([".", &key.text]),
                Kind::Map { key: None, .. } => {}
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in one line: `key@line=value`.
    fn show(node: &Node) -> String {
        match &node.value {
            Value::Nothing => "-".to_owned(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(nodes) => format!("[{}]", nodes.iter().map(show).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|(key, node)| format!("{}@{}={}", key.text, key.origin, show(node))).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    fn outcome(text: &str) -> String {
        match parse(text.as_bytes()) {
            Err(problem) => format!("{} {} {}", problem.origin, problem.path, problem.message),
            Ok((_, problems)) if !problems.is_empty() => {
                problems.iter().map(|problem| format!("{} {} {}", problem.origin, problem.path, problem.message)).collect::<Vec<_>>().join("; ")
            }
            Ok((node, _)) => show(&node),
        }
    }

    #[test]
    fn every_key_knows_its_line() {
        let table = [
            ("", "{}"),
            ("# nothing\n", "{}"),
            ("---\na: 1\n...\n", "{a@file:2=\"1\"}"),
            ("\u{feff}a: 1", "{a@file:1=\"1\"}"),
            ("a:\n  b: 30s # why\n\n  c: [x, \"y z\"]\n", "{a@file:1={b@file:2=\"30s\" c@file:4=[\"x\" \"y z\"]}}"),
            ("a:\nb: ~\nc: \"\"\nd: null\ne: 'null'", "{a@file:1=- b@file:2=- c@file:3=\"\" d@file:4=- e@file:5=\"null\"}"),
            ("a: &x {b: 1}\nc: *x\n", "{a@file:1={b@file:1=\"1\"} c@file:2={b@file:1=\"1\"}}"),
            ("a: !!str 5", "{a@file:1=\"5\"}"),
        ];
        for (text, expected) in table {
            assert_eq!(outcome(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_config_is_refused_with_its_line() {
        let table = [
            ("a: 1\nb: {c: 2, c: 3}\na: 4\n", "file:2 b.c given twice; first on line 2; file:3 a given twice; first on line 1"),
            ("a: 1\n---\nb: 2\n", "file:2  a second document; one is wanted"),
            ("a: !vault x", "file:1 a tags (`!vault`) are not supported"),
            ("a:\n  <<: {b: 1}\n", "file:2 a.<< merging with `<<` is not supported; alias a whole section, or write its keys out"),
            ("x: 1\n? [a]\n: 1\n", "file:2  a key must be a plain word, not a list or mapping"),
            ("a: &x [*x]", "file:1 a[0] an alias of something that holds it"),
            ("a: 1\n\0b: 2", "file:2  holds control characters: not a text file in UTF-8"),
        ];
        for (text, expected) in table {
            assert_eq!(outcome(text), expected, "{text:?}");
        }
        for text in ["a: [1", "a: b: c", "\"", "a: *nowhere", "a:\n\t- b"] {
            assert!(outcome(text).contains("not valid YAML: "), "{text:?}: {}", outcome(text));
        }
    }

    #[test]
    fn hostile_files_end_in_an_error_not_in_a_crash() {
        let bomb = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(), |text, i| {
            text + &format!("a{i}: &a{i} [{}]\n", format!("*a{},", i - 1).repeat(8))
        });
        for (text, expected) in [
            ("[".repeat(LARGEST), "recursion limit exceeded"),
            ("- ".repeat(LARGEST / 2), "nested deeper"),
            ("{a: ".repeat(LARGEST / 4), "recursion limit exceeded"),
            ("? ".repeat(LARGEST / 2), "a key must be"),
            (bomb, "aliases unfold to too much"),
            ("a".repeat(LARGEST + 1), "is larger than 1 MiB"),
        ] {
            assert!(outcome(&text).contains(expected), "{expected}: {}", outcome(&text));
        }
        let invalid = parse(b"a: 1\nb: \xff").err().expect("refused");
        assert_eq!((invalid.origin, invalid.message.as_str()), (Origin::File(2), "is not UTF-8"));
    }
}
