//! Archives recordings of Azure Communication Services (ACS) calls in Amazon S3.

pub mod acs;
pub mod chain;
mod clock;
pub mod event_grid;
pub mod keys;
pub mod limits;
pub mod locations;
pub mod outcome;
pub mod plan;
pub mod recording;
pub mod store;
pub mod transfer;
