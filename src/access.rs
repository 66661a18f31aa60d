//! The current credentials: webhook secrets and ACS access key, which can be rotated while the
//! function runs.

mod resource;
mod secrets;

use std::sync::Arc;

use crate::kept::Kept;

pub use resource::{AccessKey, ConnectionStringError, EndpointError, Resource};
pub use secrets::{Error as SecretsError, Secrets, Which};

/// The current credentials. Each kind is read again by itself.
#[derive(Clone, Debug)]
pub struct Access {
    /// The key to the ACS resource.
    pub access_key: Arc<Kept<AccessKey>>,
    /// The webhook secrets; `None` within where no webhook secret is set.
    pub secrets: Arc<Kept<Option<Secrets>>>,
}
