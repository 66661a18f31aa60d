//! What is around the function, for its tests and its local run: an S3 as strict as AWS where it bites, an Azure
//! Communication Services that checks every signature with other cryptography than the function's, an Entra ID tenant's
//! keys and tokens, AWS's STS and Secrets Manager, and Lambda's Runtime API.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "an emulator that cannot go on fails its test by panicking"
)]
#![allow(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "a value that a test leaves unused does no harm"
)]

pub mod acs;
pub mod certificates;
#[cfg(test)]
mod client;
pub mod entra;
pub mod hashes;
mod headers;
pub mod media;
pub mod proxy;
pub mod runtime;
pub mod s3;
pub mod secrets_manager;
mod server;
mod sigv4;
pub mod sts;
