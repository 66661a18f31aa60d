//! The current credentials: webhook secrets, which can be rotated while the function runs, and
//! what authorizes downloads: the ACS access key, which can be rotated as well, or Microsoft Entra
//! tokens, which end.

mod assertion;
mod code;
mod credential;
mod entra;
mod resource;
mod secrets;
mod token;

use std::sync::Arc;
use std::time::Duration;

use crate::cached::Cached;

pub(crate) use credential::Credential;
pub(crate) use entra::{Application, Claims, Tokens};
pub(crate) use resource::{AccessKey, Resource};
pub(crate) use secrets::{Secrets, Which};
pub(crate) use token::Token;

/// The time for one try, so that a connection that has died in silence leaves time for another.
const TRY: Duration = Duration::from_millis(2_500);

/// The current credentials. Each kind is read again by itself.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// The credential of downloads from the ACS resource.
    pub(crate) credential: Arc<Cached<Credential>>,
    /// The webhook secrets; `None` within where no webhook secret is set.
    pub(crate) secrets: Arc<Cached<Option<Secrets>>>,
}
