//! The function over real HTTP: an emulated S3 on one side, an emulated ACS on the other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(
    unreachable_pub,
    reason = "nothing of a test binary is reached from outside"
)]

mod conditions;
mod listener;

mod access;
mod acs_emulator;
mod answers;
mod binary;
mod buckets;
mod cost;
#[cfg(unix)]
mod deploy;
mod documentation;
mod encoding;
mod federation;
mod finality;
mod hand_over;
mod hostile;
mod identity;
mod interruptions;
mod keyless;
mod leaks;
mod media;
mod metrics;
mod model;
mod operations;
mod policies;
mod recordings;
mod resume;
mod s3_emulator;
mod schedule;
mod secrets;
mod security;
mod signatures;
mod source;
mod store_faults;
mod style;
mod sweep;
mod template;
mod together;
mod tokens;
mod trouble;
mod version;
