//! `pillion run -- PROGRAM`: programs that know nothing of Pillion find it through the variables that their SDKs read.

use std::ffi::OsString;

use crate::{
    installed::Client,
    stage::{Ended, PILLION, Server, model_with, run, said},
};

const ANSWERS: &str = r"
    - {text: The plan.}
    - {tools: [{name: get_weather, arguments: {city: Paris}, id: call_1}]}
    - {text: Paris is sunny.}
    - {text: A better plan.}
    - {text: Done.}
";

const FAULTS_AND_ANSWERS: &str = r"
    - {status: 500}
    - {text: The plan.}
    - {error_event: {message: Overloaded.}}
    - {tools: [{name: get_weather, arguments: {city: Paris}, id: call_1}]}
    - {status: 429, headers: {retry-after-ms: 20}}
    - {text: Paris is sunny.}
    - {status: 503}
    - {text: A better plan.}
    - {text: Done.}
";

/// A program of this folder.
pub(crate) fn program(client: Client, words: &[&str]) -> Vec<OsString> {
    [client.interpreter()].into_iter().chain(words.iter().map(Into::into)).collect()
}

/// Runs it with Pillion around it, in front of this model.
pub(crate) async fn around(program: Vec<OsString>, model: &Server, variables: &[(&str, String)]) -> Ended {
    let pillion = [PILLION, "run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &model.url, "--"].map(OsString::from);
    let command: Vec<_> = pillion.into_iter().chain(program).collect();
    run(&command, variables).await
}

#[tokio::test]
async fn a_program_that_is_run_by_pillion_survives_what_ends_it_alone() {
    let program = program(Client::Current, &["autogen_program.py"]);
    let alone = async |script| {
        let model = model_with(script).await;
        run(&program, &[("OPENAI_BASE_URL", format!("{}/v1", model.url))]).await
    };
    let good_day = alone(ANSWERS).await;
    assert_eq!(good_day.code, Some(0), "{}", said(&good_day));
    assert!(good_day.stdout.contains("planner: A better plan.") && good_day.stdout.ends_with("writer: Done.\n"), "{}", said(&good_day));
    let bad_day = alone(FAULTS_AND_ANSWERS).await;
    assert_eq!(bad_day.code, Some(3), "{}", said(&bad_day));
    assert!(bad_day.stderr.contains("Error code: 500"), "{}", said(&bad_day));

    let model = model_with(FAULTS_AND_ANSWERS).await;
    let rescued = around(program.clone(), &model, &[]).await;
    assert_eq!((rescued.code, &rescued.stdout), (good_day.code, &good_day.stdout), "{}", said(&rescued));
}

/// Its exit code is the program's, and the reason is in words that its author can act on.
#[tokio::test]
async fn a_program_that_is_run_by_pillion_is_told_why_a_model_never_began() {
    let model = model_with("- {stall: {at: head}, times: -1}").await;
    let program = program(Client::Current, &["autogen_program.py"]);
    let told = around(program, &model, &[("PILLION_TIMEOUTS__TOTAL", "1s".into())]).await;
    assert_eq!(told.code, Some(3), "{}", said(&told));
    for words in [
        "Error code: 504 - Timed out (timeout_total)",
        "within 1s",
        "timeouts.total",
        "pillion: 1 exchange in ",
        "1 timeout\n",
        "failed 1 × timeout_total of gpt-4o-mini",
    ] {
        assert!(told.stderr.contains(words), "{words}: {}", said(&told));
    }
}

/// The program names no address. It is answered by this model, whose first reply is a failure that the SDK is not to see.
async fn finds_pillion(client: Client, words: &[&str]) {
    let model = model_with("- {status: 503}\n- {text: The moon draws them.}").await;
    let answered = around(program(client, words), &model, &client.variables()).await;
    assert_eq!(answered.code, Some(0), "{}", said(&answered));
    assert!(answered.stdout.ends_with("The moon draws them.\n"), "{}", said(&answered));
}

#[tokio::test]
async fn openai_python_finds_pillion() {
    finds_pillion(Client::Current, &["environment_program.py", "openai"]).await;
}

#[tokio::test]
async fn openai_js_finds_pillion() {
    finds_pillion(Client::Node, &["environment_program.cjs"]).await;
}

#[tokio::test]
async fn anthropic_finds_pillion() {
    finds_pillion(Client::Current, &["environment_program.py", "anthropic"]).await;
}

#[tokio::test]
async fn google_genai_finds_pillion() {
    finds_pillion(Client::Current, &["environment_program.py", "google_genai"]).await;
}

#[tokio::test]
async fn ollama_finds_pillion() {
    finds_pillion(Client::Current, &["environment_program.py", "ollama"]).await;
}

#[tokio::test]
async fn openai_agents_finds_pillion() {
    finds_pillion(Client::Current, &["environment_program.py", "openai_agents"]).await;
}

#[tokio::test]
async fn autogen_classic_finds_pillion() {
    finds_pillion(Client::AutogenClassic, &["environment_program.py", "autogen_classic"]).await;
}
