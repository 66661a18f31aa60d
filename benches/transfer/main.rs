//! `cargo bench --bench transfer`: the resources that the function uses for a recording. Processes
//! are compared within one run, on loopback. `BENCH_FUNCTION` names another build of the function
//! to measure.
//!
//! - `servers`: the source and the sink
//! - `function`, `baselines`: the function, and the programs that it is compared with
//! - `table`: the measurements and their table

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

mod baselines;
mod function;
mod servers;
mod table;

use emulators::certificates::Authority;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match std::env::var("BENCH_ROLE").as_deref() {
        Ok("servers") => runtime.block_on(servers::serve(&Authority::new())),
        Ok("relay") => runtime.block_on(baselines::relay()),
        _ => runtime.block_on(table::all()),
    }
}
