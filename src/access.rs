//! The current credentials: webhook secrets, which can be rotated while the function runs, and
//! what authorizes downloads: the ACS access key, which can be rotated as well, or Microsoft Entra
//! tokens, which end.

mod credential;
pub mod entra;
mod resource;
mod secrets;
mod token;

use std::sync::Arc;

use crate::cached::Cached;

pub use credential::Credential;
pub use entra::{Application, Claims, Tokens};
pub use resource::{AccessKey, ConnectionStringError, EndpointError, Resource};
pub use secrets::{Error as SecretsError, Secrets, Which};
pub use token::Token;

/// The current credentials. Each kind is read again by itself.
#[derive(Clone, Debug)]
pub struct Access {
    /// The credential of downloads from the ACS resource.
    pub credential: Arc<Cached<Credential>>,
    /// The webhook secrets; `None` within where no webhook secret is set.
    pub secrets: Arc<Cached<Option<Secrets>>>,
}
