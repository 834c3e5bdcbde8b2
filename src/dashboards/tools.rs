//! *Tools*: what agents' tools do between an answer that calls them and the request that brings their results.

use super::{
    Cell, Dashboard, Panel, Unit, graph, number,
    query::{count, observed, quantile, quantile_of_range, rate, share, share_of_range},
    row, table,
};
use crate::telemetry::names::metrics::{SCHEMA_MISMATCHES, TOOL_CALLS, TOOL_DURATION, TOOL_ERRORS};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        file: "tools",
        uid: "pillion-tools",
        title: "Pillion / Tools",
        description: "Tools of the agents, as seen in the traffic: how often they are called, how long they take, how they fail.",
        rows: vec![row("At a glance", glance()), row("Tool by tool", by_tool()), row("Over time", over_time())],
    }
}

fn glance() -> Vec<Panel> {
    vec![
        number("Calls now", Unit::Events, 6)
            .says(
                "Calls of tools in the models' answers.",
                "None, where agents have tools: are they declared in the request, and does the model support them?",
            )
            .of(rate(TOOL_CALLS).sum(""), "calls"),
        number("Failed share of runs now", Unit::Share, 6)
            .limits(0.05, 0.2)
            .says(
                "Runs that ended in an error, of all whose result came back.",
                "Models cope with a failed call now and then. From 20 % on they go in circles: see *Errors by type*.",
            )
            .of(share(TOOL_ERRORS, observed(TOOL_DURATION), ""), "failed"),
        number("Duration now, p95", Unit::Seconds, 6)
            .limits(10.0, 60.0)
            .says(
                "From the end of the answer that called to the request that brought the result.",
                "Longer than the model itself takes: the tool is what people wait for. Find it in the table.",
            )
            .of(quantile(0.95, TOOL_DURATION, ""), "p95"),
        number("Calls with arguments that do not fit, now", Unit::Share, 6)
            .limits(0.01, 0.05)
            .says(
                "The share of calls whose arguments the declared schema refuses.",
                "From 5 % on the schema is too hard for the model: fewer fields, plainer names, an example.",
            )
            .of(share(SCHEMA_MISMATCHES, TOOL_CALLS, ""), "mismatches"),
    ]
}

fn by_tool() -> Vec<Panel> {
    let tools = [
        (Cell::Label("tool"), "Tool"),
        (Cell::Agent("agent"), "Agent"),
        (Cell::Value(0, Unit::Count), "Calls"),
        (Cell::Limited(1, 0.05, 0.2), "Failed"),
        (Cell::Value(2, Unit::Seconds), "p50"),
        (Cell::Value(3, Unit::Seconds), "p95"),
        (Cell::Value(4, Unit::Count), "Bad arguments"),
    ];
    let errors = [
        (Cell::Label("tool"), "Tool"),
        (Cell::Label("error_type"), "Error"),
        (Cell::Agent("agent"), "Agent"),
        (Cell::Value(0, Unit::Count), "Failed"),
    ];
    vec![
        table("Tools", (14, 10), &tools)
            .says(
                "Each tool of each agent within the time range. `other` are names beyond the bound of 200.",
                "Sort by *p95* for what agents wait for, by *Failed* for what does not work, by *Calls* for what is called in a loop.",
            )
            .of(count(TOOL_CALLS, "tool, agent"), "")
            .of(share_of_range(TOOL_ERRORS, observed(TOOL_DURATION), "tool, agent"), "")
            .of(quantile_of_range(0.5, TOOL_DURATION, "tool, agent"), "")
            .of(quantile_of_range(0.95, TOOL_DURATION, "tool, agent"), "")
            .of(count(SCHEMA_MISMATCHES, "tool, agent"), ""),
        table("Errors by type", (10, 10), &errors)
            .says(
                "The type of the exception in the tool's result where there is one, else how it failed.",
                "`no_result`: the tool hangs, or the agent was ended meanwhile. `unknown_tool`: the prompt speaks of a tool that is not declared. An exception: the tool's own log.",
            )
            .of(count(TOOL_ERRORS, "tool, error_type, agent").most(50), ""),
    ]
}

fn over_time() -> Vec<Panel> {
    vec![
        graph("Calls by tool", Unit::Events, 12)
            .says("Calls of each tool in the models' answers.", "A line that leaves the others: a loop, or a model that has forgotten that it already knows. See *Turns of conversations* of its agent.")
            .of(rate(TOOL_CALLS).sum("tool"), "{{tool}}"),
        graph("Calls and results", Unit::Events, 12)
            .says(
                "Calls in answers, and results that agents brought back.",
                "`results` below `calls` for long: tools that hang, or agents that were ended in the middle. See `no_result` in *Errors by type*.",
            )
            .of(rate(TOOL_CALLS).sum(""), "calls")
            .of(rate(observed(TOOL_DURATION)).sum(""), "results"),
        graph("Errors by tool", Unit::Events, 12)
            .says("Runs that failed, by the exception's type or by how.", "Together with a rollout: the tool's new version. Together with all others: the service behind them.")
            .of(rate(TOOL_ERRORS).sum("tool, error_type"), "{{tool}}: {{error_type}}"),
        graph("Duration", Unit::Seconds, 12)
            .says(
                "Of all tools chosen. It includes the agent's own time around the tool.",
                "p50 up as well as p95: tools run one after another where they could run side by side, or the agent's process is blocked.",
            )
            .of(quantile(0.95, TOOL_DURATION, ""), "p95")
            .of(quantile(0.5, TOOL_DURATION, ""), "p50")
            .of(quantile(0.99, TOOL_DURATION, ""), "p99"),
        graph("Duration by tool, p95", Unit::Seconds, 8)
            .says("The ten slowest tools.", "Give the slowest a timeout of its own, so that it fails with words that the model understands.")
            .of(quantile(0.95, TOOL_DURATION, "tool").most(10), "{{tool}}"),
        graph("Calls whose arguments do not fit, by tool", Unit::Events, 8)
            .says(
                "Calls whose arguments the declared schema refuses.",
                "Simplify that tool's schema, or take a stronger model; `strict` mode rules it out where the provider has it.",
            )
            .of(rate(SCHEMA_MISMATCHES).sum("tool"), "{{tool}}"),
        graph("Calls by agent", Unit::Events, 8)
            .leads_to("agent")
            .says("Calls of tools in the answers that each agent got.", "An agent whose line leaves the others: click it, and look at its turns.")
            .of(rate(TOOL_CALLS).sum("agent"), "{{agent}}"),
    ]
}
