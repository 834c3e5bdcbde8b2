//! The log: one line per exchange and one for each of the program's own events, put on a bounded queue and written by a thread of its own.
//! A blocked pipe, a dead reader or a full disk loses lines, counted, and never holds up traffic. Lines are made on that thread too.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, SystemTime},
};

mod escape;
mod events;
mod json;
mod text;
mod time;
mod writer;

pub use escape::Word;
pub(crate) use events::LogLayer;
pub use time::Short;
pub(super) use time::Timestamp;
use writer::Writer;

use super::{metrics::Counter, queue::Queue, record::Record};
use crate::config::{LogFormat, LogLevel};

/// Lines that wait at most.
const QUEUE_MAX: usize = 4096;
/// Lines written at once.
const BATCH: usize = 256;
/// How long lines are gathered: the log lags by this at most, and the thread wakes no more often.
const GATHER: Duration = Duration::from_millis(20);

/// The log. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    handle: Arc<Handle>,
}

/// The side of those who log. The thread ends when nobody is left.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    /// Ends when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

#[derive(Debug)]
struct Shared {
    level: LogLevel,
    queue: Queue<Line>,
    dropped: Counter,
}

/// What a line will tell.
#[derive(Debug)]
pub(super) enum Line {
    Exchange(Arc<Record>),
    Event(Box<Event>),
}

/// One event of the program itself.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) at: SystemTime,
    pub(crate) level: LogLevel,
    pub(crate) target: &'static str,
    pub(crate) message: String,
    pub(crate) fields: Vec<(&'static str, String)>,
}

impl Log {
    /// Starts the thread that writes to `to`.
    pub(crate) fn start(level: LogLevel, format: LogFormat, to: Box<dyn Write + Send>) -> io::Result<Self> {
        let shared = Arc::new(Shared { level, queue: Queue::new(QUEUE_MAX), dropped: Counter::default() });
        let (end, ended) = sync_channel(1);
        let writing = Arc::clone(&shared);
        thread::Builder::new().name("pillion-log".to_owned()).spawn(move || writing.write(format, to, end))?;
        Ok(Self { handle: Arc::new(Handle { shared, ended: Mutex::new(ended) }) })
    }

    /// One line for a finished exchange: failed ones at warn, others at info.
    pub(crate) fn exchange(&self, record: &Arc<Record>) {
        if self.takes(level_of(record)) {
            self.put(Line::Exchange(Arc::clone(record)));
        }
    }

    /// One line for an event of the program.
    pub(crate) fn event(&self, event: Event) {
        if self.takes(event.level) {
            self.put(Line::Event(Box::new(event)));
        }
    }

    /// Whether lines of this severity are written.
    pub(crate) fn takes(&self, level: LogLevel) -> bool {
        level >= self.handle.shared.level
    }

    /// The least severity written.
    pub(crate) fn level(&self) -> LogLevel {
        self.handle.shared.level
    }

    /// Lines that could not be written.
    pub(crate) fn dropped(&self) -> u64 {
        self.handle.shared.dropped.get()
    }

    /// Writes what waits, for at most so long; what then still waits is counted as dropped. Blocks.
    pub(crate) fn shutdown(&self, deadline: Duration) {
        let Handle { shared, ended } = &*self.handle;
        shared.queue.close();
        // Nothing is ever sent: the wait ends with the thread or with the time.
        let _ = ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(deadline);
        shared.drop_lines(shared.queue.take_all().len());
    }

    fn put(&self, line: Line) {
        let Shared { queue, dropped, .. } = &*self.handle.shared;
        if queue.push(line, 1).is_err() {
            dropped.inc();
        }
    }
}

impl Shared {
    fn write(&self, format: LogFormat, to: Box<dyn Write + Send>, end: SyncSender<()>) {
        let mut writer = Writer::new(to);
        while let Some(lines) = self.queue.take(BATCH, GATHER) {
            let make = |line: &Line, out: &mut String| match format {
                LogFormat::Text => text::line(out, line),
                LogFormat::Brief => text::brief(out, line),
                LogFormat::Json => json::line(out, line),
            };
            let not_made = lines.iter().filter(|line| !writer.push(|out| make(line, out))).count();
            self.drop_lines(not_made + writer.flush());
        }
        drop(end);
    }

    fn drop_lines(&self, lines: usize) {
        self.dropped.add(u64::try_from(lines).unwrap_or(u64::MAX));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

/// The severity of an exchange's line.
fn level_of(record: &Record) -> LogLevel {
    if record.outcome.failed() { LogLevel::Warn } else { LogLevel::Info }
}

/// The word for a severity.
fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
        LogLevel::Off => "off",
    }
}

#[cfg(test)]
mod tests;
