//! What a process has used, as the kernel tells it.

use std::{fs, time::Duration};

use anyhow::Context as _;

/// A process that is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    id: u32,
}

impl Process {
    /// By its id.
    pub(crate) fn new(id: u32) -> Self {
        Self { id }
    }

    /// CPU time of all its threads, user and system, to the nanosecond (`/proc/PID/task/*/schedstat`).
    fn cpu(self) -> anyhow::Result<Duration> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.id)).context("the contender is gone")? {
            // A thread may end between the two readings; its time is lost, which the workers' is not.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse::<u64>().ok());
            sum += nanoseconds.context("the kernel keeps no schedstat")?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Resident memory in kB (`VmRSS`).
    pub(crate) fn resident(self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).context("the contender is gone")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")
    }
}

/// How many programs wanted to run in the last minute.
pub(crate) fn load_average() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("no load average")?;
    text.split_whitespace().next().and_then(|first| first.parse().ok()).context("the load average is no number")
}

/// The CPU time that a contender uses from now on; none of the way without a proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter(Option<(Process, Duration)>);

impl Meter {
    /// Begins.
    pub(crate) fn start(process: Option<Process>) -> anyhow::Result<Self> {
        Ok(Self(process.map(|process| Ok::<_, anyhow::Error>((process, process.cpu()?))).transpose()?))
    }

    /// CPU µs since the start for each of `count`.
    pub(crate) fn micros_each(self, count: u64) -> anyhow::Result<Option<f64>> {
        self.0.map(|(process, before)| Ok(micros(process.cpu()?.saturating_sub(before)) / float(count.max(1)))).transpose()
    }
}

/// A count as a number to be divided.
pub(crate) fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The `percent`th percentile of what is sorted here; zero of nothing.
pub(crate) fn percentile(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort_unstable();
    let at = (durations.len() * percent / 100).min(durations.len().saturating_sub(1));
    durations.get(at).copied().map(micros).unwrap_or_default()
}
