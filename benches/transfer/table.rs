//! The measurements, each beside its goal.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::measure::median;

use crate::baselines::{general_tool, relayed};
use crate::function::Function;
use crate::servers::process::Servers;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Prices in US dollars in us-east-1 in November 2026.
///
/// <https://aws.amazon.com/lambda/pricing/> and <https://aws.amazon.com/s3/pricing/>
mod prices {
    /// A GB-second of Lambda on arm64.
    pub(crate) const GB_SECOND: f64 = 0.000_013_333_4;
    /// A GB-second of Lambda on x86-64.
    pub(crate) const GB_SECOND_X86: f64 = 0.000_016_666_7;
    /// A request to Lambda.
    pub(crate) const INVOCATION: f64 = 0.000_000_2;
    /// A PUT, COPY, POST or LIST of S3.
    pub(crate) const PUT: f64 = 0.000_005;
    /// A GET or HEAD of S3.
    pub(crate) const GET: f64 = 0.000_000_4;
}
/// The MiB a second that a function of any memory size moves, as users of Lambda report.
const LAMBDA_SPEED: f64 = 60.0;
/// The MB of memory with which a function has one CPU; with less it has a share of one.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const LAMBDA_CPU: f64 = 1769.0;
/// The memory sizes that are compared, in MB, and that of `template.yaml`.
const MEMORIES: [f64; 4] = [128.0, 256.0, 512.0, 1024.0];
const DEPLOYED: f64 = 512.0;
/// The GiB of a recorded hour: a chunk of 4 hours has about 2.3 GB.
const RECORDED_HOUR: f64 = 0.54;

/// The runs of each kind, of which the median is printed.
const RUNS: usize = 5;

struct Row {
    name: &'static str,
    measured: String,
    goal: &'static str,
}

/// Measures everything and prints the tables.
pub(crate) async fn all() {
    let mut table = Table::default();
    let servers = Servers::start(0, 0);
    let function = Function::start(&servers, 8).await;
    table.row(
        "start-up to the first poll",
        format!("{:.0} ms", function.startup.as_secs_f64() * 1e3),
        "at most 60 ms",
    );
    let cpu = table.gib(&servers, &function).await;
    let calls = table.calls(&servers, &function).await;
    drop(function);
    table.memory(&servers).await;
    drop(servers);
    table.limited_source().await;
    table.many_chunks().await;
    table.costs(cpu, &calls);
    table.print();
    print_memories(cpu, &calls);
}

#[derive(Default)]
struct Table {
    rows: Vec<Row>,
}

impl Table {
    fn row(&mut self, name: &'static str, measured: String, goal: &'static str) {
        self.rows.push(Row {
            name,
            measured,
            goal,
        });
    }

    /// Compares the function with the other programs, and returns the CPU time that it uses for 1
    /// GiB.
    async fn gib(&mut self, servers: &Servers, function: &Function) -> Duration {
        let (mut own, mut relay, mut tool) = (vec![], vec![], vec![]);
        for run in 0..=RUNS {
            eprintln!("1 GiB, unlimited: run {run} of {RUNS}");
            let usage = (
                function.deliver(&[GIB]).await,
                relayed(servers, GIB),
                general_tool(servers, GIB),
            );
            // The first run warms everything up.
            if run > 0 {
                own.push(usage.0);
                relay.push(usage.1);
                tool.extend(usage.2);
            }
        }
        let (own, relay) = (median(own), median(relay));
        self.row("CPU of 1 GiB", seconds(own.cpu), "");
        let of_relay = ratio(own.cpu, relay.cpu);
        self.row("… of a bare relay", of_relay, "at most 1.15 ×");
        let name = "… of curl | aws s3 cp";
        if tool.is_empty() {
            self.row(name, "not installed here".to_owned(), "at most 0.25 ×");
            return own.cpu;
        }
        let tool = median(tool);
        self.row(name, ratio(own.cpu, tool.cpu), "at most 0.25 ×");
        self.row("wall time of 1 GiB", seconds(own.wall), "");
        self.row(name, ratio(own.wall, tool.wall), "at most 0.33 ×");
        own.cpu
    }

    /// Counts the S3 calls of a recording of 1 GiB, and returns them.
    async fn calls(&mut self, servers: &Servers, function: &Function) -> BTreeMap<String, u64> {
        servers.calls().await;
        function.deliver(&[GIB]).await;
        let calls = servers.calls().await;
        let parts = calls.get("UploadPart").copied().unwrap_or(0);
        let others = calls.values().sum::<u64>() - parts;
        self.row(
            "S3 calls of 1 GiB, fresh",
            format!("{parts} parts + {others}"),
            "64 parts + 12, and at most 3 of the media's check",
        );
        calls
    }

    async fn memory(&mut self, servers: &Servers) {
        let mut peaks = vec![];
        for length in [64 * MIB, 4 * GIB] {
            eprintln!("memory, {} MiB", length / MIB);
            // Each in a new process: a heap that has grown once stays large.
            let function = Function::start(servers, 8).await;
            let mut runs = vec![];
            for _ in 0..3 {
                runs.push(function.deliver(&[length]).await);
            }
            peaks.push(median(runs).peak as f64 / 1024.0);
        }
        let [small, large] = peaks[..] else { return };
        self.row(
            "peak memory, 8 in flight, 64 MiB",
            format!("{small:.1} MiB"),
            "at most 24 MiB",
        );
        self.row(
            "peak memory, 8 in flight, 4 GiB",
            format!("{large:.1} MiB"),
            "at most 22.4 MiB",
        );
        eprintln!("memory, lengths unknown");
        let function = Function::start(servers, 8).await;
        let mut most = 0;
        for _ in 0..3 {
            let unsaid = function.deliver_unsaid(&[64 * MIB; 16]).await;
            most = most.max(unsaid.peak);
        }
        self.row(
            "peak memory, 8 parts of 16 MiB held",
            format!("{:.0} MiB", most as f64 / 1024.0),
            "within the function's memory",
        );
    }

    async fn limited_source(&mut self) {
        eprintln!("source limited to 20 MB/s a connection");
        let servers = Servers::start(20_000_000, 0);
        let mut walls = vec![];
        for concurrency in [1, 8] {
            let function = Function::start(&servers, concurrency).await;
            walls.push(function.deliver(&[512 * MIB]).await.wall);
        }
        let [one, eight] = walls[..] else { return };
        let faster = one.as_secs_f64() / eight.as_secs_f64();
        self.row(
            "20 MB/s a connection, 8 against 1",
            format!("{faster:.1} × faster"),
            "at least 7.7 ×",
        );
    }

    async fn many_chunks(&mut self) {
        eprintln!("small chunks beside a large one, 50 ms latency");
        let servers = Servers::start(0, 50);
        let function = Function::start(&servers, 8).await;
        let mut lengths = vec![256 * MIB];
        let (mut alone, mut together) = (vec![], vec![]);
        for _ in 0..RUNS {
            lengths.truncate(1);
            alone.push(function.deliver(&lengths).await);
            lengths.extend([MIB; 10]);
            together.push(function.deliver(&lengths).await);
        }
        let (alone, together) = (median(alone), median(together));
        self.row(
            "ten chunks of 1 MiB beside 256 MiB",
            ratio(together.wall, alone.wall),
            "at most 1.3 × it alone",
        );
    }

    fn costs(&mut self, cpu: Duration, calls: &BTreeMap<String, u64>) {
        let cost = |gib| {
            let lambda = billed(gib, cpu, DEPLOYED) * prices::GB_SECOND;
            format!("{:.5} USD", lambda + requests(gib, calls))
        };
        self.row("cost of a recorded GiB", cost(1.0), "");
        self.row("cost of a recorded hour", cost(RECORDED_HOUR), "");
    }

    fn print(&self) {
        println!("\n| what | measured | goal |\n|---|---|---|");
        for Row {
            name,
            measured,
            goal,
        } in &self.rows
        {
            println!("| {name} | {measured} | {goal} |");
        }
    }
}

/// The seconds that a function with `memory` needs for `gib`: the time of the network, or that of
/// its share of a CPU if it is longer. `cpu` is the CPU time of a GiB.
fn time(gib: f64, cpu: Duration, memory: f64) -> f64 {
    let network = 1024.0 / LAMBDA_SPEED;
    gib * network.max(cpu.as_secs_f64() * LAMBDA_CPU / memory)
}

/// The GB-seconds of Lambda for `gib`.
fn billed(gib: f64, cpu: Duration, memory: f64) -> f64 {
    time(gib, cpu, memory) * memory / 1024.0
}

/// The price of the requests of `gib`: the counted ones to S3, and one to Lambda.
fn requests(gib: f64, calls: &BTreeMap<String, u64>) -> f64 {
    let price = |(operation, count): (&String, &u64)| {
        let price = match operation.as_str() {
            "DeleteObject" | "AbortMultipartUpload" => 0.0,
            "HeadObject" | "GetObject" => prices::GET,
            _ => prices::PUT,
        };
        // Parts scale with the bytes, other calls with the recordings.
        let scale = if operation == "UploadPart" { gib } else { 1.0 };
        price * scale * *count as f64
    };
    prices::INVOCATION + calls.iter().map(price).sum::<f64>()
}

/// Prints the table of the cost of a GiB by memory size.
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
