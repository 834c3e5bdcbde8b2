//! Promise: a prompt that would not fit its model's window is trimmed, and nothing else of the request changes; what the upstream says of a prompt that does
//! not fit is learnt from and made good once; and whatever was taken away is said.

use pillion::demo::model::{Model, Seen};
use serde_json::{Value, json};

use crate::support::{Agent, Call, Metrics, Proxy, Reply, call, model, proxy, sha256, verb, within};

mod after;
mod refused;

/// A window of 1,000 tokens for the models called so, and back-offs too short to notice.
const SMALL: &str = "context: {windows: {'small*': 1000}}\nretries: {backoff: {initial: 1ms, max: 2ms}}\n";
/// What every text is made of: a token a word, or nearly so.
const WORDS: &str = "the agent reads a page and says what it has found there in few words ";

/// A proxy and the model behind it.
struct Pair {
    model: Model,
    proxy: Proxy,
}

/// A model with this script behind a proxy with this config.
async fn pair(script: &str, config: &str) -> Pair {
    let model = model(script).await;
    let proxy = proxy().to(model.url()).config(config).run();
    Pair { model, proxy }
}

impl Pair {
    async fn ask(&self, call: &Call) -> Reply {
        self.proxy.ask(call).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.model.requests()
    }

    /// The only request that the model has seen.
    fn only(&self) -> Seen {
        let [only] = <[Seen; 1]>::try_from(self.seen()).unwrap();
        only
    }

    /// What the log says, once it says this.
    async fn log_with(&self, what: &str) -> String {
        within(what, async {
            while !self.proxy.log().contains(what) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.proxy.log()
    }
}

/// One message of a conversation, as it is written.
fn message(role: &str, number: usize) -> String {
    format!("{{\"role\":\"{role}\" ,\"content\": \"{number}: {}\"}}", WORDS.repeat(4))
}

/// So many messages, from the user and the assistant by turns, of some 60 tokens each.
fn conversation(messages: usize) -> Vec<String> {
    (0..messages).map(|number| message(if number % 2 == 0 { "user" } else { "assistant" }, number)).collect()
}

/// The body of a chat that nobody would space so twice.
fn body(model: &str, messages: &[String], stream: bool) -> String {
    format!("{{ \"model\":\"{model}\",\t\"stream\" :{stream}, \"messages\" : [ {} ] , \"x\": 1.50}}\n", messages.join(" ,\n"))
}

fn chat(body: impl Into<Vec<u8>>) -> Call {
    call("POST", "/@planner/v1/chat/completions").header("Authorization", "Bearer sk-test").header("Content-Type", "application/json").body(body)
}

/// A chat of so many messages with a model of the small window.
fn long(messages: usize) -> Call {
    chat(body("small", &conversation(messages), false))
}

/// Messages and tokens by the reply's header.
fn trimmed(reply: &Reply) -> (u64, u64) {
    let told = reply.header("x-pillion-trimmed").unwrap_or_else(|| panic!("nothing was trimmed: {} {}", reply.status, reply.text()));
    let (messages, tokens) = told.split_once(' ').unwrap();
    let number = |text: &str, name: &str| text.strip_prefix(name).unwrap().parse().unwrap();
    (number(messages, "messages="), number(tokens, "tokens="))
}

/// What came is what was sent, less some whole messages in the middle; how many those are.
fn assert_less_some(seen: &Seen, messages: &[String], around: (&str, &str)) -> u64 {
    let text = std::str::from_utf8(&seen.body).unwrap();
    let (before, rest) = text.split_at(around.0.len());
    let (list, after) = rest.split_at(rest.len() - around.1.len());
    assert_eq!((before, after), around);
    let kept: Vec<&String> = messages.iter().filter(|message| list.contains(message.as_str())).collect();
    let bare = kept.iter().fold(list.to_owned(), |list, message| list.replacen(message.as_str(), "", 1));
    assert_eq!(bare.chars().filter(|letter| !letter.is_whitespace()).collect::<String>(), ",".repeat(kept.len() - 1), "{list}");
    assert_eq!(seen.json()["messages"].as_array().unwrap().len(), kept.len());
    assert_eq!((kept.first(), kept.last()), (Some(&&messages[0]), Some(&messages.last().unwrap())), "the first and the last stay");
    u64::try_from(messages.len() - kept.len()).unwrap()
}

fn count(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> u64 {
    metrics.count(name, labels)
}

/// Nothing was trimmed, by the books.
fn assert_untouched(metrics: &Metrics) {
    assert_eq!((count(metrics, "pillion_trims_total", &[]), count(metrics, "pillion_passthrough_modified_total", &[("reason", "trim")])), (0, 0));
}

#[tokio::test]
async fn what_would_not_fit_goes_up_with_messages_left_out_and_all_else_as_it_was_sent() {
    let pair = pair("", SMALL).await;
    let messages = conversation(31);
    let whole = body("small", &messages, false);
    let reply = pair.ask(&chat(whole.clone()).header("X-Odd", "1")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = pair.only();
    let list = whole.find("{\"role\"").unwrap()..whole.rfind(" ] ,").unwrap();
    let dropped = assert_less_some(&seen, &messages, (&whole[..list.start], &whole[list.end..]));
    let (told, tokens) = trimmed(&reply);
    assert_eq!(told, dropped);
    assert!(dropped > 10 && tokens > 40 * dropped, "{dropped} {tokens}");
    assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
    assert_eq!((seen.header("x-odd"), seen.header("authorization")), (Some("1"), Some("Bearer sk-test")));
}

#[tokio::test]
async fn what_was_taken_away_is_said_in_metrics_log_and_rows() {
    let pair = pair("", SMALL).await;
    let reply = pair.ask(&long(31)).await;
    let (messages, tokens) = trimmed(&reply);
    let metrics = pair.proxy.settle_as("ok").await;
    let labels = [("agent", "planner"), ("model", "small")];
    assert_eq!(count(&metrics, "pillion_trims_total", &labels), 1);
    assert_eq!(count(&metrics, "pillion_trimmed_messages_total", &labels), messages);
    assert_eq!(count(&metrics, "pillion_trimmed_tokens_total", &labels), tokens);
    assert_eq!(count(&metrics, "pillion_passthrough_modified_total", &[("reason", "trim")]), 1);
    // What was held, as it came and as it went, is given back.
    assert_eq!(count(&metrics, "pillion_held_bytes", &[]), 0);
    pair.log_with(&format!(" trimmed {messages} messages, ")).await;
    let rows = Agent::stranger(pair.proxy.admin()).await.ask(&call("GET", "/api/exchanges")).await.json();
    assert_eq!(rows["exchanges"][0]["trimmed"], json!({"messages": messages, "texts": 0, "tokens": tokens, "strategy": "drop"}));
    assert_eq!(rows["exchanges"][0]["prompt_window"], 1000);
}

#[tokio::test]
async fn what_fits_goes_up_byte_for_byte() {
    let pair = pair("", SMALL).await;
    for messages in [1, 3, 9] {
        let call = long(messages);
        let reply = pair.ask(&call).await;
        assert_eq!((reply.status, reply.header("x-pillion-trimmed")), (200, None));
        assert!(call.bytes().ends_with(&pair.seen().pop().unwrap().body), "{messages}");
    }
    assert_untouched(&pair.proxy.settle_as("ok").await);
}

#[tokio::test]
async fn an_agent_or_the_config_can_decline() {
    let off = "context: {trim: off}";
    let route = format!("{SMALL}routes: [{{path: /v1/*, {off}}}]");
    let agent = format!("{SMALL}agents: [{{name: planner, {off}}}]");
    let file = "context: {trim: off, windows: {'small*': 1000}}".to_owned();
    for (config, header) in [(SMALL.to_owned(), "off"), (SMALL.to_owned(), " OFF"), (file, "on"), (route, ""), (agent, "on")] {
        let pair = pair("", &config).await;
        let call = long(31).header("X-Pillion-Trim", header);
        let reply = pair.ask(&call).await;
        let seen = pair.only();
        assert_eq!((reply.status, reply.header("x-pillion-trimmed")), (200, None), "{config}");
        assert!(call.bytes().ends_with(&seen.body), "{config}");
        assert_eq!(seen.header("x-pillion-trim"), None, "it is for Pillion alone");
        assert_untouched(&pair.proxy.settle_as("ok").await);
    }
}

#[tokio::test]
async fn a_header_that_says_anything_else_declines_nothing() {
    let pair = pair("", SMALL).await;
    let reply = pair.ask(&long(31).header("X-Pillion-Trim", "please")).await;
    assert!(trimmed(&reply).0 > 10);
    assert_eq!(pair.only().header("x-pillion-trim"), None);
}

#[tokio::test]
async fn what_is_sent_again_is_the_trimmed_prompt() {
    let pair = pair("steps: [{status: 500}, {status: 503}]", SMALL).await;
    let reply = pair.ask(&long(31)).await;
    assert_eq!((reply.status, reply.header("x-pillion-attempts")), (200, Some("3")));
    let seen = pair.seen();
    assert!(seen.iter().all(|one| one.sha256 == seen[0].sha256 && one.header("content-length") == seen[0].header("content-length")));
    assert!(seen[0].json()["messages"].as_array().unwrap().len() < 20);
    let metrics = pair.proxy.settle_as("ok").await;
    // Once for the request, however often it was sent.
    assert_eq!((count(&metrics, "pillion_trims_total", &[]), count(&metrics, "pillion_held_bytes", &[])), (1, 0));
}

#[tokio::test]
async fn token_counts_are_asked_for_in_the_trimmed_prompt_too() {
    let pair = pair("", SMALL).await;
    let messages = conversation(31);
    let whole = body("small", &messages, true);
    let reply = pair.ask(&chat(whole.clone())).await;
    let seen = pair.only();
    let option = "{\"stream_options\":{\"include_usage\":true},";
    let list = whole.find("{\"role\"").unwrap()..whole.rfind(" ] ,").unwrap();
    let before = format!("{option}{}", &whole[1..list.start]);
    let dropped = assert_less_some(&seen, &messages, (&before, &whole[list.end..]));
    assert_eq!((reply.status, trimmed(&reply).0), (200, dropped));
    assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
    assert!(!reply.text().contains("\"usage\""), "it is taken out again");
    let metrics = pair.proxy.settle_as("ok").await;
    assert!(count(&metrics, "pillion_tokens_total", &[("type", "input")]) > 0);
    assert_eq!(count(&metrics, "pillion_passthrough_modified_total", &[]), 2);
}

#[tokio::test]
async fn a_conversation_that_the_provider_holds_is_left_alone_and_that_is_said() {
    let pair = pair("", SMALL).await;
    let input: Vec<Value> = (0..31).map(|n| json!({"role": if n % 2 == 0 { "user" } else { "assistant" }, "content": WORDS.repeat(4)})).collect();
    let body = json!({"model": "small", "previous_response_id": "resp_1", "input": input}).to_string();
    let sent = call("POST", "/v1/responses").header("Content-Type", "application/json").body(body.clone());
    let reply = pair.ask(&sent).await;
    assert_eq!(reply.header("x-pillion-trimmed"), None);
    assert_eq!(pair.only().sha256, sha256(&body));
    let metrics = pair.proxy.settle().await;
    assert_untouched(&metrics);
    assert_eq!(count(&metrics, "pillion_observation_skipped_total", &[("reason", "continued")]), 1);
}

#[tokio::test]
async fn what_cannot_be_read_or_held_is_left_alone() {
    let whole = body("small", &conversation(31), false);
    let compressed = chat(whole.clone()).header("Content-Encoding", "zstd");
    let broken = chat(&whole[..whole.len() - 3]);
    let unheld = chat(whole.clone());
    let streamed = format!("{}  body_max: 1KiB\n", SMALL.replace("retries: {backoff: {initial: 1ms, max: 2ms}}", "retries:"));
    for (call, config) in [(compressed, SMALL), (broken, SMALL), (unheld, streamed.as_str())] {
        let pair = pair("steps: [{status: 200, times: 9}]", config).await;
        pair.ask(&call).await;
        assert!(call.bytes().ends_with(&pair.only().body), "{config}");
        assert_untouched(&pair.proxy.settle().await);
    }
}

/// What `check` prints in comments about a window.
async fn checked(config: &str, arguments: &[&str]) -> String {
    let ended = verb("check").arguments(arguments.iter().copied()).config(config).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().rev().skip(1).take_while(|line| line.starts_with("# ")).collect();
    lines.into_iter().rev().map(|line| line.strip_prefix("# ").unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn check_says_what_a_window_is_and_when_prompts_are_trimmed() {
    let told = checked(SMALL, &["--model", "small-1"]).await;
    assert!(told.starts_with("small-1 at openai: a window of 1,000 tokens (context.windows); 250 of them are kept for the answer"), "{told}");
    assert!(told.ends_with("prompts over 750 tokens are trimmed, each time down to about 450"), "{told}");
    let told = checked("", &["--model", "gpt-4o"]).await;
    assert!(told.starts_with("gpt-4o at openai: a window of 128,000 tokens (bundled table of 2026-11)"), "{told}");
    let told = checked("upstreams: {mine: {url: 'http://127.0.0.1:9'}}", &["--model", "of nobody", "--path", "/mine/v1/chat/completions"]).await;
    assert!(told.starts_with("\"of nobody\" at mine: its window is not known"), "{told}");
    let agent = format!("{SMALL}agents: [{{name: planner, context: {{trim: off}}}}]");
    let told = checked(&agent, &["--model", "small-1", "--agent", "planner"]).await;
    assert!(told.ends_with("nothing is trimmed (context.trim is off); errors of the upstream pass"), "{told}");
}
