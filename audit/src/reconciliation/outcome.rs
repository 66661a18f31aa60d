//! The outcome of each row of ACS's log.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use acs_recording_archiver::recording::Timestamp;
use serde::Serialize;

use super::LoggedRecording;
use super::export::Row;
use crate::recordings::State;

/// The time that an event may take to arrive and its recording to be archived if nothing fails.
const ON_ITS_WAY: Duration = Duration::from_mins(15);

/// The outcome of a row of ACS's log: the state of its recording in the archive, or one of the
/// outcomes of a row without a recording there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Outcome {
    /// The archive has nothing of the recording.
    NeverArchived,
    /// The row is so new that its event may still be on its way.
    OnItsWay,
    /// ACS recorded no chunk.
    NothingRecorded,
    /// The archive has a recording that may be the one of this row.
    Unsure,
    /// The archive has the recording, in this state.
    #[serde(untagged)]
    State(State),
}

/// The property by which a row matches a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum MatchedBy {
    RecordingId,
    Start,
}

impl LoggedRecording {
    pub(super) fn outcome(&self, now: SystemTime, blobs: &[String]) -> Outcome {
        let has = |state| self.matched.iter().any(|summary| summary.state == state);
        if has(State::Archived) && self.lacks_no_chunk() {
            return Outcome::State(State::Archived);
        }
        for state in [
            State::Pending,
            State::Rejected,
            State::Archived,
            State::Exported,
            State::SetAside,
        ] {
            if has(state) {
                return Outcome::State(state);
            }
        }
        if !self.possible.is_empty() {
            Outcome::Unsure
        } else if self.row.chunks == Some(0) {
            Outcome::NothingRecorded
        } else if self.is_exported(blobs) {
            Outcome::State(State::Exported)
        } else if ready(&self.row).is_some_and(|ready| ready.age(now) < ON_ITS_WAY) {
            Outcome::OnItsWay
        } else {
            Outcome::NeverArchived
        }
    }

    /// Returns the number of archived chunks, from all events of the recording.
    pub(super) fn chunks(&self) -> u64 {
        let archived = self.matched.iter().filter(|it| it.state == State::Archived);
        let chunks: BTreeSet<_> = archived.flat_map(|it| &it.chunks).collect();
        chunks.len() as u64
    }

    fn lacks_no_chunk(&self) -> bool {
        self.row.chunks.is_none_or(|logged| self.chunks() >= logged)
    }

    fn is_exported(&self, blobs: &[String]) -> bool {
        let Some(id) = &self.id else { return false };
        let ids: Vec<String> = id
            .forms()
            .take(1)
            .chain(id.parts())
            .map(str::to_lowercase)
            // A short text would occur in many names by chance.
            .filter(|id| id.len() >= 16)
            .collect();
        let named = |blob: &String| ids.iter().any(|id| blob.contains(id));
        blobs.iter().any(named)
    }
}

/// Returns the time at which the 24 hours of a recording begin: ACS writes the row once the
/// recording is ready.
pub(super) fn ready(row: &Row) -> Option<Timestamp> {
    row.logged.or(row.started)
}
