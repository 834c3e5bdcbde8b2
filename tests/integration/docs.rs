//! What people read is true: every block of every page is of a kind that is checked, commands parse, configs are read, queries name what exists,
//! links lead somewhere, and the reference pages are what the code says. Programs of the pages are run by `tests/clients`.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use clap::{Parser as _, error::ErrorKind};
use pillion::{
    cli::Cli,
    config::{self, Environment, Flags, Loaded},
    demo::script::Script,
};
use regex::Regex;

use crate::support::{
    pages::{self, Block, Page, ROOT},
    parts, promql,
};

mod keys;
mod reference;
mod words;

/// Kinds of blocks: language, and the first word of the mark. Those without a check here are looked at by `tests/clients`.
const KINDS: [(&str, &str); 20] = [
    ("sh", ""),
    ("yaml", ""),
    ("yaml", "config"),
    ("yaml", "model"),
    ("yaml", "prometheus"),
    ("yaml", "values"),
    ("yaml", "kubernetes"),
    ("promql", ""),
    ("promql", "finds"),
    ("json", ""),
    ("json", "answers"),
    ("text", ""),
    ("text", "printed"),
    ("text", "logged"),
    ("text", "demo"),
    ("python", "runs"),
    ("python", "parsed"),
    ("js", "runs"),
    ("ini", ""),
    ("dockerfile", ""),
];

/// Every block of every page.
fn blocks() -> Vec<(Page, Block)> {
    pages::all().into_iter().flat_map(|page| page.blocks().into_iter().map(move |block| (page.clone(), block))).collect()
}

/// The blocks of one kind, each with its place.
fn of(language: &str, marks: &[&str]) -> Vec<(String, String)> {
    let fits = |block: &Block| block.language == language && marks.contains(&block.mark.as_str());
    blocks().into_iter().filter(|(_, block)| fits(block)).map(|(page, block)| (page.at(&block), block.text)).collect()
}

#[test]
fn every_block_is_of_a_kind_that_is_checked() {
    let kind = |block: &Block| (block.language.clone(), block.mark.split(' ').next().unwrap_or_default().to_owned());
    let known = |block: &Block| KINDS.iter().any(|(language, mark)| (*language, *mark) == (kind(block).0.as_str(), kind(block).1.as_str()));
    let strange: Vec<_> =
        blocks().into_iter().filter(|(_, block)| !known(block)).map(|(page, block)| (page.at(&block), block.section, kind(&block))).collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

/// The words of a command line, as a shell would part them; nothing of the pages needs more than quotes.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (Some(open), c) if c == open => quote = None,
            (None, '#') if !begun => break,
            (None, ' ') => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (_, c) => {
                word.push(c);
                begun = true;
            }
        }
    }
    words.extend(begun.then_some(word));
    words
}

/// What follows `pillion` in a line of a shell: behind variables, behind `cargo run … --`, up to a pipe or a redirection.
fn pillion_of(line: &str) -> Option<Vec<String>> {
    let words = shell_words(line);
    let is_variable = |word: &&String| word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let words: Vec<_> = words.iter().skip_while(is_variable).skip_while(|word| *word == "sudo").collect();
    let ends = |word: &&&String| !matches!(word.as_str(), "|" | ">" | "2>" | "&" | "&&" | ";");
    let arguments: Vec<_> = match words.as_slice() {
        [first, rest @ ..] if first.as_str() == "pillion" => rest.iter().take_while(ends).copied().cloned().collect(),
        [first, second, rest @ ..] if (first.as_str(), second.as_str()) == ("cargo", "run") => {
            rest.iter().skip_while(|word| word.as_str() != "--").skip(1).take_while(ends).copied().cloned().collect()
        }
        _ => return None,
    };
    Some(std::iter::once("pillion".to_owned()).chain(arguments).collect())
}

#[test]
fn every_command_of_the_pages_is_one() {
    let mut commands = 0;
    let inline = Regex::new("`(pillion [a-z][^`]*)`").unwrap();
    let in_prose = pages::all().into_iter().flat_map(|page| {
        let found: Vec<_> = inline.captures_iter(&page.text).map(|found| (page.name.clone(), found[1].replace('…', ""))).collect();
        found
    });
    for (at, text) in of("sh", &[""]).into_iter().chain(in_prose) {
        for line in text.replace("\\\n", " ").lines() {
            let Some(words) = pillion_of(line) else { continue };
            commands += 1;
            let parsed = Cli::try_parse_from(&words).map_err(|error| (error.kind(), error.to_string()));
            if let Err((kind, told)) = parsed {
                assert!(matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion), "{at}: {line}\n{told}");
            }
        }
    }
    assert!(commands > 20, "{commands}");
}

/// Reads a config with every variable that it names set to something.
fn read(text: &str) -> Result<Loaded, config::Errors> {
    let variable = Regex::new(r"\$\{([A-Z_]+)\}").unwrap();
    let environment: Environment = variable.captures_iter(text).map(|found| (found[1].to_owned(), "of-a-test".to_owned())).collect();
    config::read(text.as_bytes(), None, &Flags::default(), &environment)
}

#[test]
fn every_config_and_every_script_of_the_pages_is_valid() {
    for (at, text) in of("yaml", &["", "config"]) {
        // Files of certificates would have to exist.
        let without_files: String =
            text.lines().filter(|line| !line.contains(".pem") && !line.contains(".crt")).fold(String::new(), |text, line| text + line + "\n");
        if let Err(errors) = read(&without_files) {
            panic!("{at}: {errors}");
        }
    }
    for (at, text) in of("yaml", &["model"]) {
        assert!(Script::read(&text).is_ok(), "{at}: {:?}", Script::read(&text).err());
    }
}

#[test]
fn every_piece_of_json_is_one() {
    for (at, text) in of("json", &[""]) {
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{at}");
    }
}

fn promtool(arguments: &[&str], text: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let told = Command::new(parts::program("promtool")).args(arguments).arg(file.path()).output().unwrap();
    assert!(told.status.success(), "{}{}\n{text}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
}

#[test]
fn every_query_of_the_pages_is_valid_and_names_what_exists() {
    let queries = of("promql", &["", "finds"]);
    let inline = Regex::new(r"`([a-z_]+(?: by \([a-z_, ]+\))? ?\([^`]*\))`").unwrap();
    let in_prose = pages::all()
        .into_iter()
        .flat_map(|page| inline.captures_iter(&page.text).map(|found| (page.name.clone(), found[1].to_owned())).collect::<Vec<_>>());
    let in_prose = in_prose.filter(|(_, query)| query.contains("pillion_") || query.contains("gen_ai_"));
    let all: Vec<_> = queries.into_iter().chain(in_prose).collect();
    assert!(all.len() > 10);
    let mut rules = "groups:\n  - name: pages\n    rules:\n".to_owned();
    for (at, query) in &all {
        assert_eq!(promql::unknown(query, &[]), Vec::<String>::new(), "{at}: {query}");
        let (at, query) = (serde_json::json!(at), serde_json::json!(query));
        writeln!(rules, "      - record: page\n        labels: {{at: {at}}}\n        expr: {query}").unwrap();
    }
    promtool(&["check", "rules"], &rules);
}

#[test]
fn every_config_of_prometheus_is_valid() {
    let configs = of("yaml", &["prometheus"]);
    assert!(!configs.is_empty());
    for (_, text) in configs {
        // Files that it names would have to exist.
        let alone: String = text.lines().filter(|line| !line.contains("_file:")).fold(String::new(), |text, line| text + line + "\n");
        promtool(&["check", "config", "--syntax-only"], &alone);
    }
}

#[test]
fn all_values_of_the_pages_are_taken_by_the_chart() {
    let all = of("yaml", &["values"]);
    assert!(!all.is_empty());
    for (at, text) in all {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let chart = Path::new(ROOT).join("helm/pillion");
        let told = Command::new(parts::program("helm4")).args(["template", "pillion"]).arg(chart).arg("--values").arg(file.path()).output().unwrap();
        assert!(told.status.success(), "{at}: {}", String::from_utf8_lossy(&told.stderr));
    }
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut fenced = false;
    let headings = page.text.lines().filter(|line| {
        fenced ^= line.starts_with("```");
        !fenced && line.starts_with('#')
    });
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    headings.map(anchor).collect()
}

fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => assert!(plain.pop(), "{} leads out of the checkout", path.display()),
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    for page in pages::all() {
        for target in link.captures_iter(&page.text).map(|found| found[1].to_owned()) {
            if target.starts_with("https://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = Path::new(&page.name).parent().unwrap();
            let file = if path.is_empty() { PathBuf::from(&page.name) } else { plain(&folder.join(path)) };
            assert!(Path::new(ROOT).join(&file).exists(), "{}: {target}: there is no {}", page.name, file.display());
            if !anchor.is_empty() {
                assert!(anchors(&Page::read(&file.to_string_lossy())).contains(anchor), "{}: {target}: no such heading", page.name);
            }
        }
    }
}

#[test]
fn every_page_is_in_the_index() {
    let index = Page::read("docs/README.md").text;
    for page in pages::all() {
        let path = page.name.strip_prefix("docs/").filter(|path| *path != "README.md");
        assert!(path.is_none_or(|path| index.contains(&format!("({path})"))), "{} is not in docs/README.md", page.name);
    }
}

/// A page that is made from the code: the page as it is, and as it should be.
fn hold(name: &str, made: &str) {
    let kept = fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_default();
    if kept != made {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(Path::new(name).file_name().unwrap());
        fs::write(&path, made).unwrap();
        panic!("{name} is not what the code says; keep {} as {name}", path.display());
    }
}

#[test]
fn the_reference_of_metrics_is_what_the_table_says() {
    hold("docs/reference/metrics.md", &reference::metrics());
}

#[test]
fn the_reference_of_spans_is_what_the_names_say() {
    hold("docs/reference/spans.md", &reference::spans());
}

#[test]
fn the_reference_of_the_config_is_what_its_reader_says() {
    hold("docs/reference/config.md", &keys::page());
}
