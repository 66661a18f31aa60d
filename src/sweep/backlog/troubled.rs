//! Events that have been pending for so long that an operator should look at them.

use std::time::Duration;

use crate::finality::SETTLED;
use crate::keys::Key;

/// The time after an hour, and after each day, in which a tick reports an event. A tick starts each
/// minute, so at least one tick does.
const REPORTED_WITHIN: Duration = Duration::from_mins(2);
const DAY: Duration = Duration::from_hours(24);

/// An event that has been pending for an hour or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sweep) struct Troubled {
    pub(in crate::sweep) event: Key,
    /// The id of the event, as it stands in keys.
    pub(in crate::sweep) id: String,
    /// The time since the event was stored.
    pub(in crate::sweep) age: Duration,
    /// The age of its source in ACS.
    pub(in crate::sweep) source: Duration,
    /// `true` if the last attempt has left an `attempt.json` with content.
    pub(in crate::sweep) has_attempt: bool,
}

/// The recordings in trouble that one tick reports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::sweep) struct InTrouble {
    pub(in crate::sweep) reported: Vec<Troubled>,
    /// The number of the other recordings that are due to be reported.
    pub(in crate::sweep) more: usize,
}

/// Returns `true` if a tick reports an event that was stored `age` ago.
pub(super) fn is_reported(age: Duration) -> bool {
    let since = if age < DAY {
        age.checked_sub(SETTLED)
    } else {
        Some(Duration::from_secs(age.as_secs() % DAY.as_secs()))
    };
    since.is_some_and(|since| since < REPORTED_WITHIN)
}
