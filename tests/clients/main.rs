//! Real clients, pinned: the SDKs of OpenAI (Python and JavaScript), Anthropic, Google and Ollama, openai-agents, AutoGen 0.7 and classic,
//! through the real binary and side by side with the same program run directly. What each scenario claims stands in its own file; here is
//! the list of them, and what is run around them.

mod collector;
mod conventions;
mod docs;
mod environment;
mod installed;
#[path = "../integration/support/pages.rs"]
mod pages;
mod spans;
mod stage;

use installed::Client;
use stage::Play;

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
    whole, reply_headers, streamed, framed_oddly, tools, tools_streamed, parsed, named_and_limited, many_at_once, errors_by_status,
    errors_by_status_streamed, errors_of_any_shape, error_event_mid_stream, retries_do_not_multiply,
    stalls_are_answered_before_the_agents_own_limit, a_stall_in_mid_stream_is_raised_with_its_words, a_cut_stream_is_never_a_short_answer,
    a_cut_before_the_first_byte_is_tried_again_or_told, half_a_body_is_no_answer,
}

scenarios! { openai_responses with Current:
    responses, responses_streamed, completed_and_embedded, errors_by_status, error_event_mid_stream,
    stalls_are_answered_before_the_agents_own_limit, a_cut_stream_is_never_a_short_answer,
}

scenarios! { openai_js with Node:
    whole, reply_headers, streamed, framed_oddly, tools, tools_streamed, named_and_limited, many_at_once, responses, responses_streamed,
    completed_and_embedded, errors_by_status, errors_by_status_streamed, errors_of_any_shape, error_event_mid_stream, survives_failures,
    retries_do_not_multiply, aborted, stalls_are_answered_before_the_agents_own_limit,
    a_stall_in_mid_stream_is_told_by_pillions_idle_clock, a_cut_stream_is_never_a_short_answer,
    a_cut_before_the_first_byte_is_tried_again_or_told, half_a_body_is_no_answer,
}

scenarios! { anthropic_sdk with Current:
    whole, streamed, tools, tools_streamed, many_at_once, errors_by_status, error_event_mid_stream,
    stalls_are_answered_before_the_agents_own_limit, a_cut_stream_is_never_a_short_answer,
}

scenarios! { google_genai with Current:
    whole, streamed, framed_oddly, tools, tools_streamed, chat, parsed, named_and_limited, counted_embedded_listed, many_at_once,
    error_event_mid_stream, errors_by_status, errors_by_status_streamed, survives_failures,
    stalls_are_answered_before_the_agents_own_limit, a_cut_stream_is_never_a_short_answer,
}

scenarios! { ollama_client with Current:
    whole, generated, streamed, framed_oddly, tools, parsed, embedded_and_listed, named, many_at_once, error_line_mid_stream,
    errors_by_status, errors_by_status_streamed, survives_failures, a_stall_is_told_by_the_limit_that_it_is_given,
    a_cut_stream_is_never_a_short_answer,
}

scenarios! { openai_agents with Current:
    whole, streamed, tools, tools_streamed, tools_on_its_own, handoff, handoff_streamed, agent_as_tool, conversation, parsed,
    errors_by_status, survives_failures, stalls_are_answered_before_the_agents_own_limit, a_cut_stream_is_never_the_answer,
}

scenarios! { autogen_agents with Current:
    assistant, assistant_streamed, tools, tool_loop, round_robin, round_robin_streamed, streams_are_counted, selector, selector_streamed,
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
    two_agents, two_agents_streamed, tools, group_chat, group_chat_on_its_own, group_chat_streamed, group_chat_with_tools, nested_chat,
    asynchronous, second_of_the_list, errors_by_status, survives_failures, survives_failures_streamed,
    a_stall_is_told_before_its_own_limit, a_cut_stream_is_never_the_answer,
}

scenarios! { long_runs with Current:
    autogen_agent, autogen_agent_streamed, autogen_agent_declines, autogen_team, autogen_selector, autogen_magentic, autogen_agent_learnt,
    autogen_agent_streamed_learnt, autogen_agent_learnt_of_other_servers,
}

scenarios! { long_loops with Current:
    anthropic_tools, anthropic_tools_with_thinking, responses_run, gemini_tools, ollama_tools_learnt, anthropic_tools_learnt,
    responses_run_learnt,
}

#[test]
fn every_scenario_is_played() {
    for (client, file, names) in [
        (Client::Current, "openai_sdk", openai_sdk::NAMES),
        (Client::Current, "openai_responses", openai_responses::NAMES),
        (Client::Node, "openai_js", openai_js::NAMES),
        (Client::Current, "anthropic_sdk", anthropic_sdk::NAMES),
        (Client::Current, "google_genai", google_genai::NAMES),
        (Client::Current, "ollama_client", ollama_client::NAMES),
        (Client::Current, "openai_agents", openai_agents::NAMES),
        (Client::Current, "autogen_agents", autogen_agents::NAMES),
        (Client::AutogenAnthropic, "autogen_anthropic", autogen_anthropic::NAMES),
        (Client::Current, "autogen_rescued", autogen_rescued::NAMES),
        (Client::AutogenClassic, "autogen_classic", autogen_classic::NAMES),
        (Client::Current, "long_runs", long_runs::NAMES),
        (Client::Current, "long_loops", long_loops::NAMES),
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

/// The expectations of `tests/fixtures/captures` are of another reader than Pillion's: nobody may mend them by hand.
#[tokio::test]
async fn what_is_expected_of_the_captures_is_what_an_independent_reader_reads() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/captures/expect.py");
    let checked = stage::run(&[Client::Current.interpreter(), script.into(), "--check".into()], &[]).await;
    assert_eq!(checked.code, Some(0), "{}", stage::said(&checked));
}
