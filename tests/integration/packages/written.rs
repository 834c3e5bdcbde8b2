//! Completions and the manual page are written from the flags, and are what the binary holds. `REWRITE=1` writes them anew:
//! `REWRITE=1 cargo test --test integration packages::written`, and once more to see that they hold.

use std::{fs, process::Command as Process};

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use pillion::{cli::Cli, config::Environment};

use super::{path, text};
use crate::support::verb;

const SHELLS: [(Shell, &str); 5] = [
    (Shell::Bash, "pillion.bash"),
    (Shell::Zsh, "_pillion"),
    (Shell::Fish, "pillion.fish"),
    (Shell::Elvish, "pillion.elv"),
    (Shell::PowerShell, "_pillion.ps1"),
];
const MANUAL: &str = "docs/pillion.1";

fn holds(name: &str, written: &str) {
    if Environment::of_process().of("REWRITE").is_some() {
        fs::write(path(name), written).unwrap();
        return;
    }
    let have = text(name);
    let differs = have.lines().zip(written.lines()).find(|(have, written)| have != written);
    assert!(have == written, "{name} is not that of the flags any more (first difference: {differs:?}): run this test with REWRITE=1");
}

fn script(shell: Shell) -> String {
    let mut written = Vec::new();
    generate(shell, &mut Cli::command(), "pillion", &mut written);
    // Some shells' generators leave spaces at the ends of lines.
    String::from_utf8(written).unwrap().lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// One page for all verbs.
fn manual() -> String {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let render = |of: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
        let mut page = Vec::new();
        of(&mut page).unwrap();
        String::from_utf8(page).unwrap()
    };
    // The renderer's preamble stands at the top of each part, and is wanted once.
    let body = |page: String| page.split_once("\n.SH").map(|(_, rest)| format!(".SH{rest}")).unwrap_or_default();
    let whole = Man::new(command.clone());
    // The renderer leaves an empty date out, and so moves what is behind it.
    let mut page = APOSTROPHE.to_owned() + &format!(".TH PILLION 1 \"\" \"pillion {}\" \"\"\n", env!("CARGO_PKG_VERSION"));
    page += &body(render(&|out| whole.render_name_section(out)));
    page += ".SH SYNOPSIS\n\\fBpillion\\fR \\fIVERB\\fR [\\fIOPTIONS\\fR]\n";
    page += DESCRIPTION;
    page += ".SH VERBS\n";
    for verb in command.get_subcommands() {
        page += &of_verb(verb, render, body);
    }
    page += OUTRO;
    // Roff's own way to write what is beyond ASCII, which every reader of it knows.
    let ascii = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) };
    page.lines().map(|line| line.trim_end().chars().map(ascii).collect::<String>() + "\n").collect()
}

fn of_verb(verb: &Command, render: impl Fn(&dyn Fn(&mut Vec<u8>) -> std::io::Result<()>) -> String, body: impl Fn(String) -> String) -> String {
    let man = Man::new(verb.clone());
    let part = |page: String| body(page).split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    let about = part(render(&|out| man.render_description_section(out)));
    let synopsis = part(render(&|out| man.render_synopsis_section(out)));
    let options = part(render(&|out| man.render_options_section(out)));
    format!(".SS {}\n{synopsis}.PP\n{about}{options}", verb.get_name())
}

/// The renderer writes apostrophes by this name.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

const DESCRIPTION: &str = r".SH DESCRIPTION
Pillion rides beside an agent process: the agent's base_url points at it, and every byte goes to the model and back as before, kept inside deadlines,
retried where that is safe, and reported as metrics, spans and one line of log per exchange. Agents connect to 127.0.0.1:4100; health, metrics and what
happened lately are at 127.0.0.1:4101.
";

const OUTRO: &str = r".SH CONFIGURATION
None is needed. \fB\-\-config\fR or \fBPILLION_CONFIG\fR name a YAML file; flags win over the environment, the environment over the file, the file over the
defaults. \fBpillion check\fR prints what is in effect, with the origin of each value.
.SH ENVIRONMENT
.TP
\fBPILLION_CONFIG\fR
The configuration file.
.TP
\fBPILLION_\fR\fIKEY\fR
Any key of the configuration: its path in upper case, with two underscores between levels, as in \fBPILLION_TIMEOUTS__TOTAL=30s\fR.
.TP
\fBOTEL_EXPORTER_OTLP_ENDPOINT\fR
Where spans go, and the other variables of OpenTelemetry for it.
.TP
\fBHTTPS_PROXY\fR, \fBHTTP_PROXY\fR, \fBALL_PROXY\fR, \fBNO_PROXY\fR
Proxies on the way to upstreams.
.TP
\fBSSL_CERT_FILE\fR
Roots to trust in place of the machine's.
.TP
\fBNO_COLOR\fR
No colours.
.SH SIGNALS
.TP
SIGTERM, SIGINT
Stop: \fB/readyz\fR says no, what is in flight may finish within \fIserver.grace\fR, telemetry is flushed. A second one ends it at once.
.SH EXIT STATUS
0 where all went well, 1 where it failed, 2 for a mistake in usage or configuration. \fBrun \-\- COMMAND\fR ends with the command's own.
.SH EXAMPLES
.TP
pillion run \-\- python my_agents.py
Runs a program with its base URLs pointing at Pillion, and says at its end what failed and why.
.TP
pillion run \-\-upstream http://127.0.0.1:8000/v1
Sends everything to one server.
.TP
pillion demo \-\-admin 127.0.0.1:4101
Simulated agents, to look at with \fBpillion top\fR or a Prometheus.
";

#[test]
fn completions_and_the_manual_are_those_of_the_flags() {
    for (shell, file) in SHELLS {
        holds(&format!("src/cli/completions/{file}"), &script(shell));
    }
    holds(MANUAL, &manual());
}

#[test]
fn the_manual_has_every_verb_and_every_flag() {
    let manual = text(MANUAL).replace('\\', "");
    let command = Cli::command();
    for verb in command.get_subcommands() {
        assert!(manual.contains(&format!("\n.SS {}\n", verb.get_name())), "{}", verb.get_name());
        for flag in verb.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(manual.contains(&format!("--{flag}")), "{flag}");
        }
    }
    assert!(manual.contains(env!("CARGO_PKG_VERSION")) && !manual.contains("```"));
}

#[tokio::test]
async fn the_binary_prints_them() {
    for (shell, file) in SHELLS {
        let ended = verb("completions").arguments([shell.to_string()]).ended().await;
        assert_eq!((ended.code, ended.stdout), (Some(0), text(&format!("src/cli/completions/{file}"))), "{shell}");
    }
    let ended = verb("completions").arguments(["tcsh"]).ended().await;
    assert_eq!((ended.code, ended.stderr.contains("powershell")), (Some(2), true), "{}", ended.stderr);
}

/// What bash offers behind these words.
fn completed(words: &[&str]) -> String {
    let last = words.len() - 1;
    let program = format!(
        "source {}\ncomplete -p pillion >&2 || exit 3\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n_pillion pillion '{}' '{}'\necho \"${{COMPREPLY[@]}}\"",
        path("src/cli/completions/pillion.bash").display(),
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words[last],
        words[last - 1],
    );
    let output = Process::new("bash").args(["--norc", "--noprofile", "-c", &program]).output().expect("bash is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim_end().ends_with("-F _pillion pillion"), "{said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn bash_completes_verbs_flags_and_values() {
    for (words, expected) in [
        (&["pillion", "ru"][..], "run"),
        (&["pillion", "comp"], "completions"),
        (&["pillion", "run", "--up"], "--upstream"),
        (&["pillion", "top", "--on"], "--once"),
        (&["pillion", "demo", "--adm"], "--admin"),
        (&["pillion", "completions", "po"], "powershell"),
    ] {
        assert_eq!(completed(words), expected, "{words:?}");
    }
    let verbs = completed(&["pillion", ""]);
    for verb in Cli::command().get_subcommands() {
        assert!(verbs.split(' ').any(|offered| offered == verb.get_name()), "{} is not offered: {verbs}", verb.get_name());
    }
}
