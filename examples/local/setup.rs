//! The settings of the emulators and the function, from the options.

use std::fs;
use std::time::Duration;

use acs_recording_archiver::limits::Limits;

use crate::arguments::Arguments;
use crate::deliveries::Input;
use crate::recordings::hosts;
use harness::embedded::{RESOURCE, Setup};

const MIB: u64 = 1 << 20;
/// The sizes of the chunks of the samples, in order: several parts and a rest; less than a part;
/// three chunks of exactly two parts, one byte, and a part and a rest; exactly one part; a batch of
/// three; the dead-lettered event.
const SIZES: [u64; 10] = [
    40 * MIB + 123,
    3 * MIB,
    32 * MIB,
    1,
    20 * MIB + 1,
    16 * MIB,
    500_000,
    16 * MIB + 1,
    2 * MIB,
    MIB,
];
/// The name of the work bucket.
pub(crate) const WORK: &str = "unfinished-work";
/// The first size under `--interrupt`, so that S3 keeps several parts.
const LARGE: u64 = 136 * MIB;
/// The backoff under `--interrupt`, where the source fails on purpose.
const SHORT_BACKOFF: Duration = Duration::from_millis(10);

/// The settings of the emulators and the function. ACS has each media host that the events name.
pub(crate) fn setup(arguments: &Arguments, inputs: &[Input]) -> Result<Setup, String> {
    let mut setup = Setup::default();
    setup.s3.more_buckets.push(WORK.to_owned());
    setup.variables.push(("WORK_BUCKET", WORK.to_owned()));
    setup.acs.bytes_per_second = arguments.rate;
    for input in inputs {
        if let Input::Delivery(delivery) = input {
            let hosts = hosts(&delivery.body, &format!("https://{RESOURCE}"))?;
            setup.acs.more_names.extend(hosts);
        }
    }
    if let Some(concurrency) = arguments.concurrency {
        let concurrency = ("TRANSFER_CONCURRENCY", concurrency.to_string());
        setup.variables.push(concurrency);
    }
    if arguments.interrupt {
        setup.limits = Limits {
            backoff: SHORT_BACKOFF,
            ..setup.limits
        };
    }
    Ok(setup)
}

/// The sizes of the chunks in turn.
pub(crate) fn sizes(arguments: &Arguments) -> Vec<u64> {
    if !arguments.size.is_empty() {
        return arguments.size.clone();
    }
    let mut sizes = SIZES.to_vec();
    if let Some(first) = sizes.first_mut().filter(|_| arguments.interrupt) {
        *first = LARGE;
    }
    sizes
}

/// The bytes of memory for recordings; `None` if the system does not report free memory.
pub(crate) fn available_memory() -> Option<u64> {
    let told = fs::read_to_string("/proc/meminfo").ok()?;
    let available = told
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = available.trim().strip_suffix(" kB")?.parse().ok()?;
    // A tenth remains for everything else.
    Some(kib.saturating_mul(1024) / 10 * 9)
}
