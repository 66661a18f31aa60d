//! `cargo bench --bench transfer`: the resources that the function uses for a recording. Whole
//! processes are compared within one run, on loopback. `BENCH_FUNCTION` names another build of the
//! function to measure.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on fails"
)]
#![allow(
    unreachable_pub,
    reason = "nothing of a benchmark is reached from outside"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark reads the environment and the clock"
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "figures are rounded for print anyway"
)]

mod ends;
mod run;
mod table;

use emulators::certificates::Authority;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match std::env::var("BENCH_ROLE").as_deref() {
        Ok("ends") => runtime.block_on(ends::serve(&Authority::new())),
        Ok("relay") => runtime.block_on(run::relay()),
        _ => runtime.block_on(table::all()),
    }
}
