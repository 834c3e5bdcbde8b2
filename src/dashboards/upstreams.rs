//! *Upstreams*: what the other side does: attempts and their results, retries and what they cost, limits, connections, how its models answer.

use super::{
    Cell, Dashboard, Panel, Unit, graph,
    overview::FAILED,
    query::{Expr, count, only, quantile, rate, share, share_of_range, value},
    row, table,
};
use crate::telemetry::names::metrics::{
    ATTEMPTS, BUDGET_EXHAUSTED, CONNECT, CONNECTIONS, EXCHANGES, FIRST_CHUNK, IN_FLIGHT, OPERATION_DURATION, PER_CHUNK, RATE_LIMIT_REMAINING,
    RATE_LIMIT_RESET, RETRIES, RETRY_WAIT, TIMEOUTS, USAGE_MISSING,
};

/// Attempts that the upstream, or the way to it, is to blame for.
const BAD: &str = "result!~\"2xx|cancelled\"";

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        file: "upstreams",
        uid: "pillion-upstreams",
        title: "Pillion / Upstreams",
        description: "Attempts at the upstreams, retries and their budget, rate limits, connections, and how each model answers.",
        rows: vec![
            row("Attempts and retries", attempts()),
            row("Rate limits", limits()),
            row("Connections", connections()),
            row("How models answer", models()),
        ],
    }
}

fn attempts() -> Vec<Panel> {
    let columns = [
        (Cell::Label("upstream"), "Upstream"),
        (Cell::Limited(0, 0.01, 0.05), "Failed attempts"),
        (Cell::Value(1, Unit::Count), "Attempts"),
        (Cell::Value(2, Unit::Count), "Retries"),
        (Cell::Value(3, Unit::Count), "Budget exhausted"),
    ];
    vec![
        table("All upstreams chosen", (24, 6), &columns)
            .says(
                "Every upstream within the time range. Attempts can fail where exchanges do not: that is what retries are for.",
                "*Failed attempts* well above the failed share of exchanges: the upstream is ill and retries hide it, at the price of latency.",
            )
            .of(share_of_range(only(ATTEMPTS, BAD), ATTEMPTS, "upstream"), "")
            .of(count(ATTEMPTS, "upstream"), "")
            .of(count(RETRIES, "upstream"), "")
            .of(count(BUDGET_EXHAUSTED, "upstream"), ""),
        graph("Attempts by result", Unit::Requests, 12)
            .stacked()
            .says(
                "Each try at an upstream: a status, or `connect` (no connection), `reset` (it ended), `timeout` (a clock fired), `stream_error` (an error \
                 event before the first token), `cancelled` (the agent hung up).",
                "`5xx`, `reset`: the upstream's trouble. `connect`: DNS, firewall or a proxy on the way; see *Connect phases, p95*. `4xx`: the request itself; retries do not help.",
            )
            .of(rate(ATTEMPTS).sum("upstream, result"), "{{upstream}} {{result}}"),
        graph("Failed share of attempts", Unit::Share, 12)
            .limits(0.01, 0.05)
            .says("By upstream, before any retry.", "Beyond 5 % for long: tell the provider, or route its models elsewhere (`routes`).")
            .of(share(only(ATTEMPTS, BAD), ATTEMPTS, "upstream"), "{{upstream}}"),
        graph("Retries by reason", Unit::Events, 8)
            .says(
                "Attempts that repeat an earlier one, by what that ended with.",
                "`429`: too fast for the quota: fewer agents at once, or a higher limit. `500`, `503`, `529`: the provider is overloaded. `stale_connection`: it was closed while idle; harmless.",
            )
            .of(rate(RETRIES).sum("upstream, reason"), "{{upstream}} {{reason}}"),
        graph("Retry waits", Unit::Seconds, 8)
            .limits(8.0, 30.0)
            .says(
                "As the upstream asked for (`retry-after`), else by back-off with jitter.",
                "At 30 s it is what `retries.retry_after_max` allows: what asks for more is passed on to the agent unretried.",
            )
            .of(quantile(0.95, RETRY_WAIT, "upstream"), "{{upstream}} p95")
            .of(quantile(0.5, RETRY_WAIT, "upstream"), "{{upstream}} p50"),
        graph("Retry budget exhausted", Unit::Events, 8)
            .says(
                "Exchanges that were not retried because the upstream's budget was spent: their errors reached the agents.",
                "The upstream is down, not flaky. More budget (`retries.budget`) would only add to its load; route elsewhere until it is back.",
            )
            .of(rate(BUDGET_EXHAUSTED).sum("upstream"), "{{upstream}}"),
    ]
}

fn limits() -> Vec<Panel> {
    vec![
        graph("429s", Unit::Requests, 12)
            .says(
                "Attempts that the upstream refused because of a limit.",
                "Look which of the limits beside it is at zero: `requests` asks for fewer and larger calls, `tokens` for shorter prompts; or ask for a higher tier.",
            )
            .of(rate(only(ATTEMPTS, "result=\"429\"")).sum("upstream"), "{{upstream}}"),
        graph("Until the limit is refilled", Unit::Seconds, 12)
            .limits(30.0, 60.0)
            .says(
                "As the upstream's last reply said, the longest of all models and pods.",
                "Longer than `retries.retry_after_max` (30 s): a 429 is passed on to the agent instead of being waited out.",
            )
            .of(value(RATE_LIMIT_RESET).max("upstream, kind"), "{{upstream}} {{kind}}"),
        graph("Requests left of the limit", Unit::Count, 12)
            .says(
                "As the upstream's last reply said, the least of all pods: each sees only its own replies.",
                "A line that touches 0 is a 429 to come: fewer and larger calls, or a higher tier. A saw that comes back in time is a limit well used.",
            )
            .of(left("kind=\"requests\""), "{{upstream}} {{model}}"),
        graph("Tokens left of the limit", Unit::Count, 12)
            .says(
                "As the upstream's last reply said, the least of all pods: each sees only its own replies.",
                "A line that touches 0 is a 429 to come: shorter prompts, a lower `max_tokens` (providers count it in advance), or a higher tier.",
            )
            .of(left("kind=\"tokens\""), "{{upstream}} {{model}}"),
    ]
}

fn left(kind: &'static str) -> Expr {
    value(only(RATE_LIMIT_REMAINING, kind)).min("upstream, model")
}

fn connections() -> Vec<Panel> {
    vec![
        graph("Connect phases, p95", Unit::Seconds, 8)
            .limits(1.0, 5.0)
            .says(
                "New connections: `dns`, `tcp`, and `tls` with HTTP/2's greeting.",
                "`dns`: the resolver (in Kubernetes: `ndots`). `tcp`: distance, or a firewall that drops. `tls`: the upstream's load. `timeouts.connect` ends it at 5 s.",
            )
            .of(quantile(0.95, CONNECT, "upstream, phase"), "{{upstream}} {{phase}}"),
        graph("Connections to upstreams", Unit::Count, 8)
            .says(
                "Of this Pillion to all of its upstreams: `active` ones carry an exchange, `idle` ones wait for the next.",
                "`active` as high as exchanges in flight: HTTP/1.1, one connection each. `idle` always 0: the upstream closes after each reply, and every exchange pays for connecting.",
            )
            .of(value(only(CONNECTIONS, "side=\"upstream\"")).sum("state"), "{{state}}"),
        graph("In flight", Unit::Count, 8)
            .says("Exchanges that have begun and not ended.", "Climbing while *Attempts by result* is level: the upstream is getting slower.")
            .of(value(IN_FLIGHT).sum("upstream"), "{{upstream}}"),
    ]
}

fn models() -> Vec<Panel> {
    vec![
        graph("Latency by model, p95", Unit::Seconds, 12)
            .says(
                "Whole exchanges, retries included, of all upstreams: choose models. Dots are single exchanges with their trace.",
                "One model up: its provider. All up together: the network, or Pillion's machine; see *Overhead* on dashboard *Pillion itself*.",
            )
            .of(quantile(0.95, OPERATION_DURATION, "gen_ai_request_model"), "{{gen_ai_request_model}}"),
        graph("First token by model, p95", Unit::Seconds, 12)
            .says(
                "From the request to the first content of a stream, of all upstreams: choose models.",
                "The model is busy, or prompts got longer. Thinking models are slow to begin by nature: give agents a limit to match.",
            )
            .of(quantile(0.95, FIRST_CHUNK, "gen_ai_request_model"), "{{gen_ai_request_model}}"),
        graph("Time between chunks by model, p95", Unit::Seconds, 12)
            .says(
                "How smoothly streams flow: each exchange's mean time between contents, of all upstreams: choose models.",
                "Up with level first tokens: the model generates slowly, or a proxy between here and there gathers what it should pass on.",
            )
            .of(quantile(0.95, PER_CHUNK, "gen_ai_request_model"), "{{gen_ai_request_model}}"),
        graph("Cut replies", Unit::Events, 12)
            .says(
                "Exchanges whose stream was cut after it had begun. They cannot be retried: the agent has read half of it.",
                "Always after the same time: a load balancer's or proxy's idle limit on the way. At all times: the provider, or its servers being replaced.",
            )
            .of(rate(only(EXCHANGES, "outcome=\"cut\"")).sum("upstream, model"), "{{upstream}} {{model}}"),
        graph("Timeouts by upstream and clock", Unit::Events, 8)
            .says(
                "Which clock of `timeouts` ended the wait.",
                "`connect`: the way there. `first_byte`, `first_token`: a busy model. `idle`: it stopped in the middle. `total`: it was too slow on the whole.",
            )
            .of(rate(TIMEOUTS).sum("upstream, clock"), "{{upstream}} {{clock}}"),
        graph("Failed share by model", Unit::Share, 8)
            .limits(0.01, 0.05)
            .says("The share of exchanges that ended badly in spite of retries.", "See the cause by agent on dashboard *Overview*.")
            .of(share(only(EXCHANGES, FAILED), EXCHANGES, "model"), "{{model}}"),
        graph("Answers without usage", Unit::Events, 8)
            .says(
                "Good answers that did not say how many tokens they took: they are missing from tokens and cost.",
                "Streams: leave `carry.include_usage` on. A local server: see whether a newer version or a flag reports usage.",
            )
            .of(rate(USAGE_MISSING).sum("upstream, model"), "{{upstream}} {{model}}"),
    ]
}
