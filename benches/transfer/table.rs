//! All runs, and the table of what they used, each beside its goal.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::run::{Ends, Function, general_tool, relayed};
use harness::measure::median;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// US dollars, us-east-1, read in November 2026.
mod prices {
    /// A GB-second of Lambda on arm64.
    pub const GB_SECOND: f64 = 0.000_013_333_4;
    /// A GB-second of Lambda on x86-64.
    pub const GB_SECOND_X86: f64 = 0.000_016_666_7;
    /// A request to Lambda.
    pub const INVOCATION: f64 = 0.000_000_2;
    /// A PUT, COPY, POST or LIST of S3.
    pub const PUT: f64 = 0.000_005;
    /// A GET or HEAD of S3.
    pub const GET: f64 = 0.000_000_4;
}
/// MiB a second that a function moves, of whatever memory, as users report it of Lambda.
const LAMBDA_SPEED: f64 = 60.0;
/// MB of memory with which a function has one whole CPU; with less it has a share of one.
const LAMBDA_CPU: f64 = 1769.0;
/// MB of memory that are compared, and those of the template.
const MEMORIES: [f64; 4] = [128.0, 256.0, 512.0, 1024.0];
const DEPLOYED: f64 = 512.0;
/// GiB of a recorded hour: a chunk of 4 hours has about 2.3 GB.
const RECORDED_HOUR: f64 = 0.54;

/// Runs of each kind; the median is told.
const RUNS: usize = 5;

struct Row {
    what: &'static str,
    measured: String,
    goal: &'static str,
}

/// Runs everything and prints the table.
pub async fn all() {
    let mut rows = vec![];
    let mut row = |what, measured, goal| {
        rows.push(Row {
            what,
            measured,
            goal,
        });
    };

    let ends = Ends::start(0, 0);
    let function = Function::start(&ends, 8).await;
    row(
        "start-up to the first poll",
        format!("{:.0} ms", function.startup.as_secs_f64() * 1e3),
        "at most 60 ms",
    );

    let (mut own, mut relay, mut tool) = (vec![], vec![], vec![]);
    for run in 0..=RUNS {
        eprintln!("1 GiB, unlimited: run {run} of {RUNS}");
        let usage = (
            function.deliver(&[GIB]).await,
            relayed(&ends, GIB),
            general_tool(&ends, GIB),
        );
        // The first warms everything up.
        if run > 0 {
            own.push(usage.0);
            relay.push(usage.1);
            tool.extend(usage.2);
        }
    }
    let (own, relay) = (median(own), median(relay));
    row("CPU of 1 GiB", seconds(own.cpu), "");
    row(
        "… of a bare relay",
        ratio(own.cpu, relay.cpu),
        "at most 1.15 ×",
    );
    if tool.is_empty() {
        row(
            "… of curl | aws s3 cp",
            "not installed here".to_owned(),
            "at most 0.25 ×",
        );
    } else {
        let tool = median(tool);
        row(
            "… of curl | aws s3 cp",
            ratio(own.cpu, tool.cpu),
            "at most 0.25 ×",
        );
        row("wall time of 1 GiB", seconds(own.wall), "");
        row(
            "… of curl | aws s3 cp",
            ratio(own.wall, tool.wall),
            "at most 0.33 ×",
        );
    }

    ends.calls().await;
    function.deliver(&[GIB]).await;
    let calls = ends.calls().await;
    let parts = calls.get("UploadPart").copied().unwrap_or(0);
    let others = calls.values().sum::<u64>() - parts;
    row(
        "S3 calls of 1 GiB, fresh",
        format!("{parts} parts + {others}"),
        "64 parts + 12, and at most 3 of the media's check",
    );
    drop(function);

    row_of_memory(&ends, &mut row).await;
    drop(ends);
    row_of_limited_source(&mut row).await;
    row_of_many_chunks(&mut row).await;

    let cost = |gib| {
        let lambda = billed(gib, own.cpu, DEPLOYED) * prices::GB_SECOND;
        format!("{:.5} USD", lambda + requests(gib, &calls))
    };
    row("cost of a recorded GiB", cost(1.0), "");
    row("cost of a recorded hour", cost(RECORDED_HOUR), "");
    print(&rows);
    print_memories(own.cpu, &calls);
}

async fn row_of_memory(ends: &Ends, row: &mut impl FnMut(&'static str, String, &'static str)) {
    let mut peaks = vec![];
    for length in [64 * MIB, 4 * GIB] {
        eprintln!("memory, {} MiB", length / MIB);
        // A process of its own each, as the peak of one is not forgotten by its heap.
        let function = Function::start(ends, 8).await;
        let mut runs = vec![];
        for _ in 0..3 {
            runs.push(function.deliver(&[length]).await);
        }
        peaks.push(median(runs).peak as f64 / 1024.0);
    }
    let [small, large] = peaks[..] else { return };
    row(
        "peak memory, 8 in flight, 64 MiB",
        format!("{small:.1} MiB"),
        "at most 24 MiB",
    );
    row(
        "peak memory, 8 in flight, 4 GiB",
        format!("{large:.1} MiB"),
        "at most 22.4 MiB",
    );
    eprintln!("memory, lengths unknown");
    let function = Function::start(ends, 8).await;
    let mut most = 0;
    for _ in 0..3 {
        let unsaid = function.deliver_unsaid(&[64 * MIB; 16]).await;
        most = most.max(unsaid.peak);
    }
    row(
        "peak memory, 8 parts of 16 MiB held",
        format!("{:.0} MiB", most as f64 / 1024.0),
        "within the function's memory",
    );
}

async fn row_of_limited_source(row: &mut impl FnMut(&'static str, String, &'static str)) {
    eprintln!("source limited to 20 MB/s a connection");
    let ends = Ends::start(20_000_000, 0);
    let mut walls = vec![];
    for concurrency in [1, 8] {
        let function = Function::start(&ends, concurrency).await;
        walls.push(function.deliver(&[512 * MIB]).await.wall);
    }
    let [one, eight] = walls[..] else { return };
    let faster = one.as_secs_f64() / eight.as_secs_f64();
    row(
        "20 MB/s a connection, 8 against 1",
        format!("{faster:.1} × faster"),
        "at least 7.7 ×",
    );
}

async fn row_of_many_chunks(row: &mut impl FnMut(&'static str, String, &'static str)) {
    eprintln!("small chunks beside a large one, 50 ms latency");
    let ends = Ends::start(0, 50);
    let function = Function::start(&ends, 8).await;
    let mut lengths = vec![256 * MIB];
    let (mut alone, mut together) = (vec![], vec![]);
    for _ in 0..RUNS {
        lengths.truncate(1);
        alone.push(function.deliver(&lengths).await);
        lengths.extend([MIB; 10]);
        together.push(function.deliver(&lengths).await);
    }
    let (alone, together) = (median(alone), median(together));
    row(
        "ten chunks of 1 MiB beside 256 MiB",
        ratio(together.wall, alone.wall),
        "at most 1.3 × it alone",
    );
}

/// Seconds that a function with `memory` takes for `gib`: the network's time, or that of its share
/// of a CPU where it is longer. `cpu` is that of a GiB with a whole one.
fn time(gib: f64, cpu: Duration, memory: f64) -> f64 {
    let network = 1024.0 / LAMBDA_SPEED;
    gib * network.max(cpu.as_secs_f64() * LAMBDA_CPU / memory)
}

/// GB-seconds of Lambda for `gib`.
fn billed(gib: f64, cpu: Duration, memory: f64) -> f64 {
    time(gib, cpu, memory) * memory / 1024.0
}

/// US dollars for the requests of `gib`, to S3 as they were counted and to Lambda.
fn requests(gib: f64, calls: &BTreeMap<String, u64>) -> f64 {
    let price = |(operation, count): (&String, &u64)| {
        let price = match operation.as_str() {
            "DeleteObject" | "AbortMultipartUpload" => 0.0,
            "HeadObject" | "GetObject" => prices::GET,
            _ => prices::PUT,
        };
        // Parts are as many as the bytes, the other calls as the recordings.
        let scale = if operation == "UploadPart" { gib } else { 1.0 };
        price * scale * *count as f64
    };
    prices::INVOCATION + calls.iter().map(price).sum::<f64>()
}

/// Prints a table of what a GiB costs by the memory of the function.
fn print_memories(cpu: Duration, calls: &BTreeMap<String, u64>) {
    println!("\n| memory | CPU of 1 GiB | time of 1 GiB | arm64 | x86-64 | with all requests |");
    println!("|---|---|---|---|---|---|");
    for memory in MEMORIES {
        let share = cpu.as_secs_f64() * LAMBDA_CPU / memory;
        let (time, billed) = (time(1.0, cpu, memory), billed(1.0, cpu, memory));
        let (arm64, x86) = (billed * prices::GB_SECOND, billed * prices::GB_SECOND_X86);
        let all = arm64 + requests(1.0, calls);
        println!(
            "| {memory} MB | {share:.1} s | {time:.1} s | {arm64:.6} | {x86:.6} | {all:.5} USD |"
        );
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn ratio(ours: Duration, theirs: Duration) -> String {
    let times = ours.as_secs_f64() / theirs.as_secs_f64();
    format!("{times:.2} × of {}", seconds(theirs))
}

fn print(rows: &[Row]) {
    println!("\n| what | measured | goal |\n|---|---|---|");
    for Row {
        what,
        measured,
        goal,
    } in rows
    {
        println!("| {what} | {measured} | {goal} |");
    }
}
