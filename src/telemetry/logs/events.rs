//! The program's own `tracing` events, on the same queue and in the same format as the lines of exchanges.

use std::{
    fmt::{self, Write},
    time::SystemTime,
};

use tracing::{
    Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
    registry::{LookupSpan, Registry},
};

use super::{Event, Log};
use crate::config::LogLevel;

/// Longest message or field, in bytes.
const TEXT_MAX: usize = 4 << 10;
/// Most fields of one event.
const FIELDS_MAX: usize = 32;

/// Sends events to the log.
#[derive(Debug)]
pub(crate) struct LogLayer(Log);

impl LogLayer {
    /// A subscriber that logs: this program's events from the log's own level on, those of other crates (hyper, rustls …) from warn on.
    pub(crate) fn subscriber(log: Log) -> impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync + 'static {
        let level = filter(log.level());
        let targets = Targets::new().with_target("pillion", level).with_default(level.min(LevelFilter::WARN));
        Registry::default().with(Self(log).with_filter(targets))
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut told = Told::default();
        event.record(&mut told);
        let Told { message, fields } = told;
        self.0.event(Event { at: SystemTime::now(), level: severity(*metadata.level()), target: target(metadata.target()), message, fields });
    }
}

/// The part of a target that names the crate; those known are `'static`, the others share one word.
fn target(target: &str) -> &'static str {
    const KNOWN: [&str; 8] = ["pillion", "hyper_util", "hyper", "h2", "tokio_rustls", "rustls", "tokio", "opentelemetry"];
    KNOWN.into_iter().find(|known| target.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))).unwrap_or("library")
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Off => LevelFilter::OFF,
    }
}

fn severity(level: Level) -> LogLevel {
    match level {
        Level::TRACE => LogLevel::Trace,
        Level::DEBUG => LogLevel::Debug,
        Level::INFO => LogLevel::Info,
        Level::WARN => LogLevel::Warn,
        Level::ERROR => LogLevel::Error,
    }
}

/// What an event says.
#[derive(Default)]
struct Told {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded(String::new());
        // The only failure is that the bound was reached.
        let _ = write!(text, "{value:?}");
        match field.name() {
            "message" => self.message = text.0,
            name if self.fields.len() < FIELDS_MAX => self.fields.push((name, text.0)),
            _ => (),
        }
    }
}

/// A text that stops growing.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = TEXT_MAX.saturating_sub(self.0.len());
        self.0.push_str(&more[..more.floor_char_boundary(room)]);
        if more.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}
