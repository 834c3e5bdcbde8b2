//! The reference of the config, made by asking its reader: a key that cannot exist makes it name those that do, a value that cannot be right makes it
//! say what it wants; defaults are those of the effective config, and meanings stand at the fields that the values end up in.

use std::{collections::BTreeMap, fmt::Write as _};

use pillion::config::{self, Environment, Flags, Selection};
use regex::Regex;

/// No key, like no key, and no right value of any.
const NONSENSE: &str = "qqqqqqqqqqqqqqqq";
/// Where the fields are that values end up in.
const SOURCES: [&str; 4] = [
    include_str!("../../../src/config/mod.rs"),
    include_str!("../../../src/config/agents.rs"),
    include_str!("../../../src/config/models.rs"),
    include_str!("../../../src/config/tls.rs"),
];
/// Sections, and the types that they become. The first of them that has a field of the key's name says what it means.
const TYPES: [(&str, &[&str]); 12] = [
    ("server", &["Server"]),
    ("server.tls", &["Tls"]),
    ("upstreams.NAME", &["Upstream"]),
    ("routes[]", &["Route"]),
    ("agents[]", &["AgentRule"]),
    ("agents[].when", &["When"]),
    ("carry", &["Carry"]),
    ("timeouts", &["Timeouts"]),
    ("retries", &["Retries"]),
    ("context", &["Trimming", "Context"]),
    ("telemetry", &["Telemetry", "Prices"]),
    ("telemetry.otlp", &["Otlp", "ClientCertificate"]),
];
/// Keys that are called otherwise in the code.
const CALLED: [(&str, &str); 4] =
    [("header", "headers"), ("api_key_sha256", "api_key"), ("client_certificate", "certificate"), ("client_key", "key")];
/// Keys that no field is called like.
const SAID: [(&str, &str); 4] = [
    (
        "telemetry.otlp.endpoint",
        "Where spans go: over HTTP a base to which `/v1/traces` is added, over gRPC scheme, host and port. Without it they go nowhere.",
    ),
    (
        "upstreams.NAME.url",
        "Where it is. Its own path goes in front of the request's; `unix:///run/model.sock:/v1` is a Unix socket, and behind the colon a path.",
    ),
    ("telemetry.otlp.client_certificate", "A PEM file of our certificate and those between it and its root, where the receiver wants to know us."),
    ("telemetry.otlp.client_key", "A PEM file of the key to it."),
];
/// Policies, which routes and agents may have of their own.
const POLICIES: [&str; 4] = ["carry", "timeouts", "retries", "context"];
/// What each section is for.
const SECTIONS: [(&str, &str); 10] = [
    ("server", "The two ports and their bounds."),
    (
        "upstreams",
        "Destinations beside the built-in ones, or in their place, by name. A name is what stands in a base URL (`http://127.0.0.1:4100/NAME/v1`), in routes and in labels.",
    ),
    ("routes", "The first that matches wins. Patterns are globs (`*`, `?`); one for what is not known of a request does not match."),
    ("carry", "The exceptions to transparency, each of which can be turned off."),
    ("timeouts", "The clocks. `off` stops one. Each that fires before anything was given to the agent is a 504 that names it."),
    ("retries", "How often, how soon and what is tried again."),
    ("context", "What becomes of a prompt that would not fit its model's window."),
    ("limits", ""),
    ("telemetry", "What is reported, where to, and how much of it."),
    ("agents", "Rules that name the agent of a request that does not say it itself, and policies of an agent's own."),
];

/// What a place of the config is.
enum Place {
    /// Keys.
    Section(Vec<String>),
    /// Names that the person chooses, each with keys below it, or with one value.
    Named { section: bool },
    /// Items with keys, or values.
    List { section: bool },
    /// One value.
    Value,
    /// What this version does not have.
    Later,
}

/// A config with `value` at this place: `["routes", "[]", "path"]`.
fn yaml(place: &[&str], value: &str) -> String {
    place.iter().rev().fold(value.to_owned(), |inner, part| if *part == "[]" { format!("[{inner}]") } else { format!("{{{part}: {inner}}}") })
}

/// What the reader says of that, by key path.
fn told(place: &[&str], value: &str) -> BTreeMap<String, String> {
    let environment: Environment = std::iter::empty::<(&str, &str)>().collect();
    let Err(errors) = config::read(yaml(place, value).as_bytes(), None, &Flags::default(), &environment) else { return BTreeMap::new() };
    let line = Regex::new(r"^:\d+: ([^ ]+): (.*)$").unwrap();
    errors.to_string().lines().filter_map(|text| line.captures(text).map(|found| (found[1].to_owned(), found[2].to_owned()))).collect()
}

/// `routes[0].path`, as the reader names it.
fn path(place: &[&str], item: &str) -> String {
    place.iter().fold(String::new(), |path, part| match *part {
        "[]" => path + item,
        part if path.is_empty() => part.to_owned(),
        part => format!("{path}.{part}"),
    })
}

fn look(place: &[&str]) -> Place {
    let own = path(place, "[0]");
    if told(place, "1s").get(&own).is_some_and(|message| message.contains("not supported by this version")) {
        return Place::Later;
    }
    let probe = told(place, &format!("{{{NONSENSE}: 1}}"));
    if let Some(message) = probe.get(&format!("{own}.{NONSENSE}")) {
        return match message.strip_prefix("unknown key; known here: ") {
            Some(known) => Place::Section(known.split(", ").map(str::to_owned).collect()),
            None => Place::Named { section: true },
        };
    }
    match probe.get(&own).map(String::as_str) {
        Some("wants one value, not keys") => Place::Value,
        Some("wants a list") => {
            let items = told(place, &format!("[{{{NONSENSE}: 1}}]"));
            Place::List { section: items.contains_key(&format!("{own}[0].{NONSENSE}")) }
        }
        _ => Place::Named { section: false },
    }
}

/// What the value must be, in the reader's own words.
fn wanted(place: &[&str]) -> String {
    let own = path(place, "[0]");
    let message = [format!("\"{NONSENSE} {NONSENSE}\""), "\"\"".to_owned()].iter().find_map(|value| told(place, value).remove(&own));
    let Some(message) = message else { return "text".to_owned() };
    let quoted = Regex::new("; found `.*`$").unwrap();
    match message.strip_prefix("wants ") {
        Some(wanted) => quoted.replace(wanted, "").into_owned(),
        None if message.contains("cannot be read") || message.contains("cannot read") || message.contains("of no use") => {
            "the path of a file".to_owned()
        }
        None => quoted.replace(&message, "").replace(NONSENSE, "…"),
    }
}

/// The values of a printed config, by key path.
fn printed(config: &str) -> BTreeMap<String, String> {
    let environment: Environment = std::iter::empty::<(&str, &str)>().collect();
    let loaded = config::read(config.as_bytes(), None, &Flags::default(), &environment).unwrap();
    let mut out = Vec::new();
    loaded.print(&mut out, &Selection::default()).unwrap();
    let (mut values, mut above): (BTreeMap<String, String>, Vec<String>) = (BTreeMap::new(), Vec::new());
    for line in String::from_utf8(out).unwrap().lines().filter(|line| !line.trim_start().starts_with('#')) {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let Some((key, value)) = line.trim_start().split_once(':') else { continue };
        above.truncate(depth);
        above.push(key.to_owned());
        let value = value.split("  #").next().unwrap().trim();
        if !value.is_empty() {
            values.insert(above.join("."), value.to_owned());
        }
    }
    values
}

/// What is said of a field of the config's types, and its type.
fn field(kind: &str, name: &str) -> Option<(String, String)> {
    let body = SOURCES.iter().find_map(|source| source.split_once(&format!("pub struct {kind} {{\n")))?.1.split_once("\n}")?.0;
    let mut doc = String::new();
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc += text;
        } else if let Some(kind) = line.strip_prefix(&format!("pub {name}:")) {
            return Some((doc.replace('|', "\\|").trim().to_owned(), kind.to_owned()));
        } else if line.ends_with(',') {
            doc.clear();
        }
    }
    None
}

fn meaning(section: &str, group: &str, key: &str) -> (String, String) {
    let whole = if group.is_empty() { format!("{section}.{key}") } else { format!("{section}.{group}.{key}") };
    if let Some((_, said)) = SAID.iter().find(|(place, _)| *place == whole) {
        return ((*said).to_owned(), if key.starts_with("client_") { "PathBuf".to_owned() } else { String::new() });
    }
    let inner = format!("{section}.{group}");
    let (_, kinds) = TYPES.iter().rfind(|(place, _)| *place == inner || *place == section).unwrap_or_else(|| panic!("{section}"));
    let called = CALLED.iter().find(|(known, _)| *known == key).map_or(key, |(_, called)| called);
    let names = [format!("{}_{called}", group.trim_end_matches(".GLOB")), called.to_owned()];
    let found = kinds.iter().find_map(|kind| names.iter().find_map(|name| field(kind, name)));
    found.unwrap_or_else(|| panic!("nothing says what {whole} means: {kinds:?} have no field {names:?}"))
}

/// The rows of a section, and of those within it.
struct Rows {
    out: String,
    section: String,
    defaults: BTreeMap<String, String>,
}

impl Rows {
    fn row(&mut self, group: &str, key: &str, wants: &str) {
        let inner = if group.is_empty() { key.to_owned() } else { format!("{group}.{key}") };
        let default = self.defaults.get(&format!("{}.{inner}", self.section));
        let (mut meaning, kind) = meaning(&self.section, group, key);
        if default.is_some() {
            // It stands in a column of its own.
            let said = Regex::new(r" Default .*?(\.( |$)|; |$)").unwrap();
            meaning = said.replace(&meaning, " ").trim().to_owned();
        }
        let default = default.map_or("–".to_owned(), |value| format!("`{value}`"));
        let wants = if wants == "text" && kind.contains("PathBuf") { "the path of a file" } else { wants };
        writeln!(self.out, "| `{inner}` | {} | {default} | {meaning} |", wants.replace('|', "\\|")).unwrap();
    }

    /// `within`: the keys between the section and those at `place`.
    fn below(&mut self, place: &[&str], within: &str) {
        let Place::Section(keys) = look(place) else { panic!("{place:?} is no section") };
        for key in &keys {
            let place: Vec<&str> = place.iter().copied().chain([key.as_str()]).collect();
            if POLICIES.contains(&key.as_str()) && place.len() > 1 {
                writeln!(self.out, "| `{key}` | a section | that of the file | [Its own](#{key}), on top of the file's. |").unwrap();
                continue;
            }
            let inner = if within.is_empty() { key.clone() } else { format!("{within}.{key}") };
            match look(&place) {
                Place::Later => {}
                Place::Value => self.row(within, key, &wanted(&place)),
                Place::Section(_) => self.below(&place, &inner),
                Place::List { section: false } => self.row(within, key, &format!("a list, each {}", wanted(&[&place[..], &["[]"]].concat()))),
                Place::Named { section: false } => {
                    self.row(within, key, &format!("names, each with {}", wanted(&[&place[..], &["x"]].concat())));
                }
                Place::Named { section: true } => self.below(&[&place[..], &["GLOB"]].concat(), &format!("{inner}.GLOB")),
                Place::List { section: true } => panic!("{inner}: a list of sections within a section"),
            }
        }
    }
}

/// `docs/reference/config.md`.
pub(super) fn page() -> String {
    let mut out = "# Configuration\n\nMade by asking the config's own reader; a test holds it equal. None is needed. `pillion run --config pillion.yaml`, or `PILLION_CONFIG`; flags over environment over file over default. \
        A variable is the key's path in capitals with `__` between levels (`PILLION_TIMEOUTS__TOTAL=30s`); `${VAR}` in the file reads the environment, `$${` stands for the characters themselves. Unknown keys are errors, and all errors are \
        told at once, with their lines. `pillion check --config pillion.yaml` prints what holds, and where each value comes from. It is read at the start alone.\n\nAs one file with comments it stands in the [README](../../README.md#configuration).\n\n"
        .to_owned();
    let mut defaults = printed("");
    defaults.extend(
        printed("telemetry: {otlp: {endpoint: 'http://127.0.0.1:4318'}}")
            .into_iter()
            .filter(|(key, _)| key.starts_with("telemetry.otlp.") && !key.ends_with("endpoint")),
    );
    let Some(known) = told(&[], &format!("{{{NONSENSE}: 1}}")).remove(NONSENSE) else { panic!("a key that is none is none") };
    for section in known.strip_prefix("unknown key; known here: ").unwrap().split(", ") {
        let (place, name): (Vec<&str>, String) = match look(&[section]) {
            Place::Later => continue,
            Place::Section(_) => (vec![section], section.to_owned()),
            Place::List { section: true } => (vec![section, "[]"], format!("{section}[]")),
            Place::Named { section: true } => (vec![section, "NAME"], format!("{section}.NAME")),
            _ => panic!("{section} is no section"),
        };
        let (_, what) = SECTIONS.iter().find(|(known, _)| *known == section).unwrap_or_else(|| panic!("{section}: what is it for?"));
        let shape = if name == section {
            String::new()
        } else if name.ends_with("[]") {
            "A list, each item with these keys. ".to_owned()
        } else {
            "By name, each with these keys. ".to_owned()
        };
        writeln!(out, "## {section}\n\n{shape}{what}\n\n| key | value | default | |\n|---|---|---|---|").unwrap();
        let mut rows = Rows { out, section: name, defaults: defaults.clone() };
        rows.below(&place, "");
        out = rows.out;
        out.push('\n');
    }
    out
}
