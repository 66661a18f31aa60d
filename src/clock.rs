//! The wall clock: for the dates of signatures and the ages of events. Nothing is ever decided between two machines by it.

use std::time::SystemTime;

/// The time now.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
