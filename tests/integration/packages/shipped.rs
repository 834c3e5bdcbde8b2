//! The image, the compose file and the unit say of Pillion what is so: its version, ports, flags, files and times, each read from where it stands.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use clap::Parser as _;
use pillion::{
    cli::Cli,
    config::{self, Config, Environment, Flags},
};
use serde_json::{Value, json};

use super::{path, text};
use crate::support::{free, parts, verb, within};

/// How long a scrape and an evaluation may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The flush, the last tasks, and as much again: what stopping takes beyond what the config says.
const BEYOND_GRACE: Duration = Duration::from_secs(5);

/// A YAML file as JSON.
fn yaml(name: &str) -> Value {
    let mut reader = Command::new(parts::python())
        .args(["-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(text(name).as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success(), "{name} is no YAML");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn list(value: &Value) -> Vec<&str> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).iter().map(|item| item.as_str().unwrap()).collect()
}

/// Whether these words are a command line of ours.
fn is_ours(words: &[&str]) {
    Cli::try_parse_from([&["pillion"], words].concat()).unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

/// The instructions of the Dockerfile's last stage, lines that go on taken together.
fn image() -> Vec<(String, String)> {
    let whole = text("Dockerfile").replace("\\\n", " ");
    let stage = whole.rsplit("\nFROM ").next().unwrap();
    let lines = stage.lines().skip(1).filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.filter_map(|line| line.split_once(' ')).map(|(name, rest)| (name.to_owned(), rest.trim().to_owned())).collect()
}

fn instruction(name: &str) -> String {
    image().into_iter().find(|(is, _)| is == name).unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn the_image_has_the_ports_the_version_and_a_command_of_ours() {
    let config = Config::default().server;
    let ports = [config.listen, config.admin].map(|listen| listen.tcp().unwrap().port().to_string());
    assert_eq!(instruction("EXPOSE"), ports.join(" "));
    assert!(instruction("LABEL").contains(&format!("org.opencontainers.image.version=\"{}\"", env!("CARGO_PKG_VERSION"))));
    assert!(instruction("LABEL").contains(&format!("licenses=\"{}\"", env!("CARGO_PKG_LICENSE"))));
    let user: Vec<String> = instruction("USER").split(':').map(str::to_owned).collect();
    assert!(user.len() == 2 && user.iter().all(|id| id.parse::<u32>().is_ok_and(|id| id >= 1000)), "a number needs no passwd: {user:?}");
    assert_eq!(instruction("ENTRYPOINT"), "[\"/pillion\"]");
    let command: Vec<String> = serde_json::from_str(&instruction("CMD")).unwrap();
    is_ours(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let shown = text("Dockerfile").lines().find_map(|line| line.split_once(" pillion run ").map(|(_, flags)| format!("run {flags}"))).unwrap();
    is_ours(&shown.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn the_image_is_built_by_the_toolchain_of_the_repository() {
    let channel = text("rust-toolchain.toml").lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"').to_owned();
    let from = text("Dockerfile").lines().find_map(|line| line.strip_prefix("FROM rust:")).unwrap().to_owned();
    let version = from.split('-').next().unwrap();
    assert!(channel == version || channel.starts_with(&format!("{version}.")), "{from} for {channel}");
}

/// What the build of the image is given, as `.dockerignore` says it.
fn admitted(file: &Path) -> bool {
    let rules = text(".dockerignore");
    let rules = rules.lines().filter_map(|rule| rule.strip_prefix('!'));
    rules.into_iter().any(|rule| match rule.split_once('*') {
        Some((folder, end)) => file.parent() == Some(Path::new(folder.trim_end_matches('/'))) && file.to_str().unwrap().ends_with(end),
        None => file.starts_with(rule),
    })
}

#[test]
fn the_build_of_the_image_is_given_every_file_that_it_reads() {
    for file in ["Cargo.toml", "Cargo.lock", "src/main.rs", "benches/race/main.rs", "src/cli/completions/pillion.bash"] {
        assert!(admitted(Path::new(file)), "{file}");
    }
    assert!(!admitted(Path::new("target/debug/pillion")) && !admitted(Path::new("tests/run")) && !admitted(Path::new("dashboards/render/page.jsx")));
    // Modules that only tests have embed what else tests need.
    let only_tests = |entry: &Path| {
        let parent = entry.parent().unwrap().join("mod.rs");
        let module = format!("#[cfg(test)]\nmod {};", entry.file_stem().unwrap().to_str().unwrap());
        fs::read_to_string(parent).is_ok_and(|parent| parent.contains(&module))
    };
    let mut folders = vec![path("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.extension().and_then(|extension| extension.to_str()) {
                None if entry.is_dir() && !entry.ends_with("tests") => folders.push(entry),
                Some("rs") if !entry.ends_with("tests.rs") && !only_tests(&entry) => embedded(&entry),
                _ => {}
            }
        }
    }
}

/// Every file that this source embeds is admitted.
fn embedded(source: &Path) {
    let code = fs::read_to_string(source).unwrap();
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
    for named in code.split("include_str!(\"").chain(code.split("include_bytes!(\"")).skip(1) {
        let Some(file) = named.split_once("\")").map(|(name, _)| source.parent().unwrap().join(name)) else { continue };
        let Ok(file) = fs::canonicalize(&file) else { continue };
        let file = file.strip_prefix(fs::canonicalize(path(".")).unwrap()).unwrap().to_owned();
        assert!(admitted(&file), "{} embeds {}, which .dockerignore keeps from the image's build", source.display(), file.display());
    }
}

#[test]
fn the_compose_file_shows_itself_to_this_machine_alone_and_names_what_there_is() {
    let compose = yaml("docker-compose.yaml");
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        let image = service["image"].as_str().unwrap();
        assert!(image.rsplit_once(':').is_some_and(|(_, tag)| tag.contains(|c: char| c.is_ascii_digit())), "{name}: {image} is not pinned");
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten().map(|volume| volume.as_str().unwrap()) {
            let source = volume.split(':').next().unwrap();
            assert!(!source.starts_with('.') || path(source).exists() && volume.ends_with(":ro"), "{name}: {volume}");
            assert!(source.starts_with('.') || compose["volumes"].get(source).is_some(), "{name}: {volume}");
        }
    }
    assert_eq!(services["pillion"]["image"], json!(format!("pillion:{}", env!("CARGO_PKG_VERSION"))));
    let grafana = list(&services["grafana"]["volumes"]);
    for entry in
        fs::read_dir(path("dashboards")).unwrap().map(|entry| entry.unwrap().path()).filter(|entry| entry.extension().is_some_and(|is| is == "json"))
    {
        let name = entry.file_name().unwrap().to_str().unwrap();
        let volume = format!("./dashboards/{name}:/var/lib/grafana/pillion/{name}:ro");
        assert!(grafana.contains(&volume.as_str()), "Grafana is not given {name}");
    }
}

#[test]
fn what_the_compose_file_runs_is_ours_and_listens_where_the_others_look() {
    let compose = yaml("docker-compose.yaml");
    let services = &compose["services"];
    let command = services["pillion"]["command"].as_str().unwrap();
    let command = command.strip_prefix("${PILLION:-").and_then(|rest| rest.strip_suffix('}')).unwrap();
    let words: Vec<&str> = command.split_whitespace().collect();
    is_ours(&words);
    let file = text("docker-compose.yaml");
    let other = file.split("PILLION=\"").nth(1).unwrap().split('"').next().unwrap();
    is_ours(&other.split_whitespace().collect::<Vec<_>>());
    let after = |flag: &str| words[words.iter().position(|word| *word == flag).unwrap() + 1];
    let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
    assert_eq!(services["pillion"]["network_mode"], "service:prometheus", "it is scraped, and published, there");
    let scraped = &yaml("packaging/compose/prometheus.yaml")["scrape_configs"][0]["static_configs"][0]["targets"][0];
    assert_eq!(scraped, after("--admin"), "a Pillion that is not the demo has its admin port there by default");
    assert_eq!(scraped, &json!(Config::default().server.admin.to_string()));
    for listen in [after("--listen"), other.rsplit(' ').next().unwrap()] {
        assert!(list(&services["prometheus"]["ports"]).contains(&format!("127.0.0.1:{0}:{0}", port(listen)).as_str()), "{listen} is not published");
    }
    let grace = humantime::parse_duration(services["pillion"]["stop_grace_period"].as_str().unwrap()).unwrap();
    let server = Config::default().server;
    assert!(grace >= server.drain_delay + server.grace + BEYOND_GRACE);
}

#[tokio::test]
async fn the_prometheus_of_the_compose_file_scrapes_the_demo_and_its_exemplars_lead_where_grafana_looks() {
    let (config, rules) = (text("packaging/compose/prometheus.yaml"), text("dashboards/alerts/pillion.rules.yaml"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prometheus.yaml"), &config).unwrap();
    fs::write(folder.path().join("pillion.rules.yaml"), &rules).unwrap();
    let checked = Command::new(parts::program("promtool")).args(["check", "config"]).arg(folder.path().join("prometheus.yaml")).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let admin = free().to_string();
    let _demo = verb("demo").arguments(["--admin", &admin]).variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9").spawned();
    let config = config.replace("127.0.0.1:4101", &admin).replace(": 5s", ": 1s");
    let prometheus = parts::prometheus(&config, &[("pillion.rules.yaml", &rules)]).await;
    let found = prometheus.query_until_found("sum by (job) (pillion_exchanges_total{outcome=\"ok\"}) > 0", PATIENCE).await;
    assert_eq!(found[0]["metric"]["job"], "pillion");
    prometheus.query_until_found("gen_ai_client_operation_duration_seconds_count > 0", PATIENCE).await;
    let sources = yaml("packaging/compose/grafana/datasources/pillion.yaml");
    let link = &sources["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"][0];
    let uids: Vec<&Value> = sources["datasources"].as_array().unwrap().iter().map(|source| &source["uid"]).collect();
    assert!(uids.contains(&&link["datasourceUid"]), "{uids:?}");
    let range = "query=gen_ai_client_operation_duration_seconds_bucket&start=0&end=9999999999";
    let label = link["name"].as_str().unwrap();
    let labels = within("an exemplar", async {
        loop {
            let answer = prometheus.get(&format!("/api/v1/query_exemplars?{range}")).await;
            if let Some(labels) = answer["data"][0]["exemplars"][0].get("labels") {
                return labels.clone();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let labels = labels.await;
    assert!(labels[label].as_str().is_some_and(|trace| trace.len() == 32), "no {label} in {labels}");
}

/// The value of a key of the unit.
fn unit(key: &str) -> String {
    let unit = text("packaging/pillion.service");
    let value = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit has no {key}")).to_owned()
}

#[test]
fn the_unit_is_sound_and_leaves_little_open() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pillion.service");
    fs::write(&file, text("packaging/pillion.service").replace("/usr/local/bin/pillion", env!("CARGO_BIN_EXE_pillion"))).unwrap();
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&file).env("SYSTEMD_COLORS", "0").output();
        let output = output.expect("systemd-analyze is needed: apt-get install systemd");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    };
    let said = analyze(&["verify", "--man=no"]);
    assert!(!said.contains("pillion.service"), "{said}");
    // Tenths: 10 is wide open.
    analyze(&["security", "--offline=yes", "--no-pager", "--threshold=15"]);
}

#[test]
fn the_unit_fits_how_it_is_started_and_how_it_stops() {
    let started: Vec<String> = unit("ExecStart").split_whitespace().skip(1).map(str::to_owned).collect();
    is_ours(&started.iter().map(String::as_str).collect::<Vec<_>>());
    let (credential, _) = unit("LoadCredential").split_once(':').map(|(name, file)| (name.to_owned(), file.to_owned())).unwrap();
    assert!(started.last().is_some_and(|config| *config == format!("${{CREDENTIALS_DIRECTORY}}/{credential}")));
    let set = unit("SetCredential");
    let (default, config) = set.split_once(':').unwrap();
    let read = config::read(config.as_bytes(), None, &Flags::default(), &std::iter::empty::<(String, String)>().collect::<Environment>());
    assert!(default == credential && read.is_ok_and(|loaded| loaded.config.server == Config::default().server), "no file: the defaults");
    assert_eq!(unit("RestartPreventExitStatus"), pillion::cli::USAGE.to_string());
    let server = Config::default().server;
    let stop = humantime::parse_duration(&unit("TimeoutStopSec")).unwrap();
    assert!(stop >= server.drain_delay + server.grace + BEYOND_GRACE, "{stop:?}");
    let descriptors: usize = unit("LimitNOFILE").parse().unwrap();
    assert!(descriptors > 2 * server.max_connections);
}

#[test]
fn the_script_of_the_static_binary_can_be_read() {
    let read = Command::new("python3").args(["-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"]).arg(path("packaging/static")).status();
    assert!(read.unwrap().success());
    assert_eq!(text("packaging/static").lines().next(), Some("#!/usr/bin/env python3"));
}
