//! The clients that `tests/setup` has installed, and the programs of this folder that are written for them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test whose clients are not installed has failed")]

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::stage::{FOLDER, PILLION};

/// The sets of pinned packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// The SDKs and frameworks of Python as they are today.
    Current,
    /// AutoGen with the older SDK that its Anthropic client calls.
    AutogenAnthropic,
    /// The classic AutoGen API.
    AutogenClassic,
    /// `LangGraph` and Pydantic AI.
    Frameworks,
    /// OpenAI's SDK for JavaScript.
    Node,
}

impl Client {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Current, Self::AutogenAnthropic, Self::AutogenClassic, Self::Frameworks, Self::Node];

    /// Where they are below `clients`, by which they are also called in the documentation.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::AutogenAnthropic => "autogen-anthropic",
            Self::AutogenClassic => "autogen-classic",
            Self::Frameworks => "frameworks",
            Self::Node => "node",
        }
    }

    /// What is pinned, and the copy of it that is made when all of it is installed.
    fn pins(self) -> (&'static str, &'static str) {
        match self {
            Self::Current => (include_str!("requirements.txt"), "requirements.txt"),
            Self::AutogenAnthropic => (include_str!("requirements-autogen-anthropic.txt"), "requirements.txt"),
            Self::AutogenClassic => (include_str!("requirements-autogen-classic.txt"), "requirements.txt"),
            Self::Frameworks => (include_str!("requirements-frameworks.txt"), "requirements.txt"),
            Self::Node => (include_str!("package-lock.json"), "installed.json"),
        }
    }

    /// Where it is. If it is not, or with other pins than ours, the test has failed: nothing is skipped.
    fn home(self) -> PathBuf {
        let place = Path::new("clients").join(self.folder());
        let (pins, copy) = self.pins();
        let home = Path::new(PILLION).ancestors().map(|folder| folder.join(&place)).find(|home| home.join(copy).exists());
        let Some(home) = home else {
            panic!("the clients are not installed: run tests/run, or tests/setup once, which put them into {}", place.display())
        };
        let installed = std::fs::read_to_string(home.join(copy)).unwrap_or_default();
        assert_eq!(installed, pins, "the clients in {} are not those that are pinned: run tests/setup", home.display());
        home
    }

    /// What runs its programs.
    pub(crate) fn interpreter(self) -> OsString {
        match self {
            Self::Node => self.home().join("node").into_os_string(),
            _ => self.home().join("bin/python").into_os_string(),
        }
    }

    /// What its programs need to find their packages.
    pub(crate) fn variables(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Node => vec![("NODE_PATH", self.home().join("node_modules").to_str().unwrap().to_owned())],
            _ => Vec::new(),
        }
    }

    /// How the names of its programs end.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Node => "cjs",
            _ => "py",
        }
    }

    /// The scenarios of one of its programs, in order.
    pub(crate) fn scenarios_of(self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(Path::new(FOLDER).join(file).with_extension(self.extension())).unwrap();
        let (marks, before_a_name) = match self {
            Self::Node => (["alike(", "apart("], "function "),
            _ => (["@alike", "@apart"], "def "),
        };
        let marked = text.lines().zip(text.lines().skip(1)).filter(|(line, _)| marks.iter().any(|mark| line.starts_with(mark)));
        let named = marked.map(|(mark, next)| if self == Self::Node { mark } else { next });
        named.map(|line| line.split(before_a_name).nth(1).unwrap().split('(').next().unwrap().to_owned()).collect()
    }
}
