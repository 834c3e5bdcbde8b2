//! Rate limits that count, with each provider's headers and words. Levels are kept as times: a bucket is as empty as it is far from
//! being full again, so that all arithmetic is exact.

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use serde_json::json;
use tokio::time::Instant;

use super::{
    answer::{Answer, Body, Request},
    errors,
    speech::Provider,
};
use crate::demo::script::RateLimit;

/// The buckets of one limit.
pub(super) struct Limits {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

struct Bucket {
    limit: NonZeroU32,
    per: Duration,
    full_at: Option<Instant>,
}

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Charge {
    requests: Option<Level>,
    tokens: Option<Level>,
    cost: usize,
    refused: Option<Refused>,
}

/// How full a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    limit: u32,
    remaining: u32,
    /// Until it is full.
    reset: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refused {
    what: &'static str,
    level: Level,
    /// Until it would not be; `None` is never.
    wait: Option<Duration>,
}

impl Limits {
    pub(super) fn new(rate: RateLimit) -> Self {
        let bucket = |limit: NonZeroU32| Bucket { limit, per: rate.per, full_at: None };
        Self { requests: rate.requests.map(bucket), tokens: rate.tokens.map(bucket) }
    }

    /// Takes a request of so many tokens out of both buckets, or out of neither.
    pub(super) fn charge(&mut self, cost: usize, now: Instant) -> Charge {
        let tokens = u32::try_from(cost).unwrap_or(u32::MAX);
        let refused = [("requests", &self.requests, 1), ("tokens", &self.tokens, tokens)].into_iter().find_map(|(what, bucket, count)| {
            let bucket = bucket.as_ref()?;
            let wait = bucket.short_by(count, now)?;
            Some(Refused { what, level: bucket.level(now), wait: (count <= bucket.limit.get()).then_some(wait) })
        });
        if refused.is_none() {
            self.requests.iter_mut().for_each(|bucket| bucket.take(1, now));
            self.tokens.iter_mut().for_each(|bucket| bucket.take(tokens, now));
        }
        let level = |bucket: &Option<Bucket>| bucket.as_ref().map(|bucket| bucket.level(now));
        Charge { requests: level(&self.requests), tokens: level(&self.tokens), cost, refused }
    }
}

impl Bucket {
    /// What one of it takes to come again.
    fn each(&self) -> Duration {
        self.per / self.limit.get()
    }

    fn debt(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    /// How long until there are so many, if there are not.
    fn short_by(&self, count: u32, now: Instant) -> Option<Duration> {
        let needed = self.debt(now) + self.each().saturating_mul(count);
        needed.checked_sub(self.per).filter(|short| !short.is_zero())
    }

    fn take(&mut self, count: u32, now: Instant) {
        self.full_at = Some(now + self.debt(now) + self.each() * count);
    }

    fn level(&self, now: Instant) -> Level {
        let debt = self.debt(now);
        let taken = debt.as_nanos().div_ceil(self.each().as_nanos().max(1));
        let limit = self.limit.get();
        Level { limit, remaining: limit.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX)), reset: debt }
    }
}

/// An answer with what is left in its headers, or the refusal in its place.
pub(super) fn within(request: &Request<'_>, answer: Answer) -> Answer {
    let Some(charge) = answer.cost.and_then(|cost| request.state.charge(cost)) else { return answer };
    let provider = request.provider();
    let answer = match &charge.refused {
        None => answer,
        Some(refused) => refusal(request, provider, &charge, refused),
    };
    headers(provider, &charge).into_iter().fold(answer, |answer, (name, value)| answer.with(&name, value))
}

fn headers(provider: Provider, charge: &Charge) -> Vec<(String, String)> {
    let levels = [("requests", charge.requests), ("tokens", charge.tokens)].into_iter().filter_map(|(what, level)| Some((what, level?)));
    let mut headers = Vec::new();
    for (what, level) in levels {
        let Level { limit, remaining, reset } = level;
        match provider {
            Provider::OpenAi => headers.extend([
                (format!("x-ratelimit-limit-{what}"), limit.to_string()),
                (format!("x-ratelimit-remaining-{what}"), remaining.to_string()),
                (format!("x-ratelimit-reset-{what}"), short(reset)),
            ]),
            Provider::Anthropic => headers.extend([
                (format!("anthropic-ratelimit-{what}-limit"), limit.to_string()),
                (format!("anthropic-ratelimit-{what}-remaining"), remaining.to_string()),
                (format!("anthropic-ratelimit-{what}-reset"), humantime::format_rfc3339_seconds(SystemTime::now() + reset).to_string()),
            ]),
            Provider::Google | Provider::Ollama => {}
        }
    }
    let wait = charge.refused.and_then(|refused| refused.wait);
    if let Some(wait) = wait.filter(|_| matches!(provider, Provider::OpenAi | Provider::Anthropic)) {
        headers.push(("retry-after".to_owned(), wait.as_millis().div_ceil(1000).to_string()));
        if provider == Provider::OpenAi {
            headers.push(("retry-after-ms".to_owned(), wait.as_micros().div_ceil(1000).to_string()));
        }
    }
    headers
}

fn refusal(request: &Request<'_>, provider: Provider, charge: &Charge, refused: &Refused) -> Answer {
    let Refused { what, level, wait } = *refused;
    let Level { limit, remaining, .. } = level;
    let asked = request.seen.json();
    let model = asked["model"].as_str().unwrap_or("the model");
    let cost = if what == "tokens" { charge.cost } else { 1 };
    let message = match provider {
        Provider::OpenAi => {
            let unit = if what == "tokens" { "TPM" } else { "RPM" };
            let of = format!("{model} in organization org-simulated on {what} per min ({unit}): Limit {limit}");
            match wait {
                Some(wait) => format!(
                    "Rate limit reached for {of}, Used {}, Requested {cost}. Please try again in {}. Visit https://platform.openai.com/account/rate-limits to learn more.",
                    limit - remaining,
                    short(wait)
                ),
                None => format!(
                    "Request too large for {of}, Requested {cost}. The input or output tokens must be reduced in order to run successfully. Visit https://platform.openai.com/account/rate-limits to learn more."
                ),
            }
        }
        Provider::Anthropic => format!(
            "This request would exceed your organization's rate limit of {limit} {what} per minute (org: simulated, model: {model}). For details, refer to: https://docs.claude.com/en/api/rate-limits."
        ),
        Provider::Google => format!(
            "You exceeded your current quota, please check your plan and billing details. Quota exceeded for metric: generate_content_{what}, limit: {limit}. Please retry in {}s.",
            wait.unwrap_or_default().as_secs_f64()
        ),
        Provider::Ollama => "server busy, please try again.  maximum pending requests exceeded".to_owned(),
    };
    let answer = errors::of_limit(provider, what, &message);
    if provider == Provider::Google { with_details(answer, wait.unwrap_or_default()) } else { answer }
}

/// Google says when to come again in the body alone.
fn with_details(answer: Answer, wait: Duration) -> Answer {
    let Body::Whole(bytes) = &answer.body else { return answer };
    let mut body: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    body["error"]["details"] = json!([
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{}s", wait.as_millis().div_ceil(1000))}
    ]);
    Answer { body: Body::Whole(body.to_string().into()), ..answer }
}

/// A duration as OpenAI writes it: `120ms`, `1.5s`, `6m0s`.
fn short(duration: Duration) -> String {
    let milliseconds = duration.as_micros().div_ceil(1000);
    if milliseconds < 1000 {
        return format!("{milliseconds}ms");
    }
    let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000);
    let seconds = match rest % 1000 {
        0 => format!("{}s", rest / 1000),
        part => format!("{}.{}s", rest / 1000, format!("{part:03}").trim_end_matches('0')),
    };
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use tokio::time::Instant;

    use super::{Limits, short};
    use crate::demo::script::RateLimit;

    #[test]
    fn durations_read_as_openai_writes_them() {
        for (milliseconds, expected) in [(0, "0ms"), (120, "120ms"), (1500, "1.5s"), (6000, "6s"), (360_000, "6m0s"), (3_661_050, "1h1m1.05s")] {
            assert_eq!(short(Duration::from_millis(milliseconds)), expected);
        }
    }

    #[test]
    fn a_bucket_fills_evenly_and_a_refused_request_takes_nothing() {
        let mut limits = Limits::new(RateLimit { requests: NonZeroU32::new(2), tokens: NonZeroU32::new(100), per: Duration::from_secs(10) });
        let start = Instant::now();
        let first = limits.charge(30, start);
        assert_eq!((first.requests.unwrap().remaining, first.tokens.unwrap().remaining, first.refused), (1, 70, None));
        let large = limits.charge(80, start);
        assert_eq!((large.refused.unwrap().what, large.requests.unwrap().remaining), ("tokens", 1));
        assert_eq!(large.refused.unwrap().wait, Some(Duration::from_secs(1)));
        assert_eq!(limits.charge(101, start).refused.unwrap().wait, None);
        assert!(limits.charge(70, start).refused.is_none());
        let third = limits.charge(1, start).refused.unwrap();
        assert_eq!((third.what, third.wait), ("requests", Some(Duration::from_secs(5))));
        assert!(limits.charge(1, start + Duration::from_secs(5)).refused.is_none());
    }
}
