//! The table of the cost of an outage of S3, and of ticks without work.

use std::fmt::Write as _;

use emulators::s3::{Call, Fault};

use crate::instance::{Instance, Scale};
use crate::servers::Servers;

const MIB: u64 = 1024 * 1024;
/// The number of pending recordings.
const PENDING: u64 = 10_000;
/// The ticks that are measured for each outage.
const TICKS: usize = 5;
/// The ticks of a day.
const DAY: usize = 24 * 60;

/// The bytes of a recording.
const LENGTH: u64 = 32 * MIB;

/// An outage: the name, `true` if S3 keeps the fetched parts, and the fault of a call.
type Outage = (&'static str, bool, fn(&Call) -> Option<Fault>);

const OUTAGES: [Outage; 4] = [
    ("every write, 403", false, |call| {
        let writes = ["PutObject", "CreateMultipartUpload", "UploadPart"];
        refuse(call, &writes, 403, "AccessDenied")
    }),
    ("every write, 503", false, |call| {
        let writes = ["PutObject", "CreateMultipartUpload", "UploadPart"];
        refuse(call, &writes, 503, "SlowDown")
    }),
    ("parts alone, 403", false, |call| {
        refuse(call, &["UploadPart"], 403, "AccessDenied")
    }),
    ("Complete alone, 503", true, |call| {
        let complete = ["CompleteMultipartUpload"];
        refuse(call, &complete, 503, "ServiceUnavailable")
    }),
];

fn refuse(call: &Call, operations: &[&str], status: u16, code: &'static str) -> Option<Fault> {
    let is_refused = operations.contains(&call.operation);
    is_refused.then_some(Fault::Refuse { status, code })
}

/// Measures all outages and returns the table.
pub(crate) async fn table() -> String {
    let mut table = format!(
        "\n{PENDING} pending recordings of 32 MiB, S3 refuses for a day. Counted over {TICKS} \
         ticks of one instance after the first, and multiplied by {DAY}. S3 keeps its parts, so \
         no more than all of them are fetched while Complete is refused.\n\n\
         | S3 refuses | seconds a tick | events claimed a tick | S3 calls a tick | of them lists | \
         bytes fetched a tick | calls a day | bytes a day |\n|---|---|---|---|---|---|---|---|\n"
    );
    for (name, is_kept, fault) in OUTAGES {
        eprintln!("{PENDING} pending, S3 refuses {name}");
        let servers = Servers::start(PENDING, LENGTH, None).await;
        servers.s3.inject(fault);
        let mut instance = Instance::start(&servers, Scale::Deployed).await;
        let swept = instance.tick().await;
        eprintln!("  the first tick: {swept}, {:?}", servers.take_calls());
        let before = servers.fetched();
        let started = std::time::Instant::now();
        let (mut calls, mut lists, mut taken) = (0, 0, 0);
        for _ in 0..TICKS {
            let swept = instance.tick().await;
            let counted = servers.take_calls();
            eprintln!("  {swept}, {counted:?}");
            taken += swept["taken"].as_u64().unwrap_or_default();
            calls += counted.values().sum::<usize>();
            lists += counted.get("ListObjectsV2").copied().unwrap_or_default();
        }
        let seconds = started.elapsed().as_secs_f64() / TICKS as f64;
        let bytes = (servers.fetched() - before) as f64 / TICKS as f64 / MIB as f64;
        let (calls, lists) = (calls as f64 / TICKS as f64, lists as f64 / TICKS as f64);
        let taken = taken as f64 / TICKS as f64;
        let all = (PENDING * LENGTH / MIB) as f64;
        let day = bytes * DAY as f64;
        let day = if is_kept { day.min(all) } else { day };
        let row = writeln!(
            table,
            "| {name} | {seconds:.1} | {taken:.1} | {calls:.1} | {lists:.1} | {bytes:.1} MiB | \
             {:.0} | {:.1} GiB |",
            calls * DAY as f64,
            day / 1024.0
        );
        row.expect("text grows");
    }
    idle(&mut table).await;
    table
}

/// Adds the number of calls of a tick without work.
async fn idle(table: &mut String) {
    for (name, pending) in [("nothing pending", 0), ("one pending, not due", 1)] {
        let servers = Servers::start(pending, MIB, None).await;
        for key in servers.s3.objects().into_keys() {
            servers
                .s3
                .set_last_modified(&key, std::time::SystemTime::now());
        }
        let mut instance = Instance::start(&servers, Scale::Deployed).await;
        instance.tick().await;
        let calls: usize = servers.take_calls().values().sum();
        writeln!(table, "\nS3 calls of a tick, {name}: {calls}").expect("text grows");
    }
}
