//! Emulators of the services around the function, for its tests and its local run.
//!
//! - [`s3`]: Amazon S3, as strict as AWS where a client could go wrong
//! - [`acs`]: the downloads of Azure Communication Services
//! - [`entra`]: the keys and tokens of a Microsoft Entra ID tenant
//! - [`sts`], [`secrets_manager`]: the operations of AWS that the function calls
//! - [`runtime`]: the Lambda Runtime API
//! - [`media`]: the recordings
//! - [`certificates`], [`proxy`], [`hashes`]: TLS, a CONNECT proxy, and SHA-256 for tests
//!
//! The emulators share no code with the function and check signatures and hashes with other
//! libraries, so that they do not repeat an error of the function.

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
