//! What people read, as tests read it: the README and every page below `docs/`, with their fenced blocks and what is said of each in a comment
//! right above it (`<!-- printed -->`), which no reader sees.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a page that cannot be read has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The checkout.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// One page.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Its path from the root of the checkout.
    pub(crate) name: String,
    /// All of it.
    pub(crate) text: String,
}

/// One fenced block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// How many headings stand above it.
    pub(crate) section: usize,
    /// What follows the fence's ticks.
    pub(crate) language: String,
    /// What the comment above it says.
    pub(crate) mark: String,
    /// What is in it, each line with its end.
    pub(crate) text: String,
}

/// Every page, the README first.
pub(crate) fn all() -> Vec<Page> {
    let mut names = vec![PathBuf::from("README.md")];
    collect(Path::new("docs"), &mut names);
    names.iter().map(|name| Page::read(&name.to_string_lossy())).collect()
}

fn collect(folder: &Path, names: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(Path::new(ROOT).join(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    entries.sort();
    for entry in entries {
        let path = folder.join(entry);
        if Path::new(ROOT).join(&path).is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            names.push(path);
        }
    }
}

impl Page {
    /// The page at this path.
    pub(crate) fn read(name: &str) -> Self {
        let text = fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), text }
    }

    /// Its blocks, in order.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut open, mut mark, mut section): (Vec<Block>, Option<Block>, _, _) = (Vec::new(), None, String::new(), 0);
        for (index, line) in self.text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(language)) => {
                    let (language, mark) = (language.to_owned(), std::mem::take(&mut mark));
                    open = Some(Block { line: index + 1, section, language, mark, text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {
                    section += usize::from(line.starts_with('#'));
                    let comment = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
                    comment.unwrap_or_default().clone_into(&mut mark);
                }
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.name);
        blocks
    }

    /// Where a block stands, for a person.
    pub(crate) fn at(&self, block: &Block) -> String {
        format!("{}:{}", self.name, block.line)
    }
}
