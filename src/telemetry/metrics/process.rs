//! The process as the kernel sees it, from `/proc/self`. Where there is no `/proc`, or a file of it cannot be read, its metrics are absent.

use std::{collections::HashMap, fs};

use prometheus::{
    core::{Collector, Desc},
    proto::{self, MetricType},
};

use super::{family::family, gauges::sample, values::float};
use crate::telemetry::names::metrics::{self, Metric};

/// The unit of times in `/proc` as user space sees them (`USER_HZ`): 100 on every architecture of Linux in use.
const TICKS_PER_SECOND: f64 = 100.0;

const ALL: [(Metric, MetricType); 7] = [
    (metrics::PROCESS_CPU, MetricType::COUNTER),
    (metrics::PROCESS_OPEN_FDS, MetricType::GAUGE),
    (metrics::PROCESS_MAX_FDS, MetricType::GAUGE),
    (metrics::PROCESS_RSS, MetricType::GAUGE),
    (metrics::PROCESS_VSIZE, MetricType::GAUGE),
    (metrics::PROCESS_THREADS, MetricType::GAUGE),
    (metrics::PROCESS_START, MetricType::GAUGE),
];

/// The collector of `process_*`.
pub(super) struct Process {
    descs: Vec<Desc>,
}

impl Process {
    pub(super) fn new() -> Self {
        let desc = |metric: &Metric| Desc::new(metric.name.to_owned(), metric.help.to_owned(), Vec::new(), HashMap::new());
        let descs = ALL.iter().map(|(metric, _)| desc(metric).expect("the names of the table are valid, and a test registers each of them"));
        Self { descs: descs.collect() }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let stat = Stat::read();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kilobytes = |key| field(&status, key).map(|kilobytes| kilobytes * 1024.0);
        let values = [
            stat.as_ref().map(|stat| stat.cpu_ticks / TICKS_PER_SECOND),
            open_fds(),
            max_fds(),
            kilobytes("VmRSS:"),
            kilobytes("VmSize:"),
            field(&status, "Threads:"),
            stat.as_ref().and_then(|stat| Some(boot_time()? + stat.start_ticks / TICKS_PER_SECOND)),
        ];
        let told = ALL.iter().zip(values).filter_map(|(of, value)| Some((of, value?)));
        told.map(|((metric, kind), value)| family(metric, *kind, vec![sample(Vec::new(), *kind, value)])).collect()
    }
}

struct Stat {
    cpu_ticks: f64,
    start_ticks: f64,
}

impl Stat {
    /// The program's name, in parentheses, may hold anything: fields are counted from behind it (proc(5)).
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        let (_, behind) = text.rsplit_once(')')?;
        let fields: Vec<&str> = behind.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
        Some(Self { cpu_ticks: number(11)? + number(12)?, start_ticks: number(19)? })
    }
}

/// The number behind a key at the start of a line.
fn field(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_ascii_whitespace().next()?.parse().ok()
}

fn boot_time() -> Option<f64> {
    field(&fs::read_to_string("/proc/stat").ok()?, "btime")
}

fn max_fds() -> Option<f64> {
    field(&fs::read_to_string("/proc/self/limits").ok()?, "Max open files")
}

/// Without the descriptor that the counting itself needs.
fn open_fds() -> Option<f64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(float(u64::try_from(count).unwrap_or(u64::MAX).saturating_sub(1)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use prometheus::core::Collector;

    use super::Process;

    #[test]
    fn everything_is_told_and_plausible() {
        let told = Process::new().collect();
        let value = |name: &str| {
            let family = told.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("{name} is missing"));
            let metric = &family.get_metric()[0];
            metric.get_gauge().get_value() + metric.get_counter().get_value()
        };
        assert_eq!(told.len(), 7);
        assert!(value("process_resident_memory_bytes") > 1e6 && value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!((3.0..1e6).contains(&value("process_open_fds")) && value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_threads") >= 1.0 && value("process_cpu_seconds_total") >= 0.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - value("process_start_time_seconds")).abs() < 3600.0);
    }
}
