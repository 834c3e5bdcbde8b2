//! *Agents*: all of them side by side, and then those that are chosen, one at a time: what it asks, what it gets, what it waits for, what its tools do.

use super::{
    Cell, Dashboard, Panel, Row, Unit, graph,
    overview::{ERROR, FAILED},
    query::{Expr, Selection, count, observed, only, quantile, quantile_of_range, quantile_where, rate, share, share_of_range},
    row, table,
};
use crate::telemetry::names::metrics::{
    CANCELLED_AFTER, CONVERSATION_TURNS, COST, EXCHANGES, FIRST_CHUNK, OPERATION_DURATION, PROMPT_CHARACTERS, PROMPT_TOKENS, REFUSALS,
    SCHEMA_MISMATCHES, SDK_RETRIES, TIMEOUTS, TOKEN_USAGE, TOKENS, TOOL_CALLS, TOOL_DURATION, TOOL_ERRORS, TRIMMED_MESSAGES, TRIMMED_TOKENS, TRIMS,
    WINDOW_RATIO,
};

/// An agent, by the conventions.
const NAME: &str = "gen_ai_agent_name";

pub(super) fn dashboard() -> Dashboard {
    let mut one: Vec<Panel> = answers();
    one.extend(spending());
    one.extend(prompts());
    one.extend(tools());
    one.extend(waiting());
    Dashboard {
        file: "agents",
        uid: super::AGENTS,
        title: "Pillion / Agents",
        description: "Agents side by side, and each of those chosen above by itself.",
        rows: vec![row("Side by side", vec![compared()]), Row { title: "Agent $agent", repeat: Some("agent"), panels: one }],
    }
}

fn compared() -> Panel {
    let columns = [
        (Cell::Agent("agent"), "Agent"),
        (Cell::Value(0, Unit::Count), "Exchanges"),
        (Cell::Limited(1, 0.01, 0.05), "Failed"),
        (Cell::Value(2, Unit::Seconds), "Latency, p95"),
        (Cell::Value(3, Unit::Seconds), "First token, p95"),
        (Cell::Value(4, Unit::Count), "Tokens"),
        (Cell::Value(5, Unit::Dollars), "Cost"),
        (Cell::Value(6, Unit::Count), "Hang-ups"),
        (Cell::Value(7, Unit::Count), "Tool errors"),
        (Cell::Value(8, Unit::Count), "Trimmed prompts"),
    ];
    table("All agents", (24, 10), &columns)
        .says(
            "Every agent within the time range, whichever are chosen. An empty cell: it never happened, or is not known.",
            "Begin with the agent whose *Failed* is red and click its name. `unknown` are requests whose agent could not be told: name it in the path of its base URL, `/@name/v1`.",
        )
        .of(count(all(EXCHANGES), "agent"), "")
        .of(share_of_range(all(only(EXCHANGES, FAILED)), all(EXCHANGES), "agent"), "")
        .of(quantile_of_range(0.95, all(OPERATION_DURATION), NAME).called(NAME, "agent"), "")
        .of(quantile_of_range(0.95, all(FIRST_CHUNK), NAME).called(NAME, "agent"), "")
        .of(count(all(only(TOKENS, "type=~\"input|output\"")), "agent"), "")
        .of(count(all(COST), "agent"), "")
        .of(count(all(observed(CANCELLED_AFTER)), "agent"), "")
        .of(count(all(TOOL_ERRORS), "agent"), "")
        .of(count(all(TRIMS), "agent"), "")
}

/// Of all agents, so that another one can be chosen.
fn all(of: impl Into<Selection>) -> Selection {
    of.into().whatever("agent")
}

fn answers() -> Vec<Panel> {
    vec![
        graph("Exchanges by outcome", Unit::Requests, 8)
            .stacked()
            .says("How this agent's exchanges ended.", "Anything but green: *Failed by cause* beside it names the reason.")
            .of(rate(EXCHANGES).sum("outcome"), "{{outcome}}"),
        graph("Failed share", Unit::Share, 8)
            .limits(0.01, 0.05)
            .says(
                "The share of this agent's exchanges that ended badly, by model.",
                "One model alone: its name, its key or its quota. All of them: the agent's own limit, or the network.",
            )
            .of(share(only(EXCHANGES, FAILED), EXCHANGES, "model"), "{{model}}"),
        graph("Failed by cause", Unit::Events, 8)
            .stacked()
            .says(
                "A status of the upstream, the clock that fired, what broke the connection, or why Pillion refused.",
                "`401`, `403`, `404`: key or model name. `429`: dashboard *Upstreams*, rate limits. `timeout_…`: *Timeouts by clock* below. `stream_cut`: the upstream broke off.",
            )
            .of(rate(observed(only(OPERATION_DURATION, ERROR))).sum("error_type"), "{{error_type}}"),
        graph("Latency", Unit::Seconds, 8)
            .says(
                "From the request to the last byte, retries included. Dots are single exchanges with their trace.",
                "Follow one of the topmost dots: its span has each hop's share (connecting, first byte, first token, longest gap).",
            )
            .of(quantile(0.95, OPERATION_DURATION, ""), "p95")
            .of(quantile(0.5, OPERATION_DURATION, ""), "p50")
            .of(quantile(0.99, OPERATION_DURATION, ""), "p99"),
        graph("First token", Unit::Seconds, 8)
            .says(
                "From the request to the first content, of streamed exchanges.",
                "Up while *Prompt length* is level: the model is busy or queues. An empty panel: this agent does not stream, and its users see nothing until all is there.",
            )
            .of(quantile(0.95, FIRST_CHUNK, ""), "p95")
            .of(quantile(0.5, FIRST_CHUNK, ""), "p50"),
        graph("Turns of conversations", Unit::Count, 8)
            .says(
                "Which turn of its conversation each exchange was.",
                "Beyond the framework's limit of turns, or climbing for hours: a conversation that does not end. Look for a condition of termination.",
            )
            .of(quantile(0.95, CONVERSATION_TURNS, ""), "p95")
            .of(quantile(0.5, CONVERSATION_TURNS, ""), "p50"),
    ]
}

fn spending() -> Vec<Panel> {
    vec![
        graph("Tokens a second by type", Unit::Count, 8)
            .says(
                "As the provider reports them. `input` includes `cache_read` and `cache_write`, `output` includes `reasoning`.",
                "`cache_read` that falls to nothing: something at the beginning of the prompt changes with each turn (a date, an id), and every turn is paid in full.",
            )
            .of(rate(TOKENS).sum("type"), "{{type}}"),
        graph("Cost an hour", Unit::Dollars, 8)
            .stacked()
            .says(
                "By model, at the pace of the moment, where the price is known.",
                "A step up without more exchanges: longer prompts or a dearer model. Empty: set the model's price in `telemetry.prices`.",
            )
            .of(rate(COST).sum("model").times(3600), "{{model}}"),
        graph("Tokens of an exchange, p95", Unit::Count, 8)
            .says(
                "Nineteen of twenty exchanges used less, by type.",
                "Output that reaches the model's limit of tokens is cut short without an error: raise `max_tokens`, or ask for less.",
            )
            .of(quantile(0.95, TOKEN_USAGE, "gen_ai_token_type"), "{{gen_ai_token_type}}"),
    ]
}

fn prompts() -> Vec<Panel> {
    vec![
        graph("Prompt length against the window", Unit::Share, 8)
            .limits(0.8, 0.95)
            .says(
                "Length of prompts as a share of what the model can read. Beyond 100 % they had to be trimmed, or were refused.",
                "From 80 % on: summarize or forget in the agent, bring less back from tools, or take a model with a larger window. Another window is told in `context.windows`.",
            )
            .of(quantile(0.95, WINDOW_RATIO, "model"), "p95 {{model}}")
            .of(quantile(0.5, WINDOW_RATIO, "model"), "p50 {{model}}"),
        graph("Prompt length", Unit::Count, 8)
            .says(
                "Tokens of prompts: as the provider counted them, else as estimated.",
                "A saw that climbs: normal for conversations. A line that only climbs: nothing is ever forgotten.",
            )
            .of(quantile(0.95, PROMPT_TOKENS, "model"), "p95 {{model}}")
            .of(quantile(0.5, PROMPT_TOKENS, "model"), "p50 {{model}}"),
        graph("Prompt length in characters", Unit::Count, 8)
            .says(
                "The same before any counting of tokens: what the agent wrote.",
                "Up while *Prompt length* is level: the provider counted other than we estimate; see *Error of estimates* on dashboard *Pillion itself*.",
            )
            .of(quantile(0.95, PROMPT_CHARACTERS, ""), "p95")
            .of(quantile(0.5, PROMPT_CHARACTERS, ""), "p50"),
        graph("Trimmed prompts", Unit::Events, 8)
            .low()
            .says(
                "Prompts that would not have fitted and were made to fit, by model.",
                "The agent works on with what was left. Rare is fine; at every turn it forgets what it should not: let the agent summarize.",
            )
            .of(rate(TRIMS).sum("model"), "{{model}}"),
        graph("Left out of prompts", Unit::Count, 8)
            .low()
            .says(
                "Tokens and messages a second that trimming took out.",
                "Many tokens in few messages: old results of tools; return less from them. Many messages: the conversation itself is too long.",
            )
            .of(rate(TRIMMED_TOKENS).sum(""), "tokens")
            .of(rate(TRIMMED_MESSAGES).sum(""), "messages"),
        graph("SDK retries", Unit::Events, 8)
            .low()
            .says(
                "Requests that the agent's own SDK repeats.",
                "Pillion retries what is safe and tells SDKs not to; what still comes multiplies the load. Set `max_retries` to 0 in the agent's client.",
            )
            .of(rate(SDK_RETRIES).sum(""), "retries"),
    ]
}

fn tools() -> Vec<Panel> {
    vec![
        graph("Tool calls", Unit::Events, 8)
            .says("Calls in the model's answers.", "The same tool over and over: the model does not get what it needs from the result. Look at *Tool errors*.")
            .of(rate(TOOL_CALLS).sum("tool"), "{{tool}}"),
        graph("Slowest tools, p95", Unit::Seconds, 8)
            .says(
                "From the end of the answer that called a tool to the request that brought its result: the tool, and the agent's own time around it.",
                "Where this is longer than *Latency*, no model will make the agent faster. Give the tool a timeout, or run calls side by side.",
            )
            .of(quantile(0.95, TOOL_DURATION, "tool").most(10), "{{tool}}"),
        graph("Tool errors", Unit::Events, 8)
            .says(
                "Runs that failed, by the type of the exception or by how: `unknown_tool`, `schema_mismatch`, `no_result`, `error`.",
                "`no_result`: the agent never brought one: it hangs or crashed. `unknown_tool`: the model calls what is not declared. An exception: see the tool's own log.",
            )
            .of(rate(TOOL_ERRORS).sum("tool, error_type"), "{{tool}}: {{error_type}}"),
        graph("Calls whose arguments do not fit", Unit::Events, 8)
            .low()
            .says(
                "Calls whose arguments the tool's own declared schema refuses.",
                "Simplify the schema, name fields as one would say them, give an example in the description, or take a stronger model.",
            )
            .of(rate(SCHEMA_MISMATCHES).sum("tool"), "{{tool}}"),
    ]
}

fn waiting() -> Vec<Panel> {
    vec![
        graph("Timeouts by clock", Unit::Events, 8)
            .low()
            .says(
                "Timeouts of this agent's exchanges, by clock; `agent` is its own limit.",
                "`agent`: raise the limit in its SDK. `first_token`, `idle`, `total`: the upstream was too slow for `timeouts` of the config: which of the two is wrong?",
            )
            .of(rate(TIMEOUTS).sum("clock"), "{{clock}}"),
        graph("Refusals by reason", Unit::Events, 8)
            .low()
            .says(
                "Errors that Pillion gave this agent in the upstream's place, by why.",
                "The agent got the same reason in its error, with what to change.",
            )
            .of(rate(REFUSALS).sum("reason"), "{{reason}}"),
        graph("Hang-ups", Unit::Events, 8)
            .low()
            .says(
                "The agent hung up: before the first byte (`waiting`), or in the middle of the answer (`streaming`).",
                "Compare with the panel beside it: how long it waits, and how long its model needs.",
            )
            .of(rate(observed(CANCELLED_AFTER)).sum("phase"), "{{phase}}"),
        graph("Waited before hanging up, and what the model needs", Unit::Seconds, 16)
            .low()
            .says(
                "How long this agent had waited when it hung up (p50), and how long the models that it asks take for nineteen of twenty answers (p95, all agents).",
                "The first line below the others: the agent's limit is too short for its model. Raise it, stream, or take a faster model.",
            )
            .of(quantile(0.5, CANCELLED_AFTER, ""), "had waited, p50")
            .of(model_needs().0, model_needs().1),
    ]
}

/// What the models that the agent asks need for their answers, whoever asks.
fn model_needs() -> (Expr, &'static str) {
    let answered = only(OPERATION_DURATION, "error_type=\"\"").whatever("agent");
    (quantile_where(0.95, answered, "gen_ai_request_model", observed(OPERATION_DURATION)), "{{gen_ai_request_model}} needs, p95")
}
