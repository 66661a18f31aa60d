//! The audit over archives that the function made, between the emulators of S3 and ACS.

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

mod against;
mod audit;
mod check;
mod find;
mod page;
#[cfg(unix)]
mod reconcile;
