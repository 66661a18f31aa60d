//! The credential of a download.

use super::{AccessKey, Token};
use crate::cached::Lifetime;

/// The credential of a download from ACS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The resource's access key, which signs each request.
    AccessKey(AccessKey),
    /// A Microsoft Entra token, which each request carries.
    Token(Token),
}

impl Credential {
    /// Returns the lifetime, if the credential ends by itself.
    pub(crate) fn lifetime(&self) -> Option<Lifetime> {
        match self {
            Self::AccessKey(_) => None,
            Self::Token(token) => Some(token.lifetime()),
        }
    }
}
