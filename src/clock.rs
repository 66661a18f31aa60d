//! Time as it is told. The wall clock: for the dates of signatures and the ages of events. Nothing is ever decided between two machines by it.

use std::time::SystemTime;

use tokio::time::Instant;

/// The time now.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Whole milliseconds since `started`, as log lines have them.
pub(crate) fn milliseconds(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
