//! The rules of the house that a machine can hold: layers, sizes, and what each file says of itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The layers of `src/lib.rs`, lowest first.
const LAYERS: [&[&str]; 10] = [
    &["wire", "body", "drain", "secret"],
    &["config"],
    &["agent", "context"],
    &["telemetry"],
    &["upstream", "dashboards"],
    &["proxy"],
    &["downstream", "admin"],
    &["server"],
    &["demo"],
    &["cli", "main", "lib"],
];

/// Longest file, without tests.
const LINES_MAX: usize = 500;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 30, "the sources were not found");
    // Tests are held to the rules of tests.
    found.retain(|path| !path.iter().any(|part| part == "tests" || part == "tests.rs"));
    found.into_iter().map(|path| (path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap())).collect()
}

fn module(path: &Path) -> String {
    path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or_else(|| panic!("{module} stands in no layer"))
}

/// Everything in front of the tests at a file's end.
fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// The modules that a file names behind `crate::`, one by one or in braces.
fn imports(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for tail in source.split("crate::").skip(1) {
        if let Some(group) = tail.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(letter),
                    _ => {}
                }
            }
            found.push(name);
        } else {
            found.push(tail.to_owned());
        }
    }
    let first = |path: &String| path.trim().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect::<String>();
    found.iter().map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn imports_point_down() {
    for (path, source) in sources() {
        let own = module(&path);
        for import in imports(without_tests(&source)) {
            assert!(import == own || layer(&import) < layer(&own), "{}: `{own}` must not import `{import}`", path.display());
        }
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let source = "use crate::wire;\nuse crate::{\n    config::{self, Config},\n    drain::{Drain, Stage},\n};\nfn f() -> crate::body::Held {}";
    assert_eq!(imports(source), ["wire", "config", "drain", "body"]);
}

#[test]
fn pure_modules_touch_no_sockets_and_no_clock() {
    for (path, source) in sources().into_iter().filter(|(path, _)| ["wire", "agent", "context"].contains(&&*module(path))) {
        // The traits by which a decoder is fed and read: of memory, here.
        let source = source.replace("std::io::Read as _", "").replace("std::io::Write as _", "");
        // A point in time that somebody else has read from the clock.
        let source = source.replace("use tokio::time::Instant;", "");
        for word in ["tokio", "std::net", "std::io", "std::fs", "Instant::now", "SystemTime::now", "hyper"] {
            assert!(!without_tests(&source).contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_promises_and_is_of_a_readable_size() {
    for (path, source) in sources() {
        assert!(source.starts_with("//!"), "{} does not open with what it promises", path.display());
        let lines = without_tests(&source).lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

#[test]
fn names_of_metrics_stand_in_one_place() {
    for (path, source) in sources().into_iter().filter(|(path, _)| !path.starts_with("telemetry")) {
        for quoted in ["\"pillion_", "\"gen_ai_", "\"gen_ai."] {
            // Their queries group by labels; that these exist is held by a test of theirs.
            if quoted == "\"gen_ai_" && path.starts_with("dashboards") {
                continue;
            }
            assert!(!without_tests(&source).contains(quoted), "{} names a metric or an attribute", path.display());
        }
    }
}

#[test]
fn nothing_unfinished_is_left_and_no_lint_is_silenced_without_a_reason() {
    for (path, source) in sources() {
        for mark in ["TODO", "FIXME", "todo!(", "unimplemented!(", "#[allow(", "#![allow("] {
            assert!(!source.contains(mark), "{} holds {mark}", path.display());
        }
    }
}
