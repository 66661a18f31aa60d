//! Recordings in trouble: a line of the log for each, so that an alarm that is already on hides
//! none.

use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::backlog::Troubled;
use super::hours_left;
use crate::archive::Archive;

/// The longest failure that is repeated, in characters.
const LONGEST_FAILURE: usize = 500;

/// Emits a line for each of `troubled`, and one for those that are `more` than a tick tells of.
pub(super) async fn tell(
    archive: &Archive,
    troubled: Vec<Troubled>,
    more: usize,
    deadline: Instant,
) {
    for one in troubled {
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

/// The failure of the last attempt, if there was one that has left a word.
async fn failure(archive: &Archive, one: &Troubled, deadline: Instant) -> Option<String> {
    if !one.has_attempt {
        return None;
    }
    let attempt = timeout_at(deadline, archive.last_attempt(&one.event)).await;
    let failure = attempt.ok()?.ok()?.failure()?.to_owned();
    Some(failure.chars().take(LONGEST_FAILURE).collect())
}
