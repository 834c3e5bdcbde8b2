//! Every metric: its name, help, labels and buckets, in one table.

/// What a metric is, and how its series are bounded.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name, as scraped.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Label names with the origin of their values, in the order in which values are given.
    pub labels: &'static [Label],
    /// Upper bounds of a histogram's buckets; empty for counters and gauges.
    pub buckets: &'static [f64],
}

/// One label.
#[derive(Debug, Clone, Copy)]
pub struct Label(pub &'static str, pub Values);

/// Where a label's values come from: decides what becomes of them when all series are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// A small closed set: kept in any case.
    Closed,
    /// The config: folded last.
    Configured,
    /// Traffic: folded first.
    Named,
    /// `error.type`: `""` stays, the rest folds into `_OTHER`.
    Error,
}

use Values::{Closed, Configured, Error, Named};

const AGENT: Label = Label("agent", Named);
const MODEL: Label = Label("model", Named);
const TOOL: Label = Label("tool", Named);
const UPSTREAM: Label = Label("upstream", Configured);
const REASON: Label = Label("reason", Closed);
const PHASE: Label = Label("phase", Closed);
const STREAM: Label = Label("stream", Closed);
const OPERATION: Label = Label("gen_ai_operation_name", Closed);
const PROVIDER: Label = Label("gen_ai_provider_name", Configured);
const REQUEST_MODEL: Label = Label("gen_ai_request_model", Named);
const AGENT_NAME: Label = Label("gen_ai_agent_name", Named);
const SERVER_ADDRESS: Label = Label("server_address", Configured);
const ERROR_TYPE: Label = Label("error_type", Error);

/// Seconds, by the conventions, with three of ours for replies of minutes.
const LONG: &[f64] = &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36];
/// Seconds, by the conventions.
const CHUNK: &[f64] = &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Tokens, by the conventions; characters of a prompt fit the same powers of four.
const POWERS_OF_FOUR: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];
/// Seconds of our own work, from 10 µs.
const SHORT: &[f64] = &[0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0];
/// Seconds of connecting: from loopback to the clock of 5 s.
const CONNECTING: &[f64] = &[0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Seconds between attempts: from the first back-off's jitter to `retry_after_max`.
const WAITING: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0];

/// Shares of a model's window; beyond 1 it did not fit.
const SHARES: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.25];
/// How far off an estimate was, as a share of what it should have been.
const ERRORS: &[f64] = &[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];
/// Turns of a conversation: to `max_turns` of the frameworks (10 to 50), and to where only a loop gets.
const TURNS: &[f64] = &[1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0, 89.0, 144.0, 377.0, 987.0];

const fn plain(name: &'static str, help: &'static str, labels: &'static [Label]) -> Metric {
    Metric { name, help, labels, buckets: &[] }
}

/// Exchanges by how they ended.
pub const EXCHANGES: Metric = plain(
    "pillion_exchanges_total",
    "Exchanges by how they ended.",
    &[AGENT, UPSTREAM, MODEL, Label("dialect", Closed), STREAM, Label("outcome", Closed)],
);
/// Exchanges not yet ended.
pub const IN_FLIGHT: Metric = plain("pillion_exchanges_in_flight", "Exchanges that have not ended yet.", &[UPSTREAM]);
/// Attempts by their result.
pub const ATTEMPTS: Metric = plain("pillion_attempts_total", "Attempts at an upstream by their result.", &[UPSTREAM, Label("result", Closed)]);
/// Repeated attempts.
pub const RETRIES: Metric = plain("pillion_retries_total", "Attempts that repeated an earlier one, by why.", &[UPSTREAM, REASON]);
/// Waits before them.
pub const RETRY_WAIT: Metric =
    Metric { name: "pillion_retry_wait_seconds", help: "Wait before a repeated attempt.", labels: &[UPSTREAM], buckets: WAITING };
/// Retries not made.
pub const BUDGET_EXHAUSTED: Metric =
    plain("pillion_retry_budget_exhausted_total", "Exchanges that were not retried because the upstream's retry budget was spent.", &[UPSTREAM]);
/// Requests that are repetitions by an SDK.
pub const SDK_RETRIES: Metric = plain("pillion_sdk_retries_total", "Requests that an agent's SDK says are its own retries.", &[AGENT]);
/// Clocks that fired.
pub const TIMEOUTS: Metric = plain("pillion_timeouts_total", "Clocks that fired.", &[AGENT, UPSTREAM, Label("clock", Closed)]);
/// Hang-ups.
pub const CANCELLED_AFTER: Metric = Metric {
    name: "pillion_cancelled_after_seconds",
    help: "How long agents had waited when they hung up, by where the exchange stood.",
    labels: &[AGENT, UPSTREAM, PHASE],
    buckets: LONG,
};
/// Answers of our own.
pub const REFUSALS: Metric = plain("pillion_refusals_total", "Answers that Pillion gave by itself, by why.", &[AGENT, REASON]);
/// Prompt length.
pub const PROMPT_CHARACTERS: Metric = Metric {
    name: "pillion_prompt_characters",
    help: "Length of prompts in Unicode scalar values.",
    labels: &[AGENT, MODEL],
    buckets: POWERS_OF_FOUR,
};
/// Prompt length in tokens.
pub const PROMPT_TOKENS: Metric = Metric {
    name: "pillion_prompt_tokens",
    help: "Length of prompts in tokens: as the provider counted them, else as estimated.",
    labels: &[AGENT, MODEL],
    buckets: POWERS_OF_FOUR,
};
/// How full the window was.
pub const WINDOW_RATIO: Metric = Metric {
    name: "pillion_prompt_window_ratio",
    help: "Length of prompts as a share of the model's window.",
    labels: &[AGENT, MODEL],
    buckets: SHARES,
};
/// How good estimates are.
pub const ESTIMATE_ERROR: Metric = Metric {
    name: "pillion_token_estimate_error_ratio",
    help: "How far the estimate of a prompt's tokens was from the provider's count, either way, as a share of that.",
    labels: &[UPSTREAM, MODEL],
    buckets: ERRORS,
};
/// Prompts that were trimmed.
pub const TRIMS: Metric = plain("pillion_trims_total", "Prompts that would not have fitted their model's window and were trimmed.", &[AGENT, MODEL]);
/// What that took away, in tokens.
pub const TRIMMED_TOKENS: Metric = plain("pillion_trimmed_tokens_total", "Tokens that were taken out of prompts.", &[AGENT, MODEL]);
/// The same in messages.
pub const TRIMMED_MESSAGES: Metric = plain("pillion_trimmed_messages_total", "Messages that were left out of prompts.", &[AGENT, MODEL]);
/// Money.
pub const COST: Metric =
    plain("pillion_cost_usd_total", "Cost in USD, of exchanges whose prices and token counts are known.", &[AGENT, UPSTREAM, MODEL]);
/// Calls of tools.
pub const TOOL_CALLS: Metric = plain("pillion_tool_calls_total", "Calls of tools in answers.", &[AGENT, TOOL]);
/// Runs of tools.
pub const TOOL_DURATION: Metric = Metric {
    name: "pillion_tool_duration_seconds",
    help: "From the end of the answer that called a tool to the request that brought its result.",
    labels: &[AGENT, TOOL],
    buckets: LONG,
};
/// Tools that failed.
pub const TOOL_ERRORS: Metric =
    plain("pillion_tool_errors_total", "Runs of tools that failed, by the type of the exception or by how.", &[AGENT, TOOL, ERROR_TYPE]);
/// Calls that do not fit their tool.
pub const SCHEMA_MISMATCHES: Metric = plain(
    "pillion_tool_schema_mismatches_total",
    "Calls of tools whose arguments the schema refuses that the request itself declared.",
    &[AGENT, TOOL],
);
/// How long conversations get.
pub const CONVERSATION_TURNS: Metric =
    Metric { name: "pillion_conversation_turns", help: "Which turn of its conversation each exchange was.", labels: &[AGENT], buckets: TURNS };
/// How many are remembered.
pub const CONVERSATIONS_ACTIVE: Metric = plain("pillion_conversations_active", "Conversations that are remembered.", &[]);
/// What a provider's limit has left.
pub const RATE_LIMIT_REMAINING: Metric =
    plain("pillion_rate_limit_remaining", "What is left of the provider's limit, as its last reply said.", &[UPSTREAM, MODEL, Label("kind", Closed)]);
/// When it is refilled.
pub const RATE_LIMIT_RESET: Metric = plain(
    "pillion_rate_limit_reset_seconds",
    "Time until the provider's limit is refilled, as its last reply said.",
    &[UPSTREAM, MODEL, Label("kind", Closed)],
);
/// Tokens.
pub const TOKENS: Metric = plain("pillion_tokens_total", "Tokens as reported by the provider.", &[AGENT, UPSTREAM, MODEL, Label("type", Closed)]);
/// Answers without usage.
pub const USAGE_MISSING: Metric = plain("pillion_usage_missing_total", "Good answers that did not report their usage.", &[UPSTREAM, MODEL]);
/// New connections.
pub const CONNECT: Metric = Metric {
    name: "pillion_connect_seconds",
    help: "Time to make a connection to an upstream, by phase.",
    labels: &[UPSTREAM, PHASE],
    buckets: CONNECTING,
};
/// Open connections.
pub const CONNECTIONS: Metric =
    plain("pillion_connections", "Open connections, by side and by what they do.", &[Label("side", Closed), Label("state", Closed)]);
/// Our own share of the time.
pub const OVERHEAD: Metric = Metric {
    name: "pillion_overhead_seconds",
    help: "Pillion's own share of an exchange: neither waiting for the upstream nor for the agent.",
    labels: &[STREAM],
    buckets: SHORT,
};
/// Requests that were changed.
pub const MODIFIED: Metric = plain("pillion_passthrough_modified_total", "Requests that were changed on their way, by why.", &[REASON]);
/// Bodies not read.
pub const SKIPPED: Metric =
    plain("pillion_observation_skipped_total", "Requests and replies that could not be read, by why. They were carried all the same.", &[REASON]);
/// Names beyond their bound.
pub const LABEL_OVERFLOW: Metric =
    plain("pillion_label_overflow_total", "Values that were folded into `other` because their label's bound was reached.", &[Label("label", Closed)]);
/// Spans by their end.
pub const SPANS: Metric = plain("pillion_spans_total", "Spans by what became of them.", &[Label("state", Closed)]);
/// Spans that wait.
pub const SPAN_QUEUE: Metric = plain("pillion_span_queue", "Spans that wait for their export.", &[]);
/// Log lines lost.
pub const LOG_DROPPED: Metric = plain("pillion_log_lines_dropped_total", "Log lines that could not be written.", &[]);
/// Panics.
pub const PANICS: Metric = plain("pillion_panics_total", "Faults of Pillion that were contained.", &[]);
/// Failed accepts.
pub const ACCEPT_ERRORS: Metric = plain("pillion_accept_errors_total", "Connections that could not be accepted.", &[]);
/// Replay memory.
pub const HELD_BYTES: Metric = plain("pillion_held_bytes", "Bytes of request bodies held for a replay.", &[]);
/// Tasks.
pub const TASKS: Metric = plain("pillion_tasks", "Tasks that run.", &[]);
/// The build.
pub const BUILD_INFO: Metric = plain("pillion_build_info", "Always 1; the labels say which build this is.", &[Label("version", Closed)]);

/// Duration of an operation.
pub const OPERATION_DURATION: Metric = Metric {
    name: "gen_ai_client_operation_duration_seconds",
    help: "Duration of exchanges, all attempts and waits included.",
    labels: &[OPERATION, PROVIDER, REQUEST_MODEL, AGENT_NAME, SERVER_ADDRESS, ERROR_TYPE],
    buckets: LONG,
};
/// Time to the first content of a stream.
pub const FIRST_CHUNK: Metric = Metric {
    name: "gen_ai_client_operation_time_to_first_chunk_seconds",
    help: "Time from the request to the first content of its stream.",
    labels: &[OPERATION, PROVIDER, REQUEST_MODEL, AGENT_NAME, SERVER_ADDRESS, ERROR_TYPE],
    buckets: CHUNK,
};
/// Time between contents of a stream.
pub const PER_CHUNK: Metric = Metric {
    name: "gen_ai_client_operation_time_per_output_chunk_seconds",
    help: "Time between the chunks of a stream: each exchange's mean, once for each of its chunks after the first.",
    labels: &[OPERATION, PROVIDER, REQUEST_MODEL, SERVER_ADDRESS, ERROR_TYPE],
    buckets: CHUNK,
};
/// Tokens of an operation.
pub const TOKEN_USAGE: Metric = Metric {
    name: "gen_ai_client_token_usage",
    help: "Tokens of one exchange, as reported by the provider.",
    labels: &[OPERATION, PROVIDER, REQUEST_MODEL, AGENT_NAME, SERVER_ADDRESS, ERROR_TYPE, Label("gen_ai_token_type", Closed)],
    buckets: POWERS_OF_FOUR,
};

/// CPU time.
pub const PROCESS_CPU: Metric = plain("process_cpu_seconds_total", "User and system CPU time spent.", &[]);
/// Open descriptors.
pub const PROCESS_OPEN_FDS: Metric = plain("process_open_fds", "Open file descriptors.", &[]);
/// Their limit.
pub const PROCESS_MAX_FDS: Metric = plain("process_max_fds", "Most file descriptors that may be open.", &[]);
/// Memory in RAM.
pub const PROCESS_RSS: Metric = plain("process_resident_memory_bytes", "Resident memory size.", &[]);
/// Memory mapped.
pub const PROCESS_VSIZE: Metric = plain("process_virtual_memory_bytes", "Virtual memory size.", &[]);
/// Threads.
pub const PROCESS_THREADS: Metric = plain("process_threads", "Operating system threads.", &[]);
/// Start.
pub const PROCESS_START: Metric = plain("process_start_time_seconds", "When the process started, in seconds since the epoch.", &[]);

/// All of them.
pub const ALL: &[Metric] = &[
    EXCHANGES,
    IN_FLIGHT,
    ATTEMPTS,
    RETRIES,
    RETRY_WAIT,
    BUDGET_EXHAUSTED,
    SDK_RETRIES,
    TIMEOUTS,
    CANCELLED_AFTER,
    REFUSALS,
    PROMPT_CHARACTERS,
    PROMPT_TOKENS,
    WINDOW_RATIO,
    ESTIMATE_ERROR,
    TRIMS,
    TRIMMED_TOKENS,
    TRIMMED_MESSAGES,
    COST,
    TOOL_CALLS,
    TOOL_DURATION,
    TOOL_ERRORS,
    SCHEMA_MISMATCHES,
    CONVERSATION_TURNS,
    CONVERSATIONS_ACTIVE,
    RATE_LIMIT_REMAINING,
    RATE_LIMIT_RESET,
    TOKENS,
    USAGE_MISSING,
    CONNECT,
    CONNECTIONS,
    OVERHEAD,
    MODIFIED,
    SKIPPED,
    LABEL_OVERFLOW,
    SPANS,
    SPAN_QUEUE,
    LOG_DROPPED,
    PANICS,
    ACCEPT_ERRORS,
    HELD_BYTES,
    TASKS,
    BUILD_INFO,
    OPERATION_DURATION,
    FIRST_CHUNK,
    PER_CHUNK,
    TOKEN_USAGE,
    PROCESS_CPU,
    PROCESS_OPEN_FDS,
    PROCESS_MAX_FDS,
    PROCESS_RSS,
    PROCESS_VSIZE,
    PROCESS_THREADS,
    PROCESS_START,
];

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn all_metrics_of_this_table_are_in_the_list_of_all() {
        let source = include_str!("metrics.rs");
        let written = source.lines().filter(|line| line.starts_with("pub const ") && line.contains(": Metric ="));
        assert_eq!(written.count(), ALL.len());
        let mut names: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
