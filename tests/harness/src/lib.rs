//! The function between the emulators, for its tests, benchmarks and local run.
//!
//! - `embedded`: the function over an emulated S3 and an emulated ACS
//! - `world`: the same with the tests' small limits, and recordings to archive
//! - `contract`: the keys that an event's objects must have
//! - `steady`: a clock that stands still while the process waits for a processor
//! - `measure`: the CPU time and memory that a process used

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "a crate of this workspace's tests"
)]

pub mod contract;
pub mod embedded;
pub mod measure;
pub mod steady;
pub mod world;
