//! Where each value came from, and everything that is wrong with a config, told at once: one line an error, with its place.
//! Values of the environment and of secrets are never part of a message.

use std::{collections::BTreeMap, error::Error, fmt};

/// Most errors that are printed; a file of nothing but errors does not flood a terminal.
const MOST: usize = 100;

/// Where a value came from. Later layers win: default, file, environment, flag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nothing says otherwise.
    Default,
    /// This line of the file, from 1.
    File(usize),
    /// The variable of this name.
    Environment(String),
    /// The flag, e.g. `--listen`.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => write!(f, "file:{line}"),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Flag(name) => write!(f, "flag:{name}"),
        }
    }
}

/// The origin of each value that is not a default, by key path (`timeouts.total`, `routes[0].retries.attempts`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Whether nobody set this value.
    pub fn is_default(&self, path: &str) -> bool {
        matches!(self.of(path), Origin::Default)
    }

    /// Of the value at this key path.
    pub fn of(&self, path: &str) -> &Origin {
        self.0.get(path).unwrap_or(&Origin::Default)
    }

    pub(super) fn set(&mut self, path: String, origin: Origin) {
        self.0.insert(path, origin);
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    /// Whose it is; `Default` where the file as a whole is meant.
    pub(super) origin: Origin,
    /// The key path; empty for the file as a whole.
    pub(super) path: String,
    /// What is wrong and what would be right.
    pub(super) message: String,
}

/// Everything that is wrong with a config. Prints one line an error, in the order file (by line), environment, flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    file: String,
    problems: Vec<Problem>,
}

impl Errors {
    /// `file`: its name as the person gave it; empty when there is none.
    pub(super) fn new(file: String, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { file, problems }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.problems.len()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { origin, path, message }) in self.problems.iter().take(MOST).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            match origin {
                Origin::Default if self.file.is_empty() => {}
                Origin::Default => write!(f, "{}: ", self.file)?,
                Origin::File(line) => write!(f, "{}:{line}: ", self.file)?,
                Origin::Environment(name) => write!(f, "{}: ", name.escape_debug())?,
                Origin::Flag(name) => write!(f, "{name}: ")?,
            }
            if !path.is_empty() && !matches!(origin, Origin::Environment(_) | Origin::Flag(_)) {
                write!(f, "{}: ", path.escape_debug())?;
            }
            f.write_str(message)?;
        }
        match self.problems.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl Error for Errors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(origin: Origin, path: &str, message: &str) -> Problem {
        Problem { origin, path: path.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn errors_stand_in_the_order_of_their_layers_each_on_its_line() {
        let errors = Errors::new(
            "pillion.yaml".to_owned(),
            vec![
                problem(Origin::Flag("--listen"), "server.listen", "wants an address"),
                problem(Origin::Environment("PILLION_X".to_owned()), "x", "unknown key"),
                problem(Origin::File(12), "timeouts.totl", "unknown key; did you mean `total`?"),
                problem(Origin::File(3), "server", "wants keys"),
                problem(Origin::File(3), "server", "wants keys"),
                problem(Origin::Default, "", "is empty"),
            ],
        );
        let expected = "pillion.yaml: is empty\n\
            pillion.yaml:3: server: wants keys\n\
            pillion.yaml:12: timeouts.totl: unknown key; did you mean `total`?\n\
            PILLION_X: unknown key\n\
            --listen: wants an address";
        assert_eq!(errors.to_string(), expected);
        assert_eq!(errors.count(), 5);
    }

    #[test]
    fn a_flood_of_errors_is_cut_and_counted() {
        let errors = Errors::new("f".to_owned(), (1..=250).map(|line| problem(Origin::File(line), "x", "unknown key")).collect());
        let text = errors.to_string();
        assert_eq!(text.lines().count(), 101);
        assert!(text.ends_with("and 150 more"));
    }

    #[test]
    fn a_key_cannot_write_to_the_terminal() {
        let errors = Errors::new("f".to_owned(), vec![problem(Origin::File(1), "\u{1b}[2J", "unknown key")]);
        assert_eq!(errors.to_string(), "f:1: \\u{1b}[2J: unknown key");
    }
}
