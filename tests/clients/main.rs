//! Real clients, pinned: the SDKs of OpenAI (Python and JavaScript) and Anthropic, AutoGen 0.7 and classic, through the real binary and side
//! by side with the same program run directly. What each scenario claims stands in its own file; here is the list of them, and what is
//! run around them.

mod installed;
mod stage;

use installed::Client;
use stage::{Play, model_with, run, said};

/// One test a scenario, named as it is.
macro_rules! scenarios {
    ($file:ident with $client:ident: $($name:ident),+ $(,)?) => {
        mod $file {
            pub(super) const NAMES: &[&str] = &[$(stringify!($name)),+];
            $(
                #[tokio::test]
                async fn $name() {
                    crate::stage::Play::of(crate::installed::Client::$client, stringify!($file), stringify!($name)).holds().await;
                }
            )+
        }
    };
}

scenarios! { openai_sdk with Current:
    whole, reply_headers, streamed, framed_oddly, tools, tools_streamed, parsed, named_and_limited, many_at_once,
    errors_by_status, errors_by_status_streamed, errors_of_any_shape, error_event_mid_stream, retries_do_not_multiply,
    stalls_are_answered_before_the_agents_own_limit, a_stall_in_mid_stream_is_raised_with_its_words,
    a_cut_stream_is_never_a_short_answer, a_cut_before_the_first_byte_is_tried_again_or_told, half_a_body_is_no_answer,
}

scenarios! { anthropic_sdk with Current:
    whole, streamed, tools, tools_streamed, many_at_once, errors_by_status, error_event_mid_stream,
    stalls_are_answered_before_the_agents_own_limit, a_cut_stream_is_never_a_short_answer,
}

scenarios! { autogen_agents with Current:
    assistant, assistant_streamed, tools, tool_loop, round_robin, round_robin_streamed, selector, selector_streamed,
    selector_on_its_own, swarm, errors,
}

scenarios! { autogen_anthropic with AutogenAnthropic:
    round_robin, round_robin_streamed, selector, survives_a_bad_quarter_of_an_hour, a_stall_is_told_before_its_own_limit,
}

scenarios! { autogen_rescued with Current:
    survives_failures, survives_failures_streamed, survives_failures_of_a_selector, a_stall_is_told_before_its_own_limit,
    a_stall_is_told_by_pillions_own_clock, a_cut_stream_is_never_the_answer,
}

scenarios! { autogen_classic with AutogenClassic:
    two_agents, two_agents_streamed, tools, group_chat, group_chat_on_its_own, group_chat_streamed, group_chat_with_tools, nested_chat, asynchronous, second_of_the_list, errors_by_status, survives_failures, survives_failures_streamed, a_stall_is_told_before_its_own_limit, a_cut_stream_is_never_the_answer,
}

scenarios! { openai_js with Node:
    whole, reply_headers, streamed, framed_oddly, tools, tools_streamed, named_and_limited, many_at_once, errors_by_status, errors_by_status_streamed, errors_of_any_shape, error_event_mid_stream, survives_failures, retries_do_not_multiply, aborted, stalls_are_answered_before_the_agents_own_limit, a_stall_in_mid_stream_is_told_by_pillions_idle_clock, a_cut_stream_is_never_a_short_answer, a_cut_before_the_first_byte_is_tried_again_or_told, half_a_body_is_no_answer,
}

#[test]
fn every_scenario_is_played() {
    for (client, file, names) in [
        (Client::Current, "openai_sdk", openai_sdk::NAMES),
        (Client::Current, "anthropic_sdk", anthropic_sdk::NAMES),
        (Client::Current, "autogen_agents", autogen_agents::NAMES),
        (Client::AutogenAnthropic, "autogen_anthropic", autogen_anthropic::NAMES),
        (Client::Current, "autogen_rescued", autogen_rescued::NAMES),
        (Client::AutogenClassic, "autogen_classic", autogen_classic::NAMES),
        (Client::Node, "openai_js", openai_js::NAMES),
    ] {
        assert_eq!(client.scenarios_of(file), names, "{file}");
    }
}

/// A comparison that finds nothing to differ must be one that could have: here the two models are not alike.
#[tokio::test]
async fn a_difference_between_the_sides_is_noticed() {
    let play = Play { seeds: [1, 2], ..Play::of(Client::Current, "openai_sdk", "whole") };
    let told = play.fails().await;
    assert!(told.contains("the outcome: the same on both sides") && told.contains("+++ through"), "{told}");
}

/// Nor does a comparison of direct with direct pass for one with Pillion in between.
#[tokio::test]
async fn a_proxy_that_is_not_there_is_noticed() {
    let play = Play { carried: false, ..Play::of(Client::Current, "openai_sdk", "tools") };
    let told = play.fails().await;
    assert!(told.contains("via says whether a proxy was in between"), "{told}");
}

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

/// `pillion run -- python program.py`: a program that knows nothing of Pillion.
#[tokio::test]
async fn a_program_that_is_run_by_pillion_survives_what_ends_it_alone() {
    let program = [Client::Current.interpreter(), "autogen_program.py".into()];
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
    let around = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &model.url, "--"].map(Into::into);
    let command: Vec<_> = [stage::PILLION.into()].into_iter().chain(around).chain(program.clone()).collect();
    let rescued = run(&command, &[]).await;
    assert_eq!((rescued.code, &rescued.stdout), (good_day.code, &good_day.stdout), "{}", said(&rescued));
}

/// Its exit code is the program's, and the reason is in words that its author can act on.
#[tokio::test]
async fn a_program_that_is_run_by_pillion_is_told_why_a_model_never_began() {
    let model = model_with("- {stall: {at: head}, times: -1}").await;
    let around = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &model.url, "--"].map(Into::into);
    let program = [Client::Current.interpreter(), "autogen_program.py".into()];
    let command: Vec<_> = [stage::PILLION.into()].into_iter().chain(around).chain(program).collect();
    let told = run(&command, &[("PILLION_TIMEOUTS__TOTAL", "1s".into())]).await;
    assert_eq!(told.code, Some(3), "{}", said(&told));
    for words in ["Error code: 504 - Timed out (timeout_total)", "within 1s", "timeouts.total", "pillion: 1 exchanges, of which 1 timeout"] {
        assert!(told.stderr.contains(words), "{words}: {}", said(&told));
    }
}
