//! The table of the time, bytes, memory and calls of backlogs.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::instance::{Instance, SHORTER, SMALLER, Scale};
use crate::servers::Servers;

const KIB: u64 = 1024;
/// The MiB of a recording.
const RECORDING: u64 = 32;
/// The rounds of ticks after which a backlog is taken to be endless.
const MOST_ROUNDS: usize = 50;

/// A source: the name, the scale of the runs, and the rate limit of a connection in bytes a second.
type Source = (&'static str, Scale, Option<u64>);

const SOURCES: [Source; 3] = [
    ("fast", Scale::Deployed, None),
    ("2 MiB/s", Scale::Scaled, Some(2 * KIB * KIB)),
    ("250 KiB/s", Scale::Scaled, Some(250 * KIB)),
];

/// The measurements of a backlog until nothing is pending.
struct Drained {
    wall: Duration,
    ticks: usize,
    fetched: f64,
    peak: f64,
    calls: f64,
}

/// Measures all backlogs and returns the table.
pub(crate) async fn table() -> String {
    let mut table = format!(
        "\nBacklogs of recordings of {RECORDING} MiB. Fast: as deployed. The others: sizes of \
         1/{SMALLER} and times of 1/{SHORTER} of those deployed, with rates that keep the ratios; \
         the printed time is not scaled. Pauses between attempts are skipped.\n\n\
         | source, a connection | pending | ticks at once | time | ticks | fetched ÷ archived | \
         goal | peak memory of a tick | S3 calls a recording |\n\
         |---|---|---|---|---|---|---|---|---|\n"
    );
    for source in SOURCES {
        for pending in [1, 8, 80] {
            row(&mut table, source, pending).await;
        }
    }
    // Four times as many recordings show that memory does not grow with a backlog.
    row(&mut table, SOURCES[0], 320).await;
    table
}

/// Adds the rows of this many pending recordings.
async fn row(table: &mut String, (name, scale, rate): Source, pending: u64) {
    for (at_once, goal) in [(1, "1.15"), (4, "1.25")] {
        eprintln!("{pending} pending, {name}, {at_once} ticks at once");
        let Drained {
            wall,
            ticks,
            fetched,
            peak,
            calls,
        } = drain(pending, scale, rate, at_once).await;
        let wall = match scale {
            Scale::Deployed => wall,
            Scale::Scaled => wall * SHORTER,
        };
        let row = format!(
            "| {name} | {pending} | {at_once} | {:.1} s | {ticks} | {fetched:.3} | \
             at most {goal} | {peak:.1} MiB | {calls:.1} |",
            wall.as_secs_f64()
        );
        eprintln!("  {row}");
        writeln!(table, "{row}").expect("text grows");
    }
}

async fn drain(pending: u64, scale: Scale, rate: Option<u64>, at_once: usize) -> Drained {
    let rate = rate.map(|rate| scale.rate(rate));
    let length = scale.size(RECORDING);
    let servers = Servers::start(pending, length, rate).await;
    let mut instances = vec![];
    for _ in 0..at_once {
        instances.push(Instance::start(&servers, scale).await);
    }
    let (mut wall, mut ticks) = (Duration::ZERO, 0);
    for round in 0.. {
        assert!(
            round < MOST_ROUNDS,
            "{} are still pending",
            servers.pending()
        );
        let started = Instant::now();
        // Ticks at once compete for the same events, as overlapping ticks do.
        let ran = instances.iter_mut().map(Instance::tick);
        futures_util::future::join_all(ran).await;
        wall += started.elapsed();
        ticks += at_once;
        if servers.pending() == 0 {
            break;
        }
        servers.skip_pauses();
    }
    let archived = servers.archived();
    assert_eq!(archived, pending * length, "all is archived");
    assert!(servers.s3.uploads().is_empty(), "no upload is left");
    let calls: usize = servers.take_calls().values().sum();
    let peak = instances.iter().map(Instance::peak).max();
    Drained {
        wall,
        ticks,
        fetched: servers.fetched() as f64 / archived as f64,
        peak: peak.unwrap_or_default() as f64 / KIB as f64,
        calls: calls as f64 / pending as f64,
    }
}
