//! The log lines of recordings in trouble, one for each: an alarm that is already on hides no
//! further recording.

use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::backlog::{InTrouble, Troubled};
use super::hours_left;
use crate::archive::Archive;

/// The most characters of a failure that are repeated.
const LONGEST_FAILURE: usize = 500;

/// Logs a line for each recording of the sample, and one line with the number of the others that
/// are due to be reported.
pub(super) async fn report(archive: &Archive, in_trouble: InTrouble, deadline: Instant) {
    let InTrouble { reported, more } = in_trouble;
    for one in reported {
        let failure = failure(archive, &one, deadline).await;
        error!(
            key = %one.event,
            event = one.id,
            age_seconds = one.age.as_secs(),
            failure,
            hours_left = hours_left(one.source),
            "recording is in trouble"
        );
    }
    if more > 0 {
        error!(more, "more recordings are in trouble");
    }
}

/// The failure of the last attempt, if `attempt.json` has one.
async fn failure(archive: &Archive, one: &Troubled, deadline: Instant) -> Option<String> {
    if !one.has_attempt {
        return None;
    }
    let attempt = timeout_at(deadline, archive.last_attempt(&one.event)).await;
    let failure = attempt.ok()?.ok()?.failure()?.to_owned();
    Some(failure.chars().take(LONGEST_FAILURE).collect())
}
