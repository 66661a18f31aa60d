//! The current credentials: webhook secrets, which can be rotated while the function runs, and
//! what authorizes downloads: the ACS access key, which can be rotated as well, or Microsoft Entra
//! tokens, which end.

mod credential;
pub(crate) mod entra;
mod resource;
mod secrets;
mod token;

use std::sync::Arc;

use crate::cached::Cached;

pub(crate) use credential::Credential;
pub(crate) use entra::{Application, Claims, Tokens};
pub(crate) use resource::{AccessKey, Resource};
pub(crate) use secrets::{Secrets, Which};
pub(crate) use token::Token;

/// The current credentials. Each kind is read again by itself.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// The credential of downloads from the ACS resource.
    pub(crate) credential: Arc<Cached<Credential>>,
    /// The webhook secrets; `None` within where no webhook secret is set.
    pub(crate) secrets: Arc<Cached<Option<Secrets>>>,
}
