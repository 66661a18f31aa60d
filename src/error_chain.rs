//! An error and its causes, on one line.

use std::error::Error;

/// Returns `error: cause: cause of the cause`. The errors of this crate never repeat the text of
/// their source, so each text appears once.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
