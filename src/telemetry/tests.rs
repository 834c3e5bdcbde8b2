use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    Exposition, Telemetry,
    fixture::{otlp, record},
    names::Side,
    record::Record,
};
use crate::config;

/// What a log wrote.
#[derive(Clone, Default)]
pub(super) struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Telemetry whose log can be read.
pub(super) fn logged(config: &config::Telemetry) -> (Telemetry, Page) {
    let page = Page::default();
    (Telemetry::start(config, Box::new(page.clone())).unwrap(), page)
}

#[test]
fn one_report_is_one_exchange_and_one_line() {
    let (telemetry, page) = logged(&config::Telemetry::default());
    let guard = telemetry.in_flight("openai");
    telemetry.report(record());
    telemetry.watch_tasks(|| 7);
    telemetry.watch_tasks(|| 8);
    telemetry.watch_held_bytes(|| 1 << 20);
    let _connection = telemetry.connection(Side::Downstream);
    drop(guard);
    let text = telemetry.render(Exposition::Text);
    telemetry.shutdown(Duration::from_secs(2));
    assert_eq!(page.text().lines().count(), 1);
    for line in [
        "pillion_tasks 7\n",
        "pillion_held_bytes 1048576\n",
        "pillion_log_lines_dropped_total 0\n",
        "outcome=\"ok\"} 1\n",
        "in_flight{upstream=\"openai\"} 0\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
    assert!(!text.contains("pillion_spans_total"), "there is no receiver");
}

#[test]
fn the_programs_events_and_exchanges_share_one_log() {
    let (telemetry, page) = logged(&config::Telemetry::default());
    tracing::subscriber::with_default(telemetry.subscriber(), || tracing::warn!("before"));
    telemetry.report(record());
    telemetry.shutdown(Duration::from_secs(2));
    let text = page.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0].ends_with(" warn  before") && lines[1].contains(" ok    planner → openai gpt-4o "), "{text}");
}

#[test]
fn an_exchange_without_end_or_beginning_is_reported_all_the_same() {
    let (telemetry, page) = logged(&config::Telemetry::default());
    let mut odd = record();
    odd.duration = Duration::MAX;
    (odd.content_time, odd.overhead) = (Duration::MAX, Duration::MAX);
    telemetry.report(odd);
    telemetry.shutdown(Duration::from_secs(2));
    assert_eq!(page.text().lines().count(), 1);
    assert!(telemetry.render(Exposition::Text).contains("pillion_panics_total 0\n"));
}

#[test]
fn an_exemplar_leads_to_a_trace_that_is_kept() {
    let page = |config: &config::Telemetry, record: Record| {
        let telemetry = Telemetry::start(config, Box::new(io::sink())).unwrap();
        telemetry.report(record);
        telemetry.render(Exposition::OpenMetrics)
    };
    let exporting = config::Telemetry { otlp: Some(otlp("http://127.0.0.1:1/v1/traces".to_owned())), ..config::Telemetry::default() };
    let sampled_out = config::Telemetry { sample: 0.0, ..exporting.clone() };
    let of_agent = |flags| {
        let mut record = record();
        (record.trace.parent_id, record.trace.flags) = (Some(7), flags);
        record
    };
    assert!(page(&exporting, record()).contains("trace_id=\"00000000000000000000000000000abc\",span_id=\"0000000000000def\""));
    assert!(!page(&sampled_out, record()).contains("trace_id"));
    let alone = config::Telemetry::default();
    assert!(!page(&alone, record()).contains("trace_id"), "nobody keeps this trace");
    assert!(page(&alone, of_agent(1)).contains("{trace_id=\"00000000000000000000000000000abc\"}"));
    assert!(!page(&alone, of_agent(0)).contains("trace_id"));
}
