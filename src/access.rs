//! What lets a delivery in and what signs a download, as both are now: either can be rotated while the function runs.

mod resource;
mod secrets;

pub use resource::{AccessKey, ConnectionStringError, Resource};
pub use secrets::{Error as SecretsError, Secrets};

/// The secrets that can be rotated.
#[derive(Debug)]
pub struct Access {
    /// The ACS resource, with the key to it.
    pub resource: Resource,
    /// The webhook secrets, where Event Grid has one.
    pub secrets: Option<Secrets>,
}
