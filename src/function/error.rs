//! The failure of a tick.

use std::fmt;

use lambda_http::lambda_runtime::Diagnostic;

use crate::error_chain::error_chain;
use crate::store;

/// The failure of a tick.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The settings could not be read.
    #[error("the settings could not be read, so nothing can be done")]
    NoSettings,
    /// The pending events could not be listed.
    #[error("the pending events could not be listed")]
    Store(#[source] store::Error),
    /// The store ignores conditional writes, which all work needs.
    #[error("the store cannot be used")]
    Unfit(#[source] store::Error),
    /// The tick panicked.
    #[error("the tick broke off")]
    BrokeOff,
}

impl From<store::Error> for TickError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Ignores(_) => Self::Unfit(error),
            _ => Self::Store(error),
        }
    }
}

/// The failure of a tick in the form that Lambda's runtime reports and, by `Debug`, logs.
pub(super) struct Failed(pub(super) TickError);

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&error_chain(&self.0))
    }
}

impl From<Failed> for Diagnostic {
    fn from(Failed(error): Failed) -> Self {
        Self {
            error_type: "TickError".to_owned(),
            error_message: error_chain(&error),
        }
    }
}
