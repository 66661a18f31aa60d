//! The wall clock, for the dates of signatures and the ages of credentials and events. No decision
//! between two machines depends on it.

use std::time::SystemTime;

use tokio::time::Instant;

/// Returns the time.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Returns the milliseconds since `started`, for log lines.
pub(crate) fn milliseconds(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
