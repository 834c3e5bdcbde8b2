//! *Overview*: is all well, and if not, which agent fails and of what. Read from the top; what fails leads to the agent's own dashboard.

use super::{
    Cell, Dashboard, Kind, Panel, Unit, graph, number, panel,
    query::{count, observed, only, quantile, quantile_of_range, rate, share, share_of_range, value},
    row, table,
};
use crate::telemetry::names::metrics::{
    CANCELLED_AFTER, COST, EXCHANGES, FIRST_CHUNK, IN_FLIGHT, OPERATION_DURATION, PROMPT_TOKENS, REFUSALS, TIMEOUTS, TOKENS,
};

/// Exchanges that failed; a hang-up is the agent's own choice.
pub(super) const FAILED: &str = "outcome!~\"ok|cancelled\"";
/// Exchanges that failed, by the conventions.
pub(super) const ERROR: &str = "error_type!=\"\"";
/// Tokens as they are billed: what is cached is part of the input, what is thought part of the output.
const BILLED: &str = "type=~\"input|output\"";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        file: "overview",
        uid: "pillion-overview",
        title: "Pillion / Overview",
        description: "Is all well with the agents and their models, and if not: who fails, and why.",
        rows: vec![
            row("At a glance", glance()),
            row("Golden signals", signals()),
            row("Load and cost", load()),
            row("Who fails, and why", causes()),
            row("Reading this", vec![reading()]),
        ],
    }
}

fn glance() -> Vec<Panel> {
    vec![
        number("Exchanges now", Unit::Requests, 4)
            .says(
                "Requests of agents that came to an end, each counted once however often it was tried.",
                "None at all where agents should be at work: is their base URL Pillion's, and is every process up (dashboard *Pillion itself*)?",
            )
            .of(rate(EXCHANGES).sum(""), "exchanges"),
        number("Failed share now", Unit::Share, 4)
            .limits(0.01, 0.05)
            .says(
                "The share of exchanges that ended badly. An agent's own hang-up is not counted as one.",
                "From 1 % on look at *Failing agents by name and cause* below; from 5 % on users notice.",
            )
            .of(share(only(EXCHANGES, FAILED), EXCHANGES, ""), "failed"),
        number("Latency now, p95", Unit::Seconds, 4)
            .limits(30.0, 60.0)
            .says(
                "Nineteen of twenty exchanges took less, all attempts and waits included.",
                "Beyond 60 s load balancers and SDKs with short limits give up. Compare *Latency* and *First token*: is the start slow, or the whole?",
            )
            .of(quantile(0.95, OPERATION_DURATION, ""), "p95"),
        number("First token now, p95", Unit::Seconds, 4)
            .limits(5.0, 15.0)
            .says(
                "Nineteen of twenty streams began sooner.",
                "People take 5 s for slow and 15 s for broken. See dashboard *Upstreams* for the model it is, and whether its limit is used up.",
            )
            .of(quantile(0.95, FIRST_CHUNK, ""), "p95"),
        number("Cost an hour, now", Unit::Dollars, 4)
            .says(
                "What is spent in an hour at the present pace, as far as prices and token counts are known.",
                "See *Cost an hour by agent*; prices of other models are told in `telemetry.prices`.",
            )
            .of(rate(COST).sum("").times(3600), "cost"),
        number("In flight now", Unit::Count, 4)
            .says(
                "Exchanges that have begun and not ended.",
                "Rising while *Exchanges now* stays level: something waits. See *In flight by upstream*, then the clocks of that upstream.",
            )
            .of(value(IN_FLIGHT).sum(""), "in flight"),
    ]
}

fn signals() -> Vec<Panel> {
    vec![
        graph("Exchanges by outcome", Unit::Requests, 12)
            .stacked()
            .says(
                "How exchanges ended: `ok`; the upstream's word (`client_error`, `rate_limited`, `upstream_error`, `cut`); a clock (`timeout`); the agent \
                 hung up (`cancelled`); Pillion said no (`refused`).",
                "Anything but green and blue: find the agent and the cause in the tables below.",
            )
            .of(rate(EXCHANGES).sum("outcome"), "{{outcome}}"),
        graph("Failed share by agent", Unit::Share, 12)
            .limits(0.01, 0.05)
            .leads_to("agent")
            .says(
                "The share of each agent's exchanges that ended badly.",
                "One line up: that agent's prompts, model or limits; click it. All lines up: the upstream or the network; go to dashboard *Upstreams*.",
            )
            .of(share(only(EXCHANGES, FAILED), EXCHANGES, "agent"), "{{agent}}"),
        graph("Latency", Unit::Seconds, 12)
            .says(
                "Duration of exchanges from the request's head to the last byte. Dots are single exchanges: a click leads to their trace.",
                "Only p99 up: single long answers or retries. All up: the model is slower, or prompts are longer (*Prompt length*).",
            )
            .of(quantile(0.95, OPERATION_DURATION, ""), "p95")
            .of(quantile(0.5, OPERATION_DURATION, ""), "p50")
            .of(quantile(0.99, OPERATION_DURATION, ""), "p99"),
        graph("First token", Unit::Seconds, 12)
            .says(
                "From the request to the first content of its stream. Dots are single exchanges: a click leads to their trace.",
                "Up with *Prompt length*: prompts grow. Up by itself: the model is busy; see rate limits on dashboard *Upstreams*, and `timeouts.first_token`.",
            )
            .of(quantile(0.95, FIRST_CHUNK, ""), "p95")
            .of(quantile(0.5, FIRST_CHUNK, ""), "p50"),
    ]
}

fn load() -> Vec<Panel> {
    vec![
        graph("Tokens a second", Unit::Count, 8)
            .says(
                "Tokens as providers report them; input includes what was cached, output what was thought.",
                "Input that climbs while exchanges do not: conversations that only grow. See the window's share on dashboard *Agents*.",
            )
            .of(rate(only(TOKENS, BILLED)).sum("type"), "{{type}}"),
        graph("Cost an hour by agent", Unit::Dollars, 8)
            .stacked()
            .leads_to("agent")
            .says(
                "Who spends how much, at the pace of the moment.",
                "Click the agent: more exchanges, longer prompts, or another model? A loop shows as turns that climb.",
            )
            .of(rate(COST).sum("agent").times(3600), "{{agent}}"),
        graph("Prompt length", Unit::Count, 8)
            .says(
                "Tokens of prompts: as the provider counted them, else as estimated.",
                "Climbing without end: conversations that nobody shortens. They get slower and dearer before they fail; see *Prompt length against the window* on dashboard *Agents*.",
            )
            .of(quantile(0.95, PROMPT_TOKENS, ""), "p95")
            .of(quantile(0.5, PROMPT_TOKENS, ""), "p50"),
        graph("In flight by upstream", Unit::Count, 12)
            .says("Exchanges that have begun and not ended.", "A line that climbs and does not fall: that upstream has stopped answering. Its clocks will say so in time.")
            .of(value(IN_FLIGHT).sum("upstream"), "{{upstream}}"),
        graph("Hang-ups by agent", Unit::Events, 12)
            .leads_to("agent")
            .says(
                "Agents that hung up before their answer was whole.",
                "Click the agent and compare how long it had waited with what its model needs: its own limit is too short, or the model too slow.",
            )
            .of(rate(observed(CANCELLED_AFTER)).sum("agent"), "{{agent}}"),
    ]
}

fn causes() -> Vec<Panel> {
    let agent = "gen_ai_agent_name";
    let failing = [
        (Cell::Agent(agent), "Agent"),
        (Cell::Label("error_type"), "Cause"),
        (Cell::Label("gen_ai_request_model"), "Model"),
        (Cell::Label("server_address"), "Server"),
        (Cell::Value(0, Unit::Count), "Failed"),
    ];
    let models = [
        (Cell::Label("model"), "Model"),
        (Cell::Label("upstream"), "Upstream"),
        (Cell::Limited(0, 0.01, 0.05), "Failed"),
        (Cell::Value(1, Unit::Count), "Exchanges"),
    ];
    vec![
        table("Failing agents by name and cause", (14, 9), &failing)
            .says(
                "Every way in which exchanges failed within the time range: a status of the upstream (`429`, `500`), a clock (`timeout_first_token`), the \
                 connection (`connection_refused`, `stream_cut`), or a refusal of Pillion's (`context_too_large`).",
                "Begin with the topmost line. The name leads to the agent's dashboard; the cause is also in the error that the agent got, with what to change. What is \
                 not asked of a model (lists, files) is counted in *Exchanges by outcome* alone.",
            )
            .of(count(observed(only(OPERATION_DURATION, ERROR)), "gen_ai_agent_name, error_type, gen_ai_request_model, server_address").most(50), ""),
        table("Failing models", (10, 9), &models)
            .says(
                "Models by the share of their exchanges that failed within the time range.",
                "One model of several at the same upstream: its quota or its name. All of an upstream: the upstream itself; see its dashboard.",
            )
            .of(share_of_range(only(EXCHANGES, FAILED), EXCHANGES, "model, upstream"), "")
            .of(count(EXCHANGES, "model, upstream"), ""),
        clocks(),
        refusals(),
        hang_ups(),
    ]
}

fn clocks() -> Panel {
    let columns = [
        (Cell::Agent("agent"), "Agent"),
        (Cell::Label("clock"), "Clock"),
        (Cell::Label("upstream"), "Upstream"),
        (Cell::Value(0, Unit::Count), "Fired"),
    ];
    table("Timeouts by clock", (8, 8), &columns)
        .says(
            "Timeouts within the time range, by the clock: `connect`, `first_byte`, `first_token`, `idle` and `total` wait for the upstream, `upload` and \
             `reader` for the agent; `agent` is the agent's own limit.",
            "`agent`: raise the limit in the agent's SDK, or take a faster model. `first_token`, `total`: is the model busy, or the clock too short? The keys are in \
             `timeouts` of the config.",
        )
        .of(count(TIMEOUTS, "agent, clock, upstream").most(50), "")
}

fn refusals() -> Panel {
    let columns = [(Cell::Agent("agent"), "Agent"), (Cell::Label("reason"), "Reason"), (Cell::Value(0, Unit::Count), "Answers")];
    table("Refusals by reason", (8, 8), &columns)
        .says(
            "Errors that Pillion gave in an upstream's place within the time range, by why: a clock, a connection that failed, or a request that can go nowhere.",
            "`no_route`: the base URL's path is wrong. `context_too_large`: no trimming can make the prompt fit. `overloaded`: Pillion is at a bound; see *Pillion itself*.",
        )
        .of(count(REFUSALS, "agent, reason").most(50), "")
}

fn hang_ups() -> Panel {
    let columns = [
        (Cell::Agent("agent"), "Agent"),
        (Cell::Label("phase"), "Stood at"),
        (Cell::Value(0, Unit::Count), "Hang-ups"),
        (Cell::Value(1, Unit::Seconds), "Waited, p50"),
    ];
    table("Hang-ups", (8, 8), &columns)
        .says(
            "Agents that gave up within the time range: while they waited for the first byte (`waiting`), or in the middle of the answer (`streaming`).",
            "Always after the same time: that is a limit in the agent's code or its framework's. Find it, and compare it with the model's latency.",
        )
        .of(count(observed(CANCELLED_AFTER), "agent, phase").most(50), "")
        .of(quantile_of_range(0.5, CANCELLED_AFTER, "agent, phase"), "")
}

fn reading() -> Panel {
    panel(Kind::Text, "How to read these dashboards", Unit::Count, (24, 6)).says(
        "* Every panel says what it shows and what to do when it looks bad: point at the **i** beside its title.\n\
         * A click on an agent's name, or on its line, leads to that agent's dashboard, for the same time.\n\
         * The dots in graphs of latency are **exemplars**: single exchanges with their trace. Grafana knows where traces are kept only from the data \
         source's settings: *Connections → Data sources → your Prometheus → Exemplars*, internal link to your trace store, label name `trace_id`. \
         Prometheus keeps exemplars with `--enable-feature=exemplar-storage`.\n\
         * *Failed* counts `client_error`, `rate_limited`, `upstream_error`, `timeout`, `cut` and `refused`; a hang-up (`cancelled`) is the agent's own choice and stands apart.\n\
         * Tables count what happened within the time range, down to a single event; graphs of something that happened once may show 0.",
        "How these dashboards are meant to be read, and what exemplars need.",
    )
}
