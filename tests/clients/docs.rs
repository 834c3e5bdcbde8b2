//! The programs of the documentation are run as a reader would run them, in front of a simulated model and behind Pillion, and what the pages
//! say of them (printed, logged, answered by the admin port) is what came of it. Sections stand alone: each begins with a stage of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a page that cannot be tried has failed")]

use std::{ffi::OsString, fmt::Write as _, fs, path::Path};

use regex::{Captures, Regex};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    installed::Client,
    pages::{self, Block, Page},
    stage::{Ended, Server, run, said},
};

mod alike;

use alike::{Selector, is_like, is_part, selected};

/// One test a page.
macro_rules! pages {
    ($($name:ident: $page:literal),+ $(,)?) => {
        const PAGES: &[&str] = &[$($page),+];
        $(
            #[tokio::test]
            async fn $name() {
                Reader::of($page).reads().await;
            }
        )+
    };
}

pages! {
    readme: "README.md",
    a_first_look: "docs/first-look.md",
    autogen: "docs/frameworks/autogen.md",
    autogen_classic_and_ag2: "docs/frameworks/autogen-classic-ag2.md",
    crewai: "docs/frameworks/crewai.md",
    openai_agents: "docs/frameworks/openai-agents.md",
    langgraph: "docs/frameworks/langgraph.md",
    pydantic_ai: "docs/frameworks/pydantic-ai.md",
    openai_js: "docs/frameworks/openai-js.md",
    sdks: "docs/frameworks/sdks.md",
    timeout_error_when_scaling: "docs/troubleshooting/timeout-error-when-scaling.md",
    timeout_error_in_production: "docs/troubleshooting/timeout-error-in-production.md",
    chain_execution_stuck_when_scaling: "docs/troubleshooting/chain-execution-stuck-when-scaling.md",
    intermittent_500_errors: "docs/troubleshooting/intermittent-500-errors.md",
}

#[test]
fn every_page_with_programs_is_run() {
    let is_run = |page: &Page| page.blocks().iter().any(|block| block.mark.starts_with("runs") || block.mark == "parsed");
    let with_programs: Vec<_> = pages::all().into_iter().filter(is_run).map(|page| page.name).collect();
    let mut run = PAGES.to_vec();
    run.sort_unstable();
    assert_eq!(with_programs, run);
}

/// Someone who tries what a page says.
struct Reader {
    page: Page,
    folder: tempfile::TempDir,
    /// The page as it should be, as far as it has been read.
    mended: String,
    wrong: String,
}

/// What stands while a program runs, and what it came to.
struct Stage {
    model: Server,
    pillion: Server,
    ended: Ended,
}

impl Reader {
    fn of(name: &str) -> Self {
        let page = Page::read(name);
        Self { mended: page.text.clone(), page, folder: tempfile::tempdir().unwrap(), wrong: String::new() }
    }

    /// Runs each program with what was said before it in its section, and compares what is said after it.
    async fn reads(mut self) {
        let (mut section, mut stage): (_, Option<Stage>) = (usize::MAX, None);
        let (mut model, mut config) = (String::new(), String::new());
        let mut later: Vec<Block> = Vec::new();
        for block in self.page.blocks() {
            if block.section != section {
                (section, model, config) = (block.section, String::new(), String::new());
            }
            match (block.language.as_str(), block.mark.split_once(' ').unwrap_or((&block.mark, ""))) {
                ("yaml", ("model", _)) => model.clone_from(&block.text),
                ("yaml", ("config", _)) => config.clone_from(&block.text),
                (_, ("runs", how)) => {
                    self.compare(stage.take(), std::mem::take(&mut later)).await;
                    stage = Some(self.run(&block, how, (&model, &config)).await);
                }
                (_, ("printed" | "logged" | "answers" | "finds", _)) => later.push(block),
                ("python", ("parsed", _)) => self.parses(&block).await,
                _ => {}
            }
        }
        self.compare(stage, later).await;
        if !self.wrong.is_empty() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&self.page.name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &self.mended).unwrap();
            panic!("{}\nif that is for the better, keep {} as {}", self.wrong, path.display(), self.page.name);
        }
    }

    /// `how`: `with CLIENT`, and `ends with CODE` where that is not 0.
    async fn run(&self, block: &Block, how: &str, (script, config): (&str, &str)) -> Stage {
        let (client, code) = how.strip_prefix("with ").map_or((how, 0), |how| {
            let (client, code) = how.split_once(", ends with ").unwrap_or((how, "0"));
            (client, code.parse().unwrap())
        });
        let model = self.server(&["simulate", "--listen", "127.0.0.1:0"], ("--script", script), "listening on ").await;
        let carrying = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &model.url];
        let pillion = self.server(&carrying, ("--config", config), "agents connect to ").await;
        let addresses = addresses(&model, &pillion);
        let text = in_place(&block.text, &addresses);
        let client = Client::ALL.into_iter().find(|known| known.folder() == client).unwrap_or_else(|| panic!("{}: {client}?", self.page.at(block)));
        let program = self.folder.path().join("program").with_extension(client.extension());
        fs::write(&program, text).unwrap();
        let keys = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"].map(|name| (name, "sk-of-a-test".to_owned()));
        let home = [("HOME", self.folder.path().to_str().unwrap().to_owned())];
        let variables: Vec<_> = client.variables().into_iter().chain(keys).chain(home).collect();
        let command: [OsString; 2] = [client.interpreter(), program.into()];
        let mut ended = run(&command, &variables).await;
        assert_eq!(ended.code, Some(code), "{}: {}", self.page.at(block), said(&ended));
        for (shown, real) in &addresses {
            ended.stdout = ended.stdout.replace(real, shown);
        }
        Stage { model, pillion, ended }
    }

    /// Of a program that is too large to be run each time, that it is one.
    async fn parses(&self, block: &Block) {
        let program = self.folder.path().join("program.py");
        fs::write(&program, &block.text).unwrap();
        let check = ["-c".into(), "import ast, sys; ast.parse(open(sys.argv[1]).read())".into(), program.into()];
        let command: Vec<OsString> = [Client::Current.interpreter()].into_iter().chain(check).collect();
        let ended = run(&command, &[]).await;
        assert_eq!(ended.code, Some(0), "{}: {}", self.page.at(block), said(&ended));
    }

    async fn server(&self, arguments: &[&str], (flag, text): (&str, &str), announcement: &str) -> Server {
        let path = self.folder.path().join("file.yaml");
        fs::write(&path, text).unwrap();
        let file = if text.is_empty() { [].as_slice() } else { &[flag, path.to_str().unwrap()] };
        Server::start(&[arguments, file].concat(), &[], announcement).await
    }

    async fn compare(&mut self, stage: Option<Stage>, blocks: Vec<Block>) {
        let Some(Stage { model, pillion, ended }) = stage else { return };
        let admin = pillion.metrics.as_deref().unwrap().trim_end_matches("/metrics").to_owned();
        let addresses = addresses(&model, &pillion);
        let mut answers = Vec::new();
        for block in &blocks {
            let path = if block.mark == "finds" { Some("/metrics") } else { block.mark.strip_prefix("answers ") };
            answers.push(if let Some(path) = path { get(&admin, path).await } else { String::new() });
        }
        let log = pillion.stop().await;
        model.stop().await;
        let log = addresses.iter().fold(log, |log, (shown, real)| log.replace(real, shown));
        // Of an exchange, or a warning: not the story of the process itself.
        let log: String = log.lines().filter(|line| !line.contains(" info ")).fold(String::new(), |log, line| log + line + "\n");
        for (block, answer) in blocks.iter().zip(answers) {
            match block.mark.as_str() {
                "printed" => self.hold(block, &ended.stdout, is_like(&block.text, &ended.stdout)),
                "logged" => self.hold(block, &log, is_like(&block.text, &log)),
                "finds" => {
                    let missing = selected(&block.text).into_iter().find(|selector| !selector.is_found(&answer));
                    if let Some(Selector { metric, .. }) = missing {
                        let _ = writeln!(self.wrong, "{}: no series of {metric} fits {}", self.page.at(block), block.text);
                    }
                }
                _ => {
                    let (shown, got) = (serde_json::from_str(&block.text), serde_json::from_str::<Value>(&answer).unwrap());
                    let pretty = serde_json::to_string_pretty(&got).unwrap() + "\n";
                    self.hold(block, &pretty, shown.is_ok_and(|shown: Value| is_part(&shown, &got)));
                }
            }
        }
    }

    fn hold(&mut self, block: &Block, got: &str, holds: bool) {
        if !holds {
            let at = self.page.at(block);
            let _ = write!(self.wrong, "{at} ({}) is not what came of it:\n{got}\n", block.mark);
            let fenced = |text: &str| format!("<!-- {} -->\n```{}\n{text}```\n", block.mark, block.language);
            self.mended = self.mended.replacen(&fenced(&block.text), &fenced(got), 1);
        }
    }
}

/// The addresses of the pages, and those that stand for them.
fn addresses(model: &Server, pillion: &Server) -> [(&'static str, String); 3] {
    let bare = |url: &str| url.trim_start_matches("http://").trim_end_matches("/metrics").to_owned();
    let admin = pillion.metrics.as_deref().unwrap();
    [("127.0.0.1:4100", bare(&pillion.url)), ("127.0.0.1:4101", bare(admin)), ("127.0.0.1:4110", bare(&model.url))]
}

/// The text with the real addresses, each put in once: a real one may begin as one that is shown.
fn in_place(text: &str, addresses: &[(&str, String)]) -> String {
    let any: Vec<String> = addresses.iter().map(|(shown, _)| regex::escape(shown)).collect();
    let real = |found: &Captures<'_>| addresses.iter().find(|(shown, _)| found[0] == **shown).unwrap().1.clone();
    Regex::new(&any.join("|")).unwrap().replace_all(text, real).into_owned()
}

#[test]
fn an_address_is_put_in_once() {
    let addresses = [("127.0.0.1:4100", "127.0.0.1:41101".to_owned()), ("127.0.0.1:4110", "127.0.0.1:41007".to_owned())];
    assert_eq!(in_place("to 127.0.0.1:4100, à 127.0.0.1:4110.", &addresses), "to 127.0.0.1:41101, à 127.0.0.1:41007.");
}

async fn get(url: &str, path: &str) -> String {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply.split_once("\r\n\r\n").unwrap().1.to_owned()
}
