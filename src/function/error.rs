//! The failure of a tick, as Lambda and the log have it.

use std::fmt;

use lambda_http::lambda_runtime::Diagnostic;

use crate::error_chain::error_chain;
use crate::store;

/// Why a tick could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The settings could not be read.
    #[error("the settings could not be read, so nothing can be done")]
    NoSettings,
    /// What is pending could not be listed.
    #[error("what is pending could not be listed")]
    Store(#[source] store::Error),
    /// The store lacks what all work needs.
    #[error("the store cannot be worked with")]
    Unfit(#[source] store::Error),
    /// It ended in a panic.
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

/// A tick's failure as Lambda and the log have it: the runtime logs its `Debug` form.
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
