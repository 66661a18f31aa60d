//! The credentials: webhook secrets for deliveries, and for downloads from ACS its access key or
//! Microsoft Entra tokens. All of them change while the function runs.

mod assertion;
mod code;
mod credential;
mod entra;
mod resource;
mod secrets;
mod token;

use std::time::Duration;

pub(crate) use credential::Credential;
pub(crate) use entra::{Application, Claims, Tokens};
pub(crate) use resource::{AccessKey, Resource};
pub(crate) use secrets::{Position, Secrets};
pub(crate) use token::Token;

/// The longest time for one attempt at an assertion or a token. A connection that died unnoticed
/// leaves time for another attempt.
const TRY: Duration = Duration::from_millis(2_500);
