//! Part of step 4: a prompt that would not fit its model's window is made to. What fits by its bytes alone goes on at the cost of a look into a table;
//! the rest is counted and planned on threads of its own, a few at a time, and goes on as it came where those are busy or at fault.

use std::{
    ops::Range,
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout},
};

use crate::{
    config::{Trim as Wanted, Trimming},
    context::{Asked, Fit, Models, Trimmed, Window},
    drain,
    proxy::{exchange::Exchange, receive::Received, refusal::Refusal},
    telemetry::{Record, Telemetry, Trim},
    wire::{Call, Dialect, Overflow},
};

/// Longest wait for a thread that counts: beyond it the request goes on as it came.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// No more than this part of what the agent itself waits.
const WAIT_PART: u32 = 4;

/// Makes prompts fit.
#[derive(Debug)]
pub(in crate::proxy) struct Fitter {
    models: Arc<Models>,
    /// So many prompts are counted at one time: on all cores but one, which is the traffic's.
    threads: Arc<Semaphore>,
    telemetry: Telemetry,
}

/// A request's body on its way up, now that it fits as far as can be told.
#[derive(Debug)]
pub(in crate::proxy) struct Fitted<'a> {
    /// What goes up.
    pub received: Received,
    /// Where its list of messages lies, if that is known.
    pub list: Range<usize>,
    /// Whether it is another than the agent's.
    pub is_trimmed: bool,
    /// What may be done where the upstream says that it does not fit all the same.
    pub refit: Option<Refit<'a>>,
}

/// A prompt as it came, to be trimmed by what the upstream says of it.
#[derive(Debug)]
pub(in crate::proxy) struct Refit<'a> {
    fitter: &'a Fitter,
    body: Bytes,
    target: f64,
}

/// What a thread takes with it of an exchange.
struct Prompt {
    dialect: Dialect,
    path: String,
    provider: Option<Arc<str>>,
    upstream: Arc<str>,
    call: Call,
}

impl Fitter {
    /// With a thread for each core but one.
    pub(in crate::proxy) fn new(models: &Arc<Models>, telemetry: &Telemetry) -> Self {
        let threads = available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1));
        Self { models: Arc::clone(models), threads: Arc::new(Semaphore::new(threads)), telemetry: telemetry.clone() }
    }

    /// Makes the prompt fit where that is wanted and it would not; a refusal where it cannot be made to.
    pub(in crate::proxy) async fn fit(
        &self,
        exchange: &mut Exchange,
        (headers, wanted): (&HeaderMap, Trimming),
        (mut received, list): (Received, Range<usize>),
    ) -> Result<Fitted<'_>, Refusal> {
        let as_it_came = |received, list, refit| Fitted { received, list, is_trimmed: false, refit };
        let may_overflow = exchange.observe(|exchange| self.measure(exchange.record(), &received));
        let Some(body) = trimmable(exchange.record(), headers, wanted, &received) else { return Ok(as_it_came(received, list, None)) };
        let refit = Refit { fitter: self, body: body.clone(), target: wanted.target };
        if !may_overflow {
            return Ok(as_it_came(received, list, Some(refit)));
        }
        match self.run(exchange.record(), &body, wanted.target, None).await {
            Some(Fit::Trimmed(trimmed)) => {
                note(exchange.record(), &trimmed);
                // Both are held then, where there is room for both.
                let refit = received.reserve(trimmed.body.len()).then_some(refit);
                Ok(Fitted { received: received.with(trimmed.body), list: trimmed.list, is_trimmed: true, refit })
            }
            Some(Fit::TooLarge(large)) => {
                let record = exchange.record();
                record.prompt_tokens = Some(large.tokens);
                Err(Refusal::too_large(&large, record.dialect))
            }
            Some(Fit::Untouched(counted)) => {
                let record = exchange.record();
                record.counted = counted;
                record.prompt_tokens = counted.map(|counted| counted.tokens).or(record.prompt_tokens);
                Ok(as_it_came(received, list, Some(refit)))
            }
            None => Ok(as_it_came(received, list, Some(refit))),
        }
    }

    /// Notes the window, and says whether the prompt may be more than fits. One whose beginning the provider holds is left alone.
    fn measure(&self, record: &mut Record, received: &Received) -> bool {
        let window = self.note_window(record);
        let Some(asked) = record.asked() else { return false };
        let may_overflow = matches!(received, Received::Whole(body, _) if asked.may_overflow(window, body.len()));
        let is_continued = asked.call.continues.is_some();
        if may_overflow && is_continued {
            record.skipped.get_or_insert("continued");
        }
        may_overflow && !is_continued
    }

    fn note_window(&self, record: &mut Record) -> Option<Window> {
        let window = record.asked().and_then(|asked| self.models.window(asked, Instant::now()));
        record.prompt_window = window.map(|window| window.tokens);
        window
    }

    /// Counts and plans on a thread of its own; `None` where none is free in time, or where it meets a fault of ours. The wait is our own doing.
    async fn run(&self, record: &mut Record, body: &Bytes, target: f64, after: Option<Overflow>) -> Option<Fit> {
        let prompt = Prompt::of(record)?;
        let wait = record.agent_timeout.map_or(WAIT_MAX, |limit| WAIT_MAX.min(limit / WAIT_PART));
        let Ok(Ok(permit)) = timeout(wait, Arc::clone(&self.threads).acquire_owned()).await else {
            record.skipped.get_or_insert("busy");
            return None;
        };
        let (models, body) = (Arc::clone(&self.models), body.clone());
        let fitting = spawn_blocking(move || {
            let _held_till_the_end = permit;
            drain::contain_call(|| models.fit(prompt.asked(), &body, target, after, Instant::now()))
        });
        // An error is the runtime's end.
        let fit = fitting.await.ok()?;
        fit.map_err(|_| self.telemetry.panicked()).ok()
    }
}

impl Refit<'_> {
    /// The upstream has said that the prompt did not fit: that is learnt, and the prompt trimmed by it. `None` where that changes nothing. To be tried once.
    pub(in crate::proxy) async fn after(self, exchange: &mut Exchange, overflow: Overflow) -> Option<Box<Trimmed>> {
        let Self { fitter, body, target } = self;
        let overflow = of_all(exchange.record(), overflow);
        let fit = fitter.run(exchange.record(), &body, target, Some(overflow)).await;
        exchange.observe(|exchange| fitter.note_window(exchange.record()));
        match fit {
            Some(Fit::Trimmed(trimmed)) => Some(trimmed),
            _ => None,
        }
    }
}

/// What was said of a prompt, as it would be of all that the agent sent: where it was trimmed before, the upstream has counted what was left.
fn of_all(record: &Record, overflow: Overflow) -> Overflow {
    let (Some(trim), Some(left)) = (&record.trim, record.counted) else { return overflow };
    let of_all = |tokens: u64| {
        let all = u128::from(tokens) * u128::from(left.tokens.saturating_add(trim.tokens)) / u128::from(left.tokens.max(1));
        u64::try_from(all).unwrap_or(u64::MAX)
    };
    Overflow { prompt: overflow.prompt.map(of_all), ..overflow }
}

impl Prompt {
    fn of(record: &Record) -> Option<Self> {
        let (dialect, upstream) = (record.dialect?, Arc::clone(record.upstream.as_ref()?));
        Some(Self { dialect, path: record.path.clone(), provider: record.provider.clone(), upstream, call: record.call.clone() })
    }

    fn asked(&self) -> Asked<'_> {
        let Self { dialect, path, provider, upstream, call } = self;
        Asked { dialect: *dialect, path, provider: provider.as_deref(), upstream, call }
    }
}

/// Writes down what was taken out of the prompt.
pub(in crate::proxy) fn note(record: &mut Record, trimmed: &Trimmed) {
    let Trimmed { messages, texts, tokens, left, .. } = *trimmed;
    record.trim = Some(Trim { messages, texts, tokens, at: SystemTime::now() });
    (record.counted, record.prompt_tokens) = (Some(left), Some(left.tokens));
}

/// The body, if it may be trimmed: it is wanted by the config and not declined by the agent, and it is held, plain, and a prompt that is all there.
fn trimmable(record: &Record, headers: &HeaderMap, wanted: Trimming, received: &Received) -> Option<Bytes> {
    let Received::Whole(body, _) = received else { return None };
    let is_wanted = wanted.trim == Wanted::Oversize && !declines(headers);
    let is_prompt = record.dialect.is_some() && record.method == Method::POST && record.call.continues.is_none() && !body.is_empty();
    (is_wanted && is_prompt && is_plain(headers)).then(|| body.clone())
}

/// `x-pillion-trim: off`.
fn declines(headers: &HeaderMap) -> bool {
    headers.get_all("x-pillion-trim").iter().any(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"off"))
}

/// Whether the body is not compressed.
pub(in crate::proxy) fn is_plain(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config,
        context::{Counted, Ours},
        telemetry::fixture,
    };

    fn fitter(threads: usize) -> Fitter {
        let telemetry = Telemetry::start(&config::Telemetry::default(), Box::new(std::io::sink())).unwrap();
        Fitter { threads: Arc::new(Semaphore::new(threads)), ..Fitter::new(&Arc::default(), &telemetry) }
    }

    /// A chat of so many messages with a model of 8,192 tokens.
    fn chat(messages: usize) -> Bytes {
        let message = format!("{{\"role\":\"user\",\"content\":\"{}\"}}", "a word and another ".repeat(100));
        format!("{{\"model\":\"gpt-4\",\"messages\":[{}]}}", vec![message; messages].join(",")).into()
    }

    fn record() -> Record {
        let mut record = fixture::record();
        record.call = Call { model: Some("gpt-4".to_owned()), ..Call::default() };
        record
    }

    #[tokio::test(start_paused = true)]
    async fn where_no_thread_is_free_in_time_the_request_goes_on_and_that_is_counted() {
        let fitter = fitter(0);
        for (limit, expected) in [(None, 1000), (Some(60_000), 1000), (Some(2000), 500)] {
            let (mut record, begun) = (Record { agent_timeout: limit.map(Duration::from_millis), ..record() }, Instant::now());
            assert_eq!(fitter.run(&mut record, &chat(100), 0.7, None).await, None);
            // Tokio's clock counts milliseconds, and rounds up.
            assert_eq!((record.skipped, begun.elapsed().as_millis().abs_diff(expected) < 2), (Some("busy"), true), "{limit:?}");
        }
    }

    #[tokio::test]
    async fn a_thread_is_free_again_when_it_has_counted() {
        let (fitter, mut record) = (fitter(1), record());
        for (messages, is_trimmed) in [(2, false), (40, true), (40, true)] {
            let fit = fitter.run(&mut record, &chat(messages), 0.7, None).await;
            assert_eq!(matches!(fit, Some(Fit::Trimmed(_))), is_trimmed, "{fit:?}");
        }
        assert_eq!((fitter.threads.available_permits(), record.skipped), (1, None));
    }

    /// A task that had outgrown its window was trimmed to a hair too much. What the upstream counted of that was taken for the whole conversation's: it went up
    /// anew with twice the tokens.
    #[test]
    fn what_is_said_of_a_trimmed_prompt_is_taken_for_its_part_of_the_whole() {
        let said = Overflow { window: Some(8000), prompt: Some(8080), answer: None };
        let whole = Record { trim: None, counted: None, ..record() };
        assert_eq!(of_all(&whole, said), said);
        let left = Counted { tokens: 8000, is_exact: false, by_ours: Ours::default() };
        let trimmed = Record { trim: Some(Trim { messages: 9, texts: 0, tokens: 12_000, at: SystemTime::now() }), counted: Some(left), ..record() };
        assert_eq!(of_all(&trimmed, said), Overflow { prompt: Some(20_200), ..said });
    }

    #[test]
    fn off_declines_however_it_is_written_and_nothing_else_does() {
        for (value, expected) in [("off", true), (" Off ", true), ("OFF", true), ("on", false), ("false", false), ("", false), ("offside", false)] {
            let mut headers = HeaderMap::new();
            headers.append("x-pillion-trim", http::HeaderValue::from_str(value).unwrap());
            assert_eq!(declines(&headers), expected, "{value:?}");
        }
        assert!(!declines(&HeaderMap::new()));
    }
}
