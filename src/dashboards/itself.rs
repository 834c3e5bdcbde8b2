//! *Pillion itself*: what it costs, what it holds, and what it could not do. Nothing here is about agents.

use super::{
    Cell, Dashboard, Panel, Unit, graph, number,
    query::{only, process, quantile, rate, uptime, value},
    row, table,
};
use crate::telemetry::names::metrics::{
    ACCEPT_ERRORS, BUILD_INFO, CONNECTIONS, CONVERSATIONS_ACTIVE, ESTIMATE_ERROR, HELD_BYTES, LABEL_OVERFLOW, LOG_DROPPED, MODIFIED, OVERHEAD,
    PANICS, PROCESS_CPU, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RSS, PROCESS_THREADS, PROCESS_VSIZE, SKIPPED, SPAN_QUEUE, SPANS, TASKS,
};

/// One process: outside of Kubernetes it has no pod.
const EACH: &str = "instance, pod";
const NAMED: &str = "{{pod}} {{instance}}";
/// Spans that nobody will ever see, though they should.
const LOST: &str = "state=~\"dropped|failed\"";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        file: "pillion",
        uid: "pillion-itself",
        title: "Pillion / Pillion itself",
        description: "What Pillion costs, what it holds, and what it could not do.",
        rows: vec![
            row("At a glance", glance()),
            row("Cost of carrying", cost()),
            row("What it holds", holds()),
            row("What it could not do", losses()),
            row("What it knows", knows()),
        ],
    }
}

fn glance() -> Vec<Panel> {
    let builds = [
        (Cell::Label("pod"), "Pod"),
        (Cell::Label("instance"), "Instance"),
        (Cell::Label("version"), "Version"),
        (Cell::Value(0, Unit::Seconds), "Up for"),
    ];
    vec![
        number("Processes", Unit::Count, 4)
            .says(
                "Pillions that were scraped.",
                "Fewer than there are pods: see Prometheus' targets; the admin port may ask for a token (`server.admin_token`).",
            )
            .of(value(BUILD_INFO).sum(""), "processes"),
        number("Overhead now, p99", Unit::Seconds, 4)
            .limits(0.005, 0.05)
            .says(
                "Pillion's own share of an exchange: neither waiting for the upstream nor for the agent.",
                "Beyond 5 ms: is the processor short (*Processor* below)? In Kubernetes: raise or remove the limit of CPU.",
            )
            .of(quantile(0.99, OVERHEAD, ""), "p99"),
        number("Memory, greatest", Unit::Bytes, 4)
            .says(
                "Resident memory of the largest process.",
                "Near the container's limit: see *Bytes held for a replay*, and lower `retries.body_max` or `server.max_connections`.",
            )
            .of(process(PROCESS_RSS).max(""), "resident"),
        number("Spans lost", Unit::Events, 4)
            .limits(0.001, 1.0)
            .says(
                "Spans a second that could not be exported (`failed`), or waited in vain (`dropped`).",
                "Is the collector up, and `telemetry.otlp.endpoint` right? Agents notice nothing of it. Empty: no export is configured.",
            )
            .of(rate(only(SPANS, LOST)).sum(""), "lost"),
        table("Builds", (8, 4), &builds)
            .says(
                "Each process, its version, and for how long it is up.",
                "Two versions for longer than a rollout takes: it is stuck. Short times: it restarts; see its log.",
            )
            .of(uptime("pod, instance, version"), ""),
    ]
}

fn cost() -> Vec<Panel> {
    vec![
        graph("Overhead", Unit::Seconds, 8)
            .limits(0.005, 0.05)
            .says(
                "Pillion's own share of an exchange. Dots are single exchanges with their trace.",
                "p50 is tens of microseconds. p99 up with *Processor* at the limit: throttled. Up with trimmed prompts: counting tokens of long prompts takes milliseconds.",
            )
            .of(quantile(0.99, OVERHEAD, ""), "p99")
            .of(quantile(0.5, OVERHEAD, ""), "p50")
            .of(quantile(0.95, OVERHEAD, ""), "p95"),
        graph("Overhead by kind, p95", Unit::Seconds, 8)
            .says("Of streams (`true`) and of whole replies (`false`).", "Streams alone: very many small events. Whole replies alone: very large bodies.")
            .of(quantile(0.95, OVERHEAD, "stream"), "stream {{stream}}"),
        graph("Processor", Unit::Count, 8)
            .says(
                "Seconds of processor time a second: 1 is one core.",
                "At the container's limit, overhead climbs. One core carries thousands of exchanges a second: look for what asks so much.",
            )
            .of(process(rate(PROCESS_CPU)).max(EACH), NAMED),
        graph("Resident memory", Unit::Bytes, 8)
            .says("What the process has in RAM.", "Climbing for hours with level traffic: report it, with this dashboard's picture. A step with load is normal.")
            .of(process(PROCESS_RSS).max(EACH), NAMED),
        graph("Mapped memory", Unit::Bytes, 8)
            .says("Address space, most of it never touched.", "Of no consequence, unless `ulimit -v` bounds it.")
            .of(process(PROCESS_VSIZE).max(EACH), NAMED),
        graph("File descriptors in use", Unit::Share, 8)
            .limits(0.7, 0.9)
            .says(
                "Open ones as a share of those allowed; each connection takes one.",
                "From 90 % on connections will be refused: raise `LimitNOFILE` (systemd) or `ulimit -n`, or lower `server.max_connections`.",
            )
            .of(process(value(PROCESS_OPEN_FDS).over(PROCESS_MAX_FDS)).max(EACH), NAMED),
    ]
}

fn holds() -> Vec<Panel> {
    vec![
        graph("Threads", Unit::Count, 6)
            .says("Threads of the operating system.", "One for each core, a few for export and log, and up to some more while tokens are counted. Climbing without end: report it.")
            .of(process(PROCESS_THREADS).max(EACH), NAMED),
        graph("Tasks", Unit::Count, 6)
            .says("What runs concurrently: connections, exchanges, timers.", "It follows *Connections*. Climbing while they are level: report it.")
            .of(value(TASKS).max(EACH), NAMED),
        graph("Bytes held for a replay", Unit::Bytes, 6)
            .limits(201_326_592.0, 268_435_456.0)
            .says(
                "Request bodies that are kept while their attempt may have to be repeated.",
                "At 256 MiB further requests are carried without retries. Fewer exchanges at once, or a lower `retries.body_max`.",
            )
            .of(value(HELD_BYTES).max(EACH), NAMED),
        graph("Connections", Unit::Count, 6)
            .says(
                "By side and by whether they carry an exchange.",
                "`downstream` near `server.max_connections` (10,000): new ones wait. Many `idle` ones there: agents that open a client for each call.",
            )
            .of(value(CONNECTIONS).sum("side, state"), "{{side}} {{state}}"),
    ]
}

fn losses() -> Vec<Panel> {
    vec![
        graph("Spans by what became of them", Unit::Events, 8)
            .low()
            .stacked()
            .says(
                "`exported`, `sampled_out` (by `telemetry.sample`), `dropped` (no room in the queue), `failed` (the collector did not take them).",
                "`failed`: collector down or endpoint wrong. `dropped`: collector too slow. Empty: no export is configured (`telemetry.otlp`).",
            )
            .of(rate(SPANS).sum("state"), "{{state}}"),
        graph("Spans that wait", Unit::Count, 8)
            .low()
            .says("The queue of the export.", "Always full: the collector takes spans slower than they come; scale it, or lower `telemetry.sample`.")
            .of(value(SPAN_QUEUE).max(EACH), NAMED),
        graph("Log lines lost", Unit::Events, 8)
            .low()
            .limits(0.001, 1.0)
            .says("Lines that could not be written: whoever reads stderr is too slow, or the disk is full.", "Look at the log's collector; lower `telemetry.log.level`.")
            .of(rate(LOG_DROPPED).sum(EACH), NAMED),
        graph("Not read", Unit::Events, 8)
            .low()
            .says(
                "Requests and replies that were carried but could not be understood, by why: agents, tokens and tools of these are unknown.",
                "`size`, `event_size`: beyond the bound of what is read. `parse`, `encoding`, `decode`: not what its path promises; is it an LLM's endpoint at all?",
            )
            .of(rate(SKIPPED).sum("reason"), "{{reason}}"),
        graph("Names folded into other", Unit::Events, 8)
            .low()
            .limits(0.001, 1.0)
            .says(
                "Values beyond the bound of their label: 50 agents, 100 models, 200 tools, 10,000 series.",
                "`agent`: are names made up anew for each run (ids in them)? Take the id out, or raise `telemetry.max_agents`. `series`: raise `telemetry.max_series`.",
            )
            .of(rate(LABEL_OVERFLOW).sum("label"), "{{label}}"),
        graph("Faults", Unit::Events, 8)
            .low()
            .limits(0.001, 1.0)
            .says(
                "Panics that were contained (one exchange each), and connections that could not be accepted.",
                "A panic is a bug: its line in the log says where; report it. Accept errors: out of file descriptors.",
            )
            .of(rate(PANICS).sum(""), "panics")
            .of(rate(ACCEPT_ERRORS).sum(""), "accept errors"),
    ]
}

fn knows() -> Vec<Panel> {
    vec![
        graph("Error of estimates", Unit::Share, 8)
            .limits(0.1, 0.5)
            .says(
                "How far the estimate of a prompt's tokens was from the provider's count, by model (p95).",
                "It corrects itself within some exchanges. Where it stays high, prompts may be trimmed too early or too late: set `context.target` lower for safety.",
            )
            .of(quantile(0.95, ESTIMATE_ERROR, "model"), "{{model}}"),
        graph("Conversations remembered", Unit::Count, 8)
            .says("What agents, turns and tool runs are told by: 2,048 at most, each forgotten after an hour without a word.", "At its bound the oldest are forgotten, and their tools' durations with them.")
            .of(value(CONVERSATIONS_ACTIVE).max(EACH), NAMED),
        graph("Requests changed", Unit::Events, 8)
            .says(
                "Requests that did not go up byte for byte, by why: `include_usage`, `trim`, `credentials`, `trace`.",
                "Each has its switch: `carry.include_usage`, `context.trim`, the upstream's `api_key`, `telemetry.propagate`.",
            )
            .of(rate(MODIFIED).sum("reason"), "{{reason}}"),
    ]
}
