//! `cargo bench --bench backlog`: the time, bytes, memory and S3 calls that ticks need for a
//! backlog, and the cost of an outage.
//!
//! Ticks run in other processes, as in Lambda, between emulators of ACS and S3 in this process.
//!
//! - `servers`: the emulators, with a backlog
//! - `instance`: a process that runs ticks
//! - `backlog`, `outage`: the measurements and their tables

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot continue panics"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the environment and the clock"
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "figures are rounded when printed"
)]

mod backlog;
mod instance;
mod outage;
mod servers;

fn main() {
    let is_instance = std::env::var("BENCH_ROLE").is_ok_and(|role| role == "instance");
    let mut builder = if is_instance {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder.enable_all().build().expect("a runtime");
    if is_instance {
        runtime.block_on(instance::serve());
        return;
    }
    runtime.block_on(async {
        let backlogs = backlog::table().await;
        let outages = outage::table().await;
        println!("{backlogs}{outages}");
    });
}
