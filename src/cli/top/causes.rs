//! What went wrong, in plain words: for who does not know our reasons by heart, and with the setting to look at where there is one.

use super::seen::Exchange;
use crate::telemetry::Word;

/// One sentence for an exchange that did not end well. The provider's own word for it is put behind.
pub(super) fn cause(exchange: &Exchange) -> String {
    if exchange.outcome == "cancelled" {
        return hang_up(exchange);
    }
    let error = exchange.error_type.as_deref().unwrap_or(&exchange.outcome);
    let provider = exchange.provider_error.as_deref();
    let words = match (reason(error), error) {
        (Some(words), _) => words.to_owned(),
        (None, _) if provider == Some("insufficient_quota") => "the quota is used up".to_owned(),
        (None, status) => of_status(status).map_or_else(|| Word(status).to_string(), |words| format!("{status}: {words}")),
    };
    let limit = exchange.agent_timeout_seconds.filter(|_| error == "timeout_agent").map(|limit| format!(" of {limit}s")).unwrap_or_default();
    let provider = provider.filter(|word| *word != error).map(|word| format!(" ({})", Word(word))).unwrap_or_default();
    format!("{words}{limit}{provider}")
}

fn hang_up(exchange: &Exchange) -> String {
    let when = match exchange.phase.as_deref() {
        Some("streaming") => "within its answer",
        _ => "before it was answered",
    };
    let limit = exchange.agent_timeout_seconds.map(|limit| format!("; its SDK waits {limit}s")).unwrap_or_default();
    format!("the agent hung up {when}{limit}")
}

/// Our own reasons.
fn reason(word: &str) -> Option<&'static str> {
    Some(match word {
        "timeout_connect" => "no connection in time: DNS, TCP or TLS (timeouts.connect)",
        "timeout_first_byte" => "no reply began in time (timeouts.first_byte)",
        "timeout_first_token" => "no first token in time (timeouts.first_token)",
        "timeout_total" => "no whole reply in time (timeouts.total)",
        "timeout_upload" => "the agent stopped sending its request (timeouts.upload)",
        "timeout_agent" => "no answer within the agent's own limit",
        "timeout_idle" => "the reply fell silent (timeouts.idle)",
        "timeout_reader" => "the agent stopped reading its answer (timeouts.reader)",
        "connection_refused" => "nobody listens at the upstream, or a proxy on the way says no",
        "connection_reset" => "the upstream closed the connection before it answered",
        "dns" => "the upstream's name does not resolve",
        "tls" => "no TLS with the upstream: its certificate, or the roots it is checked against",
        "bad_response" => "what the upstream sent is not HTTP",
        "stream_cut" => "the reply broke off before its end",
        "stream_error" => "the provider told an error within its stream",
        "draining" => "Pillion was shutting down",
        "overloaded" => "a bound of Pillion was reached",
        "no_route" => "no upstream for this path: look at the agent's base_url",
        "host" => "a Host that is not known here (server.hosts)",
        "origin" => "an Origin that is not known here (server.hosts)",
        "uri_too_long" => "the request's target is longer than 16 KiB",
        "body_too_large" => "the request is larger than server.body_limit",
        "context_too_large" => "the prompt does not fit the model's window, and cannot be made to",
        "proxy_loop" => "the request came through this Pillion before: an upstream leads back here",
        "framing" => "what the agent sent is not HTTP",
        "slow_head" => "the agent's request head did not come in time",
        "panic" => "a fault of Pillion: please report it",
        _ => return None,
    })
}

/// The upstream's statuses.
fn of_status(status: &str) -> Option<&'static str> {
    Some(match status.parse::<u16>().ok()? {
        400 | 422 => "the provider refuses the request as it is",
        401 => "the provider does not know the key",
        402 => "the account has no credit left",
        403 => "the key may not do this",
        404 => "no such model or path at the upstream",
        408 => "the upstream waited in vain for the request",
        413 => "the request is too large for the upstream",
        429 => "over the provider's rate limit",
        503 | 529 => "the provider is overloaded",
        500..=599 => "the provider failed",
        400..=499 => "the provider refuses the request",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Exchange, cause, reason};

    #[test]
    fn every_reason_of_ours_is_said_in_plain_words() {
        let table = include_str!("../../telemetry/names/reasons.rs");
        let words: Vec<&str> =
            table.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> \"")?.1.strip_suffix("\",")).collect();
        assert!(words.len() > 20, "{words:?}");
        for word in words {
            assert!(reason(word).is_some_and(|said| said.contains(' ')), "{word}");
        }
    }

    #[test]
    fn a_cause_has_the_status_the_provider_s_word_and_the_agent_s_limit() {
        let failed = |error: &str| Exchange { outcome: "upstream_error".to_owned(), error_type: Some(error.to_owned()), ..Exchange::default() };
        assert_eq!(cause(&failed("500")), "500: the provider failed");
        assert_eq!(
            cause(&Exchange { provider_error: Some("rate_limit\x1b".to_owned()), ..failed("429") }),
            "429: over the provider's rate limit (\"rate_limit\\u{1b}\")"
        );
        assert_eq!(
            cause(&Exchange { provider_error: Some("insufficient_quota".to_owned()), ..failed("429") }),
            "the quota is used up (insufficient_quota)"
        );
        assert_eq!(cause(&Exchange { agent_timeout_seconds: Some(4.0), ..failed("timeout_agent") }), "no answer within the agent's own limit of 4s");
        assert_eq!(cause(&failed("a new one")), "\"a new one\"");
        let hung_up = Exchange { outcome: "cancelled".to_owned(), agent_timeout_seconds: Some(60.0), ..Exchange::default() };
        assert_eq!(cause(&hung_up), "the agent hung up before it was answered; its SDK waits 60s");
    }
}
