//! The CPU time and memory of a process, from the kernel's `/proc`.

use std::fs::read_to_string;
use std::time::Duration;

/// The resources of one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// The time from beginning to end.
    pub wall: Duration,
    /// The CPU time, user and system.
    pub cpu: Duration,
    /// Peak resident memory, in KiB.
    pub peak: u64,
}

/// CPU time, user and system, of a process that still runs.
pub fn cpu(pid: u32) -> Duration {
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold any character; the third field follows it.
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks = |place: usize| {
        fields
            .get(place - 3)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or(0)
    };
    // The kernel reports hundredths of a second (`USER_HZ`).
    Duration::from_millis((ticks(14) + ticks(15)) * 10)
}

/// The peak of a process's resident memory, in KiB.
pub fn peak(pid: u32) -> u64 {
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// Resets the peak of a process's resident memory.
pub fn forget_peak(pid: u32) {
    // Without the right to reset it, the peak includes earlier work.
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// The median of several runs, for each figure.
pub fn median(mut runs: Vec<Usage>) -> Usage {
    let middle = runs.len() / 2;
    let mut pick = |key: fn(&Usage) -> u128| {
        runs.sort_by_key(key);
        runs.get(middle).copied().unwrap_or_default()
    };
    Usage {
        wall: pick(|usage| usage.wall.as_nanos()).wall,
        cpu: pick(|usage| usage.cpu.as_nanos()).cpu,
        peak: pick(|usage| u128::from(usage.peak)).peak,
    }
}
